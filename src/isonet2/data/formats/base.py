"""What all file formats share: what a file says about its volume, and who reads and writes it."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from isonet2.data.moments import Moments
from isonet2.errors import InputError
from isonet2.types import Region, Shape

Triple = tuple[float, float, float]
CHUNK_VOXELS = 2**22
"""Voxels that are read or written at a time."""

_ANGSTROMS = {
    1.0: ("angstrom", "angstroms", "ångström", "å", "a", "ang"),
    10.0: ("nanometer", "nanometre", "nm"),
    1e4: ("micrometer", "micrometre", "micron", "microns", "um", "µm", "μm"),
    1e-2: ("picometer", "picometre", "pm"),
    1e7: ("millimeter", "millimetre", "mm"),
    1e10: ("meter", "metre", "m"),
}
_UNITS = {word: factor for factor, words in _ANGSTROMS.items() for word in words}
_ESCAPES = {"\\u00b5": "µ", "\\u00c5": "å", "\\u00e5": "å", "\u212b": "å"}


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says about its volume, with all triples in the order (z, y, x).

    Attributes
    ----------
    shape
        Voxels along z, y, x.
    dtype
        Type of the stored values, byte order included.
    voxel_size
        Angstrom along z, y, x; None when the file does not say.
    origin
        Angstrom.
    start
        Index of the first voxel in a larger grid.
    labels
        What was done to the volume.
    """

    shape: Shape
    dtype: np.dtype[Any]
    voxel_size: Triple | None = None
    origin: Triple = (0.0, 0.0, 0.0)
    start: Shape = (0, 0, 0)
    labels: tuple[str, ...] = ()


class Reader(Protocol):
    """Reads voxels of one file; it keeps no file open."""

    def read(self, region: Region) -> NDArray[Any]:
        """Voxels (z, y, x) of a region, of any type."""


class Sink(Protocol):
    """Takes the voxels of one file that is being made."""

    def write(self, region: Region, block: NDArray[Any]) -> None:
        """Put a block (z, y, x) at its place; threads may call this together."""

    def finish(self, moments: Moments) -> None:
        """Complete the file, all of whose voxels are written."""


@dataclass(frozen=True, slots=True)
class Format:
    """A file format.

    Attributes
    ----------
    name
        What people call it.
    suffixes
        Endings of its files, lower case; the first is the one that we give.
    signature
        First bytes of its files; none where they do not tell.
    dtypes
        Value types that are written.
    open
        What a file says, and who reads its voxels.
    place
        Temporary path for a file (or folder) that appears whole.
    create
        Sink for (temporary path, final path, header); the disk space is reserved, or at least
        seen to be there.
    """

    name: str
    suffixes: tuple[str, ...]
    signature: tuple[bytes, ...]
    dtypes: tuple[str, ...]
    open: Callable[[Path], tuple[Header, Reader]]
    place: Callable[[Path], AbstractContextManager[Path]]
    create: Callable[[Path, Path, Header], Sink]


def library(name: str, path: Path) -> Any:
    """Module of an optional library that a file's format needs.

    Raises
    ------
    InputError
        When it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(
            f"{path}: this format needs the library {name}; install it with `pip install {name}`"
        ) from error


def angstroms(sizes: tuple[float, ...], unit: str | None) -> Triple | None:
    """Voxel size (z, y, x) in angstrom of one in another unit; None when that says nothing."""
    word = str(unit or "").strip().lower()
    for escaped, letter in _ESCAPES.items():
        word = word.replace(escaped, letter)
    factor = _UNITS.get(word)
    if factor is None or len(sizes) != 3:
        return None
    z, y, x = (float(f"{size * factor:.7g}") for size in sizes)
    return (z, y, x) if all(np.isfinite(s) and s > 0 for s in (z, y, x)) else None


def check_real(path: Path, dtype: np.dtype[Any]) -> None:
    """Refuse values that are no real numbers."""
    if dtype.kind not in "iufb":
        raise InputError(f"{path}: holds {dtype} values; convert it to real numbers (float32)")


def clipped(region: Region, shape: Shape) -> Region:
    """Region with plain bounds inside a shape, as numpy would take it."""
    z, y, x = (slice(*part.indices(n)) for part, n in zip(region, shape, strict=True))
    return z, y, x


def notes(header: Header) -> dict[str, Any]:
    """What formats of free metadata are told beside the voxel size."""
    return {
        "origin": list(header.origin),
        "start": list(header.start),
        "labels": list(header.labels),
    }


def from_notes(found: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a `Header` from what `notes` wrote; nothing of what is not in its form."""
    labels = found.get("labels", ())
    told: dict[str, Any] = {"labels": tuple(str(label) for label in labels)}
    for name, kind in (("origin", float), ("start", int)):
        values = found.get(name)
        if values is not None and len(values) == 3:
            told[name] = tuple(kind(value) for value in values)
    return told
