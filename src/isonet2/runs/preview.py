"""What the network makes of some tomograms while it is still learning."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from isonet2.data.inputs import edges
from isonet2.data.run_folder import NetworkFiles
from isonet2.data.volumes import VolumeWriter, open_volume, slabs
from isonet2.errors import InputError
from isonet2.machine.memory import memory_limit
from isonet2.parameters import PredictParameters
from isonet2.physics.metrics import SPECIMEN_DEPTH, compare, region_correlations
from isonet2.prediction.replicas import Replicas
from isonet2.prediction.restoring import restore
from isonet2.prediction.tiles import fitted_tiles
from isonet2.prediction.usage import Usage
from isonet2.reports.pictures import compare_picture
from isonet2.training.tomogram import Source
from isonet2.types import Block, Region

PADDING = PredictParameters.model_fields["padding_factor"].default
VOLUMES = 5
"""Of the tomogram's size, that a preview holds in memory at a time."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Preview:
    """A tomogram that is restored now and then during training.

    Parameters
    ----------
    source
        Its voxels and its physics.
    truth
        File of the noise-free volume, where there is one.
    usage
        What inputs and results go through.
    precision
        Type that convolutions run in.
    """

    source: Source
    truth: Path | None
    usage: Usage
    precision: torch.dtype

    @property
    def work(self) -> str:
        """What is being made, in words."""
        return f"preview of {self.source.name}"

    def restored(self, network: nn.Module, device: torch.device) -> Block:
        """Restore each half, (halves, z, y, x), in standard scale."""
        source = self.source
        halves = [source.first] if source.second is source.first else [source.first, source.second]
        result = np.empty((len(halves), *source.first.volume.shape), np.float32)

        def write(region: Region, block: Block) -> None:
            result[:, *region] = block

        replicas = Replicas([network], [device], self.precision)
        restore(
            replicas,
            halves,
            source.geometry,
            self.usage,
            write,
            fitted_tiles(
                source.first.volume.shape, self.usage.cube_size, PADDING, replicas.multiple
            ),
            merge=False,
        )
        return result

    def make(
        self, network: nn.Module, device: torch.device, files: NetworkFiles, epoch: int
    ) -> dict[str, float]:
        """Write the restored volume and a picture of it, and measure it.

        What fails, for want of memory or disk too, is said and does not stop the training. At
        most `VOLUMES` volumes of the tomogram's size are in memory at a time, beside tiles and
        some hundred megabytes of a picture; where that is more than this process may use, there
        is no preview.

        Returns
        -------
        dict
            `cc_halves_R`: correlation of the two restored halves in the region R, `measured`
            or `wedge`. With a truth, `fsc_R` and `cc_R`: agreement of their mean with it.
            Empty after a failure.
        """
        volume, picture = (files.preview(self.source.name, epoch, e) for e in ("mrc", "png"))
        try:
            self._refuse_too_large()
            with files.noted(self.work):
                found = self._make(network, device, volume, picture, f"epoch {epoch}")
        except (MemoryError, OSError, RuntimeError, ValueError, InputError) as error:
            log.warning(
                "%s: the preview failed, and training goes on: %s",
                self.source.name,
                str(error) or type(error).__name__,
            )
            return {}
        return {key: round(value, 4) for key, value in found.items()}

    def _refuse_too_large(self) -> None:
        need = VOLUMES * 4 * math.prod(self.source.first.volume.shape)
        have = memory_limit()
        if need > have:
            raise MemoryError(
                f"it needs {need / 1e9:.1f} GB of memory, and {have / 1e9:.1f} GB may be used"
            )

    def _make(
        self, network: nn.Module, device: torch.device, volume: Path, picture: Path, when: str
    ) -> dict[str, float]:
        halves = self.restored(network, device)
        self._write(halves, volume)
        found = self._agreement(halves)
        mean = halves.mean(0)
        del halves
        compare_picture(
            picture,
            {"input": self._given(), "restored": mean},
            self.source.geometry.pixel_size,
            f"{self.source.name}, {when}",
        )
        if self.truth is not None:
            truth = open_volume(self.truth).read()
            np.negative(truth, out=truth)
            found |= compare(
                torch.from_numpy(mean),
                torch.from_numpy(truth),
                self.source.geometry.pixel_size,
                self.source.geometry.sectors,
            )
        return found

    def _write(self, halves: Block, path: Path) -> None:
        """Write the mean of restored halves in the scale of the first input."""
        first = self.source.first
        mean, scale = np.float32(first.statistics.mean), np.float32(first.statistics.std)
        label = "IsoNet2 preview, do not average"
        size = edges(first.volume, self.source.geometry.pixel_size)
        with VolumeWriter(path, like=first.volume, voxel_size=size, label=label) as writer:
            for region in slabs(first.volume):
                writer.write(region, mean - halves[:, *region].mean(0) * scale)

    def _given(self) -> Block:
        """Mean of the halves as they were given."""
        first, second = self.source.first, self.source.second
        given = np.empty(first.volume.shape, np.float32)
        for region in slabs(first.volume):
            given[region] = (first.region(region) + second.region(region)) / 2
        return given

    def _agreement(self, halves: Block) -> dict[str, float]:
        """Correlation of two restored halves inside and outside the measured region."""
        if len(halves) < 2:
            return {}
        first, second = torch.from_numpy(halves)
        thickness = SPECIMEN_DEPTH * halves.shape[1]
        found = region_correlations(first, second, self.source.geometry.sectors, thickness)
        return {f"cc_halves_{name}": found[name] for name in ("measured", "wedge")}


def write_scalars(folder: Path, row: dict[str, float]) -> None:
    """Add an epoch's numbers to TensorBoard's event files in a folder.

    Parameters
    ----------
    folder
        Folder of the event files.
    row
        A row of the history.
    """
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for name, value in row.items():
            writer.add_scalar(name, value, int(row["epoch"]))


def mean_row(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean of the measures of several previews; one that failed has none."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return {key: float(np.mean([row[key] for row in rows if key in row])) for key in keys}
