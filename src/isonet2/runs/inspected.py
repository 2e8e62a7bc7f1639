"""What is kept of an examined tomogram: small, so that another process can send it."""

from collections.abc import Mapping
from dataclasses import dataclass

from isonet2.checks.advice import Suggestion, corrections, suggestion
from isonet2.checks.examination import Declared, Examination
from isonet2.checks.findings import Findings
from isonet2.runs.portrait import draw
from isonet2.types import Shape


@dataclass(frozen=True, slots=True)
class Inspected:
    """What was found out about a tomogram.

    Attributes
    ----------
    declared, findings, figures
        As in `Examination`.
    suggestion
        What it suggests to train with; None where it cannot be read.
    corrections
        Cells of the table that are surely wrong.
    shape
        Voxels (z, y, x); None where it cannot be opened.
    pixel_size
        Angstrom, as declared or else by its header.
    paired
        Whether it has two halves that can be compared with others'.
    shells
        What its halves share, and their noise, by frequency; None without halves.
    picture
        PNG; None where its voxels cannot be read.
    """

    declared: Declared
    findings: Findings
    figures: Mapping[str, object]
    suggestion: Suggestion | None = None
    corrections: Mapping[str, object] | None = None
    shape: Shape | None = None
    pixel_size: float | None = None
    paired: bool = False
    shells: Mapping[str, object] | None = None
    picture: bytes | None = None

    @property
    def name(self) -> str:
        """Of the tomogram."""
        return self.declared.name


def inspected(one: Examination) -> Inspected:
    """Keep of an examination what reports need."""
    names = ("frequency", "shared", "noise")
    return Inspected(
        one.declared,
        one.findings,
        one.figures,
        suggestion(one),
        corrections(one),
        None if one.volume is None else one.volume.shape,
        one.pixel_size,
        one.second is not None and not one.findings.refused,
        None if one.shells is None else {n: getattr(one.shells, n).tolist() for n in names},
        draw(one),
    )


def failed(declared: Declared, said: str) -> Inspected:
    """Keep of a tomogram that could not be examined why."""
    findings = Findings()
    findings.refuse(f"{declared.name}: {said}")
    return Inspected(declared, findings, {})
