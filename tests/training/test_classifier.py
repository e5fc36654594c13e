"""The picture classifier: its form, what its heads answer for, what is distorted, and that it learns."""

import json
import tomllib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sfumato.checkpoints.classifiers import load_classifier
from sfumato.errors import CheckpointError, TrainingError
from sfumato.models.picture_classifier import PictureClassifier, PictureClassifierConfig
from sfumato.training.classifier import ClassifierRun, ClassifierTask, boxed, distort, noised, reworded
from sfumato.training.data import Pictures, generator_for
from sfumato.training.heads import IGNORE_INDEX, error, heads_of
from sfumato.training.latents import load_autoencoder
from sfumato.training.run import read_config, train

HEADS = (("background", ("blue", "red")), ("type", ("", "hat", "cap")))  # "type": a name that modules have already


def classifier_toml(data: Path, **loop: object) -> str:
    """A run of a few small steps."""
    values = {"steps": 4, "batch": 8, "learning_rate": 4e-3, "muon": False, "warmup": 2, "decay": 2, "ema": 0.9} | loop
    values |= {"log_every": 1, "validate_every": 50, "sheet_every": 50, "save_every": values.get("save_every", 50)}
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
    return f"""
task = "classifier"
data = {json.dumps(str(data))}
channels = [8, 16]
fold = 4
validation = 40
[loop]
{lines}
"""


