"""Fine-tuning a tiny model: it learns, resumes exactly, and leaves the model as it was."""

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from recipes.nano.sheet import PROMPTS
from safetensors import safe_open

from sfumato import Studio
from sfumato.adapters.report import examine
from sfumato.diffusion.scalings import EPSILON, FLOW, V
from sfumato.errors import DivergedError, SfumatoError, TrainingError
from sfumato.files import sha256
from sfumato.training.adapter import AdapterRun, AdapterTask
from sfumato.training.examples import BucketConfig, SourceConfig, bucket_of, said
from sfumato.training.finetune import sample, tensors_digest
from sfumato.training.objectives import loss_weight
from sfumato.training.run import train
from sfumato.training.tracking import read_log
from tests.conftest import write_tiny
from tests.training.test_resume import kill_at


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures of two shapes, half of them with captions, one with a mask, one twice and one too small."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i in range(8):
        height, width = (64, 64) if i % 2 else (48, 96)
        pixels = np.full((height, width, 3), (200, 40 + 9 * i, 40), np.uint8)
        pixels[8:40, 8:40] = rng.integers(0, 255, 3)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        if i % 2:
            (folder / f"{i}.txt").write_text(f"a red fox, tag{i}, other, last")
    Image.open(folder / "1.png").save(folder / "copy.png")
    Image.new("RGB", (20, 20)).save(folder / "small.png")
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 32, 64))
    mask.save(folder / "3-masklabel.png")
    return folder


def settings(tiny: Path, photos: Path, **changes: Any) -> dict[str, Any]:
    loop = {"steps": 6, "batch": 2, "learning_rate": 1e-2, "warmup": 1, "ema": 0.5, "precision": "fp32"}
    loop |= {"log_every": 1, "validate_every": 3, "sheet_every": 6, "save_every": 2}
    loop |= changes.pop("loop", {})
    own = {
        "task": "adapter",
        "model": changes.pop("base", str(tiny)),
        "name": "ink",
        "sources": [{"folder": str(photos), "caption": "a fox", "masked": True, "flip": True}],
        "buckets": {"size": 64, "step": 16, "smallest": 32},
        "prompts": ["a red fox --w 64 --h 64 --s 2"],
        "draws": 2,
    }
    return {**own, **changes, "loop": loop}


def toml(values: dict[str, Any]) -> str:
    """Of settings whose tables are JSON's, which TOML's inline tables are but for the colon."""

    def inline(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key} = {inline(each)}" for key, each in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(inline, value)) + "]"
        return json.dumps(value)

    return "".join(f"{key} = {inline(value)}\n" for key, value in values.items())


def run_of(tmp_path: Path, values: dict[str, Any], name: str = "run") -> Path:
    file = tmp_path / f"{name}.toml"
    file.write_text(toml(values))
    return file


def test_it_begins_as_a_file(tiny_model: Path, photos: Path, tmp_path: Path) -> None:
    first = {"rank": 2, "alpha": 1.0, "text_targets": ["attention"]}
    export = train(run_of(tmp_path, settings(tiny_model, photos, adapter=first)), tmp_path / "first")
    file = str(export / "ink.safetensors")

    def begun(**form: Any) -> AdapterTask:
        return AdapterTask(AdapterRun(**settings(tiny_model, photos, adapter={**form, "start": file})), tmp_path)

    with safe_open(file, "pt") as opened:
        kept = opened.get_tensor(next(name for name in opened.keys() if name.endswith("attn1_to_q.lora_up.weight")))  # noqa: SIM118
    other = begun(rank=2, text_targets=["attention"])  # whose alpha is 2: half of each matrix says the same
    found = next(parts for name, parts in other.model.pieces().items() if name.endswith("attn1.to_q"))
    assert torch.equal(found["up"], kept.float() / 2)
    with pytest.raises(TrainingError, match="give both the same method and rank"):
        begun(rank=4, text_targets=["attention"])
    with pytest.raises(TrainingError, match="change other layers"):
        begun(rank=2)


