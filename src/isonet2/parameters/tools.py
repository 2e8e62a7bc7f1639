"""Parameters of the small commands around restoring: grids, spectra, tables, and the machine."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from isonet2.parameters.base import Parameters, Shown
from isonet2.parameters.preparation import Angle, AngleOrNone, increasing_tilts
from isonet2.parameters.shared import (
    ARCHITECTURES,
    Architecture,
    FilePath,
    GpuIds,
    Indices,
    ResultParameters,
    StarParameters,
)
from isonet2.parameters.words import parted


def _list(value: Any) -> Any:
    """Split "[a,b]", "a,b" or "a b" into its members; one value is a list of one."""
    if isinstance(value, str):
        return parted(value)
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _all_architectures(value: Any) -> Any:
    names = _list(value)
    return ARCHITECTURES if [str(name).casefold() for name in names] == ["all"] else names


def _cube(value: Any) -> Any:
    """Three numbers of a list, or three times the same one."""
    parts = _list(value)
    return parts * 3 if len(parts) == 1 else parts


def _cube_sizes(value: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
    for size in value:
        if size < 32 or size % 16:
            raise ValueError(
                f"{info.field_name} = {size} is not allowed: give 32 or more, a multiple of 16."
            )
    return value


class ResizeParameters(ResultParameters):
    """Bin tomograms to a larger voxel by Fourier cropping, with exact headers.

    A STAR table gives a new table with every volume that it lists; a volume gives a volume.
    """

    command: ClassVar[str] = "resize"
    example: ClassVar[str] = "resize tomograms.star --pixel_size 10"

    volumes: Annotated[FilePath, Shown("Basic", positional=True)]
    """STAR table of tomograms, or one volume."""
    pixel_size: Annotated[float, Field(gt=0, le=500), Shown("Basic", "angstrom")] = 10.0
    """Voxel size to reach. It is met as a ratio of small whole numbers to the old one, mostly to a
    thousandth, so that all axes and headers stay exact; the size that was reached is said."""
    output_dir: Annotated[FilePath, Shown("Basic", short="o")] = Path("resized")
    """Folder of the binned volumes and of their table."""
    old_pixel_size: Annotated[
        float | None, Field(gt=0, le=500), Shown("Basic", "angstrom", auto=True)
    ] = None
    """Voxel size of what is read; auto takes that of the table or of the file."""
    tomo_idx: Indices = None
    """Tomograms of the table to bin, by rlnIndex; None or all takes every one."""


class PsfParameters(Parameters):
    """Write what a tilt range measures: the mask in Fourier space, and its point spread."""

    command: ClassVar[str] = "psf"
    example: ClassVar[str] = "psf --size 96 --tilt_min -60 --tilt_max 60"

    output_dir: Annotated[FilePath, Shown("Basic", positional=True, short="o")] = Path("psf")
    """Folder of `wedge.mrc` (1 where measured, zero frequency in the middle) and `psf.mrc`
    (what a point becomes, in the middle; its sum is 1)."""
    size: Annotated[
        tuple[int, int, int],
        BeforeValidator(_cube),
        Shown("Basic", "voxels", form="one whole number, or three z,y,x"),
    ] = (96, 96, 96)
    """Size of both volumes."""
    tilt_min: Angle = -60.0
    """Lowest tilt angle."""
    tilt_max: Angle = 60.0
    """Highest tilt angle."""
    tilt_file: FilePath | None = None
    """File of tilt angles (.tlt, .rawtlt, .aln); it overrides the range, and wide gaps in it
    count as missing."""
    pixel_size: Annotated[float, Field(gt=0, le=500), Shown("Basic", "angstrom")] = 10.0
    """Voxel size that the headers say."""

    _tilts = field_validator("tilt_max")(increasing_tilts)

    @field_validator("size")
    @classmethod
    def _some_voxels(cls, value: tuple[int, int, int]) -> tuple[int, int, int]:
        if min(value) < 8:
            raise ValueError(f"size = {','.join(map(str, value))} is too small: give 8 or more.")
        return value


class _TiltRangeParameters(Parameters):
    """A command that looks at measured frequencies alone, when it is told the tilt range."""

    tilt_min: AngleOrNone = None
    """Lowest tilt angle of the data; give both ends."""
    tilt_max: AngleOrNone = None
    """Highest tilt angle of the data; give both ends."""

    @model_validator(mode="after")
    def _both_ends(self) -> Self:
        low, high = self.tilt_min, self.tilt_max
        if (low is None) != (high is None):
            given, other = ("tilt_min", "tilt_max") if high is None else ("tilt_max", "tilt_min")
            raise ValueError(f"{given} is given without {other}: give both ends of the range.")
        if low is not None and high is not None and low >= high:
            raise ValueError(f"tilt_min = {low:g} must be below tilt_max = {high:g}.")
        return self


class FscParameters(_TiltRangeParameters):
    """Compare two volumes by Fourier shell correlation: curve, picture and resolution."""

    command: ClassVar[str] = "fsc"
    example: ClassVar[str] = "fsc TS_1_EVN.mrc TS_1_ODD.mrc --tilt_min -60 --tilt_max 60"

    first: Annotated[FilePath, Shown("Basic", positional=True)]
    """One volume."""
    second: Annotated[FilePath, Shown("Basic", positional=True)]
    """The other volume, of the same shape."""
    mask: Annotated[FilePath | None, Shown("Basic")] = None
    """Soft mask that both are multiplied with; None softens the volume's borders only."""
    pixel_size: Annotated[
        float | None, Field(gt=0, le=500), Shown("Basic", "angstrom", auto=True)
    ] = None
    """Voxel size; auto takes that of the first file."""
    output_dir: Annotated[FilePath, Shown("Basic", short="o")] = Path("fsc")
    """Folder of `fsc.csv` and `fsc.png`."""


