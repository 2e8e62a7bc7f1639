"""The start page: the state of the project, and the next sensible step."""

import asyncio

from nicegui import ui

from isonet2.gui.next_step import ProjectState, state_of_project
from isonet2.gui.overview import entries
from isonet2.gui.pace import regularly
from isonet2.gui.project import Project
from isonet2.gui.shell import frame
from isonet2.gui.words import t
from isonet2.jobs import Jobs

EVERY = 4.0
LATEST = 6


def register(project: Project) -> None:
    """Make the page known."""

    @ui.page("/")
    async def page() -> None:
        with frame(project, "start", project.folder.name):
            with ui.column().classes("gap-0"):
                with ui.element("h1"):
                    ui.label(project.folder.name)
                lead = ui.label().classes("isonet-lead")
            body = ui.column().classes("w-full gap-4")
        told: ProjectState | None = None

        async def refresh() -> None:
            nonlocal told
            state = await asyncio.to_thread(state_of_project, project)
            if state != told:
                told = state
                lead.set_text(
                    t("start.lists", table=state.table, count=state.tomograms)
                    if state.table
                    else t("start.no_table")
                )
                body.clear()
                with body:
                    _show(state)
                    await _latest(project)

        await refresh()
        regularly(EVERY, refresh)


def _show(state: ProjectState) -> None:
    """What to do next, and what the table lists by now."""
    with ui.element("section").classes("isonet-card isonet-next"):
        with ui.column().classes("gap-1"):
            ui.label(t("start.next")).classes("isonet-title")
            ui.label(t(f"start.{state.step}")).classes("isonet-step")
        ui.space()
        ui.button(
            t("start.go"), icon="arrow_forward", on_click=lambda: ui.navigate.to(state.page)
        ).props("no-caps")
    if not state.table:
        return
    with ui.element("section").classes("isonet-tiles"):
        for key, count in state.filled.items():
            _tile(t(f"start.{key}"), count, state.tomograms)


def _tile(name: str, count: int, of: int) -> None:
    with ui.element("div").classes("isonet-card isonet-tile"):
        ui.label(name).classes("isonet-title ellipsis")
        ui.label(t("start.filled", count=count, all=of)).classes("isonet-figure")
        ui.linear_progress(count / of, show_value=False, size="5px").props(
            f'rounded aria-label="{name}"'
        )


async def _latest(project: Project) -> None:
    found = (await asyncio.to_thread(entries, Jobs(project.folder)))[:LATEST]
    if not found:
        return
    with ui.element("section").classes("isonet-card"):
        with ui.row().classes("items-center w-full"):
            ui.label(t("start.recent")).classes("isonet-title")
            ui.space()
            ui.link(t("start.all_jobs"), "/jobs")
        for entry in found:
            with ui.link(target=f"/jobs?job={entry.key}").classes("isonet-latest"):
                ui.label(t(f"status.{entry.status}")).classes(f"isonet-chip {entry.status}")
                ui.label(entry.title).classes("isonet-job-name")
                ui.label(entry.place).classes("isonet-mono isonet-soft")
                ui.label(entry.line).classes("isonet-soft ellipsis")
