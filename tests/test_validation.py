from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from isonet2.commands.refine import refine
from isonet2.data.star import write_table
from isonet2.data.volumes import open_volume, write_volume
from isonet2.data.voxels import statistics
from isonet2.errors import InputError
from isonet2.opening.halves import Half
from isonet2.parameters import RefineParameters
from isonet2.physics.ctf import CtfTreatment
from isonet2.physics.geometry import Geometry
from isonet2.training.assembly import Assembler, Cubes
from isonet2.training.muon import Muon
from isonet2.training.objectives import METHODS, Recipe
from isonet2.training.sampling import Subtomograms
from isonet2.training.schedule import Cosine, Plan, best_epoch
from isonet2.training.tomogram import Source
from isonet2.training.validation import CUBES, Validation, hold_out

SIZE = 16


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two halves (32, 144, 40) of noise; files."""
    folder = tmp_path_factory.mktemp("long")
    rng = np.random.default_rng(0)
    paths = [folder / f"TS_01_{name}.mrc" for name in ("EVN", "ODD")]
    for path in paths:
        voxels = rng.standard_normal((32, 144, 40)).astype(np.float32)
        write_volume(path, voxels, voxel_size=10.0, label="test")
    return paths


@pytest.fixture
def long(files):
    first, second = (Half(v, statistics(v)) for v in map(open_volume, files))
    return Source("TS_01", first, second, Geometry(((-60.0, 60.0),), None, 10.0), 6)


def rows_drawn(source, turn=True):
    """First and last voxel along y that many drawn cubes hold, surroundings included."""
    drawn = Subtomograms([source], SIZE, seed=0, random_rot_weight=0.3, turn=turn)
    lows = [drawn.draw(0, place, 0).low[1] for place in range(300)]
    return min(lows), max(lows) + SIZE


def test_training_and_held_out_cubes_share_no_voxel(long):
    (train,), (held,) = hold_out([long], SIZE)
    assert rows_drawn(train) == (0, 128)
    assert rows_drawn(held) == (128, 144)
    assert (train.count, held.count) == (long.count, CUBES)


def test_blank_ends_are_neither_learned_from_nor_held_out(long):
    for lows, filled in (((0, 84), (0, 100)), ((10, 100), (10, 116))):
        known = replace(long.first.statistics, filled=((0, 32), filled, (0, 40)))
        part = replace(long, second=Half(long.second.volume, known))
        (train,), (held,) = hold_out([part], SIZE, small_too=True)
        assert rows_drawn(train) == lows
        assert rows_drawn(held) == (lows[1], filled[1])


def test_a_part_of_a_part_is_held_out_inside_it(long):
    top = replace(long, bounds=(0, 72))
    (train,), (held,) = hold_out([top], SIZE, small_too=True)
    assert (train.bounds, held.bounds) == ((0, 56), (56, 72))


def test_centres_are_shared_out_with_the_parts(long):
    centres = np.array([[16, 20, 20], [16, 133, 20], [16, 90, 20]], np.int32)
    (train,), (held,) = hold_out([replace(long, centres=centres)], SIZE)
    assert rows_drawn(train)[1] <= 128
    assert held.centres.tolist() == [[16, 133, 20]]
    assert rows_drawn(held) == (128, 144)


@pytest.mark.parametrize(
    "centres", [[[16, 20, 20], [2, 140, 20]], [[16, 3, 20], [16, 140, 20]], [[16, 20, 20]]]
)
def test_both_parts_must_have_room_for_a_cube(long, centres):
    source = replace(long, centres=np.array(centres, np.int32))
    assert hold_out([source], SIZE) == ([source], [])


@pytest.mark.parametrize("last", [True, False])
def test_an_end_that_weighs_nothing_is_not_held_out(long, tmp_path, last):
    weight = np.ones(long.first.volume.shape, np.float32)
    weight[:, 128:] = last
    write_volume(tmp_path / "w.mrc", weight, voxel_size=10.0, label="test")
    source = replace(long, weight=open_volume(tmp_path / "w.mrc"))
    assert len(hold_out([source], SIZE)[1]) == last


def test_nothing_is_held_out_where_there_is_no_room(long):
    small = replace(long, bounds=(0, 100))
    empty = replace(long, centres=np.array([[16, 20, 20]], np.int32))
    unused = replace(long, count=0)
    assert hold_out([small, empty, unused], SIZE) == ([small, empty, unused], [])
    assert len(hold_out([small], SIZE, small_too=True)[1]) == 1


def test_of_many_tomograms_a_few_are_asked(long):
    train, held = hold_out([long] * 20, SIZE)
    assert len(held) == 8
    assert sum(source.bounds is None for source in train) == 12
    assert sum(source.count for source in held) == CUBES


def validation(source, method, recipe):
    return Validation(
        METHODS[method], recipe, Cubes(
            Subtomograms([source], SIZE, seed=0, turn=method != "n2n"),
            Assembler([source], CtfTreatment(), torch.device("cpu")),
        ), 0.0,
    )  # fmt: skip


def test_a_network_that_knows_the_target_has_no_loss(long):
    """Where both halves are equal, the identity predicts one half from the other."""
    equal = replace(long, second=Half(long.first.volume, long.first.statistics))
    losses = validation(equal, "n2n", Recipe())
    assert losses(lambda x: x) == {"held_out": 0.0, "held_out_n2n": 0.0, "held_out_mw": 0.0}
    row = losses(torch.zeros_like)
    assert row["held_out"] == row["held_out_n2n"] > 0


@pytest.mark.parametrize(("weight", "factor"), [(20.0, 20.0), (-1.0, 1.0)])
def test_the_wedge_counts_as_in_training(long, weight, factor):
    row = validation(long, "isonet2-n2n", Recipe(mw_weight=weight))(torch.zeros_like)
    assert row["held_out_mw"] > 0
    assert row["held_out"] == row["held_out_n2n"] + factor * row["held_out_mw"]


def history(*losses):
    return [{"epoch": n, "held_out": loss} for n, loss in enumerate(losses, 1)]


def test_the_best_epoch_is_that_of_the_lowest_loss():
    assert best_epoch(history(3, 1, 2)) == 2
    assert best_epoch([{"epoch": 1}, {"epoch": 2}]) == 2


def test_patience_ends_a_run():
    plan = Plan(9, 2, 1, Muon, Cosine(1e-3, 1e-4, 0.1), 0.9, (0.0,) * 9, patience=2)
    assert [plan.ended(history(*losses)) for losses in ((3, 1), (3, 1, 2), (3, 1, 2, 2))] == [
        False, False, True,
    ]  # fmt: skip
    assert plan.ended(history(*range(9, 0, -1)))
    assert not plan.ended([])


@pytest.fixture
def star(files, tmp_path):
    path = tmp_path / "tomograms.star"
    columns = {
        "rlnIndex": [1],
        "rlnTomoReconstructedTomogramHalf1": [files[0]],
        "rlnTomoReconstructedTomogramHalf2": [files[1]],
        "rlnPixelSize": [10.0],
        "rlnTiltMin": [-60],
        "rlnTiltMax": [60],
        "rlnNumberSubtomo": [2],
    }
    write_table(path, pd.DataFrame(columns))
    return path


def test_the_best_network_is_kept_and_a_run_that_learns_nothing_stops(star, tmp_path, monkeypatch):
    losses = iter([2.0, 1.0, 3.0, 4.0, 5.0])
    monkeypatch.setattr(Validation, "__call__", lambda self, network: {"held_out": next(losses)})
    given = {
        "star_file": star, "arch": "unet-small", "cube_size": 32, "batch_size": 2, "ncpus": 1,
        "epochs": 9, "patience": 2, "with_preview": False, "output_dir": tmp_path / "o",
        "validation": True,
    }  # fmt: skip
    (path,) = refine(RefineParameters(**given))
    rows = pd.read_csv(path.parent / "history.csv")
    assert rows["held_out"].tolist() == [2.0, 1.0, 3.0, 4.0]
    best = torch.load(path.with_name(path.name.replace("full", "best_full")), weights_only=True)
    last = torch.load(path, weights_only=True)
    assert (best["epoch"], last["epoch"]) == (2, 4)
    refine(RefineParameters(**given, resume=True))
    assert len(pd.read_csv(path.parent / "history.csv")) == 4
    refine(RefineParameters(**(given | {"epochs": 5, "patience": None}), resume=True))
    assert len(pd.read_csv(path.parent / "history.csv")) == 5


def test_validation_needs_room(star, tmp_path):
    given = {"star_file": star, "cube_size": 64, "output_dir": tmp_path / "o"}
    with pytest.raises(InputError, match="no tomogram has specimen 3 cubes of cube_size 64"):
        refine(RefineParameters(**given, validation=True))
    with pytest.raises(InputError, match="patience = 3 watches the loss on parts held out"):
        RefineParameters(**given, validation=False, patience=3)
