"""A whole form on the page: its groups of fields, its command line, what is wrong with it."""

from collections.abc import Callable

from nicegui import ui

from isonet2.gui.components.command_box import CommandBox
from isonet2.gui.components.ctf_view import DRAWN, CtfView
from isonet2.gui.components.fields import Choices, draw_field, offer, refresh_field
from isonet2.gui.components.live_preview import SLIDERS, LivePreview
from isonet2.gui.forms import Form, group_of
from isonet2.gui.project import Project
from isonet2.gui.shell import may_act
from isonet2.gui.words import t
from isonet2.parameters.base import GROUPS


class FormView:
    """Draw a form and keep the page true to it.

    Parameters
    ----------
    project
        The folder that the pages show.
    form
        What stands in the fields.
    choices
        What may be chosen for a field, as the project stands.
    changed
        Called with whether the form is right whenever anything in it changes.
    """

    def __init__(
        self, project: Project, form: Form, choices: Choices, changed: Callable[[bool], None]
    ) -> None:
        self.form, self.choices, self.changed = form, choices, changed
        self.fields = []
        for group in GROUPS:
            names = [n for n in form.names if group_of(n, form.model.model_fields[n]) == group]
            if not names:
                continue
            with self._group(group):
                self.fields += [
                    draw_field(project, form, name, self.refresh, choices) for name in names
                ]
        seen = form.model.command in SLIDERS and may_act()
        self.preview = LivePreview(project, form, self.refresh) if seen else None
        drawn = form.model.command in DRAWN and may_act()
        self.ctf = CtfView(project, form) if drawn else None
        self.problem = ui.label().classes("text-negative").props("role=alert")
        self.box = CommandBox(project, form, self.refresh)

    def _group(self, group: str) -> ui.element:
        """The box of a group of fields; Advanced is folded."""
        if group == "Advanced":
            with ui.expansion(t("group.Advanced"), icon="tune").classes("isonet-card isonet-fold"):
                return ui.element("div").classes("isonet-fields")
        with ui.element("section").classes("isonet-card"):
            ui.label(t(f"group.{group}")).classes("isonet-title q-mb-sm")
            return ui.element("div").classes("isonet-fields")

    def refresh(self) -> None:
        """Check the form, and show what is wrong, what has changed and what it would run."""
        _, problems = self.form.check()
        for drawn in self.fields:
            refresh_field(self.form, drawn, problems.get(drawn.name))
        known = {drawn.name for drawn in self.fields if self.form.visible(drawn.name)}
        others = [text for name, text in problems.items() if name not in known]
        count = len(problems)
        said = t("form.wrong_one") if count == 1 else t("form.wrong_many", count=count)
        self.problem.set_text(" ".join(others) or (said if count else ""))
        self.box.refresh()
        if self.preview is not None:
            self.preview.changed()
        if self.ctf is not None:
            self.ctf.changed()
        self.changed(not problems)

    def offer(self) -> None:
        """Offer what may be chosen by now."""
        for drawn in self.fields:
            if self.form.kind(drawn.name) in ("column", "network"):
                offer(drawn, self.choices(drawn.name))
