"""MRC files: what the headers of many programs mean, and the files that we write."""

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from numpy.typing import NDArray

from isonet2.data.files import atomic_path
from isonet2.data.formats.base import CHUNK_VOXELS, Format, Header, Reader, Triple
from isonet2.data.formats.flat import FlatReader, FlatSink, reserve
from isonet2.data.moments import Moments
from isonet2.errors import InputError
from isonet2.types import Region, Shape

HEADER_BYTES = 1024
MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
WRITTEN = {"float32": 2, "float16": 12, "int8": 0}
REFUSED_MODES = {
    3: "complex 16-bit integers",
    4: "complex numbers, a Fourier transform",
    7: "32-bit integers",
    16: "colour values",
    101: "4-bit integers",
}
IMOD_STAMP = 0x444F4D49  # the letters IMOD, a 4-byte integer at byte 152 of the header
IMOD_OFFSET = 152
NATIVE = "<" if sys.byteorder == "little" else ">"
KIND_OFFSET = 104
NUMBERS_OFFSET = 128  # SerialEM's two 2-byte numbers that say what its extended header holds
IMOD_SIGNED_BYTES = 1
IMOD_HALF_BYTES = 16
WRAP, FEWEST_JUMPS = 128, 1e-3
"""Step between neighbours that is a change of sign, and the part of all that must be such steps."""
LABELS = 10
LABEL_BYTES = 80
MOST_EXTENDED = 2**22
"""Bytes; a longer extended header is read past, and not kept."""


@dataclass(frozen=True, slots=True)
class MrcHeader(Header):
    """What an MRC header says beside what all formats say.

    Attributes
    ----------
    mode
        MRC mode.
    offset
        Bytes before the first voxel.
    axes
        Which axes of the stored array are z, y and x.
    imod
        IMOD's stamp and flags, or zeros; they tell whose sign the origin has.
    extended
        The extended header and what says how to read it, where what is written may carry it on:
        not in another byte order, nor with other axes.
    """

    mode: int = 2
    offset: int = HEADER_BYTES
    axes: Shape = (0, 1, 2)
    imod: tuple[int, int] = (0, 0)
    extended: "Extended | None" = None


@dataclass(frozen=True, slots=True)
class Extended:
    """An extended header, kept as it is, for the shape of volume that it belongs to."""

    data: bytes
    kind: bytes
    numbers: bytes
    shape: Shape


def read_header(path: Path) -> MrcHeader:
    """Read and check the header of an MRC file.

    Modes 0, 1, 2, 6 and 12, both byte orders, files without the MAP stamp, extended
    headers of any size and permuted axes are understood. Mode 0 is signed, unless IMOD's
    stamp lacks its "signed" flag or, in a file without that stamp, the voxels are smooth only
    when they are read without sign, or the range given in the header lies above 127.

    Raises
    ------
    InputError
        Missing or too short file, not MRC, a mode without real numbers.
    """
    try:
        with path.open("rb") as handle:
            raw = handle.read(HEADER_BYTES)
            size = os.fstat(handle.fileno()).st_size
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; correct the name or the folder") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    fields, order = _decode(path, raw)
    mode = int(fields["mode"])
    if mode not in MODES:
        raise InputError(
            f"{path}: MRC mode {mode} ({REFUSED_MODES[mode]}) is not read; "
            f"convert the file to mode 2 (float32)"
        )
    imod = _imod(raw, order)
    counts = [int(fields[name]) for name in ("nz", "ny", "nx")]
    offset = HEADER_BYTES + max(int(fields["nsymbt"]), 0)
    needed = offset + counts[0] * counts[1] * counts[2] * np.dtype(MODES[mode]).itemsize
    if size < needed:
        raise InputError(
            f"{path}: the header promises {needed} bytes, the file has {size}; "
            f"it was cut short, copy or make it again"
        )
    unsigned = mode == 0 and _bytes_are_unsigned(path, fields, imod)
    dtype = np.dtype("u1" if unsigned else MODES[mode]).newbyteorder(order)
    axes = _axes(path, fields)
    shape = counts[axes[0]], counts[axes[1]], counts[axes[2]]
    start = [int(fields[name]) for name in ("nzstart", "nystart", "nxstart")]
    z, y, x = axes
    origin = fields["origin"]
    return MrcHeader(
        shape=shape,
        dtype=dtype,
        mode=mode,
        voxel_size=_voxel_size(fields),
        origin=(float(origin["z"]), float(origin["y"]), float(origin["x"])),
        start=(start[z], start[y], start[x]),
        labels=_labels(fields),
        offset=offset,
        axes=axes,
        imod=imod,
        extended=_extended(path, offset - HEADER_BYTES, shape)
        if order == NATIVE and axes == (0, 1, 2)
        else None,
    )


