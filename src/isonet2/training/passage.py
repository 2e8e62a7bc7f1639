"""What the two halves of tomograms share, and how much of it a network lets through.

The noise of two halves is independent, so the cross spectrum of one half with anything that was
made from the other one holds signal only. Measured on upright cubes, as prediction sees them, in
the region that the tilts measured, and shell by shell.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from isonet2.physics.fourier import apply_filter, multiplicity, shell_sums, shells, spectrum
from isonet2.physics.metrics import soft_edge
from isonet2.training.assembly import Cubes
from isonet2.training.objectives import Batch, Network

CUBES = 32
"""Cubes that the halves are compared on."""
OWN_EPOCH = 2**31
"""No epoch of training draws the cubes of this one."""
SEEN = 0.05
"""Correlation from which on a shell is judged."""
LEAST, MOST = 0.1, 2.0
"""Smallest gain, so that no shell is erased on the word of a few cubes; and the largest, that of
the mean of two halves in which noise is all but everything."""
ENOUGH = 0.5
"""Part of what a Wiener filter keeps of a shell that a network must let through."""
SURE = 3.0
"""Standard errors by which halves must agree beyond what noise does by chance."""


@dataclass(frozen=True, slots=True)
class Passage:
    """Two halves, and what a network made of them, at frequencies 0, 1/n, 2/n ... to 0.5.

    Parameters
    ----------
    shared
        Correlation of the halves, (n//2+1,).
    chance
        Standard error of that correlation where halves share nothing.
    passed
        Part of what the halves share that is left in the mean of the restored halves.
    gain
        Factor after which that mean is nearest to what the halves share, from `LEAST` to `MOST`. A
        network that learned from one half what the other one holds scales each half for that
        half's noise, and the mean of two has less: of a Wiener filter it is
        `2 / (1 + shared)`. Where a network says noise only, it is the least.
    """

    shared: Tensor
    chance: Tensor
    passed: Tensor
    gain: Tensor

    @property
    def held_back(self) -> list[int]:
        """Shells in which the halves agree, and hardly anything of that comes through."""
        kept = 2 * self.shared / (1 + self.shared)
        agree = self.shared > (SURE * self.chance).clamp_min(SEEN)
        lost = agree & (self.passed * self.gain < ENOUGH * kept)
        lost[0] = False
        return [int(shell) for shell in lost.nonzero()[:, 0]]


def measure(
    cubes: Cubes, *, apply_mw_x1: bool, network: Network | None = None, most: int = CUBES
) -> Passage:
    """Compare the halves of upright cubes, and what a network makes of them.

    Parameters
    ----------
    cubes
        Where they come from.
    apply_mw_x1
        Whether what lies in the missing wedge is taken from the network's inputs.
    network
        In evaluation mode; None passes everything on.
    most
        How many to look at.

    Returns
    -------
    Passage
        On the processor.
    """
    size = cubes.subtomograms.size
    count = size // 2 + 1
    device = cubes.assemble.device
    edge = soft_edge((size,) * 3, size // 6).to(device)
    shell = shells((size,) * 3, device=device)
    double = multiplicity((size,) * 3, device=device)
    sums = torch.zeros(6, count, dtype=torch.float64)
    for batch in _batches(cubes, most):
        weight = None if batch.ctf.input is None else batch.ctf.input[:1]
        if apply_mw_x1:
            weight = batch.measured[:1] if weight is None else weight * batch.measured[:1]
        halves = apply_filter(torch.cat([batch.first[:1], batch.second[:1]]), weight)
        given = spectrum(halves * edge)[:, 0]
        made = given if network is None else spectrum(network(halves) * edge)[:, 0]
        if batch.ctf.target is not None:
            given = given * batch.ctf.target[0]
        if batch.ctf.prediction is not None and network is not None:
            made = made * batch.ctf.prediction[0]
        products = [
            (given[0] * given[1].conj()).real,
            given.abs().square().mean(0),
            (made[0] * made[1].conj()).real,
            made.abs().square().mean(0),
            (made * given.flip(0).conj()).real.mean(0),
            torch.ones(given.shape[1:], device=device),
        ]
        weights = double * batch.measured[0]
        sums += shell_sums(torch.stack(products) * weights, shell, count).cpu()
    cross, power, _, _, through, frequencies = sums
    _, _, made_cross, made_power, wide_through, _ = _smooth(sums)
    independent = frequencies * edge.square().mean().cpu()
    return Passage(
        shared=(cross / power.clamp_min(1e-30)).clamp(0, 1),
        chance=independent.clamp_min(1).rsqrt(),
        passed=torch.where(cross > 0, through / cross, 0.0),
        gain=(2 * wide_through / (made_power + made_cross).clamp_min(1e-30)).clamp(LEAST, MOST),
    )


def _smooth(sums: Tensor) -> Tensor:
    """Sums (m, n) over shells, each with those around it, up to a quarter of its frequency."""
    last = sums.shape[1]
    rows = [sums[:, i - i // 4 : min(i + i // 4 + 1, last)].sum(1) for i in range(last)]
    return torch.stack(rows, 1)


def _batches(cubes: Cubes, most: int) -> Iterator[Batch]:
    """One upright cube after another."""
    drawn = cubes.subtomograms
    places = np.unique(np.linspace(0, len(drawn) - 1, most).round().astype(int))
    for place in places:
        owner = int(drawn.owners[place])
        yield cubes.assemble([drawn.load(drawn.draw(OWN_EPOCH, int(place), owner))])
