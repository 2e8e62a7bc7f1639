"""The part of a tomogram that a person drew around in IMOD (3dmod), without IMOD."""

from pathlib import Path

import numpy as np

from isonet2.data.models import Points, read_contours
from isonet2.errors import InputError


def read_boundary(path: Path) -> tuple[tuple[Points, ...], tuple[float, float] | None]:
    """Read a model (.mod) with polygons in the x-y plane and perhaps a range of slices.

    Returns
    -------
    polygons
        Corners (n, 2) of every contour of three points or more, x and y in voxels.
    z_range
        First and last slice, or None for all of them.

    Raises
    ------
    InputError
        When the file is no IMOD model, or holds no polygon.

    Notes
    -----
    The last two points of the model are the z range, and no corners, when they lie in different
    slices and either are a contour of their own or follow at least three points that share one
    slice (a polygon is drawn in one slice, the two limits above and below it).
    """
    contours = read_contours(path)
    z_range = None
    if contours:
        last = contours[-1]
        rest, two = last[:-2], last[-2:]
        flat = len(rest) >= 3 and np.ptp(np.round(rest[:, 2])) == 0
        if len(two) == 2 and (len(rest) == 0 or flat) and abs(two[0, 2] - two[1, 2]) >= 1:
            z_range = (float(two[:, 2].min()), float(two[:, 2].max()))
            contours[-1] = rest
    polygons = tuple(contour[:, :2] for contour in contours if len(contour) >= 3)
    if not polygons:
        raise InputError(
            f"{path}: holds no contour of three points or more; draw a polygon around the "
            f"specimen in one x-y slice"
        )
    return polygons, z_range
