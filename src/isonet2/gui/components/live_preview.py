"""What a command would make of one tomogram, drawn anew while sliders and fields change."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nicegui import background_tasks, run, ui
from nicegui.events import GenericEventArguments

from isonet2.data.star import TomogramTable
from isonet2.errors import InputError
from isonet2.gui.components.fields import label_of
from isonet2.gui.forms import Form
from isonet2.gui.live import PAINTER
from isonet2.gui.project import Project
from isonet2.gui.viewer import TiltRanges, Volumes, VolumeViewer, tilt_sectors
from isonet2.gui.words import t

SLIDERS: dict[str, dict[str, tuple[float, float, float]]] = {
    "deconv": {
        "snrfalloff": (0, 3, 0.05),
        "deconvstrength": (0, 3, 0.05),
        "highpassnyquist": (0, 0.2, 0.005),
    },
    "make_mask": {
        "density_percentage": (1, 100, 1),
        "std_percentage": (1, 100, 1),
        "z_crop": (0, 0.95, 0.01),
        "patch_size": (1, 16, 1),
    },
}
"""Commands that can be seen at work, and their parameters with lowest, highest value and step."""
_OTHERS = frozenset({"output_dir", "ncpus", "tomo_idx", "chunk_size", "overlap_rate"})
"""Parameters that change no picture."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of a tomogram before any of its files is opened."""

    name: str
    sectors: TiltRanges
    pixel_size: float | None


