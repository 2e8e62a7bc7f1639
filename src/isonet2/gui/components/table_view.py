"""The table of tomograms on the page: a grid whose cells are edited, checked and saved at once."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

from isonet2.data.blocks import is_missing
from isonet2.errors import InputError
from isonet2.gui.components.browser import Browser
from isonet2.gui.components.fill_column import fill_column
from isonet2.gui.pace import regularly
from isonet2.gui.project import Project
from isonet2.gui.shell import may_act, refuse
from isonet2.gui.table import (
    FIXED,
    Edit,
    Table,
    edit,
    heading,
    in_angstrom,
    is_path,
    load,
    state_of,
)
from isonet2.gui.words import t

LOOK_EVERY = 3.0
ROW, HEAD = 36, 42
MOST_ROWS = 14
MOST_NAMED = 5
KEY = "@index"
"""Field of a row that holds the tomogram's index, whatever columns the table has."""
MISSING = "@missing"
"""Field of a row that holds the columns whose files are not there."""


class TableView:
    """Show a table and let it be edited.

    Parameters
    ----------
    project
        The folder of the pages.
    path
        The STAR file.
    open_volume
        Called with the path in a cell that a person wants to see; None where nothing shows one.
    """

    def __init__(
        self,
        project: Project,
        path: Path,
        open_volume: Callable[[Table, int, str], None] | None = None,
    ) -> None:
        self.project, self.path, self.open_volume = project, path, open_volume
        self.table: Table | None = None
        self.state = ""
        self.undo: list[list[Edit]] = []
        self.at: tuple[int, str] | None = None
        self.editing = False
        self._toolbar()
        self.problems = ui.column().classes("isonet-problems").props("role=alert")
        self.grid = (
            ui.aggrid(
                {
                    "columnDefs": [],
                    "rowData": [],
                    ":getRowId": f"params => String(params.data['{KEY}'])",
                    "stopEditingWhenCellsLoseFocus": True,
                    "enterNavigatesVerticallyAfterEdit": True,
                    "suppressFieldDotNotation": True,
                    "rowHeight": ROW,
                    "headerHeight": HEAD,
                    "enableCellTextSelection": True,
                    "defaultColDef": {
                        "resizable": True,
                        "sortable": True,
                        "minWidth": 90,
                        "cellClassRules": {
                            "isonet-missing": f"data['{MISSING}'].includes(colDef.field)"
                        },
                    },
                },
                auto_size_columns=False,
            )
            .classes("isonet-grid")
            .mark("table")
        )
        self.grid.on("cellValueChanged", self._edited)
        self.grid.on("cellEditingStarted", lambda: self._type(True), args=[])
        self.grid.on("cellEditingStopped", lambda: self._type(False), args=[])
        self.grid.on("cellFocused", self._focused)
        self.grid.on("cellClicked", self._clicked)
        self.note = ui.label().classes("isonet-soft")
        regularly(LOOK_EVERY, self._look)

    def _toolbar(self) -> None:
        with ui.row().classes("items-center w-full no-wrap isonet-cellbar"):
            self.cell_name = ui.label(t("table.no_cell")).classes("isonet-mono isonet-soft")
            self.cell = (
                ui.input()
                .props(f'outlined dense hide-bottom-space aria-label="{t("table.cell")}"')
                .classes("col isonet-mono")
            )
            self.cell.on("keydown.enter", self._from_bar)
            self.tools = {
                "file": self._tool("folder_open", "table.file", self._choose_file),
                "view": self._tool("visibility", "table.view", self._view),
                "fill": self._tool("format_color_fill", "table.fill", self._fill),
                "undo": self._tool("undo", "table.undo", self._undo),
            }
        if not may_act():
            self.cell.props("readonly")
        self._tell_tools()

    def _tool(self, icon: str, key: str, action: Callable[[], Any]) -> ui.button:
        return ui.button(t(key), icon=icon, on_click=action).props("flat dense no-caps")

    async def show(self) -> None:
        """Read the file and show it."""
        self.state = await asyncio.to_thread(state_of, self.path)
        try:
            self._take(await asyncio.to_thread(load, self.path))
        except InputError as error:
            self.table = self.at = None
            self.grid.set_visibility(False)
            self.note.set_text("")
            self.cell_name.set_text(t("table.no_cell"))
            self.cell.set_value("")
            self._tell_tools()
            self._say(str(error).splitlines())

    def _take(self, table: Table) -> None:
        self.table, self.state = table, table.state
        may = may_act()
        columns: list[dict[str, Any]] = []
        for column in table.columns:
            if column == "rlnIndex":
                continue
            columns.append(
                {
                    "field": column,
                    "headerName": heading(column),
                    "headerTooltip": column,
                    "tooltipField": column,
                    "editable": may and column not in FIXED,
                    "width": 210 if is_path(column) else 125,
                    "cellClass": "isonet-lacking" if column in table.lacking else "",
                }
            )
        index = {"field": KEY, "headerName": "#", "width": 60, "minWidth": 50, "pinned": "left"}
        rows = [
            {KEY: number, MISSING: [name for name in row if (number, name) in table.missing]}
            | {name: "" if is_missing(text) else text for name, text in row.items()}
            for number, row in zip(table.indices, table.rows, strict=True)
        ]
        self.grid.options["columnDefs"] = [index, *columns]
        self.grid.options["rowData"] = rows
        self.grid.set_visibility(True)
        self.grid.style(f"height: {HEAD + ROW * min(len(rows), MOST_ROWS) + 22}px")
        self.grid.update()
        self._say([*table.problems, *_absent(table)])
        name = self.project.told(table.path)
        others = ", ".join(table.others)
        self.note.set_text(
            t("table.count", count=len(rows), name=name)
            + (f" {t('table.others', blocks=others)}" if others else "")
        )
        self._tell_tools()

    def _say(self, problems: Sequence[str]) -> None:
        self.problems.clear()
        with self.problems:
            for text in problems:
                ui.label(text)
        self.problems.set_visibility(bool(problems))

    def _tell_tools(self) -> None:
        may = may_act()
        column = self.at[1] if self.at else ""
        self.tools["file"].set_visibility(may and is_path(column))
        self.tools["view"].set_visibility(self.open_volume is not None and is_path(column))
        self.tools["fill"].set_visibility(may)
        self.tools["undo"].set_visibility(may)
        self.tools["undo"].set_enabled(bool(self.undo))

    def _focused(self, event: GenericEventArguments) -> None:
        row, column = event.args.get("rowIndex"), event.args.get("colId")
        if self.table is not None and row is not None and column and self.at is None:
            self._point(self.table.indices[row], column)

    def _clicked(self, event: GenericEventArguments) -> None:
        self._point(event.args["data"][KEY], event.args["colId"])

    def _point(self, index: int, column: str) -> None:
        if self.table is None or column == KEY:
            return
        self.at = index, column
        text = self._row(index).get(column, "")
        self.cell_name.set_text(f"{index} · {heading(column)}")
        self.cell.set_value("" if is_missing(text) else text)
        self._tell_tools()

    def _row(self, index: int) -> dict[str, str]:
        if self.table is None or index not in self.table.indices:
            return {}
        return self.table.rows[self.table.indices.index(index)]

    async def _edited(self, event: GenericEventArguments) -> None:
        index, column = event.args["data"][KEY], event.args["colId"]
        after = event.args.get("newValue")
        await self.save([Edit(index, column, self._row(index).get(column), str(after or ""))])

    async def _from_bar(self) -> None:
        if self.at is not None:
            index, column = self.at
            before = self._row(index).get(column)
            await self.save([Edit(index, column, before, str(self.cell.value or ""))])

    async def save(self, edits: Sequence[Edit], *, undoing: bool = False) -> None:
        """Write edits into the file; one that is refused leaves everything as it was."""
        wanted = [one for one in edits if (one.before or "None") != (one.after or "None")]
        if not wanted or not may_act():
            return
        wanted = await self._asked(wanted)
        try:
            table = await asyncio.to_thread(edit, self.project, self.path, wanted)
        except (InputError, OSError) as error:
            refuse(str(error))
            await self.show()
            return
        if not undoing:
            self.undo.append([one.undone() for one in reversed(wanted)])
        self._take(table)
        if self.at is not None:
            self._point(*self.at)
        ui.notify(t("table.saved"), type="positive", timeout=1500)

    async def _asked(self, edits: list[Edit]) -> list[Edit]:
        """Ask about values of defocus that seem to be in micrometres."""
        better = in_angstrom(edits[0].column, [one.after for one in edits])
        if better is None:
            return edits
        with ui.dialog() as dialog, ui.card():
            ui.label(t("table.micrometres", given=edits[0].after, meant=better[0]))
            with ui.row().classes("w-full justify-end"):
                ui.button(t("form.no"), on_click=lambda: dialog.submit(False)).props("flat")
                ui.button(t("form.yes"), on_click=lambda: dialog.submit(True))
        if not await dialog:
            return edits
        return [
            Edit(one.index, one.column, one.before, text)
            for one, text in zip(edits, better, strict=True)
        ]

    async def _choose_file(self) -> None:
        if self.at is None:
            return
        index, column = self.at
        chosen = await Browser(self.project, self._row(index).get(column, ""), False, ())
        if chosen is not None:
            await self.save([Edit(index, column, self._row(index).get(column), chosen)])

    def _view(self) -> None:
        if self.at is not None and self.table is not None and self.open_volume is not None:
            self.open_volume(self.table, *self.at)

    async def _fill(self) -> None:
        if self.table is not None:
            edits = await fill_column(self.table, self.at[1] if self.at else "rlnDefocus")
            await self.save(edits or [])

    async def _undo(self) -> None:
        if self.undo:
            await self.save(self.undo.pop(), undoing=True)

    def _type(self, begins: bool) -> None:
        self.editing = begins

    async def _look(self) -> None:
        """Notice that somebody else changed the table, but take no cell from who types in it."""
        if self.editing or await asyncio.to_thread(state_of, self.path) == self.state:
            return
        await self.show()
        ui.notify(t("table.changed"), type="info")


def _absent(table: Table) -> list[str]:
    """A sentence on the files that the table names and that are not there."""
    cells = dict(zip(table.indices, table.rows, strict=True))
    names = list(dict.fromkeys(cells[index][column] for index, column in sorted(table.missing)))
    if not names:
        return []
    more = ", \N{HORIZONTAL ELLIPSIS}" if len(names) > MOST_NAMED else ""
    return [t("table.absent", count=len(names), names=", ".join(names[:MOST_NAMED]) + more)]
