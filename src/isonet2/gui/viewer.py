"""The slice viewer as an element of pages; what it shows, and of which tomogram."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from isonet2.data.star import Tomogram
from isonet2.gui.words import dictionary, language

TiltRanges = Sequence[tuple[float, float]]
Place = dict[str, int]
GROUP = "viewer."
"""Of the viewer's words in the dictionaries."""
_GAP = 3.0


@dataclass(frozen=True, slots=True)
class Volumes:
    """What a viewer shows.

    Attributes
    ----------
    volumes
        Files that can be chosen, and what they are called.
    first, second
        The ones shown left and right of the border at first; no second: no border.
    mask
        Drawn over them.
    sectors
        Measured tilt ranges in degrees, drawn in the power spectrum.
    pixel_size
        Angstrom; None believes the file.
    beside
        Show both whole, side by side.
    """

    volumes: dict[Path, str] = field(default_factory=dict)
    first: Path | None = None
    second: Path | None = None
    mask: Path | None = None
    sectors: TiltRanges = ()
    pixel_size: float | None = None
    beside: bool = False

    def spec(self) -> dict[str, Any]:
        """In the viewer's own terms."""
        return {
            "volumes": [{"path": str(path), "name": name} for path, name in self.volumes.items()],
            "first": None if self.first is None else str(self.first),
            "second": None if self.second is None else str(self.second),
            "mask": None if self.mask is None else str(self.mask),
            "sectors": [list(sector) for sector in self.sectors],
            "pixel": self.pixel_size,
            "beside": self.beside,
        }


class VolumeViewer(Element, component="static/viewer.js"):
    """Three linked slices of a volume and its power spectrum; two volumes with a border.

    Parameters
    ----------
    shown
        What to show.
    height
        Of the picture, in the page's style language; None takes most of the window's.
    moved
        Told the crosshair's place, {"z": ..., "y": ..., "x": ...} counted from 0.
    """

    def __init__(
        self,
        shown: Volumes,
        *,
        height: str | None = None,
        moved: Callable[[Place], None] | None = None,
    ) -> None:
        super().__init__()
        self._props["spec"] = shown.spec()
        self._props["texts"] = _texts()
        if height is not None:
            self.style(f"--iv-height: {height}")
        if moved is not None:

            def tell(event: GenericEventArguments) -> None:
                moved({axis: int(event.args[axis]) for axis in "zyx"})

            self.on("moved", tell)

    def show(self, shown: Volumes) -> None:
        """Show something else; place and contrast stay where the shape is the same."""
        self._props["spec"] = shown.spec()
        self.update()

    def refresh(self) -> None:
        """Look at the files anew: some were replaced."""
        self.run_method("refresh")

    def goto(self, **place: int) -> None:
        """Move the crosshair: z, y, x, counted from 0."""
        self.run_method("goto", place)


def _texts() -> dict[str, str]:
    """What the viewer says, by the names that its script knows them by."""
    words = dictionary(language())
    return {key.removeprefix(GROUP): text for key, text in words.items() if key.startswith(GROUP)}


def tilt_sectors(tomogram: Tomogram) -> TiltRanges:
    """Measured tilt ranges: from the first to the last tilt of each run without a wide gap."""
    tilts = tomogram.tilts
    if tilts is None or len(tilts) < 3:
        return ((tomogram.tilt_min, tomogram.tilt_max),)
    steps = sorted(b - a for a, b in itertools.pairwise(tilts))
    widest = _GAP * steps[len(steps) // 2]
    runs = [[tilts[0], tilts[0]]]
    for before, tilt in itertools.pairwise(tilts):
        if tilt - before > widest:
            runs.append([tilt, tilt])
        runs[-1][1] = tilt
    return tuple((low, high) for low, high in runs if high > low)


COLUMNS = {
    "full": "tomogram",
    "half1": "half 1",
    "half2": "half 2",
    "deconvolved": "deconvolved",
    "denoised": "denoised",
    "corrected": "corrected",
    "ground_truth": "truth",
}
"""Files of a tomogram that are looked at, with their names."""


def volumes_of(tomogram: Tomogram) -> dict[Path, str]:
    """The volumes that a tomogram's row names, its mask included, and what they are called."""
    found: dict[Path, str] = {}
    for attribute, name in (*COLUMNS.items(), ("mask", "mask")):
        path = getattr(tomogram, attribute)
        if path is not None:
            found.setdefault(path, f"{name}: {path.name}")
    return found


def shown_of(tomogram: Tomogram, first: Path | None = None, second: Path | None = None) -> Volumes:
    """A tomogram with all of its files that are there, its mask and its tilt range.

    Parameters
    ----------
    tomogram
        The row of a table.
    first, second
        Files to show left and right of the border at first; None takes the row's first file, and
        none. They need not be the row's. A mask is shown over the row's first file.
    """
    volumes = {path: name for path, name in volumes_of(tomogram).items() if path.exists()}
    mask = tomogram.mask if tomogram.mask in volumes else None
    volumes.pop(mask or Path(), None)
    own = {path.resolve(): path for path in volumes}
    chosen: list[Path | None] = []
    for path in (first, second):
        if path is None or (mask is not None and path.resolve() == mask.resolve()):
            chosen.append(None)
            continue
        chosen.append(own.get(path.resolve(), path))
        volumes.setdefault(own.get(path.resolve(), path), path.name)
    left = chosen[0] or next(iter(volumes), None)
    sectors = tilt_sectors(tomogram)
    return Volumes(volumes, left, chosen[1], mask, sectors, tomogram.pixel_size)