def test_a_lora_learns_and_resumes_exactly(tiny_model: Path, photos: Path, tmp_path: Path) -> None:
    adapter = {"rank": 2, "text_targets": ["attention"], "dropout": 0.1}
    file = run_of(tmp_path, settings(tiny_model, photos, adapter=adapter, loop={"accumulate": 2}))
    digests = [sha256(path) for path in sorted(tiny_model.rglob("*.safetensors"))]
    export = train(file, tmp_path / "straight")
    kill_at(3, file, tmp_path / "killed")
    train(file, tmp_path / "killed")
    name = "checkpoints/00000006/state.safetensors"
    assert sha256(tmp_path / "killed" / name) == sha256(tmp_path / "straight" / name)
    assert sha256(tmp_path / "killed/export/ink.safetensors") == sha256(export / "ink.safetensors")
    assert digests == [sha256(path) for path in sorted(tiny_model.rglob("*.safetensors"))]
    log = read_log(tmp_path / "straight")
    assert [r["step"] for r in log if "validation/loss" in r] == [3, 6]
    best = min(r["validation/loss"] for r in log if "validation/loss" in r)
    assert json.loads((tmp_path / "straight/best/best.json").read_text())["loss"] == best
    report = examine(export / "ink.safetensors", tiny_model)
    assert report.good
    assert report.unmatched == 0
    assert report.strength["unet"] > 0
    assert report.strength["text_encoder"] > 0
    with safe_open(export / "ink.safetensors", "pt") as opened:
        facts = opened.metadata()
    assert facts["ss_network_dim"] == "2"
    assert facts["modelspec.architecture"] == "stable-diffusion-v1/lora"
    assert json.loads(facts["ss_tag_frequency"])["captions"]["a red fox"] == 4


def test_a_picture_says_what_became_of_it(tiny_model: Path, photos: Path, tmp_path: Path) -> None:
    task = AdapterTask(AdapterRun(**settings(tiny_model, photos)), tmp_path)
    account = json.loads((tmp_path / "data.json").read_text())
    assert account["used"] == 8
    assert {row["name"]: row["why"].split(":")[0] for row in account["left_out"]} == {
        "copy.png": "duplicate",
        "small.png": "too small",
    }
    assert account["buckets"] == {"64x64": 4, "80x48": 4}
    wide = next(row for row in account["pictures"] if row["name"] == "0.png")
    assert wide["cropped"] == pytest.approx(1 - 80 / 96, abs=1e-3)
    assert account["held_out"] == 1
    masks = {e.name for e in task.examples.all if e.mask is not None}
    assert masks == {"3.png"}
    before = tensors_digest(task.base.network)
    again = AdapterTask(AdapterRun(**settings(tiny_model, photos)), tmp_path)
    assert [e.digest for e in again.examples.all] == [e.digest for e in task.examples.all]
    assert before == tensors_digest(again.base.network)
    shown = [i for k in range(task.order.length) for i in task.order(k).tolist()]
    assert set(shown) == set(task.examples.train)
    assert all(len({task.examples.all[i].shape.size for i in task.order(k).tolist()}) == 1 for k in range(20))


def test_what_a_mask_hides_does_not_count(tiny_model: Path, photos: Path, tmp_path: Path) -> None:
    """Half of the picture counts: the sum of what both halves alone give is that of the whole."""
    task = AdapterTask(AdapterRun(**settings(tiny_model, photos)), tmp_path)
    [place] = [i for i, e in enumerate(task.examples.all) if e.name == "3.png"]
    example = task.examples.all[place]
    assert example.mask is not None
    assert example.mask.mean().item() == 0.5

    def loss(mask: torch.Tensor | None) -> float:
        task.examples.all[place] = replace(example, mask=mask)
        return task.loss(task.model, torch.tensor([place]), torch.Generator().manual_seed(0))["loss"].item()

    left, right, whole = loss(example.mask), loss(1 - example.mask), loss(None)
    assert 0.1 < left < whole
    assert left + right == pytest.approx(whole, rel=1e-5)


