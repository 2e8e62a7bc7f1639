"""What the network makes of some tomograms while it is still learning."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from isonet2.data.volumes import open_volume, write_volume
from isonet2.physics.ctf import CtfTreatment
from isonet2.physics.fourier import spectrum
from isonet2.physics.metrics import compare, fourier_shell_correlation, regions
from isonet2.physics.tiling import Region
from isonet2.reports.pictures import compare_picture
from isonet2.training.prediction import Block, Geometry, Replicas, fitted_tiles, restore
from isonet2.training.sampling import Source


@dataclass(frozen=True, slots=True)
class Preview:
    """A tomogram that is restored now and then during training.

    Parameters
    ----------
    source
        Its voxels and its physics.
    truth
        File of the noise-free volume, where there is one.
    treatment, apply_mw_x1
        As in training.
    in_ball
        As in `restore`.
    cube_size
        Edge of a tile, voxels.
    precision
        Type that convolutions run in.
    """

    source: Source
    truth: Path | None
    treatment: CtfTreatment
    apply_mw_x1: bool
    in_ball: bool
    cube_size: int
    precision: torch.dtype

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
            Geometry(source.sectors, source.ctf, source.pixel_size),
            self.treatment,
            write,
            fitted_tiles(source.first.volume.shape, self.cube_size, 1.5, replicas.multiple),
            apply_mw_x1=self.apply_mw_x1,
            in_ball=self.in_ball,
            merge=False,
        )
        return result

    def make(
        self, network: nn.Module, device: torch.device, folder: Path, when: str
    ) -> dict[str, float]:
        """Write the restored volume and a picture of it, and measure it.

        Returns
        -------
        dict
            `cc_halves_R`: correlation of the two restored halves in the region R, `measured`
            or `wedge`. With a truth, `fsc_R` and `cc_R`: agreement of their mean with it.
        """
        halves = self.restored(network, device)
        mean = halves.mean(0)
        first, second = self.source.first, self.source.second
        name = f"{self.source.name}_{when}"
        scale = np.float32(first.statistics.std)
        write_volume(
            folder / f"{name}.mrc",
            np.float32(first.statistics.mean) - mean * scale,
            like=first.volume,
            label="IsoNet2 preview, do not average",
        )
        given = (first.region(whole(mean)) + second.region(whole(mean))) / 2
        compare_picture(
            folder / f"{name}.png", {"input": given, "restored": mean}, self.source.pixel_size
        )
        found = self._agreement(halves)
        if self.truth is not None:
            truth = torch.from_numpy(-open_volume(self.truth).read())
            found |= compare(
                torch.from_numpy(mean), truth, self.source.pixel_size, self.source.sectors
            )
        return {key: round(value, 4) for key, value in found.items()}

    def _agreement(self, halves: Block) -> dict[str, float]:
        """Correlation of two restored halves inside and outside the measured region."""
        if len(halves) < 2:
            return {}
        shape = halves.shape[1:]
        first, second = (spectrum(torch.from_numpy(half - half.mean())) for half in halves)
        parts = regions(shape, self.source.sectors, 0.83 * shape[0])
        one = torch.zeros(first.shape, dtype=torch.long)
        return {
            f"cc_halves_{name}": float(
                fourier_shell_correlation(first, second, one, 1, parts[name])[0]
            )
            for name in ("measured", "wedge")
        }


def whole(volume: Block) -> Region:
    """The region of all voxels of a volume (z, y, x)."""
    z, y, x = (slice(0, n) for n in volume.shape)
    return z, y, x


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
    """Mean of the measures of several previews."""
    return {key: float(np.mean([row[key] for row in rows if key in row])) for key in rows[0]}
