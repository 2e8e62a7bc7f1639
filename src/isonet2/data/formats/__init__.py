"""File formats of volumes, chosen by a name's suffix."""

from pathlib import Path

from isonet2.data.formats.base import Format
from isonet2.data.formats.hdf5 import HDF5
from isonet2.data.formats.mrc import MRC
from isonet2.data.formats.npy import NPY
from isonet2.data.formats.tiff import TIFF
from isonet2.data.formats.zarr import ZARR
from isonet2.errors import InputError

FORMATS = (MRC, TIFF, HDF5, NPY, ZARR)
BY_SUFFIX: dict[str, Format] = {suffix: one for one in FORMATS for suffix in one.suffixes}
_SIGNATURE_BYTES = 8


def format_of(path: Path) -> Format:
    """Format of a file, by its suffix, else by its first bytes; MRC when neither tells."""
    known = BY_SUFFIX.get(path.suffix.lower())
    if known is not None or not path.is_file():
        return known or MRC
    with path.open("rb") as handle:
        start = handle.read(_SIGNATURE_BYTES)
    return next((one for one in FORMATS if one.signature and start.startswith(one.signature)), MRC)


def format_to_write(path: Path, dtype: str) -> Format:
    """Format that a file's suffix asks for.

    Raises
    ------
    InputError
        For a suffix that stands for no format, or values that the format does not hold.
    """
    known = BY_SUFFIX.get(path.suffix.lower())
    if known is None:
        endings = ", ".join(one.suffixes[0] for one in FORMATS)
        raise InputError(f"{path}: its ending names no format to write; choose one of {endings}")
    if dtype not in known.dtypes:
        raise InputError(
            f"{path}: dtype {dtype} is not written to {known.name}; "
            f"use one of {', '.join(known.dtypes)}"
        )
    return known
