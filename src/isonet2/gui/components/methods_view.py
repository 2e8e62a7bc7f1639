"""A job for a paper: a paragraph of methods to copy, and the table that it ran on."""

import asyncio

from nicegui import ui

from isonet2.data.run_folder import TABLE
from isonet2.gui.api import file_address
from isonet2.gui.words import t
from isonet2.jobs import Job
from isonet2.jobs.methods import DONE, methods_of


class MethodsView:
    """A folded card; it is read when it is opened.

    Parameters
    ----------
    job
        Whose.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        if job.kind not in DONE or not job.parameters:
            return
        panel = ui.expansion(t("methods.title"), icon="article", on_value_change=self._show)
        with panel.classes("isonet-card isonet-fold"):
            self.text = ui.label().classes("isonet-lines w-full").mark("methods")
            with ui.row().classes("items-center q-mt-sm"):
                copy = ui.button(t("command.copy"), icon="content_copy", on_click=self._copy)
                table = ui.button(t("methods.table"), icon="download", on_click=self._download)
                for button in (copy, table):
                    button.props("flat dense no-caps size=sm")
            table.set_visibility((job.folder / TABLE).is_file())

    async def _show(self) -> None:
        self.text.set_text(await asyncio.to_thread(methods_of, self.job))

    def _copy(self) -> None:
        ui.clipboard.write(self.text.text)
        ui.notify(t("command.copied"), type="positive")

    def _download(self) -> None:
        name = f"{self.job.place.replace('/', '_')}_{TABLE}"
        ui.download(file_address(self.job.folder / TABLE), name)
