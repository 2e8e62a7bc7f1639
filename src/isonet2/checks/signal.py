"""How far the halves of a tomogram agree, and how signal and noise compare on the way."""

import numpy as np
import torch
from torch import Tensor

from isonet2.physics.seen_ctf import Shells

AGREE = 0.143
"""Correlation of the halves at which a tomogram's resolution is told."""
SURELY = 4.0
"""Standard errors that shared signal must stand above nothing."""
TOGETHER = 3
"""Shells that are looked at as one: each alone has few frequencies."""
MARKS = (200, 100, 60, 40, 30, 20)
"""Angstrom at which signal over noise is told."""


def finest_agreement(shells: Shells) -> float | None:
    """Highest frequency at which halves still agree, cycles per voxel; None where they never do.

    The zeros of a CTF are dips on the way, and not the end.
    """
    shared, noise, error = _smooth(shells)
    agreement = shared / (shared + noise).clamp_min(1e-30)
    agree = (agreement >= AGREE) & (shared > SURELY * error)
    places = torch.nonzero(agree).flatten()
    if not len(places):
        return None
    last = int(places[-1])
    k = shells.frequency
    if last + 1 >= len(k):
        return float(k[last])
    drop = float(agreement[last] - agreement[last + 1])
    part = min(1.0, float(agreement[last] - AGREE) / drop) if drop > 0 else 0.0
    return float(k[last] + part * (k[last + 1] - k[last]))


def signal_figures(shells: Shells, size: float) -> dict[str, object]:
    """Figures of two halves whose voxels have an edge of `size` angstrom, by name."""
    k = shells.frequency.numpy()
    shared, noise, _ = _smooth(shells)
    ratio = (shared.clamp_min(0) / noise.clamp_min(1e-30)).numpy()
    at = {
        f"{mark} A": round(float(np.interp(size / mark, k, ratio)), 3)
        for mark in MARKS
        if mark > 2 * size
    }
    finest = finest_agreement(shells)
    return {
        "halves agree to (A)": None if finest is None else round(size / finest, 1),
        "signal over noise": at,
    }


def _smooth(shells: Shells) -> tuple[Tensor, Tensor, Tensor]:
    """Shared signal, noise, and the error of the former, as means over neighbouring shells."""
    shared, noise = (_mean(values) for values in (shells.shared, shells.noise))
    return shared, noise, _mean(shells.error.square()).sqrt() / TOGETHER**0.5


def _mean(values: Tensor) -> Tensor:
    """Mean over `TOGETHER` neighbours, fewer at the ends."""
    reach = TOGETHER // 2
    inside = torch.nn.functional.pad(torch.ones_like(values), (reach, reach)).unfold(0, TOGETHER, 1)
    padded = torch.nn.functional.pad(values, (reach, reach)).unfold(0, TOGETHER, 1)
    return padded.sum(1) / inside.sum(1)
