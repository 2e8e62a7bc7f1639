"""Volumes and pictures that a command wrote, to be looked at."""

import asyncio
from pathlib import Path

from nicegui import ui

from isonet2.data.run_folder import pictures, reports, volumes
from isonet2.gui.api import file_address
from isonet2.gui.links import see
from isonet2.gui.overview import bytes_in_words
from isonet2.gui.pace import regularly
from isonet2.gui.project import Project
from isonet2.gui.words import t

EVERY = 4.0
MOST = 60


class ResultsView:
    """A card that stays hidden until there is something.

    Parameters
    ----------
    project
        The folder of the pages.
    folder
        Of the results.
    """

    def __init__(self, project: Project, folder: Path) -> None:
        self.project, self.folder = project, folder
        self.told: tuple[list[Path], ...] = ([], [], [])
        with ui.element("section").classes("isonet-card") as self.card:
            ui.label(t("results.title")).classes("isonet-title")
            self.body = ui.element("div").classes("isonet-results")
        self.card.set_visibility(False)
        regularly(EVERY, self.look)

    async def look(self) -> None:
        """Notice what was written."""
        found = await asyncio.to_thread(
            lambda: tuple(look(self.folder) for look in (volumes, pictures, reports))
        )
        if found == self.told:
            return
        self.told = found
        made, drawn, written = found
        self.card.set_visibility(any(found))
        self.body.clear()
        with self.body:
            for path in written:
                source = file_address(path, "report")
                ui.link(t("results.report", name=path.name), source, new_tab=True)
                frame = ui.element("iframe").classes("isonet-report")
                frame.props.update(src=source, title=path.name, sandbox="allow-scripts")
            for path in made[:MOST]:
                with ui.row().classes("items-center no-wrap isonet-result"):
                    ui.button(icon="visibility", on_click=lambda path=path: see(path)).props(
                        f'flat round dense aria-label="{t("preview.open")}"'
                    )
                    ui.label(path.name).classes("isonet-mono ellipsis")
                    ui.label(bytes_in_words(path.stat().st_size)).classes(
                        "isonet-soft isonet-small"
                    )
            for path in drawn[:MOST]:
                with ui.element("figure"):
                    source = file_address(path)
                    ui.element("img").props.update(src=source, alt=path.stem, loading="lazy")
                    with ui.element("figcaption"):
                        ui.label(path.stem)