class PowerLawParameters(_TiltRangeParameters):
    """Filter a volume so that its power falls with frequency as a power law, or is flat.

    The weight is w(k) = c (k^-exponent / P(k))^(1/2), with P the mean power of the volume at
    frequency k and c so that the variance stays.
    """

    command: ClassVar[str] = "power_law"
    example: ClassVar[str] = "power_law TS_1.mrc TS_1_white.mrc --exponent 0"

    volume: Annotated[FilePath, Shown("Basic", positional=True)]
    """Volume to filter."""
    output: Annotated[FilePath, Shown("Basic", positional=True, short="o")]
    """Volume to write; its ending chooses the format."""
    exponent: Annotated[float, Field(ge=-10, le=10), Shown("Basic")] = 2.0
    """Power falls as k to minus this; 0 makes the spectrum flat."""
    finest: Annotated[float | None, Field(gt=0), Shown("Basic", "angstrom")] = None
    """Resolution beyond which all is cut, along a soft edge; None cuts nothing."""


class Star2JsonParameters(StarParameters):
    """Write a STAR file, with all its blocks, as JSON."""

    command: ClassVar[str] = "star2json"
    example: ClassVar[str] = "star2json tomograms.star"

    json_file: Annotated[FilePath | None, Shown("Basic", positional=True, short="o", auto=True)] = (
        None
    )
    """JSON file to write; auto takes the table's name with .json."""


class Json2StarParameters(Parameters):
    """Write a STAR file from the JSON of `star2json`."""

    command: ClassVar[str] = "json2star"
    example: ClassVar[str] = "json2star tomograms.json"

    json_file: Annotated[FilePath, Shown("Basic", positional=True)]
    """JSON file to read."""
    star_file: Annotated[FilePath | None, Shown("Basic", positional=True, short="o", auto=True)] = (
        None
    )
    """STAR file to write; auto takes the JSON file's name with .star."""


class CheckParameters(Parameters):
    """Try the machine: versions, devices, and real training steps of networks on each."""

    command: ClassVar[str] = "check"
    example: ClassVar[str] = "check --arch unet-small,unet-medium --cube_size 64,96"

    arch: Annotated[
        tuple[Architecture, ...],
        BeforeValidator(_all_architectures),
        Field(min_length=1),
        Shown("Basic", form=f"some of {', '.join(ARCHITECTURES)}, or all"),
    ] = ("unet-small",)
    """Networks to try."""
    cube_size: Annotated[
        tuple[int, ...],
        BeforeValidator(_list),
        AfterValidator(_cube_sizes),
        Field(min_length=1),
        Shown("Basic", "voxels", form="sizes such as 48 or 64,96; multiples of 16"),
    ] = (48,)
    """Edges of the sub-tomograms to try."""
    gpuID: GpuIds = None
    """GPUs to try, counted among those that the process may see; None tries all of them and the
    processor."""
    batch_size: Annotated[int, Field(ge=1), Shown("Basic")] = 1
    """Sub-tomograms in one step."""
    steps: Annotated[int, Field(ge=1, le=1000)] = 2
    """Training steps that are timed, after one that is not."""
    mixed_precision: bool = True
    """Compute in 16 bits where that is safe, as training does."""
