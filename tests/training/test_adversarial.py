"""The contest with a discriminator: its losses and gradients, its alarms, what is logged, and other decoders."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from sfumato.checkpoints.classifiers import load_classifier
from sfumato.errors import TrainingError
from sfumato.models.autoencoder_fold import AutoencoderFold, AutoencoderFoldConfig
from sfumato.models.discriminator import PatchDiscriminator, PatchDiscriminatorConfig
from sfumato.training.adversarial import (
    R1_SHARE,
    AdversarialConfig,
    Alarms,
    adaptive_weight,
    contest,
    hinge_model,
    hinge_opponent,
    slope_penalty,
    variety,
)
from sfumato.training.autoencoder import perceptual_distance, ssim
from sfumato.training.data import generator_for
from sfumato.training.latents import load_autoencoder
from sfumato.training.run import train
from sfumato.training.tracking import read_log
from tests.training.conftest import adversarial_toml, autoencoder_toml


def test_hinge() -> None:
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.0])
    assert float(hinge_opponent(real, fake)) == pytest.approx(0.5 * (0.25 + 0.5))
    assert float(hinge_model(fake)) == pytest.approx(1.5)


@pytest.mark.parametrize(("push", "weight"), [(2.0, 1.5), (1e-9, 100.0), (0.0, 100.0), (1e9, 3e-9)])
def test_adaptive_weight(push: float, weight: float) -> None:
    assert float(adaptive_weight(torch.tensor([3.0, 0.0]), torch.tensor([0.0, push]), 100.0)) == pytest.approx(weight)


def test_slope_penalty_of_a_linear_discriminator() -> None:
    """Each of four logits is <w, its own 2 x 2 patch>: whatever the number of patches, half of |w|^2."""
    conv = nn.Conv2d(3, 1, 2, stride=2)
    penalty = slope_penalty(conv, torch.randn(5, 3, 4, 4))
    assert float(penalty.detach()) == pytest.approx(0.5 * float(conv.weight.detach().square().sum()), rel=1e-5)
    penalty.backward()
    assert torch.allclose(conv.weight.grad, conv.weight.detach(), rtol=1e-4)  # type: ignore[arg-type]


@pytest.mark.parametrize(("r1", "turn"), [(0.0, 5), (0.3, 5), (0.0, 4)])
def test_a_contest_gives_each_side_the_gradient_of_its_own_loss(r1: float, turn: int) -> None:
    """Before turn 5, the discriminator's lead, the model has but its reconstruction."""
    torch.manual_seed(0)
    model = AutoencoderFold(AutoencoderFoldConfig(latent_channels=4, fold=2, channels=(8, 8), blocks=1))
    discriminator = PatchDiscriminator(PatchDiscriminatorConfig(channels=(8, 16)))
    real, latents = torch.rand(2, 3, 16, 16) * 2 - 1, torch.randn(2, 4, 4, 4)
    config = AdversarialConfig(weight=0.7, r1=r1, lead=5)
    seed = next(s for s in range(999) if float(torch.rand((), generator=generator_for(s))) < R1_SHARE)

    def reconstruction(x: Tensor) -> dict[str, Tensor]:
        return {"loss": F.mse_loss(x, real)}

    painted = model.decoder(latents)
    rng = generator_for(seed)
    losses = contest(discriminator, painted, real, reconstruction, model.last_weight, config, rng, turn)
    (losses["loss"] + losses["opponent"]).backward()
    found = {**_gradients("model", model.decoder), **_gradients("opponent", discriminator)}

    painted = model.decoder(latents)
    loss, adversarial = F.mse_loss(painted, real), -discriminator(painted).mean()
    (pull,) = torch.autograd.grad(loss, model.last_weight, retain_graph=True)
    (push,) = torch.autograd.grad(adversarial, model.last_weight, retain_graph=True)
    total = loss + 0.7 * pull.norm() / push.norm() * adversarial if turn >= 5 else loss
    assert float(losses["loss"].detach()) == pytest.approx(float(total.detach()), rel=1e-5)
    assert float(losses["adaptive_weight"]) == pytest.approx(float(pull.norm() / push.norm()), rel=1e-5)
    expected = dict(zip(_gradients("model", model.decoder), _grad(total, model.decoder), strict=True))
    opponent = hinge_opponent(discriminator(real), discriminator(painted.detach()))
    opponent = opponent + 16 * r1 * slope_penalty(discriminator, real)
    expected |= dict(zip(_gradients("opponent", discriminator), _grad(opponent, discriminator), strict=True))
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, rtol=1e-3, atol=1e-7), name
    assert model.encoder[1].weight.grad is None


