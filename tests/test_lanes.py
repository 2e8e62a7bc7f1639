"""Lanes without a scheduler: scripts, files of users, and answers as schedulers give them."""

import json
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from job_helpers import offer

from isonet2.errors import InputError
from isonet2.jobs import Jobs, gpus, lanes, start
from isonet2.jobs.own_lanes import example, keep_lane, own_lanes, place_of, remove_lane
from isonet2.parameters import PsfParameters, RefineParameters

SAID = {
    "slurm": ("3|PENDING|Resources\n4|RUNNING|None\n5|CANCELLED|None\n", "queued", "PENDING (Res"),
    "lsf": ("3|PEND|New job is waiting\n4|RUN|-\n5|EXIT|-\n", "queued", "PEND (New job"),
    "pbs": (
        "\nsrv:\n                                   Req'd\nJob ID  Username Queue\n"
        "3.srv   me       gpu   refine-1    --    1  8   32gb 24:00 Q   --\n"
        "4.srv   me       gpu   refine-2  4242    1  8   32gb 24:00 R 00:10\n"
        "5.srv   me       gpu   refine-2  4242    1  8   32gb 24:00 F 00:10\n",
        "queued",
        "Q",
    ),
    "sge": (
        "job-ID  prior   name  user  state submit/start at  queue slots\n"
        "--------------------------------------------------------------\n"
        "      3 0.5550 refine-1 me qw    11/28/2026 19:00:00      8\n"
        "      4 0.5550 refine-2 me r     11/28/2026 19:00:00 all.q@n1 8\n",
        "queued",
        "qw",
    ),
}


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    offer(monkeypatch, tmp_path / "locks", "")
    monkeypatch.setattr(start, "dispatcher", lambda project: None)
    yield Jobs(tmp_path)
    gpus.visible.cache_clear()


@pytest.fixture
def scheduler(monkeypatch):
    """Programs of schedulers that say what a test puts here; what they were given."""
    answers, given = {}, []

    def run(words, input, **options):
        given.append((words, input))
        code, out, err = answers.get(words[0], (0, "Submitted batch job 17 <17> Job <17>", ""))
        return subprocess.CompletedProcess(words, code, out, err)

    monkeypatch.setattr(lanes.subprocess, "run", run)
    return answers, given


def test_a_script_holds_what_was_asked_for(jobs, star):
    text = jobs.script(
        RefineParameters(star_file="tomograms.star"),
        lane="slurm",
        number_of_gpus=2,
        request={
            "cpus": "12", "memory": "64G", "time": "2-03:30:00", "partition": "gpu",
            "extra": "--qos=long --exclude=n[1-3]",
        },
    )  # fmt: skip
    lines = text.splitlines()
    assert lines[0] == "#!/bin/bash"
    assert lines[1:-1] == [
        "#SBATCH --job-name=refine-1",
        "#SBATCH --partition=gpu",
        "#SBATCH --gres=gpu:2",
        "#SBATCH --cpus-per-task=12",
        "#SBATCH --mem=64G",
        "#SBATCH --time=51:30:00",
        "#SBATCH --signal=B:TERM@120",
        "#SBATCH --requeue",
        "#SBATCH --qos=long --exclude=n[1-3]",
    ]
    assert lines[-1].startswith("exec ")  # so that the scheduler's signals reach the runner


def test_what_is_not_asked_for_leaves_no_empty_line(jobs):
    text = jobs.script(PsfParameters(), lane="slurm")
    assert "$" not in text
    assert "partition" not in text
    assert "gres" not in text
    assert "--mem=32G" in text


@pytest.mark.parametrize(
    "value", ["gpu\n#SBATCH --x", "gpu;rm", "$(x)", "`x`", "a'b", 'a"b', "a&b"]
)
@pytest.mark.parametrize("name", ["partition", "memory", "extra"])
def test_no_value_gets_out_of_its_place_in_a_script(jobs, scheduler, name, value):
    with pytest.raises(InputError, match=f"{name} .*stands in a batch script; give letters"):
        jobs.submit(PsfParameters(), lane="slurm", request={name: value})
    assert jobs.list() == []
    assert not scheduler[1]


def test_a_time_that_is_none_is_refused(jobs):
    with pytest.raises(InputError, match="time soon: give hours:minutes:seconds"):
        jobs.script(PsfParameters(), lane="slurm", request={"time": "soon"})


