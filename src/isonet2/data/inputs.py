"""Which file of a tomogram a command reads: the column asked for, or what stands in for it."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isonet2.data.blocks import is_missing
from isonet2.data.files import refuse_to_replace
from isonet2.data.moments import Moments
from isonet2.data.tomograms import MAKERS, Tomogram
from isonet2.data.volumes import Region, Shape, Triple, Volume, open_volume, slabs
from isonet2.errors import InputError

log = logging.getLogger(__name__)

FULL = "rlnTomoName"
HALVES = "the mean of the two halves"


@dataclass(frozen=True, slots=True)
class TomogramInput:
    """A volume on disk, or the mean of two.

    Parameters
    ----------
    source
        The column it comes from, or what else it is.
    volumes
        One volume or two of one shape.
    """

    source: str
    volumes: tuple[Volume, ...]

    @property
    def shape(self) -> Shape:
        """Voxels along z, y, x."""
        return self.volumes[0].shape

    @property
    def words(self) -> str:
        """Its source and its files, for messages."""
        return f"{self.source} ({' and '.join(str(v.path) for v in self.volumes)})"

    def read(self, region: Region) -> NDArray[np.float32]:
        """Voxels (z, y, x) of a region."""
        block = self.volumes[0].read(region)
        for other in self.volumes[1:]:
            block += other.read(region)
        return block if len(self.volumes) == 1 else block / np.float32(len(self.volumes))

    def moments(self) -> Moments:
        """Mean, deviation and range of all voxels, read slab by slab.

        Raises
        ------
        InputError
            When some are NaN or infinite, or all are equal.
        """
        moments = Moments()
        for z, _, _ in slabs(self.volumes[0]):
            block = self.read((z, slice(0, self.shape[1]), slice(0, self.shape[2])))
            if not np.isfinite(block).all():
                raise InputError(
                    f"{self.words}: holds NaN or infinite values; reconstruct it again"
                )
            moments.add(Moments.of(block))
        if moments.std <= 1e-6 * abs(moments.mean):
            raise InputError(f"{self.words}: every voxel is {moments.mean:g}; reconstruct it again")
        return moments

    def voxel_size(self, tomogram: Tomogram) -> Triple | None:
        """Voxel edges in angstrom: the header's, or the table's where that says nothing."""
        size = self.volumes[0].voxel_size
        if size is None and tomogram.pixel_size is not None:
            return (tomogram.pixel_size,) * 3
        return size

    def pixel_size(self, tomogram: Tomogram) -> float:
        """Pixel size in angstrom: the table's, or the header's where that says nothing.

        Raises
        ------
        InputError
            When neither says it.
        """
        size = self.volumes[0].voxel_size
        pixel = tomogram.pixel_size or (size[2] if size else None)
        if pixel is None:
            raise InputError(
                "neither rlnPixelSize nor the file's header gives a voxel size; fill in "
                "rlnPixelSize (angstrom)"
            )
        return pixel

    def refuse_to_replace(self, output: Path, parameter: str = "output_dir") -> None:
        """Raise InputError when `output` is one of the files that are read."""
        for volume in self.volumes:
            refuse_to_replace(output, volume.path, parameter)


def open_input(tomogram: Tomogram, column: str) -> TomogramInput:
    """Open the tomogram in a column, or in rlnTomoName, or the two halves; say which.

    The first of these that the row names is taken. A column that neither the table nor any
    command knows is refused.

    Raises
    ------
    InputError
        When there is none of them, or the file cannot be read.
    """
    for candidate in dict.fromkeys((column, FULL)):
        path = _path(tomogram, candidate)
        if path is not None:
            return _said(tomogram, column, TomogramInput(candidate, (open_volume(path),)))
    if tomogram.half1 is None or tomogram.half2 is None:
        names = " nor ".join(dict.fromkeys((column, FULL)))
        raise InputError(
            f"{tomogram.table} names neither {names} nor the two halves of tomogram "
            f"{tomogram.index}; run {MAKERS[FULL]} first"
        )
    first, second = open_volume(tomogram.half1), open_volume(tomogram.half2)
    if first.shape != second.shape:
        raise InputError(f"{first.path} and {second.path}: the halves differ in shape")
    return _said(tomogram, column, TomogramInput(HALVES, (first, second)))


def _path(tomogram: Tomogram, column: str) -> Path | None:
    """File in a column, or None where the row has none."""
    if column == FULL:
        return tomogram.full
    cell = tomogram.cells.get(column)
    known = column in tomogram.cells or column in MAKERS
    return None if known and (cell is None or is_missing(cell)) else tomogram.column(column)


def _said(tomogram: Tomogram, column: str, found: TomogramInput) -> TomogramInput:
    if found.source == column:
        log.info("%s: reading %s", tomogram.name, found.words)
    else:
        log.warning("%s: no %s in the table, reading %s", tomogram.name, column, found.words)
    return found
