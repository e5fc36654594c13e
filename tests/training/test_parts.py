"""The parts of training on their own: schedules, averages, optimisers, order, loss, tokenizer, and what is exported."""

import math
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from prodigyopt import Prodigy as OracleProdigy
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import nn

from sfumato import Studio
from sfumato.adapters.trained import Adapters
from sfumato.diffusion import EPSILON, FLOW, Parameterisation, V
from sfumato.diffusion.schedules import DiscreteSchedule, FlowSchedule
from sfumato.errors import CheckpointError, TrainingError
from sfumato.models.tokenizer import ClipTokenizer
from sfumato.training.autoencoder import AutoencoderRun, AutoencoderTask
from sfumato.training.checkpoint import pack_optimizer, unpack_optimizer
from sfumato.training.data import Order, Pictures, generator_for
from sfumato.training.denoiser import DenoiserRun, DenoiserTask
from sfumato.training.ema import EMA
from sfumato.training.latents import load_autoencoder
from sfumato.training.loop import LoopConfig
from sfumato.training.objectives import denoising_error, uniform
from sfumato.training.optim import Muon, Prodigy, build_optimizers, orthogonalise, rate
from sfumato.training.run import read_config, train
from sfumato.training.tokenizer import train_tokenizer
from tests.training.conftest import autoencoder_toml, denoiser_toml


def test_rates() -> None:
    wsd = [rate(k, shape="warmup_stable_decay", steps=10, warmup=2, decay=3) for k in range(10)]
    assert wsd == [0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25]
    cosine = [rate(k, shape="cosine", steps=10, warmup=2, decay=0) for k in range(10)]
    assert cosine[2] == 1
    assert cosine[6] == pytest.approx(0.5)
    assert all(a > b for a, b in pairwise(cosine[2:]))
    assert rate(9, shape="constant", steps=10, warmup=0, decay=0) == 1


def test_average_follows_by_its_decay() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    ema = EMA(model, decay=0.9)
    nn.init.ones_(model.weight)
    ema.update(model, step=0)
    assert float(ema.model.weight) == pytest.approx(1 - 0.1), "warm-up: the first decay is 1/10"
    for step in range(1000, 1003):
        ema.update(model, step)
    assert float(ema.model.weight) == pytest.approx(1 - 0.1 * 0.9**3)


@pytest.mark.parametrize("shape", [(8, 32), (32, 8), (16, 16)])
def test_orthogonalise(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(shape) * 7))
    assert 0.6 < float(values.min()) <= float(values.max()) < 1.3


def test_a_wide_matrix_is_orthogonalised_by_its_gram_matrix() -> None:
    """The short cut by the Gram matrix, on singular values from 1 to 1/2000, against singular vectors in double."""
    torch.manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(n, 48, dtype=torch.float64)).Q for n in (48, 480))
    wide = (left * torch.logspace(0, -3.3, 48, dtype=torch.float64)) @ right.T
    found = orthogonalise(wide.float()).double()
    values = (left.T @ found @ right).diagonal()
    assert 0.6 < float(values[:32].min()) <= float(values.max()) < 1.3
    assert float((found - (left * values) @ right.T).norm()) < 0.15 * float(found.norm())
    assert torch.equal(orthogonalise(wide.float().T), orthogonalise(wide.float()).T)


def test_levels_of_a_batch_are_spread_over_the_table() -> None:
    schedule = FlowSchedule(1.0)
    for count in (1, 7, 64):
        places = uniform(schedule)(count, generator_for(count)).sort().values * count
        assert all(k - 0.1 < float(place) < k + 1.1 for k, place in enumerate(places))


def test_muon_solves_a_linear_map() -> None:
    torch.manual_seed(0)
    target = torch.randn(6, 5)
    weight = nn.Parameter(torch.zeros(6, 5))
    optimizer = Muon([weight], lr=0.3)
    for k in range(200):
        optimizer.param_groups[0]["lr"] = 0.3 * (1 - k / 200)
        loss = (weight - target).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.02 * float(target.square().sum())


