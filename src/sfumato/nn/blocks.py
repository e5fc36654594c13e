"""Convolutional blocks shared by the U-Net and the autoencoders. Names follow the diffusers state-dict layout."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sfumato.nn.embeddings import in_fours
from sfumato.nn.norms import GroupNorm


class ResnetBlock(nn.Module):
    """norm-silu-conv twice with a shortcut; `time_channels` adds the projected time embedding in between."""

    def __init__(
        self, c_in: int, c_out: int, *, time_channels: int | None = None, groups: int = 32, eps: float = 1e-6
    ) -> None:
        super().__init__()
        self.norm1 = GroupNorm(groups, c_in, eps=eps)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.time_emb_proj = nn.Linear(time_channels, c_out) if time_channels is not None else None
        self.norm2 = GroupNorm(groups, c_out, eps=eps)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else None

    def forward(
        self, x: Float[Tensor, "b c h w"], time: Float[Tensor, "b t"] | None = None
    ) -> Float[Tensor, "b k h w"]:
        y = self.conv1(F.silu(self.norm1(x)))
        if self.time_emb_proj is not None and time is not None:
            y += in_fours(self.time_emb_proj, F.silu(time))[:, :, None, None]
        y = self.conv2(F.silu(self.norm2(y)))
        return y.add_(x if self.conv_shortcut is None else self.conv_shortcut(x))


class Downsample(nn.Module):
    """Halve height and width by a strided 3x3 convolution.

    `asymmetric` pads right and bottom only, as the KL autoencoder was trained; the U-Net pads all sides.
    """

    def __init__(self, channels: int, *, asymmetric: bool = False) -> None:
        super().__init__()
        self.asymmetric = asymmetric
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=0 if asymmetric else 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)) if self.asymmetric else x)


class Upsample(nn.Module):
    """Double height and width (or reach `size`) by nearest neighbour, then a 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        if size is None:
            size = (2 * x.shape[2], 2 * x.shape[3])
        return self.conv(F.interpolate(x, size=size, mode="nearest"))
