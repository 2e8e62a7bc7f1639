"""What a training leaves in its folder for people to look at: curves, pictures, networks."""

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from isonet2.parameters.record import FILE_NAME

HISTORIES = "*history*.csv"
CURVES = ("loss", "n2n", "mw", "held_out", "held_out_n2n", "held_out_mw")
"""Columns of the history to draw, in their order."""
_PICTURE = re.compile(r"(?P<name>.+)_epoch(?P<epoch>\d+)")


@dataclass(frozen=True, slots=True)
class PreviewFile:
    """What a network restored of a tomogram while it was learning.

    Attributes
    ----------
    name
        The tomogram, and the part of it where there are two networks.
    epoch
        After which.
    picture
        PNG file.
    volume
        The restored tomogram; None where it is gone.
    """

    name: str
    epoch: int
    picture: Path
    volume: Path | None


def histories(folder: Path) -> dict[str, dict[str, list[float]]]:
    """The histories in a folder, by file name without its ending; columns of numbers each.

    A cell without a number is nan.
    """
    found = {}
    for path in sorted(folder.glob(HISTORIES)):
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


def _number(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return math.nan


def previews(folder: Path) -> list[PreviewFile]:
    """Previews in a folder, by tomogram and epoch."""
    found = []
    for path in folder.glob("*_epoch*.png"):
        told = _PICTURE.fullmatch(path.stem)
        if told is not None:
            volume = path.with_suffix(".mrc")
            one = PreviewFile(
                told["name"], int(told["epoch"]), path, volume if volume.exists() else None
            )
            found.append(one)
    return sorted(found, key=lambda preview: (preview.name, preview.epoch))


def networks(folder: Path) -> list[Path]:
    """Trained networks in a folder: the last one first, then the best, then those of epochs."""

    def order(path: Path) -> tuple[int, float]:
        kind = 2 if "_epoch" in path.name else 1 if "_best_" in path.name else 0
        return kind, -path.stat().st_mtime

    return sorted(folder.glob("network_*.pt"), key=order)


def recorded(folder: Path) -> dict[str, object]:
    """Parameters that a run was called with; empty where it left no record."""
    try:
        values = yaml.safe_load((folder / FILE_NAME).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def results(folder: Path) -> list[Path]:
    """Volumes that a command wrote into its folder."""
    endings = (".mrc", ".rec", ".tif", ".h5", ".zarr")
    found = (path for path in folder.glob("*") if path.suffix in endings)
    return sorted(path for path in found if "_epoch" not in path.stem and path.name[0] != ".")


def reports(folder: Path) -> list[Path]:
    """Reports for people that a command wrote."""
    return sorted(folder.glob("*.html"))


def pictures(folder: Path) -> list[Path]:
    """Pictures that a command wrote beside its volumes, other than previews and curves."""
    seen = (path for path in sorted(folder.glob("*.png")) if "_epoch" not in path.stem)
    return [path for path in seen if not path.stem.startswith("loss")]


def parameters_compared(values: Sequence[dict[str, object]]) -> list[tuple[str, list[str], bool]]:
    """Parameters of several runs side by side: name, value in each, whether they differ."""
    names = dict.fromkeys(name for one in values for name in one)
    rows = []
    for name in names:
        texts = ["" if one.get(name) is None else str(one[name]) for one in values]
        rows.append((name, texts, len(set(texts)) > 1))
    return rows