class LivePreview:
    """A folded panel for a form; nothing is computed before it is opened.

    Parameters
    ----------
    project
        The folder that is shown.
    form
        Whose parameters are tried.
    refresh
        Called when a slider has changed the form.
    """

    def __init__(self, project: Project, form: Form, refresh: Any) -> None:
        self.project, self.form, self.refresh = project, form, refresh
        self.command = form.model.command
        self.rows: dict[int, Row] = {}
        self.table = ""
        self.place: list[int] | None = None
        self.shape: list[int] = []
        self.shown: dict[str, Any] | None = None
        self.wanted: dict[str, Any] | None = None
        self.asked: dict[str, Any] | None = None
        self.busy = False
        self.viewer: VolumeViewer | None = None
        self.folder: Path | None = None
        self.panel = ui.expansion(t("live.title"), icon="visibility").classes(
            "isonet-card isonet-fold"
        )
        self.panel.on_value_change(self.changed)
        with self.panel:
            self._draw()
        ui.context.client.on_delete(self._remove)

    def _draw(self) -> None:
        ui.label(t(f"live.lead_{self.command}")).classes("isonet-soft q-mb-sm")
        with ui.element("div").classes("isonet-fields"):
            self.choice = ui.select({}, label=t("live.tomogram"), on_change=self.changed)
            self.choice.props("outlined dense options-dense stack-label")
            self.sliders = {name: self._slider(name) for name in SLIDERS[self.command]}
        self.places = ui.element("div").classes("isonet-fields q-mt-sm")
        with ui.row().classes("items-center gap-2 q-my-sm").style("min-height: 28px"):
            self.spinner = ui.spinner(size="20px").props(f'aria-label="{t("live.busy")}"')
            self.said = ui.label().props("role=status").classes("isonet-soft")
        self.spinner.set_visibility(False)
        self.stage = ui.element("div").classes("w-full")

    def _slider(self, name: str) -> ui.slider:
        low, high, step = SLIDERS[self.command][name]

        def take(event: Any) -> None:
            text = f"{event.value:.10g}"
            if event.value is not None and self._number(name) != event.value:
                self.form.texts[name] = text
                self.refresh()

        with ui.element("div"):
            ui.label(label_of(self.form, name)).classes("isonet-soft")
            slider = ui.slider(min=low, max=high, step=step, value=self._number(name))
            slider.props(f'label aria-label="{label_of(self.form, name)}"')
            slider.on_value_change(take)
        return slider

    def _number(self, name: str) -> float | None:
        try:
            return float(str(self.form.texts[name]))
        except ValueError:
            return None

    def _place(self, axis: str, low: int, high: int, middle: int) -> None:
        """A slider for where the part that is computed lies along an axis."""
        number = "zyx".index(axis)

        def take(event: GenericEventArguments) -> None:
            if self.place is not None:
                self.place[number] = int(event.args)
                self.changed()

        name = t("live.place", axis=axis)
        with ui.element("div"):
            ui.label(name).classes("isonet-soft")
            slider = ui.slider(min=low, max=high, value=middle).props(f'label aria-label="{name}"')
            slider.on("change", take)

    def changed(self) -> None:
        """Show what the form says by now, if the panel is open."""
        for name, slider in self.sliders.items():
            number = self._number(name)
            if number is not None and slider.value != number:
                slider.set_value(number)
        if self.panel.value:
            background_tasks.create(self._follow(), name="live preview")

    async def _follow(self) -> None:
        """Ask for what is wanted by now; a request that another has overtaken is never made."""
        await self._look()
        parameters, problems = self.form.check()
        if parameters is None or self.choice.value is None:
            self._say(" ".join(problems.values()) or t("live.no_table"), bad=True)
            return
        values = parameters.model_dump(mode="json", exclude=set(_OTHERS), exclude_none=True)
        self.wanted = {
            "command": self.command,
            "parameters": values,
            "index": self.choice.value,
            "place": None if self.place is None else list(self.place),
        }
        if self.busy:
            return
        self.busy = True
        self.spinner.set_visibility(True)
        try:
            while self.wanted is not None and self.wanted != self.asked:
                self.asked, self.wanted = self.wanted, None
                began = time.monotonic()
                if self.folder is None:
                    self.folder = await run.io_bound(PAINTER.folder)
                answer = await PAINTER.ask({**self.asked, "folder": str(self.folder)})
                self._show(answer, time.monotonic() - began)
        finally:
            self.busy = False
            self.spinner.set_visibility(False)

    async def _look(self) -> None:
        """Offer the tomograms of the form's table, when it is another than before."""
        table = str(self.form.texts["star_file"])
        if table == self.table:
            return
        self.table = table
        self.rows = await run.io_bound(rows_in, self.project, table) or {}
        options = {index: f"{index}: {row.name}" for index, row in self.rows.items()}
        self.choice.set_options(options, value=next(iter(options), None))

    def _show(self, answer: dict[str, Any], seconds: float) -> None:
        if "problem" in answer:
            self._say(answer["problem"], bad=True)
            return
        self._offer_places(answer)
        kept = answer.get("kept")
        said = t("live.kept", percent=f"{100 * kept:.1f}") if kept is not None else ""
        binning = answer.get("binning", 2)
        coarse = t("live.coarse", factor=binning) if binning > 2 else ""
        self._say(" ".join([said, coarse, t("live.seconds", seconds=f"{seconds:.1f}")]).strip())
        paths = {key: answer.get(key) for key in ("first", "second", "mask")}
        if self.viewer is not None and paths == self.shown:
            self.viewer.refresh()
            return
        self.shown = paths
        shown = self._shown(paths)
        if self.viewer is None:
            with self.stage:
                self.viewer = VolumeViewer(shown, height="min(62vh, 560px)")
        else:
            self.viewer.show(shown)

    def _shown(self, paths: dict[str, Any]) -> Volumes:
        row = self.rows[self.choice.value]
        first, second, mask = (
            None if paths[key] is None else Path(paths[key]) for key in ("first", "second", "mask")
        )
        volumes = {} if first is None else {first: t("live.before")}
        if second is not None:
            volumes[second] = t("live.after")
        return Volumes(volumes, first, second, mask, row.sectors, row.pixel_size)

    def _offer_places(self, answer: dict[str, Any]) -> None:
        """Let the part be moved along the axes on which it is not the whole."""
        region = answer.get("region")
        if region is None or answer["shape"] == self.shape:
            return
        self.shape = answer["shape"]
        self.place = [(low + high) // 2 for low, high in region]
        self.places.clear()
        with self.places:
            for axis, length, (low, high), middle in zip(
                "zyx", self.shape, region, self.place, strict=True
            ):
                if high - low < length:
                    half = (high - low) // 2
                    self._place(axis, half, length - half, middle)

    def _say(self, text: str, *, bad: bool = False) -> None:
        self.said.set_text(text)
        self.said.classes(
            add="text-negative" if bad else "isonet-soft",
            remove="isonet-soft" if bad else "text-negative",
        )

    def _remove(self) -> None:
        """Remove the pictures of a page that is gone."""
        if self.folder is not None:
            background_tasks.create(run.io_bound(shutil.rmtree, self.folder, True))


def rows_in(project: Project, table: str) -> dict[int, Row]:
    """The tomograms of a table; none where it cannot be read."""
    try:
        tomograms = TomogramTable.read(project.allowed(table)).tomograms if table else ()
    except InputError:
        return {}
    return {one.index: Row(one.name, tilt_sectors(one), one.pixel_size) for one in tomograms}
