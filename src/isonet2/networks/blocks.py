"""Building blocks of all architectures: convolution, normalisation, activation, residual."""

import itertools
import math
from collections.abc import Callable
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Le, MultipleOf
from torch import Tensor, nn

Normalization = Literal["batch", "instance", "group", "none"]
Padding = Literal["zeros", "replicate"]
"""What a convolution sees beyond the faces of a volume."""
Filters = Annotated[int, Ge(8), Le(512), MultipleOf(8)]
"""Channels at the top level; the limits of all of these are for networks that users define."""
Levels = Annotated[int, Ge(1), Le(5)]
"""Times that a volume is halved."""
Count = Annotated[int, Ge(1), Le(32)]
"""Blocks in a row."""
Kernel = Literal[1, 3, 5, 7]
"""Edge of a kernel that keeps the size, voxels."""
Window = Annotated[int, Ge(2), Le(16)]
"""Edge of an attention window, voxels."""
HeadChannels = Annotated[int, Ge(8), MultipleOf(8)]
"""Channels of an attention head; the fast kernels take multiples of 8."""
Patch = Literal[1, 2]
"""Edge of what the way into a network merges, voxels."""


def _group(channels: int) -> nn.Module:
    return nn.GroupNorm(math.gcd(channels, max(1, channels // 8)), channels)


NORMALIZATIONS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm3d,
    "instance": lambda channels: nn.InstanceNorm3d(channels, affine=True),
    "group": _group,
    "none": lambda channels: nn.Identity(),
}


class Convolution(nn.Conv3d):
    """A convolution that is also right on the processor for very small volumes in bfloat16.

    oneDNN's bfloat16 gradient of a kernel that is wider than the volume's half is garbage, up
    to infinity, on volumes two voxels deep (seen with torch 2.13 on a processor with AVX-512
    bfloat16); such volumes are convolved in float32.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (b, inputs, z, y, x)."""
        tiny = min(x.shape[-3:]) < max(self.kernel_size)
        if x.device.type != "cpu" or not tiny or not torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float())


class ConvBlock(nn.Sequential):
    """Convolution, normalisation, leaky ReLU.

    Parameters
    ----------
    inputs, outputs
        Channels.
    kernel
        Edge of the convolution's kernel, voxels.
    stride
        1 keeps the size; 2 halves it (with `kernel` 2).
    normalization
        One of `NORMALIZATIONS`; without one the convolution has a bias.
    padding
        What lies beyond the volume: zeros, or its outermost voxels again.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        normalization: Normalization = "batch",
        padding: Padding = "zeros",
    ) -> None:
        super().__init__(
            Convolution(
                inputs,
                outputs,
                kernel,
                stride,
                padding=kernel // 2 if stride == 1 else 0,
                padding_mode=padding,
                bias=normalization == "none",
            ),
            NORMALIZATIONS[normalization](outputs),
            nn.LeakyReLU(inplace=True),
        )


class ConvStack(nn.Module):
    """Several convolution blocks in a row, plain or with a residual connection around them."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        count: int,
        kernel: int = 3,
        normalization: Normalization = "batch",
        residual: bool = False,
        padding: Padding = "zeros",
    ) -> None:
        super().__init__()
        channels = [inputs] + [outputs] * count
        self.blocks = nn.Sequential(
            *(
                ConvBlock(a, b, kernel, normalization=normalization, padding=padding)
                for a, b in itertools.pairwise(channels)
            )
        )
        self.shortcut: nn.Module | None = None
        if residual:
            self.shortcut = nn.Identity() if inputs == outputs else nn.Conv3d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, inputs, z, y, x) to (b, outputs, z, y, x)."""
        y: Tensor = self.blocks(x)
        return y if self.shortcut is None else y + self.shortcut(x)


class Upsampling(nn.Module):
    """Twice the edges: channels mixed voxel by voxel, then values drawn linearly between voxels.

    A transposed convolution has weights of its own for each place in a cell of new voxels, and
    whatever differs between these places shows as a lattice in every result. Here all places
    come from one straight line.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.mix = nn.Conv3d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, inputs, z, y, x) to (b, outputs, 2z, 2y, 2x)."""
        y = self.mix(x).permute(0, 2, 3, 4, 1)
        for axis in (1, 2, 3):
            y = _doubled(y, axis)
        return y.permute(0, 4, 1, 2, 3)


def _doubled(x: Tensor, axis: int) -> Tensor:
    """Twice the voxels along an axis, drawn linearly; the outermost are held."""
    last = x.shape[axis] - 1
    before = torch.cat([x.narrow(axis, 0, 1), x.narrow(axis, 0, last)], axis)
    after = torch.cat([x.narrow(axis, 1, last), x.narrow(axis, last, 1)], axis)
    return torch.stack([x.lerp(before, 0.25), x.lerp(after, 0.25)], axis + 1).flatten(
        axis, axis + 1
    )
