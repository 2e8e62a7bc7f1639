"""Noisy halves of a known size, for benchmarks."""

from pathlib import Path

import numpy as np

from isonet2.data.volumes import VolumeWriter, open_volume
from isonet2.data.voxels import statistics
from isonet2.opening.halves import Half
from isonet2.physics.ctf import ContrastTransfer
from isonet2.physics.geometry import Geometry
from isonet2.training.tomogram import Source

LOW, HIGH = -60.0, 60.0
SLAB = 64


def noisy_halves(folder: Path, shape: tuple[int, int, int]) -> None:
    """Write two halves of white noise, slab by slab."""
    rng = np.random.default_rng(0)
    _, y, x = shape
    for name in ("EVN", "ODD"):
        path = folder / f"TS_01_{name}.mrc"
        size = (10.0,) * 3
        with VolumeWriter(path, shape=shape, voxel_size=size, dtype="float16", label="x") as writer:
            for low in range(0, shape[0], SLAB):
                rows = slice(low, min(low + SLAB, shape[0]))
                noise = rng.standard_normal((rows.stop - low, y, x), dtype=np.float32)
                writer.write((rows, slice(0, y), slice(0, x)), noise)


def noisy_source(folder: Path, count: int = 64) -> Source:
    """The halves that are in a folder."""
    volumes = [open_volume(folder / f"TS_01_{name}.mrc") for name in ("EVN", "ODD")]
    first, second = (Half(volume, statistics(volume)) for volume in volumes)
    geometry = Geometry(((LOW, HIGH),), ContrastTransfer(30000.0), 10.0)
    return Source("TS_01", first, second, geometry, count)
