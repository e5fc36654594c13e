"""One file of any Stable Diffusion family as a `Model`, with nothing but that file and, for Stable Diffusion 3, its
text encoders beside it."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from sfumato.checkpoints.companions import complete, folders
from sfumato.checkpoints.detect import Detected, Layout, detect
from sfumato.checkpoints.folder import AUTOENCODER_RULES, read_json
from sfumato.checkpoints.header import METADATA, T5_TOKENIZER, beyond_shapes
from sfumato.checkpoints.parts import Parts, assemble, check, sampling, skeleton
from sfumato.checkpoints.rules import Fit, Ignore, check_finite, check_same, compare, convert
from sfumato.checkpoints.save import T5
from sfumato.checkpoints.tables import sd3
from sfumato.checkpoints.tensor_file import TensorFile, open_tensors
from sfumato.checkpoints.yaml_beside import prediction_beside
from sfumato.choices import Prediction
from sfumato.errors import CheckpointError
from sfumato.model import Model
from sfumato.models.autoencoder_kl import AutoencoderKLConfig
from sfumato.models.t5_tokenizer import T5Tokenizer
from sfumato.models.tokenizer import ClipTokenizer
from sfumato.runtime.digests import remembered_sha256

log = logging.getLogger(__name__)


@cache
def clip_tokenizer() -> ClipTokenizer:
    """CLIP's own, unpacked once."""
    return ClipTokenizer.clip()


def load_single(
    path: Path,
    *,
    dtype: torch.dtype,
    device: torch.device,
    prediction: Prediction | None = None,
    vae: Path | None = None,
    text_encoders: Sequence[Path] = (),
    allow_nonfinite: bool = False,
    in_use: bool = False,
) -> Model:
    """Load a checkpoint file (`.safetensors`, `.gguf`, or `.ckpt`, through readers of our own).

    Tokenizers and scheduler are those published with the family, unless the file's metadata say more. Weights are
    mapped and cast once to `dtype`; each part is built without memory first, and the fit is checked before any is read.

    Args:
        prediction: what the network predicts; None: as a `.yaml` beside it says, or `detect` finds.
        vae, text_encoders: files of parts that the checkpoint lacks, see `companions.complete`.
        allow_nonfinite: name NaN and infinity in weights, and load them.
        in_use: weights are cast in use, see `parts.built`.

    Raises:
        CheckpointError: damaged, of another family, unfit or not finite; the message says which.
    """
    with ThreadPoolExecutor(1) as beside:  # both read the whole file, on a core each
        digest = beside.submit(remembered_sha256, path)
        parts = read_file(
            path, prediction=prediction, vae=vae, text_encoders=text_encoders, allow_nonfinite=allow_nonfinite
        )
        return assemble(parts, path, dtype=dtype, device=device, digest=digest.result, in_use=in_use)


def read_file(
    path: Path,
    *,
    prediction: Prediction | None = None,
    vae: Path | None = None,
    text_encoders: Sequence[Path] = (),
    allow_nonfinite: bool = False,
) -> Parts:
    """The parts in a checkpoint of one file. Arguments as for `load_single`.

    Raises:
        CheckpointError: it is something else, of another family, does not fit or is not finite.
    """
    file = complete(open_tensors(path), vae=vae, text_encoders=text_encoders)
    prediction = prediction or prediction_beside(path, file.shapes)
    found = detect(file.shapes, file.metadata, str(path), prediction=prediction, read=file.read)
    layout = found.layout
    if layout is None:
        raise CheckpointError(f"{path} is {describe(found)}; give a Stable Diffusion checkpoint")
    t5_tokenizer = _t5_tokenizer(file) if T5 in layout.configs else None
    if T5 in layout.configs and t5_tokenizer is None:
        log.warning("%s has no tokenizer for its T5, which is left out; copy tokenizer_3 of its folder beside it", path)
        found = _without_t5(found, layout)
        layout = found.layout
        assert layout is not None
    if found.warning:
        log.warning("%s", found.warning)
    parts = Parts(str(path), layout.configs, {}, layout.scheduler, layout.zero_empty, {})
    parts.skeletons.update((name, skeleton(config, str(path))) for name, config in layout.configs.items())
    if not (verdict := _met(file, parts.skeletons, found)):
        raise CheckpointError(f"{path} does not fit: {verdict.report}")
    sampling(parts)
    clip = clip_tokenizer()
    for name, config in parts.texts.items():
        padding = layout.padding[name]
        if padding not in clip.vocabulary:
            raise CheckpointError(f"{path}: its padding {padding[:40]!r} is no token of CLIP")
        if len(clip.vocabulary) > config.vocab_size:
            raise CheckpointError(f"{path} reads {config.vocab_size} tokens; CLIP has {len(clip.vocabulary)}")
    state = convert(file.read(), found.table)
    check_finite(state, str(path), allow=allow_nonfinite)
    tokenizers = {
        name: replace(clip, padding=layout.padding[name], length=config.max_position_embeddings)
        for name, config in parts.texts.items()
    }
    parts = replace(parts, tokenizers=tokenizers, state=state, t5_tokenizer=t5_tokenizer)
    check(parts)
    return parts


