"""All that is asked of a tomogram whose halves are open, before anything is computed of it."""

from collections.abc import Sequence

from isonet2.checks.contradictions import contradictions
from isonet2.checks.findings import Finding
from isonet2.checks.halves import halves_findings
from isonet2.checks.past import past_findings
from isonet2.checks.voxels import filled_findings, voxel_findings
from isonet2.opening.halves import Half
from isonet2.physics.geometry import Geometry


def opened_findings(
    halves: Sequence[Half], geometry: Geometry, *, ctf: bool, name: str = ""
) -> list[Finding]:
    """What speaks against a tomogram, or its two halves, and what is declared of it.

    Parameters
    ----------
    halves
        One or two, of one shape.
    geometry
        What is declared.
    ctf
        Whether its CTF is about to be undone.
    name
        For messages.
    """
    volumes = [half.volume for half in halves]
    found = [f for half in halves for f in voxel_findings(half.volume, half.statistics, name)]
    if len(halves) > 1:
        spreads = halves[0].statistics.std, halves[1].statistics.std
        found += halves_findings(volumes[0], volumes[1], spreads, name)
        found += filled_findings(halves[0].statistics, halves[1].statistics, name)
    if any(finding.severity == "refusal" for finding in found):
        return found
    found += past_findings(volumes, ctf=ctf, name=name)
    declared = geometry.sectors, geometry.pixel_size, geometry.ctf
    return found + contradictions(volumes, *declared, name)