@pytest.mark.parametrize("name", ["slurm", "pbs", "sge", "lsf"])
def test_every_lane_of_the_package_is_whole(jobs, name, star):
    lane = lanes.load(name, jobs.project)
    text = jobs.script(RefineParameters(star_file="tomograms.star"), lane=name, number_of_gpus=1)
    assert "${" not in text
    assert text.splitlines()[-1].startswith("exec ")
    for word in ("refine-1", "8"):
        assert word in text
    assert lane.cancel[-1] == "${id}"


@pytest.mark.parametrize("name", SAID)
def test_what_schedulers_say_is_understood(jobs, scheduler, name):
    text, status, word = SAID[name]
    lane = lanes.load(name, jobs.project)
    scheduler[0][lane.query[0]] = (0, text, "")
    answer = lane.ask()
    assert answer["3"][0] == status
    assert answer["4"][0] == "running"
    assert set(answer) <= {"3", "4", "5"}
    assert f"{answer['3'][1]} ({answer['3'][2]})".startswith(word)


def test_a_users_lane_says_what_is_different(jobs, scheduler):
    folder = jobs.hidden / "lanes"
    folder.mkdir(parents=True)
    (folder / "big.yaml").write_text(
        "like: slurm\nrequest: {partition: a100, memory: 200G}\n"
        "prologue: |\n  module load cuda\n  export X=1\npython: /nodes/python\n"
    )
    text = jobs.script(PsfParameters(), lane="big", request={"memory": "8G"})
    assert "#SBATCH --partition=a100\n" in text
    assert "#SBATCH --mem=8G\n" in text
    assert "module load cuda\nexport X=1\nexec /nodes/python -P -m isonet2.jobs.runner" in text
    assert lanes.names(jobs.project) == ["local", "big", "lsf", "pbs", "sge", "slurm"]
    for text, said in (
        ("like: moon\n", "like moon names no scheduler"),
        ("like: slurm\nscrpt: x\n", "scrpt is not known of a lane"),
        ("script: x\n", "begin it with `like: slurm`"),
        ("like: slurm\nrequest: much\n", "request 'much': give lines below it"),
        ("like: slurm\nsubmit: sbatch\n", "submit 'sbatch': give a list of words"),
        ("like: slurm\npython: [a]\n", r"python \['a'\]: give a text"),
        ("like: slurm\nnumber: '('\n", r"number '\(': is no pattern"),
        ("like: slurm\nnumber: x\n", r"number 'x': must have a group \(\.\.\.\)"),
        ("like: slurm\nline: '(?P<id>x)'\n", r"must have a group \(\?P<state>"),
        ("like: slurm\nstates: {queued: Q}\n", "states queued 'Q': give a list of words"),
    ):
        (folder / "big.yaml").write_text(text)
        with pytest.raises(InputError, match=said):
            lanes.load("big", jobs.project)


def test_a_refusal_is_shown_in_the_schedulers_own_words_and_leaves_no_job(jobs, scheduler):
    scheduler[0]["sbatch"] = (1, "", "sbatch: error: invalid partition specified: mars\n")
    with pytest.raises(InputError, match="invalid partition specified: mars"):
        jobs.submit(PsfParameters(), lane="slurm", request={"partition": "mars"})
    assert jobs.list() == []


def test_where_there_is_no_scheduler_that_is_said(jobs, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="lane lsf: there is no bsub on this machine"):
        jobs.submit(PsfParameters(), lane="lsf")


def test_one_question_is_asked_for_all_jobs_and_silence_changes_nothing(jobs, scheduler):
    answers, given = scheduler
    for number in (3, 4, 5):
        answers["sbatch"] = (0, f"{number}\n", "")
        jobs.submit(PsfParameters(), lane="slurm")
    answers["squeue"] = (0, "3|PENDING|Resources\n4|RUNNING|None\n5|CANCELLED|None\n", "")
    given.clear()
    jobs.ask_schedulers()
    jobs.ask_schedulers()
    assert len(given) == 1
    assert [(job.status, job.reason) for job in jobs.list()] == [
        ("queued", "PENDING (Resources)"),
        ("queued", "RUNNING"),
        ("cancelled", "the scheduler says CANCELLED"),
    ]
    noted = jobs.hidden / "lanes/slurm.json"
    record = json.loads(noted.read_text())
    noted.write_text(json.dumps(record | {"asked": 1.0}))
    answers["squeue"] = (1, "", "slurm_load_jobs error: Unable to contact slurm controller")
    jobs.ask_schedulers()
    assert [job.status for job in jobs.list()] == ["queued", "queued", "cancelled"]


