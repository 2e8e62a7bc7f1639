"""The application behind the guard: pages, their files, and what scripts in them ask for."""

from importlib import import_module
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from nicegui import app as pages
from nicegui import ui

from isonet2.gui.project import Project
from isonet2.gui.words import speak

STATIC = Path(str(files("isonet2.gui").joinpath("static")))
MODULES = (
    "api",
    "pages.start",
    "pages.prepare",
    "pages.command",
    "pages.jobs",
    "pages.compare",
    "pages.view",
    "pages.settings",
    "pages.documents",
    "pages.lost",
)
"""Modules that have `register(project)`, which makes their pages and addresses known."""


def build(project: Project) -> FastAPI:
    """Make the application for one project.

    Parameters
    ----------
    project
        The folder that the pages show.

    Returns
    -------
    FastAPI
        The application, to be put behind `guard.Guard`.
    """
    speak(project.user.get("language"))
    application = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    register(project)
    ui.run_with(
        application,
        title="IsoNet2",
        favicon=STATIC / "icon.svg",
        show_welcome_message=False,
        reconnect_timeout=60.0,
    )
    return application


def register(project: Project) -> None:
    """Make the pages and addresses of a project known."""
    pages.add_static_files("/static", STATIC)
    for module in MODULES:
        import_module(f"isonet2.gui.{module}").register(project)
