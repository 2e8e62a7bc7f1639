import numpy as np
from quick import QUICK

from isonet2.commands.refine import refine
from isonet2.data.volumes import open_volume, write_volume
from isonet2.parameters import RefineParameters
from isonet2.runs.remask import MaskUpdates
from isonet2.training.sampling import Subtomograms


def test_masks_are_made_anew_from_the_prediction(star):
    given = QUICK | {"epochs": 3, "num_mask_updates": 1}
    refine(RefineParameters(star_file=star, **given))
    path = star.parent / "isonet_maps" / "masks" / "TS_01_full_epoch2.mrc"
    mask = open_volume(path).read()
    assert set(np.unique(mask)) == {0.0, 1.0}
    assert 0.02 < mask.mean() < 0.6


def test_the_latest_mask_serves_a_run_that_goes_on_for_longer(source, tmp_path):
    cubes = Subtomograms([source], 32, seed=0)
    updates = MaskUpdates([], [], 60, 2, tmp_path, "full")
    assert updates.after == (20, 40)
    voxels = np.zeros(source.first.volume.shape, np.float32)
    voxels[20:30, 20:30, 20:30] = 1
    write_volume(updates.path("TS_01", 17), voxels, voxel_size=10.0, label="of 50 epochs")
    updates.apply(cubes, 16)
    assert cubes.sources[0].centres is None
    updates.apply(cubes, 18)
    assert len(cubes.sources[0].centres) == 1000


def test_a_new_mask_that_leaves_no_room_is_not_taken(source, tmp_path, caplog):
    cubes = Subtomograms([source], 32, seed=0)
    updates = MaskUpdates([], [], 60, 2, tmp_path, "full")
    corner = np.zeros(source.first.volume.shape, np.float32)
    corner[:4, :4, :4] = 1
    write_volume(updates.path("TS_01", 20), corner, voxel_size=10.0, label="test")
    updates.apply(cubes, 20)
    assert cubes.sources[0].centres is None
    assert "leaves no room for a cube" in caplog.text