def test_a_word_alone_and_with_an_adapter(tiny_model: Path, photos: Path, tmp_path: Path) -> None:
    word = {"word": "mila", "vectors": 2, "initial": "fox"}
    sources = [{"folder": str(photos), "caption": "a fox", "prefix": "mila "}]
    alone = settings(tiny_model, photos, adapter=False, word=word, sources=sources)
    export = train(run_of(tmp_path, alone), tmp_path / "alone")
    assert sorted(path.name for path in export.iterdir()) == ["ink.safetensors", "learned_embeds.safetensors"]
    assert examine(export / "ink.safetensors", tiny_model).good
    both = settings(tiny_model, photos, adapter={"rank": 2}, word=word, sources=sources)
    export = train(run_of(tmp_path, both, "both"), tmp_path / "both")
    painted = Studio(tiny_model, precision="fp32").txt2img(
        "mila", loras=[str(export / "ink.safetensors")], steps=2, seed=1
    )
    assert painted[0].size == (64, 64)


def test_pictures_of_the_class(tiny_model: Path, photos: Path, tmp_path: Path) -> None:
    """They are shown as often as the others, and weigh as told."""
    prior = tmp_path / "class"
    prior.mkdir()
    for i in range(2):
        Image.new("RGB", (64, 64), (0, 0, 90 * i)).save(prior / f"{i}.png")
    sources = [{"folder": str(photos), "caption": "a fox"}, {"folder": str(prior), "caption": "a dog", "prior": True}]
    values = settings(tiny_model, photos, sources=sources, loss={"prior": 0.0}, validation=0.0)
    task = AdapterTask(AdapterRun(**values), tmp_path)
    of_class = [i for i, e in enumerate(task.examples.all) if e.source == 1]
    shown = [i for bucket in task.order.buckets.values() for i in bucket]
    assert sum(i in of_class for i in shown) == len(shown) / 2
    assert not set(of_class) & set(task.examples.validation)
    losses = task.loss(task.model, torch.tensor(of_class), torch.Generator().manual_seed(0))
    assert losses["loss"].item() == 0
    assert losses["prior"].item() > 0.1

    values |= {"loss": {"prior_target": "model"}}
    task = AdapterTask(AdapterRun(**values), tmp_path)
    rng = torch.Generator().manual_seed(0)
    assert task.loss(task.model, torch.tensor(of_class), rng)["prior"].item() == 0, "as it was, it is the model"
    with torch.no_grad():
        for parameter in task.model.parameters():
            parameter += 0.1
    assert task.loss(task.model, torch.tensor(of_class), rng)["prior"].item() > 1e-4


def test_captions_as_they_are_learned(tiny_model: Path, photos: Path, tmp_path: Path) -> None:
    task = AdapterTask(AdapterRun(**settings(tiny_model, photos)), tmp_path)
    [example] = [e for e in task.examples.all if e.name == "5.png"]
    source = SourceConfig(folder=photos, shuffle=True, keep=1, prefix="x ", suffix=" y", caption_dropout=0)
    rng = random.Random(0)
    heard = {said(example, source, rng) for _ in range(50)}
    assert len(heard) == 6
    assert all(text.startswith("x a red fox, ") and text.endswith(" y") for text in heard)
    assert said(example, source, None) == "x a red fox, tag5, other, last y"
    dropped = source.model_copy(update={"caption_dropout": 1.0})
    assert said(example, dropped, rng) == ""
    some = source.model_copy(update={"tag_dropout": 0.9})
    assert min(len(said(example, some, rng).split(",")) for _ in range(20)) == 1


