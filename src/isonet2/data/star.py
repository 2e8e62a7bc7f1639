"""The STAR table of tomograms: typed records out of it, and results back into it."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pandas as pd

from isonet2.data.blocks import cell, indices, read_star, render, replace_block
from isonet2.data.files import atomic_path, locked, make_folder
from isonet2.data.tomograms import RecordReader, Tomogram
from isonet2.errors import InputError

__all__ = ["Tomogram", "TomogramTable", "update", "write_table"]

log = logging.getLogger(__name__)

VOLUME_COLUMNS = (
    "rlnTomoName",
    "rlnMicrographName",
    "rlnTomoReconstructedTomogram",
    "rlnTomoReconstructedTomogramHalf1",
)


@dataclass(frozen=True, slots=True)
class TomogramTable:
    """A STAR file with tomograms.

    Attributes
    ----------
    path
        The file.
    tomograms
        Its rows.
    """

    path: Path
    tomograms: tuple[Tomogram, ...]

    @classmethod
    def read(cls, path: Path | str) -> "TomogramTable":
        """Read the table of this package, of IsoNet 1, or `tomograms.star` of RELION-5.

        Raises
        ------
        InputError
            With all implausible values of the table at once.
        """
        star = read_star(path)
        block = find_table(star.path, star.blocks)
        frame = star.blocks[block]
        if frame.empty:
            raise InputError(f"{star.path}: lists no tomograms; use isonet.py prepare_star")
        reader = RecordReader(star.path, frame)
        tomograms = tuple(reader.rows())
        if reader.problems:
            raise InputError("\n".join(reader.problems))
        for text in reader.assumed:
            log.warning("%s: %s", star.path, text)
        return cls(star.path, tomograms)

    def only(self, tomo_idx: str | None) -> "TomogramTable":
        """Take some of the rows, chosen as `select` does."""
        return TomogramTable(self.path, self.select(tomo_idx))

    def select(
        self, tomo_idx: str | None = None, parameter: str = "tomo_idx"
    ) -> tuple[Tomogram, ...]:
        """Tomograms by their index: "1,3,5-7"; all of them for None or "all".

        Raises
        ------
        InputError
            For an index that the table does not have.
        """
        if tomo_idx is None or tomo_idx.strip().lower() in {"all", "none", ""}:
            return self.tomograms
        known = sorted(tomogram.index for tomogram in self.tomograms)
        chosen: set[int] = set()
        for part in tomo_idx.split(","):
            first, _, last = part.strip().partition("-")
            if not all(end.isdecimal() and len(end) < 10 for end in (first, last or first)):
                raise InputError(
                    f"{parameter} {_short(tomo_idx)}: '{_short(part)}' is no index; write 1,3,5-7 "
                    "or all"
                )
            low, high = int(first), int(last or first)
            found = [index for index in known if low <= index <= high]
            if low > high:
                raise InputError(f"{parameter} {_short(tomo_idx)}: '{part}' runs backwards")
            if len(found) <= high - low:
                raise InputError(
                    f"{parameter} {_short(tomo_idx)}: there is no tomogram "
                    f"{_short(_gaps(found, low, high))} among those to choose from in {self.path} "
                    f"({_short(ranges(known))})"
                )
            chosen.update(found)
        return tuple(tomogram for tomogram in self.tomograms if tomogram.index in chosen)


def ranges(numbers: Iterable[int]) -> str:
    """Rising whole numbers in few words: "1-3, 7"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return _spans(runs)


def _spans(runs: Iterable[Sequence[int]]) -> str:
    return ", ".join(f"{low}-{high}" if high > low else f"{low}" for low, high in runs)


def _gaps(found: Sequence[int], low: int, high: int) -> str:
    """Numbers from `low` to `high` that are not found."""
    edges = [low - 1, *found, high + 1]
    return _spans((a + 1, b - 1) for a, b in pairwise(edges) if b - a > 1)


def _short(text: str, length: int = 60) -> str:
    return text if len(text) <= length else f"{text[:length]}..."


def find_table(path: Path, blocks: Mapping[str, pd.DataFrame]) -> str:
    """Name of the block that lists tomograms."""
    for name in ("global", *blocks):
        if name in blocks and any(column in blocks[name] for column in VOLUME_COLUMNS):
            return name
    raise InputError(
        f"{path}: no block lists tomograms (none has {', '.join(VOLUME_COLUMNS)}); "
        f"make a table with isonet.py prepare_star"
    )


def update(path: Path | str, index: int, values: Mapping[str, object]) -> None:
    """Set cells of one tomogram's row; columns that are missing are added at the end.

    The table is read anew under its lock and replaced whole, so that commands that run at the
    same time keep each other's results. Blocks, columns, their order and all other cells stay.

    Parameters
    ----------
    path
        STAR file.
    index
        The tomogram's index.
    values
        Column names and what to set; None becomes "None". Paths are written so that they are
        found from the table too, which may lie elsewhere than the working folder.
    """
    with locked(path):
        star = read_star(path)
        block = find_table(star.path, star.blocks)
        frame = star.blocks[block].copy()
        rows = indices(star.path, frame)
        if index not in rows:
            raise InputError(f"{path}: there is no tomogram {index} in it any more")
        for column, value in values.items():
            if column not in frame:
                frame[column] = "None"
            told = findable(value, star.path) if isinstance(value, Path) else value
            frame.loc[frame.index[rows.index(index)], column] = cell(told)
        _replace(star.path, replace_block(star, block, frame))


def refuse_unwritable(path: Path) -> None:
    """Raise InputError unless results can be noted in a table: before the work, not after it."""
    final = path.resolve()
    remedy = "results are noted in the table there: work on a copy of it in a folder of your own"
    make_folder(final.parent, remedy)
    with locked(final):
        pass


def rows_of(path: Path) -> tuple[Tomogram, ...]:
    """Tomograms of a table, without a word about what it lacks; none where it cannot be read."""
    try:
        star = read_star(path)
        reader = RecordReader(star.path, star.blocks[find_table(star.path, star.blocks)])
        return tuple(reader.rows())
    except InputError:
        return ()


def findable(path: Path, table: Path) -> Path:
    """A path as it is where the table lies in or below the working folder, else in full."""
    inside = table.absolute().resolve().is_relative_to(Path.cwd().resolve())
    return path if inside else path.absolute()


def write_table(path: Path | str, frame: pd.DataFrame, block: str = "") -> None:
    """Write a new STAR file with one table.

    Parameters
    ----------
    path
        STAR file; one that exists is replaced.
    frame
        Rows and columns; None becomes "None".
    block
        Name of the data block.
    """
    with locked(path):
        _replace(Path(path), render({block: frame.astype(object).map(cell)}))


def _replace(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        if path.exists():
            temporary.chmod(path.stat().st_mode)
