"""Volumes in files of any format: blocks of voxels, and writing block by block."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from isonet2.data.formats import format_of, format_to_write
from isonet2.data.formats.base import CHUNK_VOXELS, Header, Reader, Triple, check_real, clipped
from isonet2.data.moments import Moments
from isonet2.errors import InputError
from isonet2.types import Region, Shape

__all__ = [
    "Region",
    "Shape",
    "Triple",
    "Volume",
    "VolumeWriter",
    "open_volume",
    "slabs",
    "volume_of_array",
    "write_volume",
]

log = logging.getLogger(__name__)

SIGNED_ZERO = -128
FLOAT16_LARGEST = 65504.0
FLOAT16_SMALLEST = 2.0**-14  # the smallest number of full precision
EVERYTHING: Region = (slice(None), slice(None), slice(None))


@dataclass(frozen=True, slots=True)
class Volume:
    """A file whose header was read; its voxels are read when asked for.

    Attributes
    ----------
    path
        The file.
    header
        What it says about the volume.
    reader
        Reads its voxels.
    """

    path: Path
    header: Header
    reader: Reader

    @property
    def shape(self) -> Shape:
        """Voxels along z, y, x."""
        return self.header.shape

    @property
    def voxel_size(self) -> Triple | None:
        """Angstrom along z, y, x; None when the file does not say, or says 1.0 for want of one."""
        size = self.header.voxel_size
        return None if size is None or all(abs(edge - 1) < 1e-3 for edge in size) else size

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored values, byte order included."""
        return self.header.dtype

    def read(self, region: Region | None = None) -> NDArray[np.float32]:
        """Read voxels, (z, y, x), as float32 in C order.

        The file is opened for this call only, so memory holds no more than the answer.

        Parameters
        ----------
        region
            Slices of z, y, x with numpy's meaning; None reads everything.
        """
        view = self.reader.read(clipped(region or EVERYTHING, self.shape))
        return np.array(view, dtype=np.float32, order="C", subok=False)


def open_volume(path: Path | str) -> Volume:
    """Open a volume of any known format; its voxels stay on disk.

    The name's suffix tells the format; where it is unknown, the file's first bytes do.

    Raises
    ------
    InputError
        Missing or too short file, no volume of that format, values that are no real numbers.
    """
    path = Path(path)
    return Volume(path, *format_of(path).open(path))


class Indexed:
    """Volumes of one shape, whose mean is read where it is indexed, bright where they are dark.

    Parameters
    ----------
    volumes
        One or more.
    """

    def __init__(self, volumes: Sequence[Volume]) -> None:
        self._volumes = volumes
        self.shape: tuple[int, ...] = volumes[0].shape

    def __getitem__(self, index: int | slice | tuple[int | slice, ...]) -> NDArray[np.float32]:
        """Voxels at numbers and slices, as numpy gives them."""
        parts = index if isinstance(index, tuple) else (index,)
        parts = (*parts, *(slice(None),) * (3 - len(parts)))
        z, y, x = (p if isinstance(p, slice) else slice(p, p + 1) for p in parts)
        blocks = [volume.read((z, y, x)) for volume in self._volumes]
        mean = -sum(blocks[1:], blocks[0]) / np.float32(len(blocks))
        return mean[tuple(slice(None) if isinstance(p, slice) else 0 for p in parts)]


@dataclass(frozen=True, slots=True)
class _Held:
    """Voxels in memory, read as those of a file are."""

    voxels: NDArray[Any]

    def read(self, region: Region) -> NDArray[Any]:
        """Voxels (z, y, x) of a region."""
        return self.voxels[region]


def volume_of_array(voxels: NDArray[Any]) -> Volume:
    """An array (z, y, x) as a volume; it is not copied.

    Raises
    ------
    InputError
        When it has not three axes, or holds no real numbers.
    """
    path = Path("the array")
    if voxels.ndim != 3:
        raise InputError(f"{path}: has {voxels.ndim} axes; give a volume of three, z, y, x")
    check_real(path, voxels.dtype)
    z, y, x = voxels.shape
    return Volume(path, Header((z, y, x), voxels.dtype), _Held(voxels))


def in_voxels(shape: Shape) -> str:
    """Write a shape (z, y, x) as people do."""
    return " x ".join(map(str, shape))


def no_mask(path: Path, lowest: float) -> InputError:
    """What is wrong with a mask that has values below zero."""
    if lowest == SIGNED_ZERO:
        return InputError(
            f"{path}: is no mask, its values begin at -128, as 0 does where unsigned bytes are "
            "stored as signed ones; add 128 to it, and save it as mode 1 or 2"
        )
    return InputError(f"{path}: is no mask, it has values below zero; 0 is outside, 1 inside")


