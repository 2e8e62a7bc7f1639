"""Records of tomograms, made from the cells of a STAR table and checked."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from isonet2.data.blocks import indices, is_missing
from isonet2.data.defoci import implausible, read_defocus
from isonet2.data.formats import BY_SUFFIX
from isonet2.data.names import tomogram_name
from isonet2.data.series import OtherContent
from isonet2.data.tilts import read_tilts
from isonet2.errors import InputError, few

SUBTOMOGRAMS = 3000
SMALLEST_ABERRATION = 0.05
RELION_COLUMNS = frozenset(
    {"rlnTomoTiltSeriesPixelSize", "rlnTomoTiltSeriesStarFile", "rlnTomoReconstructedTomogram"}
)
MAKERS = {
    "rlnDeconvTomoName": "isonet.py deconv",
    "rlnMaskName": "isonet.py make_mask",
    "rlnDenoisedTomoName": "isonet.py denoise and isonet.py predict",
    "rlnCorrectedTomoName": "isonet.py refine and isonet.py predict",
    "rlnTomoName": "isonet.py prepare_star with --full or --create_average True",
}
ASSUMED = {
    "rlnVoltage": (300.0, "300 kV"),
    "rlnSphericalAberration": (2.7, "2.7 mm"),
    "rlnAmplitudeContrast": (0.1, "0.1"),
}


@dataclass(frozen=True, slots=True)
class Tomogram:
    """One row of the table.

    Paths are None where the table says "None"; they are not opened here.

    Attributes
    ----------
    index
        rlnIndex, or the row's number from 1.
    name
        Unique in its table and fit for the names of results.
    full, half1, half2, deconvolved, mask, denoised, corrected
        MRC files: the whole tomogram or average, its two halves, and results.
    box_file
        Coordinates of subtomograms.
    ground_truth
        The noise-free volume of simulated data.
    mask_boundary
        IMOD model that bounds the mask.
    pixel_size
        Angstrom; None when the table does not say (then the volume's header counts).
    defocus
        Angstrom, positive is underfocus; None when it is not known.
    voltage, spherical_aberration, amplitude_contrast
        kV, mm, fraction.
    phase_shift
        Of a phase plate, degrees.
    tilt_min, tilt_max
        Degrees.
    tilts
        All tilt angles in degrees, sorted; None when only the two ends are known.
    number_subtomos
        Cubes to draw per epoch.
    table
        The STAR file.
    cells
        All columns of the row as text.
    """

    index: int
    name: str
    full: Path | None
    half1: Path | None
    half2: Path | None
    deconvolved: Path | None
    mask: Path | None
    denoised: Path | None
    corrected: Path | None
    box_file: Path | None
    ground_truth: Path | None
    mask_boundary: Path | None
    pixel_size: float | None
    defocus: float | None
    voltage: float
    spherical_aberration: float
    amplitude_contrast: float
    phase_shift: float
    tilt_min: float
    tilt_max: float
    tilts: tuple[float, ...] | None
    number_subtomos: int
    table: Path
    cells: Mapping[str, str] = field(repr=False, compare=False)

    def column(self, name: str) -> Path:
        """Path in a column, by the column's name in the STAR file.

        Raises
        ------
        InputError
            When the table has no such column or the row has no file in it.
        """
        if name == "rlnTomoName" and self.full is not None:
            return self.full
        maker = f"; run {MAKERS[name]} first" if name in MAKERS else ""
        if name not in self.cells:
            raise InputError(f"{self.table}: there is no column {name}{maker}{self._volumes()}")
        if is_missing(self.cells[name]):
            raise InputError(f"{self.table}: tomogram {self.index} has no {name}{maker}")
        if name == "rlnTomoName":
            raise InputError(
                f"{self.table}: tomogram {self.index} has no full tomogram; fill in "
                f"rlnTomoReconstructedTomogram"
            )
        return resolve(self.cells[name], self.table)

    def _volumes(self) -> str:
        """The columns of this row that name volumes, in brackets; empty where none does."""
        named = [
            name for name, text in self.cells.items() if Path(text).suffix.lower() in BY_SUFFIX
        ]
        return f" (volumes are named in {few(named)})" if named else ""


def resolve(text: str, table: Path) -> Path:
    """File that a table names: from the working folder, or from the table's or one above it.

    Raises
    ------
    InputError
        When the name means one file here and another beside the table.
    """
    path = Path(text).expanduser()
    above = (folder / path for folder in table.absolute().parents)
    found = [place for place in above if place.exists()]
    if not path.exists():
        return found[0] if found else path
    if found and not path.samefile(found[0]):
        raise InputError(
            f"{table}: {text} is one file here and another in {found[0].parent}; work in the "
            f"table's folder, or write full paths into it"
        )
    return path


class RecordReader:
    """Turns the rows of a table into records.

    Attributes
    ----------
    problems
        What is wrong with the values, one sentence each.
    assumed
        What had to be assumed, as keys in order.
    """

    def __init__(self, path: Path, frame: pd.DataFrame) -> None:
        self.path = path
        self.frame = frame
        self.problems: list[str] = []
        self.assumed: dict[str, None] = {}
        self.relion = bool(RELION_COLUMNS & set(frame.columns))
        self.cells: dict[str, str] = {}
        self.index = 0

    def rows(self) -> list[Tomogram]:
        """All records."""
        found: list[Tomogram] = []
        names: set[str] = set()
        records = self.frame.to_dict("records")
        for index, cells in zip(indices(self.path, self.frame), records, strict=True):
            self.index = index
            self.cells = {str(column): str(text) for column, text in cells.items()}
            record = self.row(names)
            names.add(record.name)
            found.append(record)
        return found

    def row(self, taken: set[str]) -> Tomogram:
        """The current row."""
        full_column = "rlnTomoName" if "rlnTomoName" in self.cells else "rlnMicrographName"
        full = self.file("rlnTomoReconstructedTomogram" if self.relion else full_column)
        half1 = self.file("rlnTomoReconstructedTomogramHalf1")
        half2 = self.file("rlnTomoReconstructedTomogramHalf2")
        self.check_pair()
        name = self.name(full or half1 or half2)
        while name in taken:
            name = f"{name}_{self.index}"
        tilts, low, high = self.tilts()
        phase_shift = self.number("rlnPhaseShift", 0.0, (-360, 360))
        return Tomogram(
            index=self.index,
            name=name,
            full=full,
            half1=half1,
            half2=half2,
            deconvolved=self.file("rlnDeconvTomoName"),
            mask=self.file("rlnMaskName"),
            denoised=self.file("rlnDenoisedTomoName"),
            corrected=self.file("rlnCorrectedTomoName"),
            box_file=self.file("rlnBoxFile"),
            ground_truth=self.file("rlnGroundTruth"),
            mask_boundary=self.file("rlnMaskBoundary"),
            pixel_size=self.pixel_size(),
            defocus=self.defocus(phase_shift),
            voltage=self.optics("rlnVoltage", (60, 400), 1e-3),
            spherical_aberration=self.aberration(),
            amplitude_contrast=self.optics("rlnAmplitudeContrast", (0, 1), 1e-2),
            phase_shift=phase_shift,
            tilt_min=low,
            tilt_max=high,
            tilts=tilts,
            number_subtomos=self.number_subtomos(),
            table=self.path,
            cells=self.cells,
        )

    def check_pair(self) -> None:
        """A half without the other would be left out of training in silence."""
        halves = [f"rlnTomoReconstructedTomogramHalf{number}" for number in (1, 2)]
        given = [column for column in halves if self.text(column) is not None]
        if len(given) == 1:
            (other,) = set(halves) - set(given)
            self.complain(given[0], f"stands without {other}; name both halves, or None for both")

    def complain(self, column: str, text: str) -> None:
        """Note something wrong with a cell."""
        value = self.cells.get(column, "")
        self.problems.append(f"{self.path}, tomogram {self.index}: {column} {value} {text}")

    def text(self, column: str) -> str | None:
        """Cell, or None where it says nothing."""
        text = self.cells.get(column, "")
        return None if is_missing(text) else text

    def file(self, column: str) -> Path | None:
        """Path in a cell."""
        text = self.text(column)
        return None if text is None else resolve(text, self.path)

    def maybe(self, column: str) -> float | None:
        """Number in a cell."""
        text = self.text(column)
        try:
            number = None if text is None else float(text)
        except ValueError:
            self.complain(column, "is not a number; write it with a decimal point")
            return None
        if number is not None and not math.isfinite(number):
            self.complain(column, "is not a finite number; correct it or write None")
            return None
        return number

    def number(
        self, column: str, default: float, limits: tuple[float, float], factor: float = 0.0
    ) -> float:
        """Number within limits; a value that fits them times `factor` is suggested."""
        value = self.maybe(column)
        if value is None:
            return default
        if not limits[0] <= value <= limits[1]:
            guess = value * factor
            near = factor and limits[0] < guess <= limits[1]
            hint = f"; did you mean {guess:g}?" if near else ""
            self.complain(column, f"lies outside {limits[0]:g} to {limits[1]:g}{hint}")
        return value

    def optics(self, column: str, limits: tuple[float, float], factor: float) -> float:
        """Number of the microscope, or the assumed one, which is said aloud."""
        default, words = ASSUMED[column]
        if self.text(column) is None:
            self.assumed[f"no {column}, assuming {words}"] = None
        return self.number(column, default, limits, factor)

    def aberration(self) -> float:
        """Spherical aberration in mm; 0 with a corrector, and never so little as metres make it."""
        value = self.optics("rlnSphericalAberration", (0, 10), 1e-3)
        if 0 < value < SMALLEST_ABERRATION:
            self.complain("rlnSphericalAberration", f"is in mm; did you mean {1000 * value:g}?")
        return value

    def name(self, path: Path | None) -> str:
        """Name of the tomogram: RELION's own, or that of its file."""
        if self.relion or path is None:
            given = self.text("rlnTomoName")
            if given is not None:
                return given.replace("/", "_")
        return tomogram_name(path) if path is not None else f"tomogram_{self.index}"

    def pixel_size(self) -> float | None:
        """Pixel size of the tomogram; in RELION's tables that of the tilt series times binning."""
        column = "rlnPixelSize"
        value = self.maybe(column)
        if value is None and self.text("rlnTomoTomogramBinning") is not None:
            column = "rlnTomoTiltSeriesPixelSize"
            size, binning = self.maybe(column), self.maybe("rlnTomoTomogramBinning")
            value = None if size is None or binning is None else round(size * binning, 5)
        if value is None:
            self.assumed["no rlnPixelSize, taking the sizes of voxels in the headers"] = None
        if value is not None and value <= 0:
            self.complain(column, "must be above 0; write the size of a voxel in angstrom")
        return value

    def defocus(self, phase_shift: float) -> float | None:
        """Defocus in angstrom; 0 without a phase plate means unknown."""
        value = self.maybe("rlnDefocus")
        if value is None:
            return self.fitted_defocus()
        if value == 0:
            return value if phase_shift else None
        problem = implausible(value)
        if problem is not None:
            self.complain("rlnDefocus", problem)
        return value

    def fitted_defocus(self) -> float | None:
        """Defocus that RELION-5's tilt series says, when it can be found and has one."""
        series = self.tilt_series()
        try:
            return None if series is None else read_defocus(series)
        except OtherContent:
            return None
        except InputError as error:
            self.problems.append(f"{self.path}, tomogram {self.index}: {error}")
            return None

    def tilt_series(self) -> Path | None:
        """RELION-5's table of the tilt series, when it can be found."""
        path = self.file("rlnTomoTiltSeriesStarFile")
        if path is not None and not path.is_file():
            self.assumed[f"{path} (rlnTomoTiltSeriesStarFile) is not there"] = None
            return None
        return path

    def tilts(self) -> tuple[tuple[float, ...] | None, float, float]:
        """All tilts, when a file with them is named, and the two ends.

        A range that the table itself holds counts more than RELION-5's tilt series.
        """
        path = self.file("rlnTiltFile")
        try:
            series = path or self.tilt_series()
            tilts = None if series is None else read_tilts(series)
        except InputError as error:
            self.problems.append(f"{self.path}, tomogram {self.index}: {error}")
            tilts = None
        ends = (tilts[0], tilts[-1]) if tilts else (-60.0, 60.0)
        low = self.number("rlnTiltMin", ends[0], (-90, 90))
        high = self.number("rlnTiltMax", ends[1], (-90, 90))
        if tilts is None and {self.text("rlnTiltMin"), self.text("rlnTiltMax")} & {None}:
            self.assumed["no tilt range, assuming -60 to 60 degrees"] = None
        if low >= high:
            self.complain("rlnTiltMin", f"must be below rlnTiltMax {high:g}; correct the range")
        elif path is not None and max(abs(low - ends[0]), abs(high - ends[1])) > 0.5:
            self.complain(
                "rlnTiltMin",
                f"to {high:g} differs from {path.name}, which goes from {ends[0]:g} to "
                f"{ends[1]:g}; correct the range, or write None for rlnTiltFile",
            )
        elif max(abs(low - ends[0]), abs(high - ends[1])) > 0.5:
            tilts = None
        return tilts or self.even_tilts(low, high), low, high

    def even_tilts(self, low: float, high: float) -> tuple[float, ...] | None:
        """Tilts from end to end at about rlnTiltStep, when that is given."""
        step = self.maybe("rlnTiltStep")
        if step is None or low >= high:
            return None
        if not 0 < step <= high - low:
            self.complain("rlnTiltStep", "is no step within the tilt range; correct it")
            return None
        count = round((high - low) / step)
        return tuple(low + (high - low) * number / count for number in range(count + 1))

    def number_subtomos(self) -> int:
        """Cubes to draw; an equal share of 3000 when the table does not say."""
        value = self.maybe("rlnNumberSubtomo")
        if value is None:
            share = math.ceil(SUBTOMOGRAMS / len(self.frame))
            if "rlnNumberSubtomo" in self.cells:
                self.assumed[f"a row without rlnNumberSubtomo, assuming {share}"] = None
            return share
        if value < 0 or value != round(value):
            self.complain("rlnNumberSubtomo", "must be a whole number, 0 or more")
        return round(value)
