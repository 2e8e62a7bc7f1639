"""Volumes that somebody looks at: what is known of each, and 8-bit copies, in bounded memory."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from isonet2.data.volumes import Volume, open_volume
from isonet2.gui import slices
from isonet2.gui.slices import AXES, MASK_SCALE, Axis, Bytes, Scale

MEMORY = 2**30
"""Bytes that all copies together may take."""
COPY = 288 * 2**20
"""Bytes that one may take; larger volumes are binned for it."""
SMALL = 2**25
"""Bytes of a file that is read quickly enough in any direction."""
_KNOWN = 64
_SLAB = 2**22

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Look:
    """A volume that is looked at.

    Attributes
    ----------
    volume
        Its file.
    version
        Other when the file is another.
    scale
        Of its bytes.
    counts
        How many voxels of a sample have each byte.
    """

    volume: Volume
    version: str
    scale: Scale
    counts: list[int]

    def about(self) -> dict[str, Any]:
        """What the viewer must know before it asks for slices."""
        volume = self.volume
        return {
            "path": str(volume.path),
            "name": volume.path.name,
            "shape": list(volume.shape),
            "voxel_size": volume.voxel_size,
            "dtype": volume.dtype.name,
            "version": self.version,
            "low": self.scale.low,
            "high": self.scale.high,
            "counts": self.counts,
        }


@dataclass(frozen=True, slots=True)
class _Copy:
    """The bytes of a binned volume, (z, y, x)."""

    voxels: Bytes
    factor: int

    def plane(self, axis: Axis, index: int) -> Bytes:
        """One slice, as `slices.cut`."""
        number, at = AXES.index(axis), index // self.factor
        return slices.lay(np.take(self.voxels, [at], number), axis)


@dataclass(frozen=True, slots=True)
class Plane:
    """A slice as it is sent.

    Attributes
    ----------
    pixels
        Bytes, the first row at the bottom.
    factor
        Voxels along the edge of a pixel.
    """

    pixels: Bytes
    factor: int = 1


class VolumeStore:
    """Answers what the viewer asks about files; threads may call together.

    Slices across x of a large file touch all of it, and slices of a compressed one unpack much
    more than is seen. Then an 8-bit copy is made, once, by one pass from end to end.
    """

    def __init__(self, memory: int = MEMORY, copy: int = COPY, small: int = SMALL) -> None:
        self._memory, self._copy_bytes, self._small = memory, copy, small
        self._guard = threading.RLock()
        self._looks: OrderedDict[Any, Future[Look]] = OrderedDict()
        self._spectra: OrderedDict[Any, Future[Bytes]] = OrderedDict()
        self._copies: OrderedDict[Any, Future[_Copy]] = OrderedDict()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="volume copies")
        self._closing = threading.Event()

    def look(self, path: Path, *, mask: bool = False) -> Look:
        """Open a volume, or take what is known of it while its file is the same.

        Raises
        ------
        InputError
            When it cannot be read.
        """
        version = _version(path)
        key = path, version, mask
        return self._once(self._looks, key, lambda: _look(path, version, mask))

    def plane(self, look: Look, axis: Axis, index: int, factor: int = 1) -> Plane:
        """One slice, each pixel the mean of `factor`^2 voxels or, from a binned copy, of more.

        Raises
        ------
        IndexError
            When the volume has no such slice.
        """
        copy = self._copy_for(look, axis)
        if copy is not None:
            if not 0 <= index < look.volume.shape[AXES.index(axis)]:
                raise IndexError(f"{look.volume.path} has no slice {index} along {axis}")
            pixels = copy.plane(axis, index)
            more = max(1, factor // copy.factor)
            if more > 1:
                pixels = slices.bin_plane(pixels.astype(np.float32), more).astype(np.uint8)
            return Plane(pixels, copy.factor * more)
        values = slices.bin_plane(slices.cut(look.volume, axis, index), factor)
        return Plane(look.scale.to_bytes(values), factor)

    def spectrum(self, look: Look) -> Bytes:
        """The x-z power spectrum, see `slices.xz_power`."""
        key = look.volume.path, look.version
        return self._once(self._spectra, key, lambda: slices.xz_power(look.volume))

    def close(self) -> None:
        """Stop making copies."""
        self._closing.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def copied(self) -> int:
        """Bytes of all copies."""
        with self._guard:
            return sum(_bytes_of(made) for made in self._copies.values())

    def _once(self, known: OrderedDict[Any, Future[V]], key: Any, make: Callable[[], V]) -> V:
        """What `make` gives, made by whoever asks first; what fails is tried again next time."""
        with self._guard:
            made, first = known.get(key), False
            if made is None:
                made, first = Future(), True
                known[key] = made
                while len(known) > _KNOWN:
                    known.popitem(last=False)
            known.move_to_end(key)
        if first:
            try:
                made.set_result(make())
            except BaseException as error:
                with self._guard:
                    known.pop(key, None)
                made.set_exception(error)
        return made.result()

    def _copy_for(self, look: Look, axis: Axis) -> _Copy | None:
        """The 8-bit copy that a slice is taken from; None where the file itself is as quick."""
        volume, flat = look.volume, slices.is_flat(look.volume)
        if np.prod(volume.shape) * volume.dtype.itemsize <= self._small or (flat and axis != "x"):
            return None
        key = volume.path, look.version, look.scale
        with self._guard:
            made = self._copies.get(key)
            if made is None:
                made = self._copies[key] = self._pool.submit(self._make_copy, look)
                made.add_done_callback(lambda ended: self._forget_failed(key, ended))
            self._copies.move_to_end(key)
            self._shrink(key)
        return made.result() if flat or made.done() else None

    def _shrink(self, wanted: Any) -> None:
        """Forget the copies that were not used for longest, until the rest fits."""
        for key in list(self._copies):
            total = sum(_bytes_of(made) for made in self._copies.values())
            if total + self._copy_bytes * _unfinished(self._copies) <= self._memory:
                break
            if key != wanted and self._copies[key].done():
                del self._copies[key]

    def _forget_failed(self, key: Any, made: "Future[_Copy]") -> None:
        """Let the next one who asks try again."""
        if made.cancelled() or made.exception() is not None:
            with self._guard:
                self._copies.pop(key, None)

    def _make_copy(self, look: Look) -> _Copy:
        shape = look.volume.shape
        factor = 1
        while int(np.prod([-(-n // factor) for n in shape])) > self._copy_bytes:
            factor += 1
        voxels = np.empty([-(-n // factor) for n in shape], np.uint8)
        step = factor * max(1, _SLAB // (factor * shape[1] * shape[2]))
        for low in range(0, shape[0], step):
            if self._closing.is_set():
                raise RuntimeError("the store is closed")
            block = look.volume.read((slice(low, low + step), slice(None), slice(None)))
            made = _block_means(block, factor)
            voxels[low // factor : low // factor + len(made)] = look.scale.to_bytes(made)
        return _Copy(voxels, factor)


def _look(path: Path, version: str, mask: bool) -> Look:
    volume = open_volume(path)
    values = slices.sample(volume)
    scale = MASK_SCALE if mask else slices.scale_of(values)
    return Look(volume, version, scale, slices.histogram(values, scale))


def _version(path: Path) -> str:
    """What tells a file from the one that stood there before."""
    try:
        state = path.stat()
    except OSError:
        return "absent"
    return f"{state.st_mtime_ns:x}-{state.st_size:x}-{state.st_ino:x}"


def _block_means(block: Any, factor: int) -> Any:
    """Means of `factor`^3 voxels."""
    if factor == 1:
        return block
    starts = np.arange(0, len(block), factor)
    counts = np.diff(np.append(starts, len(block))).astype(np.float32)
    planes = np.add.reduceat(block, starts, 0) / counts[:, None, None]
    return np.stack([slices.bin_plane(plane, factor) for plane in planes])


def _bytes_of(made: "Future[_Copy]") -> int:
    ready = made.done() and not made.cancelled() and made.exception() is None
    return made.result().voxels.nbytes if ready else 0


def _unfinished(copies: "OrderedDict[Any, Future[_Copy]]") -> int:
    return sum(not made.done() for made in copies.values())
