"""A tomogram that restored results are compared with: its halves as measured, in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from isonet2.data.star import Tomogram
from isonet2.data.volumes import in_voxels, open_volume
from isonet2.errors import InputError
from isonet2.opening.halves import Half, halves_of
from isonet2.opening.rows import input_paths, sectors_of
from isonet2.physics.metrics import SPECIMEN_DEPTH
from isonet2.physics.wedge import Sectors, sectors_of_tilts
from isonet2.trust.regions import kept_sectors
from isonet2.types import Position, Region, Shape

LARGEST: Shape = (256, 256, 384)
"""Voxels of the middle of a tomogram that is looked at, (z, y, x)."""
SMALLEST = 32
"""Voxels that each edge must have."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A tomogram whose restoration is judged.

    Attributes
    ----------
    tomogram
        Its row.
    halves
        As opened, whole.
    sectors
        Measured intervals, degrees.
    block
        Its middle, where everything but the spread's volume is measured.
    """

    tomogram: Tomogram
    halves: tuple[Half, ...]
    sectors: Sectors
    block: Region

    @property
    def name(self) -> str:
        """Of the tomogram."""
        return self.tomogram.name

    @property
    def files(self) -> list[Path]:
        """Of the halves."""
        return [half.volume.path for half in self.halves]

    @property
    def shape(self) -> Shape:
        """Of the block."""
        z, y, x = (part.stop - part.start for part in self.block)
        return z, y, x

    @property
    def corner(self) -> Position:
        """Lowest corner of the block in the tomogram, (z, y, x)."""
        z, y, x = (part.start for part in self.block)
        return z, y, x

    @property
    def thickness(self) -> float:
        """Of the specimen, voxels; where it is not known, a part of the volume's."""
        return SPECIMEN_DEPTH * self.shape[0]

    def measured(self) -> tuple[Tensor, Tensor]:
        """Both halves (z, y, x), standardised, protein bright."""
        first, second = (torch.from_numpy(half.region(self.block)) for half in self.halves)
        return first, second

    def truth(self) -> Tensor | None:
        """The noise-free block, protein bright, where the table names one (rlnGroundTruth)."""
        path = self.tomogram.ground_truth
        if path is None:
            return None
        return torch.from_numpy(-open_volume(path).read(self.block).astype(np.float32))

    def kept(self, share: float) -> Sectors:
        """The tilts that are left when the outermost share of each side is held out."""
        inside = kept_sectors(self.sectors, share)
        tilts = self.tomogram.tilts
        if tilts is None:
            return inside
        return sectors_of_tilts([t for t in tilts if inside[0][0] <= t <= inside[-1][1]])


def middle(shape: Shape, largest: Sequence[int] = LARGEST) -> Region:
    """The middle of a volume, of at most some size."""
    sizes = [min(n, most) for n, most in zip(shape, largest, strict=True)]
    z, y, x = (slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(shape, sizes, strict=True))
    return z, y, x


def subject_of(tomogram: Tomogram) -> Subject:
    """Open a row's halves.

    Raises
    ------
    InputError
        When it lists no halves, they cannot be used, or they are too small.
    """
    if tomogram.half1 is None or tomogram.half2 is None:
        raise InputError(
            f"{tomogram.table}: tomogram {tomogram.index} ({tomogram.name}) lists no two halves, "
            f"and without independent noise nothing can be measured; fill in "
            f"rlnTomoReconstructedTomogramHalf1 and ...Half2"
        )
    halves = halves_of(input_paths(tomogram, reads_halves=True, input_column=None))
    shape = halves[0].volume.shape
    if min(shape) < SMALLEST:
        raise InputError(
            f"{halves[0].volume.path}: has {in_voxels(shape)} voxels; each edge must have "
            f"{SMALLEST} for anything to be measured"
        )
    return Subject(tomogram, halves, sectors_of(tomogram), middle(shape))