def _t5_tokenizer(file: TensorFile) -> T5Tokenizer | None:
    """From the metadata that we write, or a folder as diffusers names it, beside the file or its text encoders."""
    if (serialised := file.metadata.get(T5_TOKENIZER)) is not None:
        return T5Tokenizer.parsed(serialised, str(file.path))
    beside = (folder / "tokenizer_3" for folder in folders(file.path))
    return next((T5Tokenizer.from_folder(folder) for folder in beside if folder.is_dir()), None)


def _without_t5(found: Detected, layout: Layout) -> Detected:
    """What was found, its T5 ignored."""
    configs = {part: config for part, config in layout.configs.items() if part != T5}
    start = sd3.FILES[T5].removesuffix("transformer.")
    table = (Ignore(start.replace(".", r"\."), "T5, which has no tokenizer here"), *found.table)
    return replace(found, layout=replace(layout, configs=configs), table=table)


def read_vae(
    path: Path, like: AutoencoderKLConfig | None = None, *, allow_nonfinite: bool = False
) -> tuple[AutoencoderKLConfig, dict[str, Tensor]]:
    """An autoencoder in one file: in the layout of latent-diffusion code, below `first_stage_model.` or bare, or in
    that of diffusers with its `config.json` beside it.

    Args:
        like: has the numbers that shapes do not tell (SDXL's latents are scaled otherwise), unless the file's metadata
            do.
        allow_nonfinite: name NaN and infinity in weights, and read them.

    Raises:
        CheckpointError: it is something else, does not fit or is not finite.
    """
    file = open_tensors(path)
    found = detect(file.shapes, file.metadata, str(path))
    config = path.with_name("config.json")
    if (found.kind, found.format) == ("vae", "diffusers") and config.is_file():
        form = AutoencoderKLConfig.from_json(read_json(config), str(config))
        state = convert(file.read(), AUTOENCODER_RULES)
        check_same(skeleton(form, str(config)), state, str(path))
        check_finite(state, str(path), allow=allow_nonfinite)
        return form, state
    if found.vae is None:
        raise CheckpointError(
            f"{path} is {describe(found)}; give an autoencoder with encoder.down and decoder.up, or one of diffusers "
            "with its config.json beside it"
        )
    if not (verdict := check_file(file, found)):
        raise CheckpointError(f"{path} does not fit: {verdict.report}")
    state = convert(file.read(), found.table)
    check_finite(state, str(path), allow=allow_nonfinite)
    if like is None or METADATA in file.metadata:
        return found.vae, state
    return AutoencoderKLConfig(**{**vars(found.vae), **beyond_shapes(like)}), state


def check_file(file: TensorFile, found: Detected) -> Fit:
    """How the names and shapes of a checkpoint or autoencoder meet the network that was detected in it."""
    source = str(file.path)
    if found.layout is None:
        assert found.vae is not None
        return compare(file.shapes, skeleton(found.vae, source).state_dict(), found.table)
    return _met(file, {part: skeleton(config, source) for part, config in found.layout.configs.items()}, found)


def _met(file: TensorFile, skeletons: Mapping[str, nn.Module], found: Detected) -> Fit:
    state = {f"{part}.{name}": x for part, made in skeletons.items() for name, x in made.state_dict().items()}
    return compare(file.shapes, state, found.table)


def describe(found: Detected) -> str:
    """A few words for a message."""
    if found.kind == "unknown":
        return found.family or "of no kind that is known here"
    kind = {"vae": "an autoencoder", "lora": "a LoRA", "embedding": "an embedding", "controlnet": "a ControlNet"}
    return kind.get(found.kind, f"a checkpoint of {found.family}")
