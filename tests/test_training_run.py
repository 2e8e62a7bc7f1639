import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from quick import NAME, QUICK
from star_files import HALVES
from training_processes import command, execute

from isonet2.checks.findings import Finding, Findings
from isonet2.commands.refine import refine
from isonet2.data.files import locked
from isonet2.data.progress import ProgressFile, read_progress
from isonet2.data.star import TomogramTable, update
from isonet2.data.volumes import Volume, write_volume
from isonet2.errors import InputError
from isonet2.machine.started import checks, is_first, silence
from isonet2.machine.tensors import load_tensors
from isonet2.parameters import RefineParameters
from isonet2.physics.ctf import CtfTreatment
from isonet2.prediction.checkpoint import Checkpoint
from isonet2.runs import networks, preview, sources
from isonet2.runs.training_run import TrainingRun
from isonet2.training.loop import Descent


def test_two_networks_see_disjoint_halves(wide_star):
    paths = refine(RefineParameters(star_file=wide_star, epochs=1, split_halves=True, **QUICK))
    assert [p.name for p in paths] == [f"{NAME}_top.pt", f"{NAME}_bottom.pt"]
    a, b = (Checkpoint.load(p).weights["network.final.weight"] for p in paths)
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
    a, b = (Checkpoint.load(p).weights["network.first.weight"] for p in (first, second))
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


def test_an_earlier_run_is_set_aside(star):
    given = {**QUICK, "star_file": star, "epochs": 1, "output_dir": star.parent / "o"}
    (first,) = refine(RefineParameters(**given))
    weights = Checkpoint.load(first).weights
    mine = star.parent / "o" / "notes.txt"
    mine.write_text("of the user")
    refine(RefineParameters(method="isonet2", input_column=HALVES[0], seed=1, **given))
    kept = star.parent / "o" / "earlier_1"
    names = {path.name for path in kept.iterdir()}
    assert names == {
        first.name, "training_state.pt", "history.csv", "loss_full.png", "params.yaml",
    }  # fmt: skip
    assert not first.exists()
    old = Checkpoint.load(kept / first.name).weights
    assert all(torch.equal(old[key], weights[key]) for key in weights)
    assert mine.exists()


def test_two_runs_in_one_folder_are_refused(star):
    folder = star.parent / "o"
    folder.mkdir()
    with locked(folder / "run"), pytest.raises(InputError, match="in use by another run"):
        refine(RefineParameters(star_file=star, epochs=1, output_dir=folder, **QUICK))
    assert not (folder / "params.yaml").exists()


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
    return subprocess.run(line, cwd=star.parent, capture_output=True, text=True, timeout=300)


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
    assert done.stderr.count("nothing is held out") == 1
    execute(*LAUNCHER, *command(*plain, "cut", "--resume"), folder=folder)
    execute(*LAUNCHER, *command(*plain, "whole"), folder=folder)
    a, b = (Checkpoint.load(folder / d / f"{NAME}_full.pt").weights for d in ("whole", "cut"))
    for key in a:
        torch.testing.assert_close(a[key], b[key], atol=5e-4, rtol=1e-2)


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
    assert (tmp_path / "isonet_maps" / "training_state.pt").is_file()
    copies[1].write_bytes(copies[0].read_bytes())
    with pytest.raises(InputError, match="hold the same noise"):
        refine(RefineParameters(resume=True, **given))


def test_voxels_that_cannot_be_used_end_the_run_with_its_state_saved(star, tmp_path, monkeypatch):
    """NaN that is met in the second step."""
    taken, read = Descent.step, Volume.read

    def and_spoil(descent, group, rate, noise_level):
        monkeypatch.setattr(Volume, "read", lambda *given: read(*given) * np.nan)
        return taken(descent, group, rate, noise_level)

    update(star, 1, {"rlnNumberSubtomo": 16})
    given = {**QUICK, "star_file": star, "epochs": 1}
    monkeypatch.setattr(Descent, "step", and_spoil)
    with pytest.raises(InputError, match="holds NaN or infinite values"):
        refine(RefineParameters(**given))
    monkeypatch.setattr(Descent, "step", taken)
    monkeypatch.setattr(Volume, "read", read)
    state = load_tensors(tmp_path / "isonet_maps" / "training_state.pt")
    assert (state["epoch"], state["step"] > 0) == (0, True)
    assert read_progress(tmp_path / "isonet_maps").state == "failed"
    refine(RefineParameters(resume=True, **given))
    assert read_progress(tmp_path / "isonet_maps").state == "succeeded"


