"""Everything that is measured of one network's results of one tomogram."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from isonet2.physics.fourier import apply_filter
from isonet2.physics.lattice import lattice
from isonet2.physics.wedge import Sectors
from isonet2.runs.assessment import Assessment
from isonet2.runs.candidate import Candidate, Store, facts_of, with_sectors
from isonet2.runs.subject import Subject
from isonet2.trust import controls
from isonet2.trust.anisotropy import cone_power
from isonet2.trust.beads import beads_in
from isonet2.trust.held_out import HALVES, RESOLUTIONS, HeldOut, held_out, pairs_of
from isonet2.trust.imprint import (
    Imprint,
    imprint,
    narrower,
    noise_of,
    turned,
    without_phases,
)
from isonet2.trust.kept import Kept, kept_signal
from isonet2.trust.regions import (
    held_out_part,
    measured_part,
    tilt_parts,
    wedge_part,
    without_tilts,
)
from isonet2.trust.residual import residual
from isonet2.trust.spread import Spread, flips, rank_with_error, shell_spread, smoothed
from isonet2.trust.sums import Sums, band, correlation, frequencies_in, jackknife, products

MOST_FLIPS = 4
Report = Callable[[str], Callable[[int, int], None]]
"""Takes what is being done, and returns what is told how far it is."""


@dataclass(frozen=True, slots=True)
class Data:
    """A subject as it is compared with: after the CTF slots that a network's data go through.

    Attributes
    ----------
    e, o
        Halves in the network's sense.
    parts
        Of Fourier space, by name.
    counts
        Frequencies of a slab in each shell of what was held out, and of what was measured.
    """

    e: Tensor
    o: Tensor
    parts: dict[str, Tensor]
    counts: dict[str, Tensor]


def assess(
    candidate: Candidate,
    subject: Subject,
    store: Store,
    kept: Sectors,
    report: Report,
    *,
    retrained: Candidate | None = None,
    with_held_out: bool = True,
) -> Assessment:
    """Measure everything.

    Parameters
    ----------
    candidate, subject
        The network and the tomogram.
    store
        Keeps what networks make.
    kept
        Tilts that are left when some are held out.
    report
        Told of progress.
    retrained
        The network that was trained without the tilts that are held out; None takes `candidate`.
    with_held_out
        Whether tilts are held out at all.
    """
    first, second = subject.measured()
    geometry = candidate.geometry(subject)
    pixel = geometry.pixel_size
    data = _data(candidate, subject, first, second, kept)
    make = partial(_made, candidate, subject, store, report)
    made = make("restoring", [first, second], geometry.sectors)
    compare = _compared(candidate, subject)
    result = candidate.merged(made)
    width = controls.matched_blur((first + second) / 2, _strength(made, first, second))[1]
    shared = _shared(data)
    pair = {
        "blur": [controls.blur(x, width) if width else x for x in (data.e, data.o)],
        "Wiener": [controls.wiener_filtered(x, _of_halves(shared)) for x in (data.e, data.o)],
    }
    wiener = (pair["Wiener"][0] + pair["Wiener"][1]) / 2
    filled = controls.positive(wiener, subject.sectors)
    sums = _half_sums(data, compare(made[0]), compare(made[1]))
    tilts = tilt_parts(subject.shape, subject.sectors)
    told: HeldOut | None = None
    by_control: dict[str, HeldOut] = {}
    judged = {name: data.parts[name] for name in ("measured", "wedge")}
    known = _truth(subject, result, judged, pixel)
    if with_held_out:
        told, by_control, true = _held_out(
            retrained or candidate, subject, store, kept, report, data, sums
        )
        known |= true
    spread, rank, deviation = _spread(candidate, subject, store, report, (first, second), data)
    nulls, noise = _nulls(candidate, subject, store, report, first, second)
    return Assessment(
        kept=kept_signal(sums),
        controls_kept={
            name: kept_signal(_half_sums(data, *halves)) for name, halves in pair.items()
        },
        unseen=_unseen(candidate, subject, store, kept, report),
        residual=residual(sums, list(tilts)),
        held_out=told,
        controls_held_out=by_control,
        imprint=_imprint(result, nulls, noise, data),
        spread=spread,
        power={
            name: cone_power(x, pixel)
            for name, x in (
                ("data", (data.e + data.o) / 2),
                ("result", result),
                ("positivity", filled),
            )
        },
        peaks=lattice(result).beyond(lattice((first + second) / 2)).peaks,
        blur=width,
        truth=known,
        beads=beads_in(
            (first + second) / 2, {"Wiener filter": wiener, "result": result}, subject.corner
        ),
        spread_rank=rank,
        pictures={
            "data": (first + second) / 2,
            "Wiener": wiener,
            "result": result,
            "residual": (data.e + data.o) / 2 - (compare(made[0]) + compare(made[1])) / 2,
            "spread": deviation,
            "noise": nulls["noise"],
        },
    )


def _data(candidate: Candidate, subject: Subject, e: Tensor, o: Tensor, kept: Sectors) -> Data:
    """The halves as a network is compared with them, and the parts of Fourier space."""
    slots = candidate.slots(subject, subject.shape)
    for weight in (slots.input, slots.target):
        e, o = apply_filter(e, weight), apply_filter(o, weight)
    shape, sectors = subject.shape, subject.sectors
    parts = {
        "measured": measured_part(shape, sectors),
        "wedge": wedge_part(shape, sectors, subject.thickness),
        "held out": held_out_part(shape, sectors, kept, subject.thickness),
        **tilt_parts(shape, sectors),
    }
    counts = {name: frequencies_in(shape, parts[name]) for name in ("held out", "measured")}
    return Data(e, o, parts, counts)


def _compared(candidate: Candidate, subject: Subject) -> Callable[[Tensor], Tensor]:
    """What turns a result into what the data should be."""
    weight = candidate.slots(subject, subject.shape).prediction
    return lambda x: apply_filter(x, weight)


def _made(
    candidate: Candidate,
    subject: Subject,
    store: Store,
    report: Report,
    what: str,
    halves: list[Tensor],
    sectors: Sectors,
    ways: int | None = None,
) -> Tensor:
    """Results of two halves, (2, z, y, x), computed once."""
    geometry = with_sectors(candidate.geometry(subject), sectors)
    facts = {**facts_of(candidate, subject, geometry), "what": what, "ways": ways}
    return store.once(facts, lambda: candidate.restored(halves, geometry, report(what), ways))


def _half_sums(data: Data, fe: Tensor, fo: Tensor) -> Sums:
    """Products of halves and of what was made of each."""
    volumes = {"e": data.e, "o": data.o, "fe": fe, "fo": fo}
    pairs = [
        *HALVES, ("fe", "fe"), ("fo", "fo"), ("fe", "fo"),
        ("fe", "o"), ("fo", "e"), ("fe", "e"), ("fo", "o"),
    ]  # fmt: skip
    parts = {name: part for name, part in data.parts.items() if name not in ("wedge", "held out")}
    return products(volumes, pairs, parts)


def _unseen(
    candidate: Candidate, subject: Subject, store: Store, kept: Sectors, report: Report
) -> Kept | None:
    """Kept signal where the network was never trained."""
    part = candidate.unseen(subject)
    if part is None:
        return None
    halves = part.measured()
    data, compare = _data(candidate, part, *halves, kept), _compared(candidate, part)
    what = "restoring what was held out of training"
    made = _made(candidate, part, store, report, what, list(halves), part.sectors)
    return kept_signal(_half_sums(data, compare(made[0]), compare(made[1])))


def _shared(data: Data) -> Tensor:
    """Correlation of the halves in the measured region, shell by shell."""
    sums = products({"e": data.e, "o": data.o}, HALVES, {"measured": data.parts["measured"]})
    return jackknife(correlation, *(sums[a, b, "measured"] for a, b in HALVES)).value


def _of_halves(shared: Tensor) -> Tensor:
    """The correlation by which `controls.wiener_filtered` weights a half: by F itself."""
    known = shared.nan_to_num().clamp(0, 1)
    return known / (2 - known)


def _strength(made: Tensor, e: Tensor, o: Tensor) -> float:
    """Part of the data's power that is in what was made of it."""
    return float((made[0].var() + made[1].var()) / (e.var() + o.var()))


