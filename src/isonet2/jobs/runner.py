"""Runs one job from its beginning to its end, away from whoever started it.

`python -m isonet2.jobs.runner FOLDER`. Exit status: that of the command; 75 where a GPU that the
job needs was taken by another one, so that it waits on.
"""

import ctypes
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from isonet2.data.files import atomic_path
from isonet2.data.processes import Process
from isonet2.data.run_folder import CANCEL, CLAIM, STATE, attempts
from isonet2.errors import InputError
from isonet2.jobs import descendants, gpus, start
from isonet2.jobs.lanes import LOCAL
from isonet2.jobs.methods import keep_table, write_methods
from isonet2.jobs.records import (
    BEAT,
    Job,
    Status,
    put_back,
    read_job,
    read_json,
)
from isonet2.jobs.settings import settings_of, tell, values_of

BUSY = 75
LAST_LINES = 15
TAIL = 16384  # bytes of the log in which the last lines are looked for
ROOM = 4096
"""Bytes that the state takes at least, so that a longer one fits in its place."""
STOPPED_FROM_OUTSIDE = 100.0
"""Seconds that a command is given to save its state when the runner itself is told to end."""
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


@dataclass
class Runner:
    """One attempt at a job.

    Parameters
    ----------
    job
        Which.
    """

    job: Job
    _record: dict[str, Any] = field(init=False, default_factory=dict)
    _beaten: float = field(init=False, default=-BEAT)
    _told: int = field(init=False, default=0)
    _locks: list[int] = field(init=False, default_factory=list)
    _ids: list[str] = field(init=False, default_factory=list)

    def run(self) -> int:
        """Run the command, and return the runner's exit status."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, self._tell)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        if not self._claim():
            return 0
        wrong = ""
        try:
            if not self._take_gpus():
                (self.job.folder / CLAIM).unlink()
                return BUSY
        except InputError as error:
            wrong = str(error)
        self._record = {
            "status": "running",
            "process": asdict(Process.of(os.getpid())),
            "attempt": self._attempt(),
            "devices": self._devices(),
            "started": time.time(),
        }
        try:
            self._beat()
            if wrong:
                return self._end("failed", wrong)
            if (self.job.folder / CANCEL).exists():
                return self._end("cancelled", "cancelled before it began")
            with suppress(OSError, InputError):
                keep_table(self.job)
            status = self._through()
            if self._record["status"] == "succeeded":
                with suppress(OSError, InputError):
                    write_methods(self.job)
            return status
        except (OSError, InputError) as error:
            return self._end("failed", f"could not be run: {error}")

    def _tell(self, number: int, frame: FrameType | None) -> None:
        self._told = number

    def _claim(self) -> bool:
        """Make this the only runner of the job.

        A scheduler that starts a job again knows that the first runner is gone.
        """
        if self.job.lane != LOCAL and (self.job.folder / CLAIM).exists():
            put_back(self.job.folder, batch=False)
        try:
            with (self.job.folder / CLAIM).open("x", encoding="utf-8") as handle:
                json.dump(asdict(Process.of(os.getpid())), handle)
        except FileExistsError:
            return False
        return True

    def _take_gpus(self) -> bool:
        """Take the GPUs that the job needs; a lane's scheduler has done that already."""
        if self.job.lane != LOCAL and self.job.gpus > 1 and self.job.gpu_ids is None:
            self._ids = [str(number) for number in range(self.job.gpus)]
        if self.job.lane != LOCAL or not self.job.gpus:
            return True
        who = f"{self.job.place} of {self.job.project}"
        wanted = start.choice(self.job)
        self._ids = [gpu.id for gpu in wanted]
        if self.job.now:
            self._locks = [lock for gpu in wanted for lock in gpus.hold([gpu], who)]
            return True
        self._locks = gpus.hold(wanted, who)
        return len(self._locks) == len(wanted)

    def _devices(self) -> list[str]:
        if self.job.lane == LOCAL:
            return self._ids
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        return [part for part in seen.split(",") if part]

    def _attempt(self) -> int:
        return 1 + attempts(self.job.folder)

    def _program(self) -> list[str]:
        """What runs the command: in a lane this Python, which the lane chose."""
        name = self.job.argv[0]
        if name != "isonet.py":
            return [name]
        if self.job.lane != LOCAL:
            return [*start.PYTHON, "-m", "isonet2"]
        return settings_of(self.job.project).words()

    def _words(self) -> list[str]:
        """The command's words, with the GPUs that were taken."""
        name, *words = self.job.argv
        if name != "isonet.py":
            return words
        if self._ids:
            words = [word for word in words if not word.startswith("--gpuID=")]
            words.append(f"--gpuID={','.join(self._ids)}")
        if self._record["attempt"] > 1 and self.job.resumes:
            words = [word for word in words if not word.startswith("--resume=")]
            words.append("--resume=True")
        return words

    def _through(self) -> int:
        """Start the command, and stay until all that came of it is gone."""
        program, words = self._program(), self._words()
        with self.job.log.open("ab") as log:
            log.write(f"$ {shlex.join([self.job.argv[0], *words])}\n".encode())
            log.flush()
            command = subprocess.Popen(
                [*program, *words],
                cwd=self.job.project,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
                pass_fds=self._locks,
                env=os.environ | {descendants.MARK: str(self.job.folder), "PYTHONUNBUFFERED": "1"},
                preexec_fn=_die_with_parent,
            )
        for lock in self._locks:
            os.close(lock)  # the command's own copies hold the GPUs until its last process is gone
        asked = self._watch(command)
        descendants.end(lambda: descendants.below(os.getpid()), descendants.pressing(1.0))
        return self._judge(command.wait(), asked)

    def _watch(self, command: subprocess.Popen[bytes]) -> str:
        """Wait for the command's end; give the reason where it was told to end."""
        while command.poll() is None:
            self._beat()
            _let_go(command.pid)
            if asked := self._asked_to_stop():
                self._stop(command, asked)
                return asked
            time.sleep(0.1)
        if command.returncode:
            time.sleep(0.2)  # schedulers tell command and runner at once, in any order
        return self._asked_to_stop()

    def _asked_to_stop(self) -> str:
        """Why to stop; empty where nobody asks for it."""
        if (self.job.folder / CANCEL).exists():
            return "cancelled"
        return f"stopped by {signal.Signals(self._told).name}" if self._told else ""

    def _stop(self, command: subprocess.Popen[bytes], why: str) -> None:
        cancel = read_json(self.job.folder / CANCEL)
        grace = float(cancel.get("grace", STOPPED_FROM_OUTSIDE))
        self._record["reason"] = f"{why}; saving what can be saved"

        def alive() -> set[int]:
            _let_go(command.pid)
            return descendants.below(os.getpid()) | descendants.of_job(self.job.folder)

        descendants.end(alive, descendants.asking(grace), self._beat)

    def _judge(self, code: int, asked: str) -> int:
        """Write how the command ended."""
        if code == 0:
            return self._end("succeeded", "", code)
        if asked:
            return self._end("cancelled", asked, code)
        if meaning := self.job.passes.get(str(code)):
            self._end("succeeded", meaning, code)
            return 0
        if code < 0:
            name = signal.Signals(-code).name
            memory = ", as the system does when memory runs out" if name == "SIGKILL" else ""
            return self._end("failed", f"ended by {name}{memory}", code)
        lines = self._last_lines()
        said = lines[-1] if lines else "it said nothing"
        return self._end("failed", f"exit status {code}: {said}", code)

    def _end(self, status: Status, reason: str, code: int | None = None) -> int:
        self._record |= {
            "status": status,
            "reason": reason,
            "ended": time.time(),
            "exit_code": code,
            "last_lines": [] if status == "succeeded" else self._last_lines(),
        }
        for _ in range(60):  # the disk may be full for a moment, or the server away
            if self._write():
                break
            time.sleep(1)
        self._notify()
        return 0 if code is None else code if code >= 0 else 128 - code

    def _notify(self) -> None:
        """Have the command that the user chose tell somebody of the end."""
        words = settings_of(self.job.project).notify
        job = read_job(self.job.folder)
        if words and job is not None and (problem := tell(words, values_of(job))):
            sys.stderr.write(f"{problem}\n")

    def _last_lines(self) -> list[str]:
        with suppress(OSError), self.job.log.open("rb") as handle:
            handle.seek(max(0, handle.seek(0, os.SEEK_END) - TAIL))
            lines = handle.read().decode(errors="replace").replace("\r", "\n").splitlines()
            return [line for line in lines if line.strip()][-LAST_LINES:]
        return []

    def _beat(self) -> None:
        """Say now and then that the job is running."""
        if time.monotonic() - self._beaten > BEAT:
            self._beaten = time.monotonic()
            self._write()

    def _write(self) -> bool:
        """Write the state, by other means where the disk is full; False where that fails too."""
        path = self.job.folder / STATE
        text = json.dumps(self._record | {"heartbeat": time.time()}, indent=1)
        try:
            with atomic_path(path) as temporary:
                temporary.write_text(text.ljust(ROOM), encoding="utf-8")
        except (OSError, InputError):
            return _written_over(path, self._record | {"heartbeat": time.time(), "last_lines": []})
        return True


def _written_over(path: Path, record: dict[str, Any]) -> bool:
    """Write over the file that is there, which takes no room on a disk that is full."""
    text = json.dumps(record).encode()
    try:
        with path.open("r+b") as handle:
            handle.write(text.ljust(max(path.stat().st_size, len(text))))
    except OSError:
        return False
    return True


def _let_go(command: int) -> None:
    """Let children go that ended: those of the command come here when it is gone."""
    with suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid == command:
                return
            os.waitpid(ended.si_pid, 0)


def _die_with_parent() -> None:
    """In the command, before it begins: have the system end it when its runner is killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def main(words: Sequence[str]) -> int:
    """Run the job of a folder."""
    job = read_job(Path(words[0]).absolute())
    if job is None:
        raise InputError(f"{words[0]}: holds no job")
    return Runner(job).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
