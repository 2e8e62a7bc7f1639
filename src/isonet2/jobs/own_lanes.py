"""Files of lanes that people write: listed, checked, kept and removed."""

import re
import time
from pathlib import Path

from isonet2.data.files import atomic_path, locked, make_folder
from isonet2.data.run_folder import HIDDEN
from isonet2.errors import InputError
from isonet2.jobs.lanes import LOCAL, TEMPLATES, Lane, folders, lane_of
from isonet2.jobs.records import Job, job_of
from isonet2.jobs.store import Jobs
from isonet2.parameters.record import content_in


def own_lanes(project: Path) -> dict[str, Path]:
    """Files of a project and of its user, by the lane's name; not those of this package."""
    found: dict[str, Path] = {}
    for folder in folders(project):
        if folder != TEMPLATES:
            for path in sorted(folder.glob("*.yaml")):
                found.setdefault(path.stem, path)
    return found


def place_of(name: str, project: Path) -> Path:
    """The file of a lane: the one that there is, or the one to be made in the project.

    Raises
    ------
    InputError
        For a name that no lane may have.
    """
    if not re.fullmatch(r"[\w-]{1,40}", name) or name == LOCAL:
        raise InputError(f"lane {name!r}: give a name of letters, digits, _ and -, not {LOCAL}")
    return own_lanes(project).get(name, folders(project)[0] / f"{name}.yaml")


def lane_in(text: str, path: Path) -> Lane:
    """The lane that the text of a file describes, whether it is kept or not.

    Raises
    ------
    InputError
        With what is wrong in it.
    """
    return lane_of(content_in(text, path), path)


def keep_lane(text: str, path: Path) -> None:
    """Write the file of a lane, once nothing is wrong with it.

    Raises
    ------
    InputError
        With what is wrong in it, or where the file cannot be written.
    """
    lane_in(text, path)
    make_folder(path.parent)
    with locked(path), atomic_path(path) as beside:
        beside.write_text(f"{text.rstrip()}\n", encoding="utf-8")


def remove_lane(name: str, project: Path) -> None:
    """Remove the file of a lane.

    Raises
    ------
    InputError
        Where there is none, or jobs wait or run in it.
    """
    path = own_lanes(project).get(name)
    if path is None:
        raise InputError(f"lane {name}: there is no file of it that could be removed")
    if held := [j.place for j in Jobs(project).list() if j.lane == name and not j.has_ended]:
        raise InputError(f"lane {name}: {', '.join(held)} needs it still")
    path.unlink(missing_ok=True)


def example(project: Path) -> Job:
    """A job with one GPU, as a lane could be asked to run it; it is none of the project."""
    record = {
        "number": 0,
        "kind": "trial",
        "project": str(project),
        "argv": ["true"],
        "results": HIDDEN,
        "gpus": 1,
        "submitted": time.time(),
    }
    return job_of(record, project / HIDDEN)
