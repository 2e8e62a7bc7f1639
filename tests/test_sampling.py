from dataclasses import replace

import numpy as np
import pytest
import torch

from isonet2.data.volumes import open_volume, write_volume
from isonet2.errors import InputError
from isonet2.physics.ctf import CtfTreatment
from isonet2.physics.rotation import moves_wedge, source_size
from isonet2.training import tomogram
from isonet2.training.assembly import Assembler
from isonet2.training.sampling import Subtomograms
from isonet2.training.tomogram import centres_of_mask


def draws(subtomograms, epoch=0, count=200):
    return [subtomograms.draw(epoch, place, 0) for place in range(count)]


def test_cubes_lie_inside_and_every_epoch_has_new_ones(source):
    subtomograms = Subtomograms([source], 16, seed=1, random_rot_weight=0.5)
    shape = np.array(source.first.volume.shape)
    first = draws(subtomograms)
    for draw in first:
        reach = (source_size(16) - 16) // 2 if draw.free else 0
        assert (np.array(draw.low) >= reach).all()
        assert (np.array(draw.low) + 16 + reach <= shape).all()
    assert 60 < sum(draw.free for draw in first) < 140
    assert 60 < sum(draw.swap for draw in first) < 140
    assert [d.low for d in first] != [d.low for d in draws(subtomograms, epoch=1)]
    assert [d.low for d in first] == [d.low for d in draws(subtomograms)]


def test_only_rotations_that_move_the_wedge(source):
    turns = torch.stack([d.rotation for d in draws(Subtomograms([source], 16, seed=0))])
    assert moves_wedge(turns).all()
    assert len({tuple(t.flatten().tolist()) for t in turns}) == 20
    still = draws(Subtomograms([source], 16, seed=0, turn=False, random_rot_weight=0.5))
    assert all(torch.equal(d.rotation, torch.eye(3)) for d in still)


def test_voxels_are_standardised_bright_protein(source):
    cube = source.first.cube((4, 8, 8), 40)
    raw = open_volume(source.first.volume.path).read()[4:44, 8:48, 8:48]
    expected = -(raw - source.first.statistics.mean) / source.first.statistics.std
    np.testing.assert_allclose(cube, expected, atol=1e-5)


def test_a_thin_volume_is_filled_up_with_its_mirror_image(source, caplog):
    subtomograms = Subtomograms([source], 64, seed=0)
    assert "smaller than cube_size 64" in caplog.text
    sample = subtomograms.load(subtomograms.draw(0, 0, 0))
    cube = sample.halves[0]
    assert cube.shape == (64, 64, 64)
    np.testing.assert_array_equal(cube[7], cube[8])
    assert not any(d.free for d in draws(Subtomograms([source], 64, seed=0, random_rot_weight=1.0)))


def test_cubes_are_centred_inside_the_mask(source, tmp_path):
    mask = np.zeros(source.first.volume.shape, np.float32)
    mask[20:28, 20:36, 30:40] = 1
    write_volume(tmp_path / "mask.mrc", mask, voxel_size=10.0, label="test")
    centres, share = centres_of_mask(open_volume(tmp_path / "mask.mrc"))
    assert share == pytest.approx(mask.mean())
    np.testing.assert_array_equal(centres, np.argwhere(mask))
    inside = Subtomograms([replace(source, centres=centres)], 16, seed=0, random_rot_weight=0.5)
    found = draws(inside)
    assert 60 < sum(draw.free for draw in found) < 140
    for draw in found:
        z, y, x = np.array(draw.low) + 8
        assert mask[z, y, x] == 1


def test_a_large_mask_is_thinned_out_evenly(tmp_path, monkeypatch):
    monkeypatch.setattr(tomogram, "MOST_CENTRES", 5000)
    mask = np.zeros((20, 50, 60), np.int8)
    mask[3:17, 10:, :37] = 1
    write_volume(tmp_path / "mask.mrc", mask, label="test")
    centres, share = centres_of_mask(open_volume(tmp_path / "mask.mrc"))
    assert share == pytest.approx(mask.mean())
    assert len(centres) == pytest.approx(mask.sum() / 12, abs=1)
    assert mask[tuple(centres.T)].all()
    for axis, (low, high) in enumerate([(3, 17), (10, 50), (0, 37)]):
        middle = (low + high) / 2
        assert centres[:, axis].mean() == pytest.approx(middle - 0.5, abs=0.5)


def test_points_without_room_for_a_free_turn_are_turned_exactly(source):
    """A point that its cube fits around, but not the surroundings that a free turn needs."""
    corner = np.array([[8, 8, 8]], np.int32)
    here = Subtomograms([replace(source, centres=corner)], 16, seed=0, random_rot_weight=1.0)
    for draw in draws(here):
        assert not draw.free
        assert draw.low == (0, 0, 0)


def test_a_tomogram_that_gives_no_cubes_needs_no_room(source):
    nothing = replace(source, count=0, centres=np.array([[0, 0, 0]], np.int32))
    assert len(Subtomograms([source, nothing], 16, seed=0)) == source.count


def test_a_mask_without_room_is_an_error(source):
    rim = np.array([[0, 0, 0]], np.int32)
    with pytest.raises(InputError, match=r"TS_01.*cube_size 16"):
        Subtomograms([replace(source, centres=rim)], 16, seed=0)


def test_bounds_keep_two_networks_apart(source):
    top = Subtomograms([replace(source, bounds=(0, 28))], 16, seed=0, random_rot_weight=0.5)
    assert max(d.low[1] for d in draws(top)) + 16 <= 28


def test_tomograms_too_small_for_free_turns_are_named(source):
    for size, weight, expected in ((16, 0.2, []), (32, 0.2, ["TS_01"]), (32, 0.0, [])):
        subtomograms = Subtomograms([source], size, seed=0, random_rot_weight=weight)
        assert subtomograms.upright == expected


def test_ranks_share_the_batches_of_one(source):
    subtomograms = Subtomograms([source], 16, seed=0)
    whole = [[s.draw for s in b] for b in subtomograms.batches(3, 4)]
    parts = [
        [[s.draw for s in b] for b in subtomograms.batches(3, 4, rank=r, ranks=2)] for r in (0, 1)
    ]
    assert [len(b) for b in whole] == [4, 2]
    for batch, left, right in zip(whole, *parts, strict=True):
        assert sorted(d.seed for d in batch) == sorted(d.seed for d in left + right)
    later = [[s.draw.seed for s in b] for b in subtomograms.batches(3, 4, first=1)]
    assert later == [[d.seed for d in whole[1]]]


def test_both_directions_doubles_the_batch_with_halves_exchanged(source):
    subtomograms = Subtomograms([source], 16, seed=0, swap=False)
    samples = next(subtomograms.batches(0, 3))
    device = torch.device("cpu")
    batch = Assembler([source], CtfTreatment(mode="network"), device, both_directions=True)(samples)
    assert batch.first.shape == (6, 1, 16, 16, 16)
    assert torch.equal(batch.first[3:], batch.second[:3])
    assert torch.equal(batch.turned[3:], batch.turned[:3])
    assert len(set(batch.seeds)) == 6
    assert batch.ctf.prediction.shape == (6, 1, 16, 16, 9)
