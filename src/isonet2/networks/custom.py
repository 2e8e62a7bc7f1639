"""A U of blocks that its user chooses for each level."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

from annotated_types import MaxLen, MinLen
from torch import nn

from isonet2.networks.attention import AttentionBlock
from isonet2.networks.blocks import (
    ConvBlock,
    ConvStack,
    Filters,
    HeadChannels,
    Kernel,
    Normalization,
    Patch,
    Window,
)
from isonet2.networks.scunet import SwinConvBlock
from isonet2.networks.ushape import Merge, UShape

BlockKind = Literal["conv", "residual", "attention", "swin_conv"]
BlockLists = Annotated[list[Annotated[list[BlockKind], MinLen(1)]], MinLen(2), MaxLen(6)]
"""Blocks of each level, from the top to the bottom."""


class CustomNet(UShape):
    """U-Net of a list of blocks for each level.

    Parameters
    ----------
    blocks
        For each level from the top to the bottom, what is done there, in the encoder and again
        in the decoder: `conv` (convolution, normalisation, leaky ReLU), `residual` (two of them
        with a residual connection), `attention` (window attention and gated perceptron), or
        `swin_conv` (convolution and attention side by side). Every other attention of a level
        has shifted windows.
    filters
        Channels at the top level; they double at each level.
    kernel
        Edge of the kernels of `conv` and `residual`, voxels.
    normalization
        Of the convolutions: `batch`, `instance`, `group` or `none`.
    window
        Edge of the attention windows, voxels.
    head_channels
        Of one attention head; must divide the channels of each level that has attention, and
        half of them for `swin_conv`.
    patch
        2 works at half the resolution with a thin path at full size; 1 at full resolution.
    """

    def __init__(
        self,
        blocks: BlockLists,
        filters: Filters = 32,
        kernel: Kernel = 3,
        normalization: Normalization = "batch",
        window: Window = 4,
        head_channels: HeadChannels = 16,
        patch: Patch = 1,
    ) -> None:
        def attention(channels: int, shifted: bool) -> nn.Module:
            return AttentionBlock(channels, head_channels, window, shifted)

        def swin_conv(channels: int, shifted: bool) -> nn.Module:
            return SwinConvBlock(channels, head_channels, window, shifted, normalization)

        plain: dict[str, Callable[..., nn.Module]] = {
            "conv": partial(ConvBlock, kernel=kernel, normalization=normalization),
            "residual": partial(
                ConvStack, count=2, kernel=kernel, normalization=normalization, residual=True
            ),
        }
        windowed = {"attention": attention, "swin_conv": swin_conv}

        def stage(level: int, channels: int) -> nn.Module:
            chosen: list[nn.Module] = []
            shifted = False
            beyond = "replicate" if level else "zeros"
            for name in blocks[level]:
                if name in plain:
                    chosen.append(plain[name](channels, channels, padding=beyond))
                else:
                    chosen.append(windowed[name](channels, shifted))
                    shifted = not shifted
            return nn.Sequential(*chosen)

        def decode(level: int, channels: int) -> nn.Module:
            return Merge(channels, stage(level, channels))

        super().__init__(filters, len(blocks) - 1, stage, decode, patch, normalization)
