"""OME-Zarr folders, layouts 0.4 and 0.5 in (finest level), 0.5 out; plain Zarr arrays in."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isonet2.data.files import atomic_folder
from isonet2.data.formats.base import (
    Format,
    Header,
    Reader,
    Triple,
    angstroms,
    check_real,
    from_notes,
    library,
    notes,
)
from isonet2.data.formats.flat import check_room
from isonet2.data.moments import Moments
from isonet2.errors import InputError
from isonet2.types import Region, Shape

_CHUNK = 64
_LEVEL = "0"
_OURS = "isonet2"


@dataclass(frozen=True, slots=True)
class _ArrayReader:
    """Reads the chunks of an array that a region touches.

    Attributes
    ----------
    path
        Folder of the array.
    order
        Which axes of the array are z, y, x; all others hold one element.
    """

    path: Path
    order: Shape

    def read(self, region: Region) -> NDArray[Any]:
        """Voxels (z, y, x) of a region."""
        array = library("zarr", self.path).open_array(self.path, mode="r")
        where: list[slice | int] = [0] * array.ndim
        for axis, part in zip(self.order, region, strict=True):
            where[axis] = part
        ranks = np.argsort(np.argsort(self.order))
        values: NDArray[Any] = np.asarray(array[tuple(where)]).transpose(ranks)
        return values


def _open(path: Path) -> tuple[Header, Reader]:
    zarr = library("zarr", path)
    if not path.is_dir():
        raise InputError(f"{path}: no such Zarr folder; correct the name")
    try:
        node = zarr.open(path, mode="r")
    except Exception as error:
        raise InputError(f"{path}: is not readable as Zarr ({error})") from error
    if not hasattr(node, "members"):
        return _plain(path, node)
    attributes = dict(node.attrs)
    image = attributes.get("ome", attributes)
    if not image.get("multiscales"):
        raise InputError(
            f"{path}: is no OME-Zarr image (it has no multiscales); give the folder that has it"
        )
    try:
        return _image(path, node, image["multiscales"][0], attributes.get(_OURS, {}))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: its multiscales are not OME-Zarr 0.4 or 0.5 ({error})"
        ) from error


def _plain(path: Path, array: Any) -> tuple[Header, Reader]:
    """An array without metadata of an image."""
    check_real(path, array.dtype)
    if array.ndim != 3:
        raise InputError(f"{path}: has {array.ndim} axes; give a volume of three, z, y, x")
    z, y, x = (int(n) for n in array.shape)
    return Header((z, y, x), np.dtype(array.dtype)), _ArrayReader(path, (0, 1, 2))


def _image(
    path: Path, group: Any, scales: Mapping[str, Any], told: Mapping[str, Any]
) -> tuple[Header, Reader]:
    """The finest level of an image."""
    axes = [a if isinstance(a, dict) else {"name": a} for a in scales["axes"]]
    names = [str(axis["name"]).lower() for axis in axes]
    finest = scales["datasets"][0]
    array = group[finest["path"]]
    check_real(path, np.dtype(array.dtype))
    order = (names.index("z"), names.index("y"), names.index("x"))
    extra = {n: int(array.shape[i]) for i, n in enumerate(names) if i not in order}
    if any(size != 1 for size in extra.values()):
        raise InputError(f"{path}: holds several volumes ({extra}); give one without such axes")
    steps = [*finest["coordinateTransformations"], *scales.get("coordinateTransformations", ())]
    scale, shift = _placed(steps, len(names))
    units = [axes[i].get("unit") or "angstrom" for i in order]
    voxel_size = _edges([scale[i] for i in order], units)
    origin = [_length(shift[i], unit) for i, unit in zip(order, units, strict=True)]
    z, y, x = (int(array.shape[i]) for i in order)
    values = {"origin": origin, **told} if any(origin) else dict(told)
    header = Header((z, y, x), np.dtype(array.dtype), voxel_size, **from_notes(values))
    return header, _ArrayReader(path / finest["path"], order)


def _placed(steps: Sequence[Mapping[str, Any]], axes: int) -> tuple[list[float], list[float]]:
    """Scale and translation of each axis that transformations one after the other make."""
    scale, shift = [1.0] * axes, [0.0] * axes
    for step in steps:
        if step["type"] == "scale":
            factors = [float(f) for f in step["scale"]]
            scale = [a * b for a, b in zip(scale, factors, strict=True)]
            shift = [a * b for a, b in zip(shift, factors, strict=True)]
        elif step["type"] == "translation":
            ways = [float(way) for way in step["translation"]]
            shift = [a + b for a, b in zip(shift, ways, strict=True)]
    return scale, shift


def _length(value: float, unit: str) -> float:
    found = angstroms((abs(value),) * 3, unit)
    return float(np.copysign(found[0], value)) if found else 0.0


def _edges(sizes: Sequence[float], units: Sequence[str]) -> Triple | None:
    """Edges of a voxel, each in its own unit; without a unit they are in angstrom."""
    edges = tuple(_length(size, unit) for size, unit in zip(sizes, units, strict=True))
    return angstroms(edges, "angstrom")


class _ZarrSink:
    """Writes into a chunked array, one block at a time, since blocks may share chunks."""

    def __init__(self, temporary: Path, path: Path, header: Header) -> None:
        zarr = library("zarr", path)
        check_room(path, int(np.prod(header.shape)) * header.dtype.itemsize)
        edges = header.voxel_size
        axis: dict[str, Any] = {"type": "space", **({"unit": "angstrom"} if edges else {})}
        steps: list[dict[str, Any]] = [{"type": "scale", "scale": list(edges or (1.0, 1.0, 1.0))}]
        if any(header.origin):
            steps.append({"type": "translation", "translation": list(header.origin)})
        image = {
            "version": "0.5",
            "multiscales": [
                {
                    "name": path.stem,
                    "axes": [{"name": name, **axis} for name in "zyx"],
                    "datasets": [{"path": _LEVEL, "coordinateTransformations": steps}],
                }
            ],
        }
        attributes = {"ome": image, _OURS: notes(header)}
        group = zarr.create_group(temporary, attributes=attributes, zarr_format=3)
        chunks = tuple(min(_CHUNK, n) for n in header.shape)
        self._array = group.create_array(
            _LEVEL,
            shape=header.shape,
            dtype=header.dtype,
            chunks=chunks,
            dimension_names=tuple("zyx"),
        )
        self._guard = threading.Lock()

    def write(self, region: Region, block: NDArray[Any]) -> None:
        """Put a block (z, y, x) at its place."""
        with self._guard:
            self._array[region] = block

    def finish(self, moments: Moments) -> None:
        """All was said before."""


ZARR = Format(
    name="OME-Zarr",
    suffixes=(".zarr",),
    signature=(),
    dtypes=("float32", "float16"),
    open=_open,
    place=atomic_folder,
    create=_ZarrSink,
)
