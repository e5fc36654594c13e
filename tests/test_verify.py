"""``sfumato verify``: the step at which a repainting leaves a picture's way is named."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from sfumato import Studio
from sfumato.cli import main
from sfumato.errors import RequestError
from sfumato.metadata import carriers
from sfumato.metadata.provenance import Provenance
from sfumato.metadata.trace import Trace, digest
from sfumato.output import Destination, encode, read_request, texts_of
from sfumato.requests import Txt2Img
from sfumato.results import Result

Capture = pytest.CaptureFixture[str]
TRACE = Trace((digest(b"noise"), digest(b"1"), digest(b"2")), 2, "AVX2, 1 threads")


@pytest.fixture(scope="module")
def result(tiny: Path) -> Result:
    """One picture of four steps."""
    return Studio(tiny, device="cpu", precision="fp32").txt2img("a red fox", seed=3, steps=4, width=64, height=64)


def save(result: Result, path: Path, trace: Trace | None = None, image: Image.Image | None = None) -> Path:
    """The picture's file, with another trace or other pixels if given."""
    kept = replace(
        result,
        traces=result.traces if trace is None else [trace],
        images=result.images if image is None else [image],
    )
    kept.save(path)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.avif"])
def test_an_honest_picture_is_identical(name: str, result: Result, tmp_path: Path, capsys: Capture) -> None:
    path = save(result, tmp_path / name)
    assert main(["verify", str(path)]) == 0
    assert capsys.readouterr().out == "identical: the picture and all 4 steps\n"


def test_the_first_differing_step_is_named(result: Result, tmp_path: Path, capsys: Capture) -> None:
    (trace,) = result.traces
    digests = (*trace.digests[:3], "0" * 16, "1" * 16)
    path = save(result, tmp_path / "a.png", replace(trace, digests=digests, batch=4, machine="AVX2, 3 threads"))
    assert main(["verify", str(path)]) == 1
    shown = capsys.readouterr()
    assert shown.out == f"step 3 of 4 differs first, at sigma {trace.sigmas[2]:.4g}; the pixels are identical\n"
    assert "differs: batch 4, now 1\n" in shown.err
    assert "differs: machine AVX2, 3 threads, now " in shown.err
    assert main(["verify", str(path), "--json", "--quiet"]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert (facts["identical"], facts["steps"], facts["first_difference"]) == (False, 4, 3)
    assert facts["sigma"] == trace.sigmas[2]
    assert facts["pixels"] == {"identical": True, "max_difference": 0, "share": 0.0}


def test_another_weight_shows_at_the_first_step(tiny: Path, result: Result, tmp_path: Path, capsys: Capture) -> None:
    studio = Studio(tiny, device="cpu", precision="fp32")
    with torch.no_grad():
        next(iter(studio.load().network.parameters())).add_(1e-3)
    other = studio.txt2img("a red fox", seed=3, steps=4, width=64, height=64)
    path = save(other, tmp_path / "a.png")
    assert main(["verify", str(path)]) == 1
    assert capsys.readouterr().out.startswith("step 1 of 4 differs first, at sigma ")


def test_changed_pixels_with_the_same_steps(result: Result, tmp_path: Path, capsys: Capture) -> None:
    image = result.images[0].copy()
    red, green, blue = image.getpixel((0, 0))  # type: ignore[misc]
    image.putpixel((0, 0), ((red + 9) % 256, green, blue))
    path = save(result, tmp_path / "a.png", image=image)
    assert main(["verify", str(path)]) == 1
    assert capsys.readouterr().out.startswith("all 4 steps are the same, the pixels are different: up to ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: ("0" * 16, *d[1:]), "the noise differs before the first of 4 steps; the pixels are identical"),
        (lambda d: d[:3], "2 steps then, 4 now, the same as far as they go; pixels identical"),
        (lambda d: (*d, "0" * 16), "5 steps then, 4 now, the same as far as they go; pixels identical"),
    ],
)
def test_other_ways(change: object, message: str, result: Result, tmp_path: Path, capsys: Capture) -> None:
    (trace,) = result.traces
    assert callable(change)
    path = save(result, tmp_path / "a.png", replace(trace, digests=change(trace.digests)))
    assert main(["verify", str(path)]) == 1
    assert capsys.readouterr().out == f"{message}\n"


