"""What can be done with a job: cancel, run again, copy, use its network, remove."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from nicegui import ui

from isonet2.data.run_folder import networks
from isonet2.errors import InputError
from isonet2.gui.forms import PREPARE, STEPS
from isonet2.gui.overview import TRAININGS, bytes_in_words
from isonet2.gui.project import Project
from isonet2.gui.shell import may_act, refuse
from isonet2.gui.words import t
from isonet2.jobs import Job, Jobs


class JobActions:
    """A row of buttons, those that mean something as the job stands.

    Parameters
    ----------
    project
        The folder of the pages.
    changed
        Called with the key to show after something was done.
    """

    def __init__(self, project: Project, changed: Callable[[str], Awaitable[None]]) -> None:
        self.jobs, self.project, self.changed = Jobs(project.folder), project, changed
        self.job: Job | None = None
        self.row = ui.row().classes("items-center isonet-buttons")
        with self.row:
            self.buttons = {
                "cancel": self._button("stop", "cancel", self._cancel, "outline color=negative"),
                "retry": self._button("replay", "retry", self._retry, "outline"),
                "more": self._button("fast_forward", "more", self._more, "outline"),
                "predict": self._button("auto_awesome", "predict", self._predict, "outline"),
                "clone": self._button("content_copy", "clone", self._clone, "outline"),
                "star": self._button("star_border", "star", self._star, "flat"),
                "rename": self._button("edit", "rename", self._rename, "flat"),
                "remove": self._button("delete", "remove", self._remove, "flat color=negative"),
            }
        self.row.set_visibility(False)
        if not may_act():
            self.row.clear()
            self.buttons = {}

    def _button(self, icon: str, key: str, action: Callable[[], Any], look: str) -> ui.button:
        button = ui.button(t(f"act.{key}"), icon=icon, on_click=action)
        return button.props(f"dense no-caps {look}").mark(f"act-{key}")

    def show(self, job: Job) -> None:
        """Offer what the job allows by now."""
        self.job = job
        if not self.buttons:
            return
        self.row.set_visibility(True)
        training = job.kind in TRAININGS
        trained = training and bool(networks(job.results))
        shown = {
            "cancel": not job.has_ended,
            "retry": job.has_ended and job.status not in ("succeeded", "skipped"),
            "more": training and job.status == "succeeded",
            "predict": training and (trained or not job.has_ended),
            "clone": (job.kind in STEPS or job.kind == PREPARE) and bool(job.parameters),
            "star": True,
            "rename": True,
            "remove": job.has_ended,
        }
        for key, visible in shown.items():
            self.buttons[key].set_visibility(visible)
        self.buttons["star"].set_text(t("act.unstar" if job.starred else "act.star"))
        self.buttons["star"].props(f"icon={'star' if job.starred else 'star_border'}")
        self.buttons["retry"].set_text(t("act.continue" if trained else "act.retry"))

    async def _do(self, action: Callable[[], Any], said: str, key: str) -> None:
        """Do something in a thread, and say how it went."""
        try:
            await asyncio.to_thread(action)
        except (InputError, OSError) as error:
            refuse(str(error))
            return
        ui.notify(said, type="positive")
        await self.changed(key)

    async def _asked(self, question: str, yes: str) -> bool:
        with ui.dialog() as dialog, ui.card():
            ui.label(question)
            with ui.row().classes("w-full justify-end"):
                ui.button(t("act.keep"), on_click=lambda: dialog.submit(False)).props(
                    "flat no-caps"
                )
                button = ui.button(yes, on_click=lambda: dialog.submit(True))
                button.props("no-caps color=negative").mark("yes")
        return bool(await dialog)

    async def _cancel(self) -> None:
        job = self._known()
        if await self._asked(t("act.cancel_ask", place=job.place), t("act.cancel")):
            await self._do(
                lambda: self.jobs.cancel(job.number), t("act.cancelled"), str(job.number)
            )

    async def _retry(self) -> None:
        job = self._known()
        await self._do(lambda: self.jobs.retry(job.number), t("act.again"), str(job.number))

    async def _remove(self) -> None:
        job = self._known()
        size = await asyncio.to_thread(_size, job)
        words = t("act.remove_ask", place=job.place, size=bytes_in_words(size))
        if await self._asked(words, t("act.remove")):
            await self._do(lambda: self.jobs.remove(job.number), t("act.removed"), "")

    async def _star(self) -> None:
        """Give it a star, or take it away; the list follows by itself."""
        job = self._known()
        try:
            self.show(await asyncio.to_thread(self.jobs.edit, job.number, starred=not job.starred))
        except (InputError, OSError) as error:
            refuse(str(error))

    async def _rename(self) -> None:
        job = self._known()
        with ui.dialog() as dialog, ui.card():
            name = ui.input(t("submit.name"), value=job.name).props("outlined dense autofocus")
            priority = ui.number(t("submit.priority"), value=job.priority, precision=0)
            priority.props("outlined dense").classes("w-full")
            priority.set_visibility(job.status == "queued")
            name.on("keydown.enter", lambda: dialog.submit(True))
            with ui.row().classes("w-full justify-end"):
                ui.button(t("command.cancel"), on_click=lambda: dialog.submit(False)).props("flat")
                ui.button(t("settings.save"), on_click=lambda: dialog.submit(True)).mark("yes")
        if await dialog:
            chosen = str(name.value or "").strip(), int(priority.value or 0)
            await self._do(
                lambda: self.jobs.edit(job.number, name=chosen[0], priority=chosen[1]),
                t("settings.saved"), str(job.number),
            )  # fmt: skip

    def _more(self) -> None:
        self._go(self._known().kind, {"clone": self._known().number, "resume": 1})

    def _clone(self) -> None:
        kind = self._known().kind
        self._go("prepare" if kind == PREPARE else kind, {"clone": self._known().number})

    def _predict(self) -> None:
        self._go("predict", {"model_of": self._known().number})

    def _go(self, step: str, query: dict[str, object]) -> None:
        ui.navigate.to(f"/{step}?{urlencode(query)}")

    def _known(self) -> Job:
        if self.job is None:
            raise InputError(t("jobs.choose"))
        return self.job


def _size(job: Job) -> int:
    return sum(path.stat().st_size for path in job.folder.rglob("*") if path.is_file())
