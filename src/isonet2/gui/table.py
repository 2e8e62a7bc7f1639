"""The STAR table as it is edited in the page: cell by cell, checked, each state kept."""

import re
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from isonet2.data.blocks import cell, indices, is_missing, read_star, replace_block
from isonet2.data.files import atomic_path, locked
from isonet2.data.run_folder import HIDDEN
from isonet2.data.star import find_table
from isonet2.data.tomograms import RecordReader, resolve
from isonet2.errors import InputError
from isonet2.gui.project import Project

UNITS = {
    "rlnPixelSize": "Å",
    "rlnDefocus": "Å",
    "rlnVoltage": "kV",
    "rlnSphericalAberration": "mm",
    "rlnTiltMin": "°",
    "rlnTiltMax": "°",
    "rlnTiltStep": "°",
    "rlnPhaseShift": "°",
    "rlnTomoTiltSeriesPixelSize": "Å",
}
"""Units to show in the heading of a column."""
NAMES = {
    "rlnTomoReconstructedTomogram": "Tomogram",
    "rlnTomoReconstructedTomogramHalf1": "Half1 (even)",
    "rlnTomoReconstructedTomogramHalf2": "Half2 (odd)",
    "rlnTomoTiltSeriesPixelSize": "TiltSeriesPixelSize",
}
"""Shorter headings of columns with long names."""
OFFERED = ("rlnDefocus", "rlnMaskName", "rlnNumberSubtomo")
"""Columns to fill in where the table does not have them yet."""
FIXED = frozenset({"rlnIndex"})
KEPT = 100
_MICROMETRES = (0.2, 12.0)


@dataclass(frozen=True, slots=True)
class Edit:
    """A cell that a person changed.

    Attributes
    ----------
    index
        The tomogram's.
    column
        Name in the file.
    before
        What the person saw in it; None where the table had no such column.
    after
        What it shall be.
    """

    index: int
    column: str
    before: str | None
    after: str

    def undone(self) -> "Edit":
        """The edit that takes this one back."""
        return Edit(self.index, self.column, self.after, self.before or "None")


@dataclass(frozen=True, slots=True)
class Table:
    """What the page shows of a STAR file.

    Attributes
    ----------
    path
        The file.
    state
        Changes whenever the file does.
    columns
        Names in the file, those of `OFFERED` that it lacks last.
    lacking
        Those that it lacks.
    rows
        Cells as they stand in the file, by column; None for nothing.
    indices
        Of the tomograms, one for each row.
    problems
        What is wrong with the values.
    missing
        Cells that name a file that is not there: index and column.
    others
        Names of the file's other blocks.
    """

    path: Path
    state: str
    columns: tuple[str, ...]
    lacking: frozenset[str]
    rows: tuple[dict[str, str], ...]
    indices: tuple[int, ...]
    problems: tuple[str, ...]
    missing: frozenset[tuple[int, str]]
    others: tuple[str, ...]


