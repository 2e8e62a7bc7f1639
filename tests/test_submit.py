"""The commands `submit` and `jobs`, as they are typed."""

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from job_helpers import ended, offer, soon

from isonet2.cli import main
from isonet2.data.progress import ProgressFile
from isonet2.jobs import Jobs, gpus, start
from isonet2.parameters import FscParameters, PredictParameters, PsfParameters, SubmitParameters
from isonet2.parameters.command_line import model_named, parse, plain, words_of


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """A project as working folder, in which nothing is started."""
    monkeypatch.chdir(tmp_path)
    offer(monkeypatch, tmp_path / "locks", "")
    monkeypatch.setattr(start, "dispatcher", lambda project: None)
    yield Jobs(tmp_path)
    gpus.visible.cache_clear()


def told(capsys):
    said = capsys.readouterr()
    return said.out, said.err


def test_all_after_the_command_is_its_own(jobs, capsys):
    words = ["--name", "my first", "--priority", "2", "psf", "out", "--tilt_min", "-40"]
    assert main(["submit", *words]) == 0
    assert told(capsys)[0] == "job 1: psf/job001\n"
    job = jobs.show(1)
    assert (job.name, job.priority) == ("my first", 2)
    assert job.argv == ("isonet.py", "psf", "--output_dir=out", "--tilt_min=-40.0")
    parsed = parse(["--now", "psf", "--name", "x", "--now"], SubmitParameters)
    assert (parsed.now, parsed.words) == (True, ("psf", "--name", "x", "--now"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["psf", "--tilt_min", "x"], "tilt_min = x is not allowed"),
        (["psf", "--tiltmax", "1", "--nonsense", "2"], "psf has no parameter --nonsense"),
        (["refin", "t.star"], "There is no command refin: did you mean refine?"),
        (["predict", "no.star", "no.pt"], "model .*no.pt: there is no such file"),
        (["--lane", "mars", "psf"], "lane mars: there is none; choose local, lsf, pbs"),
        (["--time", "1:00", "psf"], "time: only other lanes than local take this"),
        (["--lane", "slurm", "--now", "psf"], "now: the scheduler of lane slurm chooses when"),
        (["--after", "7", "psf"], "job 7: there is none of this number"),
        (["jobs"], "submit jobs: cannot be queued"),
        ([], "words is missing"),
    ],
)
def test_what_is_wrong_is_said_at_once(jobs, capsys, words, said):
    assert main(["submit", *words]) == 2
    assert re.search(said, told(capsys)[1])
    assert jobs.list() == []


def test_help_after_a_command_is_that_of_the_command(capsys):
    assert main(["submit", "psf", "--help"]) == 0
    assert "isonet.py psf [OUTPUT_DIR]" in told(capsys)[0]
    assert main(["submit", "--help"]) == 0
    assert "isonet.py submit [parameters] COMMAND ..." in told(capsys)[0]


def test_what_a_job_waits_for_is_said(jobs, capsys, star):
    main(["submit", "denoise", "tomograms.star"])
    main(["submit", "predict", "tomograms.star", "denoise/job001/network.pt"])
    assert "it waits for denoise/job001" in told(capsys)[1]
    main(["submit", "--after", "1,2", "psf"])
    assert jobs.show(3).after == (1, 2)


def test_what_would_be_run_is_shown(jobs, capsys):
    assert main(["submit", "--show", "True", "psf", "a b", "--tilt_max", "50"]) == 0
    assert told(capsys)[0] == "isonet.py psf '--output_dir=a b' --tilt_max=50.0\n"
    assert main(["submit", "--show", "--lane", "slurm", "--time", "1:30:00", "psf"]) == 0
    script = told(capsys)[0]
    assert "#SBATCH --time=1:30:00\n" in script
    assert script.splitlines()[-1].endswith(f"isonet2.jobs.runner {jobs.project}/psf/job001")
    assert jobs.list() == []


