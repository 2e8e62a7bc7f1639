"""Jobs of the desktop program IsoApp, which noted them in `settings.json` of the project."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from isonet2.data.run_folder import LOG
from isonet2.errors import InputError
from isonet2.jobs.records import InFolder
from isonet2.parameters.base import meant
from isonet2.parameters.commands import COMMANDS

NOTED = "settings.json"
KINDS = ("denoise", "deconv", "make_mask", "refine", "predict")
"""Commands whose jobs it listed; their folders are `refine/job5`."""
QUIET = 120.0
"""Seconds after which a log that does not end is of a job that is gone."""
TAIL = 4096
_LAST = re.compile(rb"Process exited with code (\S+)\s*\Z")


@dataclass(frozen=True, slots=True)
class OldJob(InFolder):
    """One job of IsoApp.

    Attributes
    ----------
    number, kind, name
        As it was listed.
    folder
        Of its results and its log.
    status
        By its log, as IsoApp called every job completed that had ended in any way: `succeeded`,
        `failed`, `running`, or `lost` where IsoApp was closed before the job was done.
    reason
        Why it did not succeed, as far as the log tells.
    changed
        When its log was written to last, seconds since 1970; 0 where there is none.
    parameters
        What its form held, by the names of the command's parameters.
    """

    number: int
    kind: str
    name: str
    folder: Path
    status: str
    reason: str
    changed: float
    parameters: Mapping[str, Any]


def old_jobs(project: Path) -> list[OldJob]:
    """Jobs that IsoApp noted in a project; none where it never ran there, or noted nothing."""
    path = project / NOTED
    try:
        state = path.stat()
        noted = _noted(str(path), state.st_mtime_ns, state.st_size)
    except OSError:
        return []
    return [_old_job(project, told) for told in noted]


def old_job(project: Path, number: int) -> OldJob:
    """One job of IsoApp.

    Raises
    ------
    InputError
        Where it noted none of this number.
    """
    for job in old_jobs(project):
        if job.number == number:
            return job
    raise InputError(f"job {number} of IsoApp: {NOTED} of this project lists none of this number")


@lru_cache(maxsize=8)
def _noted(path: str, changed: int, size: int) -> tuple[dict[str, Any], ...]:
    """The job list of a file as it was at a time; what is no job of a known kind is left out."""
    try:
        told = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    listed = told.get("jobList") if isinstance(told, dict) else None
    return tuple(
        job
        for job in (listed if isinstance(listed, list) else ())
        if isinstance(job, dict) and job.get("type") in KINDS and type(job.get("id")) is int
    )


def _old_job(project: Path, told: Mapping[str, Any]) -> OldJob:
    kind, number = told["type"], told["id"]
    folder = project / kind / f"job{number}"
    try:
        state = (folder / LOG).stat()
        changed, code = state.st_mtime, _code(str(folder / LOG), state.st_mtime_ns, state.st_size)
    except OSError:
        changed, code = 0.0, ""
    status, reason = _end(code, time.time() - changed < QUIET)
    name = str(told.get("name") or "")
    return OldJob(number, kind, name, folder, status, reason, changed, _parameters(kind, told))


@lru_cache(maxsize=1000)
def _code(log: str, changed: int, size: int) -> str:
    """The exit status that a log ends with; empty where it does not."""
    with Path(log).open("rb") as handle:
        handle.seek(max(0, size - TAIL))
        found = _LAST.search(handle.read())
    return found[1].decode(errors="replace") if found else ""


def _end(code: str, fresh: bool) -> tuple[str, str]:
    if code == "0":
        return "succeeded", ""
    if code:
        said = "ended by a signal" if code == "null" else f"exit status {code}"
        return "failed", f"{said}; the log says more"
    return ("running", "") if fresh else ("lost", "IsoApp was closed before it was done")


def _parameters(kind: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """What a form held of the command's parameters, as ours write it; jobs have folders anew."""
    fields = COMMANDS[kind].model_fields
    found = {}
    for name, value in told.items():
        if name in fields and name != "output_dir" and isinstance(value, str | int | float | None):
            text = value if isinstance(value, bool) else "" if value is None else str(value)
            found[name] = meant(fields[name], text)
    if kind in ("refine", "predict") and told.get("even_odd_input"):
        found.pop("input_column", None)
    return found
