"""Notes that people write on a job."""

import asyncio

from nicegui import ui

from isonet2.errors import InputError
from isonet2.gui.shell import may_act, refuse
from isonet2.gui.words import t
from isonet2.jobs import Job, Jobs


class JobNotes:
    """A card with the notes of a job, saved when one leaves it.

    Parameters
    ----------
    jobs
        Of the project.
    job
        Which.
    """

    def __init__(self, jobs: Jobs, job: Job) -> None:
        self.jobs, self.number, self.saved = jobs, job.number, job.notes
        with ui.element("section").classes("isonet-card"):
            self.text = ui.textarea(t("jobs.notes"), value=job.notes)
            self.text.props("outlined autogrow").classes("w-full")
        if may_act():
            self.text.on("blur", self._save)
        else:
            self.text.props("readonly")

    async def _save(self) -> None:
        text = str(self.text.value or "")
        if text == self.saved:
            return
        try:
            await asyncio.to_thread(self.jobs.edit, self.number, notes=text)
        except (InputError, OSError) as error:
            refuse(str(error))
            return
        self.saved = text
        ui.notify(t("jobs.noted"), type="positive", timeout=1500)
