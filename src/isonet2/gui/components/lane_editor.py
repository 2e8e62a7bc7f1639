"""Lanes of a project: their files written, checked, tried and kept."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nicegui import ui

from isonet2.errors import InputError
from isonet2.gui.project import Project
from isonet2.gui.words import t
from isonet2.jobs.own_lanes import (
    example,
    keep_lane,
    lane_in,
    own_lanes,
    place_of,
    remove_lane,
)

NEW = 'like: slurm\nrequest: {partition: gpu, cpus: 8, memory: 32G, time: "24:00:00"}\n'
"""What stands in the text of a lane that is begun."""


class LaneEditor:
    """The part of Settings in which lanes are made and changed.

    Parameters
    ----------
    project
        The folder of the pages.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        with ui.column().classes("w-full gap-3 q-mt-md"):
            with ui.row().classes("items-start w-full"):
                self.choice = ui.select(
                    {"": t("lanes.new")}, label=t("lanes.edit"), value="", on_change=self._load
                )
                self.choice.props("outlined dense options-dense").classes("isonet-name")
                self.choice.mark("lane-choice")
                self.name = ui.input(t("lanes.name")).props("outlined dense maxlength=40")
                self.name.classes("isonet-name").mark("lane-name")
                self.name.bind_visibility_from(self.choice, "value", lambda chosen: not chosen)
            self.text = ui.textarea(t("lanes.text"), value=NEW).without_auto_validation()
            self.text.props("outlined autogrow dense stack-label spellcheck=false")
            self.text.classes("w-full isonet-mono").mark("lane-text")
            with ui.row().classes("items-center"):
                self._button("lanes.try", "lane-try", "outline", self._try)
                self._button("settings.save", "lane-save", "", self._save)
                self._button(
                    "lanes.remove", "lane-remove", "flat color=negative", self._remove
                ).bind_visibility_from(self.choice, "value", bool)
            self.said = ui.label().props("role=status").classes("isonet-lines")
            self.script = ui.label().classes("isonet-command").mark("lane-script")
            self.script.set_visibility(False)

    async def show(self, chosen: str = "") -> None:
        """Offer the lanes that there are by now, with one of them chosen."""
        known = await asyncio.to_thread(own_lanes, self.project.folder)
        options = {"": t("lanes.new")} | {
            name: f"{name} ({self.project.told(path)})" for name, path in known.items()
        }
        self.choice.set_options(options, value=chosen if chosen in options else "")

    async def _load(self) -> None:
        """Show the file of the lane that is chosen."""
        self.text.error = None
        self.said.set_text("")
        self.script.set_visibility(False)
        chosen = str(self.choice.value or "")
        try:
            self.text.set_value(await asyncio.to_thread(self._read, chosen))
        except (OSError, ValueError) as error:
            self.text.error = str(error)

    def _read(self, lane: str) -> str:
        """The file of a lane; for one that is new, how it may begin."""
        path = own_lanes(self.project.folder).get(lane)
        return NEW if path is None else path.read_text(encoding="utf-8")

    def _place(self) -> Path:
        """The file that is written, by the name of its lane."""
        name = str(self.choice.value or self.name.value or "").strip()
        return place_of(name, self.project.folder)

    def _button(self, key: str, mark: str, look: str, work: Callable[[str], Any]) -> ui.button:
        """A button that does something with what is written, and says what is wrong with it."""

        async def press() -> None:
            self.text.error = None
            self.said.set_text("")
            button.props("loading")
            try:
                await work(str(self.text.value or ""))
            except (InputError, OSError) as error:
                self.text.error = str(error)
            finally:
                button.props(remove="loading")

        button = ui.button(t(key), on_click=press).props(f"no-caps {look}").mark(mark)
        return button

    async def _try(self, text: str) -> None:
        """Show the script of a job, and what the scheduler says of it; nothing is submitted."""
        name = str(self.choice.value or self.name.value or "").strip()
        lane = lane_in(text, Path(f"{name or 'lane'}.yaml"))
        job = example(self.project.folder)
        self.script.set_text(lane.text(job))
        self.script.set_visibility(True)
        if lane.trial:
            said = await asyncio.to_thread(lane.try_out, job)
            self.said.set_text(t("lanes.tried", said=said or "-"))
            return
        answer = await asyncio.to_thread(lane.ask)
        words = t("settings.answers", lane=lane.submit[0], count=len(answer))
        self.said.set_text(f"{t('lanes.untried', program=lane.submit[0])} {words}")

    async def _save(self, text: str) -> None:
        path = self._place()
        await asyncio.to_thread(keep_lane, text, path)
        await self.show(path.stem)
        ui.notify(t("settings.saved"), type="positive")

    async def _remove(self, text: str) -> None:
        name = str(self.choice.value)
        with ui.dialog() as dialog, ui.card():
            ui.label(t("lanes.remove_ask", lane=name))
            with ui.row().classes("w-full justify-end"):
                ui.button(t("act.keep"), on_click=lambda: dialog.submit(False)).props(
                    "flat no-caps"
                )
                ui.button(t("lanes.remove"), on_click=lambda: dialog.submit(True)).props(
                    "no-caps color=negative"
                ).mark("yes")
        if await dialog:
            await asyncio.to_thread(remove_lane, name, self.project.folder)
            await self.show()
