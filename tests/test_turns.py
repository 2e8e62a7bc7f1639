"""Whose turn it is in the queue, and what is said to those that wait."""

import os
from pathlib import Path

import pytest
from job_helpers import offer

from isonet2.gui.overview import entries
from isonet2.jobs import Jobs, gpus, start
from isonet2.jobs.records import STARTING, Job
from isonet2.jobs.turns import PAUSED, turns, waits_for


def job(number, **more):
    place = Path("/p")
    return Job(
        number=number, kind="deconv", project=place, folder=place / f"deconv/job{number:03}",
        argv=("true",), results=place / f"deconv/job{number:03}", submitted=1.0, **more,
    )  # fmt: skip


@pytest.fixture
def two_gpus(monkeypatch, tmp_path):
    offer(monkeypatch, tmp_path / "locks", "a,b")
    yield gpus.visible()
    gpus.visible.cache_clear()


def said(*jobs, paused=False):
    return waits_for(jobs, paused=paused)


def test_a_job_for_the_processor_says_who_is_at_work_there():
    for at_work in ({"status": "running"}, {"reason": STARTING}):
        jobs = [job(1, **at_work), job(2), job(3)]
        assert turns(jobs) == []
        assert said(*jobs) == {
            2: "waits for the processor, where deconv/job001 is at work",
            3: "waits its turn behind deconv/job002",
        }
    assert said(job(1, status="succeeded"), job(2)) == {}
    assert turns([job(1, status="succeeded"), job(2), job(3)]) == [job(2)]


def test_priority_puts_jobs_in_front():
    jobs = [job(1), job(2, priority=5), job(3, priority=5)]
    assert said(*jobs) == {3: "waits its turn behind deconv/job002", 1: "waits its turn behind deconv/job003"}  # fmt: skip  # noqa: E501
    assert turns(jobs) == [jobs[1]]


def test_those_that_wait_for_results_for_a_lane_or_for_nothing_are_left_out():
    others = [
        job(2, reason="waits for deconv/job001"), job(3, lane="slurm"), job(4, now=True),
        job(5, status="cancelled"),
    ]  # fmt: skip
    assert said(job(1, status="running"), *others) == {}
    assert said(job(6, status="running", lane="slurm"), job(7)) == {}


def test_a_paused_queue_is_the_reason_of_all():
    assert said(job(1), job(2, gpus=1), paused=True) == {1: PAUSED, 2: PAUSED}


def test_jobs_for_gpus_say_who_has_them(two_gpus):
    first, second = two_gpus
    assert said(job(1, gpus=1), job(2)) == {}
    locks = gpus.hold([first], "refine/job009 of /q")
    try:
        assert said(job(1, gpus=1)) == {}
        assert said(job(1, gpus=2), job(2, gpus=1)) == {
            1: "waits for 2 GPUs: refine/job009 of /q has GPU 0",
            2: "waits its turn behind deconv/job001",
        }
        assert said(job(1, gpus=1, gpu_ids="1")) == {}
        assert said(job(1, gpus=1, gpu_ids="0")) == {
            1: "waits for GPU 0: refine/job009 of /q has GPU 0"
        }
        locks += gpus.hold([second], "predict/job002 of /r")
        assert said(job(1, gpus=1)) == {
            1: "waits for a GPU: refine/job009 of /q has GPU 0; predict/job002 of /r has GPU 1"
        }
    finally:
        for lock in locks:
            os.close(lock)


def test_the_list_on_the_page_says_it(tmp_path, monkeypatch):
    monkeypatch.setattr(start, "dispatcher", lambda project: None)
    jobs = Jobs(tmp_path)
    for _ in range(2):
        jobs.submit_program(["true"], kind="deconv")
    lines = {entry.place: entry.line for entry in entries(jobs)}
    assert lines["deconv/job002"] == "waits its turn behind deconv/job001"
    jobs.pause()
    assert {entry.line for entry in entries(jobs)} == {PAUSED}
