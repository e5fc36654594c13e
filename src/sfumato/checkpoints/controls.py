"""What steers a U-Net by a picture, from wherever it is: a ControlNet in the layout of diffusers or of its authors."""

from pathlib import Path
from typing import cast

from torch import Tensor

from sfumato.checkpoints.folder import read_json
from sfumato.checkpoints.parts import built, skeleton
from sfumato.checkpoints.rules import check_finite, check_same, convert
from sfumato.checkpoints.shapes import ShapesByName, read_controlnet, read_ldm_controlnet
from sfumato.checkpoints.tables import ldm_controlnet
from sfumato.checkpoints.tensor_file import TensorFile, open_tensors
from sfumato.errors import CheckpointError
from sfumato.families import Model
from sfumato.models.controlnet import ControlNet, ControlNetConfig
from sfumato.models.unet import UNet, UNetConfig

OTHERS = {"lllite_unet_": "a ControlNet-LLLite", "lora_controlnet": "a control LoRA", "difference": "a difference"}
"""What is known by a name, but not loaded; the last is what a ControlNet adds to the model that it was trained on."""


def load_control(file: Path, model: Model, *, allow_nonfinite: bool = False) -> ControlNet:
    """The ControlNet in a file of weights, where and as precise as the model.

    Its `config.json` beside it counts where there is one; else the shapes of its tensors tell its form.

    Args:
        allow_nonfinite: name NaN and infinity in weights, and load them.

    Raises:
        CheckpointError: it is something else, damaged, or for models of another form.
    """
    config, state = read_control(file)
    check_same(skeleton(config, str(file)), state, str(file))
    check_finite(state, str(file), allow=allow_nonfinite)
    control = cast("ControlNet", built(config, state, str(file), dtype=model.dtype, device=model.device))
    check_control(control, model, file)
    return control


def read_control(file: Path) -> tuple[ControlNetConfig, dict[str, Tensor]]:
    """Configuration and tensors, by the network's names.

    Raises:
        CheckpointError: it is no ControlNet, or its names are unknown.
    """
    opened = open_tensors(file)
    if other := next((what for mark, what in OTHERS.items() if any(n.startswith(mark) for n in opened.shapes)), None):
        raise CheckpointError(f"{file} is {other}, which is not loaded here; give a whole ControlNet")
    shapes = ShapesByName(opened.shapes, str(file))
    if "controlnet_cond_embedding.conv_in.weight" in shapes:
        return _configured(opened) or read_controlnet(shapes), opened.read()
    for prefix in (ldm_controlnet.PREFIX, ""):
        if f"{prefix}input_hint_block.0.weight" in shapes:
            config = read_ldm_controlnet(shapes, prefix)
            return config, convert(opened.read(), ldm_controlnet.table(config, prefix))
    raise CheckpointError(
        f"{file} is no ControlNet; give one with controlnet_cond_embedding (diffusers) or input_hint_block"
    )


def _configured(file: TensorFile) -> ControlNetConfig | None:
    """What the `config.json` beside a file says, if it is that of a ControlNet."""
    beside = file.path.with_name("config.json")
    if not beside.is_file():
        return None
    data = read_json(beside)
    if data.get("_class_name", ControlNetConfig.class_name) != ControlNetConfig.class_name:
        return None
    return ControlNetConfig.from_json(data, str(beside))


def check_control(control: ControlNet, model: Model, file: Path) -> None:
    """Whether a ControlNet steers the U-Net of that model.

    Raises:
        CheckpointError: it is for another form of U-Net.
    """
    if not isinstance(model.network, UNet):
        raise CheckpointError(f"{file} steers a U-Net; {model.name} ({model.family.title}) has none")
    ours, theirs = model.network.config, control.config
    channels = ours.in_channels if theirs.in_channels == ours.in_channels else ours.out_channels
    wanted = (
        ("skips of widths", control.skips, model.network.skips),
        ("tokens of width", theirs.cross_attention_dim, ours.cross_attention_dim),
        ("latents of channels", theirs.in_channels, channels),
        ("a label of width", _label(theirs), _label(ours)),
    )
    for what, given, needed in wanted:
        if given != needed:
            raise CheckpointError(
                f"{file} is a ControlNet for {what} {given}, and {model.name} ({model.family.title}) has {needed}; "
                "give one made for this family"
            )


def _label(config: UNetConfig) -> int:
    return config.projection_class_embeddings_input_dim or 0
