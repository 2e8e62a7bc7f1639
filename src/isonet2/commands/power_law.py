"""The command `power_law`: give a volume's spectrum a chosen fall with frequency."""

import logging
from pathlib import Path

import torch

from isonet2.data.files import refuse_to_replace
from isonet2.data.volumes import open_volume, write_volume
from isonet2.data.voxels import statistics
from isonet2.errors import InputError
from isonet2.parameters import PowerLawParameters
from isonet2.physics.fourier import radius, spectrum, volume
from isonet2.physics.power import power_law_weight
from isonet2.physics.wedge import measured

log = logging.getLogger(__name__)

EDGE = 0.1  # width of the soft edge at `finest`, as part of its frequency


def power_law(parameters: PowerLawParameters) -> Path:
    """Filter one volume; it is in memory as a whole, with its spectrum.

    Parameters
    ----------
    parameters
        Volume, exponent, and tilt range where the power is to be measured in it alone.

    Returns
    -------
    Path
        The filtered volume.

    Raises
    ------
    InputError
        When `finest` is given and the file has no voxel size, or none so fine.
    """
    p = parameters
    refuse_to_replace(p.output, p.volume, "output")
    source = open_volume(p.volume)
    if p.finest is not None:
        if source.voxel_size is None:
            raise InputError(f"{p.volume}: has no voxel size, so finest means nothing; correct it")
        if p.finest < 2 * max(source.voxel_size):
            raise InputError(
                f"finest {p.finest:g} A: voxels of {max(source.voxel_size):g} A hold nothing finer "
                f"than {2 * max(source.voxel_size):g} A; give more, or leave it out"
            )
    statistics(source)
    waves = spectrum(torch.from_numpy(source.read()))
    region = None
    if p.tilt_min is not None and p.tilt_max is not None:
        region = measured(source.shape, ((p.tilt_min, p.tilt_max),)).bool()
    waves = waves * power_law_weight(waves, source.shape, p.exponent, region)
    if p.finest is not None and source.voxel_size is not None:
        place = radius(source.shape) * p.finest / max(source.voxel_size)
        waves = waves * (0.5 + 0.5 * torch.cos(torch.pi * ((place - 1) / EDGE).clamp(0, 1)))
    label = f"IsoNet2 power_law: power falls as k^-{p.exponent:g}"
    write_volume(p.output, volume(waves, source.shape).numpy(), like=source, label=label)
    log.info("wrote %s, whose power falls as k^-%g", p.output, p.exponent)
    return p.output