def state_of(path: Path) -> str:
    """A word that changes whenever the file does; empty where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_mtime_ns}-{found.st_size}-{found.st_ino}"


def load(path: Path) -> Table:
    """Read a table to be shown.

    Raises
    ------
    InputError
        When it is no table of tomograms. Values that are wrong are in `problems` instead, so that
        they can be mended in the page.
    """
    state = state_of(path)
    star = read_star(path)
    block = find_table(path, star.blocks)
    frame = star.blocks[block]
    columns = [str(column) for column in frame.columns]
    lacking = [column for column in OFFERED if column not in columns]
    rows = [{str(key): str(text) for key, text in row.items()} for row in frame.to_dict("records")]
    others = tuple(f"data_{name}" for name in star.blocks if name != block)
    return Table(
        path,
        state,
        (*columns, *lacking),
        frozenset(lacking),
        tuple(rows),
        tuple(indices(path, frame)),
        tuple(_problems(path, frame)),
        frozenset(_missing(path, frame)),
        others,
    )


def edit(project: Project, path: Path, edits: Sequence[Edit]) -> Table:
    """Set cells, keep what was there before, and give the table as it is now.

    Raises
    ------
    InputError
        When a cell is not any more what the person saw, or a value is implausible; the table
        stays as it is.
    """
    with locked(path):
        star = read_star(path)
        block = find_table(path, star.blocks)
        frame = star.blocks[block].copy()
        before = set(_problems(path, frame))
        rows = indices(path, frame)
        for one in edits:
            _set(path, frame, rows, one)
        new = [text for text in _problems(path, frame) if text not in before]
        if new:
            raise InputError("\n".join(new))
        _keep(project, path)
        text = replace_block(star, block, frame)
        with atomic_path(path) as beside:
            beside.write_text(text, encoding="utf-8")
            beside.chmod(path.stat().st_mode)
    return load(path)


def _set(path: Path, frame: pd.DataFrame, rows: Sequence[int], one: Edit) -> None:
    if one.column in FIXED:
        raise InputError(f"{one.column} numbers the rows, and stays as it is.")
    if one.index not in rows:
        raise InputError(f"{path}: there is no tomogram {one.index} in it any more.")
    at = frame.index[rows.index(one.index)]
    now = str(frame.loc[at, one.column]) if one.column in frame else None
    if (now or "None") != (one.before or "None"):
        raise InputError(
            f"{path}: {one.column} of tomogram {one.index} was changed to {now} meanwhile; "
            "look at it, then change it again."
        )
    if now is None:
        frame[one.column] = "None"
    text = one.after.strip()
    frame.loc[at, one.column] = "None" if is_missing(text) else cell(text)


def _problems(path: Path, frame: pd.DataFrame) -> list[str]:
    """What the typed records say against the values."""
    reader = RecordReader(path, frame)
    try:
        reader.rows()
    except InputError as error:
        return [*reader.problems, str(error)]
    return reader.problems


def _missing(path: Path, frame: pd.DataFrame) -> Iterator[tuple[int, str]]:
    """Cells that name a file that is not there."""
    names = ("rlnTomoName",) if RecordReader(path, frame).relion else ()
    for column in map(str, frame.columns):
        if is_path(column) and column not in names:
            for index, text in zip(indices(path, frame), map(str, frame[column]), strict=True):
                if not is_missing(text) and not _is_there(text, path):
                    yield index, column


def _is_there(text: str, table: Path) -> bool:
    try:
        return resolve(text, table).exists()
    except (InputError, OSError):
        return False


def _keep(project: Project, path: Path) -> None:
    """Keep the table as it was, so that every save can be taken back by hand."""
    folder = project.folder / HIDDEN / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S") + f"-{time.time_ns() // 1000 % 1_000_000:06d}"
    shutil.copy2(path, folder / f"{path.stem}-{stamp}{path.suffix}")
    for old in sorted(folder.glob(f"{path.stem}-*{path.suffix}"))[:-KEPT]:
        old.unlink(missing_ok=True)


def split_values(text: str) -> list[str]:
    """Values that a person pasted for a column: one a line, or with commas or blanks between."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if len(lines) > 1:
        return lines
    return [part for part in re.split(r"[\s,;]+", text.strip("[]() \n\t")) if part]


def column_edits(table: Table, column: str, values: Sequence[str]) -> list[Edit]:
    """Edits that fill a column: one value for all rows, or one for each in their order.

    Raises
    ------
    InputError
        When there are neither one nor as many values as rows.
    """
    count = len(table.rows)
    if len(values) == 1:
        values = [*values] * count
    if len(values) != count:
        raise InputError(f"{len(values)} values for {count} tomograms: give one, or {count}.")
    return [
        Edit(index, column, row.get(column), value)
        for index, row, value in zip(table.indices, table.rows, values, strict=True)
        if (row.get(column) or "None") != value
    ]


def in_angstrom(column: str, values: Iterable[str]) -> list[str] | None:
    """Values of defocus that seem to be micrometres, in angstrom; None where they do not."""
    if column != "rlnDefocus":
        return None
    texts = [*values]
    try:
        numbers = [float(text) for text in texts if not is_missing(text)]
    except ValueError:
        return None
    low, high = _MICROMETRES
    if not numbers or not all(low <= abs(number) <= high for number in numbers):
        return None
    return [text if is_missing(text) else f"{abs(float(text)) * 1e4:.10g}" for text in texts]


def heading(column: str) -> str:
    """A column's name for people: without the prefix that all have, and with its unit."""
    unit = UNITS.get(column)
    return NAMES.get(column, column.removeprefix("rln")) + (f" ({unit})" if unit else "")


def is_path(column: str) -> bool:
    """Whether a column holds names of files."""
    return column.endswith(
        ("TomoName", "MaskName", "File", "Tomogram", "MaskBoundary", "GroundTruth")
    ) or ("TomogramHalf" in column)
