from dataclasses import replace

import numpy as np
import pytest
from quick import QUICK

from isonet2.commands.make_mask import make_mask
from isonet2.commands.refine import refine
from isonet2.data.run_folder import NetworkFiles
from isonet2.data.star import TomogramTable, update
from isonet2.data.volumes import open_volume, write_volume
from isonet2.errors import InputError
from isonet2.parameters import MakeMaskParameters, RefineParameters
from isonet2.runs.remask import MaskUpdates, settings_of
from isonet2.training.sampling import Subtomograms


def files(folder):
    """Where a run keeps its masks."""
    return NetworkFiles(folder, "isonet2-n2n", "unet-small", 32)


def test_masks_are_made_anew_from_the_prediction(star, mask_file):
    update(star, 1, {"rlnMaskName": mask_file})
    given = QUICK | {"epochs": 3, "num_mask_updates": 1, "with_mask": True}
    refine(RefineParameters(star_file=star, **given))
    path = star.parent / "isonet_maps" / "masks" / "TS_01_full_epoch2.mrc"
    mask = open_volume(path).read()
    assert set(np.unique(mask)) == {0.0, 1.0}
    assert 0.02 < mask.mean() < 0.6


def test_the_latest_mask_serves_a_run_that_goes_on_for_longer(source, tmp_path):
    cubes = Subtomograms([source], 32, seed=0)
    updates = MaskUpdates([], [], files(tmp_path), 60, 2)
    assert updates.after == (20, 40)
    voxels = np.zeros(source.first.volume.shape, np.float32)
    voxels[20:30, 20:30, 20:30] = 1
    write_volume(updates.files.mask("TS_01", 17), voxels, voxel_size=10.0, label="of 50 epochs")
    updates.apply(cubes, 16)
    assert cubes.sources[0].centres is None
    updates.apply(cubes, 18)
    assert len(cubes.sources[0].centres) == 1000


def test_a_new_mask_that_leaves_no_room_is_not_taken(source, tmp_path, caplog):
    cubes = Subtomograms([source], 32, seed=0)
    updates = MaskUpdates([], [], files(tmp_path), 60, 2)
    corner = np.zeros(source.first.volume.shape, np.float32)
    corner[:4, :4, :4] = 1
    write_volume(updates.files.mask("TS_01", 20), corner, voxel_size=10.0, label="test")
    updates.apply(cubes, 20)
    assert cubes.sources[0].centres is None
    assert "leaves no room for a cube" in caplog.text


def test_new_masks_are_made_with_the_settings_of_the_old_one(star):
    assert settings_of(TomogramTable.read(star).tomograms[0]) == {}
    words = {"star_file": star, "z_crop": 0.5, "exclude_gold": False, "output_dir": "own"}
    make_mask(MakeMaskParameters(input_column="rlnTomoReconstructedTomogramHalf1", **words))
    found = settings_of(TomogramTable.read(star).tomograms[0])
    assert (found["z_crop"], found["exclude_gold"], found["patch_size"]) == (0.5, False, 4)
    given = QUICK | {"epochs": 2, "num_mask_updates": 1, "with_mask": True}
    refine(RefineParameters(star_file=star, **given))
    mask = open_volume(star.parent / "isonet_maps" / "masks" / "TS_01_full_epoch1.mrc").read()
    assert not mask[:12].any()
    assert not mask[-12:].any()
    assert mask[12:36].any()


def test_without_with_mask_a_new_mask_weights_the_loss_and_places_stay(source, tmp_path):
    weighted = replace(source, weight=source.first.volume)
    cubes = Subtomograms([weighted], 32, seed=0)
    updates = MaskUpdates([], [], files(tmp_path), 60, 2, centres=False)
    voxels = np.zeros(source.first.volume.shape, np.float32)
    voxels[20:30, 20:30, 20:30] = 1
    write_volume(updates.files.mask("TS_01", 20), voxels, voxel_size=10.0, label="test")
    updates.apply(cubes, 20)
    assert cubes.sources[0].centres is None
    assert cubes.sources[0].weight.path.name == "TS_01_full_epoch20.mrc"


def test_masks_that_nothing_uses_are_refused():
    with pytest.raises(InputError, match="num_mask_updates = 2 makes masks that nothing uses"):
        RefineParameters(star_file="t.star", num_mask_updates=2)
