"""Parameters of the commands that judge: tomograms before training, and results after it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from isonet2.parameters.base import Shown
from isonet2.parameters.preparation import AngleOrNone, increasing_tilts
from isonet2.parameters.shared import (
    MOST_EPOCHS,
    FilePath,
    GpuIds,
    Indices,
    Processors,
    SpreadParameters,
    StarParameters,
)


def _paths(value: Any) -> Any:
    """Make one path a list of one, and split `[a.pt,b.pt]` at its commas."""
    if isinstance(value, str) and value[:1] == "[" and value[-1:] == "]":
        return tuple(part.strip() for part in value[1:-1].split(","))
    return value if isinstance(value, list | tuple) else (value,)


class InspectParameters(SpreadParameters):
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


class ValidateParameters(SpreadParameters, StarParameters):
    """Judge restored tomograms: what networks kept, left behind, filled rightly, or made up.

    `report.html` and `report.json` in the output folder; several networks stand side by side. The
    exit status is 0 where all lights are green, 1 where one is yellow, 2 where one is red.
    """

    command: ClassVar[str] = "validate"
    example: ClassVar[str] = "validate tomograms.star isonet_maps/network_*_full.pt --gpuID 0"
    passes: ClassVar[Mapping[int, str]] = {1: "a light is yellow; the report says which"}

    models: Annotated[
        tuple[FilePath, ...],
        BeforeValidator(_paths),
        Field(min_length=1),
        Shown("Basic", positional=True, form="files of trained networks"),
    ]
    """Trained networks, network_*.pt; results of several are compared."""
    output_dir: Annotated[FilePath, Shown("Basic", short="o")] = Path("validate")
    """Folder of the report. What networks made is kept in work/, and not computed again."""
    tomo_idx: Indices = None
    """Tomograms of the table to judge by, by rlnIndex; None or all takes every one."""
    gpuID: GpuIds = None
    """GPUs to use, counted among those that the process may see; None takes the one with
    most free memory."""
    held_out: Annotated[Literal["quick", "full", "none"], Shown("Basic")] = "quick"
    """How the fill is tested with tilts that are held out: quick takes the given network, which
    has seen them in training; full trains it anew without them, by the recipe in its checkpoint;
    none leaves this out."""
    held_out_share: Annotated[float, Field(ge=0.05, le=0.5)] = 0.2
    """Part of the tilt range, on either side, that is held out: 0.2 keeps -48 to 48 of -60 to 60
    degrees."""
    epochs: Annotated[int | None, Field(ge=1, le=MOST_EPOCHS), Shown("Basic", auto=True)] = None
    """Rounds of the training anew with held_out full; auto takes as many as the network had."""
    ncpus: Processors = None
    """Processor cores to use; auto takes at most 16 of those that this process may use."""
    mixed_precision: bool = True
    """Compute in 16 bits where that is safe."""

    @field_validator("models")
    @classmethod
    def _no_network_twice(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        for path in value:
            if value.count(path) > 1:
                raise ValueError(f"models names {path} twice: give each network once.")
        return value

    @field_validator("epochs")
    @classmethod
    def _only_for_training(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and info.data.get("held_out") not in ("full", None):
            raise ValueError(
                f"epochs = {value} acts with held_out full only, which trains: add --held_out full."
            )
        return value
