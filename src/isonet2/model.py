"""The public door for Python: networks trained on arrays, files or a table, and applied to them."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from isonet2.commands.refine import choose_method
from isonet2.data.files import make_folder, refuse_to_replace
from isonet2.data.inputs import edges
from isonet2.data.labels import LETTERS, RESTORED_LABEL
from isonet2.data.star import TomogramTable
from isonet2.data.volumes import (
    Volume,
    VolumeWriter,
)
from isonet2.data.voxels import statistics
from isonet2.errors import InputError
from isonet2.machine.devices import autocast_type, choose_devices
from isonet2.opening.halves import Half
from isonet2.parameters import DenoiseParameters, RefineParameters, package_version
from isonet2.parameters.record import validated
from isonet2.physics.ctf import ContrastTransfer
from isonet2.physics.geometry import Geometry
from isonet2.physics.wedge import Sectors, sectors_of_tilts
from isonet2.prediction.checkpoint import Checkpoint
from isonet2.prediction.orientations import WAYS
from isonet2.prediction.replicas import Replicas
from isonet2.prediction.restoring import restore
from isonet2.prediction.tiles import fitted_tiles, training_tiles
from isonet2.reports.history import read_history
from isonet2.runs.beginning import Own
from isonet2.runs.lists import TomogramLike, opened, table_of
from isonet2.runs.networks import train as train_on
from isonet2.runs.plan import recipe_of
from isonet2.runs.preview import PADDING
from isonet2.training.losses import Loss
from isonet2.training.objectives import METHODS, Method
from isonet2.training.schedule import Optimizer, Schedule
from isonet2.types import Block, Region

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Optics:
    """What a CTF follows from beside the defocus, as in the STAR table.

    Parameters
    ----------
    voltage_kv
        Acceleration voltage.
    spherical_aberration_mm, amplitude_contrast, phase_shift_degrees
        As in `ContrastTransfer`.
    """

    voltage_kv: float = 300.0
    spherical_aberration_mm: float = 2.7
    amplitude_contrast: float = 0.1
    phase_shift_degrees: float = 0.0


@dataclass(frozen=True, slots=True)
class Model:
    """A trained network, ready to restore tomograms.

    Parameters
    ----------
    checkpoint
        Its weights, and what is known of its training.
    network
        The network itself, in evaluation mode.
    history
        A row for each epoch of its training: losses and measures by name.
    """

    checkpoint: Checkpoint
    network: nn.Module
    history: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path | str, network: nn.Module | None = None) -> "Model":
        """Read a `network_*.pt` file of this program, or of the published IsoNet2.

        Parameters
        ----------
        path
            The file. The history of its training is read where it lies beside it.
        network
            Takes the weights, for a network of your own that `train` was given.

        Raises
        ------
        InputError
            When the file cannot be used.
        """
        path = Path(path)
        checkpoint = Checkpoint.load(path)
        part = "" if checkpoint.part == "full" else f"_{checkpoint.part}"
        rows = read_history(path.with_name(f"history{part}.csv"))
        rows = [row for row in rows if row["epoch"] <= checkpoint.epoch]
        return cls(checkpoint, checkpoint.network(network), rows)

    def save(self, path: Path | str) -> Path:
        """Write the file that `load` and `isonet.py predict` read; it must end in .pt."""
        path = Path(path)
        if path.suffix != ".pt":
            raise InputError(f"{path}: a network's file ends in .pt; give it such a name")
        self.checkpoint.save(path)
        return path

    @overload
    def restore(
        self,
        tomogram: TomogramLike,
        *,
        output: None = None,
        pixel_size: float | None = None,
        tilts: Sequence[float] = (-60.0, 60.0),
        defocus: float | None = None,
        optics: Optics | None = None,
        gpuID: str | None = None,
        mixed_precision: bool = True,
        orientations: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> NDArray[np.float32]: ...

    @overload
    def restore(
        self,
        tomogram: TomogramLike,
        *,
        output: Path | str,
        pixel_size: float | None = None,
        tilts: Sequence[float] = (-60.0, 60.0),
        defocus: float | None = None,
        optics: Optics | None = None,
        gpuID: str | None = None,
        mixed_precision: bool = True,
        orientations: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Path: ...

    def restore(
        self,
        tomogram: TomogramLike,
        *,
        output: Path | str | None = None,
        pixel_size: float | None = None,
        tilts: Sequence[float] = (-60.0, 60.0),
        defocus: float | None = None,
        optics: Optics | None = None,
        gpuID: str | None = None,
        mixed_precision: bool = True,
        orientations: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> NDArray[np.float32] | Path:
        """Restore a tomogram of any size.

        Parameters
        ----------
        tomogram
            An array (z, y, x) or a file, protein dark as in tomograms; or a pair of them, the two
            halves, each of which is restored before they are averaged.
        output
            File to write, of any format that `predict` writes; None returns an array.
        pixel_size
            Angstrom; None takes the file's, or that of the training.
        tilts
            The lowest and the highest tilt angle in degrees, or all of them.
        defocus
            Angstrom, positive for underfocus; needed where the network was trained with a CTF mode.
        optics
            The rest of the CTF.
        gpuID
            As for `predict`: GPU numbers, or "cpu".
        mixed_precision
            Compute in 16 bits where that is safe.
        orientations
            Ways round in which each half is restored; None as `predict` does.
        progress
            Told (tiles done, tiles in all).

        Returns
        -------
        array or Path
            Voxels (z, y, x) in the scale of the input, or the file.

        Raises
        ------
        InputError
            When the tomogram cannot be used.
        """
        halves = _halves(tomogram)
        like = halves[0].volume
        geometry = self._geometry(like, pixel_size, tilts, defocus, optics or Optics())
        devices = choose_devices(gpuID)
        replicas = Replicas([self.network], devices, autocast_type(devices[0], mixed_precision))
        mean, std = (
            np.float32(np.mean([getattr(half.statistics, name) for half in halves]))
            for name in ("mean", "std")
        )

        def run(write: Callable[[Region, Block], None]) -> None:
            edge, shape = self.checkpoint.usage.cube_size, like.shape
            small = training_tiles(shape, edge, PADDING)
            large = fitted_tiles(shape, edge, PADDING, replicas.multiple)
            try_first = small if self.checkpoint.is_published else large
            for tiles in (try_first, small):
                try:
                    restore(
                        replicas,
                        halves,
                        geometry,
                        self.checkpoint.usage,
                        lambda region, block: write(region, mean - block[0] * std),
                        tiles,
                        ways=orientations or (1 if self.checkpoint.is_published else WAYS),
                        progress=progress,
                    )
                except torch.OutOfMemoryError:
                    if tiles is small:
                        raise
                    log.warning("out of GPU memory; going on with smaller tiles")
                    torch.cuda.empty_cache()
                else:
                    return

        if output is None:
            result = np.empty(like.shape, np.float32)
            run(result.__setitem__)
            return result
        path = Path(output)
        for half in halves:
            refuse_to_replace(path, half.volume.path, "output")
        label = f"IsoNet2 {self.checkpoint.method}: {RESTORED_LABEL}; {package_version()}"[:LETTERS]
        label += f"\n{self.checkpoint.restoration().label}"
        size = edges(like, geometry.pixel_size)
        with VolumeWriter(path, like=like, voxel_size=size, label=label) as writer:
            run(writer.write)
        return path

    def _geometry(
        self,
        volume: Volume,
        pixel_size: float | None,
        tilts: Sequence[float],
        defocus: float | None,
        optics: Optics,
    ) -> Geometry:
        """What of Fourier space a tomogram measured, from what was said of it."""
        treatment = self.checkpoint.usage.treatment
        written = volume.voxel_size[2] if volume.voxel_size else None
        pixel = pixel_size or written or self.checkpoint.pixel_size
        if not treatment.needs_ctf:
            return Geometry(_sectors(tilts), None, pixel or 1.0)
        if defocus is None or pixel is None:
            lacking = "defocus" if defocus is None else "pixel_size"
            raise InputError(
                f"{lacking}: a network of CTF_mode {treatment.mode} needs it; give it in angstrom"
            )
        ctf = ContrastTransfer(
            defocus=defocus,
            voltage=optics.voltage_kv,
            spherical_aberration=optics.spherical_aberration_mm,
            amplitude_contrast=optics.amplitude_contrast,
            phase_shift=optics.phase_shift_degrees,
            bfactor=float(self.checkpoint.parameters.get("bfactor", 0.0)),
        )
        return Geometry(_sectors(tilts), ctf, pixel)


def train(
    tomograms: Path | str | Sequence[TomogramLike],
    *,
    output_dir: Path | str | None = None,
    pixel_size: float | None = None,
    tilts: tuple[float, float] = (-60.0, 60.0),
    defocus: float | Sequence[float] | None = None,
    number_subtomos: int | None = None,
    method: Method | str = "auto",
    network: nn.Module | None = None,
    loss: Loss | None = None,
    rate: Schedule | None = None,
    optimizer: Optimizer | None = None,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    **parameters: Any,
) -> Model:
    """Train a network.

    Parameters
    ----------
    tomograms
        A STAR table, or a list of tomograms: arrays (z, y, x), protein dark, or files; pairs of
        them are the two halves of one tomogram each.
    output_dir
        Folder of the network, its history, curves and previews; None keeps nothing on disk.
    pixel_size, tilts, defocus, number_subtomos
        Of a list of tomograms, as in the table: angstrom; the lowest and highest tilt in degrees;
        angstrom, one for all or one each; sub-tomograms that each gives to an epoch.
    method
        As for `refine`, `n2n` for noise2noise, or a `Method` of your own.
    network
        A module of your own from (b, 1, z, y, x) to the same shape, in place of `arch`; where it
        has a number `multiple`, cube edges must divide by it.
    loss, rate, optimizer
        Values of your own in place of `loss_func`, the learning rates and `optimizer`: see `Loss`,
        `Schedule` and `Optimizer`.
    on_epoch
        Told the row of each epoch in the history.
    parameters
        Of `refine` (or `denoise`) by name: `epochs`, `cube_size`, `CTF_mode`, ...

    Returns
    -------
    Model
        What was trained, with its history.

    Raises
    ------
    InputError
        For whatever the command would refuse.
    """
    if parameters.get("split_halves"):
        raise InputError("split_halves True: makes two networks; use isonet.py refine")
    with TemporaryDirectory(prefix="isonet2_") as scratch:
        folder = Path(scratch) if output_dir is None else make_folder(output_dir)
        if isinstance(tomograms, str | Path):
            table = Path(tomograms)
        else:
            told = (pixel_size, tilts, defocus, number_subtomos)
            table = table_of(tomograms, Path(scratch), folder, *told)
        usual: dict[str, Any] = {"with_preview": False} if output_dir is None else {}
        words = usual | parameters | {"star_file": table, "output_dir": folder}
        p: RefineParameters | DenoiseParameters
        if method == "n2n":
            p = validated(DenoiseParameters, words, [])
        else:
            named = {} if isinstance(method, Method) else {"method": method}
            p = validated(RefineParameters, words | named, [])
        rows = TomogramTable.read(p.star_file).only(p.tomo_idx)
        if not isinstance(method, Method):
            chosen = choose_method(p, rows.tomograms) if isinstance(p, RefineParameters) else "n2n"
            method = METHODS[chosen]
        recipe = recipe_of(p) if loss is None else replace(recipe_of(p), loss=loss)
        own = Own(network, rate, optimizer, on_epoch)
        (path,) = train_on(p, method, rows, recipe, own)
        return Model.load(path, network)


def _sectors(tilts: Sequence[float]) -> Sectors:
    """Measured intervals from two ends, or from all tilt angles."""
    if len(tilts) != 2:
        return sectors_of_tilts(tilts)
    low, high = tilts
    if not -90 <= low < high <= 90:
        raise InputError(
            f"tilts {low:g} to {high:g}: give the lowest and the highest angle, within 90 degrees"
        )
    return ((float(low), float(high)),)


def _halves(tomogram: TomogramLike) -> list[Half]:
    parts = tomogram if isinstance(tomogram, tuple) else (tomogram,)
    volumes = [opened(part) for part in parts]
    if len({volume.shape for volume in volumes}) > 1:
        raise InputError(
            f"halves of {volumes[0].shape} and {volumes[1].shape} voxels; they must be of one shape"
        )
    return [Half(volume, statistics(volume)) for volume in volumes]
