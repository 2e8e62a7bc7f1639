"""Two jobs side by side: which of their volumes show the same tomogram."""

from dataclasses import dataclass
from pathlib import Path

from isonet2.data.names import files_of, tomogram_name
from isonet2.data.run_folder import TABLE, previews, volumes
from isonet2.data.star import Tomogram, TomogramTable
from isonet2.errors import InputError
from isonet2.jobs import Job


@dataclass(frozen=True, slots=True)
class Pair:
    """A tomogram as two jobs left it.

    Attributes
    ----------
    name
        Of the tomogram.
    first, second
        Its volumes.
    tomogram
        Its row in the table that the first job ran on, or the second; None where there is none.
    """

    name: str
    first: Path
    second: Path
    tomogram: Tomogram | None = None


def shown_by(job: Job) -> list[Path]:
    """Volumes of a job to look at: its results, and the newest preview of each tomogram."""
    newest = {one.name: one.volume for one in previews(job.results) if one.volume is not None}
    return [*volumes(job.results), *newest.values()]


def pairs(first: Job, second: Job) -> list[Pair]:
    """Tomograms of which both jobs have a volume.

    They are known by the tables that the jobs ran on, else by the names of files.
    """
    left, right = shown_by(first), shown_by(second)
    rows = {row.name: row for job in (second, first) for row in _rows(job)}
    names = [*rows] or list(dict.fromkeys(tomogram_name(path) for path in left))
    mine, _ = files_of(names, left)
    others, _ = files_of(names, right)
    return [
        Pair(name, mine[name][0], others[name][0], rows.get(name))
        for name in names
        if mine[name] and others[name]
    ]


def _rows(job: Job) -> tuple[Tomogram, ...]:
    """The tomograms of the table that a job ran on; none where it kept no table."""
    table = job.folder / TABLE
    try:
        return tuple(TomogramTable.read(table).tomograms) if table.is_file() else ()
    except InputError:
        return ()