def test_prodigy_steps_as_its_authors_code() -> None:
    """With a learning rate that warms up and falls, weight decay on one of two groups, and a resume in between."""
    torch.manual_seed(0)
    target, *begun = (torch.randn(shape, dtype=torch.float64) for shape in ((7, 5), (7, 5), (5,)))

    def groups() -> list[dict[str, Any]]:
        weight, bias = (nn.Parameter(each.clone()) for each in begun)
        return [{"params": [weight], "weight_decay": 0.1}, {"params": [bias], "weight_decay": 0.0}]

    def stepped(optimizer: torch.optim.Optimizer, k: int) -> None:
        (weight,), (bias,) = (group["params"] for group in optimizer.param_groups)
        for group in optimizer.param_groups:
            group["lr"] = min((k + 1) / 10, 1 - k / 200)
        optimizer.zero_grad()
        (weight + bias - target).square().sum().backward()
        optimizer.step()

    ours = Prodigy(groups(), betas=(0.9, 0.99))
    theirs = OracleProdigy(groups(), betas=(0.9, 0.99), use_bias_correction=True, safeguard_warmup=True)
    for k in range(150):
        if k == 60:
            tensors, rest = pack_optimizer("o", ours)
            begun = [group["params"][0].detach() for group in ours.param_groups]
            ours = Prodigy(groups(), betas=(0.9, 0.99))
            unpack_optimizer("o", ours, tensors, rest)
        stepped(ours, k)
        stepped(theirs, k)
    for mine, other in zip(ours.param_groups, theirs.param_groups, strict=True):
        assert torch.allclose(mine["params"][0], other["params"][0], atol=1e-6)
    (weight,), (bias,) = (group["params"] for group in ours.param_groups)
    assert float((weight + bias - target).detach().square().mean()) < 0.01


def test_prodigy_is_told_no_learning_rate() -> None:
    with pytest.raises(ValidationError, match="set learning_rate = 1"):
        LoopConfig(steps=1, batch=1, learning_rate=1e-4, muon=False, prodigy=True)
    assert LoopConfig(steps=1, batch=1, learning_rate=1, muon=False, prodigy=True).prodigy


def test_every_parameter_has_one_optimizer() -> None:
    model = nn.Sequential(nn.Embedding(4, 8), nn.Linear(8, 8), nn.LayerNorm(8), nn.Conv2d(8, 8, 3))
    optimizers = build_optimizers(model, 1e-3, weight_decay=0.1, betas=(0.9, 0.99), muon=True)
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    ids = [id(p) for group in groups for p in group["params"]]
    assert sorted(ids) == sorted(id(p) for p in model.parameters())
    decayed = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    assert decayed == {id(model[1].weight), id(model[3].weight)}


@pytest.mark.parametrize("how", [{"muon": True}, {"muon": False}, {"muon": False, "prodigy": True}])
def test_text_encoders_have_a_rate_of_their_own(how: dict[str, bool]) -> None:
    model = Adapters({"unet.a/up": torch.ones(4, 2), "text_encoder_2.a/up": torch.ones(4, 2)}, {})
    optimizers = build_optimizers(model, 1e-2, weight_decay=0.0, betas=(0.9, 0.99), text_rate=0.5, **how)
    rates = {id(p): group["lr"] for each in optimizers for group in each.param_groups for p in group["params"]}
    assert {name: rates[id(p)] for name, p in model.named_parameters()} == {
        "parts.unet/a/up": 1e-2, "parts.text_encoder_2/a/up": 5e-3
    }  # fmt: skip


