"""What is kept of a tomogram that was judged: small, so that another process can send it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import ascii_uppercase

import numpy as np

from isonet2.parameters import ValidateParameters
from isonet2.reports.comparison import slices
from isonet2.reports.page import Slides
from isonet2.reports.progress import progress_bar
from isonet2.runs.assessing import assess
from isonet2.runs.candidate import Candidate, Store
from isonet2.runs.judgement import Judged
from isonet2.runs.spread_volume import pool_spreads, write_spread
from isonet2.runs.subject import Subject

PLACES = (0.3, 0.4, 0.5, 0.6, 0.7)
"""Where a tomogram is shown, as parts of its middle along z and y."""
SHOWN = (
    "Protein dark; upper row x-y, lower row x-z, all at the same place. Residual: data minus what "
    "the network says that they should be; structure in it is lost signal. Spread: "
    "how much results of flipped data differ. Made of noise: the "
    "network's result where its input was noise only."
)


@dataclass(frozen=True, slots=True)
class JudgedTomogram:
    """Everything that reports say of a tomogram.

    Attributes
    ----------
    results
        Of each network, without volumes.
    slides
        Slices of all of them.
    spread
        The volume with their spread: over flips, halves and networks.
    """

    results: tuple[Judged, ...]
    slides: Slides
    spread: Path


def judge(
    subject: Subject,
    candidates: Sequence[Candidate],
    retrained: Sequence[Candidate | None],
    store: Store,
    parameters: ValidateParameters,
) -> JudgedTomogram:
    """Measure what networks make of a tomogram, and write the volumes of their spread.

    Parameters
    ----------
    subject
        The tomogram.
    candidates, retrained
        The networks, and those that were trained anew in their way without the held-out tilts.
    store
        Keeps what networks make.
    parameters
        Of `validate`.
    """
    p = parameters
    kept = subject.kept(p.held_out_share)
    results, spreads, means = [], [], []
    several = len(candidates) > 1
    for number, (candidate, anew) in enumerate(zip(candidates, retrained, strict=True)):
        name = f"{subject.name}, {candidate.label}"
        with progress_bar(name, 1) as bar:

            def report(what: str) -> Callable[[int, int], None]:
                bar.describe(f"{name}: {what}")  # noqa: B023
                return bar.update

            measured = assess(
                candidate,
                subject,
                store,
                kept,
                report,
                retrained=anew,
                with_held_out=p.held_out != "none",
            )
            letter = f"_{ascii_uppercase[number % 26]}" if number else ""
            spreads.append(p.output_dir / f"{subject.name}_spread{letter}.mrc")
            if several:
                means.append(store.folder / f"{subject.name}_mean_{number}.mrc")
            write_spread(candidate, subject, spreads[-1], report("spread"), *means[number:])
        results.append(
            Judged(
                subject.name,
                candidate.label,
                candidate.geometry(subject).pixel_size,
                measured,
                p.held_out,
                candidate.checkpoint.fills_wedge,
                candidate.has_seen(subject),
            )
        )
    if several:
        spreads.insert(0, p.output_dir / f"{subject.name}_spread_networks.mrc")
        pool_spreads(spreads[1:], means, spreads[0])
    small = (replace(one, measured=replace(one.measured, pictures={})) for one in results)
    return JudgedTomogram(tuple(small), _slides(results), spreads[0])


def _slides(beside: Sequence[Judged]) -> Slides:
    """Slices of one tomogram, of all networks side by side."""
    first = beside[0].measured.pictures
    columns = {"data": first["data"], "Wiener filter": first["Wiener"]}
    for one in beside:
        name = one.model.split(":")[0] if len(beside) > 1 else "restored"
        columns[name] = one.measured.pictures["result"]
        if len(beside) == 1:
            columns["spread (bright: large)"] = -one.measured.pictures["spread"]
            columns["residual"] = one.measured.pictures["residual"]
            columns["made of noise"] = one.measured.pictures["noise"]
    volumes = {name: volume.numpy().astype(np.float32) for name, volume in columns.items()}
    depth, height, _ = next(iter(volumes.values())).shape
    places = [(int(part * depth), int(part * height)) for part in PLACES]
    names = [f"z slice {z}, y slice {y} of the part that was measured" for z, y in places]
    drawn = slices(volumes, places, beside[0].pixel_size)
    return Slides(list(zip(names, drawn, strict=True)), SHOWN)
