"""Whether protein is dark, as it must be on disk, and a mask keeps what is dark."""

import numpy as np

from isonet2.checks.findings import Finding
from isonet2.checks.looks import FEWEST_BINS, LOOK_VOXELS, centre, coarse
from isonet2.data.volumes import Volume
from isonet2.types import Block

LOCAL_BINS = 9
INVERTED_SKEWNESS = 0.3
EMPTIER = 0.03
FEWEST_VOXELS = 4096


def contrast_findings(volume: Volume, name: str = "") -> list[Finding]:
    """Say that protein seems to be bright in a tomogram."""
    if not looks_inverted(volume):
        return []
    told = "protein seems to be bright, and make_mask takes dark voxels for specimen"
    remedy = "if so, turn the contrast round (IMOD: newstack -multadd -1,0)"
    return [Finding("contrast", "warning", told, remedy, name, "protein dark", "protein bright")]


def looks_inverted(volume: Volume) -> bool:
    """Whether protein seems to be bright: coarse detail is skewed upwards nearly everywhere.

    Specimen fills the smaller part of a tomogram and stands out to one side of the ice. Holes
    and borders do so too, in one place; therefore slow changes are taken out, and three of the
    four quarters of the slices must agree.
    """
    look = coarse(volume)
    if look.size < FEWEST_BINS:
        return False
    detail = look - _local_mean(look)
    quarters = [
        part for half in np.array_split(detail, 2, 1) for part in np.array_split(half, 2, 2)
    ]
    return sum(_skewness(part) > INVERTED_SKEWNESS for part in quarters) >= 3


def keeps_the_empty(mask: Volume, tomogram: Volume) -> bool:
    """Whether a mask seems to be inverted: what it keeps is brighter, and varies less.

    Of a tomogram on disk, protein is dark, and there is more to see where specimen is than where
    there is none; the centre of the tomogram is looked at, and both must differ by `EMPTIER`.
    """
    values = centre(tomogram, LOOK_VOXELS).astype(np.float64)
    kept = centre(mask, LOOK_VOXELS) > 0
    inside, outside = values[kept], values[~kept]
    if min(inside.size, outside.size) < FEWEST_VOXELS:
        return False
    apart, spread = inside.mean() - outside.mean(), outside.std()
    return bool(apart > EMPTIER * spread and inside.std() < (1 - EMPTIER) * spread)


def _skewness(values: Block) -> float:
    deviation = values - values.mean()
    spread = float(np.square(deviation).mean())
    return float((deviation**3).mean()) / spread**1.5 if spread > 0 else 0.0


def _local_mean(look: Block) -> Block:
    """Mean over the neighbours in each slice."""
    reach = LOCAL_BINS // 2
    padded = np.pad(look, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (LOCAL_BINS, LOCAL_BINS), (1, 2))
    mean: Block = windows.mean((-2, -1))
    return mean
