"""The zoo: each broken data set raises its finding, and healthy ones raise none above a remark."""

import shutil
import struct

import numpy as np
import pytest
import torch
from zoo import PIXEL, SHAPE, Animal, declared, dosed, faded, simulated, tilts

from isonet2.checks.advice import corrections
from isonet2.checks.findings import SEVERITIES
from isonet2.data.labels import DECONVOLVED_LABEL, RESTORED_LABEL
from isonet2.physics.ctf import ContrastTransfer
from isonet2.physics.fourier import apply_filter, radius

FULL = tilts(-60, 60)


@pytest.fixture(scope="session")
def healthy():
    return Animal(*simulated(FULL, seed=1))


@pytest.fixture(scope="session")
def other():
    return simulated(FULL, seed=2)


@pytest.fixture(scope="session")
def lopsided():
    """Tilts from -40 to 66 degrees."""
    return Animal(*simulated(tilts(-40, 65), seed=3), sectors=declared(tilts(-40, 65)))


def spoiled(data, place, value):
    copy = data.copy()
    copy[place] = value
    return copy


def smooth(data):
    weight = torch.exp(-(((radius(data.shape) / 0.08) ** 2) ** 4))
    return apply_filter(torch.from_numpy(data.copy()), weight).numpy()


def white(seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((2, *SHAPE)).astype(np.float32)


def turned(turn):
    return lambda a: a.changed(second=turn(a.second))


def both(change):
    return lambda a: a.changed(first=change(a.first), second=change(a.second))


def touching(touch):
    return lambda a: a.changed(touched=[touch])


def cut(paths):
    paths[0].write_bytes(paths[0].read_bytes()[:5000])


def dangle(paths):
    paths[1].unlink()
    paths[1].symlink_to("gone.mrc")


def copied(paths):
    shutil.copy(paths[0], paths[1])


def linked(paths):
    paths[1].unlink()
    paths[1].symlink_to(paths[0])


def patched(offset, form, *values):
    def touch(paths):
        raw = bytearray(paths[0].read_bytes())
        struct.pack_into(form, raw, offset, *values)
        paths[0].write_bytes(bytes(raw))

    return touching(touch)


def bead(data, size=3):
    copy = data.copy()
    for z, y, x in ((20, 20, 20), (40, 60, 30), (30, 40, 70)):
        copy[z : z + size, y : y + size, x : x + size] = -30 * data.std()
    return copy


BROKEN = {
    "mirrored along z": (turned(lambda v: v[::-1]), "halves: lie", "refusal"),
    "mirrored along y": (turned(lambda v: v[:, ::-1]), "halves: lie", "refusal"),
    "mirrored along x": (turned(lambda v: v[:, :, ::-1]), "halves: lie", "refusal"),
    "turned by 180": (turned(lambda v: v[:, ::-1, ::-1]), "halves: lie", "refusal"),
    "turned by 90": (turned(lambda v: np.rot90(v, 1, (1, 2))), "halves: lie", "refusal"),
    "turned by -90": (turned(lambda v: np.rot90(v, -1, (1, 2))), "halves: lie", "refusal"),
    "y and x exchanged": (turned(lambda v: v.transpose(0, 2, 1)), "halves: lie", "refusal"),
    "inverted handedness": (turned(lambda v: v[::-1, ::-1, ::-1]), "halves: lie", "refusal"),
    "shifted along x": (turned(lambda v: np.roll(v, 4, 2)), "halves: lie", "refusal"),
    "shifted along y": (turned(lambda v: np.roll(v, -4, 1)), "halves: lie", "refusal"),
    "opposite contrast": (turned(lambda v: -v), "halves: contrast", "refusal"),
    "scaled": (turned(lambda v: 50 * v), "halves: strength", "warning"),
    "scaled a little": (turned(lambda v: 2 * v), "halves: strength", "remark"),
    "one filtered": (turned(smooth), "halves: filtered apart", "warning"),
    "one blank end": (turned(lambda v: spoiled(v, np.s_[:9], 0)), "halves: filled", "warning"),
    "blank inside": (both(lambda v: spoiled(v, np.s_[30:36], 0)), "blank inside", "warning"),
    "noise for a half": (turned(lambda v: white()[1]), "halves: nothing", "remark"),
    "a mean for a half": (
        lambda a: a.changed(second=(a.first + a.second) / 2), "halves: same noise", "refusal",
    ),
    "a fifth of the other half": (
        lambda a: a.changed(second=0.2 * a.first + 0.8 * a.second), "halves: shared", "remark",
    ),
    "a third of the other half": (
        lambda a: a.changed(second=0.3 * a.first + 0.7 * a.second), "halves: shared", "warning",
    ),
    "one file linked": (touching(linked), "unusable", "refusal"),
    "one file copied": (touching(copied), "halves: same noise", "refusal"),
    "NaN in the first slices": (
        lambda a: a.changed(first=spoiled(a.first, np.s_[:3], np.nan)), "unusable", "refusal",
    ),
    "infinite in a corner": (
        lambda a: a.changed(second=spoiled(a.second, (63, 79, 79), np.inf)), "unusable", "refusal",
    ),
    "a wild voxel": (
        lambda a: a.changed(first=spoiled(a.first, (5, 6, 7), 1e5)), "wild voxels", "warning",
    ),
    "all zero": (turned(np.zeros_like), "unusable", "refusal"),
    "all equal": (turned(np.ones_like), "unusable", "refusal"),
    "mostly zero": (both(lambda v: spoiled(v, np.s_[:, 24:], 0)), "zeros", "warning"),
    "a blank end": (both(lambda v: spoiled(v, np.s_[:, 60:], 0)), "blank ends", "remark"),
    "clipped": (both(lambda v: v.clip(-v.std(), v.std())), "clipped", "warning"),
    "another shape": (turned(lambda v: v[:60]), "unusable", "refusal"),
    "another voxel size": (lambda a: a.changed(second_voxel=13.5), "unusable", "refusal"),
    "no voxel size": (lambda a: a.changed(voxel=None), "voxel size: missing", "refusal"),
    "voxels that are no cubes": (
        lambda a: a.changed(voxel=(10.0, 10.0, 13.0)), "voxel size: edges", "refusal",
    ),
    "header and table differ": (lambda a: a.changed(pixel=5.4), "voxel size", "warning"),
    "voxels in picometres": (lambda a: a.changed(voxel=1000.0), "voxel size: impl", "warning"),
    "voxels too small": (lambda a: a.changed(voxel=1.7), "voxel size: unusual", "remark"),
    "cut short": (touching(cut), "unusable", "refusal"),
    "a dangling link": (touching(dangle), "unusable", "refusal"),
    "no MRC file": (touching(lambda p: p[0].write_bytes(b"x" * 4000)), "unusable", "refusal"),
    "complex numbers": (patched(12, "<i", 4), "unusable", "refusal"),
    "axes out of order": (patched(64, "<3i", 1, 1, 3), "unusable", "refusal"),
    "one image": (both(lambda v: v[:1]), "unusable", "refusal"),
    "declared too wide": (lambda a: a.changed(sectors=((-70.0, 70.0),)), "tilts: range", "warning"),
    "declared too narrow": (
        lambda a: a.changed(sectors=((-45.0, 45.0),)), "tilts: range", "warning",
    ),
    "one end wrong": (lambda a: a.changed(sectors=((-60.0, 40.0),)), "tilts: range", "warning"),
    "nothing declared": (lambda a: a.changed(sectors=None), "tilts: undeclared", "remark"),
    "beam along y": (both(lambda v: v.transpose(1, 0, 2)), "axes", "warning"),
    "tilt axis along x": (both(lambda v: v.transpose(0, 2, 1)), "axes", "warning"),
    "no empty wedge": (
        lambda a: a.changed(first=white()[0], second=None), "tilts: no empty wedge", "warning",
    ),
    "restored before": (
        lambda a: a.changed(label=f"IsoNet2 {RESTORED_LABEL}"), "restored before", "warning",
    ),
    "deconvolved before": (
        lambda a: a.changed(label=f"IsoNet2 {DECONVOLVED_LABEL}"), "deconvolved", "warning",
    ),
    "filtered": (both(smooth), "halves: filtered", "warning"),
    "filtered, without halves": (
        lambda a: a.changed(first=smooth(a.first), second=None), "filtered", "remark",
    ),
    "beads": (both(bead), "gold", "remark"),
    "thin": (both(lambda v: v[20:44]), "thin", "remark"),
}  # fmt: skip


def worst_of(found, kind):
    said = [f.severity for f in found.findings.all if f.kind.startswith(kind)]
    return max(said, key=SEVERITIES.index, default=None)


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_found(tmp_path, healthy, name):
    change, kind, severity = BROKEN[name]
    found = change(healthy).examined(tmp_path)
    assert worst_of(found, kind) == severity, [f.text for f in found.findings.all]


def test_the_other_half_of_another_tomogram_is_found(tmp_path, healthy, other):
    found = healthy.changed(second=other[1]).examined(tmp_path)
    assert worst_of(found, "halves: nothing") == "warning"


def test_tilts_of_the_wrong_sign_are_found(tmp_path, lopsided):
    found = lopsided.changed(sectors=((-65.0, 40.0),)).examined(tmp_path)
    assert worst_of(found, "tilts: sign") == "warning"


def test_a_wild_voxel_hides_no_tilts(tmp_path, healthy):
    wild = healthy.changed(first=spoiled(healthy.first, (31, 40, 41), 1e5))
    found = wild.changed(sectors=((-45.0, 45.0),)).examined(tmp_path)
    assert worst_of(found, "tilts: range") == worst_of(found, "wild voxels") == "warning"


@pytest.mark.parametrize(
    ("sectors", "columns"),
    [
        (((-66.0, 40.0),), {"rlnTiltMin": -40.0, "rlnTiltMax": 66.0}),
        (((-43.0, 50.0),), {"rlnTiltMax": 65}),
        (((-40.0, 66.0),), {}),
    ],
)
def test_only_what_is_surely_wrong_is_corrected(tmp_path, lopsided, sectors, columns):
    found = corrections(lopsided.changed(sectors=sectors, pixel=PIXEL).examined(tmp_path))
    assert found == pytest.approx(columns, abs=2)


def test_tilts_missing_inside_are_found(tmp_path):
    kept = [t for t in FULL if not 5 <= t <= 25]
    animal = Animal(*simulated(kept, seed=4))
    assert worst_of(animal.examined(tmp_path), "tilts: gap") == "warning"
    known = animal.changed(sectors=declared(kept))
    assert worst_of(known.examined(tmp_path), "tilts: gap") is None


def slab(specimen):
    z = torch.arange(specimen.shape[0])[:, None, None]
    return specimen * ((z > 20) & (z < 44))


def tilted_slab(specimen):
    z = torch.arange(specimen.shape[0])[:, None, None] - specimen.shape[0] / 2
    x = torch.arange(specimen.shape[2]) - specimen.shape[2] / 2
    return specimen * ((z - 0.15 * x).abs() < 14)


def bright_beads(specimen):
    made = specimen.clone()
    for z, y, x in ((20, 20, 40), (40, 60, 60), (30, 40, 100)):
        made[z : z + 3, y : y + 3, x : x + 3] = 20 * float(specimen.max())
    return made


HEALTHY = {
    "60 degrees": {},
    "40 degrees": {"angles": tilts(-40, 40, 2)},
    "51 degrees": {"angles": tilts(-51, 51)},
    "70 degrees": {"angles": tilts(-70, 70, 2)},
    "one side": {"angles": tilts(-36, 66)},
    "shifted by a lamella": {"angles": tilts(-51, 69)},
    "two degree steps": {"angles": tilts(-60, 60, 2)},
    "a gap that is known": {"angles": [t for t in FULL if not 10 <= t <= 25]},
    "very noisy": {"snr": 0.05},
    "little noise": {"snr": 1.0},
    "thin": {"shape": (32, 96, 96)},
    "a slab": {"change": slab},
    "a tilted lamella": {"change": tilted_slab},
    "dense": {"density": 0.3, "vesicles": 5},
    "few molecules": {"density": 0.03, "vesicles": 0},
    "gold beads": {"change": bright_beads},
    "5 angstrom": {"pixel": 5.0, "defocus": 30e3},
    "20 angstrom": {"pixel": 20.0},
    "CTF": {"defocus": 40e3},
    "phases flipped": {"defocus": 40e3, "flipped": True},
    "filtered by dose": {"recorded": dosed},
    "filtered by dose, 5 angstrom": {"recorded": dosed, "pixel": 5.0, "shape": (64, 96, 96)},
    "faint last images": {"recorded": faded, "angles": tilts(-50, 60, 2)},
    "one side only": {"angles": tilts(0, 60)},
    "halves of tilts": {"by_tilts": True, "angles": tilts(-60, 60, 2)},
}


@pytest.mark.parametrize("name", HEALTHY)
@pytest.mark.slow
def test_what_is_healthy_is_left_alone(tmp_path, name):
    options = {"angles": FULL} | HEALTHY[name]
    halves = simulated(**options, seed=7)
    pixel = options.get("pixel", PIXEL)
    ctf = ContrastTransfer(options["defocus"]) if "defocus" in options else None
    animal = Animal(*halves, declared(options["angles"]), pixel, pixel, ctf)
    found = animal.examined(tmp_path)
    assert found.findings.worst in (None, "remark"), [f.text for f in found.findings.all]
    seen = found.figures["tilts that are seen"]
    ends = options["angles"][0], options["angles"][-1]
    assert seen == pytest.approx(ends, abs=2)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_any_type_of_a_healthy_tomogram_is_left_alone(tmp_path, healthy, dtype):
    found = healthy.changed(dtype=dtype).examined(tmp_path)
    assert found.findings.all == []
    assert found.figures["tilts that are seen"] == pytest.approx([-60, 60], abs=2)


def test_empty_ice_is_left_alone(tmp_path):
    halves = simulated(FULL, seed=8, change=lambda s: s + 1e-3 * torch.randn(s.shape) - s)
    found = Animal(*halves).examined(tmp_path)
    assert found.findings.worst in (None, "remark")
