"""Controls: what they are called, when they count, what is refused; and what preprocessors make of a picture."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from sfumato import Control, Studio
from sfumato.cli import main
from sfumato.errors import CheckpointError, RequestError, SfumatoError, UnknownNameError
from sfumato.metadata.describe import describe
from sfumato.models.controlnet import ControlNet, ControlNetConfig
from sfumato.output import read_request
from sfumato.preprocess import PREPROCESSORS, canny, preprocessed
from sfumato.requests import Txt2Img, parse_request

STEPS = {"steps": 4, "seed": 3, "guidance": 4.0, "sampler": "euler"}


def write_control(folder: Path, seed: int = 0) -> Path:
    """A ControlNet for the tiny model, none of whose weights are zero."""
    torch.manual_seed(seed)
    config = ControlNetConfig(
        block_out_channels=(16, 32),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        layers_per_block=1,
        attention_head_dim=2,
        cross_attention_dim=16,
        norm_num_groups=8,
        conditioning_embedding_out_channels=(4, 8, 8, 8),
    )
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config.to_json()))
    state = {name: value + 0.1 * torch.randn_like(value) for name, value in ControlNet(config).state_dict().items()}
    save_file(state, folder / "diffusion_pytorch_model.safetensors")
    return folder


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("controlnets")
    write_control(folder / "edges")
    write_control(folder / "depth", seed=1)
    return folder


@pytest.fixture
def studio(tiny: Path, nets: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    monkeypatch.setenv("SFUMATO_CONTROLNETS", str(nets))
    return Studio(tiny, device="cpu", precision="fp32")


def picture(size: tuple[int, int] = (64, 64)) -> Image.Image:
    rows, columns = np.indices(size[::-1])
    return Image.fromarray(np.stack([rows * 4 % 256, columns * 3 % 256, rows * columns % 256], -1).astype(np.uint8))


def apart(a: Image.Image, b: Image.Image) -> int:
    return int(np.abs(np.asarray(a, int) - np.asarray(b, int)).max())


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("edges:a.png", ("edges", "a.png", 1.0, 0.0, 1.0)),
        ("edges:a.png:0.8", ("edges", "a.png", 0.8, 0.0, 1.0)),
        ("nets/e.safetensors:b/a:7.png:1:0-0.6", ("nets/e.safetensors", "b/a:7.png", 1.0, 0.0, 0.6)),
        (r"C:\nets\e:C:\a.png:.5:.25-1", (r"C:\nets\e", r"C:\a.png", 0.5, 0.25, 1.0)),
    ],
)
def test_spelling(text: str, values: tuple[str, str, float, float, float]) -> None:
    found = Control.parse(text)
    assert (found.model, found.image.path, found.weight, found.start, found.end) == values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("edges", "'edges' must be MODEL:IMAGE"),
        ("edges:", "must be MODEL:IMAGE"),
        ("edges:a.png:99", "weight"),
        ("edges:a.png:1:0.6-0.2", "start 0.6 must be below end 0.2"),
    ],
)
def test_spelling_that_is_refused(text: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        Txt2Img(prompt="", controls=[text])


def test_json_and_infotext(studio: Studio, tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    painted = studio.txt2img("a fox", controls=[f"edges:{tmp_path / 'a.png'}:0.5:0-0.75"], preprocess="canny", **STEPS)  # type: ignore[arg-type]
    [file] = painted.save(tmp_path / "out.png")
    request = read_request(file)
    assert request.to_json() == painted.request.to_json() == parse_request(painted.request.to_json()).to_json()
    digest = hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest()
    assert request.controls[0].image.sha256 == digest
    fields = describe(painted.request, painted.provenance).fields
    assert fields["ControlNet 0"] == (
        "Module: canny, Model: edges, Weight: 0.5, Resize Mode: Just Resize, Guidance Start: 0.0, Guidance End: 0.75, "
        f"Pixel Perfect: True, Control Mode: Balanced, Image hash: {digest[:10]}"
    )
    assert fields["ControlNet hashes"].startswith("edges: ")
    assert apart(studio.run(request)[0], painted[0]) == 0
    (tmp_path / "a.png").write_bytes(b"another")
    with pytest.raises(RequestError, match="has changed"):
        studio.run(request)


def test_the_steps_in_which_it_counts(studio: Studio) -> None:
    plain = studio.txt2img("a fox", **STEPS)[0]  # type: ignore[arg-type]

    def held(**options: float) -> Image.Image:
        return studio.txt2img("a fox", controls=[Control(model="edges", image=picture(), **options)], **STEPS)[0]  # type: ignore[arg-type]

    assert apart(held(weight=0.0), plain) == 0
    assert apart(held(start=0.4, end=0.6), plain) == 0  # no step of four lies between
    whole, early, late = held(), held(end=0.5), held(start=0.5)
    assert min(apart(a, b) for a, b in ((whole, plain), (early, plain), (late, plain), (early, late), (whole, early)))
    late_only = [Control(model="edges", image=picture(), start=0.5)]
    seen: list[Image.Image] = []
    studio.txt2img("a fox", controls=late_only, on_step=lambda progress: seen.extend(progress.preview()), **STEPS)  # type: ignore[arg-type]
    before: list[Image.Image] = []
    studio.txt2img("a fox", on_step=lambda progress: before.extend(progress.preview()), **STEPS)  # type: ignore[arg-type]
    assert [apart(a, b) > 0 for a, b in zip(seen, before, strict=True)] == [False, False, True, True]


def test_batches_and_guess_mode(studio: Studio) -> None:
    controls = [Control(model="edges", image=picture()), Control(model="depth", image=picture(), preprocess="blur")]
    for guess in (False, True):
        many = studio.txt2img("a fox", controls=controls, guess=guess, count=2, batch=2, **STEPS)  # type: ignore[arg-type]
        alone = studio.txt2img("a fox", controls=controls, guess=guess, **{**STEPS, "seed": 4})  # type: ignore[arg-type]
        assert apart(many[1], alone[0]) <= 1
        turned = studio.txt2img("a fox", controls=controls[::-1], guess=guess, **STEPS)  # type: ignore[arg-type]
        assert apart(many[0], turned[0]) <= 1


def test_edits(studio: Studio) -> None:
    controls = [Control(model="edges", image=picture((90, 50)))]
    odd = studio.img2img(picture((61, 35)), "a fox", strength=0.5, controls=controls, **STEPS)  # type: ignore[arg-type]
    assert odd[0].size == (61, 35)
    options = {**STEPS, "box": "16,16,16,16", "strength": 1.0}
    part = studio.inpaint(picture(), "a fox", only_masked=True, controls=controls, **options)  # type: ignore[arg-type]
    plain = studio.inpaint(picture(), "a fox", only_masked=True, **options)  # type: ignore[arg-type]
    difference = np.abs(np.asarray(part[0], int) - np.asarray(plain[0], int)).max(-1) > 0
    assert difference[16:32, 16:32].any()
    assert not difference[:8].any()
    tiles = studio.txt2img("a fox", tileable="both", controls=controls, **STEPS)  # type: ignore[arg-type]
    assert tiles[0].size == (64, 64)
    large = studio.txt2img("a fox", hires=1.5, controls=controls, **STEPS)  # type: ignore[arg-type]
    free = studio.txt2img("a fox", hires=1.5, **STEPS)  # type: ignore[arg-type]
    assert large[0].size == (96, 96)
    assert apart(large[0], free[0])


@pytest.mark.parametrize(
    ("control", "kind", "message"),
    [
        ({"model": "nothing", "image": "a.png"}, UnknownNameError, "control 'nothing'"),
        ({"model": "edges", "image": "missing.png"}, RequestError, "cannot read 'missing.png'"),
        ({"model": "edges", "image": b"no picture"}, RequestError, "cannot be opened"),
    ],
)
def test_what_is_refused(control: dict[str, str], kind: type[SfumatoError], message: str, studio: Studio) -> None:
    with pytest.raises(kind, match=message):
        studio.txt2img("a fox", controls=[Control(**control)], **STEPS)  # type: ignore[arg-type]


def test_a_network_of_another_form(studio: Studio, tiny: Path) -> None:
    wrong = Control(model=str(tiny / "unet"), image=picture())
    with pytest.raises(CheckpointError, match="is no ControlNet; give one"):
        studio.txt2img("a fox", controls=[wrong], **STEPS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("low", "high", "contrast", "golden"),
    [
        (100, 200, 1, "13dff7e00f68023d930f9f830cfc996006ab1f63b27eaff2067dcb2312404dd5"),
        (20, 60, 4, "ebc4c30689cb56357760a99f0edae59054f3b8bfe477ddcf42d36c17a4cb574c"),
    ],
)
def test_canny_is_that_of_opencv(low: int, high: int, contrast: int, golden: str) -> None:
    """`cv2.Canny` of OpenCV 5.0.0 on the same array."""
    rows, columns = np.indices((48, 64))
    rings = (np.hypot(rows - 20, columns - 30) * 9).astype(int) % 256
    sharp = np.stack([rings, rows * columns % 256, 255 * ((rows // 7 + columns // 9) % 2)], -1)
    padded = np.pad(sharp, ((2, 2), (2, 2), (0, 0)), "edge")
    soft = sum(padded[i : i + 48, j : j + 64] for i in range(5) for j in range(5)) // 25 // contrast
    edges = np.asarray(canny(Image.fromarray(soft.astype(np.uint8)), low, high))[..., 0]
    assert set(np.unique(edges)) == {0, 255}
    assert hashlib.sha256(np.ascontiguousarray(edges).tobytes()).hexdigest() == golden


@pytest.mark.parametrize("how", PREPROCESSORS)
@pytest.mark.parametrize("size", [(64, 48), (1, 1), (3, 70)])
def test_every_preprocessor_keeps_the_size(how: str, size: tuple[int, int]) -> None:
    made = preprocessed(picture(size), how)  # type: ignore[arg-type]
    assert (made.size, made.mode) == (size, "RGB")


@pytest.mark.parametrize("how", ["canny", "lineart", "scribble", "softedge"])
def test_lines_are_found_where_they_are(how: str) -> None:
    drawn = Image.new("RGB", (64, 64), "white")
    drawn.paste("black", (30, 8, 34, 56))
    found = np.asarray(preprocessed(drawn, how).convert("L"), int)  # type: ignore[arg-type]
    assert found[16:48, 26:38].max() > 120
    assert found[:, :16].max() == 0
    assert found[:, 48:].max() == 0


def test_the_color_grid_has_cells_of_one_colour() -> None:
    cells = np.asarray(preprocessed(picture((128, 192)), "color"))
    assert (cells[:64, :64] == cells[0, 0]).all()
    assert (cells[0, 0] != cells[0, 64]).any()


def test_what_does_not_go_with_controls(studio: Studio) -> None:
    controls = [Control(model="edges", image=picture())]
    with pytest.raises(RequestError, match="tile is 32, and inpainting networks and controls take in all at once"):
        studio.txt2img("a fox", tile=32, tile_overlap=8, controls=controls, **STEPS)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="outpaint takes no controls"):
        studio.outpaint(picture(), "a fox", left=16, controls=controls, **STEPS)  # type: ignore[arg-type]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture().save(tmp_path / "a.png")
    made = tmp_path / "edges.png"
    assert main(["preprocess", "canny", str(tmp_path / "a.png"), "-o", str(made)]) == 0
    assert capsys.readouterr().out.strip() == str(made)
    assert apart(Image.open(made).convert("RGB"), canny(picture())) == 0
    for arguments, message in (
        (["cany", "a.png", "-o", "b.png"], "did you mean canny?"),
        (["canny", "missing.png", "-o", "b.png"], "cannot read 'missing.png'"),
        (["canny", "a.png", "-o", "b.txt"], "b.txt is of no format"),
    ):
        assert main(["preprocess", *arguments]) == 2
        assert message in capsys.readouterr().err


def test_on_the_command_line(tiny: Path, nets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFUMATO_CONTROLNETS", str(nets))
    picture().save(tmp_path / "a.png")
    options = ["--model", str(tiny), "--steps", "2", "--seed", "1", "--precision", "fp32", "-q", "-o"]
    control = ["--control", f"edges:{tmp_path / 'a.png'}:0.5", "--preprocess", "canny", "--guess"]
    assert main(["txt2img", "a fox", *control, *options, str(tmp_path / "out.png")]) == 0
    request = read_request(tmp_path / "out.png")
    assert (request.controls[0].weight, request.preprocess, request.guess) == (0.5, "canny", True)
    assert main(["replay", str(tmp_path / "out.png"), "-q"]) == 0
