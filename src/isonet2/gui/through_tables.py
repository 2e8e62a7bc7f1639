"""Files that a job read because a table named them, by the table that was kept with the job."""

from collections.abc import Mapping
from functools import lru_cache
from os.path import normpath
from pathlib import Path
from typing import Any

from isonet2.data.blocks import is_missing, read_star
from isonet2.data.inputs import DECONVOLVED, FULL
from isonet2.data.run_folder import TABLE
from isonet2.data.star import find_table
from isonet2.errors import InputError
from isonet2.jobs import Job
from isonet2.jobs.methods import table_of
from isonet2.parameters.commands import COMMANDS

HALVES = tuple(f"rlnTomoReconstructedTomogramHalf{half}" for half in (1, 2))
MASK = "rlnMaskName"
_OF_HALVES = frozenset({"denoise", "refine", "predict", "validate"})
"""Commands that read halves."""


def columns_read(job: Job) -> tuple[str, ...]:
    """Columns of its table whose files a job reads, as far as its parameters tell.

    Where no column is chosen, a network decides between halves and full tomograms; both count.
    """
    if job.kind not in COMMANDS:
        return ()
    fields = COMMANDS[job.kind].model_fields
    told: Mapping[str, Any] = {
        name: job.parameters.get(name, fields[name].default) for name in fields
    }
    column = told.get("input_column")
    if column is not None:
        found = [str(column)]
    elif "input_column" in told and told.get("method") != "isonet2-n2n":
        found = [*HALVES, DECONVOLVED, FULL]
    else:
        found = [*HALVES] if job.kind in _OF_HALVES else []
    if told.get("with_mask") or told.get("mask_weighted_loss"):
        found.append(MASK)
    return tuple(found)


def read_through(job: Job) -> frozenset[Path]:
    """Paths of the files in these columns; none where no table was kept."""
    columns, kept, table = columns_read(job), job.folder / TABLE, table_of(job)
    if not columns or table is None:
        return frozenset()
    try:
        changed = kept.stat().st_mtime_ns
    except OSError:
        return frozenset()
    return _paths(kept, changed, columns, (job.project, table.parent))


@lru_cache(maxsize=2048)
def _paths(
    table: Path, changed: int, columns: tuple[str, ...], places: tuple[Path, ...]
) -> frozenset[Path]:
    """What the columns of a table name, from each of some folders."""
    try:
        star = read_star(table)
        frame = star.blocks[find_table(star.path, star.blocks)]
    except InputError:
        return frozenset()
    cells = {str(text) for name in columns if name in frame for text in frame[name]}
    return frozenset(
        Path(normpath(place / text)) for text in cells if not is_missing(text) for place in places
    )
