"""The U that the block-built networks share: encoder, decoder, skips, and the way in and out."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from isonet2.networks.blocks import ConvBlock, Normalization, Upsampling

Stage = Callable[[int, int], nn.Module]
"""Makes what is done at a level, from the level's number and its channels."""


def chain(make: Callable[[bool], nn.Module], count: int) -> nn.Module:
    """Put blocks in a row; `make` is told whether the windows of each are shifted: every other."""
    return nn.Sequential(*(make(number % 2 == 1) for number in range(count)))


class Merge(nn.Module):
    """Decoder step: join with the skip by 1x1x1 convolution, then a stage."""

    def __init__(self, channels: int, stage: nn.Module) -> None:
        super().__init__()
        self.join = nn.Conv3d(2 * channels, channels, 1)
        self.stage = stage

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(b, c, z, y, x) twice to the same once."""
        return self.stage(self.join(torch.cat([skip, x], 1)))


class UShape(nn.Module):
    """Encoder and decoder around given stages, with a thin path at full size if asked for.

    Parameters
    ----------
    filters
        Channels at the top level; they double at each level.
    levels
        Times that the volume is halved, after a `patch` of 2.
    encode
        Makes the stage of each level, the bottom included.
    decode
        Makes the decoder step of each level but the bottom: a module of (x, skip).
    patch
        1 works on single voxels; 2 first halves the volume, and keeps a thin path at full size
        for the detail.
    normalization
        Of the convolutions between levels and of the full-size path.
    """

    def __init__(
        self,
        filters: int,
        levels: int,
        encode: Stage,
        decode: Stage,
        patch: int = 1,
        normalization: Normalization = "batch",
    ) -> None:
        super().__init__()
        self.multiple = patch * 2**levels
        pairs = [(filters * 2**level, filters * 2 ** (level + 1)) for level in range(levels)]
        detail = filters if patch == 1 else filters // 2
        self.first = nn.Conv3d(1, detail, 3, padding=1)
        self.shrink: nn.Module | None = None
        self.grow: nn.Module | None = None
        if patch > 1:
            self.shrink = ConvBlock(detail, filters, patch, patch, normalization)
            self.grow = Upsampling(filters, detail)
            self.blend = ConvBlock(2 * detail, detail, normalization=normalization)
        self.encoder = nn.ModuleList(encode(level, a) for level, (a, _) in enumerate(pairs))
        self.down = nn.ModuleList(ConvBlock(a, b, 2, 2, normalization) for a, b in pairs)
        self.bottom = encode(levels, filters * 2**levels)
        self.up = nn.ModuleList(Upsampling(b, a) for a, b in pairs)
        self.decoder = nn.ModuleList(decode(level, a) for level, (a, _) in enumerate(pairs))
        self.final = nn.Conv3d(detail, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 1, z, y, x) to the same shape; edges must be multiples of `self.multiple`."""
        detail = self.first(x)
        h = detail if self.shrink is None else self.shrink(detail)
        skips = []
        for encode, down in zip(self.encoder, self.down, strict=True):
            h = encode(h)
            skips.append(h)
            h = down(h)
        h = self.bottom(h)
        for level in reversed(range(len(skips))):
            h = self.decoder[level](self.up[level](h), skips[level])
        if self.grow is not None:
            h = self.blend(torch.cat([detail, self.grow(h)], 1))
        y: Tensor = self.final(h)
        return y
