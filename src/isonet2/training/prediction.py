"""A trained network applied to a tomogram of any size."""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from isonet2.networks import channels_last, edge_multiple, folded
from isonet2.physics.ctf import ContrastTransfer, CtfTreatment, ctf_slots
from isonet2.physics.fourier import apply_filter
from isonet2.physics.rotation import cube_rotations, rotate_exact
from isonet2.physics.tiling import AxisTiling, Region, map_tiles
from isonet2.physics.wedge import Sectors, ball, measured
from isonet2.training.tomogram import Half

Block = NDArray[np.float32]
Shape = tuple[int, int, int]
Filters = Mapping[torch.device, tuple[Tensor | None, Tensor | None]]
"""Weights (z, y, x//2+1) of the networks' inputs and of their results, or None, by device."""

WAYS = 2
"""Orientations in which a tomogram is restored, unless the user says how many."""
SMALLEST_TILE = 64
LARGEST_TILE = 128
"""Edges of the tiles that small cubes grow to, voxels."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """What prediction needs to know of a tomogram beside its voxels."""

    sectors: Sectors
    ctf: ContrastTransfer | None
    pixel_size: float


def input_filter(
    geometry: Geometry, treatment: CtfTreatment, shape: Shape, *, apply_mw_x1: bool
) -> Tensor | None:
    """The filter that a network's inputs went through in training, (z, y, x//2+1), or None."""
    weight = measured(shape, geometry.sectors) if apply_mw_x1 else None
    if geometry.ctf is None:
        return weight
    sign = ctf_slots(geometry.ctf, treatment, shape, geometry.pixel_size).input
    if weight is None or sign is None:
        return sign if weight is None else weight
    return weight * sign


class Replicas:
    """The same networks on several devices, each cube batch going to a free one.

    Parameters
    ----------
    networks
        Copies of them are folded and work in evaluation mode.
    devices
        Where copies live.
    precision
        Type that convolutions run in.
    """

    def __init__(
        self, networks: Sequence[nn.Module], devices: Sequence[torch.device], precision: torch.dtype
    ) -> None:
        self.precision = precision
        self.multiple = math.lcm(*(edge_multiple(n) for n in networks))
        self.free: SimpleQueue[tuple[torch.device, list[nn.Module]]] = SimpleQueue()
        self.devices = list(devices)
        self.count = len(devices)
        for device in devices:
            mine = [channels_last(folded(n).to(device)) for n in networks]
            self.free.put((device, mine))

    def filters(self, weight: Tensor | None, kept: Tensor | None) -> Filters:
        """Filters of inputs and results where the networks are, copied there once."""
        return {
            device: (
                None if weight is None else weight.to(device),
                None if kept is None else kept.to(device),
            )
            for device in self.devices
        }

    def run(self, cubes: Tensor, filters: Filters, turns: list[Tensor]) -> Tensor:
        """Halves (b, h, z, y, x) restored, (b, networks, h, z, y, x).

        Each network restores all halves; of two networks and two halves each restores its own,
        (b, 2, 1, z, y, x), so that the two results share neither training nor noise. `turns`
        holds rotations (h, 3, 3), one for each half; what the network makes of the turned
        halves is turned back and averaged.
        """
        device, networks = self.free.get()
        try:
            with (
                torch.inference_mode(),
                torch.autocast(
                    device.type, self.precision, enabled=self.precision != torch.float32
                ),
            ):
                weight, kept = filters[device]
                x = apply_filter(cubes.to(device), weight)
                own = len(networks) == x.shape[1] == 2
                restored = []
                for place, network in enumerate(networks):
                    mine = slice(place, place + 1) if own else slice(None)
                    restored.append(_restore_halves(network, x[:, mine], [t[mine] for t in turns]))
                return apply_filter(torch.stack(restored, 1), kept).cpu()
        finally:
            self.free.put((device, networks))

    def __call__(self, cubes: Tensor, filters: Filters, turns: list[Tensor]) -> Tensor:
        """Share a batch among the devices."""
        if self.count == 1:
            return self.run(cubes, filters, turns)
        with ThreadPoolExecutor(self.count) as pool:
            parts = pool.map(lambda part: self.run(part, filters, turns), cubes.chunk(self.count))
            return torch.cat(list(parts))


