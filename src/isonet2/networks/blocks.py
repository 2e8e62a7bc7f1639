"""Building blocks of all architectures: convolution, normalisation, activation, residual."""

import itertools
from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

Normalization = Literal["batch", "instance", "group", "none"]


def _group(channels: int) -> nn.Module:
    return nn.GroupNorm(max(1, channels // 8), channels)


NORMALIZATIONS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm3d,
    "instance": lambda channels: nn.InstanceNorm3d(channels, affine=True),
    "group": _group,
    "none": lambda channels: nn.Identity(),
}


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
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        normalization: Normalization = "batch",
    ) -> None:
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(
            nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=normalization == "none"),
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
    ) -> None:
        super().__init__()
        channels = [inputs] + [outputs] * count
        self.blocks = nn.Sequential(
            *(
                ConvBlock(a, b, kernel, normalization=normalization)
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
