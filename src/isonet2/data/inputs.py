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
from isonet2.data.volumes import Triple, Volume, open_volume, slabs
from isonet2.errors import InputError
from isonet2.types import Region, Shape

log = logging.getLogger(__name__)

FULL = "rlnTomoName"
DECONVOLVED = "rlnDeconvTomoName"
FULL_VOLUME = "full tomogram (rlnTomoReconstructedTomogram)"
"""What a table lacks where rlnTomoName is a name, as RELION has it."""
HALVES = "the mean of the two halves"
SAME_SIZE = 0.01
"""Part by which a pixel size may differ from a header's and mean the same."""
USUAL_PIXEL_SIZES = (5.0, 20.0)
"""Between which networks restore well, angstrom."""


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
    def paths(self) -> tuple[Path, ...]:
        """Its files."""
        return tuple(volume.path for volume in self.volumes)

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
            region = z, slice(0, self.shape[1]), slice(0, self.shape[2])
            block = self.read(region)
            if not np.isfinite(block).all():
                bad = [v.path for v in self.volumes if not np.isfinite(v.read(region)).all()]
                raise InputError(
                    f"{' and '.join(map(str, bad))}: holds NaN or infinite values; reconstruct it "
                    f"again"
                )
            moments.add(Moments.of(block))
        if moments.std <= 1e-6 * abs(moments.mean):
            raise InputError(f"{self.words}: every voxel is {moments.mean:g}; reconstruct it again")
        return moments

    def voxel_size(self, tomogram: Tomogram) -> Triple | None:
        """Voxel edges in angstrom that a result is written with; see `edges`."""
        size = tomogram.pixel_size
        return self.volumes[0].voxel_size if size is None else edges(self.volumes[0], size)

    def pixel_size(self, tomogram: Tomogram) -> float:
        """Pixel size in angstrom: the table's, or the header's where that says nothing.

        Raises
        ------
        InputError
            When neither says it.
        """
        return pixel_size(tomogram, self.volumes[0])

    def refuse_to_replace(self, output: Path, parameter: str = "output_dir") -> None:
        """Raise InputError when `output` is one of the files that are read."""
        for volume in self.volumes:
            refuse_to_replace(output, volume.path, parameter)


def edges(volume: Volume, pixel_size: float) -> Triple:
    """Voxel edges in angstrom along z, y, x, for results of a volume whose pixel size is known.

    They are the header's where that means `pixel_size`, as edges may differ a little by rounding;
    else the pixel size counts.
    """
    written = volume.voxel_size
    if written is not None and abs(sum(written) / (3 * pixel_size) - 1) <= SAME_SIZE:
        return written
    return (pixel_size,) * 3


def pixel_size(tomogram: Tomogram, volume: Volume) -> float:
    """Pixel size in angstrom: the table's, or the header's where that says nothing.

    Where they differ by more than a hundredth, that is said.

    Raises
    ------
    InputError
        When neither says it.
    """
    written = volume.voxel_size[2] if volume.voxel_size else None
    pixel = tomogram.pixel_size or written
    if pixel is None:
        raise InputError(
            f"{tomogram.name}: neither rlnPixelSize nor the file's header gives a voxel size; "
            f"fill in rlnPixelSize (angstrom)"
        )
    if written and abs(pixel / written - 1) > SAME_SIZE:
        log.warning(
            "%s: rlnPixelSize is %g A, but the header says %g A; the table counts",
            tomogram.name,
            pixel,
            written,
        )
    return pixel


def open_input(tomogram: Tomogram, column: str) -> TomogramInput:
    """Open the tomogram in a column; say which.

    In place of rlnDeconvTomoName, where a row has none, rlnTomoName is taken, and in place of
    that the two halves. Another column that is not there is refused.

    Raises
    ------
    InputError
        When there is none of them, or the file cannot be read.
    """
    wanted = (column, FULL) if column == DECONVOLVED else (column,)
    for candidate in wanted:
        path = _path(tomogram, candidate)
        if path is not None:
            return _said(tomogram, column, TomogramInput(candidate, (open_volume(path),)))
    if column not in (DECONVOLVED, FULL):
        tomogram.column(column)
    if tomogram.half1 is None or tomogram.half2 is None:
        names = " nor ".join(wanted)
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
        named = column == FULL and not is_missing(tomogram.cells.get(FULL, ""))
        absent = FULL_VOLUME if named else column
        log.warning("%s: no %s in the table, reading %s", tomogram.name, absent, found.words)
    return found
