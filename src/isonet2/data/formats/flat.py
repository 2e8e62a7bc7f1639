"""Files whose voxels lie one after the other at one place: mapped into memory piece by piece."""

import errno
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isonet2.data.moments import Moments
from isonet2.errors import InputError
from isonet2.types import Region, Shape

_RESERVING_MISSING = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}


@dataclass(frozen=True, slots=True)
class FlatReader:
    """Reads mapped voxels; the map lives for one call, so memory holds no more than the answer.

    Attributes
    ----------
    path
        The file.
    dtype
        Of the stored values.
    offset
        Bytes before the first one.
    shape
        Voxels along z, y, x.
    axes
        Which axes of the stored array are z, y and x.
    """

    path: Path
    dtype: np.dtype[Any]
    offset: int
    shape: Shape
    axes: Shape = (0, 1, 2)

    def read(self, region: Region) -> NDArray[Any]:
        """Voxels (z, y, x) of a region."""
        stored = tuple(self.shape[self.axes.index(axis)] for axis in range(3))
        mapped = np.memmap(self.path, self.dtype, mode="r", offset=self.offset, shape=stored)
        view: NDArray[Any] = mapped.transpose(self.axes)
        return view[region]


@dataclass(frozen=True, slots=True)
class FlatSink:
    """Writes mapped voxels into a file that has its full size already."""

    path: Path
    dtype: np.dtype[Any]
    offset: int
    shape: Shape

    def write(self, region: Region, block: NDArray[Any]) -> None:
        """Put a block (z, y, x) at its place; threads may call this together."""
        mapped = np.memmap(self.path, self.dtype, mode="r+", offset=self.offset, shape=self.shape)
        mapped[region] = block

    def finish(self, moments: Moments) -> None:
        """All was said before."""


def reserve(temporary: Path, path: Path, size: int) -> None:
    """Bring a file to `size` bytes whose disk space is really there, where that can be done."""
    with temporary.open("ab") as handle:
        try:
            os.posix_fallocate(handle.fileno(), 0, size)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                raise no_room(path, size) from error
            if error.errno not in _RESERVING_MISSING:
                raise
            os.ftruncate(handle.fileno(), size)


def check_room(path: Path, size: int) -> None:
    """Refuse a file that the disk has no room for, where its space cannot be reserved."""
    if shutil.disk_usage(path.resolve().parent).free < size:
        raise no_room(path, size)


def no_room(path: Path, size: int) -> InputError:
    """What a full disk is answered with."""
    return InputError(
        f"{path}: there is no room for its {size / 1e9:.3g} GB on this disk; "
        f"make room or choose another folder"
    )