def test_a_picture_of_a_batch_says_so(tiny: Path, tmp_path: Path) -> None:
    studio = Studio(tiny, device="cpu", precision="fp32")
    batch = studio.txt2img("a red fox", seed=3, steps=2, count=3, batch=2, width=64, height=64)
    assert [trace.batch for trace in batch.traces] == [2, 2, 1]
    assert len({trace.digests[0] for trace in batch.traces}) == 3
    alone = studio.txt2img("a red fox", seed=5, steps=2, width=64, height=64)
    assert batch.traces[2] == alone.traces[0]
    paths = batch.save(tmp_path / "{index}.png")
    assert [Trace.from_json(carriers.read(p.read_bytes()).texts["sfumatosteps"]) for p in paths] == list(batch.traces)


def test_the_digest_is_of_the_numbers() -> None:
    from sfumato.tasks.paint import _digests

    x = torch.randn(2, 4, 3, 5).to(memory_format=torch.channels_last)
    plain = [digest(row.contiguous().numpy().tobytes()) for row in x]
    assert _digests(x) == plain
    assert _digests(x + torch.finfo().eps * x) != plain


def test_new_texts_take_the_steps_away(result: Result, tmp_path: Path, capsys: Capture) -> None:
    for name in ("a.png", "a.webp"):
        path = save(result, tmp_path / name)
        assert main(["meta", "write", str(path), "--infotext", "b\nSteps: 1, Seed: 2, RNG: CPU"]) == 0
        assert set(carriers.read(path.read_bytes()).texts) == {"parameters"}


def test_a_jpeg_without_room_goes_without_them(tmp_path: Path) -> None:
    image = Image.new("RGB", (16, 16))
    request = Txt2Img.build(prompt="a", seed=1)
    for count, carried in ((100, True), (5000, False)):
        long = Trace(tuple(digest(bytes([i % 256])) for i in range(count)))
        (path,) = Destination.parse(tmp_path / f"{count}.jpg").save([image], request, traces=[long])
        assert (carriers.STEPS in carriers.read(path.read_bytes()).texts) == carried
        assert read_request(path) == request.single(0)


def test_traces_survive_json() -> None:
    assert Trace.from_json(TRACE.to_json()) == TRACE
    assert TRACE.steps == 2


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[]", "null", "[" * 5000, '{"digests": "", "batch": 1, "machine": ""}'),
        *('{"digests": "00", "batch": 1, "machine": ""}', '{"digests": 3, "batch": 1, "machine": ""}'),
        *(TRACE.to_json().replace("2,", "true,"), TRACE.to_json().replace('"AVX2, 1 threads"', "7")),
        '{"digests": "zzzzzzzzzzzzzzzz", "batch": 1, "machine": ""}',
        json.dumps({"digests": "00" * 8 * 100_001, "batch": 1, "machine": ""}),
    ],
)
def test_damaged_traces(text: str, tmp_path: Path, capsys: Capture) -> None:
    with pytest.raises(RequestError, match="its digests of steps are damaged") as caught:
        Trace.from_json(text)
    assert "\n" not in str(caught.value)
    texts = {**texts_of(Txt2Img.build(prompt="a", seed=1)), carriers.STEPS: text}
    (tmp_path / "a.png").write_bytes(encode(Image.new("RGB", (16, 16)), texts, "png"))
    assert main(["verify", str(tmp_path / "a.png")]) == 2
    assert "damaged" in capsys.readouterr().err


def test_pictures_without_steps_are_refused(tmp_path: Path, capsys: Capture) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "PNG")
    texts = texts_of(Txt2Img.build(prompt="a", seed=1), Provenance("ab", "fp32", "cpu", "2"))
    (tmp_path / "a.png").write_bytes(carriers.put(buffer.getvalue(), texts))
    assert main(["verify", str(tmp_path / "a.png")]) == 2
    assert "carries no digests of its steps; sfumato replay compares the pixels alone" in capsys.readouterr().err