def slabs(volume: Volume, low: int = 0, high: int | None = None) -> Iterator[Region]:
    """Regions of whole z slices from `low` to `high`, each of bounded size, in order."""
    end = volume.shape[0] if high is None else high
    step = max(1, CHUNK_VOXELS // (volume.shape[1] * volume.shape[2]))
    for first in range(low, end, step):
        yield slice(first, min(first + step, end)), slice(None), slice(None)


class VolumeWriter:
    """Write a volume block by block; it appears under its name when it is complete.

    Used as a context manager. Every voxel is written exactly once. The disk space is
    reserved on entering; on an exception nothing stays.

    Parameters
    ----------
    path
        The file to make; its suffix chooses the format.
    like
        Where voxel size, origin, start, labels and IMOD's stamp are copied from.
    shape
        Voxels along z, y, x; `like`'s when None.
    voxel_size
        Angstrom along z, y, x; `like`'s when None.
    start
        Index of the first voxel in a larger grid; `like`'s when None.
    dtype
        "float32"; "float16" where the format has it; "int8" in MRC: whole numbers from -127 to
        127 as they are, others scaled (then a label says value = stored*scale+offset, chosen so
        that the smallest and the largest value are -127 and 127).
    label
        What was done; lines of at most 80 letters.

    Raises
    ------
    InputError
        On entering: when the disk is too full. While writing: NaN or infinity, or values
        too large for float16. On leaving: values too small for float16.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        like: Volume | None = None,
        shape: Shape | None = None,
        voxel_size: Triple | None = None,
        start: Shape | None = None,
        dtype: str = "float32",
        label: str,
    ) -> None:
        self.path = Path(path)
        self.format = format_to_write(self.path, dtype)
        base = like.header if like is not None else Header((0, 0, 0), np.dtype(dtype))
        self.shape = shape or base.shape
        self.header = replace(
            base,
            shape=self.shape,
            dtype=np.dtype(dtype),
            voxel_size=voxel_size or base.voxel_size,
            start=start or base.start,
            labels=(*base.labels, *label.splitlines()),
        )
        self._staged = np.dtype("f4" if dtype == "int8" else dtype)
        self._moments = Moments()
        self._guard = threading.Lock()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            temporary = stack.enter_context(self.format.place(self.path))
            self._sink = self.format.create(temporary, self.path, self.header)
            stack.push(self._complete)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(self, region: Region, block: NDArray[np.floating[Any]]) -> None:
        """Put a block (z, y, x) at its place; threads may call this together."""
        region = clipped(region, self.shape)
        filled = tuple(part.stop - part.start for part in region)
        if filled != block.shape:
            raise ValueError(f"a block of {block.shape} does not fill a region of {filled}")
        largest = float(np.abs(block).max())
        if not np.isfinite(largest):
            raise InputError(f"{self.path}: the result holds NaN or infinity, it is not written")
        if self._staged == np.float16 and largest > FLOAT16_LARGEST:
            raise InputError(
                f"{self.path}: the value {largest:g} is too large for float16; write float32"
            )
        stored = np.asarray(block, self._staged)
        self._sink.write(region, stored)
        moments = Moments.of(stored)
        with self._guard:
            self._moments.add(moments)

    def _complete(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Complete the file, unless the block failed."""
        if error is not None:
            return
        moments, total = self._moments, int(np.prod(self.shape))
        if moments.count != total:
            raise RuntimeError(f"{self.path}: {moments.count} voxels were written, not {total}")
        if self._staged == np.float16 and 0 < moments.std < FLOAT16_SMALLEST:
            raise InputError(
                f"{self.path}: deviations of {moments.std:.1g} are too small for float16; "
                f"write float32"
            )
        self._sink.finish(moments)


def write_volume(
    path: Path | str,
    data: NDArray[Any],
    *,
    voxel_size: Triple | float | None = None,
    like: Volume | None = None,
    dtype: str = "float32",
    label: str,
) -> None:
    """Write a whole array (z, y, x) as a volume.

    Parameters
    ----------
    path
        The file to make; its suffix chooses the format.
    data
        Voxels; real numbers of any type.
    voxel_size
        Angstrom, one number or along z, y, x; `like`'s when None.
    like, dtype, label
        As in `VolumeWriter`.
    """
    shape: Shape = (data.shape[0], data.shape[1], data.shape[2])
    size = (voxel_size,) * 3 if isinstance(voxel_size, int | float) else voxel_size
    with VolumeWriter(
        path, like=like, shape=shape, voxel_size=size, dtype=dtype, label=label
    ) as writer:
        writer.write(EVERYTHING, data)
