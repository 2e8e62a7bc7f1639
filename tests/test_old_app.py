"""Projects of the desktop program IsoApp: what it noted and left is seen."""

import json
import os
import time

import pytest
from gui_app import named, until, visit
from star_files import OURS, put

from isonet2.data.run_folder import previews
from isonet2.gui.choices import trained
from isonet2.gui.old_app import old_job, old_jobs
from isonet2.gui.overview import entries
from isonet2.gui.project import Project
from isonet2.jobs import Jobs

REFINE = {
    "type": "refine", "star_file": "tomograms.star", "name": "first <b>", "gpuID": "None",
    "ncpus": 16, "method": "isonet2-n2n", "arch": "unet-medium", "pretrained_model": "None",
    "cube_size": "64", "epochs": 70, "input_column": "rlnDeconvTomoName", "batch_size": "None",
    "loss_func": "L2", "mw_weight": 20, "CTF_mode": "None", "isCTFflipped": False,
    "with_preview": True, "prev_tomo_idx": 1, "even_odd_input": True, "id": 5,
    "output_dir": "refine/job5", "status": "completed", "pid": 4711,
}  # fmt: skip


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A project in which IsoApp has run."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "tomograms.star", OURS)
    others = [
        {"type": "prepare_star", "id": 1, "star_name": "tomograms.star"},
        {"type": "denoise", "id": 2, "name": "denoise", "status": "completed"},
        {"type": "predict", "id": 3, "name": "", "status": "running", "isCTFflipped": True},
        {"type": "refine", "id": "../../x"}, {"type": "refine"}, "nonsense",
    ]  # fmt: skip
    told = {"counter": 5, "jobList": [*others, REFINE]}
    put(tmp_path / "settings.json", json.dumps(told))
    put(
        tmp_path / "refine/job5/log.txt",
        "Command: isonet.py\nall well\nProcess exited with code 0\n",
    )
    put(tmp_path / "denoise/job2/log.txt", "bang\nProcess exited with code 1\n")
    put(tmp_path / "predict/job3/log.txt", "87%")
    return Project.at(tmp_path)


def test_jobs_are_listed_with_how_their_logs_say_that_they_ended(place):
    jobs = {job.number: job for job in old_jobs(place.folder)}
    assert {number: job.status for number, job in jobs.items()} == {
        2: "failed", 3: "running", 5: "succeeded"
    }  # fmt: skip
    assert "exit status 1" in jobs[2].reason
    assert (jobs[5].place, jobs[5].name) == ("refine/job5", "first <b>")
    long_ago = time.time() - 1000
    os.utime(place.folder / "predict/job3/log.txt", (long_ago, long_ago))
    assert old_job(place.folder, 3).status == "lost"
    (place.folder / "denoise/job2/log.txt").unlink()
    assert old_job(place.folder, 2).status == "lost"
    listed = {entry.key: entry for entry in entries(Jobs(place.folder))}
    assert listed["app:5"].title == "first <b> (IsoApp)"
    assert listed["app:5"].status == "succeeded"


def test_a_file_of_another_kind_is_none(place):
    for text in ("{", "[]", '{"jobList": 3}', '{"theme": "dark"}'):
        put(place.folder / "settings.json", text)
        assert old_jobs(place.folder) == []
    (place.folder / "settings.json").unlink()
    assert old_jobs(place.folder) == []


def test_its_parameters_are_those_of_the_command(place):
    told = old_job(place.folder, 5).parameters
    assert (told["gpuID"], told["batch_size"], told["CTF_mode"]) == (None, None, "None")
    assert not {"input_column", "output_dir", "id", "name", "even_odd_input"} & set(told)
    assert old_job(place.folder, 3).parameters == {"isCTFflipped": True}


def test_its_networks_and_previews_are_found(place):
    folder = place.folder / "refine" / "job5"
    put(folder / "network_isonet2-n2n_unet-medium_64_full.pt", "")
    put(folder / "TS_01_xy_epoch_10.png", "")
    assert trained(place) == {
        "refine/job5/network_isonet2-n2n_unet-medium_64_full.pt": "refine/job5 (IsoApp): "
        "network_isonet2-n2n_unet-medium_64_full.pt"
    }
    assert [(one.name, one.epoch) for one in previews(folder)] == [("TS_01_xy", 10)]


@pytest.mark.parametrize("role", ["writer", "reader"])
def test_the_page_shows_such_a_job_and_copies_it_into_the_form(place, role):
    async def steps(user):
        await user.open("/jobs?job=app:5")
        await user.should_see("first <b> (IsoApp)")
        await user.should_see(marker="log")
        await user.open("/jobs?job=app:2")
        await user.should_see("exit status 1; the log says more")
        await user.open("/jobs?job=app:7x")
        await user.should_see("lists none of this number")
        if role == "reader":
            await user.open("/jobs?job=app:5")
            await user.should_not_see(marker="act-clone")
            return
        await user.open("/refine?old=5")
        await until(lambda: named(user, "epochs").value == "70")
        await user.should_see(
            "isonet.py refine tomograms.star --method isonet2-n2n --mw_weight 20 --cube_size 64"
        )

    visit(place, steps, role)
