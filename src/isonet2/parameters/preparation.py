"""Parameters of the commands that make and list tomograms."""

from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from isonet2.parameters.base import Shown
from isonet2.parameters.shared import (
    Defocus,
    FilePath,
    OpticsParameters,
    VolumeShape,
)

Angle = Annotated[float, Field(ge=-90, le=90), Shown("Basic", "degrees")]
AngleOrNone = Annotated[float | None, Field(ge=-90, le=90), Shown("Basic", "degrees")]


def increasing_tilts(tilt_max: float | None, info: ValidationInfo) -> float | None:
    """Refuse a tilt range that does not rise; an end that is not given counts as 60 degrees."""
    tilt_min = info.data.get("tilt_min", -90.0)
    low = -60.0 if tilt_min is None else tilt_min
    high = 60.0 if tilt_max is None else tilt_max
    if low >= high:
        raise ValueError(
            f"tilt_min = {low:g} must be below tilt_max = {high:g}: give both ends of the range."
        )
    return tilt_max


class PrepareStarParameters(OpticsParameters):
    """Write the STAR table that lists the tomograms and how they were recorded.

    Give one folder of full tomograms, or two folders of even and odd halves.
    """

    command: ClassVar[str] = "prepare_star"
    example: ClassVar[str] = "prepare_star --even EVN --odd ODD --pixel_size 5.4"

    full: Annotated[FilePath | None, Shown("Basic", positional=True, short="f")] = None
    """Folder of full tomograms, for training on one volume (`isonet2`)."""
    even: Annotated[FilePath | None, Shown("Basic", short="e")] = None
    """Folder of even halves, for training on two halves (`isonet2-n2n`, `denoise`)."""
    odd: Annotated[FilePath | None, Shown("Basic", short="d")] = None
    """Folder of odd halves; they are paired with the even ones by name."""
    create_average: Annotated[bool, Shown("Basic")] = False
    """Write the mean of each pair of halves as a full tomogram, for `deconv` and `make_mask`,
    unless full tomograms are given."""
    star_name: Annotated[FilePath, Shown("Basic", short="o", form="a name that ends in .star")] = (
        Path("tomograms.star")
    )
    """STAR table to write."""
    pixel_size: Annotated[
        float | None, Field(gt=0, le=500), Shown("Basic", "angstrom", auto=True)
    ] = None
    """Voxel size; auto reads it from the tomograms."""
    defocus: Defocus = None
    """Defocus at zero tilt, positive for underfocus; one for all tomograms, or one for each in
    the order of their names. It may also be filled in later, in the column rlnDefocus."""
    defocus_folder: Annotated[FilePath | None, Shown("Basic")] = None
    """Folder of CTF fits, one file per tomogram, found by name: Warp (.xml), RELION or Gctf
    (.star), IMOD (.defocus), AreTomo or CTFFIND (.txt). The tilt nearest to zero counts, or the
    median of all where the tilts are not known. It may be the tilt folder."""
    tilt_min: AngleOrNone = None
    """Lowest tilt angle. Without it and without tilt files, -60 is assumed, and said so."""
    tilt_max: AngleOrNone = None
    """Highest tilt angle. Without it and without tilt files, 60 is assumed, and said so."""
    tilt_step: Annotated[float, Field(gt=0, le=30), Shown(unit="degrees")] = 3.0
    """Step between tilts."""
    tilt_file: FilePath | None = None
    """File of the tilt angles of all tomograms (.tlt, .rawtlt, .txt, .aln of AreTomo, .star of
    RELION 5, .xml or .tomostar of Warp, .mdoc); it overrides the range."""
    tilt_folder: FilePath | None = None
    """Folder of such files, one per tomogram, found by name."""
    number_subtomos: Annotated[int | None, Field(ge=1), Shown("Basic", auto=True)] = None
    """Sub-tomograms to draw from each tomogram in an epoch; auto makes 3000 in all."""
    mask_folder: FilePath | None = None
    """Folder of masks, one per tomogram, found by name; recorded in rlnMaskName."""
    coordinate_folder: FilePath | None = None
    """Folder of coordinate files (text, STAR, IMOD models), one per tomogram, to draw
    sub-tomograms around; their number of points overrides number_subtomos."""

    _tilts = field_validator("tilt_max")(increasing_tilts)

    @field_validator("star_name")
    @classmethod
    def _named_as_star(cls, value: Path) -> Path:
        if value.suffix.lower() != ".star":
            raise ValueError(f"star_name = {value} must end in .star: give the table's file name.")
        return value

    @field_validator("defocus_folder", "tilt_folder")
    @classmethod
    def _one_source(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        other = {"defocus_folder": "defocus", "tilt_folder": "tilt_file"}[str(info.field_name)]
        if value is not None and info.data.get(other) is not None:
            raise ValueError(f"{other} and {info.field_name} are both given: leave one of them.")
        return value

    @model_validator(mode="after")
    def _some_tomograms(self) -> Self:
        if self.even is None and self.odd is None and self.full is None:
            raise ValueError(
                "No tomograms are given: name a folder of full ones, or --even and --odd."
            )
        if (self.even is None) != (self.odd is None):
            given, missing = ("even", "odd") if self.odd is None else ("odd", "even")
            raise ValueError(f"{given} is given without {missing}: halves come in pairs.")
        if self.create_average and self.even is None:
            raise ValueError("create_average needs the halves: give --even and --odd.")
        return self


class SimulateParameters(OpticsParameters):
    """Make tomograms of a specimen that is known: two noisy halves, the truth, the tilt angles."""

    command: ClassVar[str] = "simulate"
    example: ClassVar[str] = "simulate phantom --shape 96,160,160 --snr 0.1"

    output_dir: Annotated[FilePath, Shown("Basic", positional=True, short="o")]
    """Folder for the subfolders EVN, ODD and truth, and for the tilt file."""
    shape: VolumeShape = (96, 160, 160)
    """Size of a tomogram, z, y and x."""
    pixel_size: Annotated[float, Field(gt=0, le=100), Shown("Basic", "angstrom")] = 10.0
    """Voxel size."""
    count: Annotated[int, Field(ge=1), Shown("Basic")] = 2
    """Number of tomograms."""
    tilt_min: Angle = -60.0
    """Lowest tilt angle."""
    tilt_max: Angle = 60.0
    """Highest tilt angle."""
    tilt_step: Annotated[float, Field(gt=0, le=30), Shown("Basic", "degrees")] = 3.0
    """Step between tilts."""
    defocus: Defocus = 30_000.0
    """Defocus, positive for underfocus; None leaves the CTF out."""
    snr: Annotated[float, Field(gt=0), Shown("Basic")] = 0.1
    """Ratio of the variances of signal and noise in a projection."""
    density: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    """Part of the volume that molecules fill."""
    membranes: Annotated[int, Field(ge=0)] = 2
    """Number of vesicles in each tomogram."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Start of the random numbers; the same seed gives the same tomograms."""

    _tilts = field_validator("tilt_max")(increasing_tilts)

    @field_validator("shape")
    @classmethod
    def _large_enough(cls, value: tuple[int, int, int]) -> tuple[int, int, int]:
        if min(value) < 32:
            raise ValueError(
                f"shape = {','.join(map(str, value))} is too small: give 32 or more along each."
            )
        return value
