"""What scripts in the pages and people's links ask for besides pages: pictures, logs, tables."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

from fastapi import HTTPException
from fastapi.responses import FileResponse
from nicegui import app

from isonet2.errors import InputError
from isonet2.gui.project import Project
from isonet2.gui.shell import address
from isonet2.jobs import Jobs

KINDS = {
    ".png": "image/png",
    ".csv": "text/csv",
    ".txt": "text/plain; charset=utf-8",
    ".yaml": "text/plain; charset=utf-8",
    ".star": "text/plain; charset=utf-8",
}
"""Files that are handed out as they are, by ending; none of them can hold a script that runs."""


REPORTS = {".html": "text/html; charset=utf-8"}
SEALED = {
    "content-security-policy": "sandbox allow-scripts; default-src 'none'; img-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'"
}
"""A report asks for nothing, and its sliders reach nothing outside it, whoever wrote it."""


def register(project: Project) -> None:
    """Make the addresses known."""

    @app.get("/api/file")
    def file(path: str) -> FileResponse:
        return _handed_out(_allowed(project, path), {"cache-control": "no-cache"})

    @app.get("/api/report")
    def report(path: str) -> FileResponse:
        return _handed_out(_allowed(project, path), {"cache-control": "no-cache"} | SEALED, REPORTS)

    @app.get("/api/log/{number}")
    def log(number: int) -> FileResponse:
        try:
            job = Jobs(project.folder).show(number)
        except InputError as error:
            raise HTTPException(404, str(error)) from None
        name = f"{job.place.replace('/', '_')}_log.txt"
        return _handed_out(job.log, {"content-disposition": f'attachment; filename="{name}"'})


def file_address(path: Path, route: str = "file") -> str:
    """The address of a file for this page's browser, which changes when the file does."""
    try:
        version = path.stat().st_mtime_ns
    except OSError:
        version = 0
    return address(f"/api/{route}?{urlencode({'path': str(path), 'v': version})}")


def _allowed(project: Project, path: str) -> Path:
    try:
        return project.allowed(path)
    except InputError as error:
        raise HTTPException(403, str(error)) from None


def _handed_out(
    path: Path, headers: dict[str, str], kinds: Mapping[str, str] = KINDS
) -> FileResponse:
    kind = kinds.get(path.suffix.lower())
    if kind is None:
        raise HTTPException(403, f"{path.name} is not handed out here.")
    if not path.is_file():
        raise HTTPException(404, f"{path} is not there.")
    return FileResponse(path, media_type=kind, headers=headers)
