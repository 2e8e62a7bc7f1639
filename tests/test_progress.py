import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from isonet2.data import progress as module
from isonet2.data.processes import Process
from isonet2.data.progress import ProgressFile, progresses, read_progress
from isonet2.data.run_folder import PROGRESS
from isonet2.errors import InputError


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(module, "PAUSE", 0.05)


def soon(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_a_run_is_seen_from_its_first_to_its_last_moment(tmp_path, quick):
    with ProgressFile(tmp_path, "refine", "params.yaml") as progress:
        began = read_progress(tmp_path)
        assert (began.command, began.state, began.parameters) == (
            "refine",
            "running",
            "params.yaml",
        )
        assert began.process == Process.of(os.getpid())
        assert began.part is None
        progress.report(epoch=3, epochs=10, step=5, steps=10, loss=0.25)
        soon(lambda: read_progress(tmp_path).epoch == 3)
        assert read_progress(tmp_path).part == pytest.approx(0.25)
        assert read_progress(tmp_path).loss == 0.25
    ended = read_progress(tmp_path / PROGRESS)
    assert (ended.state, ended.epoch, ended.seconds_left) == ("succeeded", 3, 0)


@pytest.mark.parametrize(
    ("error", "state", "said"),
    [
        (KeyboardInterrupt(), "cancelled", "stopped by a signal"),
        (InputError("x.star: is not there"), "failed", "x.star: is not there"),
        (ZeroDivisionError(), "failed", "ZeroDivisionError"),
    ],
)
def test_the_end_is_told_as_it_was(tmp_path, quick, error, state, said):
    with pytest.raises(type(error)), ProgressFile(tmp_path, "predict"):
        raise error
    ended = read_progress(tmp_path)
    assert (ended.state, ended.message, ended.seconds_left) == (state, said, None)


def test_many_reports_cost_few_writings_and_the_last_one_is_kept(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(
        ProgressFile, "_write", lambda self, path=None: written.append(self._now.step)
    )
    monkeypatch.setattr(module, "PAUSE", 0.1)
    with ProgressFile(tmp_path, "refine") as progress:
        for step in range(1, 301):
            progress.report(step=step)
            time.sleep(0.001)
    assert written[-1] == 300
    assert len(written) <= 12  # the first, some ten in a second at the most, the last


def test_the_time_left_counts_from_where_a_resumed_run_began(tmp_path, quick, monkeypatch):
    clock = iter([100.0, 110.0, 120.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock, 120.0))
    progress = ProgressFile(tmp_path, "refine")
    assert progress._left(0.8) is None
    assert progress._left(0.85) == pytest.approx(10 / 0.05 * 0.15)
    assert progress._left(0.9) == pytest.approx(20 / 0.1 * 0.1)


def test_a_loss_that_is_no_number_leaves_valid_json(tmp_path, quick):
    with ProgressFile(tmp_path, "refine") as progress:
        progress.report(loss=float("nan"))
    text = (tmp_path / PROGRESS).read_text()
    assert json.loads(text, parse_constant=pytest.fail)["loss"] is None


def test_a_killed_run_is_lost(tmp_path):
    code = (
        "import sys, time; from pathlib import Path\n"
        "from isonet2.data.progress import ProgressFile\n"
        "with ProgressFile(Path(sys.argv[1]), 'refine'):\n"
        "    print('on', flush=True); time.sleep(60)\n"
    )
    run = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE)
    assert run.stdout.readline() == b"on\n"
    assert read_progress(tmp_path).state == "running"
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.close()
    assert read_progress(tmp_path).state == "lost"


def test_on_another_host_silence_tells(tmp_path, quick):
    with ProgressFile(tmp_path, "refine"):
        record = json.loads((tmp_path / PROGRESS).read_text())
    record["state"] = "running"
    record["process"]["host"] = "another"
    for age, state in ((10, "running"), (module.SILENCE + 10, "lost")):
        record["updated"] = time.time() - age
        (tmp_path / PROGRESS).write_text(json.dumps(record))
        assert read_progress(tmp_path).state == state


def test_a_number_that_was_given_again_or_a_machine_that_was_restarted_is_no_life():
    me = Process.of(os.getpid())
    assert me.lives() is True
    assert replace(me, ticks=me.ticks - 1).lives() is False
    assert replace(me, boot="another/pid:[1]").lives() is False
    assert replace(me, boot=me.boot.partition("/")[0] + "/pid:[1]").lives() is None
    assert replace(me, host="another").lives() is None
    ended = subprocess.Popen(["true"])
    time.sleep(0.3)
    assert Process.of(ended.pid).lives() is False  # a zombie
    ended.wait()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"process": 3}', '{"command": "refine"}', "{"])
