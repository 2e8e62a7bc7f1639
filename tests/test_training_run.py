import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from quick import NAME, QUICK

from isonet2.commands.refine import refine
from isonet2.data.files import locked
from isonet2.data.star import TomogramTable, update
from isonet2.data.volumes import open_volume, write_volume
from isonet2.errors import InputError
from isonet2.parameters import RefineParameters, read_parameters
from isonet2.prediction.checkpoint import Checkpoint
from isonet2.runs.training_run import TrainingRun
from isonet2.training.loop import Descent
from isonet2.training.state import STATE_FILE

HALVES = ("rlnTomoReconstructedTomogramHalf1", "rlnTomoReconstructedTomogramHalf2")


@pytest.fixture
def wide_star(star, tmp_path):
    """The same table, of tomograms that are twice as wide along y."""
    for number, column in enumerate(HALVES):
        values = open_volume(TomogramTable.read(star).tomograms[0].column(column)).read()
        wide = tmp_path / f"wide{number}.mrc"
        write_volume(wide, np.concatenate([values, -values], 1), voxel_size=10.0, label="test")
        update(star, 1, {column: wide})
    return star


def test_two_networks_see_disjoint_halves(wide_star):
    paths = refine(RefineParameters(star_file=wide_star, epochs=1, split_halves=True, **QUICK))
    assert [p.name for p in paths] == [f"{NAME}_top.pt", f"{NAME}_bottom.pt"]
    a, b = (Checkpoint.load(p).weights["final.weight"] for p in paths)
    assert not torch.equal(a, b)


def test_scalars_go_to_tensorboard_when_asked(star):
    pytest.importorskip("tensorboard")
    refine(RefineParameters(star_file=star, epochs=1, tensorboard=True, **QUICK))
    events = list((star.parent / "isonet_maps" / "tensorboard" / "full").iterdir())
    assert events
    assert b"n2n" in events[0].read_bytes()


def test_a_pretrained_network_is_the_start(star):
    first = refine(RefineParameters(star_file=star, epochs=1, output_dir="a", **QUICK))[0]
    still = QUICK | {"learning_rate": 1e-12, "learning_rate_min": 0.0, "ema": 0.0}
    second = refine(
        RefineParameters(star_file=star, epochs=1, output_dir="b", pretrained_model=first, **still)
    )[0]
    a, b = (Checkpoint.load(p).weights["first.weight"] for p in (first, second))
    torch.testing.assert_close(a, b)
    with pytest.raises(InputError, match="unet-medium"):
        refine(
            RefineParameters(
                star_file=star,
                epochs=1,
                pretrained_model=first,
                **(QUICK | {"arch": "unet-medium"}),
            )
        )


def test_networks_of_two_parts_must_see_different_voxels(star):
    with pytest.raises(InputError, match="28 voxels wide, fewer than cube_size 32"):
        refine(RefineParameters(star_file=star, split_halves=True, **QUICK))


def test_a_preview_that_fails_does_not_stop_the_training(star, tmp_path, caplog):
    small = np.zeros((8, 8, 8), np.float32)
    write_volume(tmp_path / "small.mrc", small, voxel_size=10.0, label="test")
    update(star, 1, {"rlnGroundTruth": tmp_path / "small.mrc"})
    given = QUICK | {"epochs": 1, "with_preview": True}
    (path,) = refine(RefineParameters(star_file=star, **given))
    assert path.is_file()
    assert "the preview failed, and training goes on" in caplog.text


def test_a_run_may_go_on_with_a_lower_rate(star):
    given = {**QUICK, "star_file": star, "epochs": 2}
    refine(RefineParameters(**given))
    refine(RefineParameters(resume=True, learning_rate=1e-5, mixed_precision=False, **given))
    with pytest.raises(InputError, match="batch_size differ"):
        refine(RefineParameters(**(given | {"resume": True, "batch_size": 4})))


def test_a_run_may_go_on_for_longer(star, caplog):
    given = {**QUICK, "star_file": star, "output_dir": star.parent / "o", "resume": True}
    refine(RefineParameters(**given, epochs=1))
    refine(RefineParameters(**given, epochs=2))
    history = pd.read_csv(star.parent / "o" / "history.csv")
    assert history["epoch"].tolist() == [1, 2]
    assert history["learning_rate"][1] < history["learning_rate"][0]
    refine(RefineParameters(**given, epochs=1))
    assert "ended after 2 epochs; a larger --epochs trains further" in caplog.text


def test_an_earlier_run_is_set_aside(star):
    given = {**QUICK, "star_file": star, "epochs": 1, "output_dir": star.parent / "o"}
    (first,) = refine(RefineParameters(**given))
    weights = Checkpoint.load(first).weights
    other = star.parent / "o" / "network_isonet2_unet-small_32_full.pt"
    other.write_bytes(b"of another method")
    refine(RefineParameters(seed=1, **given))
    kept = star.parent / "o" / "earlier_1"
    names = {path.name for path in kept.iterdir()}
    assert names == {first.name, STATE_FILE, "history.csv", "loss_full.png", "params.yaml"}
    old = Checkpoint.load(kept / first.name).weights
    assert all(torch.equal(old[key], weights[key]) for key in weights)
    assert any(not torch.equal(Checkpoint.load(first).weights[key], old[key]) for key in old)
    assert other.exists()


