"""Whatever steers a denoising network by a picture."""

from sfumato.models.controlnet import ControlNet, ControlNetConfig
from sfumato.models.sd3_controlnet import SD3ControlNet, SD3ControlNetConfig
from sfumato.models.t2i_adapter import T2IAdapter, T2IAdapterConfig

ControlNetwork = ControlNet | SD3ControlNet | T2IAdapter
ControlConfig = ControlNetConfig | SD3ControlNetConfig | T2IAdapterConfig
