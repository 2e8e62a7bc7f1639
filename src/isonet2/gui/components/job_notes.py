"""Notes and tags that people write on a job."""

import asyncio
from typing import Any

from nicegui import ui

from isonet2.errors import InputError
from isonet2.gui.shell import may_act, refuse
from isonet2.gui.words import t
from isonet2.jobs import Job, Jobs


class JobNotes:
    """A card with the notes of a job, saved when one leaves it, and its tags.

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
            self.tags = ui.input_chips(
                t("jobs.tags"), value=list(job.tags), new_value_mode="add-unique"
            )
            self.tags.props(f'outlined dense hint="{t("jobs.tags_help")}"').mark("tags")
            self.tags.classes("w-full q-mt-sm")
        if may_act():
            self.text.on("blur", self._save)
            self.tags.on_value_change(self._save_tags)
        else:
            self.text.props("readonly")
            self.tags.props("readonly")

    async def _save_tags(self) -> None:
        await self._kept(tags=[str(tag) for tag in self.tags.value or ()])

    async def _save(self) -> None:
        text = str(self.text.value or "")
        if text == self.saved:
            return
        if await self._kept(notes=text):
            self.saved = text
            ui.notify(t("jobs.noted"), type="positive", timeout=1500)

    async def _kept(self, **news: Any) -> bool:
        """Write something on the job; whether that could be."""
        try:
            await asyncio.to_thread(self.jobs.edit, self.number, **news)
        except (InputError, OSError) as error:
            refuse(str(error))
            return False
        return True
