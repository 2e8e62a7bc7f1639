"""Lanes: where jobs run beside this machine, as the schedulers of clusters offer it.

A lane is a file that says how a batch script looks and by which commands it is submitted, asked for
and cancelled. Those of this package are templates by the name of the scheduler; a file of a user
names one with `like` and says what is different.
"""

import getpass
import os
import re
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from string import Template
from typing import Any

from isonet2.data.run_folder import BATCH, HIDDEN, SCRIPT
from isonet2.errors import InputError
from isonet2.jobs import start
from isonet2.jobs.records import Job, Status, read_json, write_json
from isonet2.parameters.record import content_of

LOCAL = "local"
TEMPLATES = Path(__file__).parent / "templates"
FRESH = 10.0
"""Seconds for which an answer of a scheduler is good."""
UNKNOWN = 60.0
"""Seconds after which a job that its scheduler has never heard of counts as lost."""
WAIT = 60
"""Seconds that a scheduler is given to answer."""
_HARMLESS = re.compile(r"[\w.,:=/+@%\[\] -]*")
_LIST = (list, "a list of words such as [sbatch, --parsable]")
_LINES = (dict, "lines below it, each a name and a value")
_KINDS: dict[str, tuple[type, str]] = {
    **dict.fromkeys(("submit", "waits", "query", "cancel", "trial"), _LIST),
    **dict.fromkeys(("states", "request"), _LINES),
}
"""What entries of a lane are, where they are no text."""
_GROUPS = {"number": ("",), "line": ("id", "state", "reason")}
"""Entries that are patterns, and the groups that they must have."""
_TIME = re.compile(r"(?:(\d+)-)?(\d+):(\d\d)(?::(\d\d))?")


@dataclass(frozen=True, slots=True)
class Lane:
    """What a lane's file says.

    Attributes
    ----------
    name
        Of the file.
    script
        The batch script. A line with a value that is empty is left out.
    submit
        Words of the command that takes the script on its standard input.
    waits, joined_by
        Further words for a job that waits for others in the same lane.
    number
        Pattern of the job's number in what `submit` prints.
    query, line
        Words of the command that lists all jobs of the user, and the pattern of a line of it.
    cancel
        Words of the command that ends a job.
    states
        For each status, the scheduler's words for it; `ended` for one that does not tell how.
    request
        What is asked for where the user says nothing else.
    prologue
        Lines before the command, such as `module load cuda`.
    python
        Python on the nodes; that of here where it is empty.
    trial
        Words of the command that looks at a script on its standard input and does not take it;
        empty where the scheduler has none.
    """

    name: str
    script: str
    submit: tuple[str, ...]
    number: str
    query: tuple[str, ...]
    line: str
    cancel: tuple[str, ...]
    states: Mapping[str, Sequence[str]]
    waits: tuple[str, ...] = ()
    joined_by: str = ":"
    request: Mapping[str, str] = field(default_factory=dict)
    prologue: str = ""
    python: str = ""
    trial: tuple[str, ...] = ()

    def text(self, job: Job) -> str:
        """The batch script of a job.

        Raises
        ------
        InputError
            For a value that would not stay one value in a script, or that the script has no place
            for.
        """
        asked = {**self.request, **job.request}
        hours, minutes, seconds = _hours(asked.get("time", ""))
        values = {
            "name": f"{job.kind}-{job.number}",
            "gpus": str(job.gpus) if job.gpus else "",
            "gpus_or_0": str(job.gpus),
            "partition": "",
            "extra": "",
            **asked,
            "time": hours and f"{hours}:{minutes}:{seconds}",
            "hours_minutes": hours and f"{hours}:{minutes}",
        }
        for name, value in values.items():
            if not _HARMLESS.fullmatch(str(value)):
                raise InputError(
                    f"{name} {value!r}: stands in a batch script; give letters, digits and "
                    ". , : = / + @ % [ ] - only"
                )
        for name in job.request:
            known = {"time": ("time", "hours_minutes")}.get(name, (name,))
            if not any(f"${{{each}}}" in self.script for each in known):
                raise InputError(f"{name}: the script of lane {self.name} has no ${{{name}}}")
        values |= {"prologue": self.prologue.rstrip(), "command": self._command(job)}
        lines = [line for line in self.script.splitlines() if not _is_empty(line, values)]
        return "".join(f"{Template(line).safe_substitute(values)}\n" for line in lines)

    def _command(self, job: Job) -> str:
        words = start.runner_words(job.folder)
        return shlex.join([self.python, *words[1:]] if self.python else words)

    def begin(self, job: Job, after: Sequence[str] = ()) -> str:
        """Submit a job; return the number that the scheduler gives it.

        Parameters
        ----------
        job
            Which.
        after
            Numbers of the jobs in this lane that must succeed first.

        Raises
        ------
        InputError
            With the scheduler's own words where it refuses.
        """
        script = self.text(job)
        (job.folder / SCRIPT).write_text(script, encoding="utf-8")
        words = [*self.submit, *(self.waits if after else ())]
        told = self._run(words, script, folder=str(job.folder), ids=self.joined_by.join(after))
        found = re.search(self.number, told)
        if found is None:
            raise InputError(f"lane {self.name}: {words[0]} gave no number: {told.strip()}")
        write_json(job.folder / BATCH, {"id": found[1], "submitted": time.time()})
        return found[1]

    def try_out(self, job: Job) -> str:
        """What the scheduler says of a job that it could take, and does not.

        Raises
        ------
        InputError
            With the scheduler's own words where it would refuse; or where it can only take jobs.
        """
        if not self.trial:
            raise InputError(
                f"lane {self.name}: its scheduler has no way to look at a script without taking it"
            )
        done = self._done(self.trial, self.text(job), folder=str(job.folder))
        return " ".join((done.stderr or done.stdout).split())

    def end(self, job: Job) -> None:
        """Ask the scheduler to end a job."""
        if job.batch is not None:
            self._run(self.cancel, id=job.batch)

    def ask(self) -> dict[str, tuple[str, str, str]]:
        """Status, the scheduler's word for it, and the reason, of all its jobs by number.

        Raises
        ------
        InputError
            When the scheduler does not answer.
        """
        meaning = {word: status for status, words in self.states.items() for word in words}
        found = {}
        for line in self._run(self.query).splitlines():
            seen = re.match(self.line, line)
            if seen is not None:
                state = seen["state"]
                reason = "" if seen["reason"] in ("None", "-") else seen["reason"]
                found[seen["id"]] = (meaning.get(state, "running"), state, reason)
        return found

    def _run(self, words: Sequence[str], told: str = "", **values: str) -> str:
        return self._done(words, told, **values).stdout

    def _done(
        self, words: Sequence[str], told: str = "", **values: str
    ) -> subprocess.CompletedProcess[str]:
        values["user"] = getpass.getuser()
        filled = [Template(word).safe_substitute(values) for word in words]
        try:
            done = subprocess.run(
                filled, input=told, capture_output=True, text=True, timeout=WAIT, check=False
            )
        except FileNotFoundError as error:
            raise InputError(f"lane {self.name}: there is no {words[0]} on this machine") from error
        except subprocess.TimeoutExpired as error:
            raise InputError(f"lane {self.name}: {words[0]} does not answer") from error
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).split())
            raise InputError(f"lane {self.name}: {said or f'{words[0]} failed'}")
        return done


