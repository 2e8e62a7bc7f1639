"""Jobs on a real SLURM."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import job_helpers
import pytest
import slurm
import torch
from job_helpers import offer, python, said
from preparing import volume
from quick import NAME, QUICK

from isonet2.cli import main
from isonet2.commands.refine import refine
from isonet2.data.progress import read_progress
from isonet2.data.star import TomogramTable
from isonet2.errors import InputError
from isonet2.jobs import Jobs, descendants, gpus, lanes, start
from isonet2.jobs.own_lanes import example, lane_in
from isonet2.parameters import PsfParameters, RefineParameters
from isonet2.prediction.checkpoint import Checkpoint

pytestmark = pytest.mark.slow
SOURCES = f"{Path(__file__).parents[1] / 'src'}{os.pathsep}{Path(__file__).parent}"

WAIT = "import os, time; print(os.environ.get('CUDA_VISIBLE_DEVICES'), flush=True); time.sleep(120)"
SAVES = """
import os, signal, sys, time
if os.path.exists("saved"):
    print("going on")
    sys.exit()
def stop(number, frame):
    for asking in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asking, signal.SIG_IGN)
    raise KeyboardInterrupt
for asking in (signal.SIGINT, signal.SIGTERM):
    signal.signal(asking, stop)
try:
    print("on", flush=True)
    time.sleep(120)
except KeyboardInterrupt:
    time.sleep(0.5)
    open("saved", "w").close()
    print("saved", flush=True)
    sys.exit(130)
"""


def soon(condition, seconds=120.0):
    return job_helpers.soon(condition, seconds)


def ended(jobs, *numbers):
    return job_helpers.ended(jobs, *numbers, seconds=200)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    if what := slurm.missing():
        assert "CI" not in os.environ, f"these tests need {what}"
        pytest.skip(f"needs {what}")
    running = slurm.Slurm(tmp_path_factory.mktemp("slurm"))
    yield running
    running.stop()


@pytest.fixture
def jobs(cluster, tmp_path, monkeypatch):
    """A project whose lane `slurm` is the real one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", SOURCES)
    monkeypatch.setenv("SLURM_CONF", cluster.environment["SLURM_CONF"])
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(lanes, "FRESH", 0.0)
    offer(monkeypatch, tmp_path / "locks", "")
    project = Jobs(tmp_path)
    (tmp_path / ".isonet/lanes").mkdir(parents=True)
    (tmp_path / ".isonet/lanes/here.yaml").write_text(
        "like: slurm\nrequest: {cpus: 1, memory: 100M, time: '0:10:00'}\n"
    )
    yield project
    for job in project.list():
        with suppress(InputError):
            project.cancel(job.number, grace=0.5)
    soon(lambda: asked(project) and all(job.has_ended for job in project.list()), 120)
    for process in start._started:
        process.wait(30)
    gpus.visible.cache_clear()


def asked(project):
    project.ask_schedulers()
    return True


def program(jobs, argv, **options):
    """Submit any program to the lane."""
    return jobs.submit_program(argv, lane="here", **options)


def status(jobs, number):
    jobs.ask_schedulers()
    return jobs.show(number).status


def test_a_command_runs_on_the_cluster(jobs, capsys):
    assert main(["submit", "--lane", "here", "psf", "--tilt_max", "40"]) == 0
    assert capsys.readouterr().out == "job 1: psf/job001\n"
    (job,) = ended(jobs, 1)
    assert (job.status, job.exit_code) == ("succeeded", 0), (job.folder / "batch.txt").read_text()
    assert (job.folder / "psf.mrc").exists()
    assert (
        (job.folder / "script.sh").read_text().startswith("#!/bin/bash\n#SBATCH --job-name=psf-1")
    )


def test_gpus_are_those_that_slurm_gives_and_the_third_waits_for_them(jobs):
    for _ in range(3):
        program(jobs, python(WAIT), number_of_gpus=1)
    for number in (1, 2):
        soon(lambda number=number: status(jobs, number) == "running")
    third = soon(lambda: asked(jobs) and "Resources" in jobs.show(3).reason and jobs.show(3))
    assert (third.status, third.reason) == ("queued", "PENDING (Resources)")
    assert {jobs.show(n).devices for n in (1, 2)} == {("0",), ("1",)}
    jobs.cancel(1, grace=1)
    soon(lambda: status(jobs, 3) == "running")
    assert ended(jobs, 1)[0].status == "cancelled"


