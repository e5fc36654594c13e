"""kohya's settings (sd-scripts, v0.9): `train_network.py --config_file` and `--dataset_config`, as ours.

    [general] -> [[datasets]] -> [[datasets.subsets]]   inner values go before outer ones
    pretrained_model_name_or_path = "..."               and the other options of the command, by their names

What is unknown, or means what this trainer does not do, is named: nothing is passed over in silence but `IGNORED`,
which says how a run is carried out and not what comes of it.
"""

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sfumato.errors import TrainingError
from sfumato.files import read_regular
from sfumato.training.finetune import FineTuneLoop
from sfumato.training.run import read_toml

SUBSET: Mapping[str, str] = {
    "image_dir": "folder",
    "num_repeats": "repeats",
    "class_tokens": "caption",
    "caption_prefix": "prefix",
    "caption_suffix": "suffix",
    "shuffle_caption": "shuffle",
    "keep_tokens": "keep",
    "caption_dropout_rate": "caption_dropout",
    "caption_tag_dropout_rate": "tag_dropout",
    "flip_aug": "flip",
    "alpha_mask": "masked",
    "is_reg": "prior",
}
"""Settings of a subset, and of `SourceConfig`."""
DATASET: Mapping[str, str] = {
    "resolution": "buckets.size",
    "enable_bucket": "buckets.many",
    "min_bucket_reso": "buckets.smallest",
    "max_bucket_reso": "buckets.largest",
    "bucket_reso_steps": "buckets.step",
    "bucket_no_upscale": "buckets.enlarge",
    "batch_size": "loop.batch",
    "validation_split": "validation",
}
OPTIONS: Mapping[str, str] = {
    "pretrained_model_name_or_path": "model",
    "output_name": "name",
    "network_module": "adapter.method",
    "network_dim": "adapter.rank",
    "network_alpha": "adapter.alpha",
    "network_dropout": "adapter.dropout",
    "network_weights": "adapter.start",
    "max_train_steps": "loop.steps",
    "learning_rate": "loop.learning_rate",
    "unet_lr": "loop.learning_rate",
    "lr_scheduler": "loop.shape",
    "lr_warmup_steps": "loop.warmup",
    "gradient_accumulation_steps": "loop.accumulate",
    "gradient_checkpointing": "checkpointing",
    "max_grad_norm": "loop.clip",
    "seed": "loop.seed",
    "save_every_n_steps": "loop.save_every",
    "sample_every_n_steps": "loop.sheet_every",
    "validate_every_n_steps": "loop.validate_every",
    "train_batch_size": "loop.batch",
    "mixed_precision": "loop.precision",
    "clip_skip": "clip_skip",
    "min_snr_gamma": "loss.gamma",
    "debiased_estimation_loss": "loss.weighting",
    "noise_offset": "loss.noise_offset",
    "prior_loss_weight": "loss.prior",
}
IGNORED = frozenset(
    {
        *("output_dir", "logging_dir", "log_with", "log_prefix", "save_model_as", "save_precision", "save_state"),
        *("cache_latents", "cache_latents_to_disk", "cache_text_encoder_outputs", "vae_batch_size", "xformers", "sdpa"),
        *("cache_text_encoder_outputs_to_disk", "mem_eff_attn", "max_data_loader_n_workers", "lowram", "highvram"),
        *("persistent_data_loader_workers", "caption_extension", "no_half_vae", "training_comment", "metadata_title"),
        *("metadata_author", "wandb_run_name", "save_last_n_steps", "enable_bucket", "max_token_length"),
        *("optimizer_type", "network_train_unet_only", "network_train_text_encoder_only", "network_args"),
        *("sample_prompts", "sample_sampler", "dataset_config", "v2", "v_parameterization", "train_data_dir"),
        *("reg_data_dir", "resolution"),
    }
)
"""Known, and either without a counterpart that matters or read apart in `_options`."""
SCHEDULERS = {"constant": "constant", "constant_with_warmup": "constant", "cosine": "cosine"}
PRECISIONS = {"no": "fp32", "fp32": "fp32", "bf16": "bf16"}
ALGORITHMS = {"lora": "lora", "locon": "locon", "loha": "loha", "lokr": "lokr", "ia3": "ia3", "full": "full"}
MODULES = {"networks.lora": "lora", "lycoris.kohya": "lora", "lycoris_kohya": "lora", "networks.dylora": ""}


