"""The spread of results as a volume, that opens beside the restored tomogram."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from isonet2.data.inputs import edges
from isonet2.data.labels import LETTERS, is_labelled
from isonet2.data.volumes import VolumeWriter
from isonet2.physics.tiling import AxisTiling
from isonet2.prediction.restoring import restore
from isonet2.runs.candidate import Candidate, facts_of
from isonet2.runs.subject import Subject
from isonet2.trust.spread import Spreading

log = logging.getLogger(__name__)


def write_spread(
    candidate: Candidate, subject: Subject, path: Path, progress: Callable[[int, int], None]
) -> None:
    """Write the deviation of results over flips and halves, in the result's scale.

    The whole tomogram is restored in every way, tile by tile, in memory that does not grow with
    it. A file that is there already, of the same network and data, is left as it is.

    Parameters
    ----------
    candidate, subject
        The network and the tomogram.
    path
        File to write.
    progress
        Told (tiles done, tiles in all).
    """
    geometry = candidate.geometry(subject)
    key = hashlib.sha256(repr(facts_of(candidate, subject, geometry)).encode()).hexdigest()[:16]
    label = f"IsoNet2 {key}: spread of results, no density"[:LETTERS]
    if is_labelled(path, label):
        log.info("%s: %s is there already", subject.name, path)
        return
    scale = np.float32(np.mean([half.statistics.std for half in subject.halves]))
    like = subject.halves[0].volume
    size = edges(like, geometry.pixel_size)

    def work(tiles: Sequence[AxisTiling]) -> None:
        with VolumeWriter(path, like=like, voxel_size=size, label=label) as writer:
            restore(
                Spreading(candidate.replicas, geometry.sectors),
                subject.halves,
                geometry,
                candidate.checkpoint.usage,
                lambda region, block: writer.write(region, block[1] * scale),
                tiles,
                progress=progress,
            )

    candidate.with_tiles(like.shape, work)
