"""The list of jobs: number, name, status and progress, to search and to choose from."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

from isonet2.gui.overview import Entry
from isonet2.gui.words import t

_ROW = """
<q-tr :props="props" :class="props.row.key === props.row.chosen ? 'isonet-chosen' : ''">
 <q-td key="title" :props="props">
  <a :href="'?job=' + encodeURIComponent(props.row.key)" class="isonet-job"
     :data-key="props.row.key"
     :aria-current="props.row.key === props.row.chosen ? 'true' : 'false'">
   <span class="isonet-job-top">
    <span class="isonet-job-name"><q-icon v-if="props.row.starred" name="star"
      class="isonet-star" role="img" :aria-label="props.row.star"/>
     {{ props.row.title }}</span>
    <span :class="'isonet-chip ' + props.row.status">{{ props.row.word }}</span>
   </span>
   <span class="isonet-job-place">{{ props.row.place }}</span>
   <span class="isonet-job-line">{{ props.row.line }}</span>
   <span v-if="props.row.tags.length" class="isonet-tags">
    <span v-for="tag in props.row.tags" class="isonet-tag">{{ tag }}</span>
   </span>
   <q-linear-progress v-if="props.row.part >= 0" :value="props.row.part" rounded
    size="5px" class="q-mt-xs"/>
  </a>
 </q-td>
</q-tr>
"""


_PICK = """(event) => {
  const link = event.target.closest("a.isonet-job");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  emit(link.dataset.key);
}"""
"""Picks in this page; with a key held the browser opens the link elsewhere, as it does."""


class JobList:
    """A list of entries.

    Parameters
    ----------
    picked
        Called with the key of the entry that a person chose.
    """

    def __init__(self, picked: Callable[[str], Awaitable[None]]) -> None:
        self.entries: Sequence[Entry] = ()
        self.chosen = ""
        self.told: list[dict[str, Any]] = []
        self.shown: tuple[object, ...] = ()
        self.starred = False
        with ui.row().classes("w-full items-center no-wrap gap-1"):
            self.search = ui.input(placeholder=t("jobs.search"), on_change=self._refresh).props(
                f'outlined dense clearable aria-label="{t("jobs.search")}"'
            )
            self.search.classes("col")
            self.stars = ui.button(icon="star_border", on_click=self._turn_stars)
            self.stars.props(
                f'flat round dense aria-pressed=false aria-label="{t("jobs.only_starred")}"'
            ).mark("starred")
            with self.stars:
                ui.tooltip(t("jobs.only_starred"))
        states = {"": t("jobs.all"), **{s: t(f"jobs.{s}") for s in ("open", "done", "bad")}}
        self.state = ui.toggle(states, value="", on_change=self._refresh)
        self.state.props(
            "dense no-caps unelevated spread size=sm toggle-color=chosen toggle-text-color=chosen"
        ).classes("w-full isonet-toggle")
        columns = [{"name": "title", "label": "", "field": "title", "align": "left"}]
        with ui.element("div").classes("w-full") as box:
            self.table = ui.table(columns=columns, rows=[], row_key="key")
        self.table.props("flat hide-header hide-bottom virtual-scroll :virtual-scroll-item-size=84")
        self.table.props(":rows-per-page-options=[0]").classes("isonet-joblist").mark("jobs")
        self.table.add_slot("body", _ROW)
        self.empty = ui.label(t("jobs.none")).classes("isonet-soft q-pa-md")

        async def pick(event: GenericEventArguments) -> None:
            await picked(str(event.args))

        box.on("click", pick, js_handler=_PICK)

    def show(self, entries: Sequence[Entry], chosen: str) -> None:
        """Show entries, one of them chosen."""
        self.entries, self.chosen = entries, chosen
        self._refresh()

    def _turn_stars(self) -> None:
        """Show those with a star only, or all again."""
        self.starred = not self.starred
        self.stars.props(f"icon={'star' if self.starred else 'star_border'}")
        self.stars.props(f"aria-pressed={str(self.starred).lower()}")
        self._refresh()

    def _refresh(self) -> None:
        wanted = list(self.entries), self.chosen, self.starred, self.state.value, self.search.value
        if wanted == self.shown:
            return
        self.shown = wanted
        more = {"chosen": self.chosen, "star": t("jobs.starred")}
        rows = [entry.row() | more for entry in self.entries if self._wanted(entry)]
        if rows != self.told:
            self.told = rows
            self.table.rows = rows
            self.table.update()
        self.empty.set_visibility(not rows)
        self.table.set_visibility(bool(rows))

    def _wanted(self, entry: Entry) -> bool:
        groups = {
            "open": ("queued", "running"),
            "done": ("succeeded",),
            "bad": ("failed", "lost", "skipped", "cancelled"),
        }
        if self.state.value and entry.status not in groups[self.state.value]:
            return False
        if self.starred and not entry.starred:
            return False
        return entry.holds(str(self.search.value or ""))
