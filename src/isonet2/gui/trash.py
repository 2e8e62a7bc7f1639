"""Removed jobs of the project: how much they hold, and emptying it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from isonet2.data.run_folder import HIDDEN
from isonet2.gui.project import Project


@dataclass(frozen=True, slots=True)
class Trash:
    """What lies in the trash.

    Attributes
    ----------
    folders
        Of the removed jobs.
    size
        Bytes that they hold.
    """

    folders: tuple[Path, ...]
    size: int


def trash_of(project: Project) -> Trash:
    """Look into the trash."""
    folders = tuple(sorted((project.folder / HIDDEN / "trash").glob("*/job*")))
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return Trash(folders, sum(path.lstat().st_size for path in files))


def empty(trash: Trash) -> None:
    """Delete for good what was seen in the trash; links in it go, not what they lead to."""
    for folder in trash.folders:
        shutil.rmtree(folder)
