"""Volumetric transformer U-Net: its decoder looks up the encoder's voxels by cross attention."""

from torch import Tensor, nn

from isonet2.networks.attention import (
    GatedMLP,
    WindowAttention,
    channels_before,
    channels_behind,
)
from isonet2.networks.hsformer import HSFormer
from isonet2.networks.windowed import Level


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


class VTUNet(HSFormer):
    """Volumetric transformer U-Net.

    Notes
    -----
    The cross attention of the decoder is after Peiris et al., A robust volumetric transformer
    for accurate 3D tumor segmentation, 2022.
    """

    def step(self, level: Level) -> nn.Module:
        """Make the decoder step of one level: a module of (x, skip)."""
        return CrossStage(level.channels, level.head_channels, level.window, level.blocks)
