"""What was found of one network's results of one tomogram."""

from dataclasses import dataclass

from torch import Tensor

from isonet2.trust.beads import Beads
from isonet2.trust.held_out import HeldOut
from isonet2.trust.imprint import Imprint
from isonet2.trust.kept import Kept
from isonet2.trust.residual import Residual
from isonet2.trust.spread import Spread


@dataclass(frozen=True, slots=True)
class Assessment:
    """What was found of one network's results of one tomogram.

    Attributes
    ----------
    kept, controls_kept
        Kept signal, and that of controls by name.
    unseen
        Kept signal in the part that was held out of training; None where there is none.
    residual
        What is left of the data.
    held_out, controls_held_out
        What was restored of held-out tilts, by the network and by controls.
    imprint
        What stands in results of nothing.
    spread
        Of results that ought to be the same.
    power
        In cones along x, y, z, by what: data, result and controls.
    peaks
        Single frequencies that stand out of the result and not of the data.
    blur
        Deviation of the matched blur, voxels.
    truth
        Where the truth is known: true correlations by name, of what was measured.
    beads
        Gold beads, and how rough it is beside them; None where there are none.
    spread_rank
        Where the truth is known: how well the spread in the wedge ranks the true errors there.
    pictures
        Volumes (z, y, x) by name, to be drawn.
    """

    kept: Kept
    controls_kept: dict[str, Kept]
    unseen: Kept | None
    residual: Residual
    held_out: HeldOut | None
    controls_held_out: dict[str, HeldOut]
    imprint: Imprint
    spread: Spread
    power: dict[str, dict[str, float]]
    peaks: int
    blur: float
    truth: dict[str, Tensor]
    beads: Beads | None
    spread_rank: float | None
    pictures: dict[str, Tensor]
