"""What an inspection of tomograms tells, in sentences for a paper."""

from collections.abc import Sequence
from statistics import median

from isonet2.checks.advice import Advice
from isonet2.errors import counted
from isonet2.runs.inspected import Inspected


def sentences_of(found: Sequence[Inspected], advice: Advice | None) -> list[str]:
    """What was looked at and found, with figures, each a whole sentence."""
    sizes = sorted({round(size, 2) for one in found if (size := one.pixel_size) is not None})
    voxels = f" with voxels of {_range(sizes)} A" if sizes else ""
    told = [
        f"Before any training, voxels, header, halves, tilt range, CTF and specimen of "
        f"{counted(len(found), 'tomogram')}{voxels} were examined."
    ]
    ends = [one.figures.get("tilts that are seen") for one in found]
    seen = [end for end in ends if isinstance(end, list)]
    if seen:
        low, high = (sorted(float(end[place]) for end in seen) for place in (0, 1))
        told.append(
            f"The missing wedge was measured in the power spectra of {len(seen)} of them: the "
            f"lowest tilt is {_range(low)} degrees, the highest {_range(high)}."
        )
    agree = sorted(_numbers(found, "halves agree to (A)"))
    if agree:
        told.append(
            f"The halves of {len(agree)} agree (Fourier shell correlation of 0.143) to a median of "
            f"{median(agree):g} A ({_range(agree)} A)."
        )
    thickness = sorted(_numbers(found, "specimen thickness (nm)"))
    if thickness:
        told.append(
            f"The specimen is {_range(thickness)} nm thick where a slab could be fitted "
            f"({len(thickness)} of {len(found)})."
        )
    for severity, what in (("refusal", "refused"), ("warning", "warned of")):
        bad = [one for one in found if one.findings.worst == severity]
        if bad:
            kinds = sorted(
                {f.kind for one in bad for f in one.findings.all if f.severity == severity}
            )
            told.append(f"Tomograms {what}: {len(bad)} ({', '.join(kinds)}).")
    if advice is not None:
        told.append(f"The settings suggested for training were {advice.words}.")
    return told


def _numbers(found: Sequence[Inspected], name: str) -> list[float]:
    values = (one.figures.get(name) for one in found)
    return [value for value in values if isinstance(value, float)]


def _range(values: Sequence[float]) -> str:
    """Least and greatest of sorted numbers."""
    low, high = values[0], values[-1]
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
