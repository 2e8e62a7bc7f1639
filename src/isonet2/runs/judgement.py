"""What an assessment says: lights, sentences, figures and a picture for the report."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from torch import Tensor

from isonet2.checks.findings import Finding, Findings
from isonet2.errors import counted
from isonet2.reports.comparison import Bars, Line, Panel, curves
from isonet2.runs.assessment import Assessment
from isonet2.trust.beads import Beads
from isonet2.trust.held_out import HeldOut
from isonet2.trust.sums import Estimate
from isonet2.trust.verdict import FILL, IMPRINT, LOST, THROUGH, Light

NEGLIGIBLE = 0.05
"""Part of the signal whose loss at some tilts need not be mentioned."""
NAMED_BEADS = 5
HOW = {
    "quick": "by the network itself, which has seen these tilts in training: a mild test",
    "full": "by a network trained anew without these tilts: the honest test",
}


@dataclass(frozen=True, slots=True)
class Judged:
    """One network's results of one tomogram, measured.

    Attributes
    ----------
    tomogram, model
        Their names.
    pixel_size
        Angstrom.
    measured
        The measures.
    held_out
        How tilts were held out: quick, full or none.
    fills
        Whether it is meant to fill the wedge.
    seen
        Whether it was trained on this tomogram.
    """

    tomogram: str
    model: str
    pixel_size: float
    measured: Assessment
    held_out: str
    fills: bool
    seen: bool

    @property
    def beyond_positivity(self) -> float:
        """How much more of the held-out tilts is restored than by positivity; NaN for none."""
        mine, control = self.measured.held_out, self.measured.controls_held_out.get("positivity")
        if mine is None or control is None or not mine.resolutions:
            return math.nan
        return float(mine.mean.value - control.mean.value)

    def findings(self) -> Findings:
        """What the lights say, and what else is to be known."""
        found, m = Findings(), self.measured
        lost, through = float(m.residual.signal_lost.value), float(m.residual.noise_through.value)
        worst = _worst_tilts(m)
        where = f", most at tilts of {worst[0]} degrees ({_share(worst[1])})" if worst else ""
        found.add(
            [
                self._finding(
                    LOST,
                    max(lost, worst[1] if worst else lost),
                    f"{_share(lost)} of the signal's power that the halves share is left in the "
                    f"residual{where}",
                    "look at the residual's slice: structure seen there is lost",
                ),
                self._finding(
                    THROUGH,
                    through,
                    f"{_share(through)} of the noise's amplitude comes through where there is "
                    "hardly any signal",
                    "a network that copies its input has not learned; train it anew",
                ),
                self._finding(
                    IMPRINT,
                    m.imprint.noise,
                    f"given noise, the network puts {_share(m.imprint.noise)} as much power into "
                    "the wedge as given the data",
                    "compare the slice of restored noise with that of the result",
                ),
            ]
        )
        if self.fills and self.held_out != "none":
            found.add([self._fill()])
        found.add(self._named())
        if m.beads is not None:
            found.add([self._gold(m.beads)])
        return found

    def _fill(self) -> Finding:
        told = self.measured.held_out
        assert told is not None
        if not told.resolutions:
            sentence = f"nothing can be told of held-out tilts: {told.why}"
            return Finding(FILL.name, "remark", sentence, tomogram=self.tomogram)
        control = self.measured.controls_held_out["positivity"]
        return self._finding(
            FILL,
            self.beyond_positivity,
            f"of the held-out tilts, {float(told.mean.value):.2f} is restored "
            f"(positivity alone: {float(control.mean.value):.2f}), {HOW[self.held_out]}",
            "do not interpret what stands in the filled wedge alone",
        )

    def _named(self) -> list[Finding]:
        """What came out of noise, called by its name."""
        m, found = self.measured, []
        if m.imprint.lattice:
            found.append(
                self._own(
                    f"out of noise the network makes a lattice ({m.imprint.lattice} frequencies "
                    f"stand out)",
                    "train longer, or with another cube_size",
                )
            )
        if m.imprint.holds_shapes:
            found.append(
                self._own(
                    "out of noise the network makes shapes: blobs, sheets or membranes (excess "
                    f"kurtosis {m.imprint.shapes:.1f})",
                    "do not trust like shapes in empty regions",
                )
            )
        return found

    def _gold(self, beads: Beads) -> Finding:
        places = [f"{x:.0f}, {y:.0f}, {z:.0f}" for z, y, x in beads.middles]
        more = f"; and {len(places) - NAMED_BEADS} more" * (len(places) > NAMED_BEADS)
        result, wiener = beads.roughness["result"], beads.roughness["Wiener filter"]
        return Finding(
            "gold",
            "remark",
            f"it holds {counted(len(places), 'gold bead')}, or bodies as dense (x, y, z: "
            f"{'; '.join(places[:NAMED_BEADS])}{more}); beside them the result is {result:.1f} "
            f"times as rough as elsewhere, by a Wiener filter {wiener:.1f} times",
            "train with the masks of make_mask, which leaves beads out" * (result > wiener),
            self.tomogram,
        )

    def _own(self, sentence: str, remedy: str) -> Finding:
        return Finding(IMPRINT.name, "warning", sentence, remedy, self.tomogram)

    def _finding(self, light: Light, value: float, sentence: str, remedy: str) -> Finding:
        severity = light.colour(value) or "remark"
        if severity == "remark":
            remedy = ""
        return Finding(light.name, severity, sentence, remedy, self.tomogram, light.warning, value)


def _worst_tilts(m: Assessment) -> tuple[str, float] | None:
    """The part of the tilt range whose signal is lost most, if that is beyond its error."""
    whole = float(m.residual.signal_lost.value)
    parts = {
        name: float(one.value)
        for name, one in m.residual.by_tilt.items()
        if float(one.value) - 2 * float(one.error) > max(whole, NEGLIGIBLE)
    }
    if not parts:
        return None
    name = max(parts, key=lambda key: parts[key])
    return name, parts[name]


def _share(value: float) -> str:
    return "an unknown part" if math.isnan(value) else f"{100 * value:.0f} %"


def three_sentences(judged: Sequence[Judged]) -> list[str]:
    """Three sentences about one network, from all tomograms."""
    model = judged[0].model
    ends = [end for one in judged if (end := one.measured.kept.resolution(one.pixel_size))]
    lost = fmean(float(one.measured.residual.signal_lost.value) for one in judged)
    to = f" down to {fmean(ends):.0f} A" if ends else ""
    first = (
        f"{model} agrees with what was measured{to}{_where(judged)}, and leaves {_share(lost)} of "
        "the shared signal behind."
    )
    told = [one for one in judged if one.measured.held_out and one.measured.held_out.resolutions]
    if told:
        restored = fmean(float(_mean(one.measured.held_out)) for one in told)
        control = fmean(
            float(one.measured.controls_held_out["positivity"].mean.value) for one in told
        )
        second = (
            f"Of tilts that were held out, {restored:.2f} is restored (1 is all, positivity alone "
            f"reaches {control:.2f}), {HOW[told[0].held_out]}."
        )
    else:
        held = judged[0].measured.held_out
        why = "no tilts were held out" if held is None else held.why
        second = f"How much of unmeasured directions it restores cannot be told: {why}."
    noise = fmean(one.measured.imprint.noise for one in judged)
    third = (
        f"Given nothing but noise, it puts {_share(noise)} as much power into the missing wedge as "
        "given these data."
    )
    return [first, second, third]


def _where(judged: Sequence[Judged]) -> str:
    """Where that was found: what was trained on proves less than what was not."""
    parts = [one.measured.unseen for one in judged if one.measured.unseen is not None]
    ends = [end for part in parts if (end := part.resolution(judged[0].pixel_size))]
    if parts:
        to = f" to {fmean(ends):.0f} A" if ends else " nowhere"
        return f" (in what was held out of training{to})"
    if not any(one.seen for one in judged):
        return " in tomograms that it was not trained on"
    return " in what it has seen in training"


def _mean(told: HeldOut | None) -> Tensor:
    assert told is not None
    return told.mean.value


def draw_curves(one: Judged) -> bytes:
    """Draw the curves of an assessment."""
    m = one.measured
    last = m.kept.last
    spread = m.spread
    kept = [
        _line("network", m.kept.kept, last),
        Line("half as measured", _cut(m.kept.raw, last)),
        *(Line(name, _cut(told.kept.value, last)) for name, told in m.controls_kept.items()),
    ]
    if m.unseen is not None:
        kept.insert(1, _line("network, held out of training", m.unseen.kept, m.unseen.last))
    panels: list[Panel | Bars] = [
        Panel("kept signal", "agreement with the measured signal", kept, (0, 1.05), 0.5),
        Panel(
            "residual",
            "power over that of noise",
            [
                _line("network", m.residual.chi, None),
                Line("Wiener filter", m.residual.wiener.tolist()),
            ],
            (0.5, 3),
            1,
        ),
        Bars(
            "held-out tilts",
            "share restored",
            [f"{r:g} A" for r in (m.held_out.resolutions if m.held_out else ())],
            _bars(m),
            _why_none(m.held_out),
        ),
        Panel(
            "spread over flips, and strength",
            "ratio of powers",
            [
                Line("spread / signal, measured", spread.measured.tolist()),
                Line("spread / signal, wedge", spread.wedge.tolist()),
                Line("result / data, measured", m.kept.power.tolist()),
            ],
            (0, 2),
        ),
    ]
    return curves(panels, one.pixel_size)


def _why_none(told: HeldOut | None) -> str:
    return "left out (--held_out quick or full)" if told is None else told.why


def _bars(m: Assessment) -> dict[str, tuple[list[float], list[float]]]:
    if m.held_out is None:
        return {}
    each = {"network": m.held_out, **m.controls_held_out}
    return {
        name: (told.restored.value.clamp_min(0).tolist(), told.restored.error.tolist())
        for name, told in each.items()
    }


def _line(name: str, told: Estimate, last: int | None) -> Line:
    end = len(told.value) if last is None else last
    return Line(name, _cut(told.value, end), _cut(told.error, end))


def _cut(values: Tensor, last: int) -> list[float]:
    return [v if n <= last else math.nan for n, v in enumerate(values.tolist())]