def test_two_runs_in_one_folder_are_refused(star):
    folder = star.parent / "o"
    folder.mkdir()
    with locked(folder / "run"), pytest.raises(InputError, match="in use by another run"):
        refine(RefineParameters(star_file=star, epochs=1, output_dir=folder, **QUICK))
    assert not (folder / "params.yaml").exists()


def test_a_damaged_state_is_refused(star):
    refine(RefineParameters(star_file=star, epochs=1, **QUICK))
    state = star.parent / "isonet_maps" / STATE_FILE
    state.write_bytes(state.read_bytes()[:5000])
    with pytest.raises(InputError, match="start anew without --resume"):
        refine(RefineParameters(star_file=star, epochs=1, resume=True, **QUICK))


def test_resume_refuses_other_parameters(star):
    refine(RefineParameters(star_file=star, epochs=1, **QUICK))
    with pytest.raises(InputError, match="mw_weight"):
        refine(RefineParameters(star_file=star, epochs=1, resume=True, mw_weight=7, **QUICK))


def test_resume_refuses_an_edited_architecture(star):
    arch = star.parent / "own.yaml"
    arch.write_text("family: unet\nfilters: 8\n")
    given = {**QUICK, "star_file": star, "epochs": 1, "arch": str(arch)}
    refine(RefineParameters(**given))
    arch.write_text("family: unet\nfilters: 16\n")
    with pytest.raises(InputError, match="network_options"):
        refine(RefineParameters(resume=True, **given))


def command(*words, epochs=4):
    """A refine command line that runs on one thread."""
    return [
        "-m", "isonet2", "refine", "tomograms.star", "--arch", "unet-small", "--cube_size", "32",
        "--batch_size", "2", "--epochs", str(epochs), "--with_preview", "False",
        "--gpuID", "cpu", "--ncpus", "1", *words,
    ]  # fmt: skip


def execute(*words, folder):
    """Run Python with these arguments in a folder, to the end."""
    subprocess.run([sys.executable, *words], cwd=folder, check=True, timeout=300)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_resumes_to_the_weights_of_an_uninterrupted_one(star, number):
    folder = star.parent
    execute(*command("-o", "whole"), folder=folder)
    with subprocess.Popen([sys.executable, *command("-o", "cut")], cwd=folder) as process:
        state = folder / "cut" / STATE_FILE
        until = time.monotonic() + 100
        while not state.exists() and time.monotonic() < until:
            time.sleep(0.02)
        os.kill(process.pid, number)
    assert process.returncode != 0
    execute(*command("-o", "cut", "--resume"), folder=folder)
    a, b = (Checkpoint.load(folder / d / f"{NAME}_full.pt").weights for d in ("whole", "cut"))
    assert all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.slow
def test_two_ranks_with_half_the_batch_equal_one_with_the_whole(star):
    folder = star.parent
    plain = ("--normalization", "none", "--mixed_precision", "False")
    execute(*command(*plain, "-o", "one", epochs=1), folder=folder)
    execute(*LAUNCHER, *command(*plain, "-o", "two", epochs=1), folder=folder)
    a, b = (Checkpoint.load(folder / d / f"{NAME}_full.pt").weights for d in ("one", "two"))
    for key in a:
        torch.testing.assert_close(a[key], b[key], atol=5e-4, rtol=1e-2)


LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
SECOND_RANK = """
import os, signal, sys
from isonet2.cli import main
from isonet2.training.loop import Descent

usual, told = Descent.step, []

def step(self, *rest):
    {what}
    return usual(self, *rest)

if os.environ["RANK"] == "1":
    Descent.step = step
sys.exit(main(sys.argv[1:]))
"""


def with_a_second_rank_that(does, star, *words):
    """Run two ranks, one of which does something before each step."""
    script = star.parent / "second.py"
    script.write_text(SECOND_RANK.format(what=does))
    line = [sys.executable, *LAUNCHER, str(script), *command(*words)[2:]]
    return subprocess.run(line, cwd=star.parent, capture_output=True, text=True, timeout=60)


@pytest.mark.slow
def test_a_rank_that_dies_ends_the_run_with_its_traceback(star):
    done = with_a_second_rank_that("raise RuntimeError('this rank is lost')", star)
    assert done.returncode != 0
    assert "RuntimeError: this rank is lost" in done.stderr


