"""What a command reads and writes, and so which jobs it must wait for."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from isonet2.errors import InputError
from isonet2.jobs.records import STARTING, Job
from isonet2.parameters.base import Parameters, members

MADE = {"output_dir", "output", "star_name"}
"""Parameters that name what a command makes; every other path is read."""
MADE_BY = {"star2json": {"json_file"}, "json2star": {"star_file"}}
"""As `MADE`, of single commands."""
NOTED = {"deconv", "make_mask", "predict", "validate"}
"""Commands that note their results in the table that they read."""


MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Files:
    """What a call reads and writes; paths in full.

    Attributes
    ----------
    command
        The command's name.
    inputs
        By the parameter's name.
    results
        Folder of its results; None for one that nobody knows yet.
    outputs
        What else it makes, and the table in which it notes results.
    """

    command: str
    inputs: dict[str, Path]
    results: Path | None
    outputs: tuple[Path, ...]

    @classmethod
    def of(cls, parameters: Parameters, project: Path, results: Path | None) -> "Files":
        """The files of a call that is made in `project` and leaves its results in `results`."""
        made = MADE | MADE_BY.get(parameters.command, set())
        inputs, outputs = {}, []
        for name, described in type(parameters).model_fields.items():
            value = getattr(parameters, name)
            if isinstance(value, Path) and Path in members(described.annotation):
                if name not in made:
                    inputs[name] = _full(project / value)
                elif name != "output_dir":
                    outputs.append(_full(project / value))
            elif isinstance(value, tuple) and all(isinstance(path, Path) for path in value):
                inputs |= {f"{name} {path}": _full(project / path) for path in value}
        if parameters.command in NOTED or getattr(parameters, "with_predict", False):
            outputs.append(inputs["star_file"])
        return cls(parameters.command, inputs, results and _full(results), tuple(outputs))

    def needs(self, job: Job) -> bool:
        """Whether a job makes something that is read here, or works in the same folder.

        Two runs of one command that note results in one table need nothing of each other.
        """
        if self.results == _full(job.results):
            return True
        for output in map(Path, job.outputs):
            if job.kind == self.command and output in self.outputs:
                continue
            if any(path.is_relative_to(output) for path in self.inputs.values()):
                return True
        return any(path.is_relative_to(_full(job.results)) for path in self.inputs.values())

    def check(self, parameters: Parameters, waits: Iterable[Job]) -> None:
        """See that what is read is there, or will be when the jobs that it waits for are done.

        Raises
        ------
        InputError
            With a line for everything that is missing or wrong.
        """
        waits = tuple(waits)
        promised = [_full(job.results) for job in waits]
        promised += [Path(output) for job in waits for output in job.outputs]
        problems = [
            f"{name} {path}: there is no such file or folder"
            for name, path in self.inputs.items()
            if not path.exists() and not any(path.is_relative_to(place) for place in promised)
        ]
        if problems:
            raise InputError("\n".join(problems))
        table = self.inputs.get("star_file")
        if table is not None and table not in promised and hasattr(parameters, "tomo_idx"):
            _check_table(parameters, table)


def _check_table(parameters: Parameters, path: Path) -> None:
    """See that the chosen tomograms are in the table, and their files on disk."""
    # slow to import, and runners do not need them
    from isonet2.data.blocks import is_missing
    from isonet2.data.inputs import DECONVOLVED, FULL
    from isonet2.data.star import TomogramTable

    table = TomogramTable.read(path)
    chosen = table.select(getattr(parameters, "tomo_idx", None))
    column = getattr(parameters, "input_column", None)
    missing = []
    for tomogram in chosen:
        named = [tomogram.half1, tomogram.half2]
        fallback = column in (FULL, DECONVOLVED) and is_missing(tomogram.cells.get(column, ""))
        if column is not None and column in tomogram.cells and not fallback:
            named = [tomogram.column(column)]
        elif None in named:
            named = [tomogram.full]
        missing += [f"{p} of {tomogram.name}" for p in named if p is not None and not p.exists()]
    if missing:
        more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
        raise InputError(
            f"{table.path}: names files that are not there: {', '.join(missing[:MOST_NAMED])}{more}"
        )


def _full(path: Path) -> Path:
    return path.absolute().resolve()


def own_folder(parameters: Parameters) -> Path | None:
    """The folder that the user chose for results, if so."""
    chosen = "output_dir" in parameters.model_fields_set
    return getattr(parameters, "output_dir", None) if chosen else None


def refuse_inside_a_job(results: Path, jobs: Sequence[Job]) -> None:
    """Raise InputError for a folder of results that lies in that of another job."""
    for job in jobs:
        if results.is_relative_to(job.folder):
            raise InputError(
                f"output_dir {results}: lies in the folder of {job.place}; choose another, or "
                "leave it out for a folder of the new job's own"
            )


def among(number: int, jobs: Sequence[Job]) -> Job:
    """The job of a number; InputError where there is none."""
    for job in jobs:
        if job.number == number:
            return job
    raise InputError(f"job {number}: there is none of this number; isonet.py jobs lists them")


def waited_for(after: Collection[int], jobs: Sequence[Job]) -> dict[int, Job]:
    """Jobs that the user wants to wait for, by number."""
    found = {number: among(number, jobs) for number in after}
    for job in found.values():
        if job.has_ended and job.status != "succeeded":
            raise InputError(
                f"after {job.number}: {job.place} has {ended_how(job)}; run it again first"
            )
    return found


def ended_how(job: Job) -> str:
    """How a job ended, to stand after "has"."""
    words = {"lost": "been lost", "cancelled": "been cancelled", "skipped": "been skipped"}
    return words.get(job.status, job.status)


def with_waiting(jobs: Sequence[Job]) -> list[Job]:
    """Add what queued jobs wait for, and skip those that wait for what went wrong."""
    known: dict[int, Job] = {}
    for job in jobs:
        known[job.number] = job
        if job.status != "queued" or job.reason == STARTING:
            continue
        for other in (known[number] for number in job.after if number in known):
            if other.status == "succeeded":
                continue
            reason = f"waits for {other.place}"
            if other.has_ended:
                reason += f", which has {ended_how(other)}"
                known[job.number] = replace(job, status="skipped", reason=reason)
                break
            known[job.number] = replace(job, reason=job.reason or reason)
    return list(known.values())


def needing_still(job: Job, jobs: Sequence[Job]) -> list[str]:
    """Jobs that have not ended, and wait for another one or read from its folder."""
    return [
        other.place
        for other in jobs
        if not other.has_ended
        and (
            job.number in other.after
            or any(Path(path).is_relative_to(job.folder) for path in other.inputs)
        )
    ]
