"""A form of one command: what stands in its fields, what is wrong with it, what it would run."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from isonet2.errors import InputError
from isonet2.parameters.base import Group, Parameters, choices, meant, members, shown, takes_none
from isonet2.parameters.command_line import parse, plain
from isonet2.parameters.commands import COMMANDS
from isonet2.parameters.describe import sentences
from isonet2.parameters.help import PROGRAM, ordered
from isonet2.parameters.shared import ARCHITECTURES

Kind = Literal["switch", "choice", "column", "file", "folder", "place", "network", "text"]

FOLDERS = frozenset(
    {
        "full",
        "even",
        "odd",
        "mask_folder",
        "coordinate_folder",
        "defocus_folder",
        "tilt_folder",
        "output_dir",
    }
)
NETWORK_FIELDS = frozenset({"model", "model2", "pretrained_model"})
FULL_ONLY = ("input_column", "with_deconv", "noise_level", "noisestartiter", "noise_mode")

Rule = Callable[[Mapping[str, Any]], bool]


def _wiener(values: Mapping[str, Any]) -> bool:
    return values.get("CTF_mode") == "wiener" or values.get("with_deconv") is True


def _network(values: Mapping[str, Any]) -> bool:
    return values.get("CTF_mode") == "network"


def _full(values: Mapping[str, Any]) -> bool:
    return values.get("method") != "isonet2-n2n"


_TRAINING: dict[str, Rule] = {
    "prev_tomo_idx": lambda values: values.get("with_preview") is not False,
    "do_phaseflip_input": lambda values: values.get("CTF_mode") != "None",
    "bfactor": _network,
    "clip_first_peak_mode": _network,
    "snrfalloff": _wiener,
    "deconvstrength": _wiener,
    "highpassnyquist": _wiener,
    **dict.fromkeys(FULL_ONLY, _full),
}
STEPS = ("inspect", "denoise", "deconv", "make_mask", "refine", "predict", "validate")
"""Commands that have a page with a form, which makes jobs of them."""
PREPARE = "prepare_star"
"""The command whose form stands on the page of the table."""
EVEN_ODD = "even_odd"
"""Switch of the form that makes a table: halves, or full tomograms."""
_PREPARING: dict[str, Rule] = {
    "full": lambda values: not values[EVEN_ODD],
    **dict.fromkeys(("even", "odd", "create_average"), lambda values: bool(values[EVEN_ODD])),
}
SHOWN_WHEN: dict[str, dict[str, Rule]] = {
    PREPARE: _PREPARING,
    "denoise": _TRAINING,
    "refine": _TRAINING,
}
"""When a field means something, by command; one that does not is neither shown nor sent."""


def kind_of(name: str, field: FieldInfo) -> Kind:
    """How a field is filled in."""
    first = members(field.annotation)[0]
    if name in NETWORK_FIELDS:
        return "network"
    if choices(field) or (first is bool and takes_none(field)) or name == "arch":
        return "choice"
    if first is bool:
        return "switch"
    if name == "input_column":
        return "column"
    if name == "tomograms":
        return "place"
    if first is Path:
        return "folder" if name in FOLDERS else "file"
    return "text"


def options_of(name: str, field: FieldInfo) -> tuple[str, ...]:
    """The words among which a field of kind `choice` chooses; the empty word stands for None."""
    none = ("",) if takes_none(field) else ()
    if name == "arch":
        return ARCHITECTURES
    if bool in members(field.annotation):
        return (*none, "True", "False")
    return (*none, *map(str, choices(field)))


def text_of(value: object) -> str:
    """A value as a person types it: numbers plain, lists in brackets, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, tuple | list):
        return f"[{','.join(map(text_of, value))}]"
    return str(value)


def group_of(name: str, field: FieldInfo) -> Group:
    """Heading under which a field stands; a job chooses its folder unless one is asked for."""
    return "Advanced" if name in ("output_dir", "resume") else shown(field).group


def briefly(sentence: str) -> str:
    """What is wrong, for a place beside the field, where its name need not be said."""
    said, _, advice = sentence.partition(" is not allowed: ")
    return advice[:1].upper() + advice[1:] if advice else said