@pytest.mark.slow
def test_all_ranks_stop_when_one_is_asked_and_go_on_together(star):
    folder = star.parent
    once = "told or told.append(os.kill(os.getpid(), signal.SIGTERM))"
    plain = ("--normalization", "none", "--mixed_precision", "False", "-o")
    done = with_a_second_rank_that(once, star, *plain, "cut")
    assert done.returncode != 0
    assert done.stderr.count("stopped in epoch 1; everything is kept") == 1
    execute(*LAUNCHER, *command(*plain, "cut", "--resume"), folder=folder)
    execute(*LAUNCHER, *command(*plain, "whole"), folder=folder)
    a, b = (Checkpoint.load(folder / d / f"{NAME}_full.pt").weights for d in ("whole", "cut"))
    for key in a:
        torch.testing.assert_close(a[key], b[key], atol=5e-4, rtol=1e-2)


def test_resume_refuses_an_edited_table(star):
    given = {**QUICK, "star_file": star, "epochs": 1}
    refine(RefineParameters(**given))
    update(star, 1, {"rlnTiltMax": 40})
    with pytest.raises(InputError, match=r"tilt range of TS_01 was -60 to 60 and is .* to 40"):
        refine(RefineParameters(resume=True, save_interval=3, **given))


def test_resume_goes_by_the_rows_and_leaves_the_record_of_an_ended_run(star):
    given = {**QUICK, "output_dir": star.parent / "r"}
    refine(RefineParameters(star_file=star, epochs=2, **given))
    other = star.rename(star.with_name("other.star"))
    refine(RefineParameters(star_file=other, epochs=1, resume=True, **given))
    assert read_parameters(star.parent / "r" / "params.yaml").epochs == 2
    refine(RefineParameters(star_file=other, epochs=3, resume=True, **given))
    assert read_parameters(star.parent / "r" / "params.yaml").epochs == 3


def test_a_signal_while_the_last_epoch_is_kept_ends_the_run(wide_star, monkeypatch, caplog):
    keep = TrainingRun._keep

    def asked(run, training):
        keep(run, training)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(TrainingRun, "_keep", asked)
    with pytest.raises(KeyboardInterrupt):
        refine(RefineParameters(star_file=wide_star, epochs=1, split_halves=True, **QUICK))
    folder = wide_star.parent / "isonet_maps"
    assert [p.name for p in folder.glob("*.pt") if "state" not in p.name] == [f"{NAME}_top.pt"]
    assert "stopped after the last epoch" in caplog.text


def test_networks_of_two_runs_never_stand_beside_each_other(wide_star, monkeypatch):
    """A second run of two networks that is stopped between them, and goes on."""
    given = {**QUICK, "star_file": wide_star, "epochs": 1, "split_halves": True}
    refine(RefineParameters(**given))
    go = TrainingRun.go

    def stopped(run, training):
        if run.part == "bottom":
            raise KeyboardInterrupt
        return go(run, training)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "go", stopped)
        with pytest.raises(KeyboardInterrupt):
            refine(RefineParameters(seed=5, **given))
    paths = refine(RefineParameters(seed=5, resume=True, **given))
    assert [Checkpoint.load(path).parameters["seed"] for path in paths] == [5, 5]
    aside = sorted(wide_star.parent.glob("isonet_maps/earlier_*"))
    assert [path.name for path in aside] == ["earlier_1"]
    assert {path.name for path in paths} <= {path.name for path in aside[0].iterdir()}


def test_the_first_tomogram_is_previewed_where_none_has_number_one(star):
    update(star, 1, {"rlnIndex": 7})
    (path,) = refine(
        RefineParameters(star_file=star, **QUICK | {"epochs": 1, "with_preview": True})
    )
    assert any(path.parent.glob("*TS_01*.png"))
    with pytest.raises(InputError, match=r"prev_tomo_idx 1: there is no tomogram 1 .* \(7\)"):
        refine(
            RefineParameters(star_file=star, prev_tomo_idx="1", **QUICK | {"with_preview": True})
        )


def test_a_file_that_vanishes_ends_the_run_with_its_state_saved(star, tmp_path, monkeypatch):
    copies = []
    for column in HALVES:
        copies.append(tmp_path / f"{column}.mrc")
        source = TomogramTable.read(star).tomograms[0].column(column)
        copies[-1].write_bytes(source.read_bytes())
        update(star, 1, {column: copies[-1]})
    update(star, 1, {"rlnNumberSubtomo": 40})
    taken = Descent.step

    def and_remove(descent, group, rate, noise_level):
        copies[1].unlink(missing_ok=True)
        return taken(descent, group, rate, noise_level)

    monkeypatch.setattr(Descent, "step", and_remove)
    given = {**QUICK, "star_file": star, "epochs": 1}
    with pytest.raises(InputError, match=r"Half2.mrc: could not be read"):
        refine(RefineParameters(**given))
    monkeypatch.setattr(Descent, "step", taken)
    assert (tmp_path / "isonet_maps" / STATE_FILE).is_file()
    copies[1].write_bytes(copies[0].read_bytes())
    with pytest.raises(InputError, match="hold the same noise"):
        refine(RefineParameters(resume=True, **given))
