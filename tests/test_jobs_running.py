"""Jobs that really run: runners, dispatchers, and what becomes of them when they are killed."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from job_helpers import ended, offer, python, said, soon

from isonet2.data.processes import start_ticks
from isonet2.data.run_folder import STATE
from isonet2.data.star import TomogramTable
from isonet2.errors import InputError
from isonet2.jobs import Jobs, descendants, gpus, start
from isonet2.jobs import runner as runners
from isonet2.jobs.records import Job
from isonet2.parameters import DeconvParameters, PsfParameters

WAIT = "import time; print('on', flush=True); time.sleep(60)"
STUBBORN = """
import os, signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
for child in range(4):
    if os.fork() == 0:
        if child > 1:
            os.setsid()
        break
open(f"{sys.argv[1]}/{os.getpid()}.pid", "w").close()
time.sleep(120)
"""
SAVES = """
import sys, time
try:
    print("on", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(0.5)
    print("saved", flush=True)
    sys.exit(130)
"""


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """A project without GPUs; what still runs at the end of a test is ended."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "src"))
    offer(monkeypatch, tmp_path / "locks", "")
    project = Jobs(tmp_path / "project")
    project.project.mkdir()
    yield project
    end_all(project)
    gpus.visible.cache_clear()


def end_all(project):
    for job in project.list():
        if not job.has_ended:
            with suppress(InputError):
                project.cancel(job.number, grace=0.1)
    soon(lambda: all(job.has_ended for job in project.list()))
    for process in start._started:
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)


def running(jobs, number):
    return soon(lambda: (job := jobs.show(number)).status == "running" and job)


def dispatchers(jobs):
    """Processes that dispatch this project."""
    words = f"isonet2.jobs.dispatcher\0{jobs.project}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdecimal() and words in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def test_a_command_runs_in_its_turn_and_leaves_all_it_said(jobs):
    first = jobs.submit(PsfParameters(output_dir="psf_a"), name="first")
    second = jobs.submit_program(python("import sys; print('out'); sys.exit(3)"))
    third = jobs.submit_program(["true"], after=(second.number,))
    one, two, three = ended(jobs, 1, 2, 3)
    assert (one.status, one.exit_code, one.reason, one.last_lines) == ("succeeded", 0, "", ())
    assert (jobs.project / "psf_a").is_dir()
    assert jobs.log(1)[0].startswith(b"$ isonet.py psf --output_dir=psf_a\n")
    assert (two.status, two.exit_code, two.reason) == ("failed", 3, "exit status 3: out")
    assert two.last_lines[-1] == "out"
    assert (three.status, three.started) == ("skipped", None)
    assert one.ended <= two.started  # one at a time on the processor
    assert first.folder.name == "job001"
    assert third.after == (2,)
    soon(lambda: not dispatchers(jobs))  # gone when there is nothing to do


def test_what_is_no_program_fails_with_the_reason(jobs):
    jobs.submit_program(["/no/such/program"])
    (job,) = ended(jobs, 1)
    assert job.status == "failed"
    assert "could not be run: [Errno 2] No such file" in job.reason


def test_words_reach_the_program_as_they_were(jobs):
    words = [
        "a b",
        "it's",
        '"',
        ";touch pwned",
        "$(touch pwned)",
        "`touch pwned`",
        "*",
        "",
        "\n",
        "ä",
    ]
    code = "import json, sys; open('words.json', 'w').write(json.dumps(sys.argv[1:]))"
    jobs.submit_program(python(code, *words))
    ended(jobs, 1)
    assert json.loads((jobs.project / "words.json").read_text()) == words
    assert not (jobs.project / "pwned").exists()


def test_a_folder_with_any_name_can_be_a_project(tmp_path, jobs):
    project = Jobs(tmp_path / 'it\'s a; $(touch pwned) "folder" ä')
    project.project.mkdir()
    project.submit(PsfParameters(output_dir="with 'blanks'; $(x)"))
    (job,) = ended(project, 1)
    assert job.status == "succeeded", project.log(1)
    assert (project.project / "with 'blanks'; $(x)").is_dir()
    end_all(project)


def test_a_cancelled_command_saves_what_it_can(jobs):
    jobs.submit_program(python(SAVES))
    soon(lambda: "on" in said(jobs))
    jobs.cancel(1)
    (job,) = ended(jobs, 1)
    assert (job.status, job.reason) == ("cancelled", "cancelled")
    assert "saved" in said(jobs)


def test_children_that_listen_to_nothing_are_ended_and_their_gpu_is_free(jobs, monkeypatch):
    offer(monkeypatch, jobs.project / "locks", "0")
    jobs.submit_program(python(STUBBORN, jobs.project), number_of_gpus=1)
    soon(lambda: len(list(jobs.project.glob("*.pid"))) == 5)
    pids = [int(path.stem) for path in jobs.project.glob("*.pid")]
    assert gpus.holder(gpus.visible()[0]) == f"run/job001 of {jobs.project}"
    jobs.cancel(1, grace=1)
    (job,) = ended(jobs, 1)
    assert job.status == "cancelled"
    assert not any(alive(pid) for pid in pids)
    assert gpus.holder(gpus.visible()[0]) is None


