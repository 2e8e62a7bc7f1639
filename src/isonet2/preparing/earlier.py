"""What an earlier table of the same name knows of tomograms that are unchanged."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from isonet2.data.blocks import cell, read_star
from isonet2.data.inputs import FULL
from isonet2.data.star import find_table
from isonet2.errors import InputError, few

log = logging.getLogger(__name__)

HALVES = ("rlnTomoReconstructedTomogramHalf1", "rlnTomoReconstructedTomogramHalf2")
MADE_ANEW = ("rlnBoxFile", "rlnTiltFile", "rlnTiltStep", "rlnDefocus", "rlnPhaseShift")
"""Columns that say how tomograms were recorded, which each call says anew."""
NOTHING = "None"


def keep_results(path: Path, table: pd.DataFrame, names: Sequence[str]) -> None:
    """Fill the empty cells of a new table from the one that it replaces, where there is one.

    Masks, results and columns that others added are kept of rows whose tomograms are the same
    files, and not written since.

    Parameters
    ----------
    path
        The table.
    table
        The new table; changed in place.
    names
        Of its tomograms.
    """
    earlier = _rows(path)
    if earlier is None:
        return
    written = path.stat().st_mtime_ns
    kept: dict[str, list[str]] = {}
    stale: list[str] = []
    for place, name in zip(table.index, names, strict=True):
        new = {column: cell(value) for column, value in table.loc[place].items()}
        old = next((row for row in earlier if _same(row, new)), None)
        found = {} if old is None else _missing(old, new)
        if found and any(_changed(new.get(column), written) for column in (FULL, *HALVES)):
            stale.append(name)
            continue
        for column, value in found.items():
            if column not in table:
                table[column] = pd.Series([None] * len(table), table.index, dtype=object)
            table.loc[place, column] = value
            kept.setdefault(column, []).append(name)
    if kept:
        told = ", ".join(f"{column} ({few(of)})" for column, of in kept.items())
        log.info("kept of the earlier %s: %s", path, told)
    if stale:
        log.warning(
            "%s: written after the earlier %s, whose masks and results are not kept of them",
            few(stale), path,
        )  # fmt: skip


def _rows(path: Path) -> list[dict[str, str]] | None:
    """Rows of a table that is there and can be read."""
    if not path.is_file():
        return None
    try:
        star = read_star(path)
        frame = star.blocks[find_table(star.path, star.blocks)]
    except InputError:
        return None
    return [
        {str(column): str(value) for column, value in row.items()} for _, row in frame.iterrows()
    ]


def _same(old: dict[str, str], new: dict[str, str]) -> bool:
    """Whether two rows are of one tomogram; a full one may have come to its halves."""
    if any(old.get(column, NOTHING) != new[column] for column in HALVES):
        return False
    full = old.get(FULL, NOTHING)
    return full == new[FULL] or (full == NOTHING and new[HALVES[0]] != NOTHING)


def _missing(old: dict[str, str], new: dict[str, str]) -> dict[str, str]:
    """Cells of an old row that the new one leaves empty."""
    return {
        column: value
        for column, value in old.items()
        if column not in MADE_ANEW and value != NOTHING and new.get(column, NOTHING) == NOTHING
    }


def _changed(path: str | None, since: int) -> bool:
    """Whether a file was written after a time."""
    if path is None or path == NOTHING or not Path(path).is_file():
        return False
    return Path(path).stat().st_mtime_ns > since