@pytest.fixture(scope="module")
def trained(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run long enough to tell colours apart."""
    folder = tmp_path_factory.mktemp("classifier")
    (folder / "run.toml").write_text(classifier_toml(squares, steps=100, precision="fp32"))
    train(folder / "run.toml", folder / "run")
    return folder


def test_it_begins_with_another(trained: Path, squares: Path, tmp_path: Path) -> None:
    export = trained / "run" / "export"
    told = classifier_toml(squares).replace("fold = 4", f'fold = 4\nstart = "{export}"')
    task = ClassifierTask(ClassifierRun.model_validate(tomllib.loads(told)), tmp_path)
    pixels = Pictures(squares).pixels(torch.arange(4))
    expected = load_classifier(export)(pixels)
    assert all(torch.equal(logits, expected[name]) for name, logits in task.model.eval()(pixels).items())
    with pytest.raises(CheckpointError, match="have another shape"):
        ClassifierTask(ClassifierRun.model_validate(tomllib.loads(told) | {"fold": 2}), tmp_path)


def test_words_that_both_know_keep_what_they_answer() -> None:
    old, new = (("kind", ("cat", "dog")), ("hat", ("", "cap"))), (("hat", ("cap", "")), ("kind", ("dog", "owl", "cat")))
    models = [PictureClassifier(PictureClassifierConfig(heads, channels=(8, 16))).eval() for heads in (old, new)]
    own = {name: value.clone() for name, value in models[1].state_dict().items()}
    models[1].load_state_dict(reworded(models[1], old, models[0].state_dict()))
    assert torch.equal(models[1].head.weight[3], own["head.weight"][3])
    pixels = torch.rand(2, 3, 32, 32)
    first, second = (model(pixels) for model in models)
    assert torch.equal(second["hat"], first["hat"].flip(1))
    assert torch.allclose(second["kind"][:, [2, 0]], first["kind"], atol=1e-6)


def test_a_finer_one_begins_with_its_later_stages(trained: Path, squares: Path, tmp_path: Path) -> None:
    """One more stage nearer to the pixels: it and what leads into the next are new, the rest is the other's."""
    old = load_classifier(trained / "run" / "export")
    told = tomllib.loads(classifier_toml(squares)) | {"start": str(trained / "run" / "export"), "fold": 2}
    told["channels"] = [8, *old.config.channels]
    fresh = ClassifierTask(ClassifierRun.model_validate(told | {"start": None}), tmp_path).model
    model = ClassifierTask(ClassifierRun.model_validate(told), tmp_path).model
    begun, first, given = (each.state_dict() for each in (model, fresh, old))
    new = [name for name in begun if name.startswith(("stages.0.", "stages.1.0."))]
    assert all(torch.equal(begun[name], first[name]) for name in new)
    for name in set(begun) - set(new):
        stage = name.split(".")[1]
        taken = name.replace(f"stages.{stage}", f"stages.{int(stage) - 1}") if name.startswith("stages.") else name
        assert torch.equal(begun[name], given[taken]), name
    model(Pictures(squares).pixels(torch.arange(2)))


def test_kinds_are_seen_as_often_as_their_shares_say(squares: Path, tmp_path: Path) -> None:
    told = tomllib.loads(classifier_toml(squares)) | {"shares": {"warm": 0.9, "cold": 0.1}}
    task = ClassifierTask(ClassifierRun.model_validate(told), tmp_path)
    kinds = [task.pictures.attributes[i]["kind"] for k in range(50) for i in task.order(k).tolist()]
    assert 0.8 < kinds.count("warm") / len(kinds) < 0.97
    with pytest.raises(TrainingError, match="shares must name each kind"):
        ClassifierTask(ClassifierRun.model_validate(told | {"shares": {"warm": 1.0}}), tmp_path)


@pytest.mark.parametrize("size", [(64, 64), (32, 96)])
def test_a_map_a_stage_and_an_answer_a_head_at_any_size(size: tuple[int, int]) -> None:
    model = PictureClassifier(PictureClassifierConfig(HEADS, channels=(8, 16, 24), fold=4))
    pixels = torch.randn(2, 3, *size)
    maps = model.features(pixels)
    assert [tuple(m.shape) for m in maps] == [
        (2, c, size[0] // f, size[1] // f) for c, f in ((8, 4), (16, 8), (24, 16))
    ]
    answers = model(pixels)
    assert {name: tuple(logits.shape) for name, logits in answers.items()} == {"background": (2, 2), "type": (2, 3)}
    assert torch.equal(answers["type"], model.head(model.embed(pixels))[:, 2:])


def test_every_question_counts_once() -> None:
    """Of a head that three pictures are asked, three times; of one that none is asked, never."""
    answers = {name: torch.randn(3, 4, generator=generator_for(k)) for k, name in enumerate(("hair", "ring", "moon"))}
    targets = {"hair": [0, 1, 2], "ring": [IGNORE_INDEX, 3, IGNORE_INDEX], "moon": [IGNORE_INDEX] * 3}
    found = error(answers, {name: torch.tensor(target) for name, target in targets.items()})
    asked = [(answers["hair"][k], k) for k in range(3)] + [(answers["ring"][1], 3)]
    surprises = torch.stack([row.logsumexp(0) - row[k] for row, k in asked])
    torch.testing.assert_close(found, surprises.mean())


def test_configuration_round_trip() -> None:
    config = PictureClassifierConfig(HEADS, channels=(8, 16))
    assert PictureClassifierConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert config.classes["type"] == ("", "hat", "cap")
    assert config.factor == 8


def test_heads_are_the_attributes_of_two_words_or_more() -> None:
    rows = [
        {"kind": "person", "hair": "afro", "hat": "cap", "split": "train"},
        {"kind": "person", "hair": "bob", "split": "train"},
        {"kind": "planet", "rings": "rings", "split": "train"},
    ]
    assert heads_of(rows, {"split"}) == (
        ("hair", ("afro", "bob")),  # each person has some, and planets are not asked
        ("hat", ("", "cap")),
        ("kind", ("person", "planet")),
    )


def test_targets_are_uncounted_where_the_kind_lacks_the_attribute_or_the_word_is_new(
    squares: Path, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in (squares / "attributes.jsonl").read_text().splitlines()]
    for i, row in enumerate(rows):
        if row["kind"] == "warm" and i % 2 and row["split"] == "train":
            row["hat"] = "cap"
    rows[4] |= {"kind": "warm", "hat": "tiara"}  # held out: a word that training never sees
    (tmp_path / "pictures.npy").write_bytes((squares / "pictures.npy").read_bytes())
    (tmp_path / "attributes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "run.toml").write_text(classifier_toml(tmp_path))
    task = ClassifierTask(read_config(tmp_path / "run.toml"), tmp_path)  # type: ignore[arg-type]
    words = task.model.config.classes["hat"]
    assert words == ("", "cap")
    targets = task._targets(torch.arange(40))["hat"].tolist()
    expected = [
        IGNORE_INDEX if row["kind"] == "cold" else words.index(row.get("hat", "")) for row in rows if row is not rows[4]
    ]
    assert targets[:4] + targets[5:] == expected
    assert targets[4] == IGNORE_INDEX


def test_a_box_of_pixels_is_their_mean() -> None:
    pixels = torch.randn(2, 3, 12, 9)
    padded = torch.nn.functional.pad(pixels, (2, 2, 2, 2), mode="replicate")
    assert torch.allclose(boxed(pixels, 5), torch.nn.functional.avg_pool2d(padded, 5, stride=1), atol=1e-6)


def test_distortion_is_mild_and_of_each_picture() -> None:
    pixels = torch.zeros(4, 3, 64, 64)
    pixels[:, :, 24:40, 24:40] = 1.0
    assert torch.allclose(distort(pixels, 0.0, generator_for(1)), pixels, atol=1e-5)
    changed = distort(pixels, 1.0, generator_for(1))
    assert torch.equal(changed, distort(pixels, 1.0, generator_for(1)))
    assert float(changed.abs().max()) <= 1
    assert len({round(float(p.mean()), 6) for p in changed}) == 4
    assert float(changed[:, :, 30:34, 30:34].mean((1, 2, 3)).min()) > 0.8, "the square is still in the middle"
    assert float(changed[:, :, :12].mean((1, 2, 3)).abs().max()) < 0.1, "and nothing else is above it"


def test_it_learns_from_half_of_what_is_held_out_and_is_judged_by_the_other(squares: Path, tmp_path: Path) -> None:
    task = ClassifierTask(ClassifierRun.model_validate(tomllib.loads(classifier_toml(squares))), tmp_path)
    pictures = task.pictures
    judge_train, test = set(pictures.judge_train.tolist()), set(pictures.test.tolist())
    assert judge_train | test == set(pictures.validation.tolist())
    assert not judge_train & test
    assert 0 <= len(test) - len(judge_train) <= 1
    drawn = {i for k in range(len(pictures)) for i in task.order(k).tolist()}
    assert drawn == set(pictures.train.tolist()) | judge_train


def test_it_learns_colours_and_is_loaded_as_it_was_exported(trained: Path, squares: Path) -> None:
    model = load_classifier(trained / "run/export")
    task = ClassifierTask(read_config(trained / "run.toml"), trained)  # type: ignore[arg-type]
    accuracies = task.validate(model)
    assert set(accuracies) == {"mean", "background", "front", "kind"}
    assert accuracies["background"] == 1
    assert accuracies["front"] > 0.8
    assert not any(p.requires_grad for p in model.parameters())
    assert task.sheet(model).size[0] > 64


def test_a_head_is_judged_on_the_pictures_that_count(trained: Path) -> None:
    task = ClassifierTask(read_config(trained / "run.toml"), trained)  # type: ignore[arg-type]
    held_out = task.pictures.test.tolist()

    class Constant(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
            return {name: torch.eye(len(words))[:1].expand(len(pixels), -1) for name, words in task.model.config.heads}

    expected = [task.pictures.attributes[i]["front"] == "blue" for i in held_out]
    assert task.validate(Constant())["front"] == pytest.approx(sum(expected) / len(expected))


def test_resumes_exactly(squares: Path, tmp_path: Path) -> None:
    for name, stops in (("straight", (4,)), ("twice", (2, 4))):
        for steps in stops:
            (tmp_path / "run.toml").write_text(classifier_toml(squares, steps=steps, shape="constant", save_every=2))
            train(tmp_path / "run.toml", tmp_path / name)
    ours, theirs = (
        load_file(tmp_path / name / "export/classifier/model.safetensors") for name in ("straight", "twice")
    )
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("fold = 4", "fold = 3"), "32 px at size=32 do not fit fold=3 and 2 channels, which need a multiple of 6"),
        (("fold = 4", 'fold = 4\nignored = ["split", "kind", "front", "background"]'), "no attribute of two words"),
        (("fold = 4", "fold = 4\ndistortion = -1"), "distortion"),
    ],
)
def test_impossible_settings(change: tuple[str, str], message: str, squares: Path, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(classifier_toml(squares).replace(*change))
    with pytest.raises(TrainingError, match=message):
        train(tmp_path / "run.toml", tmp_path / "run")


def test_foreign_exports_are_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json"):
        load_classifier(tmp_path)
    folder = tmp_path / "classifier"
    folder.mkdir()
    source = trained / "run/export/classifier"
    config = json.loads((source / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"channels": [8, 24]}))
    save_file(load_file(source / "model.safetensors"), folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_classifier(tmp_path)
    (folder / "config.json").write_text(json.dumps(config | {"heads": []}))
    with pytest.raises(CheckpointError, match="names no heads"):
        load_classifier(tmp_path)


def test_large_pictures_are_averaged_down_to_the_size_that_is_classified() -> None:
    torch.manual_seed(0)
    config = PictureClassifierConfig((("kind", ("cold", "warm")),), fold=2, channels=(8, 16), size=16)
    model = PictureClassifier(config).eval()
    small = torch.randn(2, 3, 16, 16)
    large = small.repeat_interleave(4, 2).repeat_interleave(4, 3)
    torch.testing.assert_close(model(large)["kind"], model(small)["kind"])
    assert model.features(large)[0].shape[-1] == 32, "features see every pixel"


def test_latents_are_classified_too(squares: Path, autoencoder: Path, tmp_path: Path) -> None:
    """Through noise in training, as they are when tested; the export says of how many channels it reads."""
    toml = tmp_path / "run.toml"
    told = classifier_toml(squares, steps=100, precision="fp32").replace("fold = 4", "fold = 1\ndistortion = 0.1")
    toml.write_text(told.replace("channels", f'autoencoder = "{autoencoder}"\nchannels', 1))
    model = load_classifier(train(toml, tmp_path / "run"), channels=4)
    assert (model.config.in_channels, model.config.fold) == (4, 1)
    pictures = Pictures(squares)
    latents = load_autoencoder(autoencoder).encode(pictures.pixels(torch.arange(len(pictures))))
    answers = model(latents)["front"].argmax(1)
    fronts = [row["front"] for row in pictures.attributes]
    right = sum(model.config.classes["front"][k] == word for k, word in zip(answers.tolist(), fronts, strict=True))
    assert right > 0.8 * len(pictures)
    told = tomllib.loads(toml.read_text()) | {"start": str(tmp_path / "run" / "export")}
    begun = ClassifierTask(ClassifierRun.model_validate(told), tmp_path / "begun").model.eval()
    assert torch.equal(begun(latents[:4])["front"], model(latents[:4])["front"])
    toml.write_text(toml.read_text().replace("fold = 1", "fold = 16"))
    with pytest.raises(TrainingError, match=r"latents of 8 px .* do not fit fold=16"):
        train(toml, tmp_path / "other")


def test_latents_get_noise_up_to_a_half() -> None:
    latents = torch.full((512, 1, 8, 8), 4.0)
    seen = noised(latents, 1.0, generator_for(0))
    kept = seen.mean((1, 2, 3)) / 4
    assert 0.4 < float(kept.min()) < 0.6 < 0.9 < float(kept.max()) < 1.1
    torch.testing.assert_close(noised(latents, 0.0, generator_for(0)), latents)
    grain = seen.flatten(1).std(1)
    assert float(torch.corrcoef(torch.stack([grain, kept]))[0, 1]) < -0.9, "the less is kept, the more is noise"
