"""Coordinates of subtomograms from text files and STAR tables."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isonet2.data.blocks import read_star
from isonet2.errors import InputError

SUFFIXES = (".star", ".txt", ".csv", ".coords", ".box")
STAR_COLUMNS = ("rlnCoordinateZ", "rlnCoordinateY", "rlnCoordinateX")
HEADINGS = (("z", "y", "x"), ("axis-0", "axis-1", "axis-2"), ("z_coord", "y_coord", "x_coord"))
"""Names of columns in text files, in the order z, y, x; the second are napari's."""


def read_coordinates(path: Path | str) -> NDArray[np.float64]:
    """Read points, (count, 3) in the order z, y, x, in voxels from the first one.

    Text files hold x, y and z at the front of each line, with spaces, tabs or commas between,
    or where a heading says x, y and z (or axis-0, axis-1 and axis-2, which are z, y and x); lines
    that begin with # are left out. STAR tables need rlnCoordinateX, Y and Z.

    Raises
    ------
    InputError
        Missing or empty file, a line without three numbers, or a heading that names none of
        these columns.
    """
    path = Path(path)
    if path.suffix.lower() == ".star":
        return _from_star(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such coordinate file; correct the name") from error
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
    return _checked(path, np.array(points, dtype=np.float64))


def _places(path: Path, words: list[str]) -> tuple[int, ...]:
    """Where z, y and x stand in each line, by a heading."""
    names = [word.strip('"').casefold() for word in words]
    for heading in HEADINGS:
        if all(name in names for name in heading):
            return tuple(names.index(name) for name in heading)
    raise InputError(
        f"{path}: its heading '{' '.join(words)}' names no columns x, y and z; name them so"
    )


def _from_star(path: Path) -> NDArray[np.float64]:
    for block in read_star(path).blocks.values():
        if all(column in block for column in STAR_COLUMNS):
            try:
                points = block[list(STAR_COLUMNS)].to_numpy().astype(np.float64)
            except ValueError as error:
                raise InputError(f"{path}: a coordinate is not a number ({error})") from None
            names = block.get("rlnTomoName")
            if names is not None and names.nunique() > 1:
                raise InputError(
                    f"{path}: holds points of {names.nunique()} tomograms ({names.iloc[0]}, ...); "
                    f"give one file for each"
                )
            return _checked(path, points)
    raise InputError(f"{path}: has no columns {', '.join(STAR_COLUMNS[::-1])}")


def _checked(path: Path, points: NDArray[np.float64]) -> NDArray[np.float64]:
    if not points.size:
        raise InputError(f"{path}: holds no coordinates; add lines of x y z or remove the file")
    if not np.isfinite(points).all():
        raise InputError(f"{path}: holds a coordinate that is not a finite number; correct it")
    return points
