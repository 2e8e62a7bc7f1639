"""What follows from looking at tomograms: how to train on them, and what the table has wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

from isonet2.checks.examination import Examination
from isonet2.checks.findings import Finding
from isonet2.checks.wedge import TOLERANCE

LARGEST_CUBE, SMALLEST_CUBE, CUBE_STEP = 96, 32, 16
CUBES = 150_000
"""That a training draws in the manuals: 50 epochs of 3000."""
FEWEST_EPOCHS, MOST_EPOCHS = 10, 200


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What one tomogram suggests to train with.

    Attributes
    ----------
    cube_size
        Voxels.
    CTF_mode
        One of the CTF modes.
    """

    cube_size: int
    CTF_mode: str


@dataclass(frozen=True, slots=True)
class Advice(Suggestion):
    """How tomograms are best trained on together.

    Attributes
    ----------
    epochs
        As many as draw the cubes of a usual training.
    cubes
        In an epoch.
    """

    epochs: int
    cubes: int

    @property
    def words(self) -> str:
        """As parameters of `refine`."""
        return f"--cube_size {self.cube_size} --CTF_mode {self.CTF_mode} --epochs {self.epochs}"


def suggestion(found: Examination) -> Suggestion | None:
    """What a tomogram suggests to train with; None where it cannot be read."""
    if found.volume is None:
        return None
    edge = min(found.volume.shape) // CUBE_STEP * CUBE_STEP
    kinds = {finding.kind for finding in found.findings.all}
    corrected = bool(kinds & {"deconvolved before", "halves: filtered"})
    mode = "None" if found.declared.ctf is None or corrected else "network"
    return Suggestion(max(SMALLEST_CUBE, min(LARGEST_CUBE, edge)), mode)


def advice(told: Sequence[Suggestion], cubes: int) -> Advice | None:
    """What tomograms suggest together; None where there is none, or nothing to draw.

    Parameters
    ----------
    told
        What each of them suggests.
    cubes
        Sub-tomograms in an epoch.
    """
    if not told or cubes < 1:
        return None
    modes = {one.CTF_mode for one in told}
    mode = modes.pop() if len(modes) == 1 else "None"
    epochs = max(FEWEST_EPOCHS, min(MOST_EPOCHS, round(CUBES / cubes)))
    return Advice(min(one.cube_size for one in told), mode, epochs, cubes)


def corrections(found: Examination) -> dict[str, object]:
    """Cells of the table that are surely wrong, and what they should be.

    Tilts of the wrong sign are turned round; an end of their range is corrected where the
    spectrum excludes the declared one, and all axes lie as they should; a defocus where several
    zeros show another one; a missing voxel size where the header says it.
    """
    columns: dict[str, object] = {}
    for finding in found.findings.all:
        if finding.kind in {"tilts: range", "tilts: sign"} and found.declared.correctable:
            columns |= _tilts(found, finding)
        several = found.figures.get("zeros that are seen", 0) not in (0, 1)
        if finding.kind == "defocus" and several and isinstance(finding.measured, float):
            columns["rlnDefocus"] = round(finding.measured, -2)
    volume = found.volume
    if found.declared.pixel_size is None and volume is not None and volume.voxel_size:
        columns["rlnPixelSize"] = round(volume.voxel_size[2], 4)
    return columns


def _tilts(found: Examination, finding: Finding) -> dict[str, object]:
    """Ends of the tilt range that are surely others than those that are declared."""
    assert isinstance(finding.declared, tuple)
    assert isinstance(finding.measured, tuple)
    low, high = finding.declared
    if finding.kind == "tilts: sign":
        return {"rlnTiltMin": -high, "rlnTiltMax": -low}
    if any(other.kind == "tilts: about x" for other in found.findings.all):
        return {}
    known = found.figures.get("uncertainty of their ends (degrees)")
    surely = max(TOLERANCE, known) if isinstance(known, float) else TOLERANCE
    ends = zip(("rlnTiltMin", "rlnTiltMax"), (low, high), finding.measured, strict=True)
    return {name: round(seen) for name, said, seen in ends if abs(seen - said) > surely}
