"""The middle of a volume, as it is and binned."""

import numpy as np

from isonet2.data.volumes import Volume
from isonet2.types import Block, Shape

LOOK_VOXELS = (64, 512, 512)
LOOK_BINNING = 8
WILDEST = 100.0
FEWEST_BINS = 512
"""A look of fewer bins tells nothing."""


def centre(volume: Volume, most: Shape) -> Block:
    """Voxels (z, y, x) of the middle, at most so many along each axis."""
    lows = [max(0, (size - edge) // 2) for size, edge in zip(volume.shape, most, strict=True)]
    z, y, x = (slice(low, low + edge) for low, edge in zip(lows, most, strict=True))
    return volume.read((z, y, x))


def coarse(volume: Volume) -> Block:
    """Binned centre (z, y, x) without the mean of each slice."""
    factor = max(1, min(LOOK_BINNING, min(volume.shape) // 4))
    block = centre(volume, LOOK_VOXELS)
    z, y, x = (edge // factor for edge in block.shape)
    block = block[: z * factor, : y * factor, : x * factor]
    look: Block = block.reshape(z, factor, y, factor, x, factor).mean((1, 3, 5))
    return look - look.mean((1, 2), keepdims=True)


def tamed(block: Block) -> Block:
    """Values more than `WILDEST` robust deviations from the median give way to it."""
    sample = block[::2, ::2, ::2]
    middle = np.median(sample)
    spread = 1.4826 * np.median(np.abs(sample - middle))
    if not spread > 0:
        return block
    kept: Block = np.where(np.abs(block - middle) > WILDEST * spread, middle, block)
    return kept
