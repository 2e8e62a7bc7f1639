"""What a person chose once for all jobs of a project: program, GPUs, who is told."""

import json
import sys
from pathlib import Path

import pytest
from job_helpers import ended, offer, python, soon

from isonet2.errors import InputError
from isonet2.jobs import Jobs, gpus, start
from isonet2.jobs.settings import (
    Settings,
    keep_settings,
    settings_of,
    split_words,
    tell,
    version,
)
from isonet2.parameters import COMMANDS, InspectParameters, PsfParameters


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """A project without GPUs, whose jobs run at once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "src"))
    offer(monkeypatch, tmp_path / "locks", "")
    (tmp_path / "project").mkdir()
    yield Jobs(tmp_path / "project")
    gpus.visible.cache_clear()
    for process in start._started:
        process.wait(20)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ((), [sys.executable, "-P", "-m", "isonet2"]),
        ((sys.executable,), [sys.executable, "-P", "-m", "isonet2"]),
        (("apptainer", "exec", "--nv", "a b.sif"), ["apptainer", "exec", "--nv", "a b.sif"]),
        (("nice",), ["nice"]),
    ],
)
def test_a_python_or_words_before_the_command_run_it(program, words):
    found = Settings(program).words()
    assert found == (words if "-m" in words else [*words, "isonet.py"])


def test_the_folder_of_an_environment_stands_for_its_python(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    assert Settings((str(tmp_path),)).words()[0] == str(tmp_path / "bin" / "python")
    (tmp_path / "bin" / "python").unlink()
    with pytest.raises(InputError, match="there is no Python"):
        Settings((str(tmp_path),)).words()


def test_settings_are_kept_whole_and_a_broken_file_is_none(tmp_path):
    chosen = Settings(("a", "b c"), ("0", "2"), ("mail", "-s", "{name}"))
    keep_settings(tmp_path, chosen)
    assert settings_of(tmp_path) == chosen
    (tmp_path / ".isonet" / "jobs.json").write_text('{"program": 5')
    assert settings_of(tmp_path) == Settings()


def test_a_program_is_asked_for_its_version_before_it_is_trusted():
    assert version([sys.executable, "-P", "-m", "isonet2"]).startswith("isonet2 ")
    with pytest.raises(InputError, match="cannot be run"):
        version(["no_such_program_anywhere"])
    with pytest.raises(InputError, match="exit status 3, broken"):
        version(python("import sys; sys.stderr.write('broken'); sys.exit(3)"))
    with pytest.raises(InputError, match="quotes do not close"):
        split_words("mail 'a")


def test_values_stay_one_word_whatever_they_hold(tmp_path):
    out = tmp_path / "told"
    words = python("import sys; open(sys.argv[1], 'w').write(repr(sys.argv[2:]))", out)
    told = {"job": "a/job001", "name": "x'; touch pwned #", "status": "failed",
            "reason": "$(touch pwned) {name}", "project": "/p"}  # fmt: skip
    assert tell([*words, "{name}: {status}"], told) == ""
    assert out.read_text() == repr(["x'; touch pwned #: failed"])
    assert not (tmp_path / "pwned").exists()
    assert "exit status 1, no" in tell(python("import sys; sys.exit('no')"), told)
    assert "cannot be run" in tell(["no_such_program_anywhere"], told)


def test_jobs_are_run_by_the_chosen_program_and_their_end_is_told(jobs, tmp_path):
    told, ran = tmp_path / "told.txt", tmp_path / "ran.txt"
    fake = tmp_path / "run_in"
    fake.write_text(f'#!/bin/sh\necho "$@" > {ran}\n')
    fake.chmod(0o755)
    code = "import sys; open(sys.argv[1], 'a').write(f'{sys.argv[2]} {sys.stdin.read()}')"
    notify = (*python(code, told), "{job} {status}")
    keep_settings(jobs.project, Settings((str(fake), "image"), (), notify))
    jobs.submit(PsfParameters(), name="points", now=True)
    (job,) = ended(jobs, 1)
    assert job.status == "succeeded"
    assert ran.read_text().startswith("image isonet.py psf ")
    assert "\n$ isonet.py psf" in f"\n{job.log.read_text()}"
    soon(lambda: told.exists() and "\n" in told.read_text())
    assert told.read_text().startswith(f"{job.place} succeeded points ({job.place} of ")


def test_a_program_that_is_gone_is_the_reason_of_a_failed_job(jobs):
    keep_settings(jobs.project, Settings((str(jobs.project / "gone"),)))
    jobs.submit(PsfParameters(), now=True)
    (job,) = ended(jobs, 1)
    assert job.status == "failed"
    assert "there is no Python" in job.reason


def test_only_offered_gpus_are_used(jobs, tmp_path, monkeypatch):
    offer(monkeypatch, tmp_path / "locks", "a,b,c")
    assert [gpu.id for gpu in gpus.usable(jobs.project)] == ["a", "b", "c"]
    keep_settings(jobs.project, Settings(gpus=("2", "b")))
    assert [gpu.id for gpu in gpus.free(jobs.project)] == ["b", "c"]
    with pytest.raises(InputError, match=r"no GPU 0 among the 2 that.*choose from 1, 2"):
        gpus.asked_for("0", jobs.project)
    job = jobs.submit_program(python("print(1)"), number_of_gpus=1)
    assert {gpu.id for gpu in start.choice(job)} <= {"b", "c"}
    keep_settings(jobs.project, Settings(gpus=("7",)))
    with pytest.raises(InputError, match="none is among the 3 of this machine"):
        gpus.usable(jobs.project)


def test_commands_that_judge_say_which_of_their_exit_statuses_are_no_failure():
    judging = {name for name, model in COMMANDS.items() if "exit status is 0" in str(model.__doc__)}
    assert judging == {name for name, model in COMMANDS.items() if 1 in model.passes}
    assert "inspect" in judging


def test_warnings_of_inspect_are_no_failure(jobs, monkeypatch):
    """Exit status 1 says that something is probably wrong, and the report is there."""
    table = _table(jobs.project)
    job = jobs.submit(InspectParameters(tomograms=table), lane="local")
    assert json.loads((job.folder / "job.json").read_text())["passes"] == {
        "1": "with warnings; the report says which"
    }
    (job,) = ended(jobs, 1)
    assert job.status == "failed"
    fake = jobs.project / "one"
    fake.write_text("#!/bin/sh\nexit 1\n")
    fake.chmod(0o755)
    keep_settings(jobs.project, Settings((str(fake), "x")))
    jobs.retry(1)
    (job,) = ended(jobs, 1)
    assert (job.status, job.exit_code) == ("succeeded", 1)
    assert job.reason == "with warnings; the report says which"


def _table(project):
    path = project / "t.star"
    path.write_text("data_\n\nloop_\n_rlnIndex #1\n_rlnTomoName #2\n1\tgone.mrc\n")
    return path
