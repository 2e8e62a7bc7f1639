"""A trained network applied to a tomogram of any size."""

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from isonet2.networks import channels_last
from isonet2.physics.ctf import ContrastTransfer, CtfTreatment, ctf_slots
from isonet2.physics.fourier import apply_filter
from isonet2.physics.rotation import cube_rotations, moves_wedge, rotate_exact
from isonet2.physics.tiling import Region, map_tiles
from isonet2.physics.wedge import Sectors, measured
from isonet2.training.sampling import Half

Block = NDArray[np.float32]

LEAST_TILE = 96


@dataclass(frozen=True, slots=True)
class Geometry:
    """What prediction needs to know of a tomogram beside its voxels."""

    sectors: Sectors
    ctf: ContrastTransfer | None
    pixel_size: float


def input_filter(
    geometry: Geometry, treatment: CtfTreatment, size: int, *, apply_mw_x1: bool
) -> Tensor | None:
    """The filter that a network's inputs went through in training, (z, y, x//2+1), or None."""
    weight = measured((size,) * 3, geometry.sectors) if apply_mw_x1 else None
    if geometry.ctf is None:
        return weight
    sign = ctf_slots(geometry.ctf, treatment, (size,) * 3, geometry.pixel_size).input
    if weight is None or sign is None:
        return sign if weight is None else weight
    return weight * sign


class Replicas:
    """The same networks on several devices, each cube batch going to a free one.

    Parameters
    ----------
    networks
        In evaluation mode.
    devices
        Where copies live.
    precision
        Type that convolutions run in.
    """

    def __init__(
        self, networks: Sequence[nn.Module], devices: Sequence[torch.device], precision: torch.dtype
    ) -> None:
        self.precision = precision
        self.free: SimpleQueue[tuple[torch.device, list[nn.Module]]] = SimpleQueue()
        self.count = len(devices)
        for number, device in enumerate(devices):
            mine = [n if number == 0 else copy.deepcopy(n) for n in networks]
            self.free.put((device, [channels_last(n.to(device)).eval() for n in mine]))

    def run(self, cubes: Tensor, weight: Tensor | None, turns: list[Tensor]) -> Tensor:
        """Halves (b, h, n, n, n) restored by each network, (b, networks, h, n, n, n).

        `turns` holds rotations (h, 3, 3), one for each half; what the network makes of the
        turned halves is turned back and averaged.
        """
        device, networks = self.free.get()
        try:
            b, h = cubes.shape[:2]
            with (
                torch.inference_mode(),
                torch.autocast(
                    device.type, self.precision, enabled=self.precision != torch.float32
                ),
            ):
                x = apply_filter(cubes.to(device), None if weight is None else weight.to(device))
                total = torch.zeros(b, len(networks), *x.shape[1:], device=device)
                for turn in turns:
                    turned = _turn_halves(x, turn).flatten(0, 1)[:, None]
                    turned = turned.contiguous(memory_format=torch.channels_last_3d)
                    for place, network in enumerate(networks):
                        y = network(turned).float()[:, 0].unflatten(0, (b, h))
                        total[:, place] += _turn_halves(y, turn.mT)
                return (total / len(turns)).cpu()
        finally:
            self.free.put((device, networks))

    def __call__(self, cubes: Tensor, weight: Tensor | None, turns: list[Tensor]) -> Tensor:
        """Share a batch among the devices."""
        if self.count == 1:
            return self.run(cubes, weight, turns)
        with ThreadPoolExecutor(self.count) as pool:
            parts = pool.map(lambda part: self.run(part, weight, turns), cubes.chunk(self.count))
            return torch.cat(list(parts))


def _turn_halves(x: Tensor, turn: Tensor) -> Tensor:
    """Turn halves (b, h, n, n, n), each by its own rotation of (h, 3, 3)."""
    return torch.stack([rotate_exact(x[:, i], turn[i]) for i in range(x.shape[1])], 1)


def orientations(sectors: Sectors, halves: int, count: int) -> list[Tensor]:
    """Rotations under which a tomogram is restored and averaged.

    Turning the data by 180 degrees about the tilt axis leaves the wedge in place; about the
    beam and about x likewise, where the tilt range is symmetric. A network's errors differ
    from one way round to the next, so their mean is better than each. The halves take
    different ways round.

    Parameters
    ----------
    sectors
        Measured intervals of tilt angles, degrees.
    halves
        Volumes that are restored together.
    count
        Ways round for each of them.

    Returns
    -------
    list of Tensor
        At most `count` sets of rotations (halves, 3, 3).
    """
    grid = (16, 16, 16)
    rotations = cube_rotations()
    still = rotations[~moves_wedge(rotations)]
    kept = measured(grid, sectors)
    same = [r for r in still if torch.equal(measured(grid, sectors, r), kept)]
    count = min(count, len(same))
    return [
        torch.stack([same[(half * count + i) % len(same)] for half in range(halves)])
        for i in range(count)
    ]


def tile_sizes(cube_size: int, padding_factor: float) -> tuple[int, int]:
    """Edge of a tile and of its trusted core for a network trained on cubes of some edge.

    The part that overlaps is that of a training cube, `cube_size (1 - 1/padding_factor)`; small
    cubes are grown to about `LEAST_TILE`, so that less of a tile is overlap.
    """
    overlap = cube_size - max(1, round(cube_size / padding_factor))
    tile = cube_size * max(1, round(LEAST_TILE / cube_size))
    return tile, tile - overlap


def restore(
    replicas: Replicas,
    halves: Sequence[Half],
    geometry: Geometry,
    treatment: CtfTreatment,
    write: Callable[[Region, Block], None],
    *,
    tile: int,
    core: int,
    batch: int = 1,
    ways: int = 1,
    apply_mw_x1: bool = True,
    merge: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Restore a tomogram, tile by tile, in memory that does not grow with it.

    Parameters
    ----------
    replicas
        The networks.
    halves
        The two halves, or one whole tomogram.
    geometry, treatment, apply_mw_x1
        Decide the input filter, as in training.
    write
        Takes a region and its finished voxels (networks, z, y, x) in standard scale: mean 0,
        deviation 1, protein bright. Without `merge`, (networks * halves, z, y, x).
    tile, core
        Edge of a tile and of the part that it answers for, voxels; see `tile_sizes`.
    batch
        Tiles at a time.
    ways
        Ways round in which each half is restored; see `orientations`.
    merge
        Take the mean of the restored halves.
    progress
        Told (tiles done, tiles in all).
    """
    weight = input_filter(geometry, treatment, tile, apply_mw_x1=apply_mw_x1)

    def read(region: Region) -> Block:
        return np.stack([half.region(region) for half in halves])

    turns = orientations(geometry.sectors, len(halves), ways)

    def function(cubes: Tensor) -> Tensor:
        restored = replicas(cubes, weight, turns)
        return restored.mean(2) if merge else restored.flatten(1, 2)

    map_tiles(
        function,
        read,
        write,
        halves[0].volume.shape,
        tile=tile,
        core=core,
        batch=batch,
        progress=progress,
    )
