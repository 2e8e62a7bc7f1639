"""Words as people type them, and sentences as people read them."""

from collections.abc import Iterable


def fold(word: str) -> str:
    """Reduce a name to what is compared: letter case, `-`, `_` and blanks do not count."""
    return word.casefold().replace("-", "").replace("_", "").replace(" ", "")


def in_words(values: Iterable[object], last: str = "or") -> str:
    """Join values as a sentence does: `a, b or c`."""
    *first, end = map(str, values)
    return f"{', '.join(first)} {last} {end}" if first else end