def test_jobs_are_looked_after(jobs, capsys):
    main(["submit", "psf"])
    main(["submit", "psf"])
    assert main(["jobs", "edit", "1", "--name", "a", "--notes", "b", "--priority", "3"]) == 0
    job = jobs.show(1)
    assert (job.name, job.notes, job.priority) == ("a", "b", 3)
    assert main(["jobs", "cancel", "1,2"]) == 0
    assert [job.status for job in jobs.list()] == ["cancelled"] * 2
    assert main(["jobs", "retry", "1"]) == 0
    assert main(["jobs", "remove", "2"]) == 0
    out, err = told(capsys)
    assert "job 2 is in the trash, 0.0 MB" in err
    assert main(["jobs"]) == 0
    out, err = told(capsys)
    assert "queued" in out
    assert main(["jobs", "show", "1"]) == 0
    assert "state      queued\n" in told(capsys)[0]
    assert main(["jobs", "pause"]) == 0
    assert jobs.paused
    assert main(["jobs", "resume"]) == 0
    assert not jobs.paused
    assert main(["jobs", "lanes"]) == 0
    assert told(capsys)[0].split() == ["local", "lsf", "pbs", "sge", "slurm"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "4"], "job 4: there is none of this number"),
        (["cancel"], "number is missing: write jobs cancel 3"),
        (["list", "3"], "number is not for jobs list"),
        (["show", "1", "--follow"], "follow is for jobs log only"),
        (["edit", "1"], "jobs edit needs --name, --notes or --priority"),
        (["frobnicate"], "action = frobnicate is not allowed"),
        (["show", "0"], "number = 0 is not allowed"),
    ],
)
def test_what_cannot_be_done_with_jobs_is_said(jobs, capsys, words, said):
    assert main(["jobs", *words]) == 2
    assert said in told(capsys)[1]


def test_runs_of_a_terminal_stand_in_the_list(jobs, capsys):
    with ProgressFile(jobs.project / "isonet_maps", "refine") as progress:
        progress.report(epoch=2, epochs=5)
        soon(lambda: jobs.runs()[0][1].epoch == 2)
        assert main(["jobs"]) == 0
        assert re.search(r"refine .*isonet_maps .*running .*epoch 2 of 5", told(capsys)[0])


def test_a_log_is_followed_to_its_end(tmp_path, monkeypatch, capfdbinary):
    monkeypatch.chdir(tmp_path)
    offer(monkeypatch, tmp_path / "locks", "")
    assert main(["submit", "psf"]) == 0
    assert main(["jobs", "log", "1", "--follow", "True"]) == 0
    out = capfdbinary.readouterr().out
    assert b"$ isonet.py psf --output_dir=psf/job001\n" in out
    assert b"wrote wedge.mrc and psf.mrc in psf/job001" in out
    (job,) = ended(Jobs(tmp_path), 1)
    assert job.status == "succeeded"
    for process in start._started:
        process.wait(30)
    assert (tmp_path / "psf/job001/psf.mrc").exists()
    assert os.path.getsize(job.log) > 0  # noqa: PTH202
    gpus.visible.cache_clear()


TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=12)


@given(
    folder=TEXT.map(lambda text: f"d/{text}x"),
    sizes=st.tuples(*[st.integers(8, 99)] * 3),
    low=st.floats(-80, -1),
    pixel=st.none() | st.floats(0.5, 100),
)
def test_words_that_are_written_mean_what_was_set(folder, sizes, low, pixel):
    for parameters in (
        PsfParameters(output_dir=folder, size=sizes, tilt_min=low),
        FscParameters(first=folder, second="b.mrc", pixel_size=pixel, mask=None),
        PredictParameters(star_file=folder, model="m.pt", gpuID="0,1", orientations=None),
    ):
        words = words_of(parameters)
        if any(plain(word) != word for word in words):
            continue  # a path with dashes that word processors set before digits
        read = parse(words[1:], model_named(words[0]))
        assert read == parameters
        assert read.model_fields_set == parameters.model_fields_set
