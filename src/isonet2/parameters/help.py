"""The pages that `--help` shows, drawn from the models; plain text, quick to make."""

import shutil
import textwrap

from isonet2.parameters.base import GROUPS, Parameters, choices, shown
from isonet2.parameters.commands import COMMANDS
from isonet2.parameters.describe import default_text, limits, metavar
from isonet2.parameters.names import other_words

PROGRAM = "isonet.py"
_GENERAL = (
    ("--config FILE", "YAML or JSON file of parameters; those given here count more."),
    ("--help", "Show this page."),
)


def overview() -> str:
    """The page of the whole program."""
    width = max(map(len, COMMANDS)) + 2
    lines = [
        f"{PROGRAM} COMMAND [parameters]",
        "",
        "Repair the missing wedge, the noise and the CTF of cryo-electron tomograms.",
        "",
        "Commands:",
        *(f"  {name:{width}}{_summary(model)}" for name, model in COMMANDS.items()),
        "",
        f"{PROGRAM} gui shows this folder as a project in the browser.",
        f"{PROGRAM} COMMAND --help explains the parameters of a command.",
        f"{PROGRAM} --version shows the version.",
    ]
    return "\n".join(lines)


def page(model: type[Parameters]) -> str:
    """The page of one command."""
    fields = model.model_fields
    positional = [
        name.upper() if fields[name].is_required() else f"[{name.upper()}]"
        for name in ordered(model)
        if shown(fields[name]).positional
    ]
    call = [*positional, "[parameters]"]
    if any(shown(field).rest for field in fields.values()):
        call = ["[parameters]", "COMMAND ..."]
    lines = [
        " ".join([PROGRAM, model.command, *call]),
        "",
        *_wrapped(" ".join((model.__doc__ or "").split()), ""),
        "",
        "Example:",
        f"  {PROGRAM} {model.example}",
    ]
    for group in GROUPS:
        names = [name for name in ordered(model) if shown(fields[name]).group == group]
        if names:
            lines += ["", f"{group}:"]
        for name in names:
            lines += _entry(model, name)
    lines += ["", "General:"]
    for head, text in _GENERAL:
        lines += [f"  {head}", f"      {text}"]
    return "\n".join(lines)


def ordered(model: type[Parameters]) -> list[str]:
    """Names of all parameters: those without a name on the command line, own, inherited."""
    own = model.__annotations__
    fields = model.model_fields
    first = [name for name, field in fields.items() if shown(field).positional]
    return first + sorted(fields.keys() - first, key=lambda n: (n not in own, [*fields].index(n)))


def _summary(model: type[Parameters]) -> str:
    """First paragraph of a model's docstring on one line."""
    return " ".join((model.__doc__ or "").split("\n\n")[0].split())


def _entry(model: type[Parameters], name: str) -> list[str]:
    field = model.model_fields[name]
    how = shown(field)
    head = f"--{name} {metavar(field)}"
    head = f"-{how.short}, {head}" if how.short else head
    facts = ["required" if field.is_required() else f"default {default_text(field)}"]
    facts += [] if choices(field) else [limits(field) or how.form]
    facts += ["or without its name"] if how.positional else []
    if old := other_words(model, name):
        facts.append(f"also {', '.join(f'--{word}' for word in old)}")
    text = f"{' '.join((field.description or '').split())} [{'; '.join(filter(None, facts))}]"
    return [f"  {head}", *_wrapped(text, "      ")]


def _wrapped(text: str, indent: str) -> list[str]:
    width = min(100, shutil.get_terminal_size().columns)
    return textwrap.wrap(
        text,
        max(width, 40),
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