def alive(pid):
    return start_ticks(pid) >= 0


def test_a_killed_dispatcher_leaves_the_jobs_and_another_goes_on(jobs):
    jobs.submit_program(python(SAVES.replace("60", "3")))
    jobs.submit_program(["true"])
    running(jobs, 1)
    for pid in soon(lambda: dispatchers(jobs)):
        os.kill(pid, signal.SIGKILL)
    soon(lambda: not dispatchers(jobs))
    assert jobs.show(1).status == "running"
    soon(lambda: jobs.wake() or dispatchers(jobs))  # the lock may outlive what is seen of a process
    one, two = ended(jobs, 1, 2)
    assert (one.status, two.status) == ("succeeded", "succeeded")
    assert one.ended <= two.started


def test_a_second_dispatcher_leaves_at_once(jobs):
    jobs.submit_program(python(WAIT))
    running(jobs, 1)
    second = subprocess.run(
        [sys.executable, "-m", "isonet2.jobs.dispatcher", jobs.project], timeout=20, check=False
    )
    assert second.returncode == 0
    assert len(dispatchers(jobs)) == 1


def test_with_its_runner_killed_a_job_is_lost_and_leaves_nobody(jobs, monkeypatch):
    jobs.submit_program(python(SAVES))
    jobs.submit_program(["true"], after=(1,))
    soon(lambda: "on" in said(jobs))
    job = jobs.show(1)
    (child,) = descendants.below(job.process.pid)
    os.kill(job.process.pid, signal.SIGKILL)
    soon(lambda: jobs.show(1).status == "lost")
    soon(lambda: not alive(child))
    assert jobs.show(2).status == "skipped"


def test_with_its_runner_killed_even_the_stubborn_are_ended(jobs, monkeypatch):
    jobs.submit_program(python(STUBBORN, jobs.project))
    soon(lambda: len(list(jobs.project.glob("*.pid"))) == 5)
    job = jobs.show(1)
    os.kill(job.process.pid, signal.SIGKILL)
    soon(lambda: jobs.show(1).status == "lost")
    jobs.cancel(1)  # does not wait for the dispatcher's patience
    soon(lambda: not descendants.of_job(job.folder))


def test_jobs_share_the_gpus_in_order(jobs, monkeypatch):
    offer(monkeypatch, jobs.project / "locks", "0,1")
    code = "import os, sys, time\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.05)"
    for number, count in enumerate((1, 1, 2, 1), 1):
        jobs.submit_program(python(code, f"go{number}"), number_of_gpus=count)
    assert (running(jobs, 1).devices, running(jobs, 2).devices) == (("0",), ("1",))
    (jobs.project / "go1").touch()
    ended(jobs, 1)
    time.sleep(2.5)  # more than two looks of the dispatcher
    assert [jobs.show(n).status for n in (3, 4)] == ["queued"] * 2  # nobody overtakes
    (jobs.project / "go2").touch()
    assert running(jobs, 3).devices == ("0", "1")
    assert jobs.show(4).status == "queued"
    (jobs.project / "go3").touch()
    assert running(jobs, 4).devices == ("0",)
    (jobs.project / "go4").touch()
    ended(jobs, 1, 2, 3, 4)


def test_two_projects_never_use_one_gpu_twice(jobs, tmp_path, monkeypatch):
    offer(monkeypatch, tmp_path / "locks", "0")
    other = Jobs(tmp_path / "other")
    other.project.mkdir()
    code = "import time; time.sleep(0.5)"
    for project in (jobs, other, jobs, other):
        project.submit_program(python(code), number_of_gpus=1)
    all_of_them = [*ended(jobs, 1, 2), *ended(other, 1, 2)]
    all_of_them.sort(key=lambda job: job.started)
    for earlier, later in pairwise(all_of_them):
        assert earlier.ended <= later.started + 0.2
    assert {job.status for job in all_of_them} == {"succeeded"}
    end_all(other)


def test_run_immediately_passes_the_queue_and_says_who_has_the_gpu(jobs, monkeypatch, caplog):
    offer(monkeypatch, jobs.project / "locks", "0")
    jobs.submit_program(python(WAIT), number_of_gpus=1)
    jobs.submit_program(["true"], number_of_gpus=1)
    running(jobs, 1)
    jobs.submit_program(["true"], number_of_gpus=1, now=True)
    (third,) = ended(jobs, 3)
    assert (third.status, third.devices) == ("succeeded", ("0",))
    assert "GPU 0 is busy with run/job001 of" in caplog.text
    assert jobs.show(2).status == "queued"


