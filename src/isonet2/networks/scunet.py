"""Swin-Conv U-Net: convolution and shifted-window attention side by side in every block."""

import torch
from torch import Tensor, nn

from isonet2.networks.attention import AttentionBlock
from isonet2.networks.blocks import ConvStack, Normalization
from isonet2.networks.ushape import chain
from isonet2.networks.windowed import Level, WindowedUShape


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


class SCUNet(WindowedUShape):
    """Swin-Conv U-Net in three dimensions.

    Notes
    -----
    After Zhang et al., Practical blind image denoising via Swin-Conv-UNet and data synthesis,
    2022, which is two-dimensional.
    """

    usual_patch = 1

    def stage(self, level: Level) -> nn.Module:
        """Make the Swin-Conv blocks of one level."""

        def block(shifted: bool) -> nn.Module:
            return SwinConvBlock(
                level.channels, level.head_channels, level.window, shifted, level.normalization
            )

        return chain(block, level.blocks)
