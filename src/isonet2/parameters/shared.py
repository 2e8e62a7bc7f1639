"""What several commands share: value types, with the sentences that refuse bad ones, and bases."""

import re
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo
from pydantic.fields import FieldInfo

from isonet2.parameters.base import Parameters, Shown, members, shown
from isonet2.parameters.words import fold, in_words, parted

ARCHITECTURES = (
    "unet-small",
    "unet-medium",
    "unet-large",
    "scunet-small",
    "scunet-medium",
    "scunet-large",
    "scunet-fast",
    "HSFormer",
    "vtunet",
)
"""Names of the networks that can be trained."""

_INDICES = re.compile(r"\d{1,9}(-\d{1,9})?(,\d{1,9}(-\d{1,9})?)*")
_UUID = re.compile(r"gpu-[0-9a-f]{4}[0-9a-f-]*")
_MICROMETRE, _NANOMETRE = 1e4, 10.0
MOST_EPOCHS = 100_000
"""Epochs of a training; more are a slip, as no run of any size takes so many."""
SMALLEST_CS = 0.05
"""Spherical aberration in mm below which it is given in another unit; a corrector makes it 0."""
_DEFOCUS = (2_000.0, 120_000.0)


def _numbers(value: Any) -> Any:
    """Split "[1,2]", "1,2" or "1 2" into its members; one number stays one."""
    if not isinstance(value, str):
        return value
    parts = parted(value)
    return parts[0] if len(parts) == 1 and "[" not in value else parts


def _many_numbers(value: Any) -> Any:
    """Split like `_numbers`, and make one number a list of one."""
    parts = _numbers(value)
    return parts if parts is None or isinstance(parts, list | tuple) else (parts,)


def _words(value: Any) -> Any:
    """Write a list, as YAML or Python give it, or "[0, 1]", or "0 1", as words with commas."""
    if isinstance(value, list | tuple):
        value = ",".join(str(member) for member in value)
    if not isinstance(value, str):
        return value
    return ",".join(parted(re.sub(r"(?<=\d)\s+-\s+(?=\d)", "-", value)))


def _gpu_list(value: str | None, info: ValidationInfo) -> str | None:
    if value is None or value.casefold() == "cpu":
        return value and value.casefold()
    ids = [part.casefold() for part in value.split(",")]
    if not all(part.isdecimal() or _UUID.fullmatch(part) for part in ids):
        raise ValueError(
            f"{info.field_name} = {value} is not allowed: give GPU numbers such as 0 or 0,1, "
            "names such as GPU-8932f937, or cpu, or leave it out."
        )
    if len({int(part) if part.isdecimal() else part for part in ids}) < len(ids):
        raise ValueError(f"{info.field_name} = {value} names one GPU twice.")
    return value


def _index_list(value: str | None, info: ValidationInfo) -> str | None:
    if value is None or value.casefold() == "all":
        return None
    if not _INDICES.fullmatch(value):
        raise ValueError(
            f"{info.field_name} = {value} is not allowed: give rlnIndex numbers and ranges "
            "such as 1,3,5-7, or all."
        )
    for first, last in re.findall(r"(\d+)-(\d+)", value):
        if int(first) > int(last):
            raise ValueError(f"{info.field_name} = {value} has a range that runs backwards.")
    return value


def _column(value: str) -> str:
    return value.removeprefix("_")


def _architecture(value: str, info: ValidationInfo) -> str:
    for name in ARCHITECTURES:
        if fold(name) == fold(value):
            return name
    if Path(value).suffix.lower() in (".yaml", ".yml"):
        return value
    raise ValueError(
        f"{info.field_name} = {value} is not known: give {in_words(ARCHITECTURES)}, "
        "or the path of a YAML file that defines a network."
    )


def _defocus(value: float | tuple[float, ...] | None, info: ValidationInfo) -> Any:
    for number in value if isinstance(value, tuple) else (value,):
        if number is not None and not _DEFOCUS[0] <= number <= _DEFOCUS[1]:
            raise ValueError(f"{info.field_name} = {number:g} is not allowed: {_why(number)}")
    return value


def _why(defocus: float) -> str:
    """What is wrong with a defocus outside the limits, and what may have been meant."""
    low, high = _DEFOCUS
    for factor, unit in ((1.0, ""), (_MICROMETRE, "micrometres"), (_NANOMETRE, "nanometres")):
        if low <= abs(defocus) * factor <= high:
            wrong = " and ".join(
                part
                for part in ("of the other sign" * (defocus < 0), f"in {unit}" * bool(unit))
                if part
            )
            return (
                f"it seems to be {wrong}; defocus is in angstrom, positive for underfocus: "
                f"did you mean {abs(defocus) * factor:.0f} angstrom?"
            )
    return f"defocus is in angstrom, {low:.0f} to {high:.0f}; leave it out where it is unknown."


