"""The pages of the five steps that jobs take: a form each, drawn from the parameters."""

from collections.abc import Mapping

from nicegui import ui

from isonet2.gui.choices import offered
from isonet2.gui.components.form_view import FormView
from isonet2.gui.forms import Form
from isonet2.gui.project import Project
from isonet2.gui.shell import frame, heading
from isonet2.gui.words import t

STEPS = ("denoise", "deconv", "make_mask", "refine", "predict")


def register(project: Project) -> None:
    """Make the pages of the steps known."""
    for step in STEPS:

        def page(step: str = step) -> None:
            _page(project, step)

        ui.page(f"/{step}")(page)


def _page(project: Project, step: str) -> None:
    form = Form(step, project.settings.get(f"form.{step}"))
    if not form.texts["star_file"] and (project.folder / "tomograms.star").is_file():
        form.texts["star_file"] = "tomograms.star"
    with frame(project, step):
        heading(t(f"page.{step}"), t(f"lead.{step}"))

        def choices(name: str) -> Mapping[str, str]:
            return offered(project, form, name)

        view = FormView(project, form, choices, lambda right: None)
        view.refresh()
