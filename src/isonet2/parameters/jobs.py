"""Parameters of the commands that queue others, and look after them."""

import shlex
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from isonet2.parameters.base import Parameters, Shown
from isonet2.parameters.shared import JobNumbers


def _call(value: Any) -> Any:
    """Split a command line that is one text, as a file has it."""
    return tuple(shlex.split(value)) if isinstance(value, str) else value


class SubmitParameters(Parameters):
    """Queue a command: it runs on, whatever becomes of this window, here or on a cluster.

    What stands before the command's name is about the queue, what stands after it is the command's.
    """

    command: ClassVar[str] = "submit"
    example: ClassVar[str] = "submit --name first refine tomograms.star --CTF_mode network"

    words: Annotated[
        tuple[str, ...],
        BeforeValidator(_call),
        Field(min_length=1),
        Shown("Basic", positional=True, rest=True, form="a command and its parameters"),
    ]
    """The command and its parameters, as they are written without submit. Where no output_dir is
    given, results go to the job's folder."""
    lane: Annotated[str, Field(min_length=1), Shown("Basic")] = "local"
    """Where it runs: local, a scheduler (slurm, pbs, sge, lsf), or a file in .isonet/lanes or
    ~/.config/isonet2/lanes."""
    after: Annotated[JobNumbers, Shown("Basic", form="numbers of jobs such as 3 or 3,5")] = None
    """Jobs that must succeed first; those whose results it reads are added by themselves."""
    now: Annotated[bool, Shown("Basic")] = False
    """Start at once, past the queue, though a GPU may be busy."""
    name: Annotated[str, Shown("Basic")] = ""
    """What to call it in lists."""
    priority: int = 0
    """Higher goes first."""
    gpus: Annotated[int | None, Field(ge=0, le=64), Shown("Basic", auto=True)] = None
    """How many GPUs it takes; auto takes those of its gpuID, or one."""
    cpus: Annotated[int | None, Field(ge=1)] = None
    """Processor cores to ask a lane for; None takes the lane's default."""
    memory: str = ""
    """Memory to ask a lane for, such as 64G; nothing takes the lane's default."""
    time: str = ""
    """Longest time to ask a lane for, hours:minutes:seconds; nothing takes the lane's default."""
    partition: str = ""
    """Partition or queue of the cluster."""
    extra: str = ""
    """Further options for the lane's scheduler, such as "--qos=long"."""
    show: Annotated[bool, Shown("Basic")] = False
    """Print the batch script of the lane, or the command, and queue nothing."""


class JobsParameters(Parameters):
    """List the jobs of this folder, and look after them."""

    command: ClassVar[str] = "jobs"
    example: ClassVar[str] = "jobs log 3 --follow True"

    action: Annotated[
        Literal[
            "list", "show", "log", "cancel", "retry", "remove", "edit", "pause", "resume", "lanes"
        ],
        Shown("Basic", positional=True),
    ] = "list"
    """What to do. remove moves a job to the trash; edit changes its name, notes or priority; pause
    lets no queued job begin until resume; lanes lists where jobs can run."""
    number: Annotated[
        JobNumbers, Shown("Basic", positional=True, form="numbers of jobs such as 3 or 3,5")
    ] = None
    """Of which jobs."""
    follow: Annotated[bool, Shown("Basic")] = False
    """Show a log on and on until the job has ended."""
    grace: Annotated[float, Field(ge=0), Shown(unit="seconds")] = 60.0
    """How long cancel lets a command save its state before it is ended by force."""
    name: str | None = None
    """New name, for edit."""
    notes: str | None = None
    """New notes, for edit."""
    priority: int | None = None
    """New priority, for edit; higher goes first."""

    @model_validator(mode="after")
    def _fit_for_the_action(self) -> Self:
        about_all = self.action in ("list", "pause", "resume", "lanes")
        if about_all and self.number is not None:
            raise ValueError(
                f"number is not for jobs {self.action}, which is about all: leave it out."
            )
        if not about_all and self.number is None:
            raise ValueError(f"number is missing: write jobs {self.action} 3, with a job's number.")
        wants = {
            "follow": ("log", False), "grace": ("cancel", 60.0), "name": ("edit", None),
            "notes": ("edit", None), "priority": ("edit", None),
        }  # fmt: skip
        for name, (action, usual) in wants.items():
            if self.action != action and getattr(self, name) != usual:
                raise ValueError(f"{name} is for jobs {action} only.")
        if self.action == "edit" and {self.name, self.notes, self.priority} == {None}:
            raise ValueError("jobs edit needs --name, --notes or --priority.")
        return self
