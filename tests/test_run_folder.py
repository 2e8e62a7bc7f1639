import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from isonet2.data.run_folder import NetworkFiles, RunFolder
from isonet2.errors import InputError


def written(folder, part="full"):
    """Every file that a run of one network may leave, and what each holds."""
    files = NetworkFiles(folder, "isonet2-n2n", "unet-small", 32, part)
    paths = [
        files.network, files.best, files.of_epoch(10), files.state, files.history, files.curve,
        files.tensorboard / "events.out", files.mask("TS_01", 2),
        files.preview("TS_01", 10, "mrc"), files.preview("TS_01", 10, "png"),
    ]  # fmt: skip
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    return paths


def test_names_are_those_that_users_know(tmp_path):
    names = {path.relative_to(tmp_path).as_posix() for path in written(tmp_path)}
    assert names == {
        "network_isonet2-n2n_unet-small_32_full.pt",
        "network_isonet2-n2n_unet-small_32_best_full.pt",
        "network_isonet2-n2n_unet-small_32_epoch10_full.pt",
        "training_state.pt", "history.csv", "loss_full.png", "tensorboard/full/events.out",
        "masks/TS_01_full_epoch2.mrc", "TS_01_epoch10.mrc", "TS_01_epoch10.png",
    }  # fmt: skip
    assert len(set(written(tmp_path, "top")) | set(written(tmp_path, "bottom"))) == 20


def test_a_run_is_set_aside_whole_and_files_of_others_stay(tmp_path):
    made = [path for part in ("full", "top", "bottom") for path in written(tmp_path, part)]
    record = tmp_path / "params.yaml"
    record.write_text("command: refine")
    others = [tmp_path / "notes.txt", tmp_path / "TS_01.mrc", tmp_path / "masks" / "TS_01_mask.mrc"]
    for path in others:
        path.write_text("of the user")
    aside = RunFolder(tmp_path).set_aside(record.name)
    assert aside == tmp_path / "earlier_1"
    for path in [*made, record]:
        assert not path.exists()
        moved = aside / path.relative_to(tmp_path)
        assert moved.read_text() == ("command: refine" if path is record else path.name)
    assert all(path.exists() for path in others)
    assert RunFolder(tmp_path).set_aside(record.name) is None
    written(tmp_path)
    assert RunFolder(tmp_path).set_aside(record.name) == tmp_path / "earlier_2"


def test_one_run_at_a_time(tmp_path):
    folder = RunFolder(tmp_path / "made")
    with (
        folder.in_use(),
        pytest.raises(InputError, match="in use by another run"),
        RunFolder(tmp_path / "made").in_use(),
    ):
        pass
    with folder.in_use():
        assert folder.path.is_dir()


@contextmanager
def refused(path, left, text):
    """A run that leaves one file in its folder before it is refused."""
    with RunFolder(path).in_use():
        if left:
            (path / left).write_text(text)
        yield
        raise InputError("halves do not fit")


def test_a_run_that_is_refused_leaves_no_folder_that_it_made(tmp_path):
    path = tmp_path / "a" / "b"
    for left, remains in (("progress.json", None), ("network.pt", {"network.pt"})):
        with pytest.raises(InputError, match="halves"), refused(path, left, "trained"):
            pass
        found = {file.name for file in path.iterdir()} if path.exists() else None
        assert found == remains
        assert (path.parent.exists()) == (remains is not None)
    (path / "network.pt").rename(path / "progress.json")
    with pytest.raises(InputError, match="halves"), refused(path, None, ""):
        pass
    assert [file.read_text() for file in path.iterdir()] == ["trained"]


def test_a_note_stays_only_when_its_process_is_killed(tmp_path):
    files = NetworkFiles(tmp_path, "n2n", "unet", 32)
    with pytest.raises(ValueError, match="ends otherwise"), files.noted("preview of TS_01"):
        raise ValueError("ends otherwise")
    assert files.cut_off() is None
    script = (
        "import os, sys; from pathlib import Path; "
        "from isonet2.data.run_folder import NetworkFiles\n"
        "with NetworkFiles(Path(sys.argv[1]), 'n2n', 'unet', 32).noted('preview of TS_01'):\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], env=os.environ, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [files.cut_off(), files.cut_off()] == ["preview of TS_01", None]
