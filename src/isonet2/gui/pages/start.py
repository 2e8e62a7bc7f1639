"""The start page: the state of the project, and the next sensible step."""

from nicegui import ui

from isonet2.gui.project import Project
from isonet2.gui.shell import frame, heading
from isonet2.gui.words import t


def register(project: Project) -> None:
    """Make the page known."""

    @ui.page("/")
    def page() -> None:
        with frame(project, "start"):
            heading(t("page.start"))
