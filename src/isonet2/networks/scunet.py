"""Swin-Conv U-Net: convolution and shifted-window attention side by side in every block."""

import torch
from torch import Tensor, nn

from isonet2.networks.attention import AttentionBlock
from isonet2.networks.blocks import (
    ConvStack,
    Count,
    Filters,
    HeadChannels,
    Levels,
    Normalization,
    Patch,
    Window,
)
from isonet2.networks.ushape import Merge, UShape, chain


class SwinConvBlock(nn.Module):
    """Half of the channels through convolutions, half through attention; joined and added.

    Parameters
    ----------
    channels
        Of input and output; even.
    head_channels, window, shifted
        Of the attention.
    normalization
        Of the convolutions.
    """

    def __init__(
        self,
        channels: int,
        head_channels: int,
        window: int,
        shifted: bool,
        normalization: Normalization = "batch",
    ) -> None:
        super().__init__()
        half = channels // 2
        self.split = nn.Conv3d(channels, channels, 1)
        self.convolution = ConvStack(
            half, half, 2, normalization=normalization, residual=True, padding="replicate"
        )
        self.attention = AttentionBlock(half, head_channels, window, shifted)
        self.join = nn.Conv3d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, z, y, x) to the same."""
        near, far = self.split(x).chunk(2, 1)
        return x + self.join(torch.cat([self.convolution(near), self.attention(far)], 1))


class SCUNet(UShape):
    """Swin-Conv U-Net in three dimensions.

    Parameters
    ----------
    filters
        Channels at the top level; they double at each level.
    levels
        Times that the volume is halved, after a `patch` of 2.
    blocks
        Swin-Conv blocks at each level of encoder and decoder.
    normalization
        Of the convolutions: `batch`, `instance`, `group` or `none`.
    window
        Edge of the attention windows, voxels.
    head_channels
        Of one attention head; must divide half of `filters`.
    patch
        2 works at half the resolution with a thin path at full size; 1 at full resolution.

    Notes
    -----
    After Zhang et al., Practical blind image denoising via Swin-Conv-UNet and data synthesis,
    2022, which is two-dimensional.
    """

    def __init__(
        self,
        filters: Filters = 48,
        levels: Levels = 3,
        blocks: Count = 2,
        normalization: Normalization = "batch",
        window: Window = 4,
        head_channels: HeadChannels = 24,
        patch: Patch = 1,
    ) -> None:
        def stage(level: int, channels: int) -> nn.Module:
            def block(shifted: bool) -> nn.Module:
                return SwinConvBlock(channels, head_channels, window, shifted, normalization)

            return chain(block, blocks)

        def decode(level: int, channels: int) -> nn.Module:
            return Merge(channels, stage(level, channels))

        super().__init__(filters, levels, stage, decode, patch, normalization)
