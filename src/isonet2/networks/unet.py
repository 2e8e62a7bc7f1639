"""The 3-D U-Net: contracting and expanding paths joined by skip connections."""

import itertools
from typing import Literal

import torch
from torch import Tensor, nn

from isonet2.networks.blocks import (
    ConvBlock,
    ConvStack,
    Count,
    Filters,
    Kernel,
    Levels,
    Normalization,
    Padding,
    Upsampling,
)

LARGEST_WIDTH = 320


class UNet(nn.Module):
    """U-Net; skip connections carry what may pass through unchanged.

    Parameters
    ----------
    filters
        Channels at the top level; they double at each level, up to 320.
    levels
        Times that the volume is halved.
    convolutions
        Convolutions per block (one less at the bottom).
    kernel
        Edge of their kernels, voxels.
    normalization
        `batch`, `instance`, `group` or `none`.
    residual
        Put a residual connection around each block, which the published program does not.
    add_input
        Add the input to the output, as the published program does. All noise then has to be
        cancelled exactly, which takes far longer to learn than to leave it out.
    padding
        What convolutions below the top level see beyond the volume. To a bottleneck of a few
        voxels zeros are most of what it knows, and a volume of another size is unknown land.
    upsampling
        `linear`, or `transposed` convolutions as in the published program, which can print a
        lattice.
    """

    def __init__(
        self,
        filters: Filters = 32,
        levels: Levels = 4,
        convolutions: Count = 3,
        kernel: Kernel = 3,
        normalization: Normalization = "batch",
        residual: bool = True,
        add_input: bool = False,
        padding: Padding = "replicate",
        upsampling: Literal["linear", "transposed"] = "linear",
    ) -> None:
        super().__init__()
        self.add_input = add_input
        self.multiple = 2**levels
        width = [min(LARGEST_WIDTH, filters * 2**level) for level in range(levels + 1)]

        def stack(level: int, inputs: int, count: int) -> ConvStack:
            beyond: Padding = padding if level else "zeros"
            return ConvStack(inputs, width[level], count, kernel, normalization, residual, beyond)

        def up(inputs: int, outputs: int) -> nn.Module:
            if upsampling == "transposed":
                return nn.ConvTranspose3d(inputs, outputs, 2, 2)
            return Upsampling(inputs, outputs)

        pairs = list(itertools.pairwise(width))
        self.first = nn.Conv3d(1, width[0], kernel, padding=kernel // 2)
        self.encoder = nn.ModuleList(stack(n, a, convolutions) for n, (a, _) in enumerate(pairs))
        self.down = nn.ModuleList(ConvBlock(a, b, 2, 2, normalization) for a, b in pairs)
        self.bottom = stack(levels, width[-1], convolutions - 1)
        self.up = nn.ModuleList(up(b, a) for a, b in pairs)
        self.decoder = nn.ModuleList(
            stack(n, 2 * a, convolutions) for n, (a, _) in enumerate(pairs)
        )
        self.activation = nn.LeakyReLU(inplace=True)
        self.final = nn.Conv3d(width[0], 1, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 1, z, y, x) to the same shape; edges must be multiples of `self.multiple`."""
        skips = []
        h = self.first(x)
        for encode, down in zip(self.encoder, self.down, strict=True):
            h = encode(h)
            skips.append(h)
            h = down(h)
        h = self.bottom(h)
        for level in reversed(range(len(skips))):
            h = self.activation(torch.cat([skips[level], self.up[level](h)], 1))
            h = self.decoder[level](h)
        y: Tensor = self.final(h)
        return x + y if self.add_input else y
