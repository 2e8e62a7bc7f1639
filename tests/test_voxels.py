"""What all voxels of a volume tell: statistics, values that cannot be, signs of bytes."""

import struct

import numpy as np
import pytest
from mrc_files import mrc_bytes, numbers, put

from isonet2.checks.voxels import voxel_findings
from isonet2.data.voxels import statistics
from isonet2.errors import InputError


def test_statistics_of_float16_do_not_overflow(tmp_path):
    data = np.random.default_rng(1).normal(30000, 5000, (40, 64, 64)).astype(np.float16)
    found = statistics(put(tmp_path / "a.mrc", mrc_bytes(data, 12)))
    assert found.mean == pytest.approx(data.mean(dtype=np.float64), rel=1e-9)
    assert found.std == pytest.approx(data.astype(np.float64).std(), rel=1e-9)


def test_what_is_mostly_zero_or_clipped_is_said(tmp_path):
    data = np.random.default_rng(0).normal(size=(8, 16, 16)).astype(np.float32)
    for change, kinds in (
        (lambda v: v[:, :, :7].fill(0), ["blank ends"]),
        (lambda v: v[:, :, :12].fill(0), ["zeros", "blank ends"]),
        (lambda v: v.clip(-2, 2, out=v), ["clipped"]),
        (lambda v: None, []),
    ):
        values = data.copy()
        change(values)
        volume = put(tmp_path / f"{'_'.join(kinds)}.mrc", mrc_bytes(values, 2))
        assert [f.kind for f in voxel_findings(volume, statistics(volume))] == kinds


@pytest.mark.parametrize("depth", [1, 63, 64, 65, 101])
def test_statistics_use_the_central_64_slices(tmp_path, depth):
    data = np.random.default_rng(2).normal(size=(depth, 8, 8)).astype(np.float32) + 1e4
    low = max(0, (depth - 64) // 2)
    centre = data[low : low + 64].astype(np.float64)
    data[:low] = 5e3
    data[low + 64 :] = 5e3
    found = statistics(put(tmp_path / "a.mrc", mrc_bytes(data, 2)))
    assert found.mean == pytest.approx(centre.mean(), rel=1e-12)
    assert found.std == pytest.approx(centre.std(), rel=1e-9)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (0, "every voxel is zero"),
        (7.5, "every voxel is 7.5"),
        (np.nan, "NaN"),
        (np.inf, "infinite"),
    ],
)
def test_volumes_without_contrast_are_refused(tmp_path, value, sentence):
    path = tmp_path / "flat.mrc"
    volume = put(path, mrc_bytes(np.full((90, 4, 4), value, np.float32), 2))
    with pytest.raises(InputError, match=sentence) as caught:
        statistics(volume)
    assert "flat.mrc" in str(caught.value)


def test_an_empty_centre_is_told_from_an_empty_volume(tmp_path):
    data = np.zeros((200, 4, 4), np.float32)
    data[:20] = numbers((20, 4, 4))
    with pytest.raises(InputError, match="central z slices are zero"):
        statistics(put(tmp_path / "a.mrc", mrc_bytes(data, 2)))


@pytest.mark.parametrize("place", [(0, 3, 4), (50, 0, 0), (99, 3, 4)])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_voxel_that_is_no_number_is_found_wherever_it_is(tmp_path, place, value):
    data = numbers((100, 6, 5))
    data[place] = value
    where = ", ".join(map(str, place))
    with pytest.raises(InputError, match=f"NaN or infinite .* z, y, x = {where}"):
        statistics(put(tmp_path / "a.mrc", mrc_bytes(data, 2)))


def test_a_wild_voxel_is_named_and_counts_for_nothing(tmp_path):
    data = np.random.default_rng(0).normal(3, 2, (30, 40, 50)).astype(np.float32)
    plain = statistics(put(tmp_path / "a.mrc", mrc_bytes(data, 2)))
    assert (plain.wild, plain.wildest) == (0, None)
    data[4, 5, 6] = 2e5
    volume = put(tmp_path / "b.mrc", mrc_bytes(data, 2))
    found = statistics(volume)
    assert (found.wild, found.wildest, found.wildest_value) == (1, (4, 5, 6), 2e5)
    assert found.mean == pytest.approx(plain.mean, abs=1e-3)
    assert found.std == pytest.approx(plain.std, rel=1e-3)
    assert found.tame(data).max() == pytest.approx(203, rel=0.1)
    assert plain.tame(data) is data


def test_matter_in_an_empty_volume_is_not_wild(tmp_path):
    data = np.random.default_rng(0).normal(0, 1e-6, (40, 40, 40)).astype(np.float32)
    data[18:22, 18:22, 18:22] = 1
    found = statistics(put(tmp_path / "a.mrc", mrc_bytes(data, 2)))
    assert found.wild == 0
    assert found.std == pytest.approx(data.std(dtype=np.float64), rel=1e-6)


def test_blank_ends_are_measured(tmp_path):
    data = numbers((20, 30, 40))
    data[:, 22:] = data[:, :, :3] = 7
    data[0] = 7
    found = statistics(put(tmp_path / "a.mrc", mrc_bytes(data, 2)))
    assert found.filled == ((1, 20), (0, 22), (3, 40))


def test_a_file_is_read_once_until_it_changes(tmp_path, monkeypatch):
    volume = put(tmp_path / "a.mrc", mrc_bytes(numbers(), 2))
    found = statistics(volume)
    with monkeypatch.context() as patch:
        patch.setattr(type(volume), "read", None)
        assert statistics(volume) is found
    assert statistics(put(tmp_path / "a.mrc", mrc_bytes(numbers() + 1, 2))) is not found


@pytest.mark.parametrize("unsigned", [True, False])
def test_the_voxels_decide_the_sign_of_bytes(tmp_path, unsigned):
    values = np.random.default_rng(0).normal(128 * unsigned, 30, (8, 32, 32))
    kind = np.uint8 if unsigned else np.int8
    data = values.clip(np.iinfo(kind).min, np.iinfo(kind).max).astype(kind)
    raw = mrc_bytes(data, 0)
    struct.pack_into("<2f", raw, 76, *((-128, 127) if unsigned else (0, 255)))
    np.testing.assert_array_equal(put(tmp_path / "a.mrc", raw).read(), data)
