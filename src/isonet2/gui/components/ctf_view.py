"""The CTF of a tomogram beside the form that deals with it, and what the form makes of it."""

from typing import Any

from nicegui import background_tasks, run, ui

from isonet2.gui.components.live_preview import rows_in
from isonet2.gui.forms import PREPARE, Form
from isonet2.gui.live import PAINTER
from isonet2.gui.project import Project
from isonet2.gui.words import t

DRAWN = frozenset({PREPARE, "deconv", "denoise", "refine"})
"""Commands whose forms have it."""
OPTICS = ("voltage", "cs", "ac", "defocus", "pixel_size")
"""What of a new table a curve hangs on."""
_ELSEWHERE = frozenset({"output_dir", "ncpus", "tomo_idx", "gpuID", "model", "pretrained_model"})
"""Parameters of no account, which may name what is not there yet."""

COLOURS = {"ctf": "#3d8bcd", "sign": "#9aa6b2", "transfer": "#d9822b", "wiener": "#3aa67a"}
"""Of curves, to be seen on light and dark."""


class CtfView:
    """A folded panel with curves over the frequency; nothing is asked for before it is opened.

    Parameters
    ----------
    project
        The folder that is shown.
    form
        Whose parameters count.
    """

    def __init__(self, project: Project, form: Form) -> None:
        self.project, self.form = project, form
        self.table = ""
        self.wanted: dict[str, Any] | None = None
        self.asked: dict[str, Any] | None = None
        self.busy = False
        self.panel = ui.expansion(t("ctf.title"), icon="show_chart")
        self.panel.classes("isonet-card isonet-fold").on_value_change(self.changed)
        with self.panel:
            ui.label(t(f"ctf.lead_{'table' if self._makes_a_table else 'tomogram'}")).classes(
                "isonet-soft q-mb-sm"
            )
            with ui.row().classes("items-center w-full"):
                self.choice = ui.select({}, label=t("live.tomogram"), on_change=self.changed)
                self.choice.props("outlined dense options-dense stack-label")
                self.choice.classes("isonet-name").set_visibility(not self._makes_a_table)
                self.said = ui.label().classes("isonet-soft").props("role=status")
            self.chart = ui.echart(_options()).classes("isonet-chart").mark("ctf")
            self.chart.set_visibility(False)

    @property
    def _makes_a_table(self) -> bool:
        """Whether the form lists tomograms anew, and so there is none to choose."""
        return self.form.model.command == PREPARE

    def changed(self) -> None:
        """Draw what the form says by now, if the panel is open."""
        if self.panel.value:
            background_tasks.create(self._follow(), name="ctf curve")

    async def _follow(self) -> None:
        """Ask for what is wanted by now; a request that another has overtaken is never made."""
        if not self._makes_a_table:
            await self._offer()
        self.wanted = self._request()
        if self.busy:
            return
        self.busy = True
        try:
            while self.wanted is not None and self.wanted != self.asked:
                self.asked = self.wanted
                answer = await PAINTER.ask(self.asked)
                if self.panel.is_deleted:
                    return
                self._show(answer)
        finally:
            self.busy = False

    def _request(self) -> dict[str, Any] | None:
        """What to ask for; None, with a word why, where the form is not right."""
        command = self.form.model.command
        if self._makes_a_table:
            values = {"full": ".", **{n: v for n, v in self.form.values().items() if n in OPTICS}}
            return {"command": command, "curves": True, "parameters": values}
        parameters, problems = self.form.check()
        if parameters is None or self.choice.value is None:
            self._show({"problem": " ".join(problems.values()) or t("live.no_table")})
            self.asked = None
            return None
        values = parameters.model_dump(mode="json", exclude=set(_ELSEWHERE), exclude_unset=True)
        index = self.choice.value
        return {"command": command, "curves": True, "parameters": values, "index": index}

    async def _offer(self) -> None:
        """Offer the tomograms of the form's table, when it is another than before."""
        table = str(self.form.texts["star_file"])
        if table == self.table:
            return
        self.table = table
        rows = await run.io_bound(rows_in, self.project, table) or {}
        options = {index: f"{index}: {row.name}" for index, row in rows.items()}
        self.choice.set_options(options, value=next(iter(options), None))

    def _show(self, answer: dict[str, Any]) -> None:
        problem = answer.get("problem")
        self.chart.set_visibility(not problem)
        if problem:
            self.said.set_text(problem)
            return
        zero = answer["zero"]
        first = t("ctf.zero", zero=f"{zero:.1f}") if zero else t("ctf.no_zero")
        self.said.set_text(f"{t('ctf.defocus', defocus=format(answer['defocus'], 'g'))} {first}")
        self.chart.options["series"] = [
            _line(name, answer["k"], curve) for name, curve in answer["curves"].items()
        ]
        self.chart.update()


def _line(name: str, k: list[float], curve: list[float]) -> dict[str, Any]:
    points = [list(pair) for pair in zip(k, curve, strict=True)]
    return {
        "name": t(f"ctf.{name}"), "type": "line", "showSymbol": False, "data": points,
        "color": COLOURS[name], "lineStyle": {"width": 2},
    }  # fmt: skip


def _options() -> dict[str, Any]:
    """The chart without its curves."""
    grey = "#7a8a99"
    axis = {"type": "value", "nameTextStyle": {"color": grey}, "axisLabel": {"color": grey}}
    return {
        "animation": False,
        "aria": {"enabled": True},
        "grid": {"left": 44, "right": 24, "top": 44, "bottom": 46},
        "legend": {"top": 4, "textStyle": {"color": grey}},
        "tooltip": {"trigger": "axis"},
        "xAxis": {
            **axis, "name": t("ctf.frequency"), "nameLocation": "middle", "nameGap": 28,
            "max": "dataMax", "splitLine": {"show": False},
        },
        "yAxis": {**axis, "splitLine": {"lineStyle": {"color": "#8a9aa833"}}},
        "series": [],
    }  # fmt: skip
