"""The command `submit`: queue another command."""

import logging
import shlex
import sys
from pathlib import Path

from isonet2.errors import InputError
from isonet2.jobs import Job, Jobs
from isonet2.jobs.lanes import LOCAL
from isonet2.parameters import Parameters, SubmitParameters
from isonet2.parameters.command_line import model_named, parse, words_of

log = logging.getLogger(__name__)

REQUESTED = ("cpus", "memory", "time", "partition", "extra")
"""Parameters that only other lanes than the local one take."""


def submit(parameters: SubmitParameters) -> Job | None:
    """Queue a command in the working folder, and print the job's number and folder.

    Returns
    -------
    Job or None
        None where it is only shown what would be run.

    Raises
    ------
    InputError
        For whatever can be seen to be wrong before the command runs.
    """
    p = parameters
    queued = _queued(p)
    jobs = Jobs(Path.cwd())
    asked = {name: str(value) for name in REQUESTED if (value := getattr(p, name))}
    after = p.after or ()
    if p.show and p.lane == LOCAL:
        sys.stdout.write(f"{shlex.join(['isonet.py', *words_of(queued)])}\n")
        return None
    if p.show:
        sys.stdout.write(
            jobs.script(queued, lane=p.lane, after=after, number_of_gpus=p.gpus, request=asked)
        )
        return None
    job = jobs.submit(
        queued,
        name=p.name,
        after=after,
        priority=p.priority,
        now=p.now,
        lane=p.lane,
        number_of_gpus=p.gpus,
        request=asked,
    )
    sys.stdout.write(f"job {job.number}: {job.place}\n")
    if job.reason:
        log.info("it %s", job.reason)
    return job


def _queued(parameters: SubmitParameters) -> Parameters:
    """The parameters of the command that is to be queued."""
    model = model_named(parameters.words[0])
    if model.command in ("submit", "jobs"):
        raise InputError(f"submit {model.command}: cannot be queued; call it without submit")
    return parse(parameters.words[1:], model)
