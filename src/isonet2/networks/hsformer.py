"""Hierarchical shifted-window transformer U-Net."""

from functools import partial

from torch import nn

from isonet2.networks.attention import AttentionBlock
from isonet2.networks.blocks import (
    Count,
    Filters,
    HeadChannels,
    Levels,
    Normalization,
    Patch,
    Window,
)
from isonet2.networks.ushape import Merge, UShape, chain


class HSFormer(UShape):
    """U-Net whose levels are window attention, shifted in every other block.

    Parameters
    ----------
    filters
        Channels at the top level; they double at each level.
    levels
        Times that the volume is halved, after a `patch` of 2.
    blocks
        Attention blocks at each level of encoder and decoder.
    normalization
        Of the convolutions between levels: `batch`, `instance`, `group` or `none`.
    window
        Edge of the attention windows, voxels.
    head_channels
        Of one attention head; must divide `filters`.
    patch
        2 works at half the resolution with a thin path at full size; 1 at full resolution.
    """

    def __init__(
        self,
        filters: Filters = 48,
        levels: Levels = 3,
        blocks: Count = 2,
        normalization: Normalization = "batch",
        window: Window = 4,
        head_channels: HeadChannels = 24,
        patch: Patch = 2,
    ) -> None:
        def stage(level: int, channels: int) -> nn.Module:
            return chain(partial(AttentionBlock, channels, head_channels, window), blocks)

        def decode(level: int, channels: int) -> nn.Module:
            return Merge(channels, stage(level, channels))

        super().__init__(filters, levels, stage, decode, patch, normalization)
