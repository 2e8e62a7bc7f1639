"""What is left in the residual: data minus what the network says the data should be.

With `e` and `o` the halves, `f` the network and `C` the CTF, the residual `o - C f(e)` holds the
noise of `o`, the signal that was lost, and the noise of `e` that was let through. The noise is
known from `e - o`; `e - C f(e)` tells the last two apart, because in it the noise that was let
through cancels. No denoiser reaches 0: what a Wiener filter does stands beside each figure.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from isonet2.trust.kept import last_shared
from isonet2.trust.sums import Estimate, Sums, correlation, jackknife, ratio

NOISE_ONLY = 0.1
"""Correlation of the halves below which a shell holds next to nothing but noise."""
SIGNAL = 0.3
"""Correlation from which on it holds signal that a network can be asked to keep."""


@dataclass(frozen=True, slots=True)
class Residual:
    """The residual, shell by shell and over the tilts.

    Attributes
    ----------
    chi
        Power of `o - C f(e)` over that of the noise: 1 plus the noise that was let through and the
        signal that was lost, both as power.
    wiener
        The same of a Wiener filter: 1 plus the correlation of the halves.
    through
        Amplitude of the noise that comes through; the correlation of the halves for a Wiener
        filter, 1 for a network that copies.
    lost
        Part of the signal's power that is left in the residual.
    last
        The last shell in which the halves agree.
    noise_through
        `through` where there is next to no signal.
    signal_lost
        `lost` where there is signal.
    by_tilt
        `signal_lost` in each part of the tilt range, by its ends in degrees.
    """

    chi: Estimate
    wiener: Tensor
    through: Estimate
    lost: Estimate
    last: int
    noise_through: Estimate
    signal_lost: Estimate
    by_tilt: dict[str, Estimate]


def residual(sums: Sums, tilts: list[str], part: str = "measured") -> Residual:
    """Measure the residual.

    Parameters
    ----------
    sums
        As for `kept.kept_signal`, and of `fe` and `e`, `fo` and `o`, `fe` and `fo`.
    tilts
        Names of the parts of the tilt range.
    part
        Of Fourier space.
    """
    terms = _terms(sums, part)
    shared = jackknife(
        correlation, sums["e", "o", part], sums["e", "e", part], sums["o", "o", part]
    )
    last = last_shared(shared)
    strong = _shells(shared, SIGNAL, last)
    weak = torch.zeros_like(strong)
    weak[1:] = shared.value[1:].nan_to_num() < NOISE_ONLY
    return Residual(
        chi=jackknife(lambda t: ratio(t[0], t[1]), terms),
        wiener=1 + shared.value.clamp(0, 1),
        through=jackknife(lambda t: ratio(t[2], t[1]), terms),
        lost=jackknife(lambda t: ratio(t[3], t[4]), terms),
        last=last,
        noise_through=jackknife(lambda t: _pooled(t, 2, 1, weak), terms),
        signal_lost=jackknife(lambda t: _pooled(t, 3, 4, strong), terms),
        by_tilt={
            name: jackknife(lambda t: _pooled(t, 3, 4, strong), _terms(sums, name))
            for name in tilts
        },
    )


def _shells(shared: Estimate, least: float, last: int) -> Tensor:
    """Shells in which the halves agree by so much."""
    chosen = shared.value.nan_to_num() > least
    chosen[0] = False
    chosen[last + 1 :] = False
    return chosen


def _pooled(terms: Tensor, above: int, below: int, shells: Tensor) -> Tensor:
    return ratio(terms[above][shells].sum(), terms[below][shells].sum())


def _terms(sums: Sums, part: str) -> Tensor:
    """Powers (slabs, 5, shells) of both halves together.

    They are of the residual across halves, of the noise, the noise let through times the noise's
    amplitude, the signal lost, and the signal.
    """

    def of(first: str, second: str) -> Tensor:
        return sums[first, second, part]

    data, made = of("e", "e") + of("o", "o"), of("fe", "fe") + of("fo", "fo")
    across, same = of("fe", "o") + of("fo", "e"), of("fe", "e") + of("fo", "o")
    shared = of("e", "o")
    noise = data - 2 * shared
    across_residual = data + made - 2 * across
    through = same - across
    both = shared - same + of("fe", "fo")  # cross power of o - f(e) and e - f(o)
    lost = 2 * both + 2 * through
    return torch.stack([across_residual, noise, through, lost, 2 * shared], 1)