class Form:
    """Fields of one command as a person fills them in.

    Parameters
    ----------
    command
        Its name.
    remembered
        What stood in the fields last, by name.

    Attributes
    ----------
    model
        The command's parameters.
    texts
        What stands in each field: a text, or a truth value for a switch.
    switches
        What the page asks besides, and no parameter says.
    """

    def __init__(self, command: str, remembered: Mapping[str, Any] | None = None) -> None:
        self.model: type[Parameters] = COMMANDS[command]
        self.texts: dict[str, str | bool] = {}
        self.switches = {EVEN_ODD: bool((remembered or {}).get(EVEN_ODD, True))}
        self.reset()
        for name, value in (remembered or {}).items():
            if name in self.texts and isinstance(value, type(self.texts[name])):
                self.texts[name] = value

    @property
    def names(self) -> list[str]:
        """All fields in the order in which they are shown."""
        return ordered(self.model)

    def kind(self, name: str) -> Kind:
        """How a field is filled in."""
        return kind_of(name, self.model.model_fields[name])

    def default(self, name: str) -> str | bool:
        """What stands in a field that nobody has touched; a job has its own folder."""
        field = self.model.model_fields[name]
        if field.is_required() or name == "output_dir":
            return ""
        return field.default if self.kind(name) == "switch" else text_of(field.default)

    def reset(self, *names: str) -> None:
        """Put fields back to their defaults; all of them where none is named."""
        for name in names or self.names:
            self.texts[name] = self.default(name)

    def changed(self, name: str) -> bool:
        """Whether a field differs from its default."""
        return self.texts[name] != self.default(name)

    def visible(self, name: str) -> bool:
        """Whether a field means something beside the others."""
        rule = SHOWN_WHEN.get(self.model.command, {}).get(name)
        return rule is None or rule(self.texts | self.switches)

    def remember(self) -> dict[str, str | bool]:
        """What to keep of it for the next time: the fields that differ from their defaults."""
        changed = {name: self.texts[name] for name in self.names if self.changed(name)}
        return {name: text for name, text in changed.items() if name != "resume"} | self.switches

    def values(self) -> dict[str, Any]:
        """What the model is given: the fields that are shown and differ from their defaults."""
        fields = self.model.model_fields
        return {
            name: meant(fields[name], self.texts[name])
            for name in self.names
            if self.visible(name) and (self.changed(name) or fields[name].is_required())
            and not (fields[name].is_required() and self.texts[name] == "")
        }  # fmt: skip

    def check(self) -> tuple[Parameters | None, dict[str, str]]:
        """The parameters, or everything that is wrong, by field; "" is what concerns several."""
        values = self.values()
        try:
            return self.model.model_validate(values), {}
        except ValidationError as error:
            return None, sentences(error, self.model, values)

    def words(self, **replaced: str) -> list[str]:
        """The command line as words, the program's name first.

        Parameters
        ----------
        replaced
            Values to write in place of what stands in the fields.
        """
        fields = self.model.model_fields
        given = {name: text_of(value) or "None" for name, value in self.values().items()} | replaced
        positional = (name for name in self.names if shown(fields[name]).positional)
        bare = [*takewhile(lambda name: name in given and given[name][0] != "-", positional)]
        line = [PROGRAM, self.model.command, *(given[name] for name in bare)]
        for name in self.names:
            if name in given and name not in bare:
                joined = given[name].startswith("-") and not given[name][1:2].isdigit()
                line += [f"--{name}={given[name]}"] if joined else [f"--{name}", given[name]]
        return line

    def command(self, **replaced: str) -> str:
        """The command line as it is typed into a shell."""
        return shlex.join(self.words(**replaced))

    def paste(self, text: str) -> None:
        """Fill the fields from a command line.

        Raises
        ------
        InputError
            With everything that cannot be understood; the fields stay as they are.
        """
        command, words = split_command(text)
        if command != self.model.command:
            raise InputError(f"This is a command line of {command}, not of {self.model.command}.")
        parameters = parse(words, self.model)
        self.reset()
        self.fill(parameters)

    def take(self, values: Mapping[str, Any], without: Sequence[str] = ()) -> None:
        """Fill the fields from the values of a record; what they do not say stays default."""
        known = {
            name: value
            for name, value in values.items()
            if name in self.model.model_fields and name not in without
        }
        self.reset()
        self.fill(self.model.model_construct(set(known), **known))

    def fill(self, parameters: Parameters) -> None:
        """Fill the fields from parameters."""
        given = parameters.model_fields_set
        if "full" in given or "even" in given:
            self.switches[EVEN_ODD] = getattr(parameters, "even", None) is not None
        for name in given:
            value = getattr(parameters, name)
            self.texts[name] = bool(value) if self.kind(name) == "switch" else text_of(value)


def split_command(text: str) -> tuple[str, list[str]]:
    """Name of the command in a command line, and the words after it.

    Line ends behind a backslash, a prompt, a redirection to a log and a closing `&` are left out.

    Raises
    ------
    InputError
        Where there is no command of this program in it.
    """
    joined = " ".join(text.replace("\\\n", " ").split("\n")).strip().removeprefix("$ ")
    try:
        words = [plain(word) for word in shlex.split(joined)]
    except ValueError as error:
        raise InputError(f"The quotes of this command line do not close ({error}).") from error
    start = next((at for at, word in enumerate(words) if word in COMMANDS), None)
    if start is None:
        raise InputError(f"This holds no command of the program: {', '.join(COMMANDS)}.")
    rest = words[start + 1 :]
    end = next(
        (at for at, word in enumerate(rest) if word in ("&", ">", ">>", "2>&1", "|", ";")), None
    )
    return words[start], rest[:end]


def script(command: str, folder: Path) -> str:
    """A shell script that runs a command line in a folder."""
    return f"#!/bin/sh\nset -e\ncd {shlex.quote(str(folder))}\n{command}\n"


def batch_script(command: str, folder: Path, name: str) -> str:
    """A script for SLURM's `sbatch` that runs a command line in a folder."""
    return (
        "#!/bin/bash\n"
        f"#SBATCH --job-name={name}\n"
        "#SBATCH --gres=gpu:1\n"
        "#SBATCH --cpus-per-task=8\n"
        "#SBATCH --time=24:00:00\n"
        f"#SBATCH --output={name}_%j.log\n"
        "set -e\n"
        f"cd {shlex.quote(str(folder))}\n"
        f"srun {command}\n"
    )
