"""Folders outside the project, to be confirmed by who wants to see what lies in them."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from nicegui import ui

from isonet2.gui.project import Project
from isonet2.gui.shell import may_act
from isonet2.gui.words import t


def ask_to_confirm(project: Project, folders: Iterable[Path], then: Callable[[], Any]) -> None:
    """Say what lies outside, with a button for each folder; who only looks sees the sentence.

    Parameters
    ----------
    project
        The folder of the pages.
    folders
        Those to confirm.
    then
        Called when one was confirmed.
    """

    async def confirm(folder: Path) -> None:
        await asyncio.to_thread(project.confirm, folder)
        done = then()
        if done is not None:
            await done

    for folder in folders:
        with ui.element("div").classes("isonet-outside").props("role=alert"):
            ui.label(t("outside.lies", folder=folder)).classes("col")
            if may_act():
                button = ui.button(
                    t("outside.confirm"), icon="lock_open",
                    on_click=lambda folder=folder: confirm(folder),
                )  # fmt: skip
                button.props("outline no-caps").mark("confirm")
