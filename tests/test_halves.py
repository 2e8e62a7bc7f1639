"""Halves that belong together pass; halves that do not are named with what is wrong."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from isonet2.checks.halves import _lie, halves_findings, noise_correlation
from isonet2.commands.simulate import simulate
from isonet2.data.volumes import open_volume, write_volume
from isonet2.data.voxels import statistics
from isonet2.parameters import SimulateParameters
from isonet2.physics.likeness import Lie, Likeness, likeness

SHAPE = (64, 96, 96)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Halves (z, y, x) of two simulated tomograms."""
    folder = tmp_path_factory.mktemp("pairs") / "sim"
    simulate(SimulateParameters(output_dir=folder, shape=SHAPE, count=2, snr=0.1, seed=3))
    return [
        [open_volume(folder / half / f"TS_0{i}_{half}.mrc").read() for half in ("EVN", "ODD")]
        for i in (1, 2)
    ]


def found(folder: Path, first, second):
    volumes = []
    for name, values in (("a", first), ("b", second)):
        write_volume(folder / f"{name}.mrc", values, voxel_size=10.0, label="test")
        volumes.append(open_volume(folder / f"{name}.mrc"))
    spreads = statistics(volumes[0]).std, statistics(volumes[1]).std
    return halves_findings(*volumes, spreads, "TS_01")


def test_halves_of_one_tomogram_pass(tmp_path, pairs):
    for first, second in pairs:
        assert found(tmp_path, first, second) == []
    first, second = pairs[0]
    assert found(tmp_path, -first, -second) == []
    assert found(tmp_path, 1e-5 * first, 1e-5 * second + 1e-3) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v[::-1], "mirrored along z"),
        (lambda v: v[:, ::-1], "mirrored along y"),
        (lambda v: v[:, :, ::-1], "mirrored along x"),
        (lambda v: v[:, ::-1, ::-1], "turned by 180 degrees about the beam"),
        (lambda v: np.rot90(v, 1, (1, 2)), "turned by 90 degrees about the beam"),
        (lambda v: v.transpose(0, 2, 1), "with y and x exchanged"),
    ],
)
def test_what_makes_halves_fit_is_said(tmp_path, pairs, change, words):
    for first, second in pairs:
        (finding,) = found(tmp_path, first, np.ascontiguousarray(change(second)))
        assert (finding.kind, finding.severity) == ("halves: lie", "refusal")
        assert words in finding.sentence


@pytest.mark.parametrize("shift", [(5, 0, 0), (0, 3, 0), (0, 0, -3), (-3, 4, 2)])
def test_a_shift_between_halves_is_said_to_a_voxel(tmp_path, pairs, shift):
    for first, second in pairs:
        (finding,) = found(tmp_path, first, np.roll(second, shift, (0, 1, 2)))
        assert (finding.kind, finding.severity) == ("halves: lie", "refusal")
        said = re.search(r"shifted by (-?\d+) x (-?\d+) x (-?\d+) voxels", finding.sentence)
        assert [-int(n) for n in said.groups()] == pytest.approx(shift, abs=1)


REAL = Path(__file__).parents[2] / "shared" / "data" / "real"


@pytest.mark.skipif(
    not REAL.is_dir(), reason="real halves lie beside a checkout of the project only"
)
@pytest.mark.parametrize("y", [0, 80, 160])
@pytest.mark.parametrize("x", [0, 80, 160])
def test_real_halves_of_tilts_are_never_accused(tmp_path, y, x):
    part = slice(16, 80), slice(y, y + 96), slice(x, x + 96)
    first, second = (
        open_volume(REAL / f"mycoplasma_00254_{half}.mrc").read(part) for half in ("EVN", "ODD")
    )
    assert {finding.severity for finding in found(tmp_path, first, second)} <= {"remark"}


def test_halves_of_two_tomograms_have_nothing_in_common(tmp_path, pairs):
    for first, second in ((pairs[0][0], pairs[1][1]), (pairs[1][0], pairs[0][1])):
        (finding,) = found(tmp_path, first, second)
        assert (finding.kind, finding.severity) == ("halves: nothing in common", "warning")


@pytest.mark.parametrize(("gain", "severities"), [(2.0, []), (12.0, ["remark"])])
def test_what_is_likelier_but_not_sure_is_remarked(gain, severities):
    """Of a small volume, or a very noisy one, in which all ways share the coarsest detail."""
    own = Lie((False,) * 4, (0, 0, 0), 30.0, (0.94, 0.76, 0.1, 0.0))
    mirrored = Lie((False, False, True, False), (0, 0, 0), 30.0 + gain, (0.95, 0.82, 0.25, 0.15))
    opposite = Lie((False,) * 4, (0, 0, 0), 0.0, (-0.94, -0.76, -0.1, 0.0))
    said = _lie(Likeness(own, opposite, mirrored, (2.0, 2.0)))
    assert [severity for _, severity, *_ in said] == severities
    assert all("mirrored along y" in sentence for _, _, sentence, *_ in said)


def test_opposite_contrast_is_refused(tmp_path, pairs):
    (finding,) = found(tmp_path, pairs[0][0], -pairs[0][1])
    assert (finding.kind, finding.severity) == ("halves: contrast", "refusal")


@pytest.mark.parametrize(("share", "severity"), [(0.0, None), (0.15, "remark"), (0.5, "refusal")])
def test_noise_that_halves_share_is_seen(tmp_path, pairs, share, severity):
    first, second = pairs[0]
    mixed = share * first + (1 - share) * second
    assert [finding.severity for finding in found(tmp_path, first, mixed)] == [severity] * bool(
        share
    )


def test_noise_correlation_is_that_of_the_noise(tmp_path):
    rng = np.random.default_rng(0)
    common, own, other = (rng.standard_normal(SHAPE).astype(np.float32) for _ in range(3))
    volumes = []
    for name, noise in (("a", own), ("b", other)):
        write_volume(tmp_path / f"{name}.mrc", common + 2 * noise, voxel_size=10.0, label="test")
        volumes.append(open_volume(tmp_path / f"{name}.mrc"))
    assert noise_correlation(*volumes) == pytest.approx(0.2, abs=0.02)


def test_a_wild_voxel_in_both_halves_is_no_common_noise(tmp_path, pairs):
    first, second = (half.copy() for half in pairs[0])
    first[32, 48, 48] = second[32, 48, 48] = 1e5 * first.std()
    assert not any(f.severity == "refusal" for f in found(tmp_path, first, second))


def test_empty_ice_is_remarked_and_not_accused(tmp_path):
    rng = np.random.default_rng(1)
    for _ in range(5):
        halves = rng.standard_normal((2, *SHAPE)).astype(np.float32)
        (finding,) = found(tmp_path, *halves)
        assert (finding.kind, finding.severity) == ("halves: nothing in common", "remark")


def test_what_is_too_small_to_tell_is_said(tmp_path, pairs):
    first, second = (half[:24, :40, :40] for half in pairs[0])
    (finding,) = found(tmp_path, first, second)
    assert (finding.kind, finding.severity) == ("halves: not compared", "remark")


@pytest.mark.parametrize("shift", [(0, 0, 0), (2, -1, 0), (-3, 4, 2)])
def test_a_shift_is_measured(shift):
    generator = torch.Generator().manual_seed(0)
    volume = torch.randn((48, 64, 64), generator=generator)
    found = likeness(volume, volume.roll(shift, (0, 1, 2)))
    assert found.best.shift == tuple(-step for step in shift)
    assert found.best.unchanged
