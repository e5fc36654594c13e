"""What steers a denoising network by a picture: ControlNets in the layout of diffusers or of their authors, control
LoRAs, which are what a ControlNet adds to its model's own weights, and T2I-Adapters.
"""

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import TypeVar, cast

from torch import Tensor

from sfumato.checkpoints.folder import read_json
from sfumato.checkpoints.parts import built, skeleton
from sfumato.checkpoints.rules import check_finite, check_same, convert
from sfumato.checkpoints.shapes import (
    ShapesByName,
    read_controlnet,
    read_ldm_controlnet,
    read_sd3_controlnet,
    read_t2i_adapter,
)
from sfumato.checkpoints.tables import ldm_controlnet, sd3_controlnet
from sfumato.checkpoints.tensor_file import TensorFile, open_tensors
from sfumato.errors import CheckpointError
from sfumato.model import Model
from sfumato.models.config import ModelConfig
from sfumato.models.controlnet import ControlNet, ControlNetConfig
from sfumato.models.controls import ControlConfig, ControlNetwork
from sfumato.models.mmdit import MMDiT
from sfumato.models.sd3_controlnet import CANNY, SINCOS, SD3ControlNet, SD3ControlNetConfig
from sfumato.models.t2i_adapter import T2IAdapter, T2IAdapterConfig
from sfumato.models.unet import Level, UNet

LORA = "lora_controlnet"
"""The mark of a control LoRA."""
OTHERS = {"lllite_unet_": "a ControlNet-LLLite", "difference": "a difference"}
"""What is known by a name, but not loaded; the last is what a ControlNet adds to the model that it was trained on."""


def load_control(file: Path, model: Model, *, allow_nonfinite: bool = False) -> ControlNetwork:
    """The ControlNet or T2I-Adapter in a file of weights, where and as precise as the model.

    Its `config.json` beside it counts where there is one; else the shapes of its tensors tell its form.

    Args:
        allow_nonfinite: name NaN and infinity in weights, and load them.

    Raises:
        CheckpointError: it is something else, damaged, or for models of another form.
    """
    opened = open_tensors(file)
    config, state = _low_rank(opened, model) if LORA in opened.shapes else read_control(opened)
    check_control(cast("ControlNetwork", skeleton(config, str(file))), model, file)
    if isinstance(config, SD3ControlNetConfig) and not config.use_pos_embed:
        config, state = _lent_positions(config, state, model)
    check_same(skeleton(config, str(file)), state, str(file))
    check_finite(state, str(file), allow=allow_nonfinite)
    return cast("ControlNetwork", built(config, state, str(file), dtype=model.dtype, device=model.device))


def read_control(opened: TensorFile) -> tuple[ControlConfig, dict[str, Tensor]]:
    """Configuration and tensors, by the network's names.

    Raises:
        CheckpointError: it is no network that is loaded here, or its names are unknown.
    """
    file = opened.path
    if other := next((what for mark, what in OTHERS.items() if any(n.startswith(mark) for n in opened.shapes)), None):
        raise CheckpointError(f"{file} is {other}, which is not loaded here; give a whole ControlNet")
    shapes = ShapesByName(opened.shapes, str(file))
    if "pos_embed_input.proj.weight" in shapes:
        return _sd3(opened, shapes)
    if "controlnet_cond_embedding.conv_in.weight" in shapes:
        return _configured(opened, ControlNetConfig) or read_controlnet(shapes), opened.read()
    if "adapter.body.0.resnets.0.block1.weight" in shapes:
        return _configured(opened, T2IAdapterConfig) or read_t2i_adapter(shapes), opened.read()
    for prefix in (ldm_controlnet.PREFIX, ""):
        if f"{prefix}input_hint_block.0.weight" in shapes:
            config = read_ldm_controlnet(shapes, prefix)
            return config, convert(opened.read(), ldm_controlnet.table(config, prefix))
    raise CheckpointError(
        f"{file} is no ControlNet; give one with controlnet_cond_embedding or pos_embed_input (diffusers), "
        "input_hint_block or lora_controlnet, or a T2I-Adapter of diffusers"
    )


