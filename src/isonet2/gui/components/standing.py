"""Where a job stands: its name, status and progress; and when it went wrong, why and what helps."""

from collections.abc import Sequence

from nicegui import ui

from isonet2.gui.advice import kind_of_failure
from isonet2.gui.overview import Entry, clock
from isonet2.gui.words import t
from isonet2.jobs import Job

WRONG = ("failed", "lost", "skipped")


class Standing:
    """The head of a job's page."""

    def __init__(self) -> None:
        with ui.row().classes("items-center w-full no-wrap"):
            with ui.element("h2").classes("ellipsis"):
                self.title = ui.label()
            self.chip = ui.label().classes("isonet-chip").mark("status")
            ui.space()
            self.place = ui.label().classes("isonet-mono isonet-soft")
        self.line = ui.label().classes("isonet-soft")
        self.bar = ui.linear_progress(0, show_value=False, size="8px").props("rounded")
        self.bar.props(f'aria-label="{t("jobs.progress")}"')
        with ui.element("div").classes("isonet-failure").props("role=alert") as self.failure:
            self.reason = ui.label().classes("isonet-reason")
            self.advice = ui.label()
            self.last = ui.label().classes("isonet-last isonet-mono")
        self.where = ui.label().classes("isonet-soft isonet-small")

    def show(self, entry: Entry, job: Job | None, memory: Sequence[str] = ()) -> None:
        """Show where it stands now, and what is to be said of its memory."""
        self.title.set_text(entry.title)
        self.chip.set_text(t(f"status.{entry.status}"))
        self.chip.classes(replace=f"isonet-chip {entry.status}")
        self.place.set_text(entry.place)
        self.line.set_text("" if entry.status in WRONG else entry.line)
        self.line.set_visibility(entry.status not in WRONG)
        self.bar.set_visibility(entry.part >= 0)
        self.bar.set_value(max(0.0, entry.part))
        self.failure.set_visibility(entry.status in WRONG)
        if entry.status in WRONG:
            lines = job.last_lines if job is not None else ()
            kind = kind_of_failure(entry.line, lines)
            self.reason.set_text(entry.line)
            self.advice.set_text(t(f"advice.{kind}") if kind else "")
            self.last.set_text("\n".join(lines))
            self.last.set_visibility(bool(lines))
        self.where.set_text(" · ".join([*_where(job), *memory]) if job is not None else "")

    def gone(self) -> None:
        """Say that its folder is not there any more."""
        self.chip.set_text(t("status.gone"))
        self.chip.classes(replace="isonet-chip lost")
        self.bar.set_visibility(False)


def _where(job: Job) -> list[str]:
    """Where and when it ran."""
    words = [t("jobs.submitted", at=clock(job.submitted)), t("jobs.lane", lane=job.lane)]
    if job.process is not None:
        words.append(f"{job.process.host}, PID {job.process.pid}")
    if job.devices:
        words.append(f"GPU {', '.join(job.devices)}")
    if job.priority:
        words.append(t("jobs.priority", priority=job.priority))
    if job.attempt > 1:
        words.append(t("jobs.attempt", count=job.attempt))
    return words
