import fcntl
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from isonet2.data.files import atomic_folder, atomic_path, locked
from isonet2.errors import InputError


def test_the_file_appears_whole_with_its_own_permissions(tmp_path):
    path = tmp_path / "new folder" / "a.tar.txt"
    with atomic_path(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == path.suffix
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    plain = tmp_path / "plain"
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode
    assert list(path.parent.iterdir()) == [path]


def write_half(path: Path, error: type[BaseException]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(error):
        write_half(path, error)
    with pytest.raises(FileNotFoundError), atomic_path(path):
        pass
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_text("old")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    with atomic_path(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file/sub"), atomic_path(tmp_path / "file" / "sub" / "a"):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="may not write"), atomic_path(tmp_path / "a"):
        pass


def _count(path: Path, times: int) -> None:
    for _ in range(times):
        with locked(path):
            number = int(path.read_text())
            time.sleep(0.001)
            path.write_text(str(number + 1))


def test_processes_take_turns(tmp_path):
    path = tmp_path / "counter"
    path.write_text("0")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_count, args=(path, 20)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert path.read_text() == "60"


def test_threads_take_turns(tmp_path):
    path = tmp_path / "counter"
    path.write_text("0")
    workers = [threading.Thread(target=_count, args=(path, 20)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert path.read_text() == "60"


def _hold(path: Path, ready) -> None:
    with locked(path):
        ready.set()
        time.sleep(60)


def test_a_held_lock_is_said_and_a_killed_holder_frees_it(tmp_path):
    path = tmp_path / "table.star"
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    holder = context.Process(target=_hold, args=(path, ready))
    holder.start()
    assert ready.wait(10)
    with pytest.raises(InputError, match=r"table\.star is in use"), locked(path, timeout=0.1):
        pytest.fail("two holders")
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with locked(path, timeout=5):
        pass


def test_without_file_locks_the_work_goes_on_and_it_is_said(tmp_path, monkeypatch, caplog):
    def missing(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", missing)
    with locked(tmp_path / "a"):
        pass
    assert "without locks" in caplog.text


def test_a_lock_has_the_tables_permissions_and_does_not_stay(tmp_path):
    table = tmp_path / "t.star"
    table.write_text("x")
    table.chmod(0o664)
    lock = tmp_path / ".t.star.lock"
    with locked(table):
        assert lock.stat().st_mode & 0o777 == 0o664
    assert sorted(tmp_path.iterdir()) == [table]


def test_a_lock_of_somebody_else_is_named(tmp_path, monkeypatch):
    table = tmp_path / "t.star"
    (tmp_path / ".t.star.lock").touch()

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with (
        pytest.raises(InputError, match=r"\.t\.star\.lock: you may not write this file"),
        locked(table),
    ):
        pass


def test_what_a_killed_process_left_goes_with_the_next_run(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; "
        "from isonet2.data.files import atomic_folder, atomic_path\n"
        "here = sys.argv[1]\n"
        "with atomic_path(here + '/a.mrc') as a, atomic_folder(here + '/b.zarr') as b:\n"
        "    a.touch(); b.mkdir(); (b / 'x').touch(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    other = tmp_path / ".b.zarr.hidden"
    other.touch()
    with atomic_path(tmp_path / "a.mrc") as first, atomic_path(tmp_path / "a.mrc") as second:
        first.touch()
        second.touch()
        assert first.exists()
    with atomic_folder(tmp_path / "b.zarr") as folder:
        folder.mkdir()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [".b.zarr.hidden", "a.mrc", "b.zarr"]


def test_files_that_other_hosts_write_stay_for_a_day(tmp_path):
    theirs = tmp_path / f".a.{'0' * 8}-1f-2f-{'0' * 8}.mrc"
    theirs.touch()
    with atomic_path(tmp_path / "a.mrc") as path:
        path.touch()
    assert theirs.exists()
    os.utime(theirs, (0, 0))
    with atomic_path(tmp_path / "a.mrc") as path:
        path.touch()
    assert not theirs.exists()


def test_a_lock_that_somebody_else_is_about_to_release_is_waited_for(tmp_path, monkeypatch):
    refusals = iter([True, True, False])
    usual = os.open

    def refuse(*words):
        if next(refusals):
            raise PermissionError(13, "Permission denied")
        return usual(*words)

    monkeypatch.setattr(os, "open", refuse)
    with locked(tmp_path / "t.star"):
        assert next(refusals, None) is None