def _gradients(side: str, network: nn.Module) -> dict[str, Tensor]:
    return {f"{side} {name}": p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def _grad(loss: Tensor, network: nn.Module) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, list(network.parameters()))


def test_a_logit_sees_52_pixels_and_its_own_picture_alone() -> None:
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(PatchDiscriminatorConfig(groups=1)).eval()
    discriminator.norms = nn.ModuleList(nn.Identity() for _ in discriminator.norms)  # these see the whole picture
    pixels = torch.randn(1, 3, 128, 128, requires_grad=True)
    logits = discriminator(pixels)
    assert logits.shape == (1, 1, 16, 16)
    logits[0, 0, 8, 8].backward()
    assert pixels.grad is not None
    for axis in (2, 3):
        seen = pixels.grad.abs().amax([d for d in range(4) if d != axis]).nonzero().flatten()
        assert int(seen.max() - seen.min()) + 1 == 52
    discriminator = PatchDiscriminator(PatchDiscriminatorConfig(channels=(8, 16)))
    two = torch.randn(2, 3, 32, 32)
    assert torch.allclose(discriminator(two)[:1], discriminator(two[:1]), atol=1e-5)


SOUND = {
    "opponent": 0.8,
    "adversarial": 0.1,
    "accuracy": 0.8,
    "logits_spread": 0.5,
    "adaptive_weight": 3.0,
    "variety": 0.9,
}


@pytest.mark.parametrize(
    ("changes", "alarm"),
    [
        ([{}] * 3, None),
        ([{"accuracy": 1.0, "adversarial": 2.0 + 0.05 * k} for k in range(3)], "has won"),
        ([{"accuracy": 1.0, "adversarial": 2.0 + 0.5 * k} for k in range(3)], None),
        ([{"accuracy": 1.0}, {"accuracy": 0.9}, {"accuracy": 1.0}], None),
        ([{"logits_spread": 1e-4, "accuracy": 0.5}] * 3, "has collapsed"),
        ([{"variety": 0.05}, {"variety": 0.2}, {"variety": 0.1}], "nearly the same whatever is asked for"),
        ([{"variety": 0.05}, {"variety": 0.9}, {"variety": 0.1}], None),
        ([{"adaptive_weight": 50.0}] * 3, "stuck at its limit of 50"),
        ([{"adaptive_weight": 50.0}] * 2, None),
    ],
)
def test_alarms(changes: list[dict[str, float]], alarm: str | None) -> None:
    alarms = Alarms(AdversarialConfig(limit=50.0, patience=3))
    assert alarms({"loss": 1.0}) == [], "steps before the contest"
    told = [alarms(SOUND | change) for change in changes]
    assert not any(told[:-1]), "patience"
    if alarm is None:
        assert told[-1] == []
    else:
        assert len(told[-1]) == 1
        assert alarm in told[-1][0]
        assert alarms(SOUND | changes[-1]) == [], "told once"
        assert alarms(SOUND) == []
        again = [text for _ in range(3) for change in changes for text in alarms(SOUND | change)]
        assert len(again) == 1, "told again when it comes back"


def test_perceptual_distance_and_ssim(classifier: Path) -> None:
    judge = load_classifier(classifier)
    a, noise = torch.rand(3, 3, 32, 32) * 2 - 1, torch.randn(3, 3, 32, 32)
    for values, best, sign in (
        ([perceptual_distance(judge, a, a + s * noise) for s in (0, 0.1, 0.4)], 0.0, 1),
        ([ssim(a, a + s * noise) for s in (0, 0.1, 0.4)], 1.0, -1),
    ):
        assert values[0].tolist() == pytest.approx([best] * 3, abs=1e-5)
        assert bool((sign * (values[2] - values[1]) > 0).all())
        assert bool((sign * (values[1] - values[0]) > 0).all())
    assert float(perceptual_distance(judge, a, -a).max()) <= 4


