"""The page of settings: jobs, lanes, viewers, data folders, appearance, notifications, trash."""

import asyncio
from pathlib import Path

from nicegui import ui

from isonet2.errors import InputError
from isonet2.gui.components.lane_editor import LaneEditor
from isonet2.gui.components.run_settings import RunSettings
from isonet2.gui.components.viewer_settings import ViewerSettings
from isonet2.gui.overview import bytes_in_words
from isonet2.gui.project import Project
from isonet2.gui.shell import THEMES, frame, heading, may_act, refuse
from isonet2.gui.trash import empty, trash_of
from isonet2.gui.words import LANGUAGES, language, speak, t
from isonet2.jobs import lanes
from isonet2.parameters import package_version


def register(project: Project) -> None:
    """Make the page known."""

    @ui.page("/settings")
    async def page() -> None:
        with frame(project, "settings"):
            heading(
                t("page.settings"),
                t("settings.version", version=package_version(), folder=project.folder),
            )
            if may_act():
                await RunSettings(project).show()
                await _lanes(project)
                await ViewerSettings(project).show()
                _roots(project)
                _look(project)
                _notifications(project)
                await _trash(project)


async def _lanes(project: Project) -> None:
    """The lanes that there are, each with a button that asks its scheduler; and their files."""

    async def test(name: str) -> None:
        try:
            lane = await asyncio.to_thread(lanes.load, name, project.folder)
            answer = await asyncio.to_thread(lane.ask)
        except InputError as error:
            refuse(str(error))
            return
        ui.notify(t("settings.answers", lane=name, count=len(answer)), type="positive")

    own, mine, _ = lanes.folders(project.folder)
    with ui.element("section").classes("isonet-card"):
        ui.label(t("settings.lanes")).classes("isonet-title")
        ui.label(t("settings.lanes_help", folder=project.told(own), own=mine)).classes(
            "isonet-soft"
        )
        with ui.row().classes("items-center"):
            for name in lanes.names(project.folder):
                if name != lanes.LOCAL:
                    button = ui.button(
                        f"{t('settings.test')} {name}", icon="wifi_tethering",
                        on_click=lambda name=name: test(name),
                    )  # fmt: skip
                    button.props("outline no-caps dense")
        await LaneEditor(project).show()


def _roots(project: Project) -> None:
    with ui.element("section").classes("isonet-card"):
        ui.label(t("settings.data")).classes("isonet-title")
        ui.label(t("settings.data_help")).classes("isonet-soft")
        text = ui.textarea(
            t("settings.data"), value="\n".join(project.settings.get("roots", ()))
        ).props("outlined autogrow dense stack-label")
        text.classes("w-full isonet-mono").mark("roots")

        async def save() -> None:
            wanted = [line.strip() for line in str(text.value or "").splitlines() if line.strip()]
            for folder in wanted:
                if not await asyncio.to_thread(Path(folder).expanduser().is_dir):
                    text.error = t("settings.no_folder", folder=folder)
                    return
            text.error = None
            await asyncio.to_thread(project.settings.put, "roots", wanted or None)
            ui.notify(t("settings.saved"), type="positive")

        ui.button(t("settings.save"), on_click=save).props("no-caps").mark("save-roots")


def _look(project: Project) -> None:
    async def speak_in(code: str) -> None:
        await asyncio.to_thread(project.user.put, "language", code)
        speak(code)
        ui.navigate.reload()

    async def paint(name: str) -> None:
        await asyncio.to_thread(project.user.put, "theme", name)
        ui.navigate.reload()

    with ui.element("section").classes("isonet-card"):
        ui.label(t("settings.look")).classes("isonet-title")
        with ui.row().classes("items-center"):
            ui.select(
                LANGUAGES, label=t("shell.language"), value=language(),
                on_change=lambda event: speak_in(event.value),
            ).props("outlined dense").classes("isonet-name")  # fmt: skip
            ui.select(
                {name: t(f"theme.{name}") for name in THEMES}, label=t("shell.theme"),
                value=project.user.get("theme", "auto"), on_change=lambda event: paint(event.value),
            ).props("outlined dense").classes("isonet-name")  # fmt: skip


def _notifications(project: Project) -> None:
    async def turn(on: bool) -> None:
        await asyncio.to_thread(project.user.put, "notify", on)
        if on:
            ui.run_javascript("window.Notification && Notification.requestPermission()")

    with ui.element("section").classes("isonet-card"):
        ui.label(t("settings.notify")).classes("isonet-title")
        ui.switch(
            t("settings.browser"), value=bool(project.user.get("notify")),
            on_change=lambda event: turn(bool(event.value)),
        )  # fmt: skip


async def _trash(project: Project) -> None:
    found = await asyncio.to_thread(trash_of, project)
    size = bytes_in_words(found.size)

    async def clear() -> None:
        with ui.dialog() as dialog, ui.card():
            ui.label(t("settings.empty_ask", count=len(found.folders), size=size))
            with ui.row().classes("w-full justify-end"):
                ui.button(t("act.keep"), on_click=lambda: dialog.submit(False)).props(
                    "flat no-caps"
                )
                ui.button(t("settings.empty"), on_click=lambda: dialog.submit(True)).props(
                    "no-caps color=negative"
                )
        if await dialog:
            await asyncio.to_thread(empty, found)
            words.set_text(t("settings.emptied"))
            button.set_visibility(False)

    with ui.element("section").classes("isonet-card"):
        ui.label(t("settings.trash")).classes("isonet-title")
        words = ui.label(t("settings.trash_holds", count=len(found.folders), size=size))
        button = ui.button(t("settings.empty"), icon="delete_forever", on_click=clear)
        button.props("outline no-caps color=negative")
        button.set_visibility(bool(found.folders))
