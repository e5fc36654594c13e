"""Files of kohya's sd-scripts, as people have them."""

from pathlib import Path

import pytest
from PIL import Image

from sfumato.cli import main
from sfumato.errors import TrainingError
from sfumato.training.adapter import AdapterRun
from sfumato.training.kohya import translated
from tests.conftest import write_tiny

DATASET = """
[general]
shuffle_caption = true
caption_extension = ".txt"
keep_tokens = 1

[[datasets]]
resolution = 64
batch_size = 2
enable_bucket = true
min_bucket_reso = 32
bucket_reso_steps = 16

  [[datasets.subsets]]
  image_dir = "photos"
  class_tokens = "sks dog"
  num_repeats = 3
  keep_tokens = 2
  flip_aug = true

  [[datasets.subsets]]
  image_dir = "dogs"
  is_reg = true
  class_tokens = "dog"
"""
OPTIONS = """
pretrained_model_name_or_path = "MODEL"
output_dir = "out"
output_name = "sks"
network_module = "networks.lora"
network_dim = 2
network_alpha = 1
max_train_steps = 2
learning_rate = 1e-3
lr_scheduler = "constant_with_warmup"
lr_warmup_steps = 1
optimizer_type = "AdamW8bit"
mixed_precision = "no"
min_snr_gamma = 5
seed = 42
save_model_as = "safetensors"
cache_latents = true
"""


def written(folder: Path, text: str, dataset: str = "") -> Path:
    (folder / "config.toml").write_text(f"{text}\n{dataset}")
    return folder / "config.toml"


def test_options_and_datasets(tmp_path: Path) -> None:
    values = translated(written(tmp_path, OPTIONS, DATASET))
    run = AdapterRun.model_validate(values)
    assert (run.name, run.model) == ("sks", "MODEL")
    assert run.adapter is not None
    assert (run.adapter.rank, run.adapter.alpha, run.adapter.method) == (2, 1, "lora")
    assert run.adapter.text_targets == ("attention", "feed-forward")
    assert (run.loss.weighting, run.loss.gamma) == ("min_snr", 5)
    assert (run.loop.steps, run.loop.batch, run.loop.seed, run.loop.precision) == (2, 2, 42, "fp32")
    assert (run.buckets.size, run.buckets.step, run.buckets.smallest) == (64, 16, 32)
    own, prior = run.sources
    assert own.folder == tmp_path / "photos"
    assert (own.repeats, own.keep, own.shuffle, own.flip, own.caption) == (3, 2, True, True, "sks dog")
    assert (prior.keep, prior.prior, prior.caption_dropout) == (1, True, 0)


def test_a_dataset_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "data.toml").write_text(DATASET)
    beside = written(tmp_path, OPTIONS + 'dataset_config = "data.toml"')
    assert translated(beside) == translated(written(tmp_path, OPTIONS, DATASET))


def test_it_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_tiny(tmp_path / "model")
    for name in ("photos", "dogs"):
        (tmp_path / name).mkdir()
        for i in range(2):
            Image.new("RGB", (64, 64), (90 * i, len(name) * 9, 40)).save(tmp_path / name / f"{i}.png")
    file = written(tmp_path, OPTIONS.replace("MODEL", str(model)), DATASET)
    assert main(["train", "--kohya", str(file), "--run", str(tmp_path / "run")]) == 0
    export = Path(capsys.readouterr().out.strip())
    assert (export / "sks.safetensors").is_file()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("network_dim = 2", "network_dimm = 2"), "network_dimm, which is not known here; did you mean network_dim"),
        (("keep_tokens = 2", "keep_tokns = 2"), "keep_tokns, which is not known here; did you mean keep_tokens"),
        (("AdamW8bit", "Lion"), "optimizer_type 'Lion'; known here: Prodigy, AdamW"),
        (("networks.lora", "networks.oft"), "network_module 'networks.oft'; known here: networks.lora"),
        (("resolution = 64", "resolution = [64, 32]"), "give one side"),
        (("  image_dir = \"photos\"\n", ""), "has no image_dir"),
        (("batch_size = 2", "batch_size = 2\n[[datasets]]\nbatch_size = 4"), "batch_size 4 and another 2"),
        (("seed = 42", "seed = 42\ntrain_batch_size = 3"), "two things of loop.batch: 2 and 3"),
        (("seed = 42", "seed = 42\ntext_encoder_lr = 'low'"), "text_encoder_lr 'low' and unet_lr 0.001; give two"),
        (("seed = 42", 'seed = 42\nnetwork_args = ["algo=boft"]'), "network_args 'algo=boft'; known here: algo=lora"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_named(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    file = written(tmp_path, OPTIONS.replace(*change), DATASET.replace(*change))
    with pytest.raises(TrainingError) as caught:
        translated(file)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="names no pictures; give"):
        translated(written(tmp_path, OPTIONS))
