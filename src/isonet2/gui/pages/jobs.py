"""The jobs of the project, those of terminals and clusters too: the list, and one of them."""

import asyncio
import json

from nicegui import ui

from isonet2.gui.components.gpu_list import GpuList
from isonet2.gui.components.job_list import JobList
from isonet2.gui.components.job_view import JobView
from isonet2.gui.overview import entries
from isonet2.gui.pace import regularly
from isonet2.gui.project import Project
from isonet2.gui.shell import frame, may_act
from isonet2.gui.words import t
from isonet2.jobs import Jobs

EVERY = 2.0


def register(project: Project) -> None:
    """Make the page known."""

    @ui.page("/jobs")
    async def page(job: str = "") -> None:
        await _page(project, job)


async def _page(project: Project, key: str) -> None:
    jobs = Jobs(project.folder)
    shown = await asyncio.to_thread(entries, jobs)
    chosen = key or (shown[0].key if shown else "")

    async def refresh() -> None:
        found = await asyncio.to_thread(entries, jobs)
        listing.show(found, chosen)
        waiting = sum(entry.status == "queued" for entry in found)
        running = sum(entry.status == "running" for entry in found)
        queue.set_text(t("jobs.queue", waiting=waiting, running=running))

    async def pick(new: str) -> None:
        nonlocal chosen
        chosen = new
        ui.run_javascript(
            f"history.replaceState(null, '', '?job=' + encodeURIComponent({json.dumps(new)}))"
        )
        await refresh()
        await view.show(new)

    with frame(project, "jobs"):
        with ui.row().classes("items-center w-full"):
            with ui.element("h1"):
                ui.label(t("page.jobs"))
            queue = ui.label().classes("isonet-soft")
            ui.space()
            if may_act():
                await _pause_switch(jobs)
        GpuList()
        with ui.element("div").classes("isonet-jobs"):
            with ui.element("aside").classes("isonet-card isonet-joblist-card"):
                listing = JobList(pick)
            view = JobView(project, pick)
        await refresh()
        await view.show(chosen)
        regularly(EVERY, refresh)


async def _pause_switch(jobs: Jobs) -> None:
    """A switch that lets no queued job begin."""
    paused = await asyncio.to_thread(lambda: jobs.paused)

    async def turn() -> None:
        await asyncio.to_thread(jobs.pause if switch.value else jobs.resume)
        ui.notify(t("jobs.paused" if switch.value else "jobs.resumed"), type="info")

    switch = ui.switch(t("jobs.pause"), value=paused, on_change=turn)
