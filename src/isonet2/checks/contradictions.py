"""What the spectra of a tomogram say against what is declared of it."""

from collections.abc import Sequence

from isonet2.checks.ctf import halves_remarks
from isonet2.checks.wedge import tilt_halves_remark, wedge_remark
from isonet2.data.volumes import Volume
from isonet2.physics.geometry import Geometry
from isonet2.physics.wedge import Sectors


def tilt_contradictions(volumes: Sequence[Volume], sectors: Sectors) -> list[str]:
    """What the spectra of a tomogram, or of its two halves, say against its declared tilts."""
    remarks = [wedge_remark(volumes[0], sectors)]
    if len(volumes) > 1:
        remarks.append(tilt_halves_remark(volumes[0], volumes[1]))
    return [remark for remark in remarks if remark is not None]


def contradictions(volumes: Sequence[Volume], geometry: Geometry) -> list[str]:
    """What the spectra of a tomogram say against its declared tilts and its CTF.

    Parameters
    ----------
    volumes
        The tomogram, or its two halves.
    geometry
        What is declared; without a CTF, defocus is not looked at.

    Returns
    -------
    list of str
        One sentence for each.
    """
    remarks = tilt_contradictions(volumes, geometry.sectors)
    if len(volumes) > 1:
        remarks += halves_remarks(volumes[0], volumes[1], geometry.pixel_size, geometry.ctf)
    return remarks
