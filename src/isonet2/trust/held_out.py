"""Held-out tilts: what a network says of directions that were taken from its inputs.

Some measured directions are removed, the network restores what is left, and its result there is
compared with what was removed. With `F(e)` and `F(o)` what it makes of the halves without these
directions, `F` their mean, and `e` and `o` the halves as measured,
`Q = (<F(e), o> + <F(o), e>) / 2 / sqrt(<F, F> P)` is the correlation of the result with what
these tilts would have shown without noise, `P` being the power of the latter. Each half is judged
by the other one: no edge of the removed region is sharp in a volume of finite size, and the noise
that leaks over it would agree with itself.

`<e, o>` in the held-out directions is that power, but of a small or noisy tomogram it is hardly
known there. All measured directions together say how strong signal is on the whole, and these
differ from it by `UNLIKE` or so. `P` is the mean of both, each weighted by what is known of it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from isonet2.trust.sums import Estimate, Sums, band, correlation, jackknife, ratio

RESOLUTIONS = (100.0, 60.0, 40.0, 30.0)
"""Angstrom at which results are told."""
AGREE = 0.02
"""Correlation of the halves below which nothing is said."""
SURE = 4.0
"""Times the correlation that is expected of as many frequencies of noise, by which the halves must
agree: the power that they share, which is divided by, is then good to a quarter."""
UNLIKE = 0.25
"""Part by which the power of signal in some directions differs from that in all."""
INDEPENDENT = 0.5
"""Part of the frequencies under a soft edge that are independent of their neighbours."""
FEWEST = 200
"""Frequencies that a band must hold in all slabs together."""
HALVES = (("e", "o"), ("e", "e"), ("o", "o"))
"""Names of the halves whose products give their correlation."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What was restored of held-out directions.

    Attributes
    ----------
    resolutions
        Of the bands, angstrom, from coarse to fine, as far as something can be told.
    restored
        Correlation with what these tilts would have shown without noise, in each band.
    mean
        The mean of these bands.
    halves
        Correlation of the halves in the measured directions, in each band.
    own
        Part of the signal's power that is known from the held-out directions themselves.
    why
        Why finer bands are not told; empty where they are.
    """

    resolutions: tuple[float, ...]
    restored: Estimate
    mean: Estimate
    halves: Tensor
    own: Tensor
    why: str

    def at(self, resolution: float) -> tuple[float, float] | None:
        """Value and error at a resolution; None where it is not told."""
        if resolution not in self.resolutions:
            return None
        place = self.resolutions.index(resolution)
        return float(self.restored.value[place]), float(self.restored.error[place])


def held_out(
    sums: Sums,
    counts: Mapping[str, Tensor],
    pixel_size: float,
    made: str = "h",
    part: str = "held out",
    whole: str = "measured",
) -> HeldOut:
    """Compare a result with what was held out.

    Parameters
    ----------
    sums
        In `part`, of the result with itself, and under "NAME of e" and "NAME of o" of what was
        made of the halves with the other half; in both parts of `e` and `o`, their own and each
        other's.
    counts
        Frequencies of a slab in each shell of both parts.
    pixel_size
        Angstrom.
    made
        Name of the result.
    part, whole
        Held-out directions, and all that were measured.
    """
    slabs = len(sums[made, made, part])
    bands, told, why = [], [], ""
    for resolution in RESOLUTIONS:
        shells = band(resolution, pixel_size)
        if shells.stop == 0:
            why = f"{resolution:g} A is beyond what voxels of {pixel_size:g} A can hold"
            break
        if int(counts[part][shells].sum()) * slabs < FEWEST:
            continue
        agree = jackknife(correlation, *(sums[a, b, whole][:, shells].sum(1) for a, b in HALVES))
        chance = SURE * _chance(int(counts[whole][shells].sum()) * slabs)
        if not float(agree.value) > max(AGREE, chance, 2 * float(agree.error)):
            why = f"the halves do not agree at {resolution:g} A beyond their noise"
            break
        bands.append(shells)
        told.append((resolution, float(agree.value)))
    if not bands and not why:
        why = "too few frequencies are held out of a tomogram of this thickness"
    shared, everywhere = sums["e", "o", part], sums["e", "o", whole]
    weights = []
    for b in bands:
        noise = math.sqrt(
            float(sums["e", "e", part][:, b].sum() * sums["o", "o", part][:, b].sum())
        )
        expected = _expected(everywhere.sum(0)[b], counts[part][b], counts[whole][b])
        own = noise * _chance(int(counts[part][b].sum()) * slabs)
        assumed = UNLIKE * float(expected)
        weights.append(assumed**2 / max(assumed**2 + own**2, 1e-30))

    def by_band(cross: Tensor, own: Tensor, shared: Tensor, on_the_whole: Tensor) -> Tensor:
        rows = []
        for b, weight in zip(bands, weights, strict=True):
            expected = _expected(on_the_whole[b], counts[part][b], counts[whole][b])
            power = weight * shared[b].sum().clamp_min(0) + (1 - weight) * expected
            rows.append(ratio(cross[b].sum(), (own[b].sum() * power).clamp_min(0).sqrt()))
        return torch.stack(rows) if rows else torch.zeros(0, dtype=torch.float64)

    given = across(sums, made, part), sums[made, made, part], shared, everywhere
    found = jackknife(by_band, *given)
    unsure = found.value * UNLIKE / 2 * (1 - torch.tensor(weights))
    return HeldOut(
        resolutions=tuple(resolution for resolution, _ in told),
        restored=Estimate(found.value, torch.hypot(found.error, unsure)),
        mean=_mean(jackknife(lambda *each: by_band(*each).mean(), *given), unsure),
        halves=torch.tensor([value for _, value in told]),
        own=torch.tensor(weights),
        why=why,
    )


def _mean(found: Estimate, unsure: Tensor) -> Estimate:
    """With the error of what is assumed, which bands have in common."""
    return Estimate(found.value, torch.hypot(found.error, unsure.mean()))


def _chance(count: int) -> float:
    """Standard deviation of the correlation of noise at so many frequencies."""
    return 1 / math.sqrt(INDEPENDENT * max(1, count))


def _expected(on_the_whole: Tensor, here: Tensor, there: Tensor) -> Tensor:
    """Power of the signal in some directions as all measured ones have it, shell by shell."""
    density = on_the_whole.clamp_min(0) / there.clamp_min(1)
    return (density * here).sum()


def across(sums: Sums, made: str, part: str) -> Tensor:
    """Cross power of a result with the data, each half judged by the other one."""
    return (sums[f"{made} of e", "o", part] + sums[f"{made} of o", "e", part]) / 2


def pairs_of(made: str) -> list[tuple[str, str]]:
    """Pairs of volumes that a result is judged by, beside those of the halves."""
    return [(made, made), (f"{made} of e", "o"), (f"{made} of o", "e")]
