"""Checkpoints that lack a part, with the files that have it: an autoencoder and text encoders that are given, or text
encoders found beside the checkpoint (`clip_l.safetensors`, `clip_g.safetensors`, `t5xxl_fp16.safetensors`), as Stable
Diffusion 3 and 3.5 are published and as ComfyUI saves networks alone.

All is joined under the names that it has in a file of the whole, which then is read as any other.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from sfumato.checkpoints import extra_paths
from sfumato.checkpoints.folder import AUTOENCODER_RULES, TEXT_RULES, read_json
from sfumato.checkpoints.header import T5_TOKENIZER
from sfumato.checkpoints.rules import Rule, convert, revert
from sfumato.checkpoints.save import T5
from sfumato.checkpoints.shapes import ShapesByName, read_clip, read_projected
from sfumato.checkpoints.tables import ldm_vae, open_clip_text, sd3
from sfumato.checkpoints.tables.checkpoint import ENCODERS, OPEN_CLIP, UNET, VAE
from sfumato.checkpoints.tensor_file import TensorFile, open_tensors
from sfumato.errors import CheckpointError
from sfumato.models.autoencoder_kl import AutoencoderKLConfig

FOLDERS = ("text_encoders", "clip")
"""What folders of text encoders are called, beside a checkpoint or beside its folder."""
NAMES = {"text_encoder": "clip_l", "text_encoder_2": "clip_g", T5: "t5xxl"}
"""How the files begin; what follows, as in `t5xxl_fp16`, is free."""
CLIP_FILES = ("clip_l", "clip_g", "clip_h")
TEXTS = ("cond_stage_model.", "conditioner.", "text_encoders.")
"""How the names of text encoders begin in a file of the whole."""
KEYS = ".transformer_blocks.0.attn2.to_k.weight"


def complete(file: TensorFile, *, vae: Path | None = None, text_encoders: Sequence[Path] = ()) -> TensorFile:
    """The checkpoint with its parts: itself, or joined from several files where it has an autoencoder or text encoders
    nowhere. T5 is joined when it is there.

    Args:
        vae: an autoencoder, used where the checkpoint has none.
        text_encoders: text encoders, used where the checkpoint has none; else they are sought beside it.

    Raises:
        CheckpointError: it needs a part and has none, the given ones are not what it needs, or a file is damaged.
    """
    file = _denoiser_by_its_names(file)
    three, unet = _has(file, f"{UNET}joint_blocks."), _has(file, f"{UNET}input_blocks.")
    if not (three or unet):
        return file
    vae_missing, texts_missing = not _has(file, VAE), not _has(file, *TEXTS)
    if vae_missing and vae is None:
        what = "its autoencoder and text encoders" if texts_missing else "its autoencoder"
        raise CheckpointError(f"{file.path} is a {_network(three)} without {what}; give an autoencoder with --vae")
    if texts_missing:
        file = (_with_three if three else _with_clip)(file, text_encoders)
    return _with_vae(file, vae) if vae_missing and vae is not None else file


def lacks_autoencoder(path: Path) -> bool:
    """Whether a file holds a denoising network without the autoencoder of its latents. Raises as `open_tensors`."""
    file = _denoiser_by_its_names(open_tensors(path))
    return _has(file, f"{UNET}joint_blocks.", f"{UNET}input_blocks.") and not _has(file, VAE)


def _network(three: bool) -> str:
    return "transformer of SD3" if three else "U-Net"


def folders(checkpoint: Path) -> Iterator[Path]:
    """Where the companions of a file may lie."""
    here = checkpoint.parent
    yield here
    for place in (here, here.parent):
        yield from (place / name for name in FOLDERS)
    yield from extra_paths.folders(*FOLDERS)


def _find(checkpoint: Path, start: str) -> Path | None:
    for folder in folders(checkpoint):
        for path in sorted(folder.glob(f"{start}*.safetensors")):
            return path
    return None


def _has(file: TensorFile, *starts: str) -> bool:
    return any(name.startswith(starts) for name in file.shapes)


# --------------------------------------------------------------------------------------------------- the denoiser


def _denoiser_by_its_names(file: TensorFile) -> TensorFile:
    """A network alone, or one of which there is only the moving average, under the names of a whole checkpoint."""
    if _has(file, f"{UNET}input_blocks.", f"{UNET}joint_blocks."):
        return file
    if ("input_blocks.0.0.weight" in file.shapes and not _has(file, "input_hint_block.")) or _has(
        file, "joint_blocks.0.context_block."
    ):
        return _renamed(file, lambda name: UNET + name)
    if _has(file, "model_ema.diffusion_modelinput_blocks", "model_ema.diffusion_model.input_blocks."):
        return _renamed(file, _of_average)
    return file


AVERAGE = "model_ema.diffusion_model"
_PATTERNS = (
    (r"^(input_blocks|output_blocks)(\d+)(\d)", r"\1.\2.\3."),
    (r"^middle_block(\d)", r"middle_block.\1."),
    (r"^(time_embed|out)(\d)(?=weight|bias)", r"\1.\2."),
    (r"^label_emb(\d)(\d)", r"label_emb.\1.\2."),
    (r"(in_layers|emb_layers|out_layers)(\d)", r"\1.\2."),
    (r"transformer_blocks(\d+)(attn[12]|ff|norm\d)", r"transformer_blocks.\1.\2."),
    (r"to_out(\d)", r"to_out.\1."),
    (r"net0proj", "net.0.proj."),
    (r"net2", "net.2."),
    (r"(skip_connection|(?<=\.)op|(?<=\.)conv|(?<=\.)norm|proj_in|proj_out|to_[qkv])(?=weight|bias)", r"\1."),
)
"""The names of the U-Net's tensors again, from which `LitEma` took the dots."""


