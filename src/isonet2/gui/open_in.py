"""Other programs that show volumes: the command that opens them there, and starting it."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

PROGRAMS = {"3dmod": "3dmod", "ChimeraX": "chimerax", "napari": "napari"}
"""What people call them, and what their commands are called."""


def command(program: str, paths: Sequence[Path]) -> list[str]:
    """The words that open volumes in a program; paths in full, so that none can be an option."""
    return [PROGRAMS[program], *(str(path.absolute()) for path in paths)]


def as_text(words: Sequence[str]) -> str:
    """A command as it is typed."""
    return shlex.join(words)


def obstacle(program: str) -> str | None:
    """Why a program cannot be started here, as the key of a text; None where it can."""
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "view.no_display"
    return None if shutil.which(PROGRAMS[program]) else "view.not_found"


def start(program: str, paths: Sequence[Path]) -> None:
    """Start a program on its own: it outlives the pages."""
    subprocess.Popen(
        command(program, paths),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