def _extended(path: Path, length: int, shape: Shape) -> Extended | None:
    if not 0 < length <= MOST_EXTENDED:
        return None
    with path.open("rb") as handle:
        raw = handle.read(HEADER_BYTES)
        data = handle.read(length)
    kind, numbers = raw[KIND_OFFSET : KIND_OFFSET + 4], raw[NUMBERS_OFFSET : NUMBERS_OFFSET + 4]
    return Extended(data, kind, numbers, shape)


def _decode(path: Path, raw: bytes) -> tuple[Any, Literal["<", ">"]]:
    """Interpret the bytes in the byte order that makes sense, the stamp's order first."""
    if raw[:2] in (b"\x1f\x8b", b"BZ"):
        raise InputError(f"{path}: is compressed; uncompress it first (gunzip or bunzip2)")
    if len(raw) < HEADER_BYTES:
        raise InputError(f"{path}: is not an MRC file, it has fewer than {HEADER_BYTES} bytes")
    orders: tuple[Literal["<", ">"], ...] = (">", "<") if raw[212] == 0x11 else ("<", ">")
    for order in orders:
        fields = np.frombuffer(raw, HEADER_DTYPE.newbyteorder(order))[0]
        known = int(fields["mode"]) in MODES or int(fields["mode"]) in REFUSED_MODES
        if known and all(0 < int(fields[name]) < 2**24 for name in ("nx", "ny", "nz")):
            return fields, order
    raise InputError(f"{path}: is not an MRC file, its header has no sensible size and mode")


def _imod(raw: bytes, order: str) -> tuple[int, int]:
    stamp, flags = (int(value) for value in np.frombuffer(raw, f"{order}i4", 2, IMOD_OFFSET))
    return (stamp, flags) if stamp == IMOD_STAMP else (0, 0)


