"""Coordinates of subtomograms from text files and STAR tables."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isonet2.data.blocks import read_star
from isonet2.errors import InputError

SUFFIXES = (".star", ".txt", ".csv", ".coords", ".box")
STAR_COLUMNS = ("rlnCoordinateZ", "rlnCoordinateY", "rlnCoordinateX")


def read_coordinates(path: Path | str) -> NDArray[np.float64]:
    """Read points, (count, 3) in the order z, y, x, in voxels from the first one.

    Text files hold x, y and z at the front of each line, with spaces, tabs or commas between;
    a heading in words and lines that begin with # are left out. STAR tables need
    rlnCoordinateX, Y and Z.

    Raises
    ------
    InputError
        Missing or empty file, or a line without three numbers.
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
    points: list[tuple[float, float, float]] = []
    for number, line in enumerate(lines, 1):
        words = line.replace(",", " ").split()
        if not words or words[0].startswith("#"):
            continue
        try:
            x, y, z = (float(word) for word in words[:3])
        except ValueError:
            if points or not words[0][0].isalpha():
                raise InputError(f"{path}, line {number}: '{line}' is not x y z") from None
            continue
        points.append((z, y, x))
    return _checked(path, np.array(points, dtype=np.float64))


def _from_star(path: Path) -> NDArray[np.float64]:
    for block in read_star(path).blocks.values():
        if all(column in block for column in STAR_COLUMNS):
            try:
                points = block[list(STAR_COLUMNS)].to_numpy().astype(np.float64)
            except ValueError as error:
                raise InputError(f"{path}: a coordinate is not a number ({error})") from None
            return _checked(path, points)
    raise InputError(f"{path}: has no columns {', '.join(STAR_COLUMNS[::-1])}")


def _checked(path: Path, points: NDArray[np.float64]) -> NDArray[np.float64]:
    if not points.size:
        raise InputError(f"{path}: holds no coordinates; add lines of x y z or remove the file")
    if not np.isfinite(points).all():
        raise InputError(f"{path}: holds a coordinate that is not a finite number; correct it")
    return points