def _sd3(opened: TensorFile, shapes: ShapesByName) -> tuple[SD3ControlNetConfig, dict[str, Tensor]]:
    """A ControlNet of SD 3. Which of Stability's is for edges, their files say, and the name of a folder."""
    fused = "transformer_blocks.0.attn.qkv.weight" in shapes
    config = _configured(opened, SD3ControlNetConfig) or read_sd3_controlnet(shapes, fused=fused)
    state = opened.read()
    if fused:
        kind = state.get(sd3_controlnet.TYPE)
        config = replace(config, control_type=None if kind is None else int(kind.item()))
        state = convert(state, sd3_controlnet.table(config))
    elif config.joint_attention_dim is None and "canny" in f"{opened.path.parent.name} {opened.path.name}".lower():
        config = replace(config, control_type=CANNY)
    return config, state


def _lent_positions(
    config: SD3ControlNetConfig, state: dict[str, Tensor], model: Model
) -> tuple[SD3ControlNetConfig, dict[str, Tensor]]:
    """The same with the transformer's first layer, which such a ControlNet has no copy of."""
    network = cast("MMDiT", model.network)
    theirs = {f"pos_embed.{name}": tensor for name, tensor in network.pos_embed.state_dict().items()}
    side, most = network.config.sample_size, network.config.pos_embed_max_size
    own = replace(config, use_pos_embed=True, pos_embed_type=SINCOS, sample_size=side, pos_embed_max_size=most)
    return own, {**state, **theirs}


def _low_rank(opened: TensorFile, model: Model) -> tuple[ControlNetConfig, dict[str, Tensor]]:
    """The ControlNet of a control LoRA (https://huggingface.co/stabilityai/control-lora): each tensor is the file's, or
    the model's own, to which the product of two low-rank factors is added where the file has them.

    Raises:
        CheckpointError: the model has no U-Net, or factors do not fit its weights.
    """
    file, unet = opened.path, model.network
    if not isinstance(unet, UNet):
        raise CheckpointError(f"{file} steers a U-Net; {model.name} ({model.family.title}) has none")
    shapes = ShapesByName(opened.shapes, str(file))
    hints = shapes.every("input_hint_block.{}.weight", 4)
    if not hints:
        raise shapes.fail("it sees no picture")
    same = {field.name: getattr(unet.config, field.name) for field in fields(unet.config)}
    config = ControlNetConfig(
        **{
            **same,
            "up_block_types": (),
            "conditioning_channels": shapes.axis(hints[0], 1),
            "conditioning_embedding_out_channels": tuple(shapes.axis(name, 0) for name in hints),
        }
    )
    given = {name: tensor for name, tensor in opened.read().items() if name != LORA}
    found = convert(given, ldm_controlnet.table(config))
    own = skeleton(config, str(file)).state_dict()
    state = {name: tensor for name, tensor in unet.state_dict().items() if name in own}
    for name, tensor in found.items():
        module, _, kind = name.rpartition(".")
        if kind == "down":
            continue
        if kind != "up":
            state[name] = tensor
            continue
        weight, down = state.get(f"{module}.weight"), found.get(f"{module}.down")
        if weight is None or down is None:
            raise CheckpointError(f"{file} does not fit: {name!r} has no weight or no {module}.down")
        try:
            change = (tensor.flatten(1).float() @ down.flatten(1).float()).reshape(weight.shape)
        except RuntimeError as error:
            raise CheckpointError(
                f"{file} does not fit: the product of {module}.up and .down is not {tuple(weight.shape)}, as in "
                f"{model.name} ({model.family.title}); give one made for this family"
            ) from error
        state[f"{module}.weight"] = weight.float() + change.to(weight.device)
    return config, state


