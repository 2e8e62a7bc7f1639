"""A trained network on candidate: applied to any halves, and what it made kept on disk."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from isonet2.data.files import atomic_path
from isonet2.data.volumes import volume_of_array
from isonet2.data.voxels import Statistics
from isonet2.errors import InputError
from isonet2.machine.devices import autocast_type
from isonet2.opening.halves import Half, names_of
from isonet2.opening.rows import geometry_of
from isonet2.parameters import PredictParameters
from isonet2.physics.ctf import CtfSlots
from isonet2.physics.fourier import apply_filter, radial_weight
from isonet2.physics.geometry import Geometry
from isonet2.physics.tiling import AxisTiling
from isonet2.physics.wedge import Sectors
from isonet2.prediction.checkpoint import Checkpoint
from isonet2.prediction.orientations import WAYS
from isonet2.prediction.replicas import Replicas
from isonet2.prediction.restoring import restore
from isonet2.prediction.tiles import fitted_tiles, training_tiles
from isonet2.runs.subject import Subject
from isonet2.types import Block, Region, Shape

PADDING = PredictParameters.model_fields["padding_factor"].default
UNLIKE = 1.1
"""Voxels whose sizes differ by more than this factor show things that a network has not seen."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network whose results are judged.

    Attributes
    ----------
    path
        Its checkpoint.
    label
        How it is called in a report.
    checkpoint, replicas
        What it is, and where it computes.
    digest
        Of its file.
    """

    path: Path
    label: str
    checkpoint: Checkpoint
    replicas: Replicas
    digest: str

    @classmethod
    def load(
        cls, path: Path, label: str, devices: Sequence[torch.device], mixed_precision: bool
    ) -> "Candidate":
        """Read a checkpoint and put its network on devices; InputError where that cannot be."""
        checkpoint = Checkpoint.load(path)
        precision = autocast_type(devices[0], mixed_precision)
        replicas = Replicas([checkpoint.network()], devices, precision)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return cls(path, label, checkpoint, replicas, digest)

    def geometry(self, subject: Subject) -> Geometry:
        """What the physics needs to know of a tomogram; InputError where the table lacks it."""
        treatment = self.checkpoint.usage.treatment
        bfactor = float(self.checkpoint.parameters.get("bfactor") or 0.0)
        return geometry_of(subject.tomogram, subject.halves[0].volume, treatment, bfactor)

    def unseen(self, subject: Subject) -> Subject | None:
        """The part of a tomogram that was held out of training; None where there is none."""
        bounds = self.checkpoint.seen.get(names_of(subject.halves))
        if bounds is None or bounds[1] > subject.halves[0].volume.shape[1]:
            return None
        z, _, x = subject.block
        return replace(subject, block=(z, slice(*bounds), x))

    def has_seen(self, subject: Subject) -> bool:
        """Whether it was trained on a tomogram; so it is where that is not known.

        Of a network that was trained on full tomograms, the halves do not tell.
        """
        seen = self.checkpoint.seen
        known = bool(seen) and self.checkpoint.reads_halves
        return not known or names_of(subject.halves) in seen

    def slots(self, subject: Subject, shape: Shape) -> CtfSlots:
        """Where the CTF acts on a block."""
        return self.geometry(subject).slots(self.checkpoint.usage.treatment, shape)

    def with_tiles(self, shape: Shape, work: Callable[[Sequence[AxisTiling]], None]) -> None:
        """Do work with the tiles of a block; with smaller ones when memory runs out.

        Raises
        ------
        InputError
            When the smallest do not fit either.
        """
        edge = self.checkpoint.usage.cube_size
        plans = [training_tiles(shape, edge, PADDING)]
        if not self.checkpoint.is_published:
            plans.insert(0, fitted_tiles(shape, edge, PADDING, self.replicas.multiple))
        for plan in plans:
            try:
                work(plan)
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
            else:
                return
        raise InputError(
            "one tile does not fit into the GPU's memory; free some of it, or use --gpuID cpu"
        )

    def restored(
        self,
        halves: Sequence[Tensor],
        geometry: Geometry,
        progress: Callable[[int, int], None] | None = None,
        ways: int | None = None,
    ) -> Tensor:
        """Restore blocks (z, y, x), each alone, as `predict` restores halves, or in some `ways`.

        Blocks are brought to mean 0 and deviation 1 first, as whole tomograms are, and their
        results back.

        Returns
        -------
        Tensor
            (halves, z, y, x).
        """
        moments = [(float(x.mean()), float(x.std().clamp_min(1e-12))) for x in halves]
        volumes = [
            Half(volume_of_array(-((x - mean) / std).numpy()), Statistics(0.0, 1.0))
            for x, (mean, std) in zip(halves, moments, strict=True)
        ]
        shape = volumes[0].volume.shape
        result = np.empty((len(volumes), *shape), np.float32)

        def write(region: Region, block: Block) -> None:
            result[:, *region] = block

        self.with_tiles(
            shape,
            lambda plan: restore(
                self.replicas,
                volumes,
                geometry,
                self.checkpoint.usage,
                write,
                plan,
                ways=ways or (1 if self.checkpoint.is_published else WAYS),
                merge=False,
                progress=progress,
            ),
        )
        scale = torch.tensor([std for _, std in moments])[:, None, None, None]
        return torch.from_numpy(result) * scale

    def merged(self, restored: Tensor) -> Tensor:
        """Mean of restored halves (2, z, y, x), with the gain that `predict` gives it."""
        mean = restored.mean(0)
        gain = self.checkpoint.usage.gain
        if not gain:
            return mean
        return apply_filter(mean, radial_weight(torch.tensor(gain), mean.shape))


@dataclass(frozen=True, slots=True)
class Store:
    """Results of networks on disk, so that none is computed twice.

    Attributes
    ----------
    folder
        Where they lie; each file's name says what it was made of.
    """

    folder: Path

    def once(self, facts: object, make: Callable[[], Tensor]) -> Tensor:
        """What was made of the same facts before, or is made now."""
        text = json.dumps(facts, sort_keys=True, default=str)
        path = self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.npy"
        if path.exists():
            return torch.from_numpy(np.load(path))
        made = make()
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.save(file, made.numpy())
        return made


def facts_of(candidate: Candidate, subject: Subject, geometry: Geometry) -> dict[str, object]:
    """What a network's results of a tomogram depend on."""
    return {
        "network": candidate.digest,
        "files": [
            [str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns]
            for path in subject.files
        ],
        "block": str(subject.block),
        "geometry": asdict(geometry),
        "usage": asdict(candidate.checkpoint.usage),
    }


def with_sectors(geometry: Geometry, sectors: Sectors) -> Geometry:
    """The same tomogram with other tilts declared."""
    return replace(geometry, sectors=sectors)
