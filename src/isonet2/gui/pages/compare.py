"""Two jobs side by side: slices of what they made, loss curves, parameters that differ."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlencode

from nicegui import ui

from isonet2.gui.comparison import Pair, pairs, shown_by
from isonet2.gui.components.curves import Curves
from isonet2.gui.components.outside import ask_to_confirm
from isonet2.gui.components.parameters_view import ParametersView
from isonet2.gui.overview import TRAININGS
from isonet2.gui.project import Project
from isonet2.gui.shell import frame, heading
from isonet2.gui.viewer import Volumes, VolumeViewer, tilt_sectors
from isonet2.gui.words import t
from isonet2.jobs import Job, Jobs

_LOOK = "outlined dense options-dense stack-label"


@dataclass(frozen=True, slots=True)
class Compared:
    """What a page shows: two of the jobs, if they are there, and what both made."""

    jobs: dict[int, Job]
    first: Job | None
    second: Job | None
    found: list[Pair]
    volumes: dict[Path, str]
    outside: tuple[Path, ...]


def register(project: Project) -> None:
    """Make the page known."""
    jobs = Jobs(project.folder)

    @ui.page("/compare")
    async def page(first: int = 0, second: int = 0, name: str = "") -> None:
        compared = await asyncio.to_thread(compare, project, jobs, first, second)
        with frame(project, "jobs", t("compare.title")):
            heading(t("compare.title"), t("compare.lead"))
            ask_to_confirm(project, compared.outside, ui.navigate.reload)
            _draw(jobs, compared, name)


def compare(project: Project, jobs: Jobs, first: int, second: int) -> Compared:
    """Read what there is of two jobs; without a second, of the newest other of the same kind."""
    known = {job.number: job for job in jobs.list()}
    left = known.get(first)
    if left is not None and not second:
        others = [one for one in known.values() if one.kind == left.kind and one != left]
        ended = [one for one in others if one.status == "succeeded"]
        second = max((one.number for one in ended or others), default=0)
    right = known.get(second)
    both = [job for job in (left, right) if job is not None]
    outside = project.outside([job.results for job in both])
    if left is None or right is None or outside:
        return Compared(known, left, right, [], {}, outside)
    volumes = {path: f"{job.number} {path.name}" for job in both for path in shown_by(job)}
    return Compared(known, left, right, pairs(left, right), volumes, ())


def _draw(jobs: Jobs, compared: Compared, name: str) -> None:
    first, second = compared.first, compared.second
    numbers = {"first": first and first.number, "second": second and second.number}
    chosen = next((one for one in compared.found if one.name == name), None)
    chosen = chosen or next(iter(compared.found), None)

    def choose(what: str, options: dict[object, str], value: object) -> None:
        def go(event: object) -> None:
            told = {**numbers, "name": name, what: getattr(event, "value", None)}
            ui.navigate.to(f"/compare?{urlencode({k: v for k, v in told.items() if v})}")

        box = ui.select(options, label=t(f"compare.{what}"), value=value, on_change=go)
        box.props(_LOOK).classes("isonet-choice").mark(f"compare-{what}")

    listed = sorted(compared.jobs.values(), key=lambda job: -job.number)
    options: dict[object, str] = {job.number: _called(job) for job in listed}
    with ui.row().classes("w-full items-start gap-4"):
        choose("first", options, numbers["first"])
        choose("second", options, numbers["second"])
        if chosen is not None and len(compared.found) > 1:
            choose("name", {one.name: one.name for one in compared.found}, chosen.name)
    if first is None or second is None:
        ui.label(t("compare.choose")).classes("isonet-soft")
        return
    if chosen is None:
        ui.label(t("compare.nothing")).classes("isonet-soft")
    else:
        VolumeViewer(_shown(chosen, compared.volumes), height="min(56vh, 620px)")
    if compared.outside:
        return
    if first.kind in TRAININGS and second.kind in TRAININGS:
        over = {str(second.results): _called(second)}
        Curves(first.results, over, laid=list(over))
    ParametersView(jobs, first, {str(second.number): _called(second)}, str(second.number))


def _shown(pair: Pair, volumes: dict[Path, str]) -> Volumes:
    row = pair.tomogram
    shown = Volumes(volumes, pair.first, pair.second, beside=True)
    if row is None:
        return shown
    return replace(shown, sectors=tilt_sectors(row), pixel_size=row.pixel_size)


def _called(job: Job) -> str:
    return f"{job.number} {job.name or job.place}"
