"""A paragraph for the methods of a paper, beside a report: what was done, by what, what to cite."""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from isonet2.data.files import atomic_path
from isonet2.data.run_folder import METHODS
from isonet2.parameters import package_version
from isonet2.parameters.record import CITED

LIBRARIES = ("torch", "numpy")


def write_methods(folder: Path, command: str, sentences: Sequence[str]) -> Path:
    """Write `methods.txt`.

    Parameters
    ----------
    folder
        Of the report.
    command
        Name of the command that made it.
    sentences
        What was done and found, with figures and units, each a whole sentence.

    Returns
    -------
    Path
        The file: the paragraph, and what it cites.
    """
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    by = (
        f"This was done with IsoNet2 {package_version()} (command {command}; Python "
        f"{platform.python_version()}, {libraries}) [1]."
    )
    path = folder / METHODS
    with atomic_path(path) as temporary:
        text = f"{' '.join([*sentences, by])}\n\n[1] {CITED}\n"
        temporary.write_text(text, encoding="utf-8")
    return path
