"""What stays of a job for a paper: the table that it ran on, and a paragraph of methods."""

import shutil
from pathlib import Path

from isonet2.data.files import atomic_path
from isonet2.data.run_folder import METHODS, TABLE
from isonet2.errors import InputError, counted
from isonet2.jobs.records import Job
from isonet2.parameters.commands import COMMANDS
from isonet2.parameters.record import CITED, FILE_NAME, content_of, package_version, told_apart

DONE = {
    "prepare_star": "A table of {tomograms} was made",
    "inspect": "An inspection of {tomograms} was made",
    "deconv": "The contrast transfer function of {tomograms} was deconvolved",
    "make_mask": "Masks of the specimen were made of {tomograms}",
    "denoise": "A network that takes noise away was trained on {tomograms}",
    "refine": "A network that fills the missing wedge was trained on {tomograms}",
    "predict": "A trained network restored {tomograms}",
    "validate": "The restoration of {tomograms} was judged",
    "resize": "Coarser copies of {tomograms} were made",
}
"""What was done by commands that work on tomograms."""
_TABLES = ("star_file", "tomograms", "volumes")
"""Parameters that may name a table."""


def table_of(job: Job) -> Path | None:
    """The table that a job reads; None where it reads none."""
    for name in _TABLES:
        told = job.parameters.get(name)
        if isinstance(told, str) and told.lower().endswith(".star"):
            return job.project / told
    return None


def keep_table(job: Job) -> None:
    """Copy the table that a job reads into its folder, as it is now; one that is gone is not."""
    table = table_of(job)
    if table is not None and table.is_file():
        with atomic_path(job.folder / TABLE) as beside:
            shutil.copyfile(table, beside)


def methods_of(job: Job) -> str:
    """A paragraph for the methods of a paper, and what it cites; empty for other programs.

    What the command itself has written of this kind counts more.
    """
    if job.kind not in DONE or not job.parameters:
        return ""
    try:
        return (job.results / METHODS).read_text(encoding="utf-8")
    except (OSError, ValueError):
        pass
    given = told_apart(job.parameters, COMMANDS[job.kind])
    words = [f"{name} {_text(value)}" for name, value in given.items()]
    how = f"Parameters: {', '.join(words)}; all others" if words else "All parameters"
    done = DONE[job.kind].format(tomograms=_tomograms(job))
    return (
        f"{done} with IsoNet2 {_version(job)} (command {job.kind}) [1]. {how} had their "
        f"defaults.\n\n[1] {CITED}\n"
    )


def write_methods(job: Job) -> None:
    """Leave that paragraph in the job's folder."""
    text = methods_of(job)
    if text:
        with atomic_path(job.folder / METHODS) as beside:
            beside.write_text(text, encoding="utf-8")


def _tomograms(job: Job) -> str:
    """How many tomograms were worked on, in words."""
    # slow to import, and runners do not need it before the end
    from isonet2.data.star import TomogramTable, rows_of

    kept = job.folder / TABLE
    path = kept if kept.is_file() else table_of(job)
    rows = rows_of(path) if path is not None else ()
    try:
        chosen = TomogramTable(Path(), rows).select(job.parameters.get("tomo_idx"))
    except InputError:
        return "tomograms"
    return counted(len(chosen), "tomogram") if chosen else "tomograms"


def _version(job: Job) -> str:
    """Of the program that ran, by its record."""
    try:
        return str(content_of(job.results / FILE_NAME).get("version", package_version()))
    except InputError:
        return package_version()


def _text(value: object) -> str:
    """A value in a sentence; of a path its last part."""
    if isinstance(value, list | tuple):
        return " and ".join(map(_text, value))
    return Path(value).name if isinstance(value, str) else str(value)
