"""The pages of the steps that jobs take: a form each, drawn from the parameters."""

import asyncio

from nicegui import ui

from isonet2.errors import InputError
from isonet2.gui.choices import network_of, offered, tables, trained
from isonet2.gui.components.form_view import FormView
from isonet2.gui.components.submit_bar import SubmitBar
from isonet2.gui.forms import STEPS, Form
from isonet2.gui.old_app import old_job
from isonet2.gui.overview import parameters_of
from isonet2.gui.pace import regularly
from isonet2.gui.project import Project
from isonet2.gui.shell import frame, heading, refuse
from isonet2.gui.words import t
from isonet2.jobs import Jobs

EVERY = 5.0


def register(project: Project) -> None:
    """Make the pages of the steps known."""
    for step in STEPS:

        async def page(
            clone: int | None = None,
            model_of: int | None = None,
            resume: bool = False,
            old: int | None = None,
            step: str = step,
        ) -> None:
            form = Form(step, project.settings.get(f"form.{step}"))
            problem = await asyncio.to_thread(_begin, project, form, clone, model_of, resume, old)
            await _page(project, form, problem)

        ui.page(f"/{step}")(page)


def _begin(
    project: Project,
    form: Form,
    clone: int | None,
    model_of: int | None,
    resume: bool,
    old: int | None,
) -> str:
    """Fill the form with what was asked for in the address, and the table that there is.

    Returns what was asked for and is not there; nothing where all is well.
    """
    found = tables(project)
    place = "tomograms" if "tomograms" in form.texts else "star_file"
    if not (project.folder / str(form.texts[place])).exists():
        form.texts[place] = ""
    if not form.texts[place] and found:
        form.texts[place] = project.told(found[0])
    for name in ("model", "models"):
        if form.texts.get(name) == "":
            form.texts[name] = next(iter(trained(project)), "")
    jobs = Jobs(project.folder)
    try:
        if clone is not None:
            job = jobs.show(clone)
            form.take(parameters_of(job), without=() if resume else ("output_dir", "resume"))
            if resume:
                form.texts |= {"output_dir": project.told(job.results), "resume": True}
        if model_of is not None:
            job = jobs.show(model_of)
            form.texts["model"] = network_of(project, job)
            form.texts["star_file"] = str(job.parameters.get("star_file", form.texts["star_file"]))
        if old is not None:
            form.take(old_job(project.folder, old).parameters)
    except InputError as error:
        return str(error)
    return ""


async def _page(project: Project, form: Form, problem: str) -> None:
    step = form.model.command

    async def again() -> None:
        offers.update(await asyncio.to_thread(offered, project, form))
        view.offer()

    offers = await asyncio.to_thread(offered, project, form)
    with frame(project, step):
        heading(t(f"page.{step}"), t(f"lead.{step}"))
        view = FormView(
            project, form, lambda name: offers.get(name, {}), lambda right: bar.allow(right)
        )
        bar = SubmitBar(project, form)
        view.refresh()
        if problem:
            refuse(problem)
        regularly(EVERY, again)
