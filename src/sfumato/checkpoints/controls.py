"""What steers a U-Net by a picture: ControlNets in the layout of diffusers or of their authors, and T2I-Adapters."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar, cast

from torch import Tensor

from sfumato.checkpoints.folder import read_json
from sfumato.checkpoints.parts import built, skeleton
from sfumato.checkpoints.rules import check_finite, check_same, convert
from sfumato.checkpoints.shapes import ShapesByName, read_controlnet, read_ldm_controlnet, read_t2i_adapter
from sfumato.checkpoints.tables import ldm_controlnet
from sfumato.checkpoints.tensor_file import TensorFile, open_tensors
from sfumato.errors import CheckpointError
from sfumato.families import Model
from sfumato.models.config import ModelConfig
from sfumato.models.controlnet import ControlNet, ControlNetConfig
from sfumato.models.t2i_adapter import T2IAdapter, T2IAdapterConfig
from sfumato.models.unet import Level, UNet

OTHERS = {"lllite_unet_": "a ControlNet-LLLite", "lora_controlnet": "a control LoRA", "difference": "a difference"}
"""What is known by a name, but not loaded; the last is what a ControlNet adds to the model that it was trained on."""


def load_control(file: Path, model: Model, *, allow_nonfinite: bool = False) -> ControlNet | T2IAdapter:
    """The ControlNet or T2I-Adapter in a file of weights, where and as precise as the model.

    Its `config.json` beside it counts where there is one; else the shapes of its tensors tell its form.

    Args:
        allow_nonfinite: name NaN and infinity in weights, and load them.

    Raises:
        CheckpointError: it is something else, damaged, or for models of another form.
    """
    config, state = read_control(file)
    check_same(skeleton(config, str(file)), state, str(file))
    check_finite(state, str(file), allow=allow_nonfinite)
    control = cast("ControlNet | T2IAdapter", built(config, state, str(file), dtype=model.dtype, device=model.device))
    check_control(control, model, file)
    return control


def read_control(file: Path) -> tuple[ControlNetConfig | T2IAdapterConfig, dict[str, Tensor]]:
    """Configuration and tensors, by the network's names.

    Raises:
        CheckpointError: it is neither, or its names are unknown.
    """
    opened = open_tensors(file)
    if other := next((what for mark, what in OTHERS.items() if any(n.startswith(mark) for n in opened.shapes)), None):
        raise CheckpointError(f"{file} is {other}, which is not loaded here; give a whole ControlNet")
    shapes = ShapesByName(opened.shapes, str(file))
    if "controlnet_cond_embedding.conv_in.weight" in shapes:
        return _configured(opened, ControlNetConfig) or read_controlnet(shapes), opened.read()
    if "adapter.body.0.resnets.0.block1.weight" in shapes:
        return _configured(opened, T2IAdapterConfig) or read_t2i_adapter(shapes), opened.read()
    for prefix in (ldm_controlnet.PREFIX, ""):
        if f"{prefix}input_hint_block.0.weight" in shapes:
            config = read_ldm_controlnet(shapes, prefix)
            return config, convert(opened.read(), ldm_controlnet.table(config, prefix))
    raise CheckpointError(
        f"{file} is no ControlNet; give one with controlnet_cond_embedding (diffusers) or input_hint_block, or a "
        "T2I-Adapter of diffusers"
    )


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


def check_control(control: ControlNet | T2IAdapter, model: Model, file: Path) -> None:
    """Whether a network steers the U-Net of that model.

    Raises:
        CheckpointError: it is for another form of U-Net.
    """
    if not isinstance(model.network, UNet):
        raise CheckpointError(f"{file} steers a U-Net; {model.name} ({model.family.title}) has none")
    wanted = _of_adapter(control, model) if isinstance(control, T2IAdapter) else _of_controlnet(control, model)
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