def _cs(value: float) -> float:
    if 0 < value < SMALLEST_CS:
        raise ValueError(
            f"cs = {value:g} is not allowed: it is in mm; did you mean {1000 * value:g}?"
        )
    return value


FilePath = Annotated[Path, AfterValidator(Path.expanduser)]
"""A path; `~` stands for the home folder. Whether it exists is seen where it is opened."""

GpuIds = Annotated[
    str | None,
    BeforeValidator(_words),
    AfterValidator(_gpu_list),
    Shown("Basic", form="GPU numbers such as 0 or 0,1, or their UUIDs, or cpu"),
]
"""GPU numbers among those that the process may see, their UUIDs, or "cpu"."""
Indices = Annotated[
    str | None,
    BeforeValidator(_words),
    AfterValidator(_index_list),
    Shown("Basic", form="rlnIndex numbers such as 1,3,5-7, or all"),
]
"""Which tomograms, by rlnIndex; None is all of them."""
Column = Annotated[str, Field(min_length=1), AfterValidator(_column)]
Architecture = Annotated[
    str,
    AfterValidator(_architecture),
    Shown("Basic", form=f"{', '.join(ARCHITECTURES)}, or a YAML file"),
]
Numbers = Annotated[float | tuple[float, ...], BeforeValidator(_numbers)]
Epochs = Annotated[tuple[int, ...] | None, BeforeValidator(_many_numbers)]
JobNumbers = Annotated[
    tuple[Annotated[int, Field(ge=1)], ...] | None,
    BeforeValidator(_many_numbers),
    Shown("Basic", form="numbers of jobs such as 3 or 3,5"),
]
VolumeShape = Annotated[
    tuple[int, int, int],
    BeforeValidator(_numbers),
    Shown("Basic", "voxels", form="three whole numbers z,y,x"),
]
Defocus = Annotated[
    float | tuple[float, ...] | None,
    BeforeValidator(_numbers),
    AfterValidator(_defocus),
    Shown("Basic", "angstrom", form="one number, or one per tomogram such as [39057,14817]"),
]
Fraction = Annotated[float, Field(ge=0, le=1)]
Processors = Annotated[int | None, Field(ge=1), Shown(auto=True)]


def takes_paths(field: FieldInfo) -> bool:
    """Whether `field` takes several paths, in which blanks and commas mean nothing."""
    tuples = (member for member in members(field.annotation) if get_origin(member) is tuple)
    return any(Path in members(get_args(one)[0]) for one in tuples)


def takes_list(field: FieldInfo) -> bool:
    """Whether a value of `field` may be a list of numbers or words."""
    by_words = any(isinstance(m, BeforeValidator) and m.func is _words for m in field.metadata)
    if shown(field).rest or takes_paths(field):
        return False
    return by_words or any(get_origin(member) is tuple for member in members(field.annotation))


class StarParameters(Parameters):
    """A command that works on a table of tomograms."""

    star_file: Annotated[FilePath, Shown("Basic", positional=True)]
    """STAR table of the tomograms, as `prepare_star` or RELION 5 writes it."""


class OpticsParameters(Parameters):
    """A command that is told about the microscope."""

    voltage: Annotated[float, Field(ge=60, le=400), Shown("Basic", "kV")] = 300.0
    """Acceleration voltage."""
    cs: Annotated[float, Field(ge=0, le=10), AfterValidator(_cs), Shown("Basic", "mm")] = 2.7
    """Spherical aberration."""
    ac: Annotated[Fraction, Shown("Basic")] = 0.1
    """Amplitude contrast."""


def _cluster(value: str | None, info: ValidationInfo) -> str | None:
    if value is None or value.casefold() == "local":
        return value and "local"
    if Path(value).suffix.lower() in (".yaml", ".yml"):
        if not Path(value).expanduser().is_file():
            raise ValueError(f"{info.field_name} = {value}: there is no such file.")
        return str(Path(value).expanduser())
    if re.fullmatch(r"(tcp|tls)://[\w.\[\]:-]+:\d+", value):
        return value
    raise ValueError(
        f"{info.field_name} = {value} is not allowed: give local, the address of a Dask scheduler "
        "such as tls://node1:8786, or a YAML file that describes jobs of a cluster."
    )


class SpreadParameters(Parameters):
    """A command that takes one tomogram after the other, or several at the same time."""

    cluster: Annotated[
        str | None,
        AfterValidator(_cluster),
        Shown("Basic", form="local, an address such as tls://node1:8786, or a YAML file"),
    ] = None
    """Work on several tomograms at the same time: local takes a process for each GPU, or for each
    share of the cores; an address takes the workers of a Dask scheduler that runs; a YAML file
    starts jobs on a cluster. None takes one tomogram after the other here."""


class ResultParameters(SpreadParameters):
    """A command whose results, of the same files and parameters, need not be made again."""

    overwrite: bool = False
    """Make again what is there already, of the same files with the same parameters."""
