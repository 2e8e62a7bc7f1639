"""The command line that a form would run: shown, copied, saved as a script, pasted back."""

from collections.abc import Callable

from nicegui import ui

from isonet2.errors import InputError
from isonet2.gui.forms import Form, batch_script, script
from isonet2.gui.project import Project
from isonet2.gui.words import t


class CommandBox:
    """A card with the command line of a form.

    Parameters
    ----------
    project
        The folder in which it would run.
    form
        The form.
    filled
        Called when a pasted command has filled the form.
    """

    def __init__(self, project: Project, form: Form, filled: Callable[[], None]) -> None:
        self.project, self.form, self.filled = project, form, filled
        name = form.model.command
        with ui.element("section").classes("isonet-card"):
            with ui.row().classes("items-center w-full"):
                ui.label(t("command.title")).classes("isonet-title")
                ui.space()
                self._button("content_copy", t("command.copy"), self._copy)
                self._button(
                    "terminal", t("command.shell"),
                    lambda: ui.download.content(script(self.text, project.folder), f"{name}.sh"),
                )  # fmt: skip
                self._button(
                    "dns", t("command.batch"),
                    lambda: ui.download.content(
                        batch_script(self.text, project.folder, name), f"{name}.sbatch"
                    ),
                )  # fmt: skip
                self._button("content_paste", t("command.paste"), self._ask)
                self._button("restart_alt", t("form.reset_all"), self._reset)
            self.label = ui.label().classes("isonet-command").mark("command")

    @property
    def text(self) -> str:
        """The command line."""
        return self.form.command()

    def refresh(self, **replaced: str) -> None:
        """Show what the form says by now."""
        self.label.set_text(self.form.command(**replaced))

    def _button(self, icon: str, text: str, action: Callable[[], None]) -> None:
        ui.button(text, icon=icon, on_click=action).props("flat dense no-caps size=sm")

    def _copy(self) -> None:
        ui.clipboard.write(self.label.text)
        ui.notify(t("command.copied"), type="positive")

    def _reset(self) -> None:
        """Put all fields but the required ones back to their defaults."""
        fields = self.form.model.model_fields
        self.form.reset(*(name for name in self.form.names if not fields[name].is_required()))
        self.filled()

    def _ask(self) -> None:
        with ui.dialog() as dialog, ui.card().classes("isonet-paste"):
            ui.label(t("command.paste_help"))
            text = ui.textarea().props("outlined autofocus").classes("w-full isonet-mono")

            def fill() -> None:
                try:
                    self.form.paste(text.value or "")
                except InputError as error:
                    text.error = str(error)
                    return
                dialog.close()
                self.filled()
                ui.notify(t("command.filled"), type="positive")

            with ui.row().classes("w-full justify-end"):
                ui.button(t("command.cancel"), on_click=dialog.close).props("flat")
                ui.button(t("command.fill"), on_click=fill)
        dialog.open()