def test_a_job_that_its_scheduler_forgot_before_it_began_is_lost(jobs, scheduler):
    scheduler[0]["sbatch"] = (0, "3\n", "")
    job = jobs.submit(PsfParameters(), lane="slurm")
    said = {"asked": time.time() + 2 * lanes.UNKNOWN, "jobs": {}}
    assert lanes._with_answer(job, said).status == "lost"
    assert lanes._with_answer(job, {"asked": time.time(), "jobs": {}}).status == "queued"
    begun = replace(job, status="running", started=1.0)
    assert lanes._with_answer(begun, said).status == "running"
    for word, status in (("cancelled", "cancelled"), ("failed", "failed"), ("ended", "lost")):
        lost = replace(job, status="lost", started=1.0)
        seen = {"asked": 1.0, "jobs": {"3": [word, "NODE_FAIL", ""]}}
        assert lanes._with_answer(lost, seen).status == status
    again = {"asked": 1.0, "jobs": {"3": ["queued", "PENDING", "BeginTime"]}}
    stopped = replace(job, status="cancelled", started=1.0, ended=2.0)
    assert lanes._with_answer(stopped, again).status == "queued"


def test_jobs_of_one_lane_wait_by_the_scheduler_and_others_by_us(jobs, scheduler):
    answers, given = scheduler
    answers["sbatch"] = (0, "3\n", "")
    jobs.submit(PsfParameters(), lane="slurm")
    jobs.submit(PsfParameters(), lane="slurm", after=(1,))
    words, script = given[-1]
    assert words[-2:] == ["--dependency=afterok:3", "--kill-on-invalid-dep=yes"]
    assert script == (jobs.show(2).folder / "script.sh").read_text()
    here = jobs.submit(PsfParameters())
    given.clear()
    job = jobs.submit(PsfParameters(), lane="slurm", after=(here.number,))
    assert (job.batch, given) == (None, [])
    jobs.cancel(1)
    assert given[-1][0] == ["scancel", "3"]
    assert Path(jobs.show(1).folder, "cancel").exists()


def test_a_lane_is_checked_kept_changed_and_removed(jobs, scheduler):
    path = place_of("big", jobs.project)
    assert path == jobs.hidden / "lanes" / "big.yaml"
    with pytest.raises(InputError, match=r"big\.yaml: like moon names no scheduler"):
        keep_lane("like: moon", path)
    assert not path.exists()
    keep_lane("like: slurm\nrequest: {partition: a100}", path)
    assert own_lanes(jobs.project) == {"big": path}
    keep_lane("# mine\nlike: slurm\n\n", path)
    assert path.read_text() == "# mine\nlike: slurm\n"
    for name in ("local", "", "../x", "a b", "x" * 41):
        with pytest.raises(InputError, match="give a name of letters"):
            place_of(name, jobs.project)
    jobs.submit(PsfParameters(), lane="big")
    with pytest.raises(InputError, match="psf/job001 needs it still"):
        remove_lane("big", jobs.project)
    jobs.cancel(1)
    remove_lane("big", jobs.project)
    assert own_lanes(jobs.project) == {}
    with pytest.raises(InputError, match="there is no file of it"):
        remove_lane("slurm", jobs.project)


def test_a_lane_of_the_user_is_changed_where_it_lies(jobs, tmp_path):
    folder = tmp_path / "config" / "isonet2" / "lanes"
    keep_lane("like: pbs", folder / "mine.yaml")
    assert place_of("mine", jobs.project) == folder / "mine.yaml"


def test_a_scheduler_looks_at_a_script_where_it_can(jobs, scheduler):
    answers, given = scheduler
    answers["sbatch"] = (0, "", "sbatch: Job 5 to start at noon\n")
    job = example(jobs.project)
    assert lanes.load("slurm", jobs.project).try_out(job) == "sbatch: Job 5 to start at noon"
    ((words, script),) = given
    assert "--test-only" in words
    assert "#SBATCH --gres=gpu:1\n" in script
    with pytest.raises(InputError, match="no way to look at a script without taking it"):
        lanes.load("pbs", jobs.project).try_out(job)
    assert len(given) == 1
