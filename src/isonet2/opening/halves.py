"""Standardised halves of a tomogram: protein bright, mean 0, deviation 1."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isonet2.data.volumes import Volume, in_voxels, open_volume
from isonet2.data.voxels import Statistics, statistics
from isonet2.errors import InputError
from isonet2.physics.tiling import padded
from isonet2.types import Block, Position, Region


class Unreadable(InputError):
    """A file that the run began with cannot be read any more, or holds what cannot be used."""


def cube_region(low: Position, size: int) -> Region:
    """Slices of the cube of edge `size` with its lowest corner at `low`."""
    z, y, x = (slice(a, a + size) for a in low)
    return z, y, x


@dataclass(frozen=True, slots=True)
class Half:
    """One volume of a tomogram with the statistics that standardise it."""

    volume: Volume
    statistics: Statistics

    def region(self, region: Region) -> Block:
        """Read a region and standardise it: protein bright, mean 0, deviation 1."""
        try:
            block = self.volume.read(region)
        except (OSError, ValueError) as error:
            raise Unreadable(
                f"{self.volume.path}: could not be read ({error}); is the file still there, and "
                f"whole?"
            ) from error
        if not np.isfinite(block).all():
            raise Unreadable(
                f"{self.volume.path}: holds NaN or infinite values; reconstruct it again"
            )
        block = self.statistics.tame(block)
        return (np.float32(self.statistics.mean) - block) / np.float32(self.statistics.std)

    def cube(self, low: Position, size: int) -> Block:
        """Cut a standardised cube; beyond a thin volume lies its mirror image."""
        return padded(self.region, cube_region(low, size), self.volume.shape)


def names_of(halves: Sequence[Half]) -> str:
    """What a tomogram's files are called, wherever they lie."""
    return " and ".join(dict.fromkeys(half.volume.path.name for half in halves))


def halves_of(paths: Sequence[Path]) -> tuple[Half, ...]:
    """Open volumes and measure what standardises them; unequal shapes are refused."""
    halves = tuple(Half(v, statistics(v)) for v in map(open_volume, paths))
    for half in halves[1:]:
        if half.volume.shape != halves[0].volume.shape:
            raise InputError(
                f"{half.volume.path}: has {in_voxels(half.volume.shape)} voxels, but "
                f"{halves[0].volume.path} has {in_voxels(halves[0].volume.shape)}; halves must be "
                f"of one shape"
            )
    return halves
