"""Kept signal: how much of what was measured a network lets through, judged by the other half.

The noise of two halves is independent, so the correlation of what was made of one half with the
other half, as it was measured, holds signal only. A half alone agrees with the signal by
`sqrt(FSC(e, o))`; divided by that, the correlation is the one with the signal itself.
"""

from dataclasses import dataclass

from torch import Tensor

from isonet2.trust.sums import SHELLS, Estimate, Sums, correlation, jackknife, ratio, resolution_of

SEEN = 0.02
"""Correlation of the halves from which on a shell is judged, if it is twice its error too."""
HALF = 0.5


@dataclass(frozen=True, slots=True)
class Kept:
    """Agreement with the measured signal, shell by shell.

    Attributes
    ----------
    shared
        Correlation of the two halves as they were measured.
    raw
        Agreement of one half with the signal: the square root of that.
    kept
        Agreement of what was made of one half with the signal.
    gain
        `kept` over `raw`: above 1 noise was taken away, below 1 signal was.
    power
        Power of the result over that of the data.
    last
        The last shell in which the halves agree.
    """

    shared: Estimate
    raw: Tensor
    kept: Estimate
    gain: Estimate
    power: Tensor
    last: int

    def resolution(self, pixel_size: float) -> float | None:
        """Where agreement with the signal ends (0.5), angstrom; None where it never begins."""
        good = [s for s in range(1, self.last + 1) if float(self.kept.value[s]) >= HALF]
        run = [s for place, s in enumerate(good) if s - good[0] == place]
        return resolution_of(run[-1], pixel_size) if run else None


def last_shared(shared: Estimate) -> int:
    """The last shell of the first run in which two halves agree beyond their error."""
    value, error = shared.value, shared.error
    last = 0
    for shell in range(1, SHELLS + 1):
        if not value[shell] > max(SEEN, 2 * float(error[shell])):
            break
        last = shell
    return last


def kept_signal(sums: Sums, part: str = "measured") -> Kept:
    """Measure how much signal is kept.

    Parameters
    ----------
    sums
        Of the volumes `e`, `o` (halves), `fe`, `fo` (what was made of each), all pairs of one
        with itself, and of `e` and `o`, `fe` and `o`, `fo` and `e`.
    part
        Of Fourier space.
    """

    def of(first: str, second: str) -> Tensor:
        return sums[first, second, part]

    halves = of("e", "e"), of("o", "o")
    restored = of("fe", "fe"), of("fo", "fo")
    shared = jackknife(correlation, of("e", "o"), *halves)
    raw = shared.value.clamp_min(0).sqrt()

    def agreement(
        there: Tensor, back: Tensor, made: Tensor, made2: Tensor, cross: Tensor
    ) -> Tensor:
        return ratio((there + back) / 2, ((made + made2) / 2 * cross).clamp_min(0).sqrt())

    told = of("fe", "o"), of("fo", "e"), *restored, of("e", "o")

    def gain(*given: Tensor) -> Tensor:
        *first, e, o = given
        return ratio(agreement(*first), ratio(first[-1], (e + o) / 2).clamp_min(0).sqrt())

    return Kept(
        shared=shared,
        raw=raw,
        kept=jackknife(agreement, *told),
        gain=jackknife(gain, *told, *halves),
        power=ratio((restored[0] + restored[1]).sum(0), (halves[0] + halves[1]).sum(0)),
        last=last_shared(shared),
    )
