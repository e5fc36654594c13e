"""IP-Adapters in their authors' layout, and the picture encoders that they were trained with."""

from pathlib import Path
from typing import cast

from sfumato.checkpoints.folder import read_json, weights_files
from sfumato.checkpoints.parts import built, skeleton
from sfumato.checkpoints.rules import check_finite, check_same
from sfumato.checkpoints.shapes import ShapesByName
from sfumato.checkpoints.tensor_file import TensorFile, open_tensors
from sfumato.errors import CheckpointError
from sfumato.model import Model
from sfumato.models.clip_vision import CLIPVisionConfig, CLIPVisionEncoder
from sfumato.models.ip_adapter import HEAD, IPAdapter, IPAdapterConfig, widths_of
from sfumato.models.unet import UNet

ENCODER = "image_encoder"
"""The folder of a picture encoder."""
OTHERS = {
    "image_proj.proj.3.weight": "a full-face IP-Adapter",
    "image_proj.perceiver_resampler.proj_in.weight": "a FaceID IP-Adapter",
    "image_proj.norm.weight": "a FaceID IP-Adapter",
}
"""Kinds that are known, but not loaded, by a tensor; the last where it has no `proj` of its own."""


def load_ip_adapter(file: Path, model: Model, *, allow_nonfinite: bool = False) -> IPAdapter:
    """The adapter in a file, where and as precise as the model.

    Raises:
        CheckpointError: it is something else, damaged, or for another form of U-Net.
    """
    opened = open_tensors(file)
    config = read_ip_adapter(opened, file)
    if not isinstance(model.network, UNet):
        raise CheckpointError(f"{file} is for a U-Net; {model.name} ({model.family.title}) has none")
    ours = model.network.config.cross_attention_dim, widths_of(model.network)
    if (config.cross_attention_dim, config.widths) != ours:
        raise CheckpointError(
            f"{file} is an IP-Adapter for {len(config.widths)} cross-attentions of tokens of width "
            f"{config.cross_attention_dim}, and {model.name} ({model.family.title}) has {len(ours[1])} of {ours[0]}; "
            "give one made for this family"
        )
    state = opened.read()
    check_same(skeleton(config, str(file)), state, str(file))
    check_finite(state, str(file), allow=allow_nonfinite)
    return cast("IPAdapter", built(config, state, str(file), dtype=model.dtype, device=model.device))


def read_ip_adapter(opened: TensorFile, file: Path) -> IPAdapterConfig:
    """The configuration that shapes tell.

    Raises:
        CheckpointError: it is no IP-Adapter, or one of a kind that is not loaded.
    """
    shapes = ShapesByName(opened.shapes, str(file))
    keys = shapes.every("ip_adapter.{}.to_k_ip.weight", 2, 1)
    if not keys:
        raise CheckpointError(
            f"{file} is no IP-Adapter; its tensors would be image_proj... and ip_adapter.1.to_k_ip..."
        )
    context, widths = shapes.axis(keys[0], 1), tuple(shapes.axis(key, 0) for key in keys)
    if "image_proj.proj.weight" in shapes:
        out, width = (shapes.axis("image_proj.proj.weight", axis) for axis in (0, 1))
        return IPAdapterConfig(width, context, out // context, widths)
    if "image_proj.latents" in shapes:
        tokens, width = (shapes.axis("image_proj.latents", axis) for axis in (1, 2))
        heads = shapes.axis("image_proj.layers.0.0.to_q.weight", 0) // HEAD
        depth = shapes.count("image_proj.layers.{}.0.to_q.weight")
        return IPAdapterConfig(
            shapes.axis("image_proj.proj_in.weight", 1), context, tokens, widths, (width, heads, depth)
        )
    kind = next((what for mark, what in OTHERS.items() if mark in shapes), "an IP-Adapter of an unknown kind")
    raise CheckpointError(f"{file} is {kind}, which is not loaded here; give a plain or a plus one")


def encoder_of(adapter: IPAdapter, file: Path, model: Model, given: Path | None) -> Path:
    """Where the picture encoder of an adapter is: as given, beside its file or one folder up, or in the model's folder.

    Raises:
        CheckpointError: there is none that gives what the adapter reads.
    """
    up = file.resolve().parent
    beside = [up / ENCODER, up.parent / ENCODER, up.parent / "models" / ENCODER, model.path / ENCODER]
    places = [place for place in beside if place.is_dir()] if given is None else [given]
    for place in places:
        config = _config(place)
        read = config.projection_dim if adapter.config.resampler is None else config.hidden_size
        if read == adapter.config.image_dim:
            return place
    known = f"; {', '.join(map(str, places))} gives another" if places else ""
    raise CheckpointError(
        f"{file} reads what a picture encoder (CLIP) of width {adapter.config.image_dim} sees{known}; give its folder "
        f"as --image-encoder, or put it beside as {ENCODER}"
    )


def _config(place: Path) -> CLIPVisionConfig:
    """What its `config.json` says, or the shapes of a file without one."""
    beside = (place if place.is_dir() else place.parent) / "config.json"
    if beside.is_file():
        return CLIPVisionConfig.from_json(read_json(beside), str(beside))
    shapes = ShapesByName(open_tensors(_weights(place)).shapes, str(place))
    hidden = shapes.axis("vision_model.pre_layrnorm.weight", 0)
    patch = shapes.axis("vision_model.embeddings.patch_embedding.weight", 2)
    side = round((shapes.axis("vision_model.embeddings.position_embedding.weight", 0) - 1) ** 0.5) * patch
    return CLIPVisionConfig(
        hidden_size=hidden,
        intermediate_size=shapes.axis("vision_model.encoder.layers.0.mlp.fc1.weight", 0),
        num_hidden_layers=shapes.count("vision_model.encoder.layers.{}.mlp.fc1.weight"),
        patch_size=patch,
        image_size=side,
        projection_dim=shapes.axis("visual_projection.weight", 0),
        hidden_act="quick_gelu" if hidden == 1024 else "gelu",  # ViT-L/14 is OpenAI's, the others OpenCLIP's
    )


def _weights(place: Path) -> Path:
    if not place.is_dir():
        return place
    [file, *others] = weights_files(place, "model")
    if others:
        raise CheckpointError(f"{place} has its weights in {len(others) + 1} files; they must be one here")
    return file


def load_picture_encoder(place: Path, model: Model, *, allow_nonfinite: bool = False) -> CLIPVisionEncoder:
    """The encoder in a folder of transformers, or in a file, where and as precise as the model.

    Raises:
        CheckpointError: it is something else, or damaged.
    """
    config, file = _config(place), _weights(place)
    state = {
        name: tensor
        for name, tensor in open_tensors(file).read().items()
        if not name.endswith("embeddings.position_ids")
    }
    check_same(skeleton(config, str(file)), state, str(file))
    check_finite(state, str(file), allow=allow_nonfinite)
    return cast("CLIPVisionEncoder", built(config, state, str(file), dtype=model.dtype, device=model.device))
