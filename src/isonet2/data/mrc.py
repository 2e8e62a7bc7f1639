"""The MRC header: what files of many programs mean by it, and the one that we write."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

from isonet2.errors import InputError

Triple = tuple[float, float, float]
Shape = tuple[int, int, int]
HEADER_BYTES = 1024
MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
REFUSED_MODES = {
    3: "complex 16-bit integers",
    4: "complex numbers, a Fourier transform",
    7: "32-bit integers",
    16: "colour values",
    101: "4-bit integers",
}
IMOD_STAMP = 0x444F4D49  # the letters IMOD, a 4-byte integer at byte 152 of the header
IMOD_OFFSET = 152
IMOD_SIGNED_BYTES = 1
IMOD_HALF_BYTES = 16
LABELS = 10
LABEL_BYTES = 80


@dataclass(frozen=True, slots=True)
class Header:
    """What an MRC header says, with all triples in the order (z, y, x).

    Attributes
    ----------
    shape
        Voxels along z, y, x.
    dtype
        Type of the stored values, byte order included.
    mode
        MRC mode.
    voxel_size
        Angstrom along z, y, x; None when the header does not say.
    origin
        Angstrom.
    start
        Index of the first voxel in the header's grid.
    labels
        At most ten texts of 80 letters.
    offset
        Bytes before the first voxel.
    axes
        Which axes of the stored array are z, y and x.
    imod
        IMOD's stamp and flags, or zeros; they tell whose sign the origin has.
    """

    shape: Shape
    dtype: np.dtype[Any]
    mode: int
    voxel_size: Triple | None = None
    origin: Triple = (0.0, 0.0, 0.0)
    start: Shape = (0, 0, 0)
    labels: tuple[str, ...] = ()
    offset: int = HEADER_BYTES
    axes: Shape = (0, 1, 2)
    imod: tuple[int, int] = (0, 0)


def read_header(path: Path) -> Header:
    """Read and check the header of an MRC file.

    Modes 0, 1, 2, 6 and 12, both byte orders, files without the MAP stamp, extended
    headers of any size and permuted axes are understood. Mode 0 is signed, unless IMOD's
    stamp lacks its "signed" flag or, in a file without that stamp, the range given in the
    header lies above 127.

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
    unsigned = mode == 0 and _bytes_are_unsigned(fields, imod)
    dtype = np.dtype("u1" if unsigned else MODES[mode]).newbyteorder(order)
    counts = [int(fields[name]) for name in ("nz", "ny", "nx")]
    offset = HEADER_BYTES + max(int(fields["nsymbt"]), 0)
    needed = offset + counts[0] * counts[1] * counts[2] * dtype.itemsize
    if size < needed:
        raise InputError(
            f"{path}: the header promises {needed} bytes, the file has {size}; "
            f"it was cut short, copy or make it again"
        )
    axes = _axes(path, fields)
    start = [int(fields[name]) for name in ("nzstart", "nystart", "nxstart")]
    z, y, x = axes
    origin = fields["origin"]
    return Header(
        shape=(counts[z], counts[y], counts[x]),
        dtype=dtype,
        mode=mode,
        voxel_size=_voxel_size(fields),
        origin=(float(origin["z"]), float(origin["y"]), float(origin["x"])),
        start=(start[z], start[y], start[x]),
        labels=_labels(fields),
        offset=offset,
        axes=axes,
        imod=imod,
    )


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


def _bytes_are_unsigned(fields: Any, imod: tuple[int, int]) -> bool:
    if imod[0] == IMOD_STAMP:
        return not imod[1] & IMOD_SIGNED_BYTES
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
    """Make the 1024 bytes of a header for a volume stored as (z, y, x) in native order.

    Parameters
    ----------
    header
        What to say. `offset`, `axes` and the byte order of `dtype` are not used.
    limits
        Smallest and largest value.
    mean, std
        Of all voxels.
    """
    fields = np.zeros((), HEADER_DTYPE)
    fields["nz"], fields["ny"], fields["nx"] = header.shape
    fields["mz"], fields["my"], fields["mx"] = header.shape
    fields["mode"] = header.mode
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
    little = np.dtype("i4").newbyteorder("=") == np.dtype("<i4")
    fields["machst"] = (0x44, 0x44, 0, 0) if little else (0x11, 0x11, 0, 0)
    fields["nlabl"] = len(header.labels)
    for index, text in enumerate(header.labels):
        fields["label"][index] = text.encode("latin-1", "replace")[:LABEL_BYTES].ljust(LABEL_BYTES)
    raw = bytearray(fields.tobytes())
    if header.imod[0] == IMOD_STAMP:
        flags = header.imod[1] & ~IMOD_HALF_BYTES | IMOD_SIGNED_BYTES
        raw[IMOD_OFFSET : IMOD_OFFSET + 8] = np.array([IMOD_STAMP, flags], "i4").tobytes()
    return bytes(raw)


def append_labels(labels: tuple[str, ...], *texts: str) -> tuple[str, ...]:
    """Add texts to a header's labels; when ten are not enough, the oldest go."""
    return (*labels, *texts)[-LABELS:]
