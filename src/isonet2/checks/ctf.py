"""Whether two halves agree with the declared CTF, and are as the reconstruction wrote them."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from isonet2.checks.findings import Finding
from isonet2.checks.looks import tamed
from isonet2.checks.wedge import Spectrum
from isonet2.data.volumes import Volume
from isonet2.physics.ctf import ContrastTransfer
from isonet2.physics.fourier import radius
from isonet2.physics.seen_ctf import (
    Shells,
    contradiction,
    finest_detail,
    shared_shells,
)

BLOCK = (96, 128, 128)
THINNEST = 24
MOST_ALONG_Y = 5
COARSER, FINER = (0.1, 0.2), (0.35, 0.45)
"""Cycles per voxel at which two halves' power is compared."""
FILTERED_APART = 2.5
"""Fine over coarse power differs by less between halves that were made alike."""


def shells_of(first: Volume, second: Volume) -> Shells | None:
    """What two halves of one shape share against frequency; None where nothing can be told.

    Only some blocks of them are read.
    """
    return shared_shells(_blocks(first, second)) if min(first.shape) >= THINNEST else None


def ctf_findings(
    shells: Shells | None, pixel_size: float, ctf: ContrastTransfer | None, name: str = ""
) -> list[Finding]:
    """Say how two halves contradict their declared CTF, and that they were filtered.

    Parameters
    ----------
    shells
        Of the halves.
    pixel_size
        Angstrom.
    ctf
        The declared CTF; None where it is of no account.
    name
        Of the tomogram.

    Returns
    -------
    list of Finding
        One for each thing that is clearly wrong; empty where nothing can be told.
    """
    if shells is None:
        return []
    found = _filter_findings(shells, pixel_size, name)
    return found if ctf is None else found + _ctf_findings(shells, ctf, pixel_size, name)


def _filter_findings(shells: Shells, pixel_size: float, name: str) -> list[Finding]:
    finest = finest_detail(shells.frequency, shells.noise)
    if finest is None:
        return []
    told = (
        f"its halves hold almost nothing finer than {pixel_size / finest:.0f} A, not even noise: "
        f"they were filtered or deconvolved before"
    )
    remedy = "give halves as the reconstruction wrote them"
    return [Finding("halves: filtered", "warning", told, remedy, name, None, pixel_size / finest)]


def alike_findings(
    first: Spectrum | None, second: Spectrum | None, name: str = ""
) -> list[Finding]:
    """Say that two halves were not filtered alike, by how their power falls."""
    if first is None or second is None:
        return []
    (k, one), (_, two) = _radial(first), _radial(second)
    coarse, fine = ((k > low) & (k < high) for low, high in (COARSER, FINER))
    shares = [float(power[fine].mean() / power[coarse].mean()) for power in (one, two)]
    change = shares[1] / max(shares[0], 1e-30)
    if max(change, 1 / max(change, 1e-30)) < FILTERED_APART:
        return []
    told = f"the second half has {change:.2g} times as much fine detail as the first"
    remedy = "filter neither of them, or both alike"
    return [Finding("halves: filtered apart", "warning", told, remedy, name, 1.0, change)]


def single_findings(spectrum: Spectrum | None, pixel_size: float, name: str = "") -> list[Finding]:
    """Say that a tomogram without halves was filtered, by where its own power ends."""
    finest = None if spectrum is None else finest_detail(*_radial(spectrum))
    if finest is None:
        return []
    size = pixel_size / finest
    told = (
        f"it holds almost nothing finer than {size:.0f} A, not even noise: it was filtered, "
        "deconvolved or denoised before"
    )
    remedy = "networks learn best from tomograms as the reconstruction wrote them"
    return [Finding("filtered", "remark", told, remedy, name, None, size)]


def _radial(spectrum: Spectrum) -> tuple[Tensor, Tensor]:
    """Frequencies below half a cycle per voxel, and mean power there."""
    most = max(spectrum.shape)
    shell = torch.round(radius(spectrum.shape) * most).long()
    inside = shell < most // 2
    number = torch.bincount(shell[inside])
    power = torch.bincount(shell[inside], spectrum.power[inside].double()) / number.clamp_min(1)
    kept = number > 0
    return torch.arange(len(number), dtype=torch.float64)[kept] / most, power[kept]


def _ctf_findings(
    shells: Shells, ctf: ContrastTransfer, pixel_size: float, name: str
) -> list[Finding]:
    found = contradiction(shells, ctf, pixel_size)
    if found is None:
        return []
    declared = f"rlnDefocus {ctf.defocus:g} A is declared, but its halves"
    zero, seen = f"{found.first_zero:.0f} A", found.seen
    where = "" if seen is None else f"{seen.first_zero:.0f} A"
    value = "" if seen is None else f"{round(seen.defocus, -3):g} A"
    measured = None if seen is None else seen.defocus
    if seen is not None and seen.zeros > 1:
        told = f"{declared} show the CTF zeros of about {value} (the first at {where}, not {zero})"
        return [
            Finding("defocus", "warning", told, "correct rlnDefocus", name, ctf.defocus, measured)
        ]
    hint = f" (a dip at {where} would suit {value})" if seen is not None else ""
    told = f"{declared} share signal at {zero}, where that CTF has its first zero{hint}"
    remedy = "correct rlnDefocus, or use --CTF_mode None if the CTF was corrected"
    return [Finding("defocus", "warning", told, remedy, name, ctf.defocus, measured)]


def _blocks(first: Volume, second: Volume) -> Iterator[tuple[Tensor, Tensor]]:
    """Blocks of both halves along the tilt axis, where all tilts have the declared defocus."""
    size = [min(most, edge) for most, edge in zip(BLOCK, first.shape, strict=True)]
    free = [edge - block for edge, block in zip(first.shape, size, strict=True)]
    aside = min(free[2] // 2, size[2] // 2)
    rows = min(MOST_ALONG_Y, math.ceil(2 * free[1] / size[1]) + 1)
    ys = {round(free[1] * (row + 0.5) / rows) for row in range(rows)}
    xs = {free[2] // 2 + side for side in (-aside, 0, aside)}
    z = free[0] // 2
    for y in sorted(ys):
        for x in sorted(xs):
            region = slice(z, z + size[0]), slice(y, y + size[1]), slice(x, x + size[2])
            one, two = (torch.from_numpy(tamed(v.read(region))) for v in (first, second))
            yield one, two
