"""A diffusers folder as a `Model`: no conversion, no network, nothing skipped."""

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from sfumato.checkpoints.parts import TEXT_ENCODERS, Parts, assemble, check, sampling, second, skeleton
from sfumato.checkpoints.rules import Ignore, Rename, Rule, check_finite, check_same, convert
from sfumato.checkpoints.save import STEMS, T5
from sfumato.checkpoints.tables import t5
from sfumato.checkpoints.tensor_file import open_tensors
from sfumato.errors import CheckpointError
from sfumato.files import read_regular
from sfumato.model import Model
from sfumato.models.autoencoder_fold import AutoencoderFoldConfig
from sfumato.models.autoencoder_kl import AutoencoderKLConfig
from sfumato.models.autoencoder_tiny import AutoencoderTinyConfig
from sfumato.models.clip import CLIPTextConfig, ProjectedCLIPTextConfig
from sfumato.models.config import ModelConfig
from sfumato.models.k_unet import KUNetConfig
from sfumato.models.mmdit import MMDiTConfig
from sfumato.models.t5 import T5Config
from sfumato.models.t5_tokenizer import T5Tokenizer
from sfumato.models.tokenizer import ClipTokenizer
from sfumato.models.unet import UNetConfig
from sfumato.published import KL_X4
from sfumato.runtime.digests import remembered_sha256

log = logging.getLogger(__name__)

TEXT_RULES: tuple[Rule, ...] = (
    Ignore(r"text_model\.embeddings\.position_ids$", "0, 1, 2 ...: a constant that old files carry"),
    Rename(r"^(?!text_model\.|text_projection\.)", "text_model."),  # transformers 5 dropped the prefix
)
AUTOENCODER_RULES: tuple[Rule, ...] = (  # attention in an autoencoder, as named before diffusers 0.17
    Rename(r"\.attentions\.0\.query\.", ".attentions.0.to_q."),
    Rename(r"\.attentions\.0\.key\.", ".attentions.0.to_k."),
    Rename(r"\.attentions\.0\.value\.", ".attentions.0.to_v."),
    Rename(r"\.attentions\.0\.proj_attn\.", ".attentions.0.to_out.0."),
)
RULES: dict[str, tuple[Rule, ...]] = {
    "vae": AUTOENCODER_RULES,
    **dict.fromkeys(TEXT_ENCODERS, TEXT_RULES),
    T5: t5.table(file=""),
}

KINDS: dict[str, tuple[type[ModelConfig], ...]] = {
    "unet": (KUNetConfig, UNetConfig),
    "transformer": (MMDiTConfig,),
    "vae": (AutoencoderKLConfig, AutoencoderFoldConfig, AutoencoderTinyConfig),
    **dict.fromkeys(TEXT_ENCODERS, (CLIPTextConfig, ProjectedCLIPTextConfig)),
    T5: (T5Config,),
}
"""What a part may be: the first that describes it; the first's name is meant where its configuration has none."""

PIPELINES = ("StableDiffusion", "LatentConsistencyModel")
"""How the names of diffusers' pipelines begin whose parts may be ours. The rest of a name (PAG, ControlNet ...) says
what is done with the parts, which is the request's to say here; what is stored in another form says so itself."""
X4 = "StableDiffusionUpscalePipeline"
"""Whose published autoencoder does not state its scaling factor."""
UPSCALERS = (X4, "StableDiffusionLatentUpscalePipeline")
"""Pipelines whose networks enlarge."""
SMALL = "low_res_scheduler"
BESIDE = frozenset(
    {"safety_checker", "feature_extractor", "image_encoder", "watermarker", "scheduler", SMALL}
    | {"unet", "transformer", "vae"}
)
"""Parts that are known, or are never used."""


@dataclass(frozen=True)
class Given:
    """A part in the place of one that a folder lacks; a text encoder of CLIP brings a tokenizer, for a folder that has
    none.
    """

    config: ModelConfig
    state: dict[str, Tensor]
    tokenizer: ClipTokenizer | None = None


def load_folder(
    folder: Path,
    *,
    dtype: torch.dtype,
    device: torch.device,
    given: Mapping[str, Given] = MappingProxyType({}),
    allow_nonfinite: bool = False,
    in_use: bool = False,
) -> Model:
    """Load every part of the model in `folder` (model_index.json, network, vae, text encoders, tokenizers, scheduler).

    Weights are mapped and cast once to `dtype`; each part is built without memory first.

    Args:
        given: parts that the folder lacks, see `lacking.given`.
        allow_nonfinite: name NaN and infinity in weights, and load them.
        in_use: weights are cast in use, see `parts.built`.

    Raises:
        CheckpointError: a part is missing, truncated, foreign, unfit or not finite; the message names it.
    """
    with ThreadPoolExecutor(1) as beside:
        parts = read_folder(folder, halves=dtype == torch.float16, given=given, allow_nonfinite=allow_nonfinite)
        digest = beside.submit(denoiser_digest, folder, parts.denoiser, halves=dtype == torch.float16)
        return assemble(parts, folder, dtype=dtype, device=device, digest=digest.result, in_use=in_use)