def test_a_preview_that_memory_does_not_hold_is_not_begun(shown_memory, star, caplog):
    given = QUICK | {"with_preview": True}
    (path,) = refine(RefineParameters(star_file=star, epochs=1, **given))
    assert "the preview failed" in caplog.text
    assert "0.0 GB may be used" in caplog.text
    assert not list(path.parent.glob("TS_01*"))


@pytest.fixture
def shown_memory(monkeypatch):
    """A process that may use one megabyte."""
    monkeypatch.setattr(preview, "memory_limit", lambda: 10**6)


def test_normalisation_is_that_of_the_pretrained_network(star):
    (first,) = refine(RefineParameters(star_file=star, epochs=1, output_dir="a",
                                       normalization="instance", **QUICK))  # fmt: skip
    given = QUICK | {"star_file": star, "epochs": 1, "pretrained_model": first}
    with pytest.raises(InputError, match="normalization group: the network of pretrained_model"):
        refine(RefineParameters(output_dir="b", normalization="group", **given))
    (second,) = refine(RefineParameters(output_dir="c", **given))
    made = Checkpoint.load(second)
    assert made.network_options["normalization"] == "instance"
    assert made.parameters["normalization"] == "instance"


def test_ranks_that_outnumber_cubes_are_refused(star, monkeypatch):
    monkeypatch.setattr(networks, "choose_devices", lambda ids: [torch.device("cpu")] * 8)
    given = QUICK | {"batch_size": 8}
    with pytest.raises(InputError, match="4 cubes in an epoch for 8 GPUs"):
        refine(RefineParameters(star_file=star, **given))


def test_other_programs_see_how_far_a_run_is(wide_star, monkeypatch):
    seen = []
    monkeypatch.setattr(ProgressFile, "report", lambda self, **news: seen.append(news))
    refine(RefineParameters(star_file=wide_star, epochs=2, split_halves=True, **QUICK))
    told = [news for news in seen if "epoch" in news]
    assert [news["epoch"] for news in told] == sorted(news["epoch"] for news in told)
    assert (told[0]["epochs"], told[-1]["epoch"], told[-1]["step"]) == (4, 4, told[-1]["steps"])
    assert told[-1]["loss"] > 0
    assert "training network_" in told[-1]["message"]


@pytest.mark.parametrize(
    ("error", "state"), [(InputError("no"), "failed"), (KeyboardInterrupt(), "cancelled")]
)
def test_how_a_run_ended_is_told(star, monkeypatch, error, state):
    def ends(run, training):
        raise error

    monkeypatch.setattr(TrainingRun, "go", ends)
    with pytest.raises(type(error)):
        refine(RefineParameters(star_file=star, epochs=1, **QUICK))
    assert read_progress(star.parent / "isonet_maps").state == state


def test_ranks_after_the_first_look_for_nothing_and_say_nothing(star, monkeypatch, caplog):
    remark = Finding("test", "warning", "a remark")
    monkeypatch.setattr(sources, "opened_findings", lambda *given, **more: [remark])
    row = TomogramTable.read(star).tomograms[0]
    given = {"reads_halves": True, "treatment": CtfTreatment(), "bfactor": 0.0,
             "with_mask": False, "mask_weighted_loss": False, "input_column": None}  # fmt: skip
    findings = Findings()
    sources.training_source(row, findings, checked=False, **given)
    assert findings.all == []
    sources.training_source(row, findings, **given)
    assert findings.all == [remark]
    assert (is_first(), checks()) == (True, True)
    torchrun = {"LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}
    srun = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}
    for said, looks in ((torchrun, False), (srun, True)):
        with monkeypatch.context() as patch:
            for name, value in said.items():
                patch.setenv(name, value)
            assert (is_first(), checks()) == (False, looks)
    caplog.clear()
    with silence():
        networks.log.warning("twice")
    assert not caplog.text