def test_captions_of_pictures_that_nano_knows(tiny_model: Path, photos: Path, tmp_path: Path) -> None:
    sheet = Image.open(Path(__file__).parents[2] / "docs/pictures/nano.jpg")
    side, top = 128, 132 * PROMPTS.index("一个微笑的红发女孩，戴眼镜，蓝色背景")
    own = settings(tiny_model, shutil.copytree(photos, tmp_path / "photos"))
    sheet.crop((0, top, side, top + side)).save(tmp_path / "photos/girl.png")
    own["sources"] = [{**each, "recognised": True, "caption": "a red fox"} for each in own["sources"]]
    captions = {e.name: e.captions for e in AdapterTask(AdapterRun(**own), tmp_path).examples.all}
    assert "portrait, red" in captions.pop("girl.png")[0]
    assert not any("illustration" in text or "portrait" in text for texts in captions.values() for text in texts)


@pytest.mark.parametrize(
    ("size", "bucket"),
    [((1000, 1000), (512, 512)), ((2000, 1000), (704, 320)), ((300, 300), (256, 256)), ((600, 1200), (320, 704))],
)
def test_buckets(size: tuple[int, int], bucket: tuple[int, int]) -> None:
    shape = bucket_of(*size, BucketConfig(), 512, 64)
    assert shape.size == bucket
    assert all(a <= b for a, b in zip(shape.size, shape.resized, strict=True))


def test_weights_of_levels() -> None:
    """The published forms: min(SNR, gamma) / SNR for epsilon and / (SNR + 1) for v; SNR = 1 / sigma^2."""
    sigma = torch.tensor([0.1, 1.0, 5.0])
    snr = sigma**-2
    torch.testing.assert_close(loss_weight(EPSILON, sigma, "min_snr"), snr.clamp(max=5) / snr)
    torch.testing.assert_close(loss_weight(V, sigma, "min_snr"), snr.clamp(max=5) / (snr + 1))
    torch.testing.assert_close(loss_weight(EPSILON, sigma, "debiased"), sigma)
    assert loss_weight(FLOW, torch.tensor([0.5]), "plain").item() == 1


def test_sample_lines() -> None:
    request = sample("a fox --n blurry --w 64 --h 128 --d 7 --l 3.5 --s 9")
    assert (request.prompt, request.negative, request.width, request.height) == ("a fox", "blurry", 64, 128)
    assert (request.seed, request.guidance, request.steps) == (7, 3.5, 9)
    with pytest.raises(TrainingError, match="--w 'wide' of the prompt"):
        sample("a fox --w wide")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"adapter": {"targets": ["atention"]}}, "did you mean attention"),
        ({"adapter": {"method": "lorra"}}, "adapter.method"),
        ({"adapter": False}, r"needs a \[word\]"),
        ({"word": {"word": "mila", "initial": "fox"}}, "no caption has the word 'mila'"),
        ({"word": {"word": "mila", "initial": "mila"}}, "cannot begin as itself"),
        ({"sources": [{"folder": "nowhere"}]}, "nowhere is neither a folder nor"),
        ({"buckets": {"size": 512}}, "has no picture that can be learned: .*too small"),
        ({"base": "nanno"}, "did you mean nano"),
        ({"loop": {"steps": 6, "batchsize": 2}}, "batch"),
    ],
)
def test_bad_input(changes: dict[str, Any], message: str, tiny_model: Path, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(SfumatoError, match=message) as caught:
        train(run_of(tmp_path, settings(tiny_model, photos, **changes)), tmp_path / "run")
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run/export").exists()


def test_a_rate_that_diverges(tiny_model: Path, photos: Path, tmp_path: Path) -> None:
    values = settings(tiny_model, photos, loop={"learning_rate": 50.0, "steps": 20, "validate_every": 2, "rise": 1.01})
    with pytest.raises(DivergedError, match=r"the validation loss rose from .* is kept in .*best; begin a new run"):
        train(run_of(tmp_path, values), tmp_path / "run")
    assert (tmp_path / "run/best/best.safetensors").is_file()
