"""What a form may offer as the project stands: filled columns, trained networks."""

from collections.abc import Mapping
from pathlib import Path

from isonet2.data.blocks import is_missing, read_star
from isonet2.data.star import find_table
from isonet2.errors import InputError
from isonet2.gui.forms import Form
from isonet2.gui.project import Project

COLUMNS = (
    "rlnTomoName",
    "rlnDeconvTomoName",
    "rlnDenoisedTomoName",
    "rlnCorrectedTomoName",
    "rlnTomoReconstructedTomogramHalf1",
    "rlnTomoReconstructedTomogramHalf2",
)


def offered(project: Project, form: Form, name: str) -> Mapping[str, str]:
    """What may be chosen for field `name`: value, and words for it."""
    if form.kind(name) == "column":
        return {column: column for column in filled_columns(project, str(form.texts["star_file"]))}
    return {}


def filled_columns(project: Project, table: str) -> list[str]:
    """Columns of tomograms that the table fills in at least one row."""
    try:
        star = read_star(project.allowed(table or "tomograms.star"))
        frame = star.blocks[find_table(star.path, star.blocks)]
    except InputError:
        return []
    return [
        column
        for column in COLUMNS
        if column in frame and not all(is_missing(str(cell)) for cell in frame[column])
    ]


def tables(project: Project) -> list[Path]:
    """STAR tables in the project's folder, newest first."""
    found = [path for path in project.folder.glob("*.star") if path.is_file()]
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)
