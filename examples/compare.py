"""Compare restored tomograms with the truth: a table on the terminal and one picture.

Usage: compare.py tomograms.star TRUTH_FOLDER PICTURE.png
"""

import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from isonet2.data.star import Tomogram, TomogramTable
from isonet2.data.volumes import open_volume
from isonet2.physics.metrics import compare
from isonet2.physics.wedge import sectors_of_tilts
from isonet2.reports.pictures import compare_picture
from isonet2.reports.table import show_table

Volumes = dict[str, NDArray[np.float32]]

ROWS = {
    "fsc_measured": "mean FSC, measured region",
    "fsc_wedge": "mean FSC, missing wedge",
    "cc_measured": "correlation, measured region",
    "cc_wedge": "correlation, missing wedge",
}


def volumes_of(tomogram: Tomogram, truth: Path) -> Volumes:
    """Read the mean of the halves, the restored tomogram and the truth, each (z, y, x)."""
    halves = [
        open_volume(tomogram.column(f"rlnTomoReconstructedTomogramHalf{half}")).read()
        for half in (1, 2)
    ]
    return {
        "input": (halves[0] + halves[1]) / 2,
        "restored": open_volume(tomogram.column("rlnCorrectedTomoName")).read(),
        "truth": open_volume(truth / f"{tomogram.name}.mrc").read(),
    }


def scores_of(tomogram: Tomogram, volumes: Volumes) -> dict[str, list[float]]:
    """Scores of input and restored tomogram against the truth."""
    tilts = tomogram.tilts or (tomogram.tilt_min, tomogram.tilt_max)
    sectors = sectors_of_tilts(tilts)
    truth = torch.from_numpy(volumes["truth"])
    found = [
        compare(torch.from_numpy(volumes[name]), truth, tomogram.pixel_size or 1.0, sectors)
        for name in ("input", "restored")
    ]
    return {row: [scores[row] for scores in found] for row in ROWS}


def main(star_file: str, truth: str, picture: str) -> None:
    """Compare all tomograms of a table; the picture shows the first one."""
    tomograms = TomogramTable.read(star_file).tomograms
    scores = []
    for number, tomogram in enumerate(tomograms):
        volumes = volumes_of(tomogram, Path(truth))
        scores.append(scores_of(tomogram, volumes))
        if number == 0:
            compare_picture(picture, volumes, tomogram.pixel_size or 1.0)
    means = {row: np.mean([score[row] for score in scores], axis=0) for row in ROWS}
    show_table(
        f"Agreement with the truth (1 is perfect), mean of {len(tomograms)} tomograms",
        ["", "input", "restored"],
        [[ROWS[row], *(f"{value:.3f}" for value in values)] for row, values in means.items()],
    )


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