def translated(path: Path) -> dict[str, Any]:
    """The settings of `AdapterRun` that a TOML of kohya's says.

    Raises:
        TrainingError: it cannot be read, says what is unknown or contradicts itself; the first such setting is named.
    """
    found = read_toml(path)
    dataset = found.get("dataset_config")
    if dataset is not None:
        beside = Path(dataset) if Path(dataset).is_absolute() else path.parent / dataset
        second = read_toml(beside)
        if twice := second.keys() & found.keys():
            raise TrainingError(f"{path} and {beside} both have {min(twice)}; keep it in one of them")
        found = {**found, **second}
    values: dict[str, Any] = {"task": "adapter"}
    sources = _datasets(found, path, values)
    options = {key: value for key, value in found.items() if key not in ("general", "datasets")}
    if not sources and "train_data_dir" in options:
        sources = [{"folder": options["train_data_dir"]}]
        if "reg_data_dir" in options:
            sources.append({"folder": options["reg_data_dir"], "prior": True})
        if "resolution" in options:
            _put(values, "buckets.size", _side(options["resolution"], path), path)
    if not sources:
        raise TrainingError(f"{path} names no pictures; give [[datasets.subsets]] with image_dir, or train_data_dir")
    values["sources"] = sources
    _options(options, path, values)
    values.setdefault("name", path.stem)
    values.setdefault("loop", {}).setdefault("steps", 1600)  # kohya's own default
    return values


def _datasets(found: Mapping[str, Any], path: Path, values: dict[str, Any]) -> list[dict[str, Any]]:
    general = found.get("general", {})
    known = {*SUBSET, *DATASET, *IGNORED}
    sources: list[dict[str, Any]] = []
    said: dict[str, Any] = {}
    for number, dataset in enumerate(found.get("datasets", ())):
        shared = {**general, **{k: v for k, v in dataset.items() if k != "subsets"}}
        where = f"{path}: datasets[{number}]"
        for key, value in shared.items():
            _require_known(key, known, where)
            if key in DATASET:
                own = _dataset_value(key, value, path)
                if said.setdefault(key, own) != own:
                    raise TrainingError(
                        f"{where} has {key} {own!r} and another {said[key]!r}; one run has one, so split it"
                    )
        for subset in dataset.get("subsets", ()):
            own = {**{k: v for k, v in shared.items() if k in SUBSET}, **subset}
            source: dict[str, Any] = {}
            for key, value in own.items():
                _require_known(key, {*SUBSET, *IGNORED}, f"{where}.subsets")
                if key in SUBSET:
                    source[SUBSET[key]] = value
            if "folder" not in source:
                raise TrainingError(f"{where}.subsets has no image_dir; name the folder of its pictures")
            source.setdefault("caption_dropout", 0.0)
            if not Path(source["folder"]).is_absolute():
                source["folder"] = str(path.parent / source["folder"])
            sources.append(source)
    for key, value in said.items():
        _put(values, DATASET[key], value, path)
    return sources


def _dataset_value(key: str, value: Any, path: Path) -> Any:
    if key == "resolution":
        return _side(value, path)
    return not value if key == "bucket_no_upscale" else value


def _side(value: Any, path: Path) -> int:
    """The side of `512`, `[512, 512]` or "512,512": buckets have the area of a square."""
    sides = [int(each) for each in value.split(",")] if isinstance(value, str) else value
    sides = sides if isinstance(sides, list) else [sides]
    if len({*sides}) != 1 or not isinstance(sides[0], int):
        raise TrainingError(f"{path} has resolution {value!r}; give one side, whose square is every bucket's area")
    return sides[0]


