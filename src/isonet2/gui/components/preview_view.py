"""What a network restored while it was learning, with a slider through the epochs."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from nicegui import ui

from isonet2.data.run_folder import PreviewFile, previews
from isonet2.gui.api import file_address
from isonet2.gui.pace import regularly
from isonet2.gui.words import t

EVERY = 3.0


class PreviewView:
    """A card with the previews of a run.

    Parameters
    ----------
    folder
        Of the run.
    open_volume
        Called with a restored volume that a person wants to see.
    """

    def __init__(self, folder: Path, open_volume: Callable[[Path], None]) -> None:
        self.folder, self.open_volume = folder, open_volume
        self.previews: list[PreviewFile] = []
        self.drawn = ""
        with ui.element("section").classes("isonet-card isonet-half"):
            with ui.row().classes("items-center w-full"):
                ui.label(t("preview.title")).classes("isonet-title")
                ui.space()
                self.view = ui.button(t("preview.open"), icon="visibility", on_click=self._open)
                self.view.props("flat dense no-caps size=sm")
            self.name = ui.select([], on_change=self._show).props("outlined dense options-dense")
            self.picture = ui.element("img").classes("isonet-picture").mark("preview")
            with ui.row().classes("items-center w-full no-wrap"):
                self.epoch = ui.label().classes("isonet-epoch")
                self.slider = ui.slider(min=0, max=1, step=1, value=0, on_change=self._show)
                self.slider.props(f'snap aria-label="{t("preview.epoch")}"').classes("col")
            self.empty = ui.label(t("preview.none")).classes("isonet-soft")
        regularly(EVERY, self.look)

    async def look(self) -> None:
        """Notice new previews; the newest is shown while the slider stands at the end."""
        found = await asyncio.to_thread(previews, self.folder)
        if found == self.previews:
            self._visible()
            return
        at_end = not self.previews or self.slider.value >= len(self._mine()) - 1
        self.previews = found
        names = list(dict.fromkeys(preview.name for preview in found))
        self.name.set_options(names, value=self.name.value or (names[0] if names else None))
        self.name.set_visibility(len(names) > 1)
        last = max(0, len(self._mine()) - 1)
        self.slider.props(f"max={last}")
        if at_end:
            self.slider.set_value(last)
        self._show()
        self._visible()

    def _mine(self) -> list[PreviewFile]:
        return [preview for preview in self.previews if preview.name == self.name.value]

    def _visible(self) -> None:
        some = bool(self.previews)
        for element in (self.picture, self.slider, self.epoch, self.view):
            element.set_visibility(some)
        if not some:
            self.name.set_visibility(False)
        self.empty.set_visibility(not some)

    def _chosen(self) -> PreviewFile | None:
        mine = self._mine()
        return mine[min(int(self.slider.value or 0), len(mine) - 1)] if mine else None

    def _show(self) -> None:
        preview = self._chosen()
        if preview is None:
            return
        words = t("preview.at", epoch=preview.epoch)
        self.epoch.set_text(words)
        self.view.set_enabled(preview.volume is not None)
        source = file_address(preview.picture)
        if source != self.drawn:
            self.drawn = source
            self.picture.props.update(src=source, alt=f"{preview.name}, {words}")

    def _open(self) -> None:
        preview = self._chosen()
        if preview is not None and preview.volume is not None:
            self.open_volume(preview.volume)
