"""Small volumes, and MRC files written byte by byte."""

import struct
from pathlib import Path

import numpy as np

from isonet2.data.volumes import Volume, open_volume

SHAPE = (5, 6, 7)


EVERYTHING = (slice(None), slice(None), slice(None))


def numbers(shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 100, shape).astype(np.float32)


def mrc_bytes(stored: np.ndarray, mode: int, order: str = "<", extended: int = 0) -> bytearray:
    """An MRC file written field by field from the format's description."""
    nz, ny, nx = stored.shape
    raw = bytearray(1024)
    struct.pack_into(f"{order}10i", raw, 0, nx, ny, nz, mode, 1, 2, 3, nx, ny, nz)
    struct.pack_into(f"{order}6f", raw, 40, nx * 2.0, ny * 3.0, nz * 4.0, 90, 90, 90)
    struct.pack_into(f"{order}3i", raw, 64, 1, 2, 3)
    struct.pack_into(f"{order}2i", raw, 88, 1, extended)
    struct.pack_into(f"{order}3f", raw, 196, -1.5, 20, 300)
    raw[208:216] = b"MAP " + (b"\x44\x44\0\0" if order == "<" else b"\x11\x11\0\0")
    return raw + b"\xff" * extended + stored.astype(stored.dtype.newbyteorder(order)).tobytes()


def put(path: Path, raw: bytes) -> Volume:
    path.write_bytes(raw)
    return open_volume(path)
