"""Other programs that show volumes: which a person chose, their commands, and starting them."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from isonet2.errors import InputError
from isonet2.gui.project import Remembered
from isonet2.jobs.settings import split_words

PROGRAMS = {"3dmod": "3dmod {file}", "ChimeraX": "chimerax {file}", "napari": "napari {file}"}
"""What people call them, and their commands where nobody chose others."""
OWN = "own"
"""Name under which a command of the person's own is kept."""
FILE = "{file}"
_KEY = "viewers"


def chosen(user: Remembered) -> dict[str, str]:
    """The command of each program and of `OWN`, as the person typed it; not offered if empty."""
    kept = user.get(_KEY)
    known = kept if isinstance(kept, dict) else {}
    return {name: str(known.get(name, text)) for name, text in {**PROGRAMS, OWN: ""}.items()}


def keep(user: Remembered, texts: dict[str, str]) -> None:
    """Remember the commands that differ from those that there are anyway."""
    usual = {**PROGRAMS, OWN: ""}
    other = {name: text for name, text in texts.items() if text != usual[name]}
    user.put(_KEY, other or None)


def offered(user: Remembered) -> dict[str, tuple[str, ...]]:
    """The words of each command that is not empty, by what its button is called."""
    found = {}
    for name, text in chosen(user).items():
        try:
            words = words_of(text)
        except InputError:
            continue
        if words:
            found[Path(words[0]).name if name == OWN else name] = words
    return found


def words_of(text: str) -> tuple[str, ...]:
    """The words of a command as it is typed; none of an empty one.

    Raises
    ------
    InputError
        When it does not say where the files belong, or its quotes do not close.
    """
    words = split_words(text)
    if words and not any(FILE in word for word in words[1:]):
        raise InputError(f"{text}: write {FILE} where the path of the volume belongs.")
    return words


def command(words: Sequence[str], paths: Sequence[Path]) -> list[str]:
    """A command with volumes in it; paths in full, so that none can be an option.

    A word with `FILE` in it is there once for each volume.
    """
    whole = [str(path.absolute()) for path in paths]
    return [
        filled
        for word in words
        for filled in ([word.replace(FILE, path) for path in whole] if FILE in word else [word])
    ]


def as_text(words: Sequence[str]) -> str:
    """A command as it is typed."""
    return shlex.join(words)


def obstacle(words: Sequence[str]) -> str | None:
    """Why a command cannot be started here, as the key of a text; None where it can."""
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "view.no_display"
    return None if shutil.which(words[0]) else "view.not_found"


def start(words: Sequence[str], paths: Sequence[Path]) -> None:
    """Start a program on its own: it outlives the pages."""
    subprocess.Popen(
        command(words, paths),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
