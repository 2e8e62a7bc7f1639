"""Coordinates of subtomograms from text files, STAR tables and IMOD models."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from isonet2.data.blocks import read_star
from isonet2.data.models import Points, read_contours
from isonet2.data.names import stem
from isonet2.errors import InputError

log = logging.getLogger(__name__)

SUFFIXES = (".star", ".txt", ".csv", ".coords", ".box", ".mod")
STAR_COLUMNS = ("rlnCoordinateZ", "rlnCoordinateY", "rlnCoordinateX")
CENTERED_COLUMNS = tuple(f"rlnCenteredCoordinate{axis}Angst" for axis in "ZYX")
"""Angstrom from the tomogram's middle, as RELION 5 writes."""
HEADINGS = (("z", "y", "x"), ("axis-0", "axis-1", "axis-2"), ("z_coord", "y_coord", "x_coord"))
"""Names of columns in text files, in the order z, y, x; the second are napari's."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The tomogram that points lie in: its name, voxels (z, y, x) and their edge in angstrom."""

    name: str
    shape: tuple[int, int, int]
    pixel_size: float | None


def read_coordinates(path: Path, grid: Grid) -> Points:
    """Read points, (count, 3) in the order z, y, x, in voxels from the first one.

    Text files hold x, y and z at the front of each line, with spaces, tabs or commas between,
    or where a heading says x, y and z (or axis-0, axis-1 and axis-2, which are z, y and x); lines
    that begin with # are left out. STAR tables need rlnCoordinateX, Y and Z, or
    rlnCenteredCoordinateXAngst, Y and Z; of the points of several tomograms, those are taken whose
    rlnTomoName is the tomogram's. Of an IMOD model all points are taken.

    Raises
    ------
    InputError
        Missing or empty file, a line without three numbers, a heading that names none of these
        columns, or points of other tomograms or outside this one.
    """
    if not path.exists():
        raise InputError(f"{path}: no such coordinate file; correct the name")
    if path.suffix.lower() == ".star":
        return _from_star(path, grid)
    if path.suffix.lower() == ".mod":
        contours = [np.empty((0, 3)), *read_contours(path)]
        return _checked(path, np.concatenate(contours)[:, ::-1], grid)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as coordinates ({error})") from error
    points: list[list[float]] = []
    places: tuple[int, ...] = (2, 1, 0)
    for number, line in enumerate(lines, 1):
        if any(len(part.split()) > 1 for part in line.split(",")) and "," in line:
            raise InputError(
                f"{path}, line {number}: '{line}' has commas and blanks between its numbers; write "
                f"points in numbers (12.5), and one kind of separator"
            )
        words = line.replace(",", " ").split()
        if not words or words[0].startswith("#"):
            continue
        try:
            points.append([float(words[place]) for place in places])
        except (ValueError, IndexError):
            if points or not words[0].strip('"')[:1].isalpha():
                raise InputError(f"{path}, line {number}: '{line}' is not x y z") from None
            places = _places(path, words)
    return _checked(path, np.array(points, dtype=np.float64), grid)


def _places(path: Path, words: list[str]) -> tuple[int, ...]:
    """Where z, y and x stand in each line, by a heading."""
    names = [word.strip('"').casefold() for word in words]
    for heading in HEADINGS:
        if all(name in names for name in heading):
            return tuple(names.index(name) for name in heading)
    raise InputError(
        f"{path}: its heading '{' '.join(words)}' names no columns x, y and z; name them so"
    )


def _from_star(path: Path, grid: Grid) -> Points:
    for block in read_star(path).blocks.values():
        for columns in (STAR_COLUMNS, CENTERED_COLUMNS):
            if all(column in block for column in columns):
                try:
                    points = _mine(path, block, grid)[list(columns)].to_numpy().astype(np.float64)
                except ValueError as error:
                    raise InputError(f"{path}: a coordinate is not a number ({error})") from None
                centered = columns == CENTERED_COLUMNS
                points = _from_middle(path, points, grid) if centered else points
                return _checked(path, points, grid)
    raise InputError(
        f"{path}: has no columns {', '.join(STAR_COLUMNS[::-1])}, nor "
        f"{', '.join(CENTERED_COLUMNS[::-1])}"
    )


def _mine(path: Path, block: pd.DataFrame, grid: Grid) -> pd.DataFrame:
    """Rows of one tomogram; all of them where there are no others."""
    names = block.get("rlnTomoName")
    if names is None:
        return block
    mine = [grid.name in (name, stem(Path(name))) for name in names.astype(str)]
    if names.nunique() < 2:
        if not all(mine):
            log.warning("%s: holds points of %s, taken for %s", path, names.iloc[0], grid.name)
        return block
    if not any(mine):
        raise InputError(
            f"{path}: holds points of {names.nunique()} tomograms ({names.iloc[0]}, ...), and none "
            f"of {grid.name}; give its name in rlnTomoName, or one file for each tomogram"
        )
    return block[mine]


def _from_middle(path: Path, points: Points, grid: Grid) -> Points:
    if grid.pixel_size is None:
        raise InputError(
            f"{path}: its points are in angstrom, and the voxel size of {grid.name} is not known; "
            f"fill in rlnPixelSize"
        )
    return points / grid.pixel_size + np.array(grid.shape) / 2


def _checked(path: Path, points: Points, grid: Grid) -> Points:
    if not points.size:
        raise InputError(f"{path}: holds no coordinates; add lines of x y z or remove the file")
    if not np.isfinite(points).all():
        raise InputError(f"{path}: holds a coordinate that is not a finite number; correct it")
    if ((points >= 0) & (points <= 1)).all() and (points % 1 != 0).any():
        raise InputError(
            f"{path}: all points lie between 0 and 1, as parts of {grid.name} and not as its "
            f"voxels; multiply them by its {grid.shape} voxels (z, y, x)"
        )
    outside = int(((points < 0) | (points >= grid.shape)).any(axis=1).sum())
    if outside:
        raise InputError(
            f"{path}: {outside} of {len(points)} points lie outside {grid.name}, which has "
            f"{grid.shape} voxels (z, y, x); give voxels of this tomogram"
        )
    return points
