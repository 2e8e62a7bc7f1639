"""The page where the table of tomograms is made, opened and edited."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

from nicegui import ui

from isonet2.errors import InputError
from isonet2.gui.choices import tables
from isonet2.gui.components.browser import Browser
from isonet2.gui.components.form_view import FormView
from isonet2.gui.components.outside import ask_to_confirm
from isonet2.gui.components.pairs_view import PairsView
from isonet2.gui.components.submit_bar import SubmitBar
from isonet2.gui.components.table_view import TableView
from isonet2.gui.forms import EVEN_ODD, PREPARE, Form
from isonet2.gui.links import see
from isonet2.gui.overview import parameters_of
from isonet2.gui.project import OutsideError, Project
from isonet2.gui.shell import frame, heading, refuse
from isonet2.gui.table import Table
from isonet2.gui.words import t
from isonet2.jobs import Jobs


def register(project: Project) -> None:
    """Make the page known."""

    @ui.page("/prepare")
    async def page(table: str = "", clone: int | None = None) -> None:
        await _page(project, table, clone)


async def _page(project: Project, asked: str, clone: int | None) -> None:
    known = await asyncio.to_thread(tables, project)
    form = Form(PREPARE, project.settings.get(f"form.{PREPARE}"))
    try:
        if clone is not None:
            job = await asyncio.to_thread(Jobs(project.folder).show, clone)
            form.take(await asyncio.to_thread(parameters_of, job))
    except InputError as error:
        refuse(str(error))
    path, folders = _table(project, asked, known)
    with frame(project, "prepare"):
        heading(t("page.prepare"), t("lead.prepare"))
        ask_to_confirm(project, folders, ui.navigate.reload)
        with ui.tabs().props("no-caps align=left").classes("w-full") as tabs:
            edit = ui.tab("table", t("prepare.table"), "table_chart")
            make = ui.tab("make", t("prepare.make"), "add_box")
        first = edit if path and clone is None else make
        with ui.tab_panels(tabs, value=first).classes("w-full isonet-panels"):
            with ui.tab_panel(edit):
                await _edit(project, path, known)
            with ui.tab_panel(make):
                _make(project, form)


def _table(project: Project, asked: str, known: list[Path]) -> tuple[Path | None, tuple[Path, ...]]:
    """The table to show: the one in the address, or the newest; and a folder to confirm."""
    folders: tuple[Path, ...] = ()
    if asked:
        try:
            return project.allowed(asked), ()
        except OutsideError as error:
            folders = (error.folder,)
        except InputError as error:
            refuse(str(error))
    return (known[0] if known else None), folders


async def _edit(project: Project, path: Path | None, known: list[Path]) -> None:
    def go(chosen: str) -> None:
        ui.navigate.to(f"/prepare?{urlencode({'table': chosen})}")

    async def load() -> None:
        chosen = await Browser(project, "", False, (".star",))
        if chosen is not None:
            go(chosen)

    with ui.row().classes("items-center w-full"):
        if path is not None:
            names = {project.told(one): project.told(one) for one in [*known, path]}
            chosen = ui.select(
                names, label=t("field.star_file"), value=project.told(path),
                on_change=lambda event: go(event.value),
            )  # fmt: skip
            chosen.props("outlined dense options-dense").classes("isonet-tables")
        ui.button(t("prepare.load"), icon="folder_open", on_click=load).props("outline no-caps")
    if path is None:
        with ui.element("div").classes("isonet-empty"):
            ui.icon("table_chart", size="42px")
            ui.label(t("prepare.none"))
        return
    with ui.element("section").classes("isonet-card"):
        view = TableView(project, path, _see)
        await view.show()


def _see(table: Table, index: int, column: str) -> None:
    """Show the volume in a cell, beside the other volumes of its tomogram."""
    row = table.rows[table.indices.index(index)]
    see(Path(row.get(column, "")), table.path, index)


def _make(project: Project, form: Form) -> None:
    def nothing(name: str) -> Mapping[str, str]:
        return {}

    def turn(event: object) -> None:
        form.switches[EVEN_ODD] = bool(switch.value)
        view.refresh()

    switch = ui.switch(t("prepare.even_odd"), value=form.switches[EVEN_ODD], on_change=turn)
    view = FormView(project, form, nothing, lambda right: bar.allow(right))
    switch.bind_value_from(form.switches, EVEN_ODD)
    pairs = PairsView(form)
    bar = SubmitBar(project, form, queue=False, look=pairs.look)
    view.refresh()