def denoiser_digest(folder: Path, part: str, *, halves: bool = False) -> str:
    """SHA-256 of the weights of a folder's denoiser, by which pictures name the model; of shards that of theirs. Raises
    as `weights_files`."""
    digests = [remembered_sha256(file) for file in weights_files(folder / part, stem(part), halves=halves)]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def stem(part: str) -> str:
    """How the files of a part's weights are called before their ending."""
    return STEMS.get(part, "diffusion_pytorch_model")


def read_folder(
    folder: Path,
    *,
    halves: bool = False,
    given: Mapping[str, Given] = MappingProxyType({}),
    allow_nonfinite: bool = False,
) -> Parts:
    """The parts in a diffusers folder, their tensors mapped as they are.

    Args:
        halves: prefer the float16 variant of the weights.
        given, allow_nonfinite: as for `load_folder`.

    Raises:
        CheckpointError: a part is missing, of another kind, does not fit or is not finite.
    """
    index = read_json(folder / "model_index.json")
    pipeline = index.get("_class_name")
    if pipeline is None:
        raise CheckpointError(f"{folder / 'model_index.json'} names no pipeline; copy the whole model folder")
    if not str(pipeline).startswith(PIPELINES):
        raise CheckpointError(f"{folder} holds a {pipeline}; supported: {'..., '.join(PIPELINES)}...")
    named = named_parts(index)
    if pipeline == X4 and SMALL not in named:
        raise CheckpointError(f"{folder / 'model_index.json'} names no {SMALL}; copy the whole model folder")
    parts_of_ours = {*BESIDE, *TEXT_ENCODERS, T5}
    for name in named:
        if name not in parts_of_ours and not name.startswith("tokenizer"):
            log.warning("%s: its %s is left out; it is not loaded from here", folder, name[:60])
    texts = [name for name in TEXT_ENCODERS if name in named or name in given]
    if not texts:
        raise CheckpointError(
            f"{folder / 'model_index.json'} names no text encoder; copy the whole model folder, or give --text-encoder"
        )
    with_t5 = T5 in named or T5 in given
    network = "transformer" if "transformer" in named else "unet"
    configs = {
        name: given[name].config if name in given else configuration(folder, name)
        for name in (network, "vae", *texts, *([T5] if with_t5 else []))
    }
    vae = configs["vae"]
    if pipeline == X4 and isinstance(vae, AutoencoderKLConfig) and "vae" not in given:
        configs["vae"] = replace(vae, scaling_factor=KL_X4.scaling_factor)
    tokenizers = {
        name: _tokenizer(folder / name.replace("text_encoder", "tokenizer"), given.get(name)) for name in texts
    }
    scheduler = read_json(folder / "scheduler" / "scheduler_config.json")
    xl = network == "unet" and second(texts) and "text_encoder" in texts
    zero_empty = bool(index.get("force_zeros_for_empty_prompt", xl))
    t5_tokenizer = T5Tokenizer.from_folder(folder / "tokenizer_3") if with_t5 else None
    small = read_json(folder / SMALL / "scheduler_config.json") if SMALL in named else None
    parts = Parts(str(folder), configs, tokenizers, scheduler, zero_empty, {}, t5_tokenizer, small)
    check(parts)
    sampling(parts)
    for name, config in configs.items():
        if name in given:
            parts.skeletons[name] = skeleton(config, str(folder / name))
            check_same(parts.skeletons[name], given[name].state, f"{folder}: the {name} that is given")
            parts.state.update({f"{name}.{key}": value for key, value in given[name].state.items()})
            continue
        parts.skeletons[name], tensors = read_part(folder, name, config, halves=halves, allow_nonfinite=allow_nonfinite)
        parts.state.update({f"{name}.{key}": value for key, value in tensors.items()})
    return parts


def read_part(
    folder: Path, name: str, config: ModelConfig, *, halves: bool = False, allow_nonfinite: bool = False
) -> tuple[nn.Module, dict[str, Tensor]]:
    """A part of a folder: the module without memory, and its tensors. Arguments and errors as for `read_folder`."""
    tensors: dict[str, Tensor] = {}
    for file in weights_files(folder / name, stem(name), halves=halves):
        read = convert(open_tensors(file).read(), RULES.get(name, ()))
        check_finite(read, str(file), allow=allow_nonfinite)
        if twice := sorted(tensors.keys() & read.keys()):
            raise CheckpointError(f"{file} holds {twice[0]!r} and so does another shard; get a sound copy")
        tensors |= read
    module = skeleton(config, str(folder / name / "config.json"))
    check_same(module, tensors, str(folder / name))
    return module, tensors


