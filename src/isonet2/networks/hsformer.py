"""Hierarchical shifted-window transformer U-Net."""

from functools import partial

from torch import nn

from isonet2.networks.attention import AttentionBlock
from isonet2.networks.ushape import chain
from isonet2.networks.windowed import Level, WindowedUShape


class HSFormer(WindowedUShape):
    """U-Net whose levels are window attention, shifted in every other block."""

    def stage(self, level: Level) -> nn.Module:
        """Make the attention blocks of one level."""
        block = partial(AttentionBlock, level.channels, level.head_channels, level.window)
        return chain(block, level.blocks)
