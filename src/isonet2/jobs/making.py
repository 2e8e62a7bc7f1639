"""The record of a new job: what is asked for, checked against what is there."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from isonet2.errors import InputError
from isonet2.jobs import gpus
from isonet2.jobs.lanes import LOCAL
from isonet2.jobs.records import Job
from isonet2.jobs.waiting import Files, own_folder, refuse_inside_a_job, waited_for
from isonet2.parameters.base import Parameters
from isonet2.parameters.command_line import words_of

LONGEST_TAG = 40
"""Letters of a tag that are kept."""


def checked(
    parameters: Parameters,
    project: Path,
    jobs: Sequence[Job],
    *,
    after: Collection[int] = (),
    now: bool = False,
    lane: str = LOCAL,
    number_of_gpus: int | None = None,
    request: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What can be said of a job before it has a number; see `Jobs.submit` for the parameters.

    Raises
    ------
    InputError
        For whatever can be seen to be wrong before the command runs.
    """
    own = own_folder(parameters)
    files = Files.of(parameters, project, project / own if own else None)
    if files.results is not None:
        refuse_inside_a_job(files.results, jobs)
    waits = waited_for(after, jobs)
    waits |= {job.number: job for job in jobs if not job.has_ended and files.needs(job)}
    unready = [job for job in waits.values() if job.status != "succeeded"]
    if now and lane != LOCAL:
        raise InputError(f"now: the scheduler of lane {lane} chooses when; leave it out")
    if now and unready:
        names = ", ".join(job.place for job in unready)
        raise InputError(f"now: {names} must end first; submit it without now")
    if request and lane == LOCAL:
        raise InputError(f"{', '.join(request)}: only other lanes than {LOCAL} take this")
    files.check(parameters, unready)
    ids, count = gpus.wanted(parameters, number_of_gpus, lane, project)
    return {
        "kind": parameters.command,
        "project": str(project),
        "inputs": [str(path) for path in files.inputs.values()],
        "outputs": [str(path) for path in files.outputs],
        "after": sorted(waits),
        "lane": lane,
        "gpus": count,
        "gpu_ids": ids,
        "resumes": "resume" in type(parameters).model_fields,
        "passes": {str(status): words for status, words in parameters.passes.items()},
        "request": dict(request or {}),
        "now": now,
        "submitted": time.time(),
    }


def numbered(
    record: Mapping[str, Any], parameters: Parameters, number: int, folder: Path
) -> dict[str, Any]:
    """The complete record of a job that has a number and a folder."""
    own, place = own_folder(parameters), folder.relative_to(record["project"])
    if own is None and "output_dir" in type(parameters).model_fields:
        parameters = parameters.model_copy(update={"output_dir": place})
    given = parameters.model_dump(mode="json", include=set(parameters.model_fields_set))
    return {
        "number": number,
        **record,
        "argv": ["isonet.py", *words_of(parameters)],
        "parameters": given,
        "results": str(own or place),
    }


def as_tags(words: Iterable[str]) -> list[str]:
    """Tags as they are kept: one line each, none empty, each once."""
    tags = (" ".join(word.split())[:LONGEST_TAG].strip() for word in words)
    return [*dict.fromkeys(filter(None, tags))]