def folders(project: Path) -> list[Path]:
    """Where files of lanes are looked for, in this order."""
    own = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return [
        project / HIDDEN / "lanes",
        Path(own).expanduser() / "isonet2" / "lanes",
        TEMPLATES,
    ]


def names(project: Path) -> list[str]:
    """All lanes that there are."""
    found = {path.stem for folder in folders(project) for path in folder.glob("*.yaml")}
    return [LOCAL, *sorted(found)]


def load(name: str, project: Path) -> Lane:
    """Read a lane's file.

    Raises
    ------
    InputError
        For a name that has none, or a file with something wrong in it.
    """
    path = next(
        (p for folder in folders(project) if (p := folder / f"{name}.yaml").is_file()), None
    )
    if path is None or not re.fullmatch(r"[\w-]+", name):
        raise InputError(f"lane {name}: there is none; choose {', '.join(names(project))}")
    return lane_of(content_of(path), path)


def lane_of(told: dict[str, Any], path: Path) -> Lane:
    """The lane that a file describes.

    Parameters
    ----------
    told
        What it says.
    path
        The file, whose name is the lane's.

    Raises
    ------
    InputError
        With what is wrong in it.
    """
    like = told.pop("like", None)
    _refuse_wrong_kinds(told, path)
    if like is not None:
        base = TEMPLATES / f"{like}.yaml"
        if not base.is_file():
            raise InputError(f"{path}: like {like} names no scheduler that is known")
        basis = content_of(base)
        told = basis | told | {"request": basis.get("request", {}) | told.get("request", {})}
    known = {f.name for f in fields(Lane)}
    if strange := told.keys() - known:
        raise InputError(f"{path}: {', '.join(sorted(strange))} is not known of a lane")
    values: dict[str, Any] = {
        k: tuple(map(str, v)) if isinstance(v, list) else v for k, v in told.items()
    }
    values["request"] = {
        k: clock(v) if k == "time" else str(v) for k, v in told.get("request", {}).items()
    }
    try:
        return Lane(**values | {"name": path.stem})
    except TypeError as error:
        raise InputError(f"{path}: {error}; begin it with `like: slurm`") from error


