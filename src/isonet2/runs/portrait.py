"""The picture of a tomogram that `inspect` puts into its report."""

import numpy as np
import torch

from isonet2.checks.examination import Examination
from isonet2.checks.looks import centre
from isonet2.checks.signal import finest_agreement
from isonet2.physics.fourier import multiplicity, radius
from isonet2.reports.spectra import Portrait, portrait
from isonet2.types import Floats

BLOCK = (256, 64, 256)
MOST_ZEROS = 6
FINE_STEPS = 2000


def draw(one: Examination) -> bytes | None:
    """Draw an examined tomogram as a PNG; None where its voxels cannot be read."""
    volume, binned = one.volume, one.binned
    if volume is None or binned is None:
        return None
    edges = volume.voxel_size
    size = one.declared.pixel_size or (edges[2] if edges is not None else 0.0)
    spectrum = one.spectrum
    seen = spectrum.seen if spectrum is not None and spectrum.upright else None
    what = Portrait(
        binned=binned,
        binned_size=size * volume.shape[2] / binned.shape[2],
        block=centre(volume, BLOCK),
        size=size,
        declared=one.declared.sectors or (),
        measured=() if seen is None else ((seen.low, seen.high),),
        curves=_curves(one),
        zeros=_zeros(one, size),
        agree=None if one.shells is None else finest_agreement(one.shells),
    )
    return portrait(what, one.name)


def _curves(one: Examination) -> dict[str, tuple[Floats, Floats]]:
    """Power against frequency: of signal and noise where there are halves."""
    shells, spectrum = one.shells, one.spectrum
    if shells is not None:
        k = shells.frequency.numpy()
        return {
            "shared by the halves": (k, shells.shared.numpy()),
            "noise": (k, shells.noise.numpy()),
        }
    if spectrum is None:
        return {}
    length = torch.round(radius(spectrum.shape) * max(spectrum.shape)).long()
    mates = multiplicity(spectrum.shape).expand(length.shape)
    number = torch.bincount(length.flatten(), mates.flatten().double())
    summed = torch.bincount(length.flatten(), (spectrum.power * mates).flatten().double())
    k = np.arange(len(number)) / max(spectrum.shape)
    inside = (k > 0) & (k <= 0.5)
    return {"power": (k[inside], (summed / number.clamp_min(1)).numpy()[inside])}


def _zeros(one: Examination, size: float) -> list[float]:
    """Frequencies, cycles per voxel, at which the declared CTF is zero."""
    ctf = one.declared.ctf
    if ctf is None or size <= 0:
        return []
    k = torch.linspace(0.01, 0.5, FINE_STEPS, dtype=torch.float64)
    values = ctf.curve(k / size)
    crossed = torch.nonzero(values[1:].sign() != values[:-1].sign()).flatten()[:MOST_ZEROS]
    return [float(k[index]) for index in crossed.tolist()]