def _held_out(
    candidate: Candidate,
    subject: Subject,
    store: Store,
    kept: Sectors,
    report: Report,
    data: Data,
    measured: Sums,
) -> tuple[HeldOut, dict[str, HeldOut], dict[str, Tensor]]:
    """What the network, and controls, restore of held-out tilts; and the truth about the first."""
    first, second = (without_tilts(x, kept) for x in subject.measured())
    what = "restoring without the held-out tilts"
    made = _made(candidate, subject, store, report, what, [first, second], kept)
    compare = _compared(candidate, subject)
    pixel = candidate.geometry(subject).pixel_size
    known = _of_halves(_shared(data))
    weighted = [controls.wiener_filtered(x, known) for x in (first, second)]
    results = {
        "h": [compare(x) for x in made],
        "nothing filled": weighted,
        "positivity": [controls.positive(x, kept) for x in weighted],
    }
    volumes = {"e": data.e, "o": data.o}
    for name, halves in results.items():
        volumes |= {f"{name} of e": halves[0], f"{name} of o": halves[1]}
        volumes[name] = (halves[0] + halves[1]) / 2
    pairs = [*HALVES, *(pair for name in results for pair in pairs_of(name))]
    part = {"held out": data.parts["held out"]}
    sums = measured | products(volumes, pairs, part)
    told = {name: held_out(sums, data.counts, pixel, name) for name in results}
    return told.pop("h"), told, _truth(subject, made.mean(0), part, pixel)


