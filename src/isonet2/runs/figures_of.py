"""An assessment as figures: for `report.json`, and for the tables of the page."""

import math

from isonet2.runs.judgement import Judged
from isonet2.trust.held_out import RESOLUTIONS
from isonet2.trust.kept import Kept
from isonet2.trust.sums import Estimate


def figures_of(one: Judged) -> dict[str, object]:
    """All figures, for a file."""
    m = one.measured
    found = one.findings()
    told: dict[str, object] = {
        "tomogram": one.tomogram,
        "model": one.model,
        "voxel size (A)": one.pixel_size,
        "verdict": found.worst,
        "findings": [finding.record for finding in found.all],
        "shells (A)": _resolutions(m.kept, one.pixel_size),
        "kept signal": {
            "halves": _estimate(m.kept.shared),
            "half as measured": m.kept.raw.tolist(),
            "network": _estimate(m.kept.kept),
            "gain": _estimate(m.kept.gain),
            "power, result over data": m.kept.power.tolist(),
            "agrees to (A)": m.kept.resolution(one.pixel_size),
            **{name: _estimate(each.kept) for name, each in m.controls_kept.items()},
        },
        "kept signal where it was not trained": None
        if m.unseen is None
        else {
            "halves": _estimate(m.unseen.shared),
            "network": _estimate(m.unseen.kept),
            "gain": _estimate(m.unseen.gain),
            "agrees to (A)": m.unseen.resolution(one.pixel_size),
        },
        "trained on this tomogram": one.seen,
        "residual": {
            "chi-square": _estimate(m.residual.chi),
            "chi-square of a Wiener filter": m.residual.wiener.tolist(),
            "noise let through": _estimate(m.residual.through),
            "signal lost": _estimate(m.residual.lost),
            "noise let through without signal": _estimate(m.residual.noise_through),
            "signal lost where there is signal": _estimate(m.residual.signal_lost),
            "signal lost by tilt (degrees)": {
                name: _estimate(each) for name, each in m.residual.by_tilt.items()
            },
        },
        "held-out tilts": _held_out_record(one),
        "imprint": {
            "wedge out of noise": m.imprint.noise,
            "wedge out of data without phases": m.imprint.phases,
            "wedge with a range too narrow": m.imprint.narrow,
            "agreement when the data are turned": m.imprint.turned,
            "lattice out of noise": m.imprint.lattice,
            "shapes out of noise (excess kurtosis)": m.imprint.shapes,
        },
        "spread over signal": {
            "measured": m.spread.measured.tolist(),
            "wedge": m.spread.wedge.tolist(),
        },
        "power along x, y, z": m.power,
        "lattice peaks in the result": m.peaks,
        "gold": None
        if m.beads is None
        else {
            "middles (x, y, z)": m.beads.middles[:, ::-1].round(1).tolist(),
            "roughness beside it": m.beads.roughness,
        },
        "blur of the same strength (voxels)": m.blur,
    }
    if m.truth:
        told["truth"] = {name: values.tolist() for name, values in m.truth.items()}
        told["spread ranks true errors in the wedge by"] = m.spread_rank
    return told


def _held_out_record(one: Judged) -> dict[str, object]:
    m = one.measured
    if m.held_out is None:
        return {"how": "none"}
    each = {"network": m.held_out, **m.controls_held_out}
    return {
        "how": one.held_out,
        "resolutions (A)": list(m.held_out.resolutions),
        "why not finer": m.held_out.why,
        "halves": m.held_out.halves.tolist(),
        "power known from these tilts themselves": m.held_out.own.tolist(),
        **{
            name: _estimate(told.restored) | {"mean": _estimate(told.mean)}
            for name, told in each.items()
        },
    }


def _estimate(told: Estimate) -> dict[str, object]:
    return {"value": told.value.tolist(), "error": told.error.tolist()}


def _resolutions(kept: Kept, pixel_size: float) -> list[float]:
    count = len(kept.raw) - 1
    return [math.inf, *(2 * count * pixel_size / shell for shell in range(1, count + 1))]


def restored_at(one: Judged) -> dict[str, dict[float, str]]:
    """Shares of held-out tilts by method and resolution, in words."""
    m = one.measured
    if m.held_out is None:
        return {}
    each = {"network": m.held_out, **m.controls_held_out}
    return {
        name: {
            resolution: "-" if (at := told.at(resolution)) is None else f"{at[0]:.2f} ± {at[1]:.2f}"
            for resolution in RESOLUTIONS
        }
        for name, told in each.items()
    }


def power_rows(one: Judged) -> list[list[str]]:
    """Power in cones along the axes, a row for each volume."""
    return [
        [name, *(f"{power[axis]:.2f}" for axis in "xyz")]
        for name, power in one.measured.power.items()
    ]