def test_a_crash_shows_its_last_lines(jobs):
    program(jobs, python("print('almost'); raise ValueError('too late')"))
    (job,) = ended(jobs, 1)
    assert (job.status, job.exit_code) == ("failed", 1)
    assert job.last_lines[-1] == "ValueError: too late"
    assert job.reason == "exit status 1: ValueError: too late"


def test_a_job_that_we_cancel_saves_and_leaves_nobody(jobs):
    program(jobs, python(SAVES))
    soon(lambda: "on" in said(jobs))
    jobs.cancel(1)
    (job,) = ended(jobs, 1)
    assert job.status == "cancelled", (job.reason, job.last_lines)
    assert "saved" in said(jobs)
    soon(lambda: not processes_of(job))


def processes_of(job):
    return descendants.of_job(job.folder)


def test_a_job_that_they_cancel_saves_and_is_seen(jobs, cluster):
    job = program(jobs, python(SAVES))
    soon(lambda: "on" in said(jobs))
    cluster.told("scancel", job.batch)
    soon(lambda: status(jobs, 1) == "cancelled")
    assert "saved" in said(jobs)
    waiting = [program(jobs, python(WAIT), number_of_gpus=2) for _ in range(2)][1]
    cluster.told("scancel", waiting.batch)
    gone = soon(lambda: status(jobs, 3) == "cancelled" and jobs.show(3))
    assert gone.reason.startswith("the scheduler says CANCELLED")


def test_a_bad_partition_is_refused_in_sbatchs_own_words(jobs):
    with pytest.raises(InputError, match="invalid partition specified: mars"):
        jobs.submit(PsfParameters(), lane="here", request={"partition": "mars"})
    assert jobs.list() == []


def test_a_script_is_looked_at_and_not_taken(jobs):
    job = example(jobs.project)
    before = lanes.load("here", jobs.project).ask()
    assert "to start at" in lanes.load("here", jobs.project).try_out(job)
    text = "like: slurm\nrequest: {partition: mars, cpus: 1, memory: 100M}\n"
    with pytest.raises(InputError, match="invalid partition specified: mars"):
        lane_in(text, Path("mars.yaml")).try_out(job)
    assert lanes.load("here", jobs.project).ask() == before
    assert jobs.list() == []


def test_dependent_jobs_wait_by_slurm_and_are_skipped_after_a_failure(jobs):
    program(jobs, python("import time; time.sleep(3)"))
    second = program(jobs, python("raise SystemExit(4)"), after=(1,))
    program(jobs, ["true"], after=(2,))
    assert second.batch is not None
    soon(lambda: asked(jobs) and jobs.show(2).reason == "PENDING (Dependency)")
    one, two, three = soon(lambda: asked(jobs) and ended(jobs, 1, 2, 3))
    assert (one.status, two.status, three.status) == ("succeeded", "failed", "skipped")
    assert one.ended <= two.started


def test_a_local_job_waits_for_one_of_the_cluster_and_the_other_way_round(jobs):
    program(jobs, ["true"])
    jobs.submit_program(["true"], after=(1,))
    last = program(jobs, ["true"], after=(2,))
    assert last.batch is None
    assert {job.status for job in ended(jobs, 1, 2, 3)} == {"succeeded"}
    one, two, three = jobs.list()
    assert one.ended <= two.started
    assert two.ended <= three.started


def requeue(cluster, job):
    """Have SLURM start a job again, and soon, which it does after two minutes else.

    Not at once: a start in the second of the end is taken for the one that was ended.
    """
    cluster.told("scontrol", "requeue", job.batch)
    soon(lambda: cluster.told("squeue", "-h", f"-j{job.batch}", "-o%T").strip() == "PENDING", 60)
    cluster.told("scontrol", "update", f"JobId={job.batch}", "StartTime=now+2")


