"""A run that was stopped goes on, and a new one leaves the earlier one whole."""

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import torch
from quick import NAME, QUICK
from training_processes import command, execute

from isonet2.commands.refine import refine
from isonet2.data.progress import read_progress
from isonet2.data.star import update
from isonet2.errors import InputError
from isonet2.machine.tensors import load_tensors
from isonet2.parameters import RefineParameters, read_parameters
from isonet2.prediction.checkpoint import Checkpoint
from isonet2.runs.preview import Preview


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


def test_a_damaged_state_is_refused(star):
    refine(RefineParameters(star_file=star, epochs=1, **QUICK))
    state = star.parent / "isonet_maps" / "training_state.pt"
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


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_resumes_to_the_weights_of_an_uninterrupted_one(star, number):
    folder = star.parent
    execute(*command("-o", "whole"), folder=folder)
    with subprocess.Popen([sys.executable, *command("-o", "cut")], cwd=folder) as process:
        state = folder / "cut" / "training_state.pt"
        until = time.monotonic() + 100
        while not state.exists() and time.monotonic() < until:
            time.sleep(0.02)
        os.kill(process.pid, number)
    assert process.returncode != 0
    execute(*command("-o", "cut", "--resume"), folder=folder)
    a, b = (Checkpoint.load(folder / d / f"{NAME}_full.pt").weights for d in ("whole", "cut"))
    assert all(torch.equal(a[k], b[k]) for k in a)


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


def test_an_epoch_is_saved_before_its_previews_and_masks_are_made(star, mask_file, monkeypatch):
    update(star, 1, {"rlnMaskName": mask_file})
    folder, seen = star.parent / "isonet_maps", []
    restored = Preview.restored

    def and_look(preview, network, device):
        state = load_tensors(folder / "training_state.pt")
        kept = Checkpoint.load(folder / f"{NAME}_full.pt")
        seen.append((state["epoch"], kept.epoch, len(pd.read_csv(folder / "history.csv"))))
        return restored(preview, network, device)

    monkeypatch.setattr(Preview, "restored", and_look)
    given = QUICK | {"with_preview": True, "with_mask": True, "num_mask_updates": 1}
    refine(RefineParameters(star_file=star, epochs=2, save_interval=2, **given))
    assert seen == [(1, 1, 1), (2, 2, 2)]
    state = load_tensors(folder / "training_state.pt")
    assert "cc_halves_wedge" in state["history"][1]


KILLED = """
import os, signal, sys
from isonet2.cli import main
from isonet2.runs.preview import Preview

Preview.restored = lambda *rest: os.kill(os.getpid(), signal.SIGKILL)
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("what", ["preview", "new mask"])
def test_work_that_a_process_was_killed_in_is_left_out_when_it_goes_on(star, mask_file, what):
    update(star, 1, {"rlnMaskName": mask_file})
    script = star.parent / "killed.py"
    script.write_text(KILLED)
    masks = ("--with_mask", "True", "--num_mask_updates", "1")
    words = [*command("--save_interval", "1", *(masks if what == "new mask" else ()), epochs=2)]
    words[words.index("--with_preview") + 1] = str(what == "preview")
    done = subprocess.run([sys.executable, str(script), *words[2:]], cwd=star.parent, timeout=400)
    assert done.returncode == -signal.SIGKILL
    assert read_progress(star.parent / "isonet_maps").state == "lost"
    again = subprocess.run(
        [sys.executable, *words, "--resume"], cwd=star.parent, capture_output=True, text=True,
        timeout=400, check=True,
    )  # fmt: skip
    assert f"was killed while it made the {what} of TS_01" in again.stderr
    assert "going on after 1 epoch and 0 steps" in again.stderr
    folder = star.parent / "isonet_maps"
    assert not list(folder.rglob("TS_01*epoch*.mrc"))
    assert read_progress(folder).state == "succeeded"