Config = TypeVar("Config", bound=ModelConfig)


def _configured(file: TensorFile, kind: type[Config]) -> Config | None:
    """What the `config.json` beside a file says, if it is of that kind."""
    beside = file.path.with_name("config.json")
    if not beside.is_file():
        return None
    data = read_json(beside)
    if data.get("_class_name", kind.class_name) != kind.class_name:
        return None
    return kind.from_json(data, str(beside))


def check_control(control: ControlNetwork, model: Model, file: Path) -> None:
    """Whether a network steers the denoising network of that model.

    Raises:
        CheckpointError: it is for another form of network.
    """
    steers, what = (UNet, "a U-Net") if not isinstance(control, SD3ControlNet) else (MMDiT, "a transformer")
    if not isinstance(model.network, steers):
        raise CheckpointError(
            f"{file} steers {what}; {model.name} ({model.family.title}) has none; give one made for this family"
        )
    if isinstance(control, SD3ControlNet):
        wanted = _of_sd3(control, model)
    elif isinstance(control, T2IAdapter):
        wanted = _of_adapter(control, model)
    else:
        wanted = _of_controlnet(control, model)
    for what, given, needed in wanted:
        if given != needed:
            kind = control.config.class_name.removesuffix("Model").replace("T2IA", "T2I-A")
            raise CheckpointError(
                f"{file} is a {kind} for {what} {given}, and {model.name} ({model.family.title}) has {needed}; "
                "give one made for this family"
            )


def _of_controlnet(control: ControlNet, model: Model) -> Iterator[tuple[str, object, object]]:
    """What must be the same: in words, of the control, of the model."""
    unet = cast("UNet", model.network)
    ours, theirs = unet.config, control.config
    yield "skips of widths", control.skips, unet.skips
    yield "tokens of width", theirs.cross_attention_dim, ours.cross_attention_dim
    channels = ours.in_channels if theirs.in_channels == ours.in_channels else ours.out_channels
    yield "latents of channels", theirs.in_channels, channels
    factor = 1 << (len(theirs.conditioning_embedding_out_channels) - 1)
    yield "latents of so many pixels a side:", factor, model.autoencoder.factor
    labels = [each.projection_class_embeddings_input_dim or 0 for each in (theirs, ours)]
    yield "a label of width", labels[0], labels[1]


def _of_sd3(control: SD3ControlNet, model: Model) -> Iterator[tuple[str, object, object]]:
    """Likewise."""
    ours, theirs = cast("MMDiT", model.network).config, control.config
    yield "tokens of the picture of width", theirs.width, ours.width
    yield "patches of sides", theirs.patch_size, ours.patch_size
    yield "latents of channels", theirs.in_channels, ours.in_channels
    seen = ours.joint_attention_dim
    yield (
        "tokens of the text of width",
        seen if theirs.joint_attention_dim is None else theirs.joint_attention_dim,
        seen,
    )
    yield "a pooled vector of width", theirs.pooled_projection_dim, ours.pooled_projection_dim
    yield "a picture of channels beside its latents:", theirs.extra_conditioning_channels, 0


def _of_adapter(control: T2IAdapter, model: Model) -> Iterator[tuple[str, object, object]]:
    """Likewise; of a feature more than levels the middle's."""
    unet = cast("UNet", model.network)
    widths, levels = unet.config.block_out_channels, cast("list[Level]", list(unet.down_blocks))
    strides = [
        model.autoencoder.factor << (i if level.attentions or not level.downsamplers else i + 1)
        for i, level in enumerate(levels)
    ]
    given = list(zip(control.config.widths, control.config.strides, strict=True))
    needed = [*zip(widths, strides, strict=True), (widths[-1], model.autoencoder.factor << (len(widths) - 1))]
    yield "levels of widths and strides", given, needed[: max(len(given), len(levels))]
