"""What the spectra of a tomogram say against what is declared of it."""

from collections.abc import Sequence

from isonet2.checks.ctf import alike_findings, ctf_findings, shells_of
from isonet2.checks.findings import Finding
from isonet2.checks.wedge import spectrum_of, tilt_halves_findings, wedge_findings
from isonet2.data.volumes import Volume
from isonet2.physics.ctf import ContrastTransfer
from isonet2.physics.wedge import Sectors


def contradictions(
    volumes: Sequence[Volume],
    sectors: Sectors,
    pixel_size: float | None = None,
    ctf: ContrastTransfer | None = None,
    name: str = "",
) -> list[Finding]:
    """What the spectra of a tomogram say against its declared tilts and its CTF.

    Parameters
    ----------
    volumes
        The tomogram, or its two halves.
    sectors
        Measured intervals of tilt angles in degrees.
    pixel_size
        Angstrom; without it only the tilts are looked at.
    ctf
        What is declared; without a CTF, defocus is not looked at.
    name
        Of the tomogram.
    """
    spectrum = spectrum_of(volumes[0])
    found = wedge_findings(spectrum, sectors, volumes[0].shape[0], name)
    if len(volumes) > 1:
        second = spectrum_of(volumes[1])
        found += tilt_halves_findings(spectrum, second, name)
        found += alike_findings(spectrum, second, name)
        if pixel_size is not None:
            found += ctf_findings(shells_of(volumes[0], volumes[1]), pixel_size, ctf, name)
    return found
