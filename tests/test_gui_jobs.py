"""The page of jobs as a user meets it, without a browser."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import asdict

from gui_app import named, until, visit
from nicegui import ui
from star_files import pairs

from isonet2.data.processes import Process
from isonet2.jobs import Jobs, gpus
from isonet2.parameters import (
    DeconvParameters,
    DenoiseParameters,
    PredictParameters,
)


def test_a_job_is_copied_into_the_form(place, quiet):
    pairs(place.folder)
    parameters = DenoiseParameters(star_file="tomograms.star", epochs=9, CTF_mode="network")
    Jobs(place.folder).submit(parameters)

    async def steps(user):
        await user.open("/denoise?clone=1")
        assert named(user, "epochs").value == "9"
        await user.should_see("--epochs 9 --CTF_mode network")
        await user.should_not_see("denoise/job001")

    visit(place, steps)


def test_a_run_outside_the_project_is_not_shown(place, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "log.txt").write_text("secret")
    (place.folder / ".isonet").mkdir(exist_ok=True)

    async def steps(user):
        for folder in (f"../{other.name}", str(other), ".isonet"):
            await user.open(f"/jobs?job=run:{folder}@0")
            await user.should_not_see(marker="log")
            await user.should_see("outside" if "other" in folder else "the program's own")

    visit(place, steps)


def test_a_failed_job_says_why_and_what_helps(place, quiet):
    pairs(place.folder)
    job = Jobs(place.folder).submit(DeconvParameters(star_file="tomograms.star"))
    state = {
        "status": "failed", "reason": "exit status 1: CUDA out of memory", "exit_code": 1,
        "process": {"host": "h", "boot": "b", "pid": 1, "ticks": 1}, "attempt": 1, "devices": [],
        "started": time.time(), "ended": time.time(), "heartbeat": time.time(),
        "last_lines": ["<script>alert(1)</script>", "torch.OutOfMemoryError: CUDA out of memory"],
    }  # fmt: skip
    (job.folder / "state.json").write_text(json.dumps(state))

    async def steps(user):
        await user.open("/jobs")
        await user.should_see("failed")
        await user.should_see("CUDA out of memory")
        await user.should_see("smaller batch size")
        await user.should_see("Run again")
        await user.should_not_see(marker="act-cancel")

    visit(place, steps)


HOLDING = "held = b'x' * (200 << 20); print(flush=True); __import__('sys').stdin.read()"


def test_a_running_job_says_what_memory_it_takes(place, quiet):
    pairs(place.folder)
    job = Jobs(place.folder).submit(DenoiseParameters(star_file="tomograms.star"))
    own = asdict(Process.of(os.getpid()))
    now = time.time()
    state = {"status": "running", "process": own, "attempt": 1, "started": now, "heartbeat": now}
    (job.folder / "state.json").write_text(json.dumps(state))
    told = {"command": "denoise", "process": own, "started": now, "updated": now}
    told |= {"device_memory": 9_000_000_000}
    (job.folder / "progress.json").write_text(json.dumps(told))

    async def steps(user):
        await user.open("/jobs?job=1")
        await user.should_see("GPU memory 9 GB at most")
        said = " ".join(label.text for label in user.find(kind=ui.label).elements)
        assert 210 <= int(re.search(r"\bmemory (\d+) MB", said)[1]) < 260

    with subprocess.Popen(
        [sys.executable, "-c", HOLDING], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        child.stdout.readline()
        visit(place, steps)
        child.stdin.close()


def test_a_job_is_renamed_noted_cancelled_and_removed(place, quiet):
    pairs(place.folder)
    jobs = Jobs(place.folder)
    jobs.submit(DeconvParameters(star_file="tomograms.star"))

    async def steps(user):
        await user.open("/jobs")
        await user.should_see(marker="act-rename")
        user.find(marker="act-rename").click()
        await user.should_see("Priority")
        next(iter(user.find("Priority").elements)).set_value(7)
        next(iter(user.find("Job name").elements)).set_value("the first")
        user.find(marker="yes").click()
        await user.should_see("priority 7")
        assert (jobs.show(1).name, jobs.show(1).priority) == ("the first", 7)
        user.find(marker="act-cancel").click()
        await user.should_see("Cancel deconv/job001?")
        user.find(marker="yes").click()
        await user.should_see("cancelled")
        await user.should_see(marker="act-remove")
        user.find(marker="act-remove").click()
        await user.should_see("to the trash")
        user.find(marker="yes").click()
        await user.should_see("No jobs here.")

    visit(place, steps)
    assert not jobs.list()
    assert (place.folder / ".isonet" / "trash" / "deconv" / "job001").is_dir()


def test_jobs_have_stars_and_tags_that_the_list_shows_and_finds(place, quiet):
    pairs(place.folder)
    jobs = Jobs(place.folder)
    for name in ("first", "second"):
        jobs.submit(DeconvParameters(star_file="tomograms.star"), name=name)

    def listed(user):
        return [row["title"] for row in next(iter(user.find(marker="jobs").elements)).rows]

    async def steps(user):
        await user.open("/jobs?job=1")
        await user.should_see(marker="act-star")
        user.find(marker="act-star").click()
        await user.should_see("Remove star")
        tags = next(iter(user.find(marker="tags").elements))
        tags.set_value(["  best  one ", "", "best one", "<b>", 50 * "x"])
        await until(lambda: jobs.show(1).tags)
        assert jobs.show(1).tags == ("best one", "<b>", 40 * "x")
        await user.open("/jobs?job=2")
        await until(lambda: listed(user) == ["second", "first"])
        row = next(iter(user.find(marker="jobs").elements)).rows[1]
        assert (row["starred"], row["tags"]) == (True, ("best one", "<b>", 40 * "x"))
        user.find(marker="starred").click()
        await until(lambda: listed(user) == ["first"])
        user.find(marker="starred").click()
        next(iter(user.find("Search jobs").elements)).set_value("BEST o")
        await until(lambda: listed(user) == ["first"])

    visit(place, steps)
    first, second = jobs.list()
    assert (first.starred, second.starred, second.tags) == (True, False, ())
    assert (first.name, first.notes) == ("first", "")
    jobs.edit(1, starred=False, tags=[])
    assert (jobs.show(1).starred, jobs.show(1).tags, jobs.show(1).name) == (False, (), "first")


def test_a_guest_sees_stars_and_tags_and_changes_none(place, quiet):
    pairs(place.folder)
    jobs = Jobs(place.folder)
    jobs.submit(DeconvParameters(star_file="tomograms.star"))
    jobs.edit(1, tags=["kept"])

    async def steps(user):
        await user.open("/jobs?job=1")
        await user.should_see(marker="tags")
        await user.should_not_see(marker="act-star")
        next(iter(user.find(marker="tags").elements)).set_value(["other"])
        await asyncio.sleep(0.3)

    visit(place, steps, "reader")
    assert jobs.show(1).tags == ("kept",)


def test_jobs_lead_to_those_before_and_after_them(place, quiet):
    pairs(place.folder)
    jobs = Jobs(place.folder)
    jobs.submit(DenoiseParameters(star_file="tomograms.star"))
    network = "denoise/job001/network_n2n_unet-medium_96_full.pt"
    jobs.submit(PredictParameters(star_file="tomograms.star", model=network))
    jobs.submit(DeconvParameters(star_file="tomograms.star"))

    def links(user):
        return {
            link.text: link.props["href"]
            for link in user.find(kind=ui.link).elements
            if link.text and "/job00" in link.text
        }

    async def steps(user):
        await user.open("/jobs?job=2")
        await user.should_see("Follows")
        assert links(user)["denoise/job001"] == "/jobs?job=1"
        await user.open("/jobs?job=1")
        await user.should_see("Followed by")
        assert links(user)["predict/job002"] == "/jobs?job=2"

    visit(place, steps)


def test_gpus_are_listed_with_who_has_them(place, monkeypatch, tmp_path):
    monkeypatch.setenv(gpus.OFFERED, "A,B")
    monkeypatch.setenv(gpus.LOCKS, str(tmp_path))
    gpus.visible.cache_clear()
    held = gpus.hold(gpus.visible()[1:], "refine/job007 of ann")

    async def steps(user):
        await user.open("/jobs")
        await user.should_see("GPU 0: GPU A · free")
        await user.should_see("GPU 1: GPU B · refine/job007 of ann")

    try:
        visit(place, steps)
    finally:
        for descriptor in held:
            os.close(descriptor)
        gpus.visible.cache_clear()
