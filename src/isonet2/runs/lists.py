"""Tomograms that are given from Python, as arrays or files: opened, and put into a table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from isonet2.data.star import write_table
from isonet2.data.volumes import Volume, open_volume, volume_of_array, write_volume
from isonet2.errors import InputError

VolumeLike = ArrayLike | Path | str
"""An array (z, y, x) in the scale of tomograms, protein dark, or a file."""
TomogramLike = VolumeLike | tuple[VolumeLike, VolumeLike]
"""A whole tomogram, or its two halves."""


def opened(volume: VolumeLike) -> Volume:
    """A volume of an array or a file.

    Raises
    ------
    InputError
        When it is no volume of real numbers.
    """
    if isinstance(volume, str | Path):
        return open_volume(volume)
    return volume_of_array(np.asarray(volume))


def table_of(
    tomograms: Sequence[TomogramLike],
    scratch: Path,
    folder: Path,
    pixel_size: float | None,
    tilts: tuple[float, float],
    defocus: float | Sequence[float] | None,
    number_subtomos: int | None,
) -> Path:
    """Write the table of a list of tomograms.

    Parameters
    ----------
    tomograms
        Arrays or files, or pairs of them.
    scratch
        Where arrays are written to.
    folder
        Of the run; the table lies there where it names files that stay, so that the run can be
        repeated, else beside the arrays.
    pixel_size, tilts, defocus, number_subtomos
        As in `isonet2.train`.

    Returns
    -------
    Path
        The table.
    """
    files = [_on_disk(tomogram, scratch, n) for n, tomogram in enumerate(tomograms, 1)]
    if not files:
        raise InputError("tomograms: the list is empty; give one or more")
    if len({len(paths) for paths in files}) > 1:
        raise InputError("tomograms: some are pairs of halves, some are whole; give one kind")
    several: list[float | None] = (
        [defocus] * len(files) if not isinstance(defocus, Sequence) else list(defocus)
    )
    if len(several) != len(files):
        raise InputError(
            f"defocus: {len(several)} numbers for {len(files)} tomograms; give as many"
        )
    halves = ("rlnTomoReconstructedTomogramHalf1", "rlnTomoReconstructedTomogramHalf2")
    columns = halves if len(files[0]) == 2 else ("rlnTomoName",)
    frame: dict[str, list[Any]] = {"rlnIndex": list(range(1, len(files) + 1))}
    frame |= {column: [paths[n] for paths in files] for n, column in enumerate(columns)}
    frame |= {"rlnTiltMin": [tilts[0]] * len(files), "rlnTiltMax": [tilts[1]] * len(files)}
    told: dict[str, list[Any]] = {
        "rlnPixelSize": [pixel_size] * len(files),
        "rlnDefocus": several,
        "rlnNumberSubtomo": [number_subtomos] * len(files),
    }
    frame |= {column: values for column, values in told.items() if values[0] is not None}
    of_files = all(path.parent != scratch.resolve() for paths in files for path in paths)
    path = (folder if of_files else scratch) / "tomograms.star"
    write_table(path, pd.DataFrame(frame))
    return path


def _on_disk(tomogram: TomogramLike, scratch: Path, number: int) -> list[Path]:
    """Files of a tomogram; an array is written to one."""
    parts = tomogram if isinstance(tomogram, tuple) else (tomogram,)
    names = ("EVN", "ODD") if len(parts) == 2 else ("full",)
    paths = []
    for part, name in zip(parts, names, strict=True):
        if isinstance(part, str | Path):
            paths.append(Path(part).resolve())
            continue
        paths.append(scratch.resolve() / f"tomogram_{number}_{name}.mrc")
        write_volume(paths[-1], opened(part).read(), label="IsoNet2: an array")
    return paths
