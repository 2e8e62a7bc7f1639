"""Figures as a JSON file that any program can read."""

import json
import math
from pathlib import Path

from isonet2.data.files import atomic_path


def write_figures(path: Path, value: object) -> None:
    """Write a value that appears whole.

    Parameters
    ----------
    path
        JSON file.
    value
        Dictionaries, lists, numbers and words; what is no finite number is null, and what JSON
        does not know is written as words.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(_plain(value), indent=2) + "\n", encoding="utf-8")


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, int | str | None) else str(value)
