"""How a project's jobs are run on this machine: by which program, on which GPUs, who is told."""

import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from isonet2.data.run_folder import HIDDEN
from isonet2.errors import InputError
from isonet2.jobs.records import Job, read_json, write_json

FILE = "jobs.json"
MODULE = ("-P", "-m", "isonet2")
PATIENCE = 60.0
"""Seconds that a command has to tell somebody of a job, or this program to say its version."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a person chose once for all jobs of a project.

    Attributes
    ----------
    program
        A Python or the folder of its environment, alone; or the words to write before `isonet.py`,
        such as those of a container. Nothing: this Python.
    gpus
        Numbers or the beginnings of UUIDs of the GPUs that jobs may use. Nothing: all.
    notify
        Words of a command that is run when a job ends, with `NAMES` in braces replaced; it also
        reads the sentence about the job from its standard input. Nothing: none.
    """

    program: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()

    def words(self) -> list[str]:
        """The words that stand for `isonet.py`.

        Raises
        ------
        InputError
            For a folder that holds no Python.
        """
        if not self.program:
            return [sys.executable, *MODULE]
        first = Path(self.program[0]).expanduser()
        if len(self.program) > 1 or not first.is_absolute():
            return [*self.program, "isonet.py"]
        python = first / "bin" / "python" if first.is_dir() else first
        if not python.is_file():
            raise InputError(
                f"{first}: there is no Python, and so no job can run; choose another in Settings."
            )
        return [str(python), *(MODULE if python.name.startswith("python") else ("isonet.py",))]


def settings_of(project: Path) -> Settings:
    """What was chosen for a project; what its file does not say is not chosen."""
    told = read_json(project / HIDDEN / FILE)
    chosen = {name: told.get(name) for name in asdict(Settings())}
    return Settings(**{
        name: tuple(map(str, words)) for name, words in chosen.items() if isinstance(words, list)
    })  # fmt: skip


def keep_settings(project: Path, settings: Settings) -> None:
    """Choose for all jobs of a project that begin from now on."""
    write_json(project / HIDDEN / FILE, asdict(settings))


def split_words(text: str) -> tuple[str, ...]:
    """Words as they are typed into a shell.

    Raises
    ------
    InputError
        When quotes do not close.
    """
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise InputError(f"{text}: the quotes do not close ({error}).") from error


def version(words: Sequence[str]) -> str:
    """What the program that these words start says of its version.

    Raises
    ------
    InputError
        With its own words where it does not start.
    """
    line = shlex.join([*words, "--version"])
    try:
        told = subprocess.run(
            [*words, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=PATIENCE, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"{line}: cannot be run ({error}).") from error
    said = (told.stdout.strip() or told.stderr.strip()).splitlines()
    if told.returncode or not said:
        raise InputError(f"{line}: exit status {told.returncode}, {said[-1] if said else 'mute'}.")
    return said[-1]


def values_of(job: Job) -> dict[str, str]:
    """What a command that tells somebody of a job may have in its words, by name in braces."""
    return {
        "job": job.place,
        "name": job.name or job.place,
        "status": job.status,
        "reason": job.reason,
        "project": str(job.project),
    }


def tell(notify: Sequence[str], values: Mapping[str, str]) -> str:
    """Run the command that tells somebody of a job; give what went wrong, or nothing.

    Parameters
    ----------
    notify
        Its words; never a line for a shell.
    values
        As `values_of` gives them.
    """
    words = [*notify]
    for name, value in values.items():
        words = [word.replace(f"{{{name}}}", value) for word in words]
    sentence = f"{values['name']} ({values['job']} of {values['project']}): {values['status']}"
    try:
        told = subprocess.run(
            words, input=f"{sentence}\n{values['reason']}\n", capture_output=True, text=True,
            timeout=PATIENCE, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{notify[0]}: cannot be run ({error})"
    if told.returncode:
        return f"{shlex.join(notify)}: exit status {told.returncode}, {told.stderr.strip()}"
    return ""