def test_a_job_that_slurm_takes_back_saves_and_goes_on_where_it_was(jobs, cluster):
    """As preemption does it: TERM to all processes of the job, and a place in the queue again."""
    job = program(jobs, python(SAVES))
    soon(lambda: "on" in said(jobs))
    requeue(cluster, job)
    done = soon(lambda: status(jobs, 1) == "succeeded" and jobs.show(1))
    assert (done.attempt, Path("saved").exists()) == (2, True)
    assert "going on" in said(jobs)


def test_without_its_controller_a_job_is_seen_by_its_own_signs(jobs, cluster, monkeypatch):
    program(jobs, python(WAIT))
    soon(lambda: status(jobs, 1) == "running")
    controller = cluster.programs[1]
    os.kill(controller.pid, signal.SIGSTOP)
    monkeypatch.setattr(lanes, "WAIT", 2)
    try:
        began = time.monotonic()
        assert status(jobs, 1) == "running"
        assert time.monotonic() - began < 10
    finally:
        os.kill(controller.pid, signal.SIGCONT)


def refining(star, **values):
    return RefineParameters(
        star_file=star, gpuID="cpu", normalization="none", mixed_precision=False, **QUICK, **values
    )


def weights(path):
    return Checkpoint.load(path).weights


def test_a_training_that_the_time_limit_ends_goes_on_to_the_same_weights(jobs, cluster, star):
    """TERM comes before the limit; the state is saved, and the requeued job resumes it."""
    (whole,) = refine(refining(star, epochs=3, output_dir="whole"))
    job = jobs.submit(refining("tomograms.star", epochs=3), lane="here")
    soon(lambda: (job.folder / "training_state.pt").exists() or jobs.show(1).has_ended, 300)
    cluster.told("scancel", "--signal=TERM", "--batch", job.batch)  # as --signal=B:TERM@120 does
    soon(lambda: jobs.show(1).status in ("cancelled", "succeeded"), 120)
    assert "everything is kept" in jobs.log(1)[0].decode()
    requeue(cluster, job)
    soon(lambda: status(jobs, 1) == "succeeded", 400)
    assert jobs.show(1).attempt == 2
    first, second = weights(whole), weights(job.folder / f"{NAME}_full.pt")
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_ranks_of_srun_equal_one_rank(cluster, star, monkeypatch, tmp_path):
    """However srun counts its tasks; two pretend nodes on one machine."""
    words = [
        sys.executable, "-m", "isonet2", "refine", "tomograms.star", "--arch", "unet-small",
        "--cube_size", "32", "--batch_size", "2", "--epochs", "1", "--with_preview", "False",
        "--gpuID", "cpu", "--ncpus", "1", "--normalization", "none", "--mixed_precision", "False",
    ]  # fmt: skip
    environment = cluster.environment | {"PYTHONPATH": SOURCES}
    refine(refining(star, epochs=1, output_dir="one"))
    for name, asked_for in (("two", ["--ntasks=2"]), ("each", ["-n2", "--gpus-per-task=1"])):
        srun = ["srun", *asked_for, "--mem=100M", *words, "-o", name]
        done = subprocess.run(
            srun, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400
        )
        assert done.returncode == 0, done.stderr
        first, second = (weights(tmp_path / d / f"{NAME}_full.pt") for d in ("one", name))
        for key in first:
            torch.testing.assert_close(first[key], second[key], atol=5e-4, rtol=1e-2)


@pytest.mark.parametrize("number", [0, 1])
def test_a_rank_of_srun_that_dies_ends_the_other_within_a_minute(cluster, tmp_path, number):
    code = "import sys, rank_work; rank_work.one_fails(sys.argv[1], int(sys.argv[2]), 'kill')"
    environment = cluster.environment | {"PYTHONPATH": SOURCES}
    srun = ["srun", "-n2", "--mem=100M", "--kill-on-bad-exit=0", *python(code, tmp_path, number)]
    began = subprocess.Popen(srun, env=environment, stderr=subprocess.PIPE, text=True)
    soon(lambda: len(list(tmp_path.glob("*.pid"))) == 2, 200)
    began_at = time.monotonic()
    said = began.communicate(timeout=150)[1]
    assert time.monotonic() - began_at < 60
    assert f"process {number} of this training is gone; this one ends too" in said