def test_the_gpu_that_was_taken_is_the_one_that_the_command_is_told(jobs, monkeypatch):
    offer(monkeypatch, jobs.project / "locks", "GPU-aaaa0001,GPU-bbbb0002")
    job = jobs.submit_program(["isonet.py", "check", "--gpuID=0"], number_of_gpus=2)
    runner = runners.Runner(job)
    assert runner._take_gpus()
    runner._record = {"attempt": 1}
    assert runner._words() == ["check", "--gpuID=GPU-aaaa0001,GPU-bbbb0002"]
    for lock in runner._locks:
        os.close(lock)


def test_a_paused_queue_starts_nothing(jobs):
    jobs.pause()
    assert jobs.paused
    jobs.submit_program(["true"])
    time.sleep(2.5)
    assert jobs.show(1).status == "queued"
    jobs.resume()
    assert ended(jobs, 1)[0].status == "succeeded"


def test_priority_goes_before_number(jobs):
    jobs.pause()
    for priority in (0, 0, 3):
        jobs.submit_program(["true"], priority=priority)
    jobs.edit(2, priority=5)
    jobs.resume()
    done = sorted(ended(jobs, 1, 2, 3), key=lambda job: job.started)
    assert [job.number for job in done] == [2, 3, 1]


def test_a_training_that_is_run_again_goes_on(jobs):
    code = "import sys; print(sys.argv[1:]); sys.exit('--resume=True' not in sys.argv)"
    job = jobs.submit_program(["isonet.py", "refine", "--resume=False"])
    resuming = Job(**{f: getattr(job, f) for f in Job.__slots__} | {"resumes": True})
    for attempt, expected in ((1, "--resume=False"), (2, "--resume=True")):
        runner = runners.Runner(resuming)
        runner._record = {"attempt": attempt}
        assert runner._words()[-1] == expected
    ended(jobs, 1)
    jobs.submit_program(python(code))
    assert ended(jobs, 2)[0].status == "failed"
    assert jobs.retry(2).attempt == 1  # until it begins
    again = soon(lambda: (job := jobs.show(2)).has_ended and job)
    assert again.attempt == 2
    assert jobs.log(2)[0].count(b"$ ") == 2


def test_a_full_disk_in_the_jobs_folder_hides_no_end(jobs, monkeypatch):
    job = jobs.submit_program(["true"], number_of_gpus=0)
    ended(jobs, 1)
    runner = runners.Runner(job)
    runner._record = json.loads((job.folder / STATE).read_text()) | {"status": "running"}
    assert runner._write()

    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runners, "atomic_path", full)
    size = (job.folder / STATE).stat().st_size
    assert runner._end("failed", "no room " * 50, 1) == 1
    assert jobs.show(1).status == "failed"
    assert jobs.show(1).reason == "no room " * 50
    assert (job.folder / STATE).stat().st_size == size  # so that no block is asked for


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of a quarter of a megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        assert "CI" not in os.environ, "this test mounts a small disk, as root"
        pytest.skip("needs root's rights, to mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_on_a_disk_that_is_full_a_job_fails_and_goes_well_when_there_is_room(small_disk, jobs):
    project = Jobs(small_disk)
    full = "import os; room = os.path.exists('room')\n"
    full += "for name in ('big', 'more'): room or open(name, 'wb', buffering=0).write(bytes(10**6))"
    project.submit_program(python(full))
    (job,) = ended(project, 1)
    assert (job.status, job.exit_code) == ("failed", 1)
    assert (small_disk / "big").stat().st_size > 100_000
    (small_disk / "big").unlink()
    (small_disk / "room").touch()
    project.retry(1)
    soon(lambda: project.show(1).status == "succeeded")
    end_all(project)


def test_a_job_outlives_the_window_that_started_it(jobs):
    """The terminal is closed: all of its session hears of it, and then is killed."""
    submit = "from isonet2.jobs import Jobs; import time\n"
    submit += f"Jobs('.').submit_program({python(SAVES.replace('60', '6'))!r}); time.sleep(60)"
    window = subprocess.Popen(python(submit), cwd=jobs.project, start_new_session=True)
    soon(jobs.list)
    running(jobs, 1)
    os.killpg(window.pid, signal.SIGHUP)
    window.wait()
    with suppress(ProcessLookupError):
        os.killpg(window.pid, signal.SIGKILL)
    assert jobs.show(1).status == "running"
    (job,) = ended(jobs, 1)
    assert (job.status, job.last_lines) == ("succeeded", ())


@pytest.mark.slow
def test_two_jobs_that_note_in_one_table_lose_nothing(jobs, star, monkeypatch):
    text = star.read_text()
    (jobs.project / "t.star").write_text(text)
    for folder in ("a", "b"):
        jobs.submit(
            DeconvParameters(star_file="t.star", output_dir=folder, ncpus=1, chunk_size=32),
            now=True,
        )
    assert [job.status for job in ended(jobs, 1, 2, seconds=120)] == ["succeeded"] * 2
    (tomogram,) = TomogramTable.read(jobs.project / "t.star").tomograms
    assert tomogram.deconvolved.parent.name in ("a", "b")
    assert tomogram.half1.exists()
