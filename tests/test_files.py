import fcntl
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from isonet2.data.files import atomic_path, locked
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
