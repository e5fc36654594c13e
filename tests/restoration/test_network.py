"""The restorer: what its form promises, and tiles that are the whole."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import sfumato
from sfumato.errors import TrainingError
from sfumato.models.restorer import OPPONENT, Restorer, RestorerConfig, noise_level_map
from sfumato.restoration.network import applied, ensembled, in_tiles, load
from sfumato.restoration.noise import Noise
from sfumato.training.loop import AdversarialTask
from sfumato.training.restorer import RestorerRun, RestorerTask, restorer_task, shrunk


def network(scale: int = 1, **form: object) -> Restorer:
    torch.manual_seed(0)
    model = Restorer(RestorerConfig(channels=(8, 8, 8), blocks=1, scale=scale, fold=2 if scale == 1 else 1))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.15)  # so that what is far away counts
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (7, 13), (16, 16)])
def test_any_size_keeps_its_size(scale: int, size: tuple[int, int]) -> None:
    h, w = size
    assert network(scale)(torch.rand(1, 3, h, w), torch.rand(1, 2, h, w)).shape == (1, 3, scale * h, scale * w)


def test_it_is_as_large_as_its_input() -> None:
    """f(a x, a sigma) = a f(x, sigma): a level of noise that was not trained on is like one that was."""
    model, x, sigma = network(), torch.rand(1, 3, 16, 16), torch.rand(1, 2, 16, 16)
    assert torch.allclose(model(3 * x, 3 * sigma), 3 * model(x, sigma), atol=1e-5)


@pytest.mark.parametrize("scale", [1, 4])
def test_tiles_are_the_whole(scale: int) -> None:
    model = network(scale)
    x, sigma = torch.rand(1, 3, 150, 203), torch.rand(1, 2, 150, 203)
    whole, tiled = model(x, sigma), in_tiles(model, x, sigma, 64)
    assert (whole - tiled).abs().max() < 1e-4 * whole.abs().max()
    short = in_tiles(model, x, sigma, 64, margin=0)
    assert (whole - short).abs().max() > 1 / 255  # seams are there to be seen without a margin


def test_grey_noise_is_all_luminance() -> None:
    assert torch.allclose(OPPONENT @ OPPONENT.T, torch.eye(3), atol=1e-6)
    grey = torch.rand(1, 1, 64, 64).expand(1, 3, 64, 64)
    one = torch.ones(1, 1, 1, 1)
    noise = 0.1 * torch.randn(1, 1, 256, 256, generator=torch.Generator().manual_seed(0)).expand(1, 3, 256, 256)
    turned = torch.einsum("oc,bchw->bohw", OPPONENT, noise)
    deviation = noise_level_map(grey, 0.1 * one, one, 0 * one)
    assert float(deviation[0, 0, 0, 0]) == pytest.approx(float(turned[0, 0].std()), rel=0.02)
    assert float(deviation[0, 1].max()) == 0
    assert float(turned[0, 1:].abs().max()) < 1e-6


def test_the_level_of_poisson_noise_follows_the_light() -> None:
    one = torch.ones(1, 1, 1, 1)
    deviation = noise_level_map(torch.full((1, 3, 8, 8), 0.25), 0.2 * one, 0 * one, one)
    assert torch.allclose(deviation, torch.tensor(0.1))


def test_grey_pictures_stay_grey() -> None:
    model = network()
    assert applied(model, np.random.default_rng(0).random((9, 11), np.float32), Noise(10)).shape == (9, 11)
    assert applied(model, np.random.default_rng(0).random((9, 11, 3), np.float32), Noise(10)).shape == (9, 11, 3)


def test_an_ensemble_turns_with_its_picture() -> None:
    """What the network gives depends on how the picture lies; the mean of all ways does not."""
    model, rng = network(scale=4), np.random.default_rng(0)
    for pixels in (rng.random((8, 12, 3), np.float32), rng.random((8, 12), np.float32)):
        for way, same in ((ensembled, True), (applied, False)):
            made, again = (
                way(model, np.ascontiguousarray(each), Noise(10)) for each in (pixels, np.rot90(pixels[::-1]))
            )
            assert np.allclose(np.rot90(made[::-1]), again, atol=1e-4 * np.abs(made).max()) == same


def test_shrinking_is_what_pillow_does() -> None:
    from PIL import Image

    x = (np.random.default_rng(0).random((32, 48, 3)) * 255).astype(np.uint8)
    theirs = np.asarray(Image.fromarray(x).resize((12, 8), Image.Resampling.BICUBIC), np.float32)
    ours = shrunk(torch.from_numpy(x).permute(2, 0, 1)[None].float() / 255, 4)[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(ours - theirs).max() <= 1


@pytest.mark.parametrize(("scale", "crop"), [(1, 32), (4, 64)])
def test_training_brings_it_nearer_and_what_is_exported_loads(scale: int, crop: int, tmp_path: Path) -> None:
    from recipes.restore.data import radiographs, write

    write(radiographs(10), tmp_path / "data")
    settings = {"channels": (8, 8, 8), "blocks": 1, "fold": 2 if scale == 1 else 1, "scale": scale, "crop": crop}
    settings |= {"validation": 1}
    loop = {"steps": 30, "batch": 4, "learning_rate": 3e-3}
    run = RestorerRun.model_validate({"task": "restorer", "data": tmp_path / "data", "loop": loop, **settings})
    task = RestorerTask(run, tmp_path)
    before = task.validate(task.model)

    def loss() -> torch.Tensor:
        return task.loss(task.model, task.order(0), torch.Generator().manual_seed(0))["loss"]

    first = float(loss())
    optimizer = torch.optim.Adam(task.model.parameters(), 2e-3)
    for _ in range(40):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert float(loss()) < first
    if scale == 1:  # of enlarging, bicubic is where it begins, which a few steps do not pass
        assert task.validate(task.model)["psnr"] > before["psnr"] + 1
    assert task.sheet(task.model).width > 2 * crop
    task.export(task.model, tmp_path / "export")
    loaded = load(tmp_path / "export")
    x, sigma = torch.rand(1, 3, 16, 16), torch.full((1, 2, 16, 16), 0.1)
    assert torch.allclose(loaded(x, sigma), task.model(x, sigma), atol=2e-3)  # stored as float16


def test_what_is_painted_is_enlarged_to_its_own_part(tmp_path: Path) -> None:
    """Squares of 4 x 4 equal pixels: cut and turned alike, the painted ones are their means."""
    from recipes.restore.data import radiographs, write

    rng = np.random.default_rng(0)
    small = [rng.integers(0, 256, (40, 40, 3), np.uint8) for _ in range(4)]
    drawn = [(each.repeat(4, 0).repeat(4, 1), {"split": "train", "kind": "drawing"}, each) for each in small]
    drawn[3][1]["split"] = "validation"
    write(iter([*drawn, *radiographs(10)]), tmp_path / "data")
    settings = {"scale": 4, "fold": 1, "crop": 64, "channels": (8, 8), "sigma": 0, "grey": 0, "painted": 1}
    loop = {"steps": 1, "batch": 3, "learning_rate": 1e-3}
    task = RestorerTask(
        RestorerRun.model_validate({"task": "restorer", "data": tmp_path / "data", "loop": loop, **settings}), tmp_path
    )
    for k in range(8):
        worse = task._worse(torch.arange(3), torch.Generator().manual_seed(k))
        assert torch.allclose(F.avg_pool2d(worse.clean, 4), worse.pixels, atol=1e-6)
    assert {"psnr_painted", "gain_painted", "psnr_drawing", "psnr_radiograph"} <= set(task.validate(task.model))
    task.export(task.model, tmp_path / "export")
    again = RestorerTask(task.run.model_copy(update={"start": tmp_path / "export"}), tmp_path)
    assert torch.equal(again.model.conv_in.weight, task.model.conv_in.weight.half().float())


def test_a_discriminator_takes_part(tmp_path: Path) -> None:
    from recipes.restore.data import radiographs, write

    write(radiographs(10), tmp_path / "data")
    judge = Path(sfumato.__file__).parent / "data" / "judge"
    settings = {
        "task": "restorer", "data": tmp_path / "data", "channels": (8, 8), "blocks": 1, "fold": 1, "scale": 4,
        "crop": 64, "perceptual": judge, "perceptual_weight": 0.5,
        "adversarial": {"weight": 0.1, "channels": (8, 8)},
        "loop": {"steps": 1, "batch": 2, "learning_rate": 1e-3},
    }  # fmt: skip
    task = restorer_task(RestorerRun.model_validate(settings), tmp_path)
    assert isinstance(task, AdversarialTask)
    losses = task.contest(task.model, task.order(0), torch.Generator().manual_seed(0), 0)
    (losses["loss"] + losses["opponent"]).backward()
    losses = {name: value.detach() for name, value in losses.items()}
    plain = task.loss(task.model, task.order(0), torch.Generator().manual_seed(0))["loss"].detach()
    assert float(losses["perceptual"]) > 0
    assert float(losses["loss"] - plain) == pytest.approx(
        float(0.5 * losses["perceptual"] + 0.1 * losses["adaptive_weight"] * losses["adversarial"]), rel=1e-3
    )
    assert all(p.grad is not None for p in (*task.model.parameters(), *task.opponent.parameters()))
    with pytest.raises(TrainingError, match="perceptual_weight needs perceptual"):
        restorer_task(RestorerRun.model_validate(settings | {"adversarial": {}}), tmp_path)
