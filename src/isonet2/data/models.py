"""Models drawn in IMOD (3dmod), without IMOD."""

import os
from pathlib import Path

import numpy as np
from imodmodel.models import ImodModel
from numpy.typing import NDArray

from isonet2.errors import InputError

Points = NDArray[np.float64]

BEGIN, END, TAIL = b"IMODV1.2", b"IEOF", 64
"""First bytes of a model, and what stands in its last ones."""


def read_contours(path: Path) -> list[Points]:
    """Points (n, 3), x y z in voxels, of every contour that has some, in the file's order.

    Raises
    ------
    InputError
        When the file is no IMOD model.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; correct the name")
    if not _is_whole(path):
        raise InputError(f"{path}: is no IMOD model, or is cut off; give another file")
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
