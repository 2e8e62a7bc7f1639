"""HDF5 files with one volume, as EMAN2, ilastik, Fiji and plain h5py write them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isonet2.data.files import atomic_path
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
from isonet2.types import Region

DATASET = "volume"
_CHUNK = 64
_SIZES = (("element_size_um", "um"), ("voxel_size", "angstrom"), ("pixel_size", "angstrom"))
_EMAN = ("EMAN.apix_z", "EMAN.apix_y", "EMAN.apix_x")


@dataclass(frozen=True, slots=True)
class _DatasetReader:
    """Reads the chunks of a dataset that a region touches."""

    path: Path
    dataset: str

    def read(self, region: Region) -> NDArray[Any]:
        """Voxels (z, y, x) of a region."""
        with library("h5py", self.path).File(self.path, "r", locking="best-effort") as file:
            values: NDArray[Any] = file[self.dataset][region]
        return values


def _open(path: Path) -> tuple[Header, Reader]:
    h5py = library("h5py", path)
    try:
        with h5py.File(path, "r", locking="best-effort") as file:
            dataset = _the_volume(path, file, h5py)
            check_real(path, dataset.dtype)
            z, y, x = (int(n) for n in dataset.shape)
            attributes = {**dataset.parent.attrs, **dataset.attrs}
            header = Header((z, y, x), dataset.dtype, _voxel_size(attributes), **_told(attributes))
            return header, _DatasetReader(path, dataset.name)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; correct the name or the folder") from error
    except OSError as error:
        raise InputError(f"{path}: is not readable as HDF5 ({error})") from error


def _the_volume(path: Path, file: Any, h5py: Any) -> Any:
    """The one dataset of three axes; that called volume or data, where there are several."""
    found: dict[str, Any] = {}

    def note(name: str, thing: Any) -> None:
        if isinstance(thing, h5py.Dataset) and thing.ndim == 3 and min(thing.shape) > 0:
            found[name] = thing

    file.visititems(note)
    if not found:
        raise InputError(f"{path}: holds no dataset of three axes (z, y, x)")
    if len(found) == 1:
        return next(iter(found.values()))
    for name in (DATASET, "data"):
        if name in found:
            return found[name]
    raise InputError(
        f"{path}: holds several volumes ({', '.join(found)}); name one of them {DATASET}, or "
        f"write it to a file of its own"
    )


def _voxel_size(attributes: Mapping[str, Any]) -> Triple | None:
    """Voxel size (z, y, x) from the attributes that programs write."""
    if all(name in attributes for name in _EMAN):
        return angstroms(tuple(float(attributes[name]) for name in _EMAN), "angstrom")
    for name, usual in _SIZES:
        if name in attributes:
            values = np.asarray(attributes[name], float).ravel()
            unit = attributes.get(f"{name}_unit", attributes.get("unit", usual))
            unit = usual if name.endswith("_um") else unit
            text = unit.decode() if isinstance(unit, bytes) else str(unit)
            sizes = tuple(values.tolist()) * (3 if values.size == 1 else 1)
            return angstroms(sizes, text)
    return None


def _told(attributes: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: attributes[name] for name in ("labels", "origin", "start") if name in attributes}
    if isinstance(found.get("labels"), str):
        found["labels"] = [found["labels"]]
    return from_notes(found)


class _Hdf5Sink:
    """Writes into a chunked dataset whose space the file has from the start."""

    def __init__(self, temporary: Path, path: Path, header: Header) -> None:
        h5py = library("h5py", path)
        check_room(path, int(np.prod(header.shape)) * header.dtype.itemsize)
        self.path, self._h5py = temporary, h5py
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_chunk(tuple(min(_CHUNK, n) for n in header.shape))
        layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        with h5py.File(temporary, "w") as file:
            h5py.h5d.create(
                file.id,
                DATASET.encode(),
                h5py.h5t.py_create(header.dtype),
                h5py.h5s.create_simple(header.shape),
                layout,
            )
            attributes = file[DATASET].attrs
            attributes.update(notes(header))
            if header.voxel_size is not None:
                attributes["voxel_size"] = header.voxel_size
                attributes["voxel_size_unit"] = "angstrom"
                attributes["element_size_um"] = [edge * 1e-4 for edge in header.voxel_size]

    def write(self, region: Region, block: NDArray[Any]) -> None:
        """Put a block (z, y, x) at its place; the library lets one thread in at a time."""
        with self._h5py.File(self.path, "r+") as file:
            file[DATASET][region] = block

    def finish(self, moments: Moments) -> None:
        """Note the statistics."""
        with self._h5py.File(self.path, "r+") as file:
            file[DATASET].attrs.update({"mean": moments.mean, "std": moments.std})


HDF5 = Format(
    name="HDF5",
    suffixes=(".h5", ".hdf5", ".hdf"),
    signature=(b"\x89HDF\r\n\x1a\n",),
    dtypes=("float32", "float16"),
    open=_open,
    place=atomic_path,
    create=_Hdf5Sink,
)
