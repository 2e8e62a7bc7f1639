"""TIFF stacks of ImageJ and OME-TIFF in, OME-TIFF out; no axis is mirrored."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

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
from isonet2.data.formats.flat import FlatReader, FlatSink, check_room, reserve
from isonet2.errors import InputError
from isonet2.types import Region, Shape

_BIG = 2**32 - 2**25  # bytes that a classical TIFF cannot pass
_PIXELS = ".//{*}Pixels"
_DESCRIPTION = ".//{*}Image/{*}Description"


@dataclass(frozen=True, slots=True)
class _PageReader:
    """Reads the pages (z slices) of a compressed or scattered TIFF that a region touches."""

    path: Path
    shape: Shape

    def read(self, region: Region) -> NDArray[Any]:
        """Voxels (z, y, x) of a region."""
        z, y, x = region
        with library("tifffile", self.path).TiffFile(self.path) as file:
            pages = file.series[0].pages
            planes = [np.asarray(pages[index].asarray())[y, x] for index in range(z.start, z.stop)]
            empty = (0, len(range(y.start, y.stop)), len(range(x.start, x.stop)))
            return np.stack(planes) if planes else np.zeros(empty, np.float32)


def _open(path: Path) -> tuple[Header, Reader]:
    tifffile = library("tifffile", path)
    try:
        with tifffile.TiffFile(path) as file:
            return _described(path, file)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; correct the name or the folder") from error
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path}: is not readable as TIFF ({error})") from error


def _described(path: Path, file: Any) -> tuple[Header, Reader]:
    """What an open file says."""
    series = file.series[0]
    dtype = np.dtype(series.dtype).newbyteorder(file.byteorder)
    check_real(path, dtype)
    sizes, axes = tuple(series.shape), str(series.axes)
    if not axes.endswith("YX") or len(sizes) > 3:
        raise InputError(
            f"{path}: its axes are {axes} of {sizes}; give one grey-scale stack (z, y, x), "
            f"without channels, colours or times"
        )
    shape = (sizes[0], sizes[1], sizes[2]) if len(sizes) == 3 else (1, sizes[0], sizes[1])
    voxel_size, told = _ome(file) if file.is_ome else (_imagej(file), {})
    header = Header(shape, dtype, voxel_size, **told)
    if series.dataoffset is None:
        return header, _PageReader(path, shape)
    end = series.dataoffset + int(np.prod(shape)) * dtype.itemsize
    if path.stat().st_size < end:
        raise InputError(f"{path}: was cut short, copy or make it again")
    return header, FlatReader(path, dtype, series.dataoffset, shape)


def _imagej(file: Any) -> Triple | None:
    """Voxel size from ImageJ's metadata; z as x, when that is not said."""
    found = file.imagej_metadata
    tags = file.pages[0].tags
    if not found or "XResolution" not in tags or "YResolution" not in tags:
        return None
    edges = []
    for name in ("YResolution", "XResolution"):
        per, unit = tags[name].value
        edges.append(unit / per if per else 0.0)
    return angstroms((float(found.get("spacing", edges[1])), *edges), found.get("unit"))


def _ome(file: Any) -> tuple[Triple | None, dict[str, Any]]:
    """Voxel size of the first image, each axis with its unit (micrometre by default), and notes."""
    root = ElementTree.fromstring(file.ome_metadata)
    pixels = root.find(_PIXELS)
    edges = []
    for axis in "ZYX" if pixels is not None else "":
        size = pixels.get(f"PhysicalSize{axis}") if pixels is not None else None
        unit = pixels.get(f"PhysicalSize{axis}Unit", "µm") if pixels is not None else None
        found = angstroms((float(size),) * 3, unit) if size is not None else None
        edges.append(found[0] if found else 0.0)
    try:
        told = json.loads(root.findtext(_DESCRIPTION) or "{}")
    except ValueError:
        told = {}
    return angstroms(tuple(edges), "angstrom"), from_notes(told) if isinstance(told, dict) else {}


def _create(temporary: Path, path: Path, header: Header) -> FlatSink:
    size = int(np.prod(header.shape)) * header.dtype.itemsize
    metadata: dict[str, Any] = {"axes": "ZYX", "Description": json.dumps(notes(header))}
    for axis, edge in zip("ZYX", header.voxel_size or (), strict=False):
        metadata |= {f"PhysicalSize{axis}": edge, f"PhysicalSize{axis}Unit": "Å"}
    tifffile = library("tifffile", path)
    check_room(path, size)
    mapped = tifffile.memmap(
        temporary,
        shape=header.shape,
        dtype=header.dtype,
        ome=True,
        bigtiff=size > _BIG,
        metadata=metadata,
    )
    reserve(temporary, path, temporary.stat().st_size)
    return FlatSink(temporary, header.dtype, mapped.offset, header.shape)


TIFF = Format(
    name="TIFF",
    suffixes=(".tif", ".tiff"),
    signature=(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    dtypes=("float32",),
    open=_open,
    place=atomic_path,
    create=_create,
)