def _of_average(name: str) -> str:
    """`model_ema.diffusion_modelinput_blocks10in_layers0weight` is `model.diffusion_model.input_blocks.1.0....`"""
    if not name.startswith(AVERAGE):
        return name
    rest = name.removeprefix(AVERAGE)
    if rest.startswith("."):
        return UNET + rest[1:]
    for pattern, replacement in _PATTERNS:
        rest = re.sub(pattern, replacement, rest)
    return UNET + rest


def _renamed(file: TensorFile, name_of: Callable[[str], str]) -> TensorFile:
    return replace(
        file,
        shapes={name_of(name): shape for name, shape in file.shapes.items()},
        dtypes={name_of(name): dtype for name, dtype in file.dtypes.items()},
        read=lambda: {name_of(name): tensor for name, tensor in file.read().items()},
    )


# --------------------------------------------------------------------------------------------------- text encoders


def _with_three(file: TensorFile, given: Sequence[Path]) -> TensorFile:
    """With the encoders of Stable Diffusion 3."""
    if given:
        files = [bare(open_tensors(path)) for path in given]
        t5 = [each for each in files if _has(each, "encoder.block.0.")]
        clips = sorted((each for each in files if each not in t5), key=_text_width)
        found = dict([*zip(sd3.CLIPS, clips, strict=False), *((T5, each) for each in t5)])
        surplus = len(files) - len(found)
    else:
        paths = {part: path for part, start in NAMES.items() if (path := _find(file.path, start)) is not None}
        found = {part: open_tensors(path) for part, path in paths.items()}
        surplus = 0
    if (missing := [f"{NAMES[part]}.safetensors" for part in sd3.CLIPS if part not in found]) or surplus:
        raise CheckpointError(
            f"{file.path} is a transformer of SD3 without its text encoders; put {' and '.join(missing)} beside it or "
            f"into {FOLDERS[0]}/, or give them"
        )
    for part, companion in found.items():
        file = _joined(file, companion, _prefixed(sd3.FILES[part]))
    return file


