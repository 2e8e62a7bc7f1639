"""Settings of the jobs: which program runs them, on which GPUs, and who is told of their end."""

import asyncio
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from nicegui import ui

from isonet2.errors import InputError
from isonet2.gui.project import Project
from isonet2.gui.words import t
from isonet2.jobs import gpus
from isonet2.jobs.settings import (
    Settings,
    keep_settings,
    settings_of,
    split_words,
    tell,
    version,
)

ENVIRONMENTS = Path(".conda/environments.txt")
"""Where conda lists a person's environments, in the home folder."""


def environments() -> list[str]:
    """Folders of conda environments that hold a Python."""
    try:
        lines = (Path.home() / ENVIRONMENTS).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [line for line in lines if line and (Path(line) / "bin" / "python").is_file()]


class RunSettings:
    """A card with these settings; each is tried before it is kept.

    Parameters
    ----------
    project
        The folder of the pages.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        with ui.element("section").classes("isonet-card"):
            ui.label(t("settings.jobs")).classes("isonet-title")
            self.body = ui.column().classes("w-full gap-3")

    async def show(self) -> None:
        """Read what was chosen, and show it."""
        chosen, known, there = await asyncio.to_thread(
            lambda: (settings_of(self.project.folder), environments(), gpus.visible())
        )
        with self.body:
            self._program(chosen, known)
            self._gpus(chosen, there)
            self._notify(chosen)

    def _program(self, chosen: Settings, known: list[str]) -> None:
        now = shlex.join(chosen.program)
        options = {"": t("settings.this_python", python=sys.executable), **{e: e for e in known}}
        options.setdefault(now, now)
        with ui.row().classes("items-start w-full no-wrap"):
            box = ui.select(
                options, label=t("settings.program"), value=now, with_input=True,
                new_value_mode="add-unique", key_generator=lambda text: text,
            )  # fmt: skip
            box.props("outlined dense options-dense stack-label").classes("col").mark("program")
            self._save_button(box, self._keep_program, "save-program")
        ui.label(t("settings.program_help")).classes("isonet-soft isonet-small")

    async def _keep_program(self, text: str) -> str:
        wanted = replace(settings_of(self.project.folder), program=split_words(text))
        said = await asyncio.to_thread(lambda: version(wanted.words()))
        await asyncio.to_thread(keep_settings, self.project.folder, wanted)
        return said

    def _gpus(self, chosen: Settings, there: tuple[gpus.Gpu, ...]) -> None:
        if not there:
            ui.label(t("settings.no_gpus")).classes("isonet-soft")
            return
        names = {str(gpu.number): f"{gpu.number}: {gpu.name}" for gpu in there}
        names |= {one: one for one in chosen.gpus if one not in names}

        async def keep(event: Any) -> None:
            wanted = replace(settings_of(self.project.folder), gpus=tuple(sorted(event.value)))
            await asyncio.to_thread(keep_settings, self.project.folder, wanted)
            ui.notify(t("settings.saved"), type="positive")

        box = ui.select(
            names, label=t("settings.gpus"), value=list(chosen.gpus), multiple=True, on_change=keep
        )
        box.props(f'outlined dense use-chips stack-label placeholder="{t("settings.all_gpus")}"')
        box.classes("w-full").mark("gpus")

    def _notify(self, chosen: Settings) -> None:
        with ui.row().classes("items-start w-full no-wrap"):
            box = ui.input(t("settings.command"), value=shlex.join(chosen.notify))
            box.props("outlined dense stack-label spellcheck=false").classes("col isonet-mono")
            box.without_auto_validation().mark("notify")
            self._save_button(box, self._keep_notify, "save-notify")
        ui.label(t("settings.command_help")).classes("isonet-soft isonet-small")

    async def _keep_notify(self, text: str) -> str:
        words = split_words(text)
        told = {
            "job": "refine/job000", "name": t("settings.try_name"), "status": "succeeded",
            "reason": "", "project": str(self.project.folder),
        }  # fmt: skip
        if words and (problem := await asyncio.to_thread(tell, words, told)):
            raise InputError(problem)
        wanted = replace(settings_of(self.project.folder), notify=words)
        await asyncio.to_thread(keep_settings, self.project.folder, wanted)
        return t("settings.saved")

    def _save_button(self, box: Any, keep: Callable[[str], Any], mark: str) -> None:
        """A button that tries what is written, keeps it and says so; or says what is wrong."""

        async def save() -> None:
            button.props("loading")
            try:
                said = await keep(str(box.value or "").strip())
            except (InputError, OSError) as error:
                box.error = str(error)
                return
            finally:
                button.props(remove="loading")
            box.error = None
            ui.notify(said, type="positive")

        button = ui.button(t("settings.try_save"), on_click=save).props("outline no-caps")
        button.mark(mark)
