"""What jobs are, how they wait, and how they are listed; nothing runs here."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict

import pytest
from job_helpers import many, offer
from preparing import volume

from isonet2.data.processes import Process
from isonet2.data.progress import ProgressFile
from isonet2.data.run_folder import BATCH, CANCEL, CLAIM, STATE
from isonet2.errors import InputError
from isonet2.jobs import Jobs, gpus, records, start
from isonet2.jobs.records import read_job
from isonet2.jobs.waiting import MADE, MADE_BY, NOTED
from isonet2.parameters import (
    COMMANDS,
    DeconvParameters,
    DenoiseParameters,
    MakeMaskParameters,
    PredictParameters,
    PrepareStarParameters,
    PsfParameters,
    RefineParameters,
)


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """A project in which nothing is started."""
    monkeypatch.chdir(tmp_path)
    offer(monkeypatch, tmp_path / "locks", "")
    monkeypatch.setattr(start, "dispatcher", lambda project: None)
    monkeypatch.setattr(start, "runner", lambda folder: None)
    yield Jobs(tmp_path)
    gpus.visible.cache_clear()


def say(job, status, process=None, **more):
    """Write what a runner would."""
    process = process or Process.of(os.getpid())
    state = {"status": status, "process": asdict(process), "started": 1.0, "heartbeat": time.time()}
    (job.folder / CLAIM).write_text("")
    (job.folder / STATE).write_text(json.dumps(state | more))


def psf(**values):
    return PsfParameters(**values)


def test_a_job_is_written_down_with_all_that_runs_it(jobs, star):
    job = jobs.submit(
        RefineParameters(star_file="tomograms.star", epochs=3, prev_tomo_idx="1"), name="first try"
    )
    assert (job.number, job.kind, job.place, job.name) == (
        1,
        "refine",
        "refine/job001",
        "first try",
    )
    assert job.argv == (
        "isonet.py", "refine", "--star_file=tomograms.star", "--epochs=3", "--prev_tomo_idx=1",
        "--output_dir=refine/job001",
    )  # fmt: skip
    assert job.results == job.folder == jobs.project / "refine/job001"
    assert job.parameters["epochs"] == 3
    assert (job.status, job.after, job.lane, job.attempt) == ("queued", (), "local", 1)


def test_a_job_that_has_ended_is_read_again_only_when_its_files_changed(jobs):
    job = jobs.submit(psf(), name="first")
    assert jobs.show(1) is not jobs.show(1)
    say(job, "succeeded", ended=2.0)
    ended = read_job(job.folder)
    assert ended is read_job(job.folder)
    jobs.edit(1, name="second")
    assert (jobs.show(1).name, jobs.show(1).status) == ("second", "succeeded")
    jobs.retry(1)
    assert (jobs.show(1).status, jobs.show(1).ended) == ("queued", None)
    say(job, "failed", ended=3.0, reason="again")
    assert (jobs.show(1).status, jobs.show(1).reason) == ("failed", "again")
    jobs.remove(1)
    assert jobs.list() == []
    assert read_job(job.folder) is None


def test_numbers_count_over_all_kinds_and_are_never_given_twice(jobs):
    first = jobs.submit(psf())
    second = jobs.submit_program(["true"])
    jobs.cancel(second.number)
    jobs.remove(second.number)
    assert [first.number, second.number, jobs.submit(psf()).number] == [1, 2, 3]
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(jobs.submit(psf()).number)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(4, 12))


def test_results_lie_where_the_user_says_and_not_in_another_jobs_folder(jobs):
    job = jobs.submit(psf(output_dir="mine"))
    assert job.results == jobs.project / "mine"
    assert job.argv[-1] == "--output_dir=mine"
    with pytest.raises(
        InputError, match=r"output_dir .*job001/deep: lies in the folder of psf/job"
    ):
        jobs.submit(psf(output_dir="psf/job001/deep"))


def test_a_job_waits_for_those_that_make_what_it_reads(jobs, star):
    denoise = jobs.submit(DenoiseParameters(star_file="tomograms.star"))
    predict = jobs.submit(
        PredictParameters(star_file="tomograms.star", model="denoise/job001/network_full.pt")
    )
    mask = jobs.submit(
        MakeMaskParameters(star_file="tomograms.star", input_column="rlnDenoisedTomoName")
    )
    refine = jobs.submit(RefineParameters(star_file="tomograms.star", with_mask=True))
    assert denoise.after == ()
    assert (predict.after, predict.reason) == ((1,), "waits for denoise/job001")
    assert mask.after == (2,)  # predict notes in the table that it reads; denoise does not
    assert refine.after == (2, 3)
    say(denoise, "succeeded")
    assert jobs.show(2).reason == ""
    assert jobs.show(3).status == "queued"


def test_two_runs_of_one_command_on_one_table_wait_for_nothing(jobs, star):
    deconv = [
        jobs.submit(DeconvParameters(star_file="tomograms.star", tomo_idx="1")) for _ in range(2)
    ]
    assert [job.after for job in deconv] == [(), ()]
    same_folder = jobs.submit(DeconvParameters(star_file="tomograms.star", output_dir="here"))
    again = jobs.submit(DeconvParameters(star_file="tomograms.star", output_dir="here"))
    assert (same_folder.after, again.after) == ((), (3,))


def test_a_table_that_is_still_to_be_made_is_waited_for(jobs):
    volume(jobs.project / "full/TS_01.mrc", 1)
    jobs.submit(PrepareStarParameters(full="full", star_name="new.star"))
    deconv = jobs.submit(DeconvParameters(star_file="new.star"))
    assert deconv.after == (1,)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        (
            lambda: DeconvParameters(star_file="none.star"),
            "star_file .*none.star: there is no such",
        ),
        (
            lambda: PredictParameters(star_file="tomograms.star", model="no.pt"),
            "model .*no.pt: there is no such file",
        ),
        (
            lambda: DeconvParameters(star_file="tomograms.star", tomo_idx="7"),
            "tomo_idx 7: there is",
        ),
        (lambda: DeconvParameters(star_file="broken.star"), "broken.star: no block lists"),
        (lambda: DeconvParameters(star_file="gone.star"), "gone.star: names files that are not th"),
    ],
)
def test_what_is_wrong_is_said_before_it_is_queued(jobs, star, parameters, said):
    (jobs.project / "broken.star").write_text("data_x\n\nloop_\n_a #1\n1\n\n")
    text = star.read_text()
    (jobs.project / "gone.star").write_text(text.replace("TS_01_EVN", "TS_09_EVN"))
    with pytest.raises(InputError, match=said):
        jobs.submit(parameters())
    assert jobs.list() == []


def test_after_a_failure_what_waits_is_skipped_until_it_is_run_again(jobs):
    for after in ((), (1,), (2,)):
        jobs.submit_program(["true"], after=after)
    say(jobs.show(1), "failed", reason="exit status 1")
    first, second, third = jobs.list()
    assert (second.status, second.reason) == ("skipped", "waits for run/job001, which has failed")
    assert third.status == "skipped"
    with pytest.raises(InputError, match="after 1: run/job001 has failed; run it again first"):
        jobs.submit_program(["true"], after=(1,))
    with pytest.raises(InputError, match="which has failed; run that again first"):
        jobs.retry(2)
    assert jobs.retry(1).status == "queued"
    assert [job.status for job in jobs.list()] == ["queued"] * 3
    say(first, "succeeded")
    assert jobs.show(1).attempt == 1
    assert (first.folder / "state.1.json").exists()


def test_a_queued_job_that_is_cancelled_never_begins(jobs):
    job = jobs.submit(psf())
    assert jobs.cancel(1).status == "cancelled"
    with pytest.raises(InputError, match="psf/job001: has been cancelled; there is nothing to"):
        jobs.cancel(1)
    assert jobs.retry(1).status == "queued"
    assert not (job.folder / CANCEL).exists()


def test_a_job_whose_runner_is_gone_is_lost(jobs):
    job = jobs.submit(psf())
    me = Process.of(os.getpid())
    say(job, "running")
    assert jobs.show(1).status == "running"
    gone = Process(me.pid, me.host, me.boot, me.ticks - 1)
    say(job, "running", gone)
    assert jobs.show(1).status == "lost"
    assert "was killed" in jobs.show(1).reason
    other = Process(me.pid, "another", me.boot, me.ticks)
    for silence, status in ((10, "running"), (100, "lost")):
        say(job, "running", other, heartbeat=time.time() - silence)
        assert jobs.show(1).status == status
    (job.folder / STATE).unlink()
    (job.folder / CLAIM).write_text(json.dumps(asdict(gone)))
    assert jobs.show(1).status == "lost"
    (job.folder / CLAIM).write_text(json.dumps(asdict(me)))
    assert jobs.show(1).reason == "is starting"


def test_removed_jobs_lie_in_the_trash_with_their_size(jobs):
    job = jobs.submit(psf())
    with pytest.raises(InputError, match="psf/job001: is queued; cancel it first"):
        jobs.remove(1)
    say(job, "succeeded")
    (job.folder / "big").write_bytes(bytes(100_000))
    waiting = jobs.submit_program(["true"], after=(1,))
    with pytest.raises(InputError, match="psf/job001: run/job002 needs it still"):
        jobs.remove(1)
    jobs.cancel(waiting.number)
    removed = jobs.remove(1)
    assert removed.path == jobs.project / ".isonet/trash/psf/job001"
    assert 100_000 < removed.size < 110_000
    assert (removed.path / "big").stat().st_size == 100_000
    assert [j.number for j in jobs.list()] == [2]


def test_what_people_write_on_a_job_stays(jobs):
    jobs.submit(psf(), name="a")
    jobs.edit(1, notes="two\nlines")
    edited = jobs.edit(1, priority=5)
    assert (edited.name, edited.notes, edited.priority) == ("a", "two\nlines", 5)


def test_the_log_is_read_from_where_one_stopped(jobs):
    job = jobs.submit(psf())
    assert jobs.log(1) == (b"", 0)
    job.log.write_bytes("10 %\nµ\n".encode())
    text, offset = jobs.log(1)
    assert (text.decode(), offset) == ("10 %\nµ\n", 8)
    with job.log.open("ab") as log:
        log.write(b"more\n")
    assert jobs.log(1, offset) == (b"more\n", 13)
    assert jobs.log(1, 3, limit=2) == (b"%\n"[:2], 5)


def test_runs_that_were_started_in_a_terminal_are_seen(jobs):
    job = jobs.submit(psf())
    with ProgressFile(job.folder, "psf"), ProgressFile(jobs.project / "a/isonet_maps", "refine"):
        ((folder, told),) = jobs.runs()
        assert (folder, told.command) == (jobs.project / "a/isonet_maps", "refine")
        assert told.state == "running"
        say(job, "running")
        assert jobs.show(1).progress().state == "running"
    say(job, "running", started=time.time() + 10)
    assert jobs.show(1).progress() is None  # of an earlier attempt


def test_now_is_refused_while_what_it_reads_is_not_there(jobs, star):
    jobs.submit(DenoiseParameters(star_file="tomograms.star"))
    with pytest.raises(InputError, match="now: denoise/job001 must end first"):
        jobs.submit(
            PredictParameters(star_file="tomograms.star", model="denoise/job001/n.pt"), now=True
        )


def test_gpus_that_are_wanted(jobs, star, tmp_path, monkeypatch):
    def wanted(**values):
        job = jobs.submit(RefineParameters(star_file="tomograms.star", **values))
        return job.gpus, job.gpu_ids

    assert wanted() == (0, None)  # there is none, and the processor is taken
    offer(monkeypatch, tmp_path / "locks", "GPU-aaaa0001,GPU-bbbb0002")
    assert wanted() == (1, None)
    assert wanted(gpuID="cpu") == (0, None)
    assert wanted(gpuID="1,0") == (2, "1,0")
    assert wanted(gpuID="GPU-bbbb") == (1, "GPU-bbbb")
    with pytest.raises(InputError, match=r"gpuID 2: there is no GPU 2 among the 2 .* from 0, 1"):
        wanted(gpuID="2")
    with pytest.raises(InputError, match="gpus 3: 2 GPU"):
        jobs.submit(RefineParameters(star_file="tomograms.star"), number_of_gpus=3)
    for place, count in ((None, 1), ("local", 2), ("tls://node1:8786", 0)):
        shared = PredictParameters(star_file="t.star", model="m.pt", cluster=place)
        assert gpus.wanted(shared, None, "local", tmp_path) == (None, count)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (None, ["GPU-1", "GPU-2", "GPU-3"]),
        ("2,0", ["GPU-3", "GPU-1"]),
        ("GPU-2", ["GPU-2"]),
        ("", []),
        ("-1", []),
        ("1,-1,0", ["GPU-2"]),
        ("MIG-77", ["0"]),
    ],
)
def test_gpus_that_the_environment_leaves_visible(monkeypatch, chosen, expected):
    monkeypatch.delenv(gpus.OFFERED, raising=False)
    three = tuple(gpus.Gpu(i, f"GPU-{i + 1}", "A100") for i in range(3))
    monkeypatch.setattr(gpus, "_installed", lambda: three)
    if chosen is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    gpus.visible.cache_clear()
    found = gpus.visible()
    gpus.visible.cache_clear()
    assert [gpu.id for gpu in found] == expected
    assert [gpu.number for gpu in found] == list(range(len(expected)))


def test_a_gpu_is_held_by_one_until_its_last_process_is_gone(tmp_path, monkeypatch):
    offer(monkeypatch, tmp_path, "0,1")
    first, second = gpus.visible()
    (lock,) = gpus.hold([first], "refine/job001 of /a")
    child = subprocess.Popen(["sleep", "30"], pass_fds=[lock])
    assert gpus.holder(first) == "refine/job001 of /a"
    assert gpus.hold([second, first], "x") == []
    assert gpus.free() == [second]
    os.close(lock)
    assert gpus.free() == [second]
    child.kill()
    child.wait()
    assert gpus.free() == [first, second]
    gpus.visible.cache_clear()


def test_every_path_of_every_command_is_read_or_made():
    """The names that this room knows are names of parameters, and nothing that is made is read."""
    fields = {name for model in COMMANDS.values() for name in model.model_fields}
    assert fields >= MADE
    assert set(COMMANDS) >= NOTED | set(MADE_BY)
    for command, names in MADE_BY.items():
        assert set(COMMANDS[command].model_fields) >= names


def test_a_thousand_jobs_are_listed_quickly(jobs):
    many(jobs, 1000)
    took = []
    for _ in range(3):
        began = time.process_time()  # of this process alone, on a machine that others use
        assert len(jobs.list()) == 1000
        took.append(time.process_time() - began)
    assert min(took) < 0.06


def test_an_ended_job_is_looked_at_again_only_when_its_folder_has_changed(jobs, monkeypatch):
    many(jobs, 1)
    folder = jobs.project / "psf" / "job001"
    looked = []
    stamps = records._stamps
    monkeypatch.setattr(records, "_stamps", lambda place: looked.append(place) or stamps(place))
    for _ in range(3):
        assert read_job(folder).status == "succeeded"
    assert len(looked) == 1
    jobs.edit(1, name="new")
    assert [read_job(folder).name for _ in range(3)] == ["new"] * 3  # too soon to be sure
    assert len(looked) >= 4
    os.utime(folder, (9.0, 9.0))
    del looked[:]
    assert [read_job(folder).name for _ in range(3)] == ["new"] * 3
    assert len(looked) == 1
    jobs.edit(1, name="newer")
    assert read_job(folder).name == "newer"


def test_this_room_needs_no_torch():
    code = "import sys, isonet2.jobs.dispatcher, isonet2.jobs.runner; print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"


def test_a_damaged_record_hides_no_other_job(jobs, caplog):
    jobs.submit(psf())
    jobs.submit(psf())
    (jobs.project / "psf/job001/job.json").write_text('{"number": 1}')
    assert [job.number for job in jobs.list()] == [2]
    assert "psf/job001/job.json: is damaged" in caplog.text
    assert not (jobs.project / BATCH).exists()
