"""The command `psf`: what a tilt range measures, as a mask and as a point spread."""

import logging
from pathlib import Path

import torch

from isonet2.data.tilts import read_tilts
from isonet2.data.volumes import write_volume
from isonet2.parameters import PsfParameters, write_parameters
from isonet2.physics.fourier import multiplicity, volume
from isonet2.physics.wedge import Sectors, ball, measured, sectors_of_tilts

log = logging.getLogger(__name__)


def psf(parameters: PsfParameters) -> Path:
    """Write `wedge.mrc` and `psf.mrc`.

    Parameters
    ----------
    parameters
        Size, tilts and folder.

    Returns
    -------
    Path
        The folder. A volume convolved with the point spread is what the tilts measure of it.
    """
    p = parameters
    sectors: Sectors = ((p.tilt_min, p.tilt_max),)
    if p.tilt_file is not None:
        sectors = sectors_of_tilts(read_tilts(p.tilt_file))
    mask = measured(p.size, sectors)
    words = ", ".join(f"{low:g} to {high:g}" for low, high in sectors)
    spread = volume(mask, p.size)
    whole = torch.fft.fftn(spread).real.clamp(0, 1)
    for name, data in (("wedge", whole), ("psf", spread)):
        write_volume(
            p.output_dir / f"{name}.mrc",
            torch.fft.fftshift(data).numpy(),
            voxel_size=p.pixel_size,
            label=f"IsoNet2 {name} of tilts {words} degrees"[:80],
        )
    count = multiplicity(p.size)
    part = float((mask * count).sum() / (ball(p.size) * count).sum())
    write_parameters(p, p.output_dir)
    log.info("tilts %s degrees measure %.1f %% of the frequencies", words, 100 * part)
    log.info("wrote wedge.mrc and psf.mrc in %s", p.output_dir)
    return p.output_dir
