"""The history of a training run as a file."""

import csv
from collections.abc import Sequence
from pathlib import Path

from isonet2.data.files import atomic_path

ABOVE_NOISE = "_above_noise"
"""How columns end that say what of a loss is not noise of its target."""


def read_history(path: Path) -> list[dict[str, float]]:
    """Read the rows of a history, without what is empty; none where there is no such file."""
    if not path.is_file():
        return []
    with path.open(newline="") as handle:
        return [
            {name: float(value) for name, value in row.items() if value}
            for row in csv.DictReader(handle)
        ]


def write_history(path: Path, history: Sequence[dict[str, float]]) -> None:
    """Write the rows of the history as CSV; a column that starts late is empty before."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    with atomic_path(path) as temporary, temporary.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, columns)
        writer.writeheader()
        writer.writerows(history)
