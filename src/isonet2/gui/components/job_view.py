"""One job on the page: where it stands, what can be done with it, and all that it left."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from nicegui import ui

from isonet2.errors import InputError
from isonet2.gui.components.curves import Curves
from isonet2.gui.components.job_actions import JobActions
from isonet2.gui.components.job_notes import JobNotes
from isonet2.gui.components.log_view import LogView
from isonet2.gui.components.methods_view import MethodsView
from isonet2.gui.components.outside import ask_to_confirm
from isonet2.gui.components.parameters_view import ParametersView
from isonet2.gui.components.preview_view import PreviewView
from isonet2.gui.components.results_view import ResultsView
from isonet2.gui.components.standing import Standing
from isonet2.gui.graph import drawn, family
from isonet2.gui.links import see
from isonet2.gui.old_app import OldJob, old_job
from isonet2.gui.overview import (
    OLD,
    RUN,
    TRAININGS,
    Entry,
    Links,
    chain,
    entry_of_job,
    entry_of_old,
    entry_of_run,
    folder_of_run,
    follows,
    memory_words,
)
from isonet2.gui.pace import regularly
from isonet2.gui.project import Project
from isonet2.gui.shell import address, may_act
from isonet2.gui.words import t
from isonet2.jobs import Job, Jobs
from isonet2.jobs.turns import waits_for

EVERY = 1.5


class JobView:
    """The right side of the jobs page.

    Parameters
    ----------
    project
        The folder of the pages.
    changed
        Called when something was done that the list must show.
    """

    def __init__(self, project: Project, changed: Callable[[str], Awaitable[None]]) -> None:
        self.project, self.changed = project, changed
        self.jobs = Jobs(project.folder)
        self.key = ""
        self.standing: Standing | None = None
        self.actions: JobActions | None = None
        self.relate: Callable[[], Awaitable[None]] | None = None
        self.status = ""
        self.body = ui.column().classes("isonet-jobview")
        regularly(EVERY, self.look)

    async def show(self, key: str) -> None:
        """Show the entry of a key; an empty key shows that nothing is chosen."""
        self.key = key
        self.standing = self.actions = self.relate = None
        self.status = ""
        self.body.clear()
        with self.body:
            if not key:
                _nothing(t("jobs.choose"))
            elif key.startswith(RUN):
                self._show_run(folder_of_run(key))
            elif key.startswith(OLD):
                await self._show_old(key)
            else:
                await self._show_job(key)
        await self.look()

    async def _show_job(self, key: str) -> None:
        try:
            jobs = await asyncio.to_thread(self.jobs.list)
            job = next(job for job in jobs if str(job.number) == key)
        except StopIteration:
            _nothing(t("jobs.gone", number=key))
            return
        others = {
            str(o.number): f"{o.number} {o.name or o.place}"
            for o in jobs
            if o.kind == job.kind and o.number != job.number
        }
        with ui.element("section").classes("isonet-card"):
            self.standing = Standing()
            before_and_after = ui.column().classes("gap-0")
            self.actions = JobActions(self.project, self.changed)
            if others:
                link = ui.link(t("compare.link"), f"/compare?first={job.number}")
                link.classes("isonet-small q-mt-sm")
        graph = ui.column().classes("w-full")
        for place in (before_and_after, graph):
            place.set_visibility(False)

        async def relate() -> None:
            all_jobs = await asyncio.to_thread(self.jobs.list)
            links = await asyncio.to_thread(follows, all_jobs)
            if not graph.is_deleted:
                before_and_after.clear()
                graph.clear()
                before_and_after.set_visibility(_chain(before_and_after, job, all_jobs, links))
                graph.set_visibility(_graph(graph, job, all_jobs, links))

        self.relate = relate
        trained = {
            str(other.results): f"{other.number} {other.name or other.place}"
            for other in jobs
            if other.kind in TRAININGS and other.number != job.number
        }
        self._files(job.kind, job.results, trained)
        LogView(job.log, address(f"/api/log/{job.number}"))
        ParametersView(self.jobs, job, others)
        if not self.project.outside([job.results]):
            MethodsView(job)
        JobNotes(self.jobs, job)

    def _show_run(self, name: str) -> None:
        try:
            folder = self.project.allowed(name)
        except InputError as error:
            _nothing(str(error))
            return
        with ui.element("section").classes("isonet-card"):
            self.standing = Standing()
        self._files("refine", folder, {})
        for log in sorted(folder.glob("*log*.txt"))[:1]:
            LogView(log)

    async def _show_old(self, key: str) -> None:
        try:
            job = await asyncio.to_thread(old_job_of, self.project, key)
        except InputError as error:
            _nothing(str(error))
            return
        with ui.element("section").classes("isonet-card"):
            self.standing = Standing()
            if may_act():
                target = f"/{job.kind}?old={job.number}"
                copy = ui.button(t("act.clone"), icon="content_copy")
                copy.on_click(lambda: ui.navigate.to(target))
                copy.props("outline dense no-caps").classes("q-mt-sm").mark("act-clone")
        self._files(job.kind, job.folder, {})
        LogView(job.log)

    def _files(self, kind: str, folder: Path, trained: dict[str, str]) -> None:
        """What the command makes for people to look at."""
        if folders := self.project.outside([folder]):
            ask_to_confirm(self.project, folders, lambda: self.show(self.key))
            return
        if kind in TRAININGS:
            with ui.element("div").classes("isonet-halves"):
                Curves(folder, trained)
                PreviewView(folder, lambda volume: see(volume))
        ResultsView(self.project, folder)

    async def look(self) -> None:
        """Bring what is shown to what the files say."""
        if self.standing is None:
            return
        try:
            entry, job, memory = await asyncio.to_thread(self._read)
        except (InputError, LookupError):
            await self.show("") if not self.key else self.standing.gone()
            return
        self.standing.show(entry, job, memory)
        if self.actions is not None and job is not None:
            self.actions.show(job)
            if self.relate is not None and job.status != self.status:
                self.status = job.status  # a job that begins keeps the table that it reads
                await self.relate()

    def _read(self) -> tuple[Entry, Job | None, Sequence[str]]:
        if self.key.startswith(RUN):
            runs = [entry_of_run(self.jobs, folder, told) for folder, told in self.jobs.runs()]
            return {entry.key: entry for entry in runs}[self.key], None, ()
        if self.key.startswith(OLD):
            return entry_of_old(old_job_of(self.project, self.key)), None, ()
        job = self.jobs.show(int(self.key))
        waiting = {}
        if job.status == "queued" and not job.reason:
            waiting = waits_for(self.jobs.list(), paused=self.jobs.paused)
        return entry_of_job(job, waiting), job, memory_words(job)


def old_job_of(project: Project, key: str) -> OldJob:
    """The job of IsoApp that a key means; InputError for none."""
    number = key.removeprefix(OLD)
    return old_job(project.folder, int(number) if number.isdecimal() else 0)


def _chain(place: ui.column, job: Job, jobs: list[Job], links: Links) -> bool:
    """Links to the jobs before and after it; whether there are any."""
    found = chain(job, jobs, links)
    for key, others in zip(("jobs.follows", "jobs.followed"), found, strict=True):
        if others:
            with place, ui.row().classes("items-center isonet-small gap-2"):
                ui.label(t(key)).classes("isonet-soft")
                for other in others:
                    name = f"{other.place} {other.name}".strip()
                    ui.link(name, f"/jobs?job={other.number}")
    return any(found)


def _graph(place: ui.column, job: Job, jobs: list[Job], links: Links) -> bool:
    """The job among those before and after it; whether there are any."""
    related = family(job, jobs, links)
    if len(related) > 1:
        with (
            place,
            ui.expansion(t("graph.title"), icon="account_tree").classes("isonet-card isonet-fold"),
            ui.element("div").classes("isonet-wide-graph"),
        ):
            ui.html(drawn(related, links, job.number, address), sanitize=False)
    return len(related) > 1


def _nothing(text: str) -> None:
    with ui.element("div").classes("isonet-empty"):
        ui.icon("list_alt", size="42px")
        ui.label(text)