def _restore_halves(network: nn.Module, x: Tensor, turns: list[Tensor]) -> Tensor:
    """Restore halves (b, h, z, y, x), the mean over turns."""
    total = torch.zeros_like(x)
    for turn in turns:
        turned = _turn_halves(x, turn).flatten(0, 1)[:, None]
        turned = turned.contiguous(memory_format=torch.channels_last_3d)
        pieces = torch.split(turned, 1 if x.device.type == "cpu" else len(turned))
        y = torch.cat([network(piece).float() for piece in pieces]).view(x.shape)
        total += _turn_halves(y, turn.mT)
    return total / len(turns)


def _turn_halves(x: Tensor, turn: Tensor) -> Tensor:
    """Turn halves (b, h, z, y, x), each by its own rotation of (h, 3, 3)."""
    return torch.stack([rotate_exact(x[:, i], turn[i]) for i in range(x.shape[1])], 1)


def orientations(sectors: Sectors, halves: int, count: int) -> list[Tensor]:
    """Rotations under which a tomogram is restored and averaged.

    Turning the data by 180 degrees about the tilt axis leaves the wedge in place; about the
    beam and about x likewise, where the tilt range is symmetric. A network's errors differ
    from one way round to the next, so their mean is better than each. The halves take
    different ways round; a single one is as the data lie.

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
    kept = measured(grid, sectors)
    halfway = [r for r in cube_rotations() if torch.equal(r, torch.diag(r.diagonal()))]
    same = [r for r in halfway if torch.equal(measured(grid, sectors, r), kept)]
    count = min(count, len(same))
    if count == 1:
        return [same[0].expand(halves, 3, 3)]
    return [
        torch.stack([same[(half * count + i) % len(same)] for half in range(halves)])
        for i in range(count)
    ]


def training_tiles(shape: Shape, cube_size: int, padding_factor: float) -> list[AxisTiling]:
    """Tile a tomogram by cubes as in training, with trusted cores of `cube_size/padding_factor`."""
    core = max(1, round(cube_size / padding_factor))
    return [AxisTiling.plan(length, cube_size, core) for length in shape]


def fitted_tiles(
    shape: Shape, cube_size: int, padding_factor: float, multiple: int
) -> list[AxisTiling]:
    """Tile a tomogram with as few voxels as a network trained on cubes of some edge can take.

    Neighbours overlap as training cubes would, by `cube_size (1 - 1/padding_factor)`. Larger
    tiles have a smaller share of overlap, but waste more where they do not fit the tomogram:
    so the best edge is looked for along each axis.

    Parameters
    ----------
    shape
        Of the tomogram, (z, y, x).
    cube_size
        Edge of the training cubes, voxels.
    padding_factor
        See above.
    multiple
        What a tile's edges must be multiples of.
    """
    overlap = cube_size - max(1, round(cube_size / padding_factor))
    least = max(min(SMALLEST_TILE, cube_size), overlap + 1)
    largest = max(LARGEST_TILE, cube_size)
    edges = [edge for edge in range(multiple, largest + 1, multiple) if edge >= least]

    def plan(length: int) -> AxisTiling:
        plans = [AxisTiling.plan(length, edge, edge - overlap) for edge in edges]
        return min(plans, key=lambda p: p.count * p.tile)

    return [plan(length) for length in shape]


def restore(
    replicas: Replicas,
    halves: Sequence[Half],
    geometry: Geometry,
    treatment: CtfTreatment,
    write: Callable[[Region, Block], None],
    plans: Sequence[AxisTiling],
    *,
    batch: int = 1,
    ways: int = 1,
    apply_mw_x1: bool = True,
    in_ball: bool = False,
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
        deviation 1, protein bright. Without `merge`, all results in a row, (results, z, y, x).
        Called from one other thread.
    plans
        Tiles; see `fitted_tiles`.
    batch
        Tiles at a time.
    ways
        Ways round in which each half is restored; see `orientations`.
    in_ball
        Leave out what results hold beyond Nyquist, in the corners of the Fourier cube: for
        networks that no data taught anything there.
    merge
        Take the mean of the restored halves.
    progress
        Told (tiles done, tiles in all).
    """
    edges = (plans[0].tile, plans[1].tile, plans[2].tile)
    weight = input_filter(geometry, treatment, edges, apply_mw_x1=apply_mw_x1)
    filters = replicas.filters(weight, ball(edges) if in_ball else None)

    def read(region: Region) -> Block:
        return np.stack([half.region(region) for half in halves])

    turns = orientations(geometry.sectors, len(halves), ways)

    def function(cubes: Tensor) -> Tensor:
        restored = replicas(cubes, filters, turns)
        return restored.mean(2) if merge else restored.flatten(1, 2)

    map_tiles(
        function,
        read,
        write,
        plans,
        batch=batch,
        progress=progress,
    )
