"""Tells in the browser, on whatever page, which jobs have ended."""

import asyncio
import json
from collections.abc import Mapping, Sequence

from nicegui import ui

from isonet2.gui.overview import Entry, entries
from isonet2.gui.pace import regularly
from isonet2.gui.project import Project
from isonet2.gui.words import t
from isonet2.jobs import Jobs

EVERY = 5.0
OPEN = ("queued", "running")


def ended(before: Mapping[str, str], now: Sequence[Entry]) -> list[Entry]:
    """Jobs that were open by what was known `before`, status by key, and are not any more."""
    return [entry for entry in now if before.get(entry.key) in OPEN and entry.status not in OPEN]


class Notifier:
    """Looks at the jobs now and then, as long as the page is open.

    Parameters
    ----------
    project
        The folder of the pages.
    """

    def __init__(self, project: Project) -> None:
        self.jobs = Jobs(project.folder)
        self.known: dict[str, str] = {}
        regularly(EVERY, self.look)

    async def look(self) -> None:
        """Tell what has ended since the last look."""
        found = await asyncio.to_thread(entries, self.jobs)
        for entry in ended(self.known, found):
            title = t("jobs.ended_title", title=entry.title, status=t(f"status.{entry.status}"))
            told = json.dumps([title, {"body": f"{entry.place} {entry.line}", "tag": entry.key}])
            ui.run_javascript(
                "if (window.Notification && Notification.permission === 'granted')"
                f" new Notification(...{told})"
            )
        self.known = {entry.key: entry.status for entry in found}
