"""The buttons under a form that make a job of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui

from isonet2.errors import InputError
from isonet2.gui.components.needs_view import NeedsView
from isonet2.gui.forms import Form
from isonet2.gui.project import Project
from isonet2.gui.shell import may_act
from isonet2.gui.words import t
from isonet2.jobs import Jobs
from isonet2.jobs.lanes import LOCAL, names

REQUEST = ("partition", "cpus", "memory", "time", "extra")
"""What a scheduler may be asked for besides GPUs."""


class SubmitBar:
    """Submit (In Queue) and Submit (Run Immediately); or Look and Run, where there is no queue.

    Above those that may wait stands what the job needs.

    Parameters
    ----------
    project
        The folder in which jobs run.
    form
        What they run.
    queue
        Whether jobs may wait in the queue.
    look
        Looks at the input first; whether all is well with it.
    """

    def __init__(
        self,
        project: Project,
        form: Form,
        *,
        queue: bool = True,
        look: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self.project, self.form, self.look = project, form, look
        self.buttons: list[ui.button] = []
        self.needs: NeedsView | None = None
        if not may_act():
            return
        with ui.element("section").classes("isonet-actions"):
            self.problem = ui.label().classes("text-negative isonet-lines").props("role=alert")
            if queue:
                self.needs = NeedsView(project, form, lambda: self.lane.value or LOCAL)
            with ui.row().classes("items-center w-full"):
                if queue:
                    self.name = (
                        ui.input(t("submit.name")).props("outlined dense").classes("isonet-name")
                    )
                    self._more()
                    ui.space()
                    self._button("playlist_add", "submit.queue", now=False)
                    self._button("play_arrow", "submit.now", now=True).props("outline")
                else:
                    ui.space()
                    ui.button(t("submit.look"), icon="search", on_click=look).props(
                        "outline no-caps"
                    )
                    self._button("play_arrow", "submit.run", now=True)

    def _more(self) -> None:
        """What few people set: where, how many GPUs, after which jobs, how urgent."""
        with (
            ui.button(t("submit.more"), icon="more_horiz").props("flat no-caps"),
            ui.menu(),
            ui.column().classes("q-pa-md isonet-more"),
        ):
            self.lane = ui.select(
                names(self.project.folder), label=t("submit.lane"), value=LOCAL,
                on_change=self._look_again,
            )  # fmt: skip
            self.request = {
                key: ui.input(t(f"submit.{key}")).bind_visibility_from(
                    self.lane, "value", lambda lane: lane != LOCAL
                )
                for key in REQUEST
            }
            self.gpus = ui.number(t("submit.gpus"), min=0, precision=0)
            self.gpus.props(f'placeholder="{t("form.auto")}"')
            self.after = ui.input(t("submit.after")).props('placeholder="3,5"')
            self.priority = ui.number(t("submit.priority"), value=0, precision=0)
            for widget in (
                self.lane, *self.request.values(), self.gpus, self.after, self.priority
            ):  # fmt: skip
                widget.props("outlined dense stack-label").classes("w-full")

    def _button(self, icon: str, key: str, *, now: bool) -> ui.button:
        async def press() -> None:
            await self._submit(now)

        button = ui.button(t(key), icon=icon, on_click=press).props("no-caps")
        self.buttons.append(button)
        return button

    def allow(self, right: bool) -> None:
        """Let the form be submitted only while nothing is wrong with it."""
        for button in self.buttons:
            button.set_enabled(right)
        self._look_again()

    def _look_again(self) -> None:
        """See what the job needs by now."""
        if self.needs is not None:
            self.needs.changed()

    def _options(self, now: bool) -> dict[str, Any]:
        """What `Jobs.submit` is told besides the parameters."""
        if not hasattr(self, "lane"):
            return {"now": now}
        text = str(self.after.value or "").replace(",", " ").split()
        if not all(part.isdecimal() for part in text):
            raise InputError(t("submit.after_wrong"))
        gpus = self.gpus.value
        return {
            "name": str(self.name.value or "").strip(),
            "now": now,
            "lane": self.lane.value or LOCAL,
            "request": self._request(),
            "number_of_gpus": None if gpus is None else int(gpus),
            "after": tuple(map(int, text)),
            "priority": int(self.priority.value or 0),
        }

    def _request(self) -> dict[str, str]:
        """What the lane is asked for, where it is not this machine."""
        if self.lane.value == LOCAL:
            return {}
        told = {key: str(widget.value or "").strip() for key, widget in self.request.items()}
        return {key: text for key, text in told.items() if text}

    async def _submit(self, now: bool) -> None:
        parameters, problems = self.form.check()
        if parameters is None:
            self.problem.set_text("\n".join(problems.values()))
            return
        for button in self.buttons:
            button.props("loading")
        try:
            options = self._options(now)
            if self.look is not None and not await self.look():
                return
            jobs = Jobs(self.project.folder)
            job = await asyncio.to_thread(jobs.submit, parameters, **options)
            step = self.form.model.command
            await asyncio.to_thread(self.project.settings.put, f"form.{step}", self.form.remember())
        except (InputError, OSError) as error:
            self.problem.set_text(str(error))
            return
        finally:
            for button in self.buttons:
                button.props(remove="loading")
        self.problem.set_text("")
        ui.navigate.to(f"/jobs?job={job.number}")
