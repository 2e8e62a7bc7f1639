"""The folder that the pages show: what may be read in it, and what is remembered of it."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isonet2.data.files import atomic_path, locked
from isonet2.data.run_folder import HIDDEN
from isonet2.errors import InputError


class OutsideError(InputError):
    """A file lies outside the project and all confirmed folders.

    Attributes
    ----------
    folder
        The one to confirm, so that the file may be read.
    """

    def __init__(self, path: Path | str, folder: Path) -> None:
        super().__init__(
            f"{path} lies outside the project: confirm the folder {folder}, here or in Settings."
        )
        self.folder = folder


@dataclass(slots=True)
class Remembered:
    """Values in a JSON file, written whole at each change; a file that is broken is an empty one.

    Attributes
    ----------
    path
        The file.
    """

    path: Path

    def read(self) -> dict[str, Any]:
        """All values."""
        try:
            values = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return values if isinstance(values, dict) else {}

    def get(self, key: str, default: Any = None) -> Any:
        """One value."""
        return self.read().get(key, default)

    def put(self, key: str, value: Any) -> None:
        """Set one value; None removes it.

        Raises
        ------
        InputError
            When the file cannot be written.
        """
        try:
            with locked(self.path):
                values = self.read()
                values.pop(key, None)
                if value is not None:
                    values[key] = value
                with atomic_path(self.path) as beside:
                    beside.write_text(json.dumps(values, indent=1, ensure_ascii=False), "utf-8")
                    beside.chmod(0o600)
        except OSError as error:
            raise InputError(
                f"{self.path} cannot be written ({error.strerror}): settings are not kept."
            ) from error


def user_settings() -> Remembered:
    """What is remembered of the person, whatever the project: language, theme, programs."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return Remembered(home / "isonet2" / "gui.json")


@dataclass(slots=True)
class Project:
    """The folder in which the server was started.

    Attributes
    ----------
    folder
        The working folder, in full.
    settings
        What is remembered of the project.
    user
        What is remembered of the person.
    roots
        Folders outside the project that the person who started the server named.
    """

    folder: Path
    settings: Remembered
    user: Remembered
    roots: tuple[Path, ...] = ()

    @classmethod
    def at(cls, folder: Path, roots: Iterable[Path] = ()) -> "Project":
        """The project in `folder`."""
        whole = folder.resolve()
        told = tuple(root.expanduser().resolve() for root in roots)
        return cls(whole, Remembered(whole / HIDDEN / "gui.json"), user_settings(), told)

    def allowed_roots(self) -> tuple[Path, ...]:
        """Folders in which files may be read: the project, and those that a person named."""
        named = [Path(text).expanduser() for text in self.settings.get("roots", ())]
        places = [
            place for root in named for place in (Path(os.path.normpath(root)), root.resolve())
        ]
        return tuple(dict.fromkeys((self.folder, *self.roots, *places)))

    def confirm(self, folder: Path) -> None:
        """Let files in a folder be read from now on."""
        roots = [str(root) for root in self.settings.get("roots", ())]
        self.settings.put("roots", [*dict.fromkeys([*roots, str(folder)])])

    def allowed(self, path: Path | str) -> Path:
        """A path that may be read: inside a root by its name, or where its links lead.

        A link inside the project may lead anywhere, since data on other disks are linked into
        projects on purpose; `..` may not.

        Raises
        ------
        OutsideError
            When it lies outside of all roots.
        InputError
            When it belongs to the program itself.
        """
        written = Path(path).expanduser()
        whole = Path(os.path.normpath(self.folder / written))
        real = whole.resolve()
        if HIDDEN in real.parts or HIDDEN in whole.parts:
            raise InputError(f"{path} is the program's own: choose another file.")
        if any(
            place.is_relative_to(root) for place in (whole, real) for root in self.allowed_roots()
        ):
            return whole
        raise OutsideError(path, whole if whole.is_dir() else whole.parent)

    def outside(self, paths: Iterable[Path]) -> tuple[Path, ...]:
        """Folders to confirm so that all of some paths may be read."""
        found: dict[Path, None] = {}
        for path in paths:
            try:
                self.allowed(path)
            except OutsideError as error:
                found[error.folder] = None
            except InputError:
                continue
        return tuple(found)

    def told(self, path: Path) -> str:
        """A path as a table or a command of this project writes it: short where it lies inside."""
        try:
            return str(path.relative_to(self.folder))
        except ValueError:
            return str(path)