def _bytes_are_unsigned(path: Path, fields: Any, imod: tuple[int, int]) -> bool:
    """Whether bytes go from 0 to 255: by IMOD's stamp, by the voxels, or by the header's range.

    Read with the wrong sign, voxels near the middle of the range jump from one end to the other.
    """
    if imod[0] == IMOD_STAMP:
        return not imod[1] & IMOD_SIGNED_BYTES
    counts = [int(fields[name]) for name in ("nz", "ny", "nx")]
    begin = HEADER_BYTES + max(int(fields["nsymbt"]), 0)
    stored = np.memmap(path, "u1", mode="r", offset=begin, shape=tuple(counts))
    sample = np.stack([stored[counts[0] * part // 4] for part in (1, 2, 3)])
    signed, unsigned = (
        np.count_nonzero(np.abs(np.diff(sample.view(kind).astype("i2"))) > WRAP) / sample.size
        for kind in ("i1", "u1")
    )
    if max(signed, unsigned) > FEWEST_JUMPS and min(signed, unsigned) < max(signed, unsigned) / 4:
        return bool(signed > unsigned)
    return bool(fields["dmin"] >= 0 and fields["dmax"] > 127)


def _axes(path: Path, fields: Any) -> Shape:
    """Positions of z, y, x among the stored axes (section, row, column)."""
    order = [int(fields[name]) for name in ("maps", "mapr", "mapc")]
    if order == [0, 0, 0]:
        return 0, 1, 2
    if sorted(order) != [1, 2, 3]:
        raise InputError(
            f"{path}: mapc, mapr, maps = {order[::-1]} in the header name no order of axes; "
            f"set them to 1, 2, 3"
        )
    return order.index(3), order.index(2), order.index(1)


def _voxel_size(fields: Any) -> Triple | None:
    """Cell over grid, angstrom along z, y, x; None when any of it is missing."""
    cell = [float(fields["cella"][axis]) for axis in "zyx"]
    grid = [int(fields[name]) for name in ("mz", "my", "mx")]
    if not all(np.isfinite(length) and length > 0 for length in cell) or min(grid) <= 0:
        return None
    return cell[0] / grid[0], cell[1] / grid[1], cell[2] / grid[2]


def _labels(fields: Any) -> tuple[str, ...]:
    texts = [bytes(label).decode("latin-1").rstrip(" \0") for label in fields["label"]]
    return tuple(text for text in texts if text and text.isprintable())


def encode_header(header: Header, limits: tuple[float, float], mean: float, std: float) -> bytes:
    """Make header and extended header for a volume stored as (z, y, x) in native order.

    Parameters
    ----------
    header
        What to say; of an MRC file's own entries IMOD's stamp and the extended header are kept.
    limits
        Smallest and largest value.
    mean, std
        Of all voxels.
    """
    fields = np.zeros((), HEADER_DTYPE)
    fields["nz"], fields["ny"], fields["nx"] = header.shape
    fields["mz"], fields["my"], fields["mx"] = header.shape
    fields["mode"] = WRITTEN[header.dtype.name]
    fields["nzstart"], fields["nystart"], fields["nxstart"] = header.start
    voxel = header.voxel_size or (0.0, 0.0, 0.0)
    for axis, size, count, origin in zip("zyx", voxel, header.shape, header.origin, strict=True):
        fields["cella"][axis] = size * count
        fields["origin"][axis] = origin
    for angle in ("alpha", "beta", "gamma"):
        fields["cellb"][angle] = 90.0
    fields["mapc"], fields["mapr"], fields["maps"] = 1, 2, 3
    fields["dmin"], fields["dmax"] = limits
    fields["dmean"], fields["rms"] = mean, std
    fields["ispg"] = 1
    fields["nversion"] = 20141
    fields["map"] = b"MAP "
    fields["machst"] = (0x44, 0x44, 0, 0) if NATIVE == "<" else (0x11, 0x11, 0, 0)
    fields["nlabl"] = min(len(header.labels), LABELS)
    for index, text in enumerate(header.labels[-LABELS:]):
        fields["label"][index] = text.encode("latin-1", "replace")[:LABEL_BYTES].ljust(LABEL_BYTES)
    extended = extended_of(header)
    if extended is not None:
        fields["nsymbt"] = len(extended.data)
    raw = bytearray(fields.tobytes())
    if extended is not None:
        raw[KIND_OFFSET : KIND_OFFSET + 4] = extended.kind
        raw[NUMBERS_OFFSET : NUMBERS_OFFSET + 4] = extended.numbers
    if isinstance(header, MrcHeader) and header.imod[0] == IMOD_STAMP:
        flags = header.imod[1] & ~IMOD_HALF_BYTES | IMOD_SIGNED_BYTES
        raw[IMOD_OFFSET : IMOD_OFFSET + 8] = np.array([IMOD_STAMP, flags], "i4").tobytes()
    return bytes(raw) + (extended.data if extended is not None else b"")


def extended_of(header: Header) -> Extended | None:
    """The extended header to write: that of an MRC volume of the same shape."""
    extended = header.extended if isinstance(header, MrcHeader) else None
    return extended if extended is not None and extended.shape == header.shape else None


def _open(path: Path) -> tuple[Header, Reader]:
    header = read_header(path)
    return header, FlatReader(path, header.dtype, header.offset, header.shape, header.axes)


class _MrcSink:
    """Writes voxels, then the header with their statistics.

    int8 is made at the end, from float32, when the range of the values is known; a label then
    says value = stored*scale+offset. Whole numbers that fit, as those of masks, stay what they are.
    """

    def __init__(self, temporary: Path, path: Path, header: Header) -> None:
        self.path, self.header = temporary, header
        staged = np.dtype("f4") if header.dtype == np.int8 else header.dtype
        self.total = int(np.prod(header.shape))
        extended = extended_of(header)
        self.offset = HEADER_BYTES + (0 if extended is None else len(extended.data))
        reserve(temporary, path, self.offset + self.total * staged.itemsize)
        self.voxels = FlatSink(temporary, staged, self.offset, header.shape)
        self.whole = True

    def write(self, region: Region, block: NDArray[Any]) -> None:
        """Put a block (z, y, x) at its place."""
        self.voxels.write(region, block)
        if self.whole and self.header.dtype == np.int8 and (block != np.rint(block)).any():
            self.whole = False

    def finish(self, moments: Moments) -> None:
        """Write the header."""
        header, limits = self.header, (moments.smallest, moments.largest)
        mean, std = moments.mean, moments.std
        if header.dtype == np.int8 and self.whole and max(map(abs, limits)) <= 127:
            _to_bytes(self.path, self.offset, self.total, 1.0, 0.0)
        elif header.dtype == np.int8:
            scale = (limits[1] - limits[0]) / 254 or 1.0
            offset = (limits[1] + limits[0]) / 2
            _to_bytes(self.path, self.offset, self.total, scale, offset)
            note = f"value = stored*{scale:.9g}+{offset:.9g}"
            header = replace(header, labels=(*header.labels, note))
            limits = (round((limits[0] - offset) / scale), round((limits[1] - offset) / scale))
            mean, std = (mean - offset) / scale, std / scale
        with self.path.open("r+b") as handle:
            handle.write(encode_header(header, limits, mean, std))


def _to_bytes(path: Path, begin: int, total: int, scale: float, offset: float) -> None:
    """Turn a file's float32 voxels into int8 in place; they shrink to a quarter."""
    with path.open("r+b") as handle:
        for first in range(0, total, CHUNK_VOXELS):
            count = min(CHUNK_VOXELS, total - first)
            handle.seek(begin + 4 * first)
            values = np.frombuffer(handle.read(4 * count), np.float32)
            stored = np.rint((values.astype(np.float64) - offset) / scale).astype(np.int8)
            handle.seek(begin + first)
            handle.write(stored.tobytes())
        handle.truncate(begin + total)


MRC = Format(
    name="MRC",
    suffixes=(".mrc", ".rec", ".map", ".st", ".ccp4", ".mrcs"),
    signature=(),
    dtypes=tuple(WRITTEN),
    open=_open,
    place=atomic_path,
    create=_MrcSink,
)