def _refuse_wrong_kinds(told: Mapping[str, Any], path: Path) -> None:
    """Raise InputError for an entry that is no list, no lines below it, or no text."""
    for name, value in told.items():
        kind, words = _KINDS.get(name, (str, "a text"))
        if not isinstance(value, kind):
            raise InputError(f"{path}: {name} {value!r}: give {words}")
        if name in _GROUPS:
            _refuse_pattern(name, str(value), path)
    for status, words in told.get("states", {}).items():
        if not isinstance(words, list):
            raise InputError(f"{path}: states {status} {words!r}: give a list of words")


def _refuse_pattern(name: str, value: str, path: Path) -> None:
    """Raise InputError for what is no pattern, or lacks a group that is looked at."""
    try:
        pattern = re.compile(value)
    except re.error as error:
        raise InputError(f"{path}: {name} {value!r}: is no pattern ({error})") from error
    for wanted in _GROUPS[name]:
        if wanted not in pattern.groupindex and not (wanted == "" and pattern.groups):
            group = f"(?P<{wanted}>...)" if wanted else "(...)"
            raise InputError(f"{path}: {name} {value!r}: must have a group {group}")


def ask(project: Path, jobs: Sequence[Job]) -> None:
    """Ask the schedulers of all lanes that have jobs, once each, and note what they say.

    A scheduler that does not answer says nothing: what was known stays known.
    """
    for name in {job.lane for job in jobs if job.lane != LOCAL and _is_open(job)}:
        path = _noted(project, name)
        if time.time() - read_json(path).get("asked", 0.0) > FRESH:
            began = time.time()
            try:
                answer = load(name, project).ask()
            except InputError:
                continue
            write_json(path, {"asked": began, "jobs": answer})


def with_answers(project: Path, jobs: Sequence[Job]) -> list[Job]:
    """Add to jobs what the schedulers of their lanes said of them last."""
    lanes = {job.lane for job in jobs if job.lane != LOCAL and _is_open(job)}
    said = {name: read_json(_noted(project, name)) for name in lanes}
    return [_with_answer(job, said[job.lane]) if job.lane in said else job for job in jobs]


def _noted(project: Path, name: str) -> Path:
    return project / HIDDEN / "lanes" / f"{name}.json"


def _is_open(job: Job) -> bool:
    """Whether a scheduler may still say something about a job."""
    return job.batch is not None and job.status not in ("succeeded", "failed")


def _with_answer(job: Job, said: Mapping[str, Any]) -> Job:
    """A job as its own files and its scheduler together have it."""
    if not _is_open(job):
        return job
    known = said.get("jobs", {}).get(job.batch)
    begun = job.started is not None
    if known is None:
        submitted = read_json(job.folder / BATCH).get("submitted", time.time())
        if begun or said.get("asked", 0.0) < submitted + UNKNOWN:
            return job
        return replace(job, status="lost", reason="its scheduler does not know it any more")
    status, word, reason = known
    told = f"{word} ({reason})" if reason else word
    if status == "queued":
        return replace(job, status="queued", reason=told, ended=None)
    if status == "running":
        waits = job.status in ("queued", "lost", "cancelled")
        now: Status = "running" if begun and job.status == "lost" else job.status
        return replace(job, status=now, reason=told if waits else job.reason)
    if job.status == "running" or (begun and job.status == "cancelled"):
        return job if job.status == "running" else replace(job, reason=f"{job.reason}; {told}")
    how: dict[str, Status] = {"cancelled": "cancelled", "failed": "failed"}
    return replace(job, status=how.get(status, "lost"), reason=f"the scheduler says {told}")


def clock(value: object) -> str:
    """A time as it was written: YAML reads 48:00:00 without quotes as a number of seconds."""
    if not isinstance(value, int):
        return str(value)
    return f"{value // 3600}:{value // 60 % 60:02}:{value % 60:02}"


def _is_empty(line: str, values: Mapping[str, str]) -> bool:
    found = re.findall(r"\$\{(\w+)\}", line)
    return any(name in values and not values[name] for name in found)


def _hours(text: str) -> tuple[str, str, str]:
    """Hours, minutes and seconds of a time as SLURM writes it; empty where there is none."""
    if not text:
        return "", "", ""
    found = _TIME.fullmatch(text)
    if found is None:
        raise InputError(f"time {text}: give hours:minutes:seconds such as 24:00:00")
    days, hours, minutes, seconds = found.groups()
    return str(24 * int(days or 0) + int(hours)), minutes, seconds or "00"
