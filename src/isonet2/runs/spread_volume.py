"""The spread of results as volumes, that open beside the restored tomogram."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch

from isonet2.data.inputs import edges
from isonet2.data.labels import LETTERS, is_labelled
from isonet2.data.volumes import Volume, VolumeWriter, open_volume, slabs
from isonet2.physics.tiling import AxisTiling
from isonet2.prediction.restoring import restore
from isonet2.runs.candidate import Candidate, facts_of
from isonet2.runs.subject import Subject
from isonet2.trust.spread import SMOOTH, Spreading, smoothed
from isonet2.types import Block, Region

log = logging.getLogger(__name__)


def write_spread(
    candidate: Candidate,
    subject: Subject,
    path: Path,
    progress: Callable[[int, int], None],
    mean: Path | None = None,
) -> None:
    """Write the deviation of results over flips and halves, in the result's scale.

    The whole tomogram is restored in every way, tile by tile, in memory that does not grow with
    it. Files that are there already, of the same network and data, are left as they are.

    Parameters
    ----------
    candidate, subject
        The network and the tomogram.
    path
        File to write.
    progress
        Told (tiles done, tiles in all).
    mean
        File for the mean of the results, where that is wanted too.
    """
    geometry = candidate.geometry(subject)
    key = hashlib.sha256(repr(facts_of(candidate, subject, geometry)).encode()).hexdigest()[:16]
    labels = {path: f"IsoNet2 {key}: spread of results, no density"[:LETTERS]}
    if mean is not None:
        labels[mean] = f"IsoNet2 {key}: mean of results of flips"[:LETTERS]
    if all(is_labelled(file, label) for file, label in labels.items()):
        log.info("%s: %s is there already", subject.name, path)
        return
    scale = np.float32(np.mean([half.statistics.std for half in subject.halves]))
    like = subject.halves[0].volume
    size = edges(like, geometry.pixel_size)

    def work(tiles: Sequence[AxisTiling]) -> None:
        with ExitStack() as stack:
            writers = [
                stack.enter_context(VolumeWriter(file, like=like, voxel_size=size, label=label))
                for file, label in labels.items()
            ]

            def write(region: Region, block: Block) -> None:
                for writer, part in zip(writers, block[::-1], strict=False):
                    writer.write(region, part * scale)

            restore(
                Spreading(candidate.replicas, geometry.sectors),
                subject.halves,
                geometry,
                candidate.checkpoint.usage,
                write,
                tiles,
                progress=progress,
            )

    candidate.with_tiles(like.shape, work)


def pool_spreads(spreads: Sequence[Path], means: Sequence[Path], path: Path) -> None:
    """Write the deviation of the results of several networks, each over flips and halves.

    The variance is that within the networks, on the average, and that between their means.

    Parameters
    ----------
    spreads, means
        What `write_spread` has written of each network; at least two.
    path
        File to write.
    """
    within, between = ([open_volume(one) for one in files] for files in (spreads, means))
    like = within[0]
    label = f"IsoNet2: spread over {len(spreads)} networks, no density"
    with VolumeWriter(path, like=like, label=label) as writer:
        for region in slabs(like):
            variance = np.mean([volume.read(region) ** 2 for volume in within], axis=0)
            writer.write(region, np.sqrt(variance + _between(between, region)))


def _between(means: Sequence[Volume], region: Region) -> Block:
    """Variance of volumes in a slab, smoothed over its neighbours too."""
    rows, reach = region[0], SMOOTH // 2
    low, high = max(rows.start - reach, 0), min(rows.stop + reach, means[0].shape[0])
    seen = torch.from_numpy(np.stack([one.read((slice(low, high), *region[1:])) for one in means]))
    smooth: Block = smoothed(seen.var(0)[None, None])[0, 0].numpy()
    return smooth[rows.start - low : rows.stop - low]
