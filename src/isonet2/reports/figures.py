"""Figures that become PNG files, whatever the environment says of matplotlib.

matplotlib is loaded when a picture is drawn, with its own defaults, and only its canvas for files:
no window system, no notebook, no settings of the user, and no global state.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Literal, ParamSpec

from isonet2.data.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

P = ParamSpec("P")

_BACKEND = "MPLBACKEND"
_DOTS = 130  # per inch


def never_fatal(draw: Callable[P, None]) -> Callable[P, None]:
    """Let a function that draws say what went wrong, and go on: a picture is no result."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with plain_settings():
                draw(*args, **kwargs)
        except Exception as error:  # whatever a library that draws may raise
            path = kwargs.get("path", args[0] if args else "")
            log.warning("%s: the picture was not drawn: %s", path, str(error) or repr(error))

    return drawn


@contextmanager
def plain_settings() -> Iterator[None]:
    """Load matplotlib without the backend of the environment, and use its own defaults."""
    wanted = os.environ.pop(_BACKEND, None)
    try:
        import matplotlib as mpl
    finally:
        if wanted is not None:
            os.environ[_BACKEND] = wanted
    with mpl.rc_context():
        mpl.rcdefaults()
        yield


def figure(
    width: float, height: float, *, layout: Literal["constrained"] | None = "constrained"
) -> Figure:
    """Return an empty figure of a size in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout=layout, dpi=_DOTS)
    FigureCanvasAgg(made)
    return made


def save(made: Figure, path: Path | str) -> None:
    """Write a figure that appears whole."""
    with atomic_path(path) as temporary:
        made.savefig(temporary, format="png", backend="agg")
