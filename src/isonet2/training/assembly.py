"""Samples put together to a batch on a device, with masks and CTF filters beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from isonet2.physics.ctf import CtfSlots, CtfTreatment
from isonet2.physics.fourier import distinct_radii
from isonet2.physics.geometry import Geometry
from isonet2.physics.rotation import rotate_exact, rotate_free
from isonet2.physics.wedge import Sectors, between, planes
from isonet2.training.objectives import Batch, Wide
from isonet2.training.sampling import Sample, Subtomograms
from isonet2.training.tomogram import Source
from isonet2.types import Block


def _sent(x: Tensor, device: torch.device) -> Tensor:
    """Copy to a device without waiting for it: to a GPU, from pinned memory."""
    if device.type == "cuda":
        x = x.pin_memory()
    return x.to(device, non_blocking=True)


@lru_cache(maxsize=8)
def _measured(size: int, sectors: Sectors, device: torch.device) -> Tensor:
    return between((size,) * 3, _sent(planes(sectors), device))


@lru_cache(maxsize=512)
def _curves(geometry: Geometry, treatment: CtfTreatment, size: int) -> CtfSlots:
    """A tomogram's CTF over the lengths of frequency vectors, on the CPU."""
    lengths, _ = distinct_radii((size,) * 3)
    return geometry.curves(treatment, lengths)


def _stacked(slots: list[CtfSlots]) -> CtfSlots:
    """The curves of several tomograms as one tensor (b, m) for each slot that they fill."""
    columns = zip(*(one.filters for one in slots), strict=True)
    filled = ([curve for curve in column if curve is not None] for column in columns)
    return CtfSlots(*(torch.stack(curves) if curves else None for curves in filled))


class Assembler:
    """Turns samples into a batch on a device, with masks and CTF filters beside them.

    Parameters
    ----------
    sources
        The tomograms.
    treatment
        How the CTF is treated.
    device
        Where batches live.
    both_directions
        Use every pair twice, with its halves exchanged.

    Notes
    -----
    What stays on the device does not grow with the number of tomograms: a CTF is sent as a curve
    with each batch, and spread there over one index map for each size of cubes.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        treatment: CtfTreatment,
        device: torch.device,
        *,
        both_directions: bool = False,
    ) -> None:
        self.sources = sources
        self.treatment = treatment
        self.device = device
        self.both_directions = both_directions

    def __call__(self, samples: list[Sample], noise_level: float = 0.0) -> Batch:
        """Put samples together."""
        if self.both_directions:
            samples = samples + [
                Sample(s.draw, s.halves[::-1], s.wide and s.wide[::-1], s.weight) for s in samples
            ]
        size = samples[0].halves[0].shape[0]
        owners = [self.sources[s.draw.source] for s in samples]
        rotation = torch.stack([s.draw.rotation for s in samples])
        first = self._cubes([s.halves[0] for s in samples])
        one_volume = all(s.halves[1] is s.halves[0] for s in samples)
        return Batch(
            first=first,
            second=first if one_volume else self._cubes([s.halves[1] for s in samples]),
            rotation=rotation,
            measured=self._masks(owners, size),
            turned=self._turned(owners, rotation, size),
            ctf=self._ctf(owners, size),
            seeds=[s.draw.seed + (i >= len(samples) // 2) * self.both_directions
                   for i, s in enumerate(samples)],
            wide=self._wide(samples, owners, rotation),
            weight=self._weight(samples),
            noise_level=noise_level,
        )  # fmt: skip

    def _cubes(self, cubes: list[Block]) -> Tensor:
        return _sent(torch.from_numpy(np.stack(cubes))[:, None], self.device)

    def _masks(self, owners: list[Source], size: int) -> Tensor:
        sectors = [owner.geometry.sectors for owner in owners]
        return torch.stack([_measured(size, mine, self.device) for mine in sectors])[:, None]

    def _turned(self, owners: list[Source], rotation: Tensor, size: int) -> Tensor:
        """Masks after rotation; a sector stands several times where others have more of them."""
        sectors = [owner.geometry.sectors for owner in owners]
        most = max(map(len, sectors))
        normals = [
            planes([*mine, *[mine[0]] * (most - len(mine))], turn)
            for mine, turn in zip(sectors, rotation, strict=True)
        ]
        return between((size,) * 3, _sent(torch.stack(normals), self.device))[:, None]

    def _ctf(self, owners: list[Source], size: int) -> CtfSlots:
        _, place = distinct_radii((size,) * 3, self.device)
        curves = _stacked([_curves(owner.geometry, self.treatment, size) for owner in owners])
        return curves.map(lambda curve: _sent(curve, self.device)[:, None, place])

    def _wide(self, samples: list[Sample], owners: list[Source], rotation: Tensor) -> Wide | None:
        rows = [i for i, s in enumerate(samples) if s.wide is not None]
        if not rows:
            return None
        pairs = [s.wide for s in samples if s.wide is not None]
        size = pairs[0][0].shape[0]
        owners = [owners[i] for i in rows]
        return Wide(
            rows=rows,
            rotation=_sent(rotation[rows], self.device),
            first=self._cubes([pair[0] for pair in pairs]),
            second=self._cubes([pair[1] for pair in pairs]),
            input=self._ctf(owners, size).input,
            measured=self._masks(owners, size),
        )

    def _weight(self, samples: list[Sample]) -> Tensor | None:
        found = [s.weight for s in samples if s.weight is not None]
        if not found:
            return None
        weight = self._cubes(found)
        turned = [
            rotate_free(w[None], _sent(s.draw.rotation[None], self.device), w.shape[-1])[0]
            if s.draw.free
            else rotate_exact(w, s.draw.rotation)
            for w, s in zip(weight, samples, strict=True)
        ]
        return torch.stack(turned)


@dataclass(frozen=True, slots=True)
class Cubes:
    """Where batches come from: cubes that are drawn, and how they are put together."""

    subtomograms: Subtomograms
    assemble: Assembler