def enlarges(path: Path) -> bool:
    """Whether a model enlarges pictures, as its folder says. Raises as `read_json`."""
    return path.is_dir() and read_json(path / "model_index.json").get("_class_name") in UPSCALERS


def named_parts(index: Mapping[str, Any]) -> tuple[str, ...]:
    """The parts that a `model_index.json` says the model has."""
    return tuple(name for name, kind in index.items() if isinstance(kind, list) and kind and kind[0] is not None)


def _tokenizer(folder: Path, given: Given | None) -> ClipTokenizer:
    if given is not None and given.tokenizer is not None and not folder.is_dir():
        return given.tokenizer
    return ClipTokenizer.from_folder(folder)


OPTIONS = {"vae": "--vae", **dict.fromkeys((*TEXT_ENCODERS, T5), "--text-encoder")}
"""How a part may be given that a folder lacks."""


def configuration(folder: Path, part: str, path: Path | None = None) -> ModelConfig:
    """The configuration of a part of a folder.

    Args:
        path: the file; None for that in the part's own folder.

    Raises:
        CheckpointError: it is missing, not JSON, or of a network that is no such part here.
    """
    path = folder / part / "config.json" if path is None else path
    if part in OPTIONS and not path.exists():
        raise CheckpointError(f"{folder} lacks its {part}; copy the whole folder, or give it with {OPTIONS[part]}")
    data = read_json(path)
    [default, *others] = KINDS[part]
    name = data.get("_class_name") or (data.get("architectures") or [None])[0] or default.class_name
    for kind in (default, *others):
        if name == kind.class_name and kind.describes(data):
            return kind.from_json(data, str(path))
    known = ", ".join(dict.fromkeys(kind.class_name for kind in KINDS[part]))
    raise CheckpointError(f"{path.parent} is a {name}; supported: {known}")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        CheckpointError: the file is missing, unreadable or not an object.
    """
    try:
        data = json.loads(read_regular(path).decode("utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing; a model is a whole diffusers folder") from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} holds no JSON object; is it the right file?")
    return data


def weights_file(folder: Path, stem: str) -> Path:
    """The component's weights where they are one file. Raises as `weights_files`."""
    [file, *others] = weights_files(folder, stem)
    if others:
        raise CheckpointError(f"{folder} has its weights in {len(others) + 1} files; they must be one here")
    return file


def part_file(folder: Path) -> Path:
    """The weights of the part whose own folder it is, where they are one file. Raises as `weights_files`."""
    return weights_file(folder, stem(folder.name))


def weights_files(folder: Path, stem: str, *, halves: bool = False) -> tuple[Path, ...]:
    """The component's files of weights, one or the shards that an index lists: the plain ones, or else the `fp16`
    variant, the other way round if `halves` are preferred; or else the only other variant. What is pickled (`.bin`) is
    looked for after all safetensors.

    Raises:
        CheckpointError: there is none, there are several variants to choose from, or a shard is missing.
    """
    order = ["fp16", ""] if halves else ["", "fp16"]
    for start, ending in ((stem, "safetensors"), (stem, "bin"), ("pytorch_model", "bin")):
        others = _variants(folder, start, ending)
        for variant in [*order, *(others if len(others) == 1 else ())]:
            dotted = f".{variant}" if variant else ""
            whole, index = folder / f"{start}{dotted}.{ending}", folder / f"{start}.{ending}.index{dotted}.json"
            if whole.is_file():
                return (whole,)
            if index.is_file():
                return _shards(index)
        if others:
            raise CheckpointError(f"{folder} has its weights as {', '.join(others)}; keep one of these variants")
    raise CheckpointError(f"{folder / f'{stem}.safetensors'} is missing; copy the whole model folder")


def _variants(folder: Path, stem: str, ending: str) -> list[str]:
    """The variants that there are beside the plain files and `fp16`, as in `STEM.bf16.safetensors`."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    forms = (rf"{stem}\.(\w+)\.{ending}", rf"{stem}\.{ending}\.index\.(\w+)\.json")
    found = {match[1] for name in names for form in forms if (match := re.fullmatch(form, name))}
    return sorted(found - {"fp16"})


def _shards(index: Path) -> tuple[Path, ...]:
    """The files in the `weight_map` of an index, which are beside it."""
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not places or not all(isinstance(name, str) for name in places.values()):
        raise CheckpointError(f"{index} has no weight_map of tensors to files; copy the whole model folder")
    names = sorted(set(places.values()))
    for name in names:
        if Path(name).name != name or not (index.parent / name).is_file():
            raise CheckpointError(f"{index} lists {name[:80]!r}, which is not beside it; copy the whole model folder")
    return tuple(index.parent / name for name in names)
