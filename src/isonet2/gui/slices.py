"""Slices of volumes as bytes, their grey scale from a sample, and the x-z power spectrum."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from isonet2.data.formats.flat import FlatReader
from isonet2.data.volumes import Region, Shape, Volume
from isonet2.types import Floats

Axis = Literal["z", "y", "x"]
AXES: tuple[Axis, ...] = ("z", "y", "x")
Bytes = NDArray[np.uint8]

LEVELS = 256
_TAIL = 0.05
"""Percent of a sample's voxels, at either end, that the grey scale need not reach."""
_BEYOND = 0.25
"""Part of the range between the tails by which the scale goes on beyond them."""
_SAMPLE_SLICES, _SAMPLE_VOXELS, _SAMPLE_BOX = 8, 2**17, 48
_SPECTRUM_SLICES, _SPECTRUM_EDGE = 9, 512


@dataclass(frozen=True, slots=True)
class Scale:
    """Which value byte 0 and which byte 255 stand for."""

    low: float
    high: float

    def to_bytes(self, values: Floats) -> Bytes:
        """Values as bytes; those beyond the ends, and NaN, become the nearest end (NaN: 0)."""
        steps = (values - np.float32(self.low)) * np.float32((LEVELS - 1) / (self.high - self.low))
        steps += np.float32(0.5)
        np.nan_to_num(steps, copy=False, nan=0.0, posinf=LEVELS - 1, neginf=0.0)
        np.clip(steps, 0, LEVELS - 1, out=steps)
        return steps.astype(np.uint8)


MASK_SCALE = Scale(0.0, 1.0)
"""Of masks, which are seen as 0 or 1 whatever a sample of them holds."""


def is_flat(volume: Volume) -> bool:
    """Whether any slice along z or y can be read without reading much else."""
    return isinstance(volume.reader, FlatReader)


def sample(volume: Volume) -> NDArray[np.float32]:
    """Some voxels from all over a volume, in one row; those that are finite.

    Where voxels lie in one piece they come from whole slices, else from boxes, so that few of a
    file's chunks are unpacked.
    """
    parts = []
    if is_flat(volume):
        for z in _spread(volume.shape[0], _SAMPLE_SLICES):
            plane = cut(volume, "z", z)
            step = math.ceil(math.sqrt(plane.size / _SAMPLE_VOXELS))
            parts.append(plane[::step, ::step].ravel())
    else:
        parts = [volume.read(box).ravel() for box in _boxes(volume.shape)]
    found = np.concatenate(parts)
    finite: NDArray[np.float32] = found[np.isfinite(found)]
    return finite


def _spread(length: int, count: int) -> list[int]:
    """At most `count` indices, evenly spread over an axis, each in the middle of its share."""
    count = min(length, count)
    return [(2 * part + 1) * length // (2 * count) for part in range(count)]


def _boxes(shape: Shape) -> list[Region]:
    """Boxes along the diagonal of a volume."""
    boxes = []
    for part in range(_SAMPLE_SLICES):
        edges = []
        for length in shape:
            edge = min(length, _SAMPLE_BOX)
            low = (length - edge) * part // (_SAMPLE_SLICES - 1)
            edges.append(slice(low, low + edge))
        boxes.append((edges[0], edges[1], edges[2]))
    return boxes


def scale_of(values: NDArray[np.float32]) -> Scale:
    """Grey scale that shows nearly all values of a sample, and leaves room to darken."""
    if not values.size:
        return Scale(0.0, 1.0)
    low, high = np.percentile(values, (_TAIL, 100 - _TAIL))
    room = _BEYOND * (high - low)
    low, high = max(low - room, values.min()), min(high + room, values.max())
    if not high - low > 1e-6 * abs(high):
        return Scale(float(low), float(low) + max(1.0, abs(float(low))))
    return Scale(float(low), float(high))


def histogram(values: NDArray[np.float32], scale: Scale) -> list[int]:
    """How many values of a sample have each byte."""
    return np.bincount(scale.to_bytes(values), minlength=LEVELS).tolist()


def cut(volume: Volume, axis: Axis, index: int) -> NDArray[np.float32]:
    """One slice: (y, x) across z, (z, x) across y, (y, z) across x.

    Raises
    ------
    IndexError
        When the volume has no such slice.
    """
    number = AXES.index(axis)
    if not 0 <= index < volume.shape[number]:
        raise IndexError(f"{volume.path} has no slice {index} along {axis}")
    region = [slice(None)] * 3
    region[number] = slice(index, index + 1)
    return lay(volume.read((region[0], region[1], region[2])), axis)


def lay(block: NDArray[Any], axis: Axis) -> NDArray[Any]:
    """A block that is one voxel thick as the picture of it: y or z upward, x or z to the right."""
    plane = block.squeeze(AXES.index(axis))
    return plane.T if axis == "x" else plane


def bin_plane(plane: Floats, factor: int) -> Floats:
    """Means of `factor`^2 pixels; the last ones, where incomplete, of those that there are."""
    if factor == 1:
        return plane
    for axis in (0, 1):
        starts = np.arange(0, plane.shape[axis], factor)
        counts = np.diff(np.append(starts, plane.shape[axis]))
        sums = np.add.reduceat(plane, starts, axis, dtype=np.float32)
        plane = sums / np.expand_dims(counts, 1 - axis).astype(np.float32)
    return plane


def xz_power(volume: Volume) -> Bytes:
    """The power of the x-z frequencies, on a logarithmic grey scale, zero frequency in the middle.

    What a tilt range measures depends on kx and kz alone, so the spectra of x-z slices show the
    missing wedge as the whole volume's would; those of nine slices are averaged.

    Returns
    -------
    array
        (kz, kx), both from -1/2 to 1/2 cycle per voxel; of a volume's middle part where it has
        more than 512 voxels along x or z.
    """
    depth, rows, width = volume.shape
    z, x = _middle(depth), _middle(width)
    window = np.outer(*(np.hanning(part.stop - part.start + 2)[1:-1] for part in (z, x)))
    power = np.zeros(window.shape)
    chosen = _spread(rows, _SPECTRUM_SLICES)
    for y in chosen:
        plane: Floats = np.nan_to_num(
            volume.read((z, slice(y, y + 1), x))[:, 0], posinf=0.0, neginf=0.0
        )
        power += np.abs(np.fft.fft2((plane - plane.mean()) * window)) ** 2
    logs = np.log10(np.maximum(power / len(chosen), max(float(power.max()) * 1e-12, 1e-300)))
    low, high = np.percentile(logs, (2, 99.8))
    shown = np.fft.fftshift(logs).astype(np.float32)
    return Scale(float(low), float(max(high, low + 1e-6))).to_bytes(shown)


def _middle(length: int) -> slice:
    edge = min(length, _SPECTRUM_EDGE)
    return slice((length - edge) // 2, (length - edge) // 2 + edge)
