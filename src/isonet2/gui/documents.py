"""The manual's pages, as they lie beside the package or in the repository."""

import re
from importlib.resources import files
from pathlib import Path

_LINK = re.compile(r"\]\((?!https?:|#|/)([^)#\s]+)(#[^)\s]*)?\)")
_HEADING = re.compile(r"^# +(.+)$", re.MULTILINE)
FIRST = ("README", "gui", "viewer", "questions", "halves", "parameters")
"""Pages that stand first in the list."""


def folder() -> Path | None:
    """Where the pages lie: in the package, or in the repository that it is run from."""
    package = Path(str(files("isonet2")))
    for place in (package / "manual", package.parents[1]):
        if (place / "README.md").is_file():
            return place
    return None


def pages(place: Path) -> dict[str, Path]:
    """The pages by name: README, and those in the folder `docs`."""
    found = {path.stem: path for path in sorted((place / "docs").glob("*.md"))}
    found["README"] = place / "README.md"
    names = sorted(
        found, key=lambda name: (name not in FIRST, FIRST.index(name) if name in FIRST else 0)
    )
    return {name: found[name] for name in names}


def title(path: Path) -> str:
    """The first heading of a page."""
    found = _HEADING.search(path.read_text(encoding="utf-8"))
    return found.group(1).replace("`", "") if found else path.stem


def text(path: Path, known: dict[str, Path], prefix: str) -> str:
    """A page whose links lead to pages and pictures of this server.

    Parameters
    ----------
    path
        The page.
    known
        All pages by name.
    prefix
        What addresses of this server begin with.
    """
    names = {page.resolve(): name for name, page in known.items()}

    def led(match: re.Match[str]) -> str:
        target = (path.parent / match[1]).resolve()
        if target in names:
            return f"]({prefix}/documents?page={names[target]}{match[2] or ''})"
        if target.suffix in (".png", ".jpg", ".svg"):
            return f"]({prefix}/documents/pictures/{target.name})"
        return f"]({match[1]})"

    return _LINK.sub(led, path.read_text(encoding="utf-8"))
