"""Held-out tilts: what a network says of directions that were taken from its inputs.

Some measured directions are removed, the network restores what is left, and its result there is
compared with what was removed. With `F(e)` and `F(o)` what it makes of the halves without these
directions, `F` their mean, and `e` and `o` the halves as measured,
`Q = (<F(e), o> + <F(o), e>) / 2 / sqrt(<F, F> <e, o>)` is the correlation of the result with what
these tilts would have shown without noise. Each half is judged by the other one: no edge of the
removed region is sharp in a volume of finite size, and the noise that leaks over it would agree
with itself.

Without noise these tilts would themselves agree with the specimen only in part (see `sampling`).
What the result shares with the specimen does not follow their error, so dividing by that part gives
the correlation of the result with the specimen in the held-out directions.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from isonet2.trust.sums import Estimate, Sums, band, correlation, jackknife, ratio

RESOLUTIONS = (100.0, 60.0, 40.0, 30.0)
"""Angstrom at which results are told."""
AGREE = 0.05
"""Correlation of the held-out halves below which nothing is said."""
SURE = 4.0
"""Times the correlation that is expected of as many frequencies of noise, by which the held-out
halves must agree: the power that they share, which is divided by, is then good to a quarter."""
INDEPENDENT = 0.5
"""Part of the frequencies under a soft edge that are independent of their neighbours."""
FEWEST = 200
"""Frequencies that a band must hold in all slabs together."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What was restored of held-out directions.

    Attributes
    ----------
    resolutions
        Of the bands, angstrom, from coarse to fine, as far as something can be told.
    restored
        Correlation with the specimen in the held-out directions, in each band.
    mean
        The same of all shells from the coarsest to the finest of these bands, weighted equally.
    halves
        Correlation of the held-out halves, in each band.
    shown
        What tilts like these show of a specimen without noise, in each band: divided by.
    why
        Why finer bands are not told; empty where they are.
    """

    resolutions: tuple[float, ...]
    restored: Estimate
    mean: Estimate
    halves: Tensor
    shown: Tensor
    why: str

    def at(self, resolution: float) -> tuple[float, float] | None:
        """Value and error at a resolution; None where it is not told."""
        if resolution not in self.resolutions:
            return None
        place = self.resolutions.index(resolution)
        return float(self.restored.value[place]), float(self.restored.error[place])


def held_out(
    sums: Sums,
    counts: Tensor,
    sampled: Tensor,
    pixel_size: float,
    made: str = "h",
    part: str = "held out",
) -> HeldOut:
    """Compare a result with what was held out.

    Parameters
    ----------
    sums
        Of the result with itself, and under "NAME of e" and "NAME of o" of what was made of the
        halves with the other half; and of `e` and `o`, their own and each other's.
    counts
        Frequencies of a slab in each shell of the part.
    sampled
        What tilts show of a specimen without noise, by shell; from `sampling.tilt_agreement`.
    pixel_size
        Angstrom.
    made
        Name of the result.
    part
        Held-out directions.
    """
    shared, first, second = (sums[a, b, part] for a, b in (("e", "o"), ("e", "e"), ("o", "o")))
    cross, own = across(sums, made, part), sums[made, made, part]
    number = counts * len(shared)
    bands, told, why = [], [], ""
    for resolution in RESOLUTIONS:
        shells = band(resolution, pixel_size)
        if shells.stop == 0:
            why = f"{resolution:g} A is beyond what voxels of {pixel_size:g} A can hold"
            break
        if int(number[shells].sum()) < FEWEST:
            continue
        agree = jackknife(correlation, *(one[:, shells].sum(1) for one in (shared, first, second)))
        chance = SURE / math.sqrt(INDEPENDENT * int(number[shells].sum()))
        if not float(agree.value) > max(AGREE, chance, 2 * float(agree.error)):
            why = f"the held-out halves do not agree at {resolution:g} A beyond their noise"
            break
        bands.append(shells)
        told.append((resolution, float(agree.value)))
    if not bands and not why:
        why = "too few frequencies are held out of a tomogram of this thickness"

    total = shared.sum(0).clamp_min(0) * (counts > 0)
    known = sampled.nan_to_num(1.0)
    shares = [ratio((total[b] * known[b]).sum(), total[b].sum()) for b in bands]

    def by_band(cross: Tensor, own: Tensor, shared: Tensor) -> Tensor:
        rows = [
            ratio(cross[b].sum(), (own[b].sum() * shared[b].sum()).clamp_min(0).sqrt()) / shown
            for b, shown in zip(bands, shares, strict=True)
        ]
        return torch.stack(rows) if rows else torch.zeros(0, dtype=torch.float64)

    def mean(cross: Tensor, own: Tensor, shared: Tensor) -> Tensor:
        return by_band(cross, own, shared).mean()

    return HeldOut(
        resolutions=tuple(resolution for resolution, _ in told),
        restored=jackknife(by_band, cross, own, shared),
        mean=jackknife(mean, cross, own, shared),
        halves=torch.tensor([value for _, value in told]),
        shown=torch.tensor([float(one) for one in shares]),
        why=why,
    )


def across(sums: Sums, made: str, part: str) -> Tensor:
    """Cross power of a result with the data, each half judged by the other one."""
    return (sums[f"{made} of e", "o", part] + sums[f"{made} of o", "e", part]) / 2


def pairs_of(made: str) -> list[tuple[str, str]]:
    """Pairs of volumes that a result is judged by, beside those of the halves."""
    return [(made, made), (f"{made} of e", "o"), (f"{made} of o", "e")]
