"""A window that fills a column of the table: one value for all, or a pasted list."""

from nicegui import ui

from isonet2.errors import InputError
from isonet2.gui.table import FIXED, Edit, Table, column_edits, heading, split_values
from isonet2.gui.words import t


async def fill_column(table: Table, column: str) -> list[Edit] | None:
    """Ask for a column and its values.

    Parameters
    ----------
    table
        As it is shown.
    column
        The one to begin with.

    Returns
    -------
    list of Edit or None
        None where the person thought better of it.
    """
    columns = {name: heading(name) for name in table.columns if name not in FIXED}
    with ui.dialog() as dialog, ui.card().classes("isonet-paste"):
        ui.label(t("table.fill")).classes("isonet-title")
        chosen = ui.select(
            columns, label=t("table.column"), value=column if column in columns else None
        )
        chosen.props("outlined dense options-dense").classes("w-full")
        ui.label(t("table.fill_help", count=len(table.rows))).classes("isonet-soft")
        values = (
            ui.textarea(t("table.values")).props("outlined autofocus").classes("w-full isonet-mono")
        )

        def fill() -> None:
            try:
                dialog.submit(
                    column_edits(table, chosen.value or "", split_values(values.value or ""))
                )
            except InputError as error:
                values.error = str(error)

        with ui.row().classes("w-full justify-end"):
            ui.button(t("command.cancel"), on_click=lambda: dialog.submit(None)).props("flat")
            ui.button(t("table.fill_do"), on_click=fill)
    return await dialog
