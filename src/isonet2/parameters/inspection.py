"""Parameters of `inspect`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, field_validator

from isonet2.parameters.base import Parameters, Shown
from isonet2.parameters.preparation import AngleOrNone, increasing_tilts
from isonet2.parameters.shared import FilePath, Indices


class InspectParameters(Parameters):
    """Ask tomograms whether they are what is said of them, before a GPU is touched.

    A table on the terminal, problems first; `report.html` and `report.json` in the output folder.
    The exit status is 0 where all is well, 1 with warnings, 2 where training would be refused.
    """

    command: ClassVar[str] = "inspect"
    example: ClassVar[str] = "inspect tomograms.star"
    passes: ClassVar[Mapping[int, str]] = {1: "with warnings; the report says which"}

    tomograms: Annotated[FilePath, Shown("Basic", positional=True)]
    """STAR table, or a folder of tomograms (also one with EVN and ODD in it), or one volume."""
    output_dir: Annotated[FilePath, Shown("Basic", short="o")] = Path("inspect")
    """Folder of the report."""
    tomo_idx: Indices = None
    """Tomograms of the table to look at, by rlnIndex; None or all takes every one."""
    fix: Annotated[bool, Shown("Basic")] = False
    """Write into the table what is certain (tilt range, defocus, missing voxel size), after a copy
    of it was made; each change is said."""
    tilt_min: AngleOrNone = None
    """Lowest tilt angle of tomograms that no table describes."""
    tilt_max: AngleOrNone = None
    """Highest tilt angle of tomograms that no table describes."""
    pixel_size: Annotated[
        float | None, Field(gt=0, le=500), Shown("Basic", "angstrom", auto=True)
    ] = None
    """Voxel size of tomograms that no table describes; auto reads it from them."""

    _tilts = field_validator("tilt_max")(increasing_tilts)
