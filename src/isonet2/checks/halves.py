"""Whether two halves are halves of one tomogram: same place, own noise, same contrast."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from isonet2.checks.findings import Finding, Severity
from isonet2.checks.looks import FEWEST_BINS, centre, coarse, tamed
from isonet2.data.volumes import Volume
from isonet2.physics.likeness import Likeness, independent_numbers, likeness
from isonet2.types import Block, Shape

COMPARED_VOXELS = 64
FARTHEST = 6.0
"""Robust deviations that a voxel's detail counts for at most: single hot voxels are no noise."""
SHARED, MUCH_SHARED, COPIED = 0.15, 0.3, 0.5
"""Correlation of the noise: to be remarked, to be warned of, and to be refused."""
UNLIKE, UNEQUAL = 1.5, 3.0
"""Factors that two halves rarely differ by: to be remarked, and to be warned of."""
LOOK = (96, 192, 192)
USUAL_VOXEL = 10.0  # angstrom
COARSEST_BINNING = 4
FEWEST_NUMBERS = 40.0
NOTHING = 8.0
"""Likelihood that noise reaches by chance."""
SURELY, CLEARLY_LIKELIER = 25.0, 1.3
SURE_SHIFT, LIKELIER = 18.0, 8.0
FITTING = 0.5
"""Correlation in the two coarsest shells that halves have where they fit."""
COARSE = 1.5
"""Coarse power over that of somewhat finer detail where there is more than noise."""
CLEARLY = 0.2

Saying = tuple[str, Severity, str, str, object]
"""Kind, severity, sentence, remedy, and what was measured."""


def halves_findings(
    first: Volume, second: Volume, spreads: tuple[float, float], name: str = ""
) -> list[Finding]:
    """Say what speaks against two volumes of one shape being halves of one tomogram.

    Parameters
    ----------
    first, second
        The halves; only their centres are read.
    spreads
        Their standard deviations.
    name
        Of the tomogram.

    Returns
    -------
    list of Finding
        What is wrong, and what could not be checked.
    """
    said = _same_noise(first, second)
    if not any(severity == "refusal" for _, severity, *_ in said):
        said += _lie(compared(first, second))
    findings = []
    for kind, how_grave, sentence, remedy, measured in said:
        told = f"{first.path} and {second.path}: {sentence}"
        finding = Finding(f"halves: {kind}", how_grave, told, remedy, name, measured=measured)
        findings.append(finding)
    ratio = spreads[1] / spreads[0]
    apart = max(ratio, 1 / ratio)
    if apart > UNLIKE:
        severity: Severity = "warning" if apart > UNEQUAL else "remark"
        told = f"{second.path}: varies {ratio:.3g} times as much as {first.path}"
        remedy = "were both reconstructed in the same way?"
        findings.append(Finding("halves: strength", severity, told, remedy, name, 1, ratio))
    return findings


def _same_noise(first: Volume, second: Volume) -> list[Saying]:
    """Say that two halves are one file, or share noise."""
    if first.path.samefile(second.path):
        return [("one file", "refusal", "are the same file", "give the two halves", None)]
    shared = noise_correlation(first, second)
    if shared >= COPIED:
        part = "hold the same noise" if shared > 0.95 else "share much of their noise"
        remedy = "halves must come from different frames or tilts"
        return [("same noise", "refusal", f"{part} (correlation {shared:.3f})", remedy, shared)]
    if shared < SHARED:
        return []
    told = f"share some of their finest detail (correlation {shared:.2f})"
    remedy = "were they aligned, filtered or normalised together?"
    severity: Severity = "warning" if shared >= MUCH_SHARED else "remark"
    return [("shared noise", severity, told, remedy, shared)]


def _lie(alike: Likeness | None) -> list[Saying]:
    """Say how two halves do not lie alike, or have nothing in common."""
    if alike is None:
        told = "are too small to tell whether they lie alike and belong together"
        return [("not compared", "remark", told, "", None)]
    own, best = alike.own, alike.best
    if alike.opposite.likelihood > SURELY and alike.opposite.likelihood > 2 * best.likelihood:
        told = f"have opposite contrast ({_words(own.correlations)})"
        return [("contrast", "refusal", told, "invert one of them", own.correlations[0])]
    if _fits_better(alike) or _shifted(alike) > SURE_SHIFT:
        told = (
            f"do not lie alike: {_words(own.correlations)} as they are, "
            f"{_words(best.correlations)} with the second {best.words}"
        )
        remedy = "reconstruct both in the same way, or turn one of them"
        return [("lie", "refusal", told, remedy, best.words)]
    if own.likelihood < NOTHING:
        structured = min(alike.sharpness) > COARSE
        told = f"have nothing in common that can be told from noise ({_words(own.correlations)})"
        remedy = "are they halves of one tomogram?" if structured else "is there specimen in them?"
        severity: Severity = "warning" if structured else "remark"
        return [("nothing in common", severity, told, remedy, own.correlations[0])]
    gain = 0.0 if best.unchanged else best.likelihood - own.likelihood
    if max(gain, _shifted(alike)) > LIKELIER:
        told = f"would fit a little better with the second {best.words}"
        remedy = "were they aligned and reconstructed with the same parameters?"
        return [("shift", "remark", told, remedy, best.words)]
    return []


def _fits_better(alike: Likeness) -> bool:
    """Whether halves that have little in common fit when one is mirrored, turned or shifted."""
    own, best = alike.own, alike.best
    gain = best.likelihood - own.likelihood
    clearly = gain > SURELY and best.likelihood > CLEARLY_LIKELIER * own.likelihood
    return clearly and min(best.correlations[:2]) > FITTING


