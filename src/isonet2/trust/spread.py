"""Spread: how much results differ that ought to be the same.

A flip that leaves the missing wedge where it is makes of a tomogram another one that is as good.
A network that knew the specimen would make the same of both; how far its results lie apart, voxel
by voxel, says where it does not know.
"""

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from isonet2.physics.fourier import apply_filter
from isonet2.physics.wedge import Sectors, measured
from isonet2.prediction.replicas import OnDevices, Replicas
from isonet2.trust.sums import Sums, ratio

SMOOTH = 3
"""Edge of the cube of voxels that a deviation is averaged over: of few results alone it is
noise."""


def flips(sectors: Sectors) -> list[Tensor]:
    """Matrices (3, 3) of the flips that leave the wedge in place; the identity is the first.

    Eight of them where the tilt range is symmetric (half turns and mirrors), four where it is not.
    """
    grid = (16, 16, 16)
    signs = [torch.tensor(s) for s in product((1.0, -1.0), repeat=3)]
    kept = measured(grid, sectors)
    found = []
    for sign in signs:
        # between Friedel mates a flip of all axes changes nothing, and makes a mirror a turn
        proper = torch.diag(sign if sign.prod() > 0 else -sign)
        if torch.equal(measured(grid, sectors, proper), kept):
            found.append(torch.diag(sign))
    return found


def smoothed(x: Tensor) -> Tensor:
    """Mean over the voxels around each one, of volumes (b, n, z, y, x)."""
    reach = SMOOTH // 2
    return F.avg_pool3d(F.pad(x, (reach,) * 6, mode="replicate"), SMOOTH, stride=1)


class Spreading(Replicas):
    """A network whose results are the mean over flips and halves, and the deviation.

    In the place of two networks' results stand (b, 2, 1, z, y, x): mean, deviation.
    """

    def __init__(self, replicas: Replicas, sectors: Sectors) -> None:
        self.inner = replicas
        self.ways = flips(sectors)
        self.multiple, self.networks = replicas.multiple, replicas.networks
        self.count, self.devices = replicas.count, replicas.devices
        self.precision, self.free = replicas.precision, replicas.free

    def __call__(
        self, cubes: Tensor, filters: OnDevices, turns: list[Tensor], margin: int = 0
    ) -> Tensor:
        """Restore halves (b, h, z, y, x) in every way."""
        halves = cubes.shape[1]
        made = [
            self.inner(cubes, filters, [way.expand(halves, 3, 3)], margin)[:, 0]
            for way in self.ways
        ]
        every = torch.cat(made, 1).float()
        variance = smoothed(every.var(1, keepdim=True))
        return torch.stack([every.mean(1, keepdim=True), variance.sqrt()], 1)


@dataclass(frozen=True, slots=True)
class Spread:
    """Deviation of results over their signal, shell by shell.

    Attributes
    ----------
    measured, wedge
        Power in which results of flips differ over the power that they share.
    """

    measured: Tensor
    wedge: Tensor


def shell_spread(sums: Sums, names: list[str]) -> Spread:
    """Measure the spread in the measured region and in the wedge.

    Parameters
    ----------
    sums
        Of each result with itself, and of their mean `f` with itself.
    names
        Of the results.
    """

    def of(part: str) -> Tensor:
        total = torch.stack([sums[name, name, part].sum(0) for name in names]).mean(0)
        mean = sums["f", "f", part].sum(0)
        return ratio((total - mean).clamp_min(0), mean)

    return Spread(of("measured"), of("wedge"))


def rank_with_error(results: list[Tensor], truth: Tensor, part: Tensor) -> float:
    """How well the spread in a part of Fourier space ranks the true errors there.

    Parameters
    ----------
    results
        Of flips, (z, y, x) each.
    truth
        The specimen, (z, y, x), of any scale.
    part
        Boolean (z, x//2+1).

    Returns
    -------
    float
        Spearman's correlation, over voxels, of the deviation of the results with the error of their
        mean, both averaged over `SMOOTH` voxels along each axis.
    """
    seen = torch.stack([apply_filter(x, part[:, None].float()) for x in results])
    true = apply_filter(truth - truth.mean(), part[:, None].float())
    mean = seen.mean(0)
    slope = (mean * true).sum() / true.square().sum().clamp_min(1e-30)
    error = (mean - slope * true).square()
    pair = smoothed(torch.stack([seen.var(0), error])[None])[0]
    ranks = pair.flatten(1).argsort(1).argsort(1).double()
    return float(torch.corrcoef(ranks)[0, 1])
