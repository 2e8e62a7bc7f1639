"""The GPUs of this machine: who has each, and how much of its memory is free."""

import asyncio

from nicegui import ui

from isonet2.gui.overview import bytes_in_words
from isonet2.gui.pace import regularly
from isonet2.gui.words import t
from isonet2.jobs import gpus

EVERY = 10.0


class GpuList:
    """A row of GPUs that stays hidden where there are none."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.row = ui.row().classes("items-center w-full isonet-soft isonet-small")
        self.row.set_visibility(False)
        regularly(EVERY, self.look)

    async def look(self) -> None:
        """Notice who has come and gone."""
        found = await asyncio.to_thread(_lines)
        if found == self.told:
            return
        self.told = found
        self.row.set_visibility(bool(found))
        self.row.clear()
        with self.row:
            for line in found:
                ui.label(line).classes("isonet-gpu")


def _lines() -> list[str]:
    """One line for each GPU."""
    there = gpus.visible()
    room = gpus.free_memory() if there else {}
    lines = []
    for gpu in there:
        who = gpus.holder(gpu)
        words = [f"GPU {gpu.number}: {gpu.name}", who or t("gpus.free")]
        if gpu.id in room:
            words.append(t("gpus.room", size=bytes_in_words(room[gpu.id] * 2**20)))
        lines.append(" · ".join(words))
    return lines
