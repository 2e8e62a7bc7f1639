"""Progress bars with an estimate of the time left."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

T = TypeVar("T")

MANY = 20


class Bar:
    """One line of progress.

    On a terminal it moves; elsewhere (a log file, a batch job) a plain line is written now and
    then, so that logs stay small.

    Parameters
    ----------
    progress
        rich's display, or None for silence.
    label
        What is going on.
    total
        Steps in all.
    """

    def __init__(self, progress: Progress | None, label: str, total: int) -> None:
        self._progress = progress
        self._label = label
        self._task = progress.add_task(label, total=total, note="") if progress else None
        self._printed = -1

    def describe(self, label: str) -> None:
        """Say what is going on now."""
        self._label = label
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, description=label)

    def update(self, done: int, total: int, note: str = "") -> None:
        """Show that `done` of `total` steps are done."""
        if self._progress is None or self._task is None:
            return
        self._progress.update(self._task, completed=done, total=total, note=note)
        tenth = 10 * done // max(1, total)
        if not self._progress.console.is_terminal and tenth != self._printed:
            self._printed = tenth
            task = next(t for t in self._progress.tasks if t.id == self._task)
            left = "" if task.time_remaining is None else f", {task.time_remaining:.0f} s left"
            self._progress.console.print(
                f"{self._label}: {done} of {total}{left} {note}", markup=False, highlight=False
            )


@contextmanager
def progress_bar(label: str, total: int, *, show: bool = True) -> Iterator[Bar]:
    """Show a progress bar while the block runs."""
    if not show:
        yield Bar(None, label, total)
        return
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield Bar(progress, label, total)


def followed(label: str, results: Iterable[T], total: int, many: int = MANY) -> Iterator[T]:
    """Results as they come, with a progress bar where there are `many` or more."""
    with progress_bar(label, total, show=total >= many) as bar:
        for done, result in enumerate(results, 1):
            bar.update(done, total)
            yield result
