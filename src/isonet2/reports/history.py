"""The history of a training run as a file."""

import csv
from collections.abc import Sequence
from pathlib import Path

from isonet2.data.files import atomic_path


def write_history(path: Path, history: Sequence[dict[str, float]]) -> None:
    """Write the rows of the history as CSV; a column that starts late is empty before."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    with atomic_path(path) as temporary, temporary.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, columns)
        writer.writeheader()
        writer.writerows(history)
