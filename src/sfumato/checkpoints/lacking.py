"""Parts that a diffusers folder lacks, out of files that are given: an autoencoder, text encoders.

A file may be of the diffusers layout with its `config.json` beside it, or one that other programs read: an autoencoder
of latent-diffusion code, `clip_l`, `clip_g`, `clip_h` and `t5xxl`, whose form is told by their shapes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from sfumato.checkpoints.companions import bare
from sfumato.checkpoints.folder import RULES, Given, configuration, named_parts, read_json
from sfumato.checkpoints.parts import TEXT_ENCODERS, second
from sfumato.checkpoints.rules import check_finite, convert
from sfumato.checkpoints.save import T5
from sfumato.checkpoints.shapes import ShapesByName, read_clip, read_open_clip, read_projected, read_t5
from sfumato.checkpoints.single import clip_tokenizer, read_vae
from sfumato.checkpoints.tables import open_clip_text
from sfumato.checkpoints.tensor_file import TensorFile, open_tensors
from sfumato.errors import CheckpointError
from sfumato.families import NetworkConfig, family_of
from sfumato.models.autoencoder_kl import AutoencoderKLConfig
from sfumato.models.clip import CLIPTextConfig
from sfumato.models.k_unet import KUNetConfig
from sfumato.models.mmdit import MMDiTConfig

CLIP_L = 768
"""How wide CLIP's own text encoder is, which alone has `quick_gelu`."""


def lacking(folder: Path) -> list[str]:
    """The autoencoder and text encoders that the folder's network needs, or its index names, and that are not there.

    Raises:
        CheckpointError: it is no folder of a model.
    """
    index = read_json(folder / "model_index.json")
    texts = [name for name in (*TEXT_ENCODERS, T5) if name in named_parts(index)]
    wanted = ["vae", *(texts or _text_encoders(_network(folder, index)))]
    return [name for name in wanted if not (folder / name / "config.json").is_file()]


def given(
    folder: Path, *, vae: Path | None = None, text_encoders: Sequence[Path] = (), allow_nonfinite: bool = False
) -> dict[str, Given]:
    """The parts that a folder lacks, out of these files.

    Args:
        vae: used where the folder has none.
        text_encoders: of CLIP in any order, and T5.

    Raises:
        CheckpointError: a file is something else, damaged or not finite; or they are not those that the folder lacks.
    """
    missing = lacking(folder)
    found: dict[str, Given] = {}
    if vae is not None and "vae" in missing:
        config, state = read_vae(vae, _usual(folder), allow_nonfinite=allow_nonfinite)
        found["vae"] = Given(config, state)
    if not text_encoders:
        return found
    files = [bare(open_tensors(path)) for path in text_encoders]
    t5s = [file for file in files if "encoder.block.0.layer.0.layer_norm.weight" in file.shapes]
    clips = sorted((file for file in files if file not in t5s), key=_width)
    places = [name for name in missing if name in TEXT_ENCODERS]
    if len(clips) > len(places) or len(t5s) > missing.count(T5):
        lack = " and ".join(name for name in missing if name != "vae") or "no text encoder"
        raise CheckpointError(f"{folder} lacks {lack}, and is given {len(text_encoders)}; leave out what it has")
    three = "transformer" in named_parts(read_json(folder / "model_index.json"))
    for place, file in (*zip(places[: len(clips)], clips, strict=True), *((T5, file) for file in t5s)):
        found[place] = _text_encoder(place, file, projected=three or second([place]))
        check_finite(found[place].state, str(file.path), allow=allow_nonfinite)
    return found


def _network(folder: Path, index: Mapping[str, Any]) -> NetworkConfig:
    config = configuration(folder, "transformer" if "transformer" in named_parts(index) else "unet")
    assert isinstance(config, NetworkConfig)
    return config


def _text_encoders(network: NetworkConfig) -> tuple[str, ...]:
    """What a network reads, where no index says it."""
    if isinstance(network, MMDiTConfig):
        return TEXT_ENCODERS
    if isinstance(network, KUNetConfig) or network.addition_embed_type is None:
        return TEXT_ENCODERS[:1]
    return TEXT_ENCODERS[1:] if network.cross_attention_dim == 1280 else TEXT_ENCODERS  # SDXL's refiner reads one


def _usual(folder: Path) -> AutoencoderKLConfig | None:
    """The autoencoder of the folder's family, for the numbers that shapes do not tell."""
    index = read_json(folder / "model_index.json")
    network = _network(folder, index)
    texts = [name for name in TEXT_ENCODERS if name in named_parts(index)] or _text_encoders(network)
    usual = family_of(network, texts, {}, named=folder.name).autoencoder
    return usual if isinstance(usual, AutoencoderKLConfig) else None


def _width(file: TensorFile) -> int:
    """Channels of the words of a text encoder of CLIP's kind."""
    ends = [shape[1] for name, shape in file.shapes.items() if name.endswith("token_embedding.weight")]
    if not ends:
        raise CheckpointError(f"{file.path} is no text encoder of CLIP, nor T5")
    return ends[0]


def _text_encoder(place: str, file: TensorFile, *, projected: bool) -> Given:
    beside = file.path.with_name("config.json")
    shapes = ShapesByName(file.shapes, str(file.path))
    if "transformer.resblocks.0.ln_1.weight" in file.shapes:
        config = read_open_clip(shapes, "", projected=projected)
        return _clip(config, convert(file.read(), open_clip_text.table(config, "")))
    state = convert(file.read(), RULES[place])
    if place == T5:
        return Given(configuration(beside.parent, T5, beside) if beside.is_file() else read_t5(shapes, ""), state)
    if beside.is_file():
        form = configuration(beside.parent, place, beside)
        assert isinstance(form, CLIPTextConfig)
        return _clip(form, state)
    named = ShapesByName({name: tuple(tensor.shape) for name, tensor in state.items()}, str(file.path))
    config = read_projected(named, "") if projected else read_clip(named, "")
    if config.hidden_size != CLIP_L:
        config = replace(config, hidden_act="gelu", pad_token_id=0)
    return _clip(config, state)


def _clip(config: CLIPTextConfig, state: dict[str, Tensor]) -> Given:
    """With the tokenizer that it was trained with, and without a projection that it has no use for."""
    if not config.projected:
        state = {name: value for name, value in state.items() if "projection" not in name}
    padding = "!" if config.hidden_act == "gelu" else clip_tokenizer().padding
    return Given(config, state, replace(clip_tokenizer(), padding=padding, length=config.max_position_embeddings))
