"""Masks made anew from the network's own prediction while it is learning."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from isonet2.data.inputs import edges
from isonet2.data.run_folder import NetworkFiles
from isonet2.data.star import Tomogram
from isonet2.data.volumes import open_volume, write_volume
from isonet2.errors import InputError
from isonet2.opening.boundaries import boundary_of
from isonet2.parameters import MakeMaskParameters, read_parameters
from isonet2.parameters.base import Parameters
from isonet2.parameters.record import record_of
from isonet2.physics.binning import bin_volume, unbin
from isonet2.physics.masking import BINNING, specimen_mask
from isonet2.runs.preview import Preview
from isonet2.training.sampling import Subtomograms
from isonet2.training.tomogram import centres_of_mask
from isonet2.types import all_of

log = logging.getLogger(__name__)

SETTINGS = (
    "patch_size", "density_percentage", "std_percentage", "z_crop", "slab", "exclude_gold",
)  # fmt: skip
"""Parameters of `make_mask` that decide what a mask keeps."""


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
    files
        Where masks are kept.
    epochs
        In all.
    count
        How many updates, spread evenly over the run.
    centres
        Whether cubes are drawn inside masks; else only the voxel weights of the loss are new.
    """

    tomograms: Sequence[Tomogram]
    restorers: list[Preview]
    files: NetworkFiles
    epochs: int
    count: int
    centres: bool = True
    after: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Choose the epochs after which masks are made."""
        steps = (round(self.epochs * i / (self.count + 1)) for i in range(1, self.count + 1))
        self.after = tuple(sorted({max(1, step) for step in steps}))

    def owed(self, work: str) -> bool:
        """Whether a process that was killed in some work still owed masks."""
        return work in map(_work, self.restorers)

    def make(
        self, network: nn.Module, device: torch.device, epoch: int, leave_out: str = ""
    ) -> None:
        """Restore every tomogram, and write the mask of what was restored.

        A prediction in which no specimen is found, or that memory does not suffice for, leaves
        the mask as it was; so does one that an earlier process was killed in (`leave_out`).
        """
        for tomogram, restorer in zip(self.tomograms, self.restorers, strict=True):
            if tomogram.box_file is not None or _work(restorer) == leave_out:
                continue
            try:
                with self.files.noted(_work(restorer)):
                    self._make_one(tomogram, restorer, network, device, epoch)
            except (MemoryError, torch.OutOfMemoryError):
                name = restorer.source.name
                log.warning("%s: memory ran out while its mask was made anew", name)

    def _make_one(
        self,
        tomogram: Tomogram,
        restorer: Preview,
        network: nn.Module,
        device: torch.device,
        epoch: int,
    ) -> None:
        source = restorer.source
        restored = restorer.restored(network, device).mean(0)
        binned = bin_volume(restored.__getitem__, source.first.volume.shape, BINNING)
        mask = specimen_mask(
            torch.from_numpy(binned), boundary=boundary_of(tomogram), **settings_of(tomogram)
        )
        if mask.fraction == 0:
            log.warning("%s: no specimen found in its prediction; its mask stays", source.name)
            return
        write_volume(
            self.files.mask(source.name, epoch),
            unbin(mask.voxels.numpy(), BINNING, all_of(restored.shape)).astype(np.float32),
            like=source.first.volume,
            voxel_size=edges(source.first.volume, source.geometry.pixel_size),
            dtype="int8",
            label=f"IsoNet2 mask of the prediction after epoch {epoch}",
        )

    def apply(self, subtomograms: Subtomograms, epoch: int) -> None:
        """Draw cubes from the latest masks up to an epoch from now on."""
        if not self.after:
            return
        for place, source in enumerate(subtomograms.sources):
            paths = (self.files.mask(source.name, number) for number in range(epoch, 0, -1))
            latest = next((path for path in paths if path.is_file()), None)
            if latest is not None:
                mask = open_volume(latest)
                centres = centres_of_mask(mask)[0] if self.centres else source.centres
                weight = mask if source.weight is not None else None
                renewed = replace(source, centres=centres, weight=weight)
                if renewed.has_room(subtomograms.size):
                    subtomograms.replace(place, renewed)
                else:
                    log.warning(
                        "%s: its new mask leaves no room for a cube; the mask it had stays",
                        source.name,
                    )


def _work(restorer: Preview) -> str:
    return f"new mask of {restorer.source.name}"


def settings_of(tomogram: Tomogram) -> dict[str, Any]:
    """Settings of `make_mask` that a tomogram's mask was made with; the usual ones if unknown."""
    parameters: Parameters | None = None
    if tomogram.mask is not None:
        record = record_of(tomogram.mask.parent, MakeMaskParameters.command)
        with suppress(InputError):
            parameters = read_parameters(record) if record is not None else None
    if not isinstance(parameters, MakeMaskParameters):
        return {}
    return {name: getattr(parameters, name) for name in SETTINGS}