def test_what_is_no_progress_is_none(tmp_path, text):
    assert read_progress(tmp_path) is None
    (tmp_path / PROGRESS).write_text(text)
    assert read_progress(tmp_path) is None


def test_a_disk_that_refuses_is_spoken_of_once_and_the_work_goes_on(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module, "PAUSE", 0.02)
    (tmp_path / "file").write_text("")
    with ProgressFile(tmp_path / "file" / "results", "refine") as progress:
        for step in range(5):
            progress.report(step=step)
            time.sleep(0.03)
    assert caplog.text.count("progress cannot be shown") == 1


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_the_last_word_of_another_command_in_the_folder_is_kept(tmp_path, quick):
    with pytest.raises(InputError), ProgressFile(tmp_path, "deconv"):
        raise InputError("no room")
    for number in range(3):
        with ProgressFile(tmp_path, "make_mask") as progress:
            progress.report(tomogram=number)
    assert read_progress(tmp_path).tomogram == 2
    assert names(tmp_path) == {"progress.deconv.json", PROGRESS}
    assert [(told.command, told.state) for told in progresses(tmp_path)] == [
        ("make_mask", "succeeded"),
        ("deconv", "failed"),
    ]
    with ProgressFile(tmp_path, "deconv"):  # now it did
        pass
    assert names(tmp_path) == {"progress.make_mask.json", PROGRESS}


@pytest.mark.parametrize("error", [None, InputError("no room")])
@pytest.mark.parametrize("later", ["predict", "deconv"])
def test_two_runs_at_work_in_one_folder_are_both_seen(tmp_path, quick, error, later):
    """As the tasks of a job array are, which all note results of one table."""
    first, second = ProgressFile(tmp_path, "predict"), ProgressFile(tmp_path, later)
    with contextlib.suppress(InputError), first:
        first.report(tomogram=1)
        with second:
            second.report(tomogram=7)
            for step in range(3):
                first.report(tomogram=2 + step)
                soon(lambda step=step: {t.tomogram for t in progresses(tmp_path)} == {2 + step, 7})
            assert read_progress(tmp_path).tomogram == 7
        if error is not None:
            raise error
    seen = {(told.command, told.state) for told in progresses(tmp_path)}
    if error is not None:
        assert seen == {("predict", "failed"), (later, "succeeded")}
    else:
        assert seen == {("predict", "succeeded"), (later, "succeeded")}
    same = later == "predict" and error is None
    assert names(tmp_path) == {PROGRESS} | (set() if same else {"progress.predict.json"})


def test_what_a_killed_run_left_is_cleared_by_the_next_one(tmp_path, quick):
    with ProgressFile(tmp_path, "predict"), ProgressFile(tmp_path, "predict"):
        (path,) = (p for p in tmp_path.iterdir() if p.name != PROGRESS)
        record = json.loads(path.read_text())
    record["process"]["ticks"] -= 1
    path.write_text(json.dumps(record))
    assert [told.state for told in progresses(tmp_path)].count("lost") == 1
    with ProgressFile(tmp_path, "predict"):
        pass
    assert names(tmp_path) == {PROGRESS}
