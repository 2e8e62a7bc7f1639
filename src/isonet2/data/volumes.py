"""Volumes in MRC files: blocks of voxels, statistics, and writing block by block."""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from isonet2.data.files import atomic_path
from isonet2.data.moments import Moments
from isonet2.data.mrc import (
    HEADER_BYTES,
    Header,
    Shape,
    Triple,
    append_labels,
    encode_header,
    read_header,
)
from isonet2.errors import InputError

Region = tuple[slice, slice, slice]

OUTPUTS = {"float32": (2, "f4"), "float16": (12, "f2"), "int8": (0, "i1")}
STATISTICS_SLICES = 64
CHUNK_VOXELS = 2**22
FLOAT16_LARGEST = 65504.0
FLOAT16_SMALLEST = 2.0**-14  # the smallest number of full precision
RESERVING_MISSING = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}


@dataclass(frozen=True, slots=True)
class Volume:
    """An MRC file whose header was read; its voxels are read when asked for.

    Attributes
    ----------
    path
        The file.
    header
        All that its header says.
    """

    path: Path
    header: Header

    @property
    def shape(self) -> Shape:
        """Voxels along z, y, x."""
        return self.header.shape

    @property
    def voxel_size(self) -> Triple | None:
        """Angstrom along z, y, x; None when the header does not say."""
        return self.header.voxel_size

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored values, byte order included."""
        return self.header.dtype

    @property
    def mode(self) -> int:
        """MRC mode of the file."""
        return self.header.mode

    def read(self, region: Region | None = None) -> NDArray[np.float32]:
        """Read voxels, (z, y, x), as float32 in C order.

        The file is mapped for this call only, so memory holds no more than the answer.

        Parameters
        ----------
        region
            Slices of z, y, x with numpy's meaning; None reads everything.
        """
        axes = self.header.axes
        stored = tuple(self.shape[axes.index(axis)] for axis in range(3))
        mapped = np.memmap(self.path, self.dtype, mode="r", offset=self.header.offset, shape=stored)
        view: NDArray[Any] = mapped.transpose(axes)
        return np.array(view[region or ...], dtype=np.float32, order="C", subok=False)


@dataclass(frozen=True, slots=True)
class Statistics:
    """Mean and standard deviation of a volume's central z slices, in the file's own scale."""

    mean: float
    std: float


def open_volume(path: Path | str) -> Volume:
    """Open an MRC file (modes 0, 1, 2, 6, 12); its voxels stay on disk.

    Raises
    ------
    InputError
        Missing or too short file, not MRC, a mode without real numbers.
    """
    return Volume(Path(path), read_header(Path(path)))


def slabs(volume: Volume, low: int = 0, high: int | None = None) -> Iterator[Region]:
    """Regions of whole z slices from `low` to `high`, each of bounded size, in order."""
    end = volume.shape[0] if high is None else high
    step = max(1, CHUNK_VOXELS // (volume.shape[1] * volume.shape[2]))
    for first in range(low, end, step):
        yield slice(first, min(first + step, end)), slice(None), slice(None)


def statistics(volume: Volume) -> Statistics:
    """Mean and deviation of the central 64 z slices (all, if thinner), in float64.

    Raises
    ------
    InputError
        When those slices hold NaN or infinity, or nothing but one value.
    """
    depth = volume.shape[0]
    low = max(0, (depth - STATISTICS_SLICES) // 2)
    moments = Moments()
    for region in slabs(volume, low, min(depth, low + STATISTICS_SLICES)):
        slab = volume.read(region)
        if not np.isfinite(slab).all():
            raise InputError(f"{volume.path}: holds NaN or infinite values; reconstruct it again")
        moments.add(Moments.of(slab))
    if moments.std <= 1e-6 * abs(moments.mean):
        raise InputError(f"{volume.path}: {_emptiness(volume, moments)}; reconstruct it again")
    return Statistics(moments.mean, moments.std)


def _emptiness(volume: Volume, centre: Moments) -> str:
    """Say how a volume without contrast in its central slices is empty."""
    value = "zero" if centre.smallest == centre.largest == 0 else f"{centre.mean:g}"
    depth = volume.shape[0]
    for z in range(0, depth, max(1, depth // 16)):
        plane = volume.read((slice(z, z + 1), slice(None), slice(None)))
        if plane.min() < centre.smallest or plane.max() > centre.largest:
            return f"its central z slices are {value} throughout"
    return f"every voxel is {value}"


class VolumeWriter:
    """Write an MRC file block by block; it appears under its name when it is complete.

    Used as a context manager. Every voxel is written exactly once. The disk space is
    reserved on entering; on an exception nothing stays.

    Parameters
    ----------
    path
        The file to make.
    like
        Where voxel size, origin, start, labels and IMOD's stamp are copied from.
    shape
        Voxels along z, y, x; `like`'s when None.
    voxel_size
        Angstrom along z, y, x; `like`'s when None.
    dtype
        "float32", "float16", or "int8" (then a label says value = stored*scale+offset,
        chosen so that the smallest and the largest value are -127 and 127).
    label
        What was done, at most 80 letters.

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
        dtype: str = "float32",
        label: str,
    ) -> None:
        if dtype not in OUTPUTS:
            raise InputError(f"dtype {dtype} is not written; use one of {', '.join(OUTPUTS)}")
        mode, stored = OUTPUTS[dtype]
        base = like.header if like is not None else Header((0, 0, 0), np.dtype(stored), mode)
        self.path = Path(path)
        self.shape = shape or base.shape
        self.header = replace(
            base,
            shape=self.shape,
            dtype=np.dtype(stored),
            mode=mode,
            voxel_size=voxel_size or base.voxel_size,
            labels=append_labels(base.labels, label),
        )
        self._staged = np.dtype("f4" if dtype == "int8" else stored)
        self._moments = Moments()
        self._guard = threading.Lock()
        self._stack = ExitStack()
        self._temporary = self.path

    def __enter__(self) -> Self:
        size = HEADER_BYTES + int(np.prod(self.shape)) * self._staged.itemsize
        with ExitStack() as stack:
            self._temporary = stack.enter_context(atomic_path(self.path))
            _reserve(self._temporary, self.path, size)
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
        largest = float(np.abs(block).max())
        if not np.isfinite(largest):
            raise InputError(f"{self.path}: the result holds NaN or infinity, it is not written")
        if self._staged == np.float16 and largest > FLOAT16_LARGEST:
            raise InputError(
                f"{self.path}: the value {largest:g} is too large for float16; write float32"
            )
        stored = np.asarray(block, self._staged)
        mapped = np.memmap(
            self._temporary, self._staged, mode="r+", offset=HEADER_BYTES, shape=self.shape
        )
        target = mapped[region]
        if target.shape != block.shape:
            raise ValueError(f"a block of {block.shape} does not fill a region of {target.shape}")
        target[...] = stored
        moments = Moments.of(stored)
        with self._guard:
            self._moments.add(moments)

    def _complete(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write the header, unless the block failed."""
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
        header, limits = self.header, (moments.smallest, moments.largest)
        mean, std = moments.mean, moments.std
        if header.mode == 0:
            scale = (limits[1] - limits[0]) / 254 or 1.0
            offset = (limits[1] + limits[0]) / 2
            _to_bytes(self._temporary, total, scale, offset)
            note = f"value = stored*{scale:.9g}+{offset:.9g}"
            header = replace(header, labels=append_labels(header.labels, note))
            limits = (round((limits[0] - offset) / scale), round((limits[1] - offset) / scale))
            mean, std = (mean - offset) / scale, std / scale
        with self._temporary.open("r+b") as handle:
            handle.write(encode_header(header, limits, mean, std))


def _reserve(temporary: Path, path: Path, size: int) -> None:
    """Make a file of `size` bytes whose disk space is really there, where that can be done."""
    with temporary.open("wb") as handle:
        try:
            os.posix_fallocate(handle.fileno(), 0, size)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                raise InputError(
                    f"{path}: there is no room for its {size / 1e9:.3g} GB on this disk; "
                    f"make room or choose another folder"
                ) from error
            if error.errno not in RESERVING_MISSING:
                raise
            os.ftruncate(handle.fileno(), size)


def _to_bytes(path: Path, total: int, scale: float, offset: float) -> None:
    """Turn a file's float32 voxels into int8 in place; the file shrinks to a quarter."""
    with path.open("r+b") as handle:
        for first in range(0, total, CHUNK_VOXELS):
            count = min(CHUNK_VOXELS, total - first)
            handle.seek(HEADER_BYTES + 4 * first)
            values = np.frombuffer(handle.read(4 * count), np.float32)
            stored = np.rint((values.astype(np.float64) - offset) / scale).astype(np.int8)
            handle.seek(HEADER_BYTES + first)
            handle.write(stored.tobytes())
        handle.truncate(HEADER_BYTES + total)


def write_volume(
    path: Path | str,
    data: NDArray[Any],
    *,
    voxel_size: Triple | float | None = None,
    like: Volume | None = None,
    dtype: str = "float32",
    label: str,
) -> None:
    """Write a whole array (z, y, x) as an MRC file.

    Parameters
    ----------
    path
        The file to make.
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
        writer.write((slice(None), slice(None), slice(None)), data)
