"""Masks made anew from the network's own prediction while it is learning."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from isonet2.data.inputs import edges
from isonet2.data.star import Tomogram
from isonet2.data.volumes import open_volume, write_volume
from isonet2.opening.boundaries import boundary_of
from isonet2.physics.binning import bin_volume, unbin
from isonet2.physics.masking import BINNING, specimen_mask
from isonet2.runs.preview import Preview
from isonet2.training.sampling import Subtomograms
from isonet2.training.tomogram import centres_of_mask
from isonet2.types import all_of

log = logging.getLogger(__name__)


FOLDER = "masks"


def masks_of(folder: Path, part: str) -> list[Path]:
    """Masks that a run made for one part of the tomograms."""
    return sorted((folder / FOLDER).glob(f"*_{part}_epoch*.mrc"))


@dataclass(slots=True)
class MaskUpdates:
    """When masks are made anew during a run, and from what.

    Parameters
    ----------
    tomograms
        Rows of the table, in the order of the subtomograms' sources. Masks stay inside the
        boundary of a row; a row with a coordinate file keeps its points.
    restorers
        One for each tomogram.
    epochs
        In all.
    count
        How many updates, spread evenly over the run.
    folder
        Where masks are kept.
    part
        Of the tomograms that the network sees; a word in the masks' names.
    """

    tomograms: Sequence[Tomogram]
    restorers: list[Preview]
    epochs: int
    count: int
    folder: Path
    part: str
    after: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Choose the epochs after which masks are made."""
        steps = (round(self.epochs * i / (self.count + 1)) for i in range(1, self.count + 1))
        self.after = tuple(sorted({max(1, step) for step in steps}))

    def path(self, name: str, epoch: int) -> Path:
        """File of a tomogram's mask."""
        return self.folder / FOLDER / f"{name}_{self.part}_epoch{epoch}.mrc"

    def make(self, network: nn.Module, device: torch.device, epoch: int) -> None:
        """Restore every tomogram, and write the mask of what was restored.

        A prediction in which no specimen is found, or that memory does not suffice for, leaves
        the mask as it was.
        """
        for tomogram, restorer in zip(self.tomograms, self.restorers, strict=True):
            if tomogram.box_file is not None:
                continue
            source = restorer.source
            try:
                restored = restorer.restored(network, device).mean(0)
            except (MemoryError, torch.OutOfMemoryError):
                log.warning("%s: memory ran out while its mask was made anew", source.name)
                continue
            binned = bin_volume(restored.__getitem__, source.first.volume.shape, BINNING)
            mask = specimen_mask(torch.from_numpy(binned), boundary=boundary_of(tomogram))
            if mask.fraction == 0:
                log.warning("%s: no specimen found in its prediction; its mask stays", source.name)
                continue
            write_volume(
                self.path(source.name, epoch),
                unbin(mask.voxels.numpy(), BINNING, all_of(restored.shape)).astype(np.float32),
                like=source.first.volume,
                voxel_size=edges(source.first.volume, source.geometry.pixel_size),
                dtype="int8",
                label=f"IsoNet2 mask of the prediction after epoch {epoch}",
            )

    def apply(self, subtomograms: Subtomograms, epoch: int) -> None:
        """Draw cubes from the latest masks up to an epoch from now on."""
        for place, source in enumerate(subtomograms.sources):
            found = [
                number for number in range(1, epoch + 1) if self.path(source.name, number).is_file()
            ]
            if found:
                mask = open_volume(self.path(source.name, found[-1]))
                centres, _ = centres_of_mask(mask)
                weight = mask if source.weight is not None else None
                renewed = replace(source, centres=centres, weight=weight)
                if renewed.has_room(subtomograms.size):
                    subtomograms.replace(place, renewed)
                else:
                    log.warning(
                        "%s: its new mask leaves no room for a cube; the mask it had stays",
                        source.name,
                    )
