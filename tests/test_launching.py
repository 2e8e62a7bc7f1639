"""Several processes that train together: started, ended, and ended with each other."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import rank_work
from job_helpers import soon
from test_devices import alone

from isonet2.errors import InputError
from isonet2.machine import launching, watch
from isonet2.machine.launching import on_ranks, ranks_for

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    alone(monkeypatch)
    tests = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", f"{tests.parent / 'src'}{os.pathsep}{tests}")


def step(number):
    """What srun tells a task of two."""
    return {
        "SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_STEP_NODELIST": "127.0.0.1",
        "SLURM_PROCID": str(number), "SLURM_LOCALID": str(number),
    }  # fmt: skip


def gone(folder):
    pids = [int(path.read_text()) for path in folder.glob("*.pid")]
    return pids and not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_ranks_form_a_group_and_the_first_answers(tmp_path):
    before = dict(os.environ), signal.getsignal(signal.SIGTERM)
    assert on_ranks(2, rank_work.total, tmp_path, times=10) == (30.0, 2)
    assert (dict(os.environ), signal.getsignal(signal.SIGTERM)) == before
    assert gone(tmp_path)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    ("how", "error", "said"),
    [
        ("input", InputError, "tomograms.star: is gone; bring it back"),
        ("fault", RuntimeError, "failed: a fault of ours"),
        ("kill", RuntimeError, "of this training was ended by SIGKILL"),
    ],
)
def test_a_rank_that_dies_ends_all(tmp_path, number, how, error, said):
    began = time.monotonic()
    with pytest.raises(error, match=said):
        on_ranks(2, rank_work.one_fails, tmp_path, number, how)
    assert time.monotonic() - began < 100  # with the start of Python and torch on a busy machine
    assert gone(tmp_path)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    ("how", "waiting", "said"),
    [
        ("kill", "barrier", "RuntimeError: process {} of this training is gone; this one ends too"),
        ("kill", "alone", "process {} of this training is gone; this one ends too"),
        ("silence", "alone", "process {} of this training is gone; this one ends too"),
        ("early", "barrier", "process {} of this training is gone; this one ends too"),
        ("input", "barrier", "process {} of this training has failed; this one ends too"),
    ],
)
def test_without_a_master_ranks_end_with_the_one_that_fails(tmp_path, number, how, waiting, said):
    """As under srun, which lets them wait: killed, hung with its machine, or before they met."""
    code = (
        "import sys, rank_work; rank_work.one_fails(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])"
    )
    words = [sys.executable, "-c", code, str(tmp_path), str(number), how, waiting]
    ranks = [
        subprocess.Popen(
            words,
            env=os.environ | step(one),
            stderr=subprocess.PIPE,
            text=True,
        )
        for one in (0, 1)
    ]
    try:
        if how == "early":
            ranks[number].wait(200)
        else:
            soon(lambda: len(list(tmp_path.glob("*.pid"))) == 2, 200)
        began = time.monotonic()
        assert said.format(number) in ranks[1 - number].communicate(timeout=100)[1]
        assert ranks[1 - number].returncode == 1
        assert time.monotonic() - began < 60 - (30 if how == "silence" else 0)
    finally:
        for rank in ranks:
            rank.kill()
            rank.communicate()


LOADING = """
import sys, time, types
from pathlib import Path
from isonet2.machine import watch
def refine(parameters):
    assert "torch" not in sys.modules
    Path(sys.argv[1]).touch()
    time.sleep(100)
sys.modules["isonet2.commands.refine"] = types.SimpleNamespace(refine=refine)
watch.COMING = float(sys.argv[2])
from isonet2.cli import main
sys.exit(main(["refine", "tomograms.star"]))
"""


def loading(folder, number, coming=100):
    """A rank of srun's that is about to load the program: until the test ends."""
    return subprocess.Popen(
        [sys.executable, "-c", LOADING, folder / str(number), str(coming)],
        env=os.environ | step(number), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("number", [0, 1])
def test_a_rank_that_dies_before_its_program_is_loaded_is_missed(tmp_path, number):
    ranks = [loading(tmp_path, one) for one in (0, 1)]
    try:
        soon(lambda: len(list(tmp_path.iterdir())) == 2, 100)
        ranks[number].kill()
        said = ranks[1 - number].communicate(timeout=40)[1]
        assert f"process {number} of this training is gone; this one ends too" in said
        assert ranks[1 - number].returncode == 1
    finally:
        for rank in ranks:
            rank.kill()
            rank.communicate()


@pytest.mark.parametrize(
    ("number", "said", "status"),
    [
        (0, "process 1 of this training did not begin within 45 seconds; this one ends too", 1),
        (1, "process 0 does not answer at 127.0.0.1", 2),
    ],
)
def test_a_rank_that_never_begins_is_not_waited_for(tmp_path, number, said, status):
    only = loading(tmp_path, number, coming=1)
    assert said in only.communicate(timeout=60)[1]
    assert only.returncode == status
    assert watch.COMING + watch.DYING < 60


def test_the_program_that_calls_is_not_run_again(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, rank_work\n"
        "from isonet2.machine.launching import on_ranks\n"
        "print('once', flush=True)\n"
        "print(on_ranks(2, rank_work.total, sys.argv[1], times=1))\n"
    )
    told = subprocess.run(
        [sys.executable, script, tmp_path], capture_output=True, text=True, check=True
    )
    assert told.stdout == "once\n(3.0, 2)\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ranks_are_told_to_end_and_save(tmp_path, number):
    code = (
        "import sys, signal, rank_work\n"
        "from isonet2.machine.launching import on_ranks\n"
        "try: on_ranks(2, rank_work.waits, sys.argv[1])\n"
        "except KeyboardInterrupt: print('stopped', flush=True)\n"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True
    )
    soon(lambda: len(list(tmp_path.glob("*.pid"))) == 2, 240)
    time.sleep(0.5)
    run.send_signal(number)
    assert run.communicate(timeout=90)[0] == "stopped\n"
    assert gone(tmp_path)
    if number == signal.SIGINT:
        assert len(list(tmp_path.glob("*.saved"))) == 2


def test_with_their_parent_killed_the_ranks_end(tmp_path):
    code = "import sys, rank_work; from isonet2.machine.launching import on_ranks\n"
    code += "on_ranks(2, rank_work.waits, sys.argv[1])\n"
    run = subprocess.Popen([sys.executable, "-c", code, tmp_path])
    soon(lambda: len(list(tmp_path.glob("*.pid"))) == 2, 240)
    run.kill()
    run.wait()
    soon(lambda: gone(tmp_path), 60)


def test_what_cannot_be_sent_is_said():
    with pytest.raises(InputError, match="several GPUs: what was given cannot be sent"):
        on_ranks(2, lambda: 3)


def test_ranks_are_started_for_several_gpus_only(monkeypatch):
    monkeypatch.setattr(launching, "choose_devices", lambda ids: ids.split(","))
    assert [ranks_for(ids) for ids in (None, "cpu", "1", "0,1", "0,1,3")] == [1, 1, 1, 2, 3]
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert ranks_for("0,1") == 1
