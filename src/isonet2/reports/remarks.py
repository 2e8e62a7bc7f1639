"""Warnings about many tomograms, held back and said in one block, each once."""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from isonet2.errors import counted, few

PACKAGE = logging.getLogger("isonet2")


class _Collector(logging.Handler):
    """Keeps warnings, and passes everything else on."""

    def __init__(self, handlers: Sequence[logging.Handler]) -> None:
        super().__init__()
        self.passed_to = handlers
        self.kept: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record."""
        if record.levelno == logging.WARNING:
            self.kept.append(record)
            return
        for handler in self.passed_to:
            if record.levelno >= handler.level:
                handler.handle(record)


@contextmanager
def gathered(names: Sequence[str]) -> Iterator[None]:
    """Hold back the package's warnings while a block runs, and say them together when it ends.

    Those that differ in nothing but the tomogram, and in numbers, are said of the first one, with
    the names of the others.

    Parameters
    ----------
    names
        Of the tomograms.
    """
    handlers, propagate = PACKAGE.handlers, PACKAGE.propagate
    elsewhere = logging.getLogger().handlers if propagate else []
    collector = _Collector([*handlers, *elsewhere])
    PACKAGE.handlers, PACKAGE.propagate = [collector], False
    try:
        yield
    finally:
        PACKAGE.handlers, PACKAGE.propagate = handlers, propagate
        for text in grouped([record.getMessage() for record in collector.kept], names):
            PACKAGE.warning("%s", text)


def grouped(texts: Sequence[str], names: Sequence[str]) -> list[str]:
    """Texts of one kind as one, in the order in which they came.

    Parameters
    ----------
    texts
        Remarks, most with a tomogram's name in them.
    names
        Of the tomograms.

    Returns
    -------
    list of str
        One for each kind. Before several there is a line that counts them.
    """
    longest = sorted(names, key=len, reverse=True)
    name = re.compile("|".join(rf"(?<!\w){re.escape(n)}(?![^\W_])" for n in longest) or r"(?!)")
    kinds: dict[str, list[tuple[str, str | None]]] = {}
    for text in texts:
        found = name.search(text)
        kind = re.sub(r"\d+(\.\d+)?", "#", name.sub("*", text))
        kinds.setdefault(kind, []).append((text, found and found.group()))
    said = []
    for members in kinds.values():
        first, about = members[0]
        others = list(dict.fromkeys(n for _, n in members if n is not None and n != about))
        said.append(f"{first} (likewise {few(others)})" if others else first)
    return [f"{counted(len(said), 'remark')} before training:", *said] if len(said) > 1 else said
