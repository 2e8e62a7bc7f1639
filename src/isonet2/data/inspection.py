"""What voxels tell: whether they are halves of one tomogram, protein is dark, a mask fits."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from isonet2.data.volumes import Volume
from isonet2.errors import InputError

COMPARED_VOXELS = 64
SAME_NOISE = 0.95

LOOK_VOXELS = (64, 512, 512)
LOOK_BINNING = 8
FEWEST_BINS = 512
CLEARLY = 0.2
LOCAL_BINS = 9
INVERTED_SKEWNESS = 0.3
EMPTIER = 0.03
FEWEST_VOXELS = 4096

Look = NDArray[np.float32]


def refuse_dependence(first: Volume, second: Volume) -> None:
    """Raise InputError for two halves that cannot be halves of one tomogram.

    They are one file, or hold the same noise, or the opposite contrast.
    """
    if first.path.samefile(second.path):
        raise InputError(f"{first.path} and {second.path}: are the same file; give the two halves")
    likeness = noise_correlation(first, second)
    if likeness >= SAME_NOISE:
        raise InputError(
            f"{first.path} and {second.path}: hold the same noise (correlation {likeness:.3f}); "
            f"halves must come from different frames or tilts"
        )
    looks = _look(first), _look(second)
    if first.shape == second.shape and looks[0].size >= FEWEST_BINS:
        likeness = float(np.vdot(*looks))
        if likeness < -CLEARLY:
            raise InputError(
                f"{first.path} and {second.path}: have opposite contrast (correlation "
                f"{likeness:.2f}); invert one of them"
            )


def noise_correlation(first: Volume, second: Volume) -> float:
    """Correlation of two volumes' finest detail in a cube at their centre.

    The detail is the difference of neighbours along all three axes, where noise outweighs
    specimen. Independent halves are near 0, copies and scaled copies at 1 or -1.
    """
    details = []
    for volume in (first, second):
        block = _centre(volume, (COMPARED_VOXELS,) * 3).astype(np.float64)
        for axis in range(3):
            block = np.diff(block, axis=axis)
        details.append(block.ravel() - block.mean() if block.size else np.zeros(1))
    one, two = details
    scale = float(np.sqrt(np.vdot(one, one) * np.vdot(two, two)))
    return abs(float(np.vdot(one, two))) / scale if scale > 0 else 0.0


def mixed_up(pairs: Sequence[tuple[Volume, Volume]]) -> list[str]:
    """Name halves that look like another tomogram's other half, and unlike their own.

    Parameters
    ----------
    pairs
        First and second half of every tomogram, in the order of the table.

    Returns
    -------
    list of str
        One sentence for each first half that belongs elsewhere.

    Notes
    -----
    What is compared is the central part, binned and without the mean of each slice: specimen
    outweighs noise there, and the common shape of all lamellae is gone.
    """
    shapes: dict[tuple[int, ...], list[int]] = {}
    for index, (first, _) in enumerate(pairs):
        shapes.setdefault(first.shape, []).append(index)
    found = []
    for members in shapes.values():
        if len(members) > 1:
            found.extend(_misplaced([pairs[index] for index in members]))
    return found


def _misplaced(pairs: Sequence[tuple[Volume, Volume]]) -> list[str]:
    with ThreadPoolExecutor(4) as pool:
        firsts = np.stack(list(pool.map(_look, (first for first, _ in pairs))))
        seconds = np.stack(list(pool.map(_look, (second for _, second in pairs))))
    likeness = firsts @ seconds.T
    found: list[str] = []
    if firsts.shape[1] < FEWEST_BINS:
        return found
    for own, row in enumerate(likeness):
        best = int(row.argmax())
        if row[best] > row[own] + CLEARLY:
            found.append(
                f"{pairs[own][0].path}: looks like {pairs[best][1].path} (correlation "
                f"{row[best]:.2f}), not like its own other half {pairs[own][1].path} "
                f"({row[own]:.2f}); the files of two tomograms seem to be mixed up"
            )
    return found


def looks_inverted(volume: Volume) -> bool:
    """Whether protein seems to be bright: coarse detail is skewed upwards nearly everywhere.

    Specimen fills the smaller part of a tomogram and stands out to one side of the ice. Holes
    and borders do so too, in one place; therefore slow changes are taken out, and three of the
    four quarters of the slices must agree.
    """
    look = _coarse(volume)
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
    values = _centre(tomogram, LOOK_VOXELS).astype(np.float64)
    kept = _centre(mask, LOOK_VOXELS) > 0
    inside, outside = values[kept], values[~kept]
    if min(inside.size, outside.size) < FEWEST_VOXELS:
        return False
    apart, spread = inside.mean() - outside.mean(), outside.std()
    return bool(apart > EMPTIER * spread and inside.std() < (1 - EMPTIER) * spread)


def _skewness(values: Look) -> float:
    deviation = values - values.mean()
    spread = float(np.square(deviation).mean())
    return float((deviation**3).mean()) / spread**1.5 if spread > 0 else 0.0


def _local_mean(look: Look) -> Look:
    """Mean over the neighbours in each slice."""
    reach = LOCAL_BINS // 2
    padded = np.pad(look, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (LOCAL_BINS, LOCAL_BINS), (1, 2))
    mean: Look = windows.mean((-2, -1))
    return mean


def _look(volume: Volume) -> Look:
    """Binned centre as a vector of length 1, or 0 where there is nothing to see."""
    look = _coarse(volume)
    length = float(np.linalg.norm(look))
    return look.ravel() / np.float32(length or 1.0)


def _coarse(volume: Volume) -> Look:
    """Binned centre (z, y, x) without the mean of each slice."""
    factor = max(1, min(LOOK_BINNING, min(volume.shape) // 4))
    block = _centre(volume, LOOK_VOXELS)
    z, y, x = (edge // factor for edge in block.shape)
    block = block[: z * factor, : y * factor, : x * factor]
    look = block.reshape(z, factor, y, factor, x, factor).mean((1, 3, 5))
    return look - look.mean((1, 2), keepdims=True)


def _centre(volume: Volume, most: tuple[int, int, int]) -> Look:
    lows = [max(0, (size - edge) // 2) for size, edge in zip(volume.shape, most, strict=True)]
    z, y, x = (slice(low, low + edge) for low, edge in zip(lows, most, strict=True))
    return volume.read((z, y, x))
