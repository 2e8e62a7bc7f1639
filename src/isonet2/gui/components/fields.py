"""Fields of a form, each drawn as its type asks for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nicegui import ui

from isonet2.gui.components.browser import browse_button
from isonet2.gui.forms import Form, briefly, options_of
from isonet2.gui.project import Project
from isonet2.gui.words import dictionary, language, t
from isonet2.parameters.base import shown
from isonet2.parameters.describe import default_text

SUFFIXES: dict[str, tuple[str, ...]] = {
    "star_file": (".star",),
    "tilt_file": (".tlt", ".rawtlt", ".txt", ".aln", ".star", ".xml", ".tomostar", ".mdoc"),
    "model": (".pt",),
    "model2": (".pt",),
    "pretrained_model": (".pt",),
}
"""Endings of the files that may be chosen for a field."""
UNITS = {"angstrom": "Å", "square angstrom": "Å²", "degrees": "°"}
Choices = Callable[[str], Mapping[str, str]]
"""What may be chosen for a field as the project stands: value, and words for it."""
_LOOK = "outlined dense options-dense stack-label"


@dataclass(slots=True)
class Field:
    """One field on the page."""

    name: str
    box: ui.element
    widget: Any
    undo: ui.button


def draw_field(
    project: Project, form: Form, name: str, changed: Callable[[], None], choices: Choices
) -> Field:
    """Draw a field, which writes into `form` and then calls `changed`."""
    kind = form.kind(name)
    with ui.element("div").classes("isonet-field" + " isonet-wide" * (kind == "network")) as box:
        widget = _WIDGETS.get(kind, _text)(form, name, choices)
        widget.props(f"data-name={name}")
        with widget:
            ui.tooltip(explanation(form, name)).props("delay=600 max-width=340px")
        with widget if kind == "switch" else widget.add_slot("append"):
            undo = ui.button(icon="undo").props(
                f'flat round dense size=sm color=accent aria-label="{t("form.reset")}"'
            )
            if kind in ("file", "folder", "place", "network"):
                browse_button(
                    project, widget, folders=kind == "folder",
                    suffixes=SUFFIXES.get(name, ()), either=kind == "place",
                )  # fmt: skip

    def take(value: Any) -> None:
        text = bool(value) if kind == "switch" else str(value or "").strip()
        if form.texts[name] != text:
            form.texts[name] = text
            changed()

    widget.on_value_change(lambda event: take(event.value))
    undo.on("click.stop", lambda: widget.set_value(form.default(name)))
    return Field(name, box, widget, undo)


def refresh_field(form: Form, drawn: Field, problem: str | None) -> None:
    """Bring a field on the page to what the form says."""
    name, widget, text = drawn.name, drawn.widget, form.texts[drawn.name]
    changed = form.changed(name) and not form.model.model_fields[name].is_required()
    drawn.box.set_visibility(form.visible(name))
    drawn.box.classes(add="changed" if changed else "", remove="" if changed else "changed")
    drawn.undo.set_visibility(changed)
    if hasattr(widget, "error"):
        widget.error = briefly(problem) if problem else None
    if widget.value != text and str(widget.value or "").strip() != text:
        if isinstance(widget, ui.select) and text not in widget.options:
            widget.set_options({**dict(widget.options), str(text): str(text)})
        widget.set_value(text)


def offer(drawn: Field, choices: Mapping[str, str]) -> None:
    """Offer what may be chosen by now, and keep what is chosen."""
    options = dict(choices)
    options.setdefault(drawn.widget.value or "", drawn.widget.value or "")
    if drawn.widget.options != options:
        drawn.widget.set_options(options, value=drawn.widget.value)


def label_of(form: Form, name: str) -> str:
    """A field's name in words; required ones are marked."""
    return t(f"field.{name}") + " *" * form.model.model_fields[name].is_required()


def explanation(form: Form, name: str) -> str:
    """What a field does, its name on the command line, and its default."""
    field = form.model.model_fields[name]
    text = " ".join((field.description or "").split())
    default = (
        t("form.required") if field.is_required() else t("form.default", value=default_text(field))
    )
    return f"{text} (--{name}, {default})"


def word_of(form: Form, name: str, value: str) -> str:
    """A choice in words, where there are better ones than its name."""
    if value == "":
        return t("form.auto") if shown(form.model.model_fields[name]).auto else t("form.none")
    known = dictionary(language())
    truth = {"True": "form.yes", "False": "form.no"}.get(value, "")
    return known.get(f"choice.{name}.{value}") or known.get(truth) or value


def _switch(form: Form, name: str, choices: Choices) -> Any:
    return ui.switch(label_of(form, name), value=bool(form.texts[name])).classes("isonet-switch")


def _choice(form: Form, name: str, choices: Choices) -> Any:
    words = options_of(name, form.model.model_fields[name])
    options = {word: word_of(form, name, word) for word in (*words, str(form.texts[name]))}
    return _select(form, name, options, free=name == "arch")


def _chooser(form: Form, name: str, choices: Choices) -> Any:
    value = str(form.texts[name])
    options = {value: value or _nothing(form, name), **choices(name)}
    return _select(form, name, options, free=True)


def _select(form: Form, name: str, options: dict[str, str], *, free: bool) -> Any:
    """A list to choose from; where it is `free`, one may write what it does not hold."""
    widget = ui.select(
        options,
        label=label_of(form, name),
        value=form.texts[name],
        with_input=free,
        new_value_mode="add-unique" if free else None,
        key_generator=(lambda text: text) if free else None,
    )
    widget.props(f'{_LOOK} suffix="{_unit(form, name)}"')
    return widget.without_auto_validation()


def _text(form: Form, name: str, choices: Choices) -> Any:
    widget = ui.input(label_of(form, name), value=str(form.texts[name]))
    widget.props(f'{_LOOK} suffix="{_unit(form, name)}" autocomplete=off spellcheck=false')
    if not form.default(name):
        widget.props(f'placeholder="{_nothing(form, name)}"')
    return widget.without_auto_validation()


def _nothing(form: Form, name: str) -> str:
    """What an empty field means."""
    field = form.model.model_fields[name]
    if field.is_required():
        return ""
    known = dictionary(language()).get(f"nothing.{name}")
    return known or (t("form.auto") if shown(field).auto else t("form.none"))


def _unit(form: Form, name: str) -> str:
    unit = shown(form.model.model_fields[name]).unit
    return UNITS.get(unit) or dictionary(language()).get(f"unit.{unit}", unit)


_WIDGETS: dict[str, Callable[[Form, str, Choices], Any]] = {
    "switch": _switch,
    "choice": _choice,
    "column": _chooser,
    "network": _chooser,
}
