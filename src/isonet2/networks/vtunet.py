"""Volumetric transformer U-Net: its decoder looks up the encoder's voxels by cross attention."""

from functools import partial

from torch import Tensor, nn

from isonet2.networks.attention import (
    AttentionBlock,
    GatedMLP,
    WindowAttention,
    channels_before,
    channels_behind,
)
from isonet2.networks.blocks import (
    Count,
    Filters,
    HeadChannels,
    Levels,
    Normalization,
    Patch,
    Window,
)
from isonet2.networks.ushape import UShape, chain


class CrossAttentionBlock(nn.Module):
    """Attention to the block's own voxels and to those of a skip, averaged; then a perceptron.

    Parameters
    ----------
    channels, head_channels, window, shifted
        As in `WindowAttention`.
    """

    def __init__(self, channels: int, head_channels: int, window: int, shifted: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.skip_norm = nn.LayerNorm(channels)
        self.inside = WindowAttention(channels, head_channels, window, shifted)
        self.across = WindowAttention(channels, head_channels, window, shifted)
        self.mlp = nn.Sequential(nn.LayerNorm(channels), GatedMLP(channels))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(b, c, z, y, x) twice to the same once."""
        h, context = channels_behind(x), self.skip_norm(channels_behind(skip))
        own = self.norm(h)
        h = h + (self.inside(own) + self.across(own, context)) / 2
        h = h + self.mlp(h)
        return channels_before(h)


class CrossStage(nn.Module):
    """Decoder step: cross attention blocks in a row, all with the same skip."""

    def __init__(self, channels: int, head_channels: int, window: int, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            CrossAttentionBlock(channels, head_channels, window, number % 2 == 1)
            for number in range(blocks)
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(b, c, z, y, x) twice to the same once."""
        for block in self.blocks:
            x = block(x, skip)
        return x


class VTUNet(UShape):
    """Volumetric transformer U-Net.

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

    Notes
    -----
    The cross attention of the decoder is after Peiris et al., A robust volumetric transformer
    for accurate 3D tumor segmentation, 2022.
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
            return CrossStage(channels, head_channels, window, blocks)

        super().__init__(filters, levels, stage, decode, patch, normalization)
