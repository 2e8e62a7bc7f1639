"""What of Fourier space a tomogram measured, and how its microscope transferred it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from isonet2.physics.ctf import ContrastTransfer, CtfSlots, CtfTreatment, ctf_curves
from isonet2.physics.fourier import distinct_radii
from isonet2.physics.wedge import Sectors, ball, clear_wedge, measured
from isonet2.types import Shape


@dataclass(frozen=True, slots=True)
class Geometry:
    """What the physics needs to know of a tomogram beside its voxels.

    Parameters
    ----------
    sectors
        Measured intervals of tilt angles, degrees.
    ctf
        The microscope's transfer function; None where it is of no account.
    pixel_size
        Angstrom.
    """

    sectors: Sectors
    ctf: ContrastTransfer | None
    pixel_size: float

    @property
    def tilts(self) -> str:
        """The measured intervals in words."""
        return ", ".join(f"{low:g} to {high:g}" for low, high in self.sectors)

    def measured(
        self,
        shape: Shape,
        rotation: Tensor | None = None,
        *,
        margin: float = 0.0,
        device: torch.device | None = None,
    ) -> Tensor:
        """Mark the measured frequencies of a volume of any shape and turn; see `wedge.measured`."""
        return measured(shape, self.sectors, rotation, margin=margin, device=device)

    def curves(self, treatment: CtfTreatment, lengths: Tensor) -> CtfSlots:
        """The CTF's filters at frequencies (m,) in cycles per voxel; empty without a CTF."""
        if self.ctf is None:
            return CtfSlots()
        return ctf_curves(self.ctf, treatment, lengths / self.pixel_size, self.pixel_size)

    def slots(
        self, treatment: CtfTreatment, shape: Shape, device: torch.device | None = None
    ) -> CtfSlots:
        """The CTF's filters (z, y, x//2+1) for a volume of some shape; empty without a CTF."""
        lengths, place = distinct_radii(shape, device)
        return self.curves(treatment, lengths).map(lambda curve: curve.to(place.device)[place])

    def input_filter(
        self, treatment: CtfTreatment, shape: Shape, *, empty_wedge: bool
    ) -> Tensor | None:
        """The filter that a network's inputs go through, (z, y, x//2+1), or None.

        Parameters
        ----------
        treatment
            How the CTF of the network's data is treated.
        shape
            Of the volume, (z, y, x).
        empty_wedge
            Whether inputs are freed of what lies in the missing wedge. A part of a tomogram
            smears what was measured by `1/n` of its `n` voxels; that is left.
        """
        sign = self.slots(treatment, shape).input
        if not empty_wedge:
            return sign
        weight = ball(shape) * ~clear_wedge(shape, self.sectors, min(shape))
        return weight if sign is None else weight * sign