def _with_clip(file: TensorFile, given: Sequence[Path]) -> TensorFile:
    """With the one or two encoders that its U-Net reads."""
    attention = next((name for name in file.shapes if name.startswith(UNET) and name.endswith(KEYS)), "")
    wanted = ShapesByName(file.shapes, str(file.path)).axis(attention, 1)
    paths = given or [path for start in CLIP_FILES if (path := _find(file.path, start)) is not None]
    files = sorted((bare(open_tensors(path)) for path in paths), key=_text_width)
    label = f"{UNET}label_emb.0.0.weight" in file.shapes
    alone = [[each] for each in files if _text_width(each) == wanted]
    pairs = [[a, b] for a in files for b in files if a is not b and label and _text_width(a) + _text_width(b) == wanted]
    if not (fitting := [*alone, *pairs]):
        had = f"; those at hand make {', '.join(str(_text_width(each)) for each in files)}" if files else ""
        raise CheckpointError(
            f"{file.path} is a U-Net without its text encoders, whose tokens are {wanted} wide{had}; put "
            f"clip_l.safetensors (768), clip_g.safetensors (1280) or clip_h.safetensors (1024) beside it or into "
            f"{FOLDERS[0]}/, or give them"
        )
    linear = len(file.shapes[attention.partition("transformer_blocks.")[0] + "proj_in.weight"]) == 2
    forms = {(2, True): ENCODERS[2], (1, True): ENCODERS[3], (1, False): ENCODERS[1 if linear else 0]}
    places = forms[len(fitting[0]), label].values()
    for place, companion in zip(places, fitting[0], strict=True):
        file = _joined(file, companion, _placed(companion, place))
    return file


def _text_width(file: TensorFile) -> int:
    """Channels of a text encoder's tokens."""
    for place in ("", "embeddings.", "text_model.embeddings."):
        if len(shape := file.shapes.get(f"{place}token_embedding.weight", ())) == 2:
            return shape[1]
    raise CheckpointError(f"{file.path} is no text encoder of CLIP")


def bare(file: TensorFile) -> TensorFile:
    """The encoder without the prefix that it has in a file of the whole."""
    places = [place for form in ENCODERS for place in form.values()] + [*sd3.FILES.values()]
    prefix = next((place for place in places if _has(file, place)), "")
    return _renamed(file, lambda name: name.removeprefix(prefix)) if prefix else file


Change = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


def _prefixed(place: str) -> Change:
    return lambda state: {place + name: tensor for name, tensor in state.items()}


def _placed(file: TensorFile, place: str) -> Change:
    """How the encoder's tensors are called at a place of the whole file."""
    if _has(file, "transformer.resblocks."):
        if not place.endswith(OPEN_CLIP):
            raise CheckpointError(f"{file.path} is OpenCLIP's text encoder; the U-Net reads CLIP's own")
        return _prefixed(place)
    if not place.endswith(OPEN_CLIP):
        return _prefixed(place)

    def change(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        named = convert(state, TEXT_RULES)
        shapes = ShapesByName({name: tuple(tensor.shape) for name, tensor in named.items()}, str(file.path))
        read = read_projected if place.startswith("conditioner.") else read_clip
        named = {name: tensor for name, tensor in named.items() if read is read_projected or "projection" not in name}
        return revert(named, open_clip_text.table(read(shapes, ""), place))

    return change


# ------------------------------------------------------------------------------------------------------ autoencoder


def _with_vae(file: TensorFile, path: Path) -> TensorFile:
    vae = open_tensors(path)
    if _has(vae, VAE):
        vae = _renamed(vae, lambda name: name.removeprefix(VAE))
    if _has(vae, "encoder.down_blocks."):
        config = AutoencoderKLConfig.from_json(read_json(path.with_name("config.json")), str(path))
        table: tuple[Rule, ...] = ldm_vae.table(config, VAE)
        return _joined(file, vae, lambda state: revert(convert(state, AUTOENCODER_RULES), table))
    if not (_has(vae, "encoder.down.") and _has(vae, "decoder.up.")):
        raise CheckpointError(f"{path} is no whole autoencoder of Stable Diffusion, which {file.path} lacks")
    return _joined(file, vae, _prefixed(VAE))


def _joined(file: TensorFile, companion: TensorFile, change: Change) -> TensorFile:
    """The tensors of both; `change` gives those of the companion the names that they have in a file of the whole."""
    hollow = {name: torch.empty(shape, device="meta") for name, shape in companion.shapes.items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in change(hollow).items()}
    kind = next(iter(companion.dtypes.values()), "F32")
    return replace(
        file,
        shapes={**file.shapes, **shapes},
        dtypes={**file.dtypes, **dict.fromkeys(shapes, kind)},
        metadata={**{k: v for k, v in companion.metadata.items() if k == T5_TOKENIZER}, **file.metadata},
        read=lambda: {**file.read(), **change(companion.read())},
    )
