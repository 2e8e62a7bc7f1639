"""Settings of other programs that show volumes: their commands, and whether they are here."""

import asyncio
import shutil

from nicegui import ui

from isonet2.errors import InputError
from isonet2.gui import open_in
from isonet2.gui.project import Project
from isonet2.gui.words import t


class ViewerSettings:
    """A card with a command for each program, remembered of the person.

    Parameters
    ----------
    project
        The folder of the pages.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.boxes: dict[str, ui.input] = {}
        self.said: dict[str, ui.label] = {}
        with ui.element("section").classes("isonet-card"):
            ui.label(t("settings.viewers")).classes("isonet-title")
            ui.label(t("settings.viewers_help", file=open_in.FILE)).classes("isonet-soft")
            self.body = ui.column().classes("w-full gap-2 q-mt-sm")

    async def show(self) -> None:
        """Read what was chosen, and show it."""
        texts = await asyncio.to_thread(open_in.chosen, self.project.user)
        with self.body:
            for name, text in texts.items():
                with ui.column().classes("w-full gap-0"):
                    label = t("settings.viewer_own") if name == open_in.OWN else name
                    box = ui.input(label, value=text).without_auto_validation()
                    box.props("outlined dense stack-label spellcheck=false autocomplete=off")
                    self.boxes[name] = box.classes("w-full isonet-mono").mark(f"viewer-{name}")
                    self.said[name] = ui.label().classes("isonet-soft isonet-small")
            save = ui.button(t("settings.save"), on_click=self._save).props("outline no-caps")
            save.mark("save-viewers")
        await self._look()

    async def _save(self) -> None:
        texts = {name: str(box.value or "").strip() for name, box in self.boxes.items()}
        if await self._look():
            await asyncio.to_thread(open_in.keep, self.project.user, texts)
            ui.notify(t("settings.saved"), type="positive")

    async def _look(self) -> bool:
        """Say below each command whether its program is here; whether all can be kept."""
        fine = True
        for name, box in self.boxes.items():
            said, box.error = t("settings.viewer_none"), None
            try:
                words = open_in.words_of(str(box.value or "").strip())
            except InputError as error:
                said, box.error, fine = "", str(error), False
            else:
                if words:
                    there = await asyncio.to_thread(shutil.which, words[0])
                    said = there or t("view.not_found", program=words[0])
            self.said[name].set_text(said)
        return fine