def test_twelve_tomograms_on_a_cluster_with_one_worker_killed(jobs, cluster, star, tmp_path):
    (network,) = refine(refining(star, epochs=1))
    for number in range(1, 13):
        for place, half in enumerate(("EVN", "ODD")):
            path = tmp_path / half / f"TS_{number:02}_{half}.mrc"
            volume(path, 2 * number + place, shape=(32, 32, 32))
    assert main(["prepare_star", "--even", "EVN", "--odd", "ODD", "-o", "twelve.star"]) == 0
    (tmp_path / "slurm.yaml").write_text(
        "kind: slurm\njobs: 2\ncores: 1\nmemory: 200MB\nwalltime: '00:30:00'\n"
        f"prologue: ['export PYTHONPATH={SOURCES}']\nscratch: scratch\n"
    )
    words = ["predict", "twelve.star", str(network), "--gpuID", "cpu", "--ncpus", "1"]
    run = subprocess.Popen(
        [sys.executable, "-m", "isonet2", *words, "-o", "out", "--cluster", "slurm.yaml"],
        env=cluster.environment | {"PYTHONPATH": SOURCES},
        stderr=subprocess.PIPE,
        text=True,
    )
    soon(lambda: len(list(Path("out").glob("*.mrc"))) >= 2 or run.poll() is not None, 300)
    first = cluster.told("squeue", "--noheader", "--states=RUNNING", "--format=%i").split()[0]
    cluster.told("scancel", "--signal=KILL", "--full", first)
    said = run.communicate(timeout=400)[1]
    assert run.returncode == 0, said
    rows = TomogramTable.read("twelve.star").tomograms
    assert [row.corrected.name for row in rows] == [f"TS_{n:02}.mrc" for n in range(1, 13)]
    done = re.findall(r"^(TS_\d\d) \(\d+ of 12\): (?:reading|.* is there already)", said, re.M)
    assert sorted(done) == [row.name for row in rows]  # what the killed worker had written is kept
    told = read_progress(Path("out"))
    assert (told.state, told.tomogram, told.tomograms) == ("succeeded", 12, 12)
    soon(lambda: not cluster.told("squeue", "--noheader", "--states=RUNNING,PENDING").strip(), 60)
    began = subprocess.run(
        [sys.executable, "-m", "isonet2", *words, "-o", "out"],
        env=cluster.environment | {"PYTHONPATH": SOURCES}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert began.stderr.count("is there already") == 12


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("queue: mars\n", "slurm.yaml: sbatch: error: invalid partition specified: mars"),
        ("prologue: ['echo no such module >&2; exit 3']\n", "before they begin to work"),
    ],
)
def test_what_lets_nobody_work_on_tomograms_is_said(jobs, star, capsys, lines, said):
    """A partition that is not there, and jobs that end at once, in place of waiting for ever."""
    Path("slurm.yaml").write_text(f"kind: slurm\njobs: 2\ncores: 1\nmemory: 100MB\n{lines}")
    assert main(["inspect", "tomograms.star", "--cluster", "slurm.yaml"]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err
    if "prologue" in lines:
        assert re.search(r"dask-worker-\d+\.err: no such module", err)


def test_ctrl_c_takes_back_the_jobs_that_wait(jobs, cluster, star):
    """dask-jobqueue takes it for a good end of the program otherwise."""
    Path("held.yaml").write_text(
        "kind: slurm\njobs: 2\ncores: 1\nmemory: 100MB\ndirectives: ['--hold']\n"
    )
    words = ["inspect", "tomograms.star", "-o", "seen", "--cluster", "held.yaml"]
    run = subprocess.Popen(
        [sys.executable, "-m", "isonet2", *words],
        env=cluster.environment | {"PYTHONPATH": SOURCES}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip

    def held():
        return cluster.told(
            "squeue", "--noheader", "--states=PENDING", "--name=dask-worker"
        ).strip()

    soon(held)
    run.send_signal(signal.SIGINT)
    said = run.communicate(timeout=60)[1]
    assert (run.returncode, said.splitlines()[-1]) == (130, "isonet.py: stopped.")
    assert read_progress(Path("seen")).state == "cancelled"
    assert not held()
