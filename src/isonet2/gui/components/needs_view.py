"""What the job of a form will need, beside the buttons that make it, and whether it is there."""

import asyncio
from collections.abc import Callable

from nicegui import background_tasks, ui

from isonet2.gui.forms import Form
from isonet2.gui.needs import Device, Disk, device_of, disk_of
from isonet2.gui.overview import bytes_in_words
from isonet2.gui.project import Project
from isonet2.gui.words import t
from isonet2.parameters.base import Parameters

PAUSE = 0.3
"""Seconds after a change in which further ones are waited for."""


class NeedsView:
    """Lines that follow the form; what does not suffice is a warning, and hinders nobody.

    Parameters
    ----------
    project
        The folder in which the job would run.
    form
        What it would run.
    lane
        Says where.
    """

    def __init__(self, project: Project, form: Form, lane: Callable[[], str]) -> None:
        self.project, self.form, self.lane = project, form, lane
        self.wanted: tuple[Parameters, str] | None = None
        self.shown: tuple[Parameters, str] | None = None
        self.busy = False
        self.box = ui.column().classes("w-full gap-1").props("role=status").mark("needs")

    def changed(self) -> None:
        """Look again, once nothing changes any more."""
        parameters, _ = self.form.check()
        self.wanted = None if parameters is None else (parameters, self.lane())
        if not self.busy:
            background_tasks.create(self._follow(), name="needs of a job")

    async def _follow(self) -> None:
        self.busy = True
        try:
            while self.wanted != self.shown:
                await asyncio.sleep(PAUSE)
                wanted = self.wanted
                lines = [] if wanted is None else await asyncio.to_thread(self._lines, *wanted)
                if self.box.is_deleted:
                    return
                self._show(lines)
                self.shown = wanted
        finally:
            self.busy = False

    def _lines(self, parameters: Parameters, lane: str) -> list[tuple[str, bool]]:
        """Sentences, and whether all is well with what each says."""
        disk, device = disk_of(self.project, parameters), device_of(self.project, parameters, lane)
        lines = []
        if disk is not None:
            lines.append((_of_disk(disk, self.project), disk.suffices))
        if device is not None:
            lines.append((_of_device(device), device.suffices))
        return lines

    def _show(self, lines: list[tuple[str, bool]]) -> None:
        self.box.clear()
        with self.box:
            for text, well in lines:
                with ui.row().classes("isonet-need no-wrap" + " short" * (not well)):
                    ui.icon("info" if well else "warning").props("aria-hidden=true")
                    ui.label(text)


def _of_disk(disk: Disk, project: Project) -> str:
    place = project.folder.name if disk.place == project.folder else project.told(disk.place)
    one = disk.tomograms == 1
    return t(
        "needs.disk" if disk.suffices else "needs.disk_short",
        size=bytes_in_words(disk.needed),
        tomograms=t("needs.one" if one else "needs.many", count=disk.tomograms),
        free=bytes_in_words(disk.free), place=place,
    )  # fmt: skip


def _of_device(device: Device) -> str:
    if not device.name:
        return t("needs.no_gpu")
    free = t("gpus.unknown") if device.free is None else bytes_in_words(device.free)
    if device.needed is None:
        return t("needs.gpu", gpu=device.name, free=free)
    return t(
        "needs.gpu_like" if device.suffices else "needs.gpu_short",
        gpu=device.name, free=free, size=bytes_in_words(device.needed), job=device.like,
    )  # fmt: skip