def test_order_visits_everything_once_an_epoch_and_depends_on_nothing_but_k() -> None:
    indices = torch.arange(10, 22)
    order = Order(indices, batch=4, seed=3)
    epoch = torch.cat([order(k) for k in range(3)])
    assert sorted(epoch.tolist()) == indices.tolist()
    again = Order(indices, batch=4, seed=3)
    assert torch.equal(again(7), order(7))
    assert not torch.equal(order(0), order(3))


def test_order_by_weight() -> None:
    order = Order(torch.tensor([0, 1]), batch=2000, seed=0, weights=torch.tensor([0.25, 0.75]))
    assert float(order(0).float().mean()) == pytest.approx(0.75, abs=0.04)


@pytest.mark.parametrize("kind", [EPSILON, V, FLOW])
def test_the_loss_is_the_weighted_error_of_the_clean_estimate(kind: Parameterisation) -> None:
    torch.manual_seed(0)
    clean, noise, output = (torch.randn(3, 2, 4, 4) for _ in range(3))
    sigma = torch.tensor([0.1, 0.5, 0.9])
    x = kind.path.mix(clean, noise, sigma)
    scaling = kind.scaling(sigma)
    error = (scaling.clean(x, output) - clean).square().flatten(1).mean(1) / scaling.out**2
    assert torch.allclose(denoising_error(output, kind, clean, x, sigma), error, rtol=1e-4)


def test_times_reach_the_levels_that_sampling_visits() -> None:
    rng = generator_for(0)
    schedule = DiscreteSchedule.from_betas(zero_terminal_snr=True)
    sigmas = uniform(schedule)(20_000, rng)
    assert float(sigmas.max()) == pytest.approx(schedule.sigma_max)
    assert float(sigmas.min()) == pytest.approx(schedule.sigma_min)
    plain, shifted = (uniform(FlowSchedule(shift))(20_000, rng) for shift in (1.0, 5.0))
    assert 0 < float(plain.min()) < 0.002
    assert float(plain.max()) == float(shifted.max()) == 1
    assert float(plain.median()) == pytest.approx(1 / 2, abs=0.01)
    assert float(shifted.median()) == pytest.approx(5 / 6, abs=0.01)


def test_pixels_are_cropped_where_the_generator_says(squares: Path) -> None:
    pictures = Pictures(squares)
    whole = pictures.pixels(torch.tensor([3]))
    crop = pictures.pixels(torch.tensor([3]), 16, generator_for(1))
    assert torch.equal(crop, pictures.pixels(torch.tensor([3]), 16, generator_for(1)))
    windows = whole[0].unfold(1, 16, 1).unfold(2, 16, 1).permute(1, 2, 0, 3, 4).flatten(0, 1)
    assert any(torch.equal(window, crop[0]) for window in windows)
    assert float(whole.min()) >= -1
    assert float(whole.max()) <= 1


def test_tokenizer_knows_its_words_and_any_other_string() -> None:
    texts = ["a red fox"] * 5 + ["a green house, 蓝色背景"] * 5
    words = train_tokenizer(texts, 600, 16)
    assert len(words.words("red fox")) == 2
    assert len(words.words("蓝色背景")) < 4
    assert len(words.words("zebra 🦓")) > 3
    assert words(["a red fox"]).shape == (1, 16)
    assert len(words.vocabulary) <= 600


