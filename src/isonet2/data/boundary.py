"""The part of a tomogram that a person drew around in IMOD (3dmod), without IMOD."""

import os
from pathlib import Path

import numpy as np
from imodmodel.models import ImodModel
from numpy.typing import NDArray

from isonet2.errors import InputError

Points = NDArray[np.float64]

BEGIN, END, TAIL = b"IMODV1.2", b"IEOF", 64
"""First bytes of a model, and what stands in its last ones."""


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
    contours = _contours(path)
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


def _contours(path: Path) -> list[Points]:
    """Points (n, 3), x y z in voxels, of every contour that has some, in the file's order."""
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; correct rlnMaskBoundary")
    if not _is_whole(path):
        raise InputError(f"{path}: is no IMOD model, or is cut off; correct rlnMaskBoundary")
    try:
        model = ImodModel.from_file(path)
    except Exception as error:  # the library raises whatever the bytes lead to
        raise InputError(f"{path}: is no IMOD model that can be read ({error})") from error
    found = [np.asarray(c.points, float) for part in model.objects for c in part.contours]
    return [points for points in found if len(points)]


def _is_whole(path: Path) -> bool:
    """Whether a file begins and ends as IMOD models do; the library reads on for ever else."""
    with path.open("rb") as handle:
        begins = handle.read(len(BEGIN)) == BEGIN
        handle.seek(0, os.SEEK_END)
        handle.seek(max(0, handle.tell() - TAIL))
        return begins and END in handle.read()