def _nulls(
    candidate: Candidate, subject: Subject, store: Store, report: Report, e: Tensor, o: Tensor
) -> tuple[dict[str, Tensor], Tensor]:
    """Results of inputs that hold nothing, averaged over halves; and the noise itself."""
    noise = noise_of(e, o)
    make = partial(_made, candidate, subject, store, report)
    sectors = subject.sectors
    scrambled = [without_phases(e, 3), without_phases(o, 4)]
    made = {
        "noise": make("restoring noise", list(noise), sectors, 1),
        "phases": make("restoring data without phases", scrambled, sectors, 1),
        "narrow": make("restoring with a wrong tilt range", [e, o], narrower(sectors), 1),
    }
    back = make("restoring turned data", [turned(e), turned(o)], sectors, 1)
    merged = {name: candidate.merged(result) for name, result in made.items()}
    merged["turned"] = turned(candidate.merged(back), -1)
    return merged, (noise[0] + noise[1]) / 2


def _imprint(result: Tensor, nulls: dict[str, Tensor], noise: Tensor, data: Data) -> Imprint:
    volumes = {"f": result, **nulls}
    pairs = [*((name, name) for name in volumes), ("f", "turned")]
    sums = products(volumes, pairs, {"wedge": data.parts["wedge"]})
    return imprint(sums, noise, nulls["noise"])


def _spread(
    candidate: Candidate,
    subject: Subject,
    store: Store,
    report: Report,
    halves: tuple[Tensor, Tensor],
    data: Data,
) -> tuple[Spread, float | None, Tensor]:
    """Deviation over flips, each of both halves' mean; how well it ranks true errors; a volume."""
    results: dict[str, Tensor] = {}
    for way in flips(subject.sectors)[:MOST_FLIPS]:
        axes = [axis for axis in range(3) if way[axis, axis] < 0]
        flipped = [x.flip(axes) for x in halves]
        what = f"restoring flipped along {''.join('zyx'[axis] for axis in axes) or 'nothing'}"
        made = _made(candidate, subject, store, report, what, flipped, subject.sectors, 1)
        results[what] = candidate.merged(made).flip(axes)
    mean = torch.stack(list(results.values())).mean(0)
    pairs = [(name, name) for name in (*results, "f")]
    parts = {name: data.parts[name] for name in ("measured", "wedge")}
    told = shell_spread(products({**results, "f": mean}, pairs, parts), list(results))
    truth = subject.truth()
    deviation = smoothed(torch.stack(list(results.values())).var(0)[None, None])[0, 0].sqrt()
    if truth is None:
        return told, None, deviation
    rank = rank_with_error(list(results.values()), truth, data.parts["wedge"])
    return told, rank, deviation


def _truth(
    subject: Subject, result: Tensor, parts: dict[str, Tensor], pixel_size: float
) -> dict[str, Tensor]:
    """True correlations of a result, by shell and by band; empty where no truth is known."""
    truth = subject.truth()
    if truth is None:
        return {}
    pairs = ("f", "t"), ("f", "f"), ("t", "t")
    sums = products({"t": truth, "f": result}, pairs, parts)
    bands = [band(resolution, pixel_size) for resolution in RESOLUTIONS]
    found = {}
    for name in parts:
        totals = [sums[a, b, name].sum(0) for a, b in pairs]
        pooled = [torch.stack([one[shells].sum() for shells in bands]) for one in totals]
        found[name] = correlation(*totals)
        found[f"{name}, in bands"] = correlation(*pooled)
    return found
