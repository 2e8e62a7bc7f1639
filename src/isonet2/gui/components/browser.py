"""Files and folders of the server to choose from, in a window over the page."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nicegui import ui

from isonet2.errors import InputError
from isonet2.gui.components.outside import ask_to_confirm
from isonet2.gui.project import OutsideError, Project
from isonet2.gui.words import t

MOST = 2000


@dataclass(frozen=True, slots=True)
class Listing:
    """What a folder holds."""

    folders: tuple[str, ...]
    files: tuple[str, ...]


def listing(folder: Path, suffixes: Sequence[str] = (), *, folders_only: bool = False) -> Listing:
    """Folders, and files with one of some endings, in a folder; hidden ones are left out.

    Raises
    ------
    InputError
        When it cannot be read.
    """
    try:
        entries = sorted(folder.iterdir(), key=lambda path: path.name.lower())
    except OSError as error:
        raise InputError(f"{folder} cannot be opened ({error.strerror}).") from error
    seen = [path for path in entries if not path.name.startswith(".")]
    folders = [path.name for path in seen if path.is_dir()]
    files = [
        path.name
        for path in seen
        if not folders_only and path.is_file() and (not suffixes or path.suffix.lower() in suffixes)
    ]
    return Listing(tuple(folders[:MOST]), tuple(files[:MOST]))


def browse_button(
    project: Project, widget: Any, *, folders: bool, suffixes: Sequence[str], either: bool = False
) -> None:
    """A button that lets one choose a path and puts it into `widget`; Cancel changes nothing."""

    async def choose() -> None:
        start = str(widget.value or "")
        chosen = await Browser(project, start, folders, suffixes, either=either)
        if chosen is not None:
            if isinstance(widget, ui.select) and chosen not in widget.options:
                widget.set_options({**dict(widget.options), chosen: chosen})
            widget.set_value(chosen)

    button = ui.button(icon="folder_open" if folders else "insert_drive_file").props(
        f'flat round dense size=sm aria-label="{t("form.browse")}"'
    )
    button.on("click.stop", choose)


class Browser(ui.dialog):
    """The window; awaiting it gives the path as the project writes it, or None."""

    def __init__(
        self,
        project: Project,
        start: str,
        folders_only: bool,
        suffixes: Sequence[str],
        *,
        either: bool = False,
    ) -> None:
        super().__init__()
        self.project, self.folders_only, self.suffixes = project, folders_only, suffixes
        self.folder = self._first(start)
        with self, ui.card().classes("isonet-browser"):
            with ui.row().classes("items-center no-wrap w-full"):
                ui.button(icon="arrow_upward", on_click=self._up).props(
                    f'flat round aria-label="{t("browse.up")}"'
                )
                self.where = ui.label().classes("isonet-mono ellipsis")
            self.list = ui.list().props("dense separator").classes("isonet-listing")
            with ui.row().classes("w-full justify-end"):
                ui.button(t("command.cancel"), on_click=lambda: self.submit(None)).props("flat")
                if folders_only or either:
                    ui.button(t("browse.choose_folder"), on_click=lambda: self._choose(self.folder))
        self.on("show", self._show)
        ui.timer(0, self._show, once=True)

    def _first(self, start: str) -> Path:
        """The folder to begin in: that of what is chosen already, or the project."""
        try:
            path = self.project.allowed(start or ".")
        except InputError:
            return self.project.folder
        while not path.is_dir() and path != path.parent:
            path = path.parent
        return path

    async def _show(self) -> None:
        self.where.set_text(self.project.told(self.folder))
        try:
            self.project.allowed(self.folder)
            found = await asyncio.to_thread(
                listing, self.folder, self.suffixes, folders_only=self.folders_only
            )
        except OutsideError as error:
            self.list.clear()
            with self.list:
                ask_to_confirm(self.project, (error.folder,), self._show)
            return
        except InputError as error:
            self.list.clear()
            with self.list, ui.item():
                ui.item_label(str(error))
            return
        self.list.clear()
        with self.list:
            if self.folder == self.project.folder:
                for root in self.project.allowed_roots()[1:]:
                    self._entry(str(root), "folder_special", lambda root=root: self._enter(root))
            for name in found.folders:
                self._entry(name, "folder", lambda name=name: self._enter(self.folder / name))
            for name in found.files:
                self._entry(name, "description", lambda name=name: self._choose(self.folder / name))
            if not found.folders and not found.files:
                with ui.item():
                    ui.item_label(t("browse.empty"))

    def _entry(self, name: str, icon: str, action: Any) -> None:
        with ui.item(on_click=action):
            with ui.item_section().props("avatar"):
                ui.icon(icon, color="primary" if icon != "description" else None)
            with ui.item_section():
                ui.item_label(name)

    async def _enter(self, folder: Path) -> None:
        self.folder = folder
        await self._show()

    async def _up(self) -> None:
        await self._enter(self.folder.parent)

    def _choose(self, path: Path) -> None:
        self.submit(self.project.told(path))
