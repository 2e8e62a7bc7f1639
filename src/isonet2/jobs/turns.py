"""Whose turn it is among the queued jobs of this machine, and what the others wait for."""

import itertools
from collections.abc import Sequence

from isonet2.errors import InputError
from isonet2.jobs import gpus
from isonet2.jobs.lanes import LOCAL
from isonet2.jobs.records import STARTING, Job

PAUSED = "waits until the queue goes on, which is paused"


def is_at_work(job: Job) -> bool:
    """Whether a job runs, or a runner has taken it."""
    return job.status == "running" or job.reason == STARTING


def _rows(jobs: Sequence[Job]) -> tuple[list[Job], list[Job]]:
    """Jobs that wait for no other one: those with GPUs, those on the processor, in their order."""
    ready = [
        job
        for job in jobs
        if job.lane == LOCAL and job.status == "queued" and not job.reason and not job.now
    ]
    ready.sort(key=lambda job: (-job.priority, job.number))
    return [job for job in ready if job.gpus], [job for job in ready if not job.gpus]


def _on_processor(jobs: Sequence[Job]) -> Job | None:
    """The job that computes on the processor of this machine."""
    found = (job for job in jobs if job.lane == LOCAL and not job.gpus and not job.has_ended)
    return next((job for job in found if is_at_work(job)), None)


def turns(jobs: Sequence[Job]) -> list[Job]:
    """Jobs whose turn it is: the first that waits for no other one, of each kind of place.

    Those with GPUs stand in one row, those on the processor in another, by priority and number;
    nobody overtakes the head of a row. One job computes on the processor at a time; how many on
    GPUs, the GPUs tell.
    """
    on_gpus, on_processor = _rows(jobs)
    return on_gpus[:1] + ([] if _on_processor(jobs) else on_processor[:1])


def has_its_gpus(job: Job) -> bool:
    """Whether the GPUs that a job takes are free."""
    try:
        free = gpus.free(job.project) if job.gpus else []
        named = gpus.asked_for(job.gpu_ids, job.project) if job.gpu_ids is not None else []
    except InputError:
        return True  # its runner says what is wrong
    return len(free) >= job.gpus and all(gpu in free for gpu in named)


def waits_for(jobs: Sequence[Job], *, paused: bool) -> dict[int, str]:
    """What queued jobs of this machine wait for that wait for no other job's results, by number.

    Parameters
    ----------
    jobs
        All of a project, as `Jobs.list` gives them.
    paused
        Whether no queued job may begin.
    """
    on_gpus, on_processor = _rows(jobs)
    if paused:
        return {job.number: PAUSED for job in on_gpus + on_processor}
    found = {
        job.number: f"waits its turn behind {before.place}"
        for row in (on_gpus, on_processor)
        for before, job in itertools.pairwise(row)
    }
    working = _on_processor(jobs)
    if working is not None and on_processor:
        found[on_processor[0].number] = f"waits for the processor, where {working.place} is at work"
    if on_gpus and not has_its_gpus(on_gpus[0]):
        found[on_gpus[0].number] = _for_gpus(on_gpus[0])
    return found


def _for_gpus(job: Job) -> str:
    """Which GPUs a job waits for, and who has them."""
    named = job.gpu_ids is not None
    wanted = gpus.asked_for(job.gpu_ids or "", job.project) if named else gpus.usable(job.project)
    held = [(gpu.number, who) for gpu in wanted if (who := gpus.holder(gpu)) is not None]
    have = "; ".join(f"{who} has GPU {number}" for number, who in held)
    what = f"GPU {job.gpu_ids}" if named else "a GPU" if job.gpus == 1 else f"{job.gpus} GPUs"
    return f"waits for {what}: {have}" if have else f"waits for {what}"
