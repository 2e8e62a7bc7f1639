"""Loss curves of trainings, as they grow, several runs laid over each other."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nicegui import ui

from isonet2.data.run_folder import histories
from isonet2.gui.api import file_address
from isonet2.gui.pace import regularly
from isonet2.gui.run_files import CURVES, curves, smoothed
from isonet2.gui.words import t

EVERY = 2.0
COLOURS = {
    "loss": "#17609f", "n2n": "#1f9d8a", "mw": "#b86e00",
    "held_out": "#8a3fbf", "held_out_n2n": "#5bbf3f", "held_out_mw": "#d1495b",
}  # fmt: skip
TWO_LINES = 4
"""As many names have room below the curves; more are turned over like pages."""
DASHES = ("solid", "dashed", "dotted", [12, 3, 3, 3])


class Curves:
    """A card with the curves of a run.

    Parameters
    ----------
    folder
        Of the run.
    others
        Further runs that may be laid over it: folder and name.
    laid
        Folders of those that are so from the beginning.
    """

    def __init__(self, folder: Path, others: Mapping[str, str], laid: Sequence[str] = ()) -> None:
        self.folder = folder
        self.told: tuple[Any, ...] | None = None
        with ui.element("section").classes("isonet-card isonet-half"):
            with ui.row().classes("items-center w-full"):
                ui.label(t("curves.title")).classes("isonet-title")
                ui.space()
                self.csv = ui.button(t("curves.csv"), icon="download", on_click=self._download)
                self.csv.props("flat dense no-caps size=sm")
            with ui.row().classes("items-center w-full"):
                self.log = ui.switch(t("curves.log"), value=True, on_change=self._again)
                self.smooth = ui.switch(t("curves.smooth"), on_change=self._again)
                for switch in (self.log, self.smooth):
                    switch.props("dense")
            self.others = ui.select(
                dict(others), label=t("curves.overlay"), value=list(laid), multiple=True,
                on_change=self._again,
            )  # fmt: skip
            self.others.props("outlined dense options-dense use-chips").classes("w-full")
            self.others.set_visibility(bool(others))
            self.chart = ui.echart(_options()).classes("isonet-chart").mark("curves")
            self.empty = ui.label(t("curves.none")).classes("isonet-soft")
        regularly(EVERY, self.look)

    async def _again(self) -> None:
        self.told = None
        await self.look()

    def _download(self) -> None:
        for path in histories(self.folder):
            ui.download(file_address(path), path.name)

    async def look(self) -> None:
        """Draw anew when a history has grown."""
        folders = [self.folder, *map(Path, self.others.value or [])]
        state = await asyncio.to_thread(_state, folders)
        if state == self.told:
            return
        self.told = state
        runs = [await asyncio.to_thread(curves, folder) for folder in folders]
        series = [
            line
            for number, run in enumerate(runs)
            for name, columns in run.items()
            for line in _lines(
                name if len(run) > 1 else "", columns, number, self._prefix(folders, number)
            )
        ]
        if self.smooth.value:
            for line in series:
                line["data"] = smoothed(line["data"])
        self.chart.options["series"] = series
        self.chart.options["legend"]["type"] = "plain" if len(series) <= TWO_LINES else "scroll"
        self.chart.options["yAxis"]["type"] = "log" if self.log.value else "value"
        self.chart.update()
        self.chart.set_visibility(bool(series))
        self.empty.set_visibility(not series)
        self.csv.set_visibility(bool(runs[0]))

    def _prefix(self, folders: list[Path], number: int) -> str:
        return "" if number == 0 and len(folders) == 1 else f"{folders[number].name} "


def _state(folders: list[Path]) -> tuple[Any, ...]:
    found = [path for folder in folders for path in histories(folder)]
    return tuple((str(path), path.stat().st_mtime_ns) for path in found)


def _lines(
    part: str, columns: Mapping[str, list[float]], number: int, prefix: str
) -> list[dict[str, Any]]:
    """One line for each column that says anything."""
    lines = []
    for name in CURVES:
        values = columns.get(name, [])
        points = [
            [epoch, value]
            for epoch, value in zip(columns["epoch"], values, strict=False)
            if math.isfinite(value) and value > 0
        ]
        if points:
            label = prefix + t(f"curves.{name}") + (f" ({part})" if part else "")
            lines.append(
                {
                    "name": label,
                    "type": "line",
                    "data": points,
                    "showSymbol": len(points) < 40,
                    "symbolSize": 5,
                    "color": COLOURS[name],
                    "lineStyle": {"type": DASHES[number % len(DASHES)], "width": 2},
                }
            )
    return lines


def _options() -> dict[str, Any]:
    grey = "#7a8a99"
    axis = {
        "nameTextStyle": {"color": grey},
        "axisLabel": {"color": grey},
        "nameLocation": "middle",
    }
    return {
        "animation": False,
        "aria": {"enabled": True},
        "grid": {"left": 64, "right": 18, "top": 16, "bottom": 84},
        "legend": {
            "bottom": 0, "textStyle": {"color": grey},
            "pageTextStyle": {"color": grey}, "pageIconColor": grey,
            "pageIconInactiveColor": "#7a8a9966",
        },
        "tooltip": {"trigger": "axis"},
        "xAxis": {
            **axis, "type": "value", "name": t("curves.epoch"), "nameGap": 26, "minInterval": 1,
            "min": "dataMin", "max": "dataMax", "splitLine": {"show": False},
        },
        "yAxis": {
            **axis, "type": "log", "name": t("curves.value"), "nameGap": 50, "scale": True,
            "splitLine": {"lineStyle": {"color": "#8a9aa833"}},
        },
        "series": [],
    }  # fmt: skip
