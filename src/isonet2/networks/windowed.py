"""The U of the networks that look at small windows of voxels by attention."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from isonet2.networks.blocks import (
    Count,
    Filters,
    HeadChannels,
    Levels,
    Normalization,
    Patch,
    Window,
)
from isonet2.networks.ushape import Merge, UShape


@dataclass(frozen=True, slots=True)
class Level:
    """What the blocks of one level are made with; see `WindowedUShape`."""

    channels: int
    blocks: int
    head_channels: int
    window: int
    normalization: Normalization


class WindowedUShape(UShape):
    """U-Net whose levels hold blocks with attention in windows.

    Parameters
    ----------
    filters
        Channels at the top level; they double at each level.
    levels
        Times that the volume is halved, after a `patch` of 2.
    blocks
        Blocks at each level of encoder and decoder.
    normalization
        Of the convolutions: `batch`, `instance`, `group` or `none`.
    window
        Edge of the attention windows, voxels.
    head_channels
        Of one attention head; must divide the channels of `filters` that attention sees: all of
        them, and half of them in `scunet`.
    patch
        2 works at half the resolution with a thin path at full size; 1 at full resolution. None
        takes `usual_patch`.
    """

    usual_patch: ClassVar[Patch] = 2

    def __init__(
        self,
        filters: Filters = 48,
        levels: Levels = 3,
        blocks: Count = 2,
        normalization: Normalization = "batch",
        window: Window = 4,
        head_channels: HeadChannels = 24,
        patch: Patch | None = None,
    ) -> None:
        def level(channels: int) -> Level:
            return Level(channels, blocks, head_channels, window, normalization)

        super().__init__(
            filters,
            levels,
            lambda _, channels: self.stage(level(channels)),
            lambda _, channels: self.step(level(channels)),
            self.usual_patch if patch is None else patch,
            normalization,
        )

    @abstractmethod
    def stage(self, level: Level) -> nn.Module:
        """Make the blocks of one level."""

    def step(self, level: Level) -> nn.Module:
        """Make the decoder step of one level: a module of (x, skip)."""
        return Merge(level.channels, self.stage(level))
