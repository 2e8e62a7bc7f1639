"""What a form may offer as the project stands: filled columns, trained networks."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from isonet2.data.blocks import is_missing, read_star
from isonet2.data.run_folder import networks
from isonet2.data.star import find_table
from isonet2.errors import InputError
from isonet2.gui.forms import Form
from isonet2.gui.old_app import old_jobs
from isonet2.gui.overview import TRAININGS
from isonet2.gui.project import Project
from isonet2.gui.table import state_of
from isonet2.gui.words import t
from isonet2.jobs import Job, Jobs
from isonet2.parameters.commands import COMMANDS

COLUMNS = (
    "rlnTomoName",
    "rlnDeconvTomoName",
    "rlnDenoisedTomoName",
    "rlnCorrectedTomoName",
    "rlnTomoReconstructedTomogramHalf1",
    "rlnTomoReconstructedTomogramHalf2",
)


def offered(project: Project, form: Form) -> dict[str, Mapping[str, str]]:
    """What may be chosen, by field: values, and words for each."""
    found: dict[str, Mapping[str, str]] = {}
    networks_known: dict[str, str] | None = None
    for name in form.names:
        kind = form.kind(name)
        if kind == "column":
            none = {} if form.default(name) else {"": t("form.none")}
            columns = filled_columns(project, str(form.texts["star_file"]))
            found[name] = none | {column: column for column in columns}
        elif kind == "network":
            networks_known = trained(project) if networks_known is None else networks_known
            none = {} if form.model.model_fields[name].is_required() else {"": t("form.none")}
            found[name] = none | networks_known
    return found


def trained(project: Project) -> dict[str, str]:
    """Networks of this project's trainings, newest first; and those that are being trained."""
    jobs = Jobs(project.folder)
    known = jobs.list()
    runs: list[tuple[float, Path, str, Job | None]] = [
        (job.submitted, job.results, f"{job.number} {job.name or job.place}", job)
        for job in known
        if job.kind in TRAININGS
    ]
    runs += [
        (told.started, folder, project.told(folder), None)
        for folder, told in jobs.runs(known)
        if told.command in TRAININGS
    ]
    runs += [
        (old.changed, old.folder, f"{old.place} (IsoApp)", None)
        for old in old_jobs(project.folder)
        if old.kind in TRAININGS
    ]
    found: dict[str, str] = {}
    for _, folder, words, job in sorted(runs, key=lambda run: run[0], reverse=True):
        if job is not None and not job.has_ended:
            found[network_of(project, job)] = t("choice.training", job=words)
        for path in networks(folder):
            found.setdefault(project.told(path), f"{words}: {path.name}")
    return found


def network_of(project: Project, job: Job) -> str:
    """The network of a training job, as the project writes it: the one that it will have made."""
    there = networks(job.results)
    if there and "_epoch" not in there[0].name and job.has_ended:
        return project.told(there[0])
    told = job.parameters
    fields = COMMANDS[job.kind].model_fields
    arch, cube = (told.get(name, fields[name].default) for name in ("arch", "cube_size"))
    method = "n2n" if job.kind == "denoise" else str(told.get("method", "auto"))
    if method == "auto":
        columns = filled_columns(project, str(told.get("star_file", "")))
        halves = "rlnTomoReconstructedTomogramHalf1" in columns
        method = "isonet2-n2n" if halves else "isonet2"
    part = "top" if told.get("split_halves") else "full"
    name = f"network_{method}_{Path(str(arch)).stem}_{cube}_{part}.pt"
    return project.told(job.results / name)


def filled_columns(project: Project, table: str) -> list[str]:
    """Columns of tomograms that the table fills in at least one row."""
    try:
        path = project.allowed(table or "tomograms.star")
        return list(_columns(path, state_of(path)))
    except InputError:
        return []


@lru_cache(maxsize=16)
def _columns(path: Path, state: str) -> tuple[str, ...]:
    """Filled columns of a table, which is read once while the file stays as it is."""
    star = read_star(path)
    frame = star.blocks[find_table(star.path, star.blocks)]
    return tuple(
        column
        for column in COLUMNS
        if column in frame and not all(is_missing(str(cell)) for cell in frame[column])
    )


def tables(project: Project) -> list[Path]:
    """STAR tables in the project's folder, newest first."""
    found = [path for path in project.folder.glob("*.star") if path.is_file()]
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)
