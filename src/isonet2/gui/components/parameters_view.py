"""Parameters of a job, and how they differ from those of another one."""

import asyncio
import shlex

from nicegui import ui

from isonet2.errors import InputError
from isonet2.gui.overview import parameters_of
from isonet2.gui.run_files import parameters_compared
from isonet2.gui.shell import refuse
from isonet2.gui.words import t
from isonet2.jobs import Job, Jobs

_ROW = """
<q-tr :props="props" :class="props.row.differs ? 'isonet-differs' : ''">
 <q-td v-for="column in props.cols" :key="column.name" :props="props">{{ column.value }}</q-td>
</q-tr>
"""


class ParametersView:
    """A folded card with all parameters.

    Parameters
    ----------
    jobs
        Of the project.
    job
        Whose.
    others
        Jobs to compare with: number and name.
    compared
        The one of these with which it is from the beginning, open and with the differences alone.
    """

    def __init__(self, jobs: Jobs, job: Job, others: dict[str, str], compared: str = "") -> None:
        self.jobs, self.job = jobs, job
        panel = ui.expansion(t("parameters.title"), icon="tune", value=bool(compared))
        with panel.classes("isonet-card isonet-fold"):
            ui.label(shlex.join(job.argv)).classes("isonet-command q-mb-md")
            with ui.row().classes("items-center w-full"):
                self.other = ui.select(
                    {"": t("parameters.alone"), **others}, value=compared,
                    label=t("parameters.compare"), on_change=self.show,
                )  # fmt: skip
                self.other.props("outlined dense options-dense").classes("isonet-tables")
                self.only = ui.switch(
                    t("parameters.only"), value=bool(compared), on_change=self.show
                )
                self.only.bind_visibility_from(self.other, "value", bool)
            self.table = ui.table(columns=_columns([job]), rows=[], row_key="name")
            self.table.props("flat dense hide-bottom :rows-per-page-options=[0]").classes("w-full")
            self.table.add_slot("body", _ROW)
        ui.timer(0, self.show, once=True)

    async def show(self) -> None:
        """Show the parameters of one or two jobs."""
        chosen = [self.job]
        try:
            if self.other.value:
                chosen.append(await asyncio.to_thread(self.jobs.show, int(self.other.value)))
            values = [await asyncio.to_thread(parameters_of, job) for job in chosen]
        except InputError as error:
            refuse(str(error))
            return
        rows = [
            {
                "name": name,
                "differs": differs,
                **{f"value{n}": text for n, text in enumerate(texts)},
            }
            for name, texts, differs in parameters_compared(values)
            if differs or not (self.only.value and len(chosen) > 1)
        ]
        self.table.columns = _columns(chosen)
        self.table.rows = rows
        self.table.update()


def _columns(jobs: list[Job]) -> list[dict[str, str]]:
    first = {"name": "name", "field": "name", "label": t("parameters.name"), "align": "left"}
    values = [
        {"name": f"value{n}", "field": f"value{n}", "label": job.place, "align": "left"}
        for n, job in enumerate(jobs)
    ]
    return [first, *values]
