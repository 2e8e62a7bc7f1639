"""NPY files of numpy: voxels, and no word on their size."""

from pathlib import Path

import numpy as np

from isonet2.data.files import atomic_path
from isonet2.data.formats.base import Format, Header, Reader, check_real
from isonet2.data.formats.flat import FlatReader, FlatSink, reserve
from isonet2.errors import InputError


def _open(path: Path) -> tuple[Header, Reader]:
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; correct the name or the folder") from error
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: is not readable as NPY ({error})") from error
    check_real(path, stored.dtype)
    if stored.ndim != 3:
        raise InputError(f"{path}: has {stored.ndim} axes; give a volume of three, z, y, x")
    axes = (2, 1, 0) if stored.flags.f_contiguous and not stored.flags.c_contiguous else (0, 1, 2)
    shape = (stored.shape[0], stored.shape[1], stored.shape[2])
    header = Header(shape, stored.dtype)
    return header, FlatReader(path, stored.dtype, stored.offset, shape, axes)


def _create(temporary: Path, path: Path, header: Header) -> FlatSink:
    with temporary.open("wb") as handle:
        np.lib.format.write_array_header_1_0(
            handle,
            {"descr": header.dtype.str, "fortran_order": False, "shape": header.shape},
        )
        offset = handle.tell()
    reserve(temporary, path, offset + int(np.prod(header.shape)) * header.dtype.itemsize)
    return FlatSink(temporary, header.dtype, offset, header.shape)


NPY = Format(
    name="NPY",
    suffixes=(".npy",),
    signature=(b"\x93NUMPY",),
    dtypes=("float32", "float16"),
    open=_open,
    place=atomic_path,
    create=_create,
)