@pytest.mark.usefixtures("plotted")
def test_what_is_trained_is_painted(squares: Path, autoencoder: Path, tmp_path: Path) -> None:
    """From pictures to a picture: the trainer, then the export through the studio; and v-prediction as well."""
    for prediction in ("flow", "v_prediction"):
        text = denoiser_toml(squares, autoencoder, steps=2).replace("[text]", f'prediction = "{prediction}"\n[text]', 1)
        (tmp_path / "d.toml").write_text(text)
        train(tmp_path / "d.toml", tmp_path / prediction)
        result = Studio(tmp_path / prediction / "export", precision="fp32").txt2img("a red square", steps=3, seed=0)
        assert result[0].size == (32, 32)
        assert result.request.sampler == ("euler" if prediction == "flow" else "ddim")
        assert math.isfinite(result.timings["sample"])
        assert (tmp_path / prediction / "loss.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("crop = 16", "crop = 15"), "crop=15 must be a multiple"),
        (("crop = 16", "crop = 64"), "at most 32"),
        (("crop = 16", "crop = 16\nfreeze_encoder = true"), "freeze_encoder needs start"),
    ],
)
def test_impossible_settings(change: tuple[str, str], message: str, squares: Path, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(autoencoder_toml(squares).replace(*change))
    with pytest.raises(TrainingError, match=message):
        train(tmp_path / "a.toml", tmp_path / "a")


def test_no_validation_split(squares: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "pictures.npy").write_bytes((squares / "pictures.npy").read_bytes())
    (data / "attributes.jsonl").write_text((squares / "attributes.jsonl").read_text().replace("validation", "train"))
    with pytest.raises(TrainingError, match="no pictures whose split is 'validation'"):
        _ = Pictures(data).validation


def test_a_denoiser_begins_with_another_ones_networks(squares: Path, autoencoder: Path, tmp_path: Path) -> None:
    """With its text encoder and tokenizer, or with its U-Net alone."""
    vae = autoencoder
    (tmp_path / "first.toml").write_text(denoiser_toml(squares, vae, steps=2))
    first = train(tmp_path / "first.toml", tmp_path / "first")
    told = denoiser_toml(squares, vae).replace("validation", f'start = "{first}"\nvalidation', 1)
    whole = read_denoiser(told, tmp_path / "whole")
    unet = read_denoiser(told.replace("validation", "start_text = false\nvalidation", 1), tmp_path / "unet")
    for name, tensor in load_file(first / "unet" / "diffusion_pytorch_model.safetensors").items():
        for task in (whole, unet):
            assert torch.equal(task.model.unet.state_dict()[name], tensor.float()), name
    text = load_file(first / "text_encoder" / "model.safetensors")
    taken = {name: torch.equal(whole.model.text_encoder.state_dict()[name], text[name].float()) for name in text}
    anew = {name: torch.equal(unet.model.text_encoder.state_dict()[name], text[name].float()) for name in text}
    assert all(taken.values())
    assert not all(anew.values())
    assert whole.tokenizer.vocabulary == ClipTokenizer.from_folder(first / "tokenizer").vocabulary


def test_an_autoencoder_grows_and_a_denoiser_with_it(squares: Path, autoencoder: Path, tmp_path: Path) -> None:
    """More latent channels change no picture at first, and nothing where they are silent: a denoiser's estimate of the
    others stays what it was, though it already sees them."""
    vae = autoencoder
    told = autoencoder_toml(squares, steps=1).replace("latent_channels = 4", f'latent_channels = 6\nstart = "{vae}"')
    config = AutoencoderRun.model_validate(tomllib.loads(told))
    before, after = load_autoencoder(vae), AutoencoderTask(config, tmp_path).model
    pixels = Pictures(squares).pixels(torch.arange(2))
    narrow, wide = before.encoder(pixels), after.encoder(pixels)
    assert wide.shape[1] == 6
    assert torch.allclose(wide[:, :4], narrow, atol=1e-6)
    assert torch.allclose(after.decoder(wide), before.decoder(narrow), atol=1e-6)
    (tmp_path / "wide.toml").write_text(told)
    larger = train(tmp_path / "wide.toml", tmp_path / "wide") / "vae"
    assert len(load_autoencoder(larger).config.latents_mean or ()) == 6
    (tmp_path / "quiet.toml").write_text(told.replace("[loop]", "added_deviation = 0.25\n[loop]"))
    quiet = load_autoencoder(train(tmp_path / "quiet.toml", tmp_path / "quiet") / "vae").config.latents_std
    loud = load_autoencoder(larger).config.latents_std
    assert quiet is not None
    assert loud is not None
    assert quiet == pytest.approx([*loud[:4], *(4 * std for std in loud[4:])], rel=1e-3)

    (tmp_path / "first.toml").write_text(denoiser_toml(squares, vae, steps=2))
    first = train(tmp_path / "first.toml", tmp_path / "first")
    of_four = denoiser_toml(squares, vae).replace("validation", f'start = "{first}"\nvalidation', 1)
    old = read_denoiser(of_four, tmp_path / "old").model
    new = read_denoiser(of_four.replace(str(vae), str(larger)), tmp_path / "new").model
    torch.manual_seed(0)
    x, ids = torch.randn(2, 6, 16, 16), torch.ones(2, 16, dtype=torch.long)
    label = torch.tensor([200.0, 700.0])
    silent = torch.cat([x[:, :4], torch.zeros(2, 2, 16, 16)], 1)
    with torch.no_grad():
        narrow, wide = old(x[:, :4], label, ids), new(silent, label, ids)
        assert not torch.equal(new(x, label, ids), wide), "or neither end of the network would ever learn them"
    assert torch.allclose(wide[:, :4], narrow, atol=1e-5)
    assert not wide[:, 4:].any()


def test_a_denoiser_gets_attention_where_it_had_none(squares: Path, autoencoder: Path, tmp_path: Path) -> None:
    """It begins as the same function. A tensor missing from attention that is there stays an error."""
    (tmp_path / "first.toml").write_text(denoiser_toml(squares, autoencoder, steps=2))
    first = train(tmp_path / "first.toml", tmp_path / "first")
    told = denoiser_toml(squares, autoencoder).replace("validation", f'start = "{first}"\nvalidation', 1)
    more = told.replace("[false, true]", "[true, true]")
    old, new = (read_denoiser(text, tmp_path / name).model for text, name in ((told, "old"), (more, "new")))
    assert new.unet.config.down_block_types == ("CrossAttnDownBlock2D",) * 2
    torch.manual_seed(0)
    x, label, ids = torch.randn(2, 4, 16, 16), torch.tensor([200.0, 700.0]), torch.ones(2, 16, dtype=torch.long)
    with torch.no_grad():
        assert torch.allclose(new(x, label, ids), old(x, label, ids), atol=1e-6)

    file = first / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    del tensors["down_blocks.1.attentions.0.norm.bias"]
    save_file(tensors, file)
    with pytest.raises(CheckpointError, match=r"1 tensors are missing, first 'down_blocks\.1\.attentions\.0\."):
        read_denoiser(more, tmp_path / "damaged")


@pytest.mark.parametrize("frozen", [True, False])
def test_an_autoencoder_grows_only_where_it_is_asked_to(
    frozen: bool, squares: Path, autoencoder: Path, tmp_path: Path
) -> None:
    """The default of `latent_channels` is no wish."""
    lines = f'start = "{autoencoder}"\nfreeze_encoder = {str(frozen).lower()}'
    told = autoencoder_toml(squares).replace("latent_channels = 4", lines)
    assert AutoencoderTask(AutoencoderRun.model_validate(tomllib.loads(told)), tmp_path).model.latent_channels == 4


def test_a_frozen_encoder_gets_no_more_channels(squares: Path, autoencoder: Path, tmp_path: Path) -> None:
    told = autoencoder_toml(squares).replace(
        "latent_channels = 4", f'latent_channels = 6\nfreeze_encoder = true\nstart = "{autoencoder}"'
    )
    with pytest.raises(TrainingError, match="keeps the 4 latent channels"):
        AutoencoderTask(AutoencoderRun.model_validate(tomllib.loads(told)), tmp_path)


def read_denoiser(toml: str, folder: Path) -> DenoiserTask:
    folder.mkdir()
    (folder / "run.toml").write_text(toml)
    config = read_config(folder / "run.toml")
    assert isinstance(config, DenoiserRun)
    return DenoiserTask(config, folder)
