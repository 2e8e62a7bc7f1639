"""The tomograms that a new table would list, with what is wrong with them."""

import asyncio

from nicegui import ui

from isonet2.gui.forms import Form
from isonet2.gui.pairs import look
from isonet2.gui.words import t
from isonet2.parameters import PrepareStarParameters

COLUMNS = ("name", "files", "shape", "pixel_size")


class PairsView:
    """A card that stays hidden until somebody looks.

    Parameters
    ----------
    form
        Of `prepare_star`.
    """

    def __init__(self, form: Form) -> None:
        self.form = form
        with ui.element("section").classes("isonet-card") as self.card:
            self.title = ui.label().classes("isonet-title")
            self.busy = ui.linear_progress(show_value=False).props("indeterminate")
            self.problems = ui.column().classes("isonet-problems").props("role=alert")
            columns = [
                {"name": name, "label": t(f"pairs.{name}"), "field": name, "align": "left"}
                for name in COLUMNS
            ]
            self.table = ui.table(columns=columns, rows=[], row_key="name", pagination=10)
            self.table.props("flat dense").classes("w-full")
        self.card.set_visibility(False)

    async def look(self) -> bool:
        """List the tomograms; whether all is well with them."""
        parameters, _ = self.form.check()
        if not isinstance(parameters, PrepareStarParameters):
            return False
        self.card.set_visibility(True)
        self.busy.set_visibility(True)
        ui.run_javascript(f"getHtmlElement({self.card.id})?.scrollIntoView({{block: 'nearest'}})")
        self.title.set_text(t("pairs.looking"))
        pairs, problems = await asyncio.to_thread(look, parameters)
        self.busy.set_visibility(False)
        self.title.set_text(t("pairs.found", count=len(pairs)))
        self.table.rows = [{name: getattr(pair, name) for name in COLUMNS} for pair in pairs]
        self.table.set_visibility(bool(pairs))
        self.problems.clear()
        self.problems.set_visibility(bool(problems))
        with self.problems:
            for text in problems:
                ui.label(text)
        return not problems
