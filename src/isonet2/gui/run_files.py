"""What files of a run say for pages: its curves, and its parameters."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import yaml

from isonet2.data.run_folder import histories
from isonet2.parameters.record import FILE_NAME

CURVES = ("loss", "n2n", "mw", "held_out", "held_out_n2n", "held_out_mw")
"""Columns of the history to draw, in their order."""


def curves(folder: Path) -> dict[str, dict[str, list[float]]]:
    """What the histories in a folder say, by file name without its ending; columns of numbers each.

    A cell without a number is nan.
    """
    found = {}
    for path in histories(folder):
        try:
            with path.open(newline="", encoding="utf-8") as handle:
                rows = list(csv.DictReader(handle))
        except (OSError, ValueError, csv.Error):
            continue
        if rows and "epoch" in rows[0]:
            found[path.stem] = {
                name: [_number(row.get(name)) for row in rows] for name in rows[0] if name
            }
    return found


def smoothed(points: Sequence[Sequence[float]], reach: int = 2) -> list[list[float]]:
    """Points of a curve, each value the mean of those up to `reach` points away.

    Towards both ends the reach shrinks with the points that are left, so that no end is pulled
    inward.
    """
    found = []
    for at, (x, _) in enumerate(points):
        near = min(reach, at, len(points) - 1 - at)
        part = [value for _, value in points[at - near : at + near + 1]]
        found.append([x, math.fsum(part) / len(part)])
    return found


def _number(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return math.nan


def recorded(folder: Path) -> dict[str, object]:
    """Parameters that a run was called with; empty where it left no record."""
    try:
        values = yaml.safe_load((folder / FILE_NAME).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def parameters_compared(values: Sequence[dict[str, object]]) -> list[tuple[str, list[str], bool]]:
    """Parameters of several runs side by side: name, value in each, whether they differ."""
    names = dict.fromkeys(name for one in values for name in one)
    rows = []
    for name in names:
        texts = ["" if one.get(name) is None else str(one[name]) for one in values]
        rows.append((name, texts, len(set(texts)) > 1))
    return rows
