"""The names that a user may write for a parameter or a command, and the nearest to a wrong one."""

from collections.abc import Iterable
from difflib import get_close_matches

from isonet2.parameters.base import Parameters
from isonet2.parameters.words import fold, in_words

ALIASES: dict[str, dict[str, str]] = {
    "*": {
        "ncpu": "ncpus",
        "iterations": "epochs",
        "subtomo_size": "cube_size",
        "phaseflipped": "isCTFflipped",
        "isCTFflipped": "phaseflipped",
    },
    "prepare_star": {"outputstar": "star_name", "rlnDefocus": "defocus"},
    "deconv": {"deconvfolder": "output_dir"},
    "make_mask": {"maskfolder": "output_dir"},
}
"""Other words for a parameter, by command; `*` holds for every command that has it."""


def spellings(model: type[Parameters]) -> dict[str, str]:
    """Every name that a parameter of `model` goes by, folded, and its true name."""
    aliases = {**ALIASES["*"], **ALIASES.get(model.command, {})}
    known = {fold(old): name for old, name in aliases.items() if name in model.model_fields}
    return known | {fold(name): name for name in model.model_fields}


def other_words(model: type[Parameters], name: str) -> list[str]:
    """The aliases of parameter `name`, as a user may write them."""
    known = spellings(model)
    tables = (ALIASES["*"], ALIASES.get(model.command, {}))
    return [
        old
        for table in tables
        for old, new in table.items()
        if new == name and known[fold(old)] == name and fold(old) != fold(name)
    ]


def nearest(word: str, names: Iterable[str]) -> str | None:
    """The name most like `word`, or None where none is like it."""
    folded = {fold(name): name for name in names}
    found = get_close_matches(fold(word), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def unknown(
    word: str, model: type[Parameters], others: Iterable[type[Parameters]], mark: str = "--"
) -> str:
    """Say that `model` has no parameter `word`, and which name may have been meant.

    Parameters
    ----------
    word
        What the user wrote.
    model
        The command that was to take it.
    others
        Commands that may have it.
    mark
        What stands before a name where the user wrote it.
    """
    known = spellings(model)
    sentence = f"{model.command} has no parameter {mark}{word}"
    if near := nearest(word, known):
        return f"{sentence}: did you mean {mark}{known[near]}?"
    owners = [other.command for other in others if fold(word) in spellings(other)]
    if owners:
        return f"{sentence}; {in_words(owners, 'and')} {'has' if len(owners) == 1 else 'have'} it."
    return f"{sentence}: isonet.py {model.command} --help lists them."