def _options(options: Mapping[str, Any], path: Path, values: dict[str, Any]) -> None:
    choices: dict[str, Mapping[str, str]] = {
        "network_module": MODULES,
        "lr_scheduler": SCHEDULERS,
        "mixed_precision": PRECISIONS,
    }
    makes: dict[str, Callable[[Any], Any]] = {"debiased_estimation_loss": lambda on: "debiased" if on else "plain"}
    for key, value in options.items():
        _require_known(key, {*OPTIONS, *IGNORED, "unet_lr", "text_encoder_lr"}, str(path))
        if key == "text_encoder_lr":
            usual = FineTuneLoop.model_fields["learning_rate"].default
            of_unet = options.get("unet_lr", options.get("learning_rate", usual))
            if not (isinstance(value, int | float) and isinstance(of_unet, int | float) and of_unet > 0):
                raise TrainingError(f"{path} has text_encoder_lr {value!r} and unet_lr {of_unet!r}; give two numbers")
            if value:
                values.setdefault("loop", {})["text_rate"] = value / of_unet
            continue
        if key not in OPTIONS:
            continue
        if key in choices:
            if not choices[key].get(value):
                raise TrainingError(
                    f"{path} has {key} {value!r}; known here: {', '.join(k for k, v in choices[key].items() if v)}"
                )
            value = choices[key][value]
        _put(values, OPTIONS[key], makes.get(key, lambda same: same)(value), path)
    if "min_snr_gamma" in options:
        _put(values, "loss.weighting", "min_snr", path)
    own = values.setdefault("adapter", {})
    own.setdefault("rank", 4)  # kohya's own defaults
    own.setdefault("alpha", 1.0)
    for text in options.get("network_args", ()):
        name, _, value = str(text).partition("=")
        if name == "algo" and value.lower() in ALGORITHMS:
            own["method"] = ALGORITHMS[value.lower()]
        elif name == "dora_wd" and value.lower() in ("true", "1"):
            own["method"] = "dora"
        elif name in ("conv_dim", "conv_alpha") and int(float(value)) == int(
            own["rank" if name == "conv_dim" else "alpha"]
        ):
            own["method"] = "locon" if own.get("method", "lora") == "lora" else own["method"]
        else:
            raise TrainingError(
                f"{path} has network_args {text!r}; known here: algo={'|'.join(ALGORITHMS)}, dora_wd=True, and "
                "conv_dim and conv_alpha equal to network_dim and network_alpha"
            )
    if not options.get("network_train_unet_only") and options.get("text_encoder_lr") != 0:
        own.setdefault("text_targets", ["attention", "feed-forward"])
    if options.get("network_train_text_encoder_only"):
        own["targets"] = []
    kind = str(options.get("optimizer_type", "AdamW")).lower()
    if kind not in ("adamw", "adamw8bit", "pagedadamw8bit", "prodigy"):
        raise TrainingError(
            f"{path} has optimizer_type {options['optimizer_type']!r}; known here: Prodigy, AdamW, AdamW8bit as AdamW"
        )
    if kind == "prodigy":
        values.setdefault("loop", {})["prodigy"] = True
    if "sample_prompts" in options:
        file = Path(options["sample_prompts"])
        lines = read_regular(file if file.is_absolute() else path.parent / file).decode("utf-8").splitlines()
        values["prompts"] = [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _put(values: dict[str, Any], place: str, value: Any, path: Path) -> None:
    table, _, name = place.rpartition(".")
    target = values.setdefault(table, {}) if table else values
    if name in target and target[name] != value:
        raise TrainingError(f"{path} says two things of {place}: {target[name]!r} and {value!r}; keep one")
    target[name] = value


def _require_known(key: str, known: set[str], where: str) -> None:
    if key not in known:
        near = difflib.get_close_matches(key, known, n=2, cutoff=0.75)
        hint = f"did you mean {' or '.join(near)}?" if near else "leave it out, or use a TOML of sfumato's own"
        raise TrainingError(f"{where} has {key}, which is not known here; {hint}")
