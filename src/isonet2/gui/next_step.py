"""Where a project stands between its first table and its restored tomograms."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from isonet2.data.blocks import is_missing
from isonet2.errors import InputError
from isonet2.gui.choices import tables
from isonet2.gui.project import Project
from isonet2.gui.table import load, state_of
from isonet2.jobs import Job, Jobs

COUNTED = {
    "rlnDefocus": "defocus_known",
    "rlnDeconvTomoName": "deconvolved",
    "rlnDenoisedTomoName": "denoised_tomograms",
    "rlnMaskName": "masks",
    "rlnCorrectedTomoName": "restored",
}
"""Columns whose filling shows how far a project is, and the keys of their names."""


@dataclass(frozen=True, slots=True)
class ProjectState:
    """How far a project is.

    Attributes
    ----------
    step
        What to do next, a key of the texts of the start page.
    page
        Address of the page where it is done.
    table
        Name of the table; empty where there is none.
    tomograms
        How many it lists.
    filled
        For how many of them each of `COUNTED` is filled.
    """

    step: str
    page: str
    table: str = ""
    tomograms: int = 0
    filled: Mapping[str, int] = field(default_factory=dict)


def state_of_project(project: Project) -> ProjectState:
    """Read how far a project is, from its newest table and its jobs."""
    jobs = Jobs(project.folder).list()
    found = next((one for path in tables(project) if (one := _filled(path, state_of(path)))), None)
    if found is None:
        step, page = _of_jobs(jobs) or ("prepare", "/prepare")
        return ProjectState(step, page)
    table, count, filled = found
    step, page = _of_jobs(jobs) or _of_table(filled, jobs)
    return ProjectState(step, page, project.told(table), count, filled)


@lru_cache(maxsize=16)
def _filled(path: Path, state: str) -> tuple[Path, int, Mapping[str, int]] | None:
    """How many tomograms a table lists, and how far they are; None where it cannot be read.

    It is read once while the file stays as it is.
    """
    try:
        table = load(path)
    except InputError:
        return None
    filled = {
        short: sum(not is_missing(row.get(column, "")) for row in table.rows)
        for column, short in COUNTED.items()
    }
    return path, len(table.rows), filled


def _of_jobs(jobs: list[Job]) -> tuple[str, str] | None:
    """What the jobs ask for before anything else: a look at one that runs, or that went wrong."""
    running = [job for job in jobs if job.status == "running"]
    if running:
        return "running", f"/jobs?job={running[-1].number}"
    if jobs and jobs[-1].status in ("failed", "lost"):
        return "problem", f"/jobs?job={jobs[-1].number}"
    return None


def _of_table(filled: Mapping[str, int], jobs: list[Job]) -> tuple[str, str]:
    """The first step of the manual's order that the table does not show yet."""
    trained = {job.kind for job in jobs if job.status == "succeeded"}
    if filled["restored"]:
        return "done", "/prepare"
    if "refine" in trained:
        return "predict", "/predict"
    if filled["masks"]:
        return "refine", "/refine"
    if filled["denoised_tomograms"] or filled["deconvolved"]:
        return "make_mask", "/make_mask"
    if "denoise" in trained:
        return "denoised", "/predict"
    if not filled["defocus_known"] and not jobs:
        return "defocus", "/prepare"
    return "denoise", "/denoise"
