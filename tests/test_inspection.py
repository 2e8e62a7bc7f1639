import numpy as np
import pytest

from isonet2.checks.contrast import looks_inverted
from isonet2.checks.halves import halves_findings, mixed_up
from isonet2.data.volumes import open_volume, write_volume

SHAPE = (64, 64, 72)
COARSE = tuple(edge // 4 for edge in SHAPE)


@pytest.fixture
def pairs(tmp_path):
    """Noisy halves of three specimens of one outline."""
    rng = np.random.default_rng(0)
    outline = np.hanning(SHAPE[0])[:, None, None]
    found = []
    for number in range(3):
        blobs = rng.standard_normal(COARSE).repeat(4, 0).repeat(4, 1).repeat(4, 2)
        halves = []
        for name in ("EVN", "ODD"):
            path = tmp_path / f"TS_{number}_{name}.mrc"
            values = 3 * outline + blobs + 2 * rng.standard_normal(SHAPE)
            write_volume(path, values.astype(np.float32), voxel_size=10.0, label="test")
            halves.append(open_volume(path))
        found.append(tuple(halves))
    return found


def test_true_pairs_pass(pairs):
    assert mixed_up(pairs) == []


def test_halves_of_two_tomograms_mixed_up_are_named(pairs):
    (a, b), (c, d), rest = pairs
    first, second = mixed_up([(a, d), (c, b), rest])
    assert first.sentence.startswith(f"{a.path}: looks like {b.path} (correlation 0.")
    assert f"not like its own other half {d.path}" in first.sentence
    assert second.sentence.startswith(f"{c.path}: looks like {d.path}")


def test_tomograms_of_other_shapes_are_not_compared(pairs, tmp_path):
    small = open_volume(pairs[0][1].path).read()[:, :48]
    write_volume(tmp_path / "other.mrc", small, voxel_size=10.0, label="test")
    other = open_volume(tmp_path / "other.mrc")
    assert mixed_up([pairs[0], (other, other)]) == []


def test_nothing_is_said_of_volumes_too_small_to_tell(tmp_path):
    rng = np.random.default_rng(0)
    found = []
    for number in range(12):
        path = tmp_path / f"{number}.mrc"
        noise = rng.standard_normal((16, 16, 16)).astype(np.float32)
        write_volume(path, noise, voxel_size=10.0, label="test")
        found.append(open_volume(path))
    assert mixed_up(list(zip(found[::2], found[1::2], strict=True))) == []


def test_a_hole_in_the_film_is_not_bright_protein(tmp_path):
    rng = np.random.default_rng(0)
    protein = rng.random(COARSE).repeat(4, 0).repeat(4, 1).repeat(4, 2) < 0.05
    values = rng.standard_normal(SHAPE) - 4 * protein
    values[:, :16] += 1.5
    write_volume(tmp_path / "a.mrc", values.astype(np.float32), voxel_size=10.0, label="test")
    assert not looks_inverted(open_volume(tmp_path / "a.mrc"))


@pytest.mark.parametrize("sign", [1, -1])
def test_bright_protein_is_noticed(tmp_path, sign):
    rng = np.random.default_rng(0)
    protein = rng.random(COARSE).repeat(4, 0).repeat(4, 1).repeat(4, 2) < 0.05
    values = sign * 4 * protein + rng.standard_normal(SHAPE)
    write_volume(tmp_path / "a.mrc", values.astype(np.float32), voxel_size=10.0, label="test")
    assert looks_inverted(open_volume(tmp_path / "a.mrc")) is (sign == 1)


def test_halves_of_opposite_contrast_are_refused(pairs, tmp_path):
    first, second = pairs[0]
    assert halves_findings(first, second, (1, 1)) == []
    write_volume(tmp_path / "dark.mrc", -second.read(), voxel_size=10.0, label="test")
    (found,) = halves_findings(first, open_volume(tmp_path / "dark.mrc"), (1, 1))
    assert (found.kind, found.severity) == ("halves: contrast", "refusal")