def test_what_a_contest_logs(squares: Path, classifier: Path, tmp_path: Path) -> None:
    """Each term by name once it takes part, quality in validation, and alarms in the log."""
    toml = tmp_path / "run.toml"
    text = adversarial_toml(squares, classifier, start=2, steps=4)
    toml.write_text(text.replace("weight = 0.5\nr1", "weight = 0.5\nlimit = 1e-9\npatience = 2\nr1"))
    train(toml, tmp_path / "run")
    records = read_log(tmp_path / "run")
    alone = {"train/loss", "train/l1", "train/edge", "train/squared", "train/perceptual"}
    names = (
        *("adversarial", "adaptive_weight", "opponent", "accuracy", "variety"),
        *("logits_real", "logits_fake", "logits_spread"),
    )
    both = alone | {f"train/{name}" for name in names}
    assert [{n for n in r if n.startswith("train/")} for r in records] == [alone, alone, both, both]
    quality = {n for r in records for n in r if n.startswith("validation/")}
    assert quality == {f"validation/{name}" for name in ("psnr", "ssim", "perceptual", "loss")}
    assert ["warning" in r for r in records] == [False, False, False, True]
    assert records[2]["gradient_norm/opponent"] > 0


def with_settings(text: str, settings: str) -> str:
    """A training TOML with some more lines on top."""
    return text.replace("[loop]", settings + "\n[loop]", 1)


@pytest.mark.parametrize("frozen", [True, False])
def test_another_decoder_on_a_trained_encoder(frozen: bool, squares: Path, tmp_path: Path) -> None:
    toml = tmp_path / "run.toml"
    toml.write_text(autoencoder_toml(squares, steps=2))
    train(toml, tmp_path / "first")
    start = tmp_path / "first/export/vae"
    extra = f"start = {json.dumps(str(start))}\nfreeze_encoder = {json.dumps(frozen)}\n"
    toml.write_text(with_settings(autoencoder_toml(squares, steps=2), extra + "decoder_channels = [12, 20]"))
    train(toml, tmp_path / "second")
    before, after = load_autoencoder(start), load_autoencoder(tmp_path / "second/export/vae")
    assert after.config.decoder_form == ((12, 20), 1)
    assert after.config.channels == (8, 16)
    same = [torch.equal(a, b) for a, b in zip(before.encoder.parameters(), after.encoder.parameters(), strict=True)]
    assert all(same) == frozen
    toml.write_text(with_settings(autoencoder_toml(squares, steps=1), f"start = {json.dumps(str(start))}"))
    train(toml, tmp_path / "third")
    assert load_autoencoder(tmp_path / "third/export/vae").config.decoder_form == ((8, 16), 1)
    raw = load_file(tmp_path / "second/export/vae/diffusion_pytorch_model.safetensors")
    assert raw["decoder.0.weight"].shape == (20, 4, 3, 3)


def test_a_configuration_from_before_decoders_had_their_own_form() -> None:
    config = AutoencoderFoldConfig.from_json({"channels": [8, 16], "blocks": 3})
    assert config.decoder_form == ((8, 16), 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("perceptual_weight = 1.0", "perceptual_weight needs perceptual"),
        ("decoder_channels = [8]", r"decoder_channels=\(8,\) must be as many as channels=\(8, 16\)"),
        ("decoder_blocks = 0", "decoder_blocks 0 must be at least 1"),
        ("added_deviation = 0.5", r"added_deviation=0\.5 .* none are added"),
        ("[adversarial]\nweight = -1.0", r"adversarial\.weight -1\.0 must be at least 0"),
        ("[adversarial]\nweight = 1.0\nchannels = [8, 12]", "channels"),
        ("[adversarial]\nwieght = 1.0", "wieght"),
        ("[loop.opponent]\nlearning_rate = 0.0", r"loop\.opponent\.learning_rate"),
    ],
)
def test_impossible_settings(settings: str, message: str, squares: Path, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(with_settings(autoencoder_toml(squares), settings))
    with pytest.raises(TrainingError, match=message):
        train(tmp_path / "a.toml", tmp_path / "a")


def test_variety_is_that_of_pictures_in_units_of_theirs() -> None:
    real = torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert float(variety(real + 5, real)) == pytest.approx(1)
    assert float(variety(real / 4, real)) == pytest.approx(0.25)
    assert float(variety(real[:1].expand_as(real), real)) == pytest.approx(0, abs=1e-6)
    assert float(variety(real[:1], real[:1])) == 1