def _shifted(alike: Likeness) -> float:
    """How much likelier the halves are when one is shifted by two voxels or more.

    Halves of tilts have gaps at other tilts, which shifts the finer of their common detail; they
    are told by their coarsest detail, which does not gain.
    """
    own, best = alike.own, alike.best
    gains = sum(best.correlations[:2]) > sum(own.correlations[:2])
    if not best.unchanged or max(map(abs, best.shift)) < 2 or not gains:
        return 0.0
    return best.likelihood - own.likelihood


def _words(correlations: tuple[float, ...]) -> str:
    """Correlations of the coarsest shells in words."""
    return f"coarse correlation {np.mean(correlations[:3]):.2f}"


def compared(first: Volume, second: Volume) -> Likeness | None:
    """Compare the centres of two volumes of one shape, however one of them lies.

    Returns
    -------
    Likeness or None
        None where they are too small to tell.
    """
    size = first.voxel_size or second.voxel_size
    usual = max(1, min(COARSEST_BINNING, round(USUAL_VOXEL / max(size)))) if size else 1
    factors = (f for f in range(usual, 0, -1) if _tells(_compared_shape(first.shape, f)))
    factor = next(factors, None)
    if factor is None:
        return None
    most, edge, _ = _compared_shape(first.shape, factor)
    blocks = []
    for volume in (first, second):
        block = centre(volume, (most * factor, edge * factor, edge * factor))
        parts = block.reshape(most, factor, edge, factor, edge, factor)
        blocks.append(torch.from_numpy(tamed(parts.mean((1, 3, 5)))))
    return likeness(*blocks)


def _compared_shape(shape: Shape, factor: int) -> torch.Size:
    """What is compared of a volume (z, y, x) when it is binned by a factor."""
    z, y, x = shape
    edge = min(y, x, factor * LOOK[1]) // factor
    return torch.Size((min(z, factor * LOOK[0]) // factor, edge, edge))


def _tells(shape: torch.Size) -> bool:
    return min(shape) >= 16 and independent_numbers(shape) >= FEWEST_NUMBERS


def noise_correlation(first: Volume, second: Volume) -> float:
    """Correlation of two volumes' finest detail: the least of three cubes at their middle.

    The detail is the difference of neighbours along all three axes, where noise outweighs
    specimen; what halves share of it is shared everywhere, while specimen is in some places.
    Independent halves are near 0, copies and scaled copies at 1 or -1.
    """
    found = []
    free = first.shape[1] - min(COMPARED_VOXELS, first.shape[1])
    for place in sorted({free // 2, free // 6, free - free // 6}):
        details = []
        for volume in (first, second):
            block = _cube(volume, place).astype(np.float64)
            for axis in range(3):
                block = np.diff(block, axis=axis)
            spread = 1.4826 * np.median(np.abs(block)) if block.size else 0.0
            if spread > 0:
                block = block.clip(-FARTHEST * spread, FARTHEST * spread)
            details.append(block.ravel() - block.mean() if block.size else np.zeros(1))
        one, two = details
        scale = float(np.sqrt(np.vdot(one, one) * np.vdot(two, two)))
        found.append(abs(float(np.vdot(one, two))) / scale if scale > 0 else 0.0)
    return min(found)


def _cube(volume: Volume, y: int) -> Block:
    """A cube in the middle of z and x that begins at some y."""
    z, x = (max(0, (volume.shape[axis] - COMPARED_VOXELS) // 2) for axis in (0, 2))
    return volume.read(
        (
            slice(z, z + COMPARED_VOXELS),
            slice(y, y + COMPARED_VOXELS),
            slice(x, x + COMPARED_VOXELS),
        )
    )


def mixed_up(pairs: Sequence[tuple[Volume, Volume]]) -> list[Finding]:
    """Name halves that look like another tomogram's other half, and unlike their own.

    Parameters
    ----------
    pairs
        First and second half of every tomogram, in the order of the table.

    Returns
    -------
    list of Finding
        One for each first half that belongs elsewhere.

    Notes
    -----
    What is compared is the central part, binned and without the mean of each slice: specimen
    outweighs noise there, and the common shape of all lamellae is gone.
    """
    shapes: dict[tuple[int, ...], list[int]] = {}
    for index, (first, second) in enumerate(pairs):
        if first.shape == second.shape:
            shapes.setdefault(first.shape, []).append(index)
    found = []
    for members in shapes.values():
        if len(members) > 1:
            found.extend(_misplaced([pairs[index] for index in members]))
    return found


def _misplaced(pairs: Sequence[tuple[Volume, Volume]]) -> list[Finding]:
    with ThreadPoolExecutor(4) as pool:
        firsts = np.stack(list(pool.map(_look, (first for first, _ in pairs))))
        seconds = np.stack(list(pool.map(_look, (second for _, second in pairs))))
    likenesses = firsts @ seconds.T
    found: list[Finding] = []
    if firsts.shape[1] < FEWEST_BINS:
        return found
    for own, row in enumerate(likenesses):
        best = int(row.argmax())
        if row[best] > row[own] + CLEARLY:
            told = (
                f"{pairs[own][0].path}: looks like {pairs[best][1].path} (correlation "
                f"{row[best]:.2f}), not like its own other half {pairs[own][1].path} "
                f"({row[own]:.2f})"
            )
            remedy = "the files of two tomograms seem to be mixed up"
            found.append(Finding("halves: mixed up", "refusal", told, remedy))
    return found


def _look(volume: Volume) -> Block:
    """Binned centre as a vector of length 1, or 0 where there is nothing to see."""
    look = coarse(volume)
    length = float(np.linalg.norm(look))
    vector: Block = look.ravel() / np.float32(length or 1.0)
    return vector
