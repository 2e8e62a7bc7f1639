"""Words as people type them, and sentences as people read them."""

import re
from collections.abc import Iterable


def fold(word: str) -> str:
    """Reduce a name to what is compared: letter case, `-`, `_` and blanks do not count."""
    return word.casefold().replace("-", "").replace("_", "").replace(" ", "")


def parted(text: str) -> tuple[str, ...]:
    """Members of a list as people type it: `1,2`, `1 2`, `[1, 2]` or `(1 2)`."""
    return tuple(part for part in re.split(r"[\s,]+", text.strip("[]() ")) if part)


def in_words(values: Iterable[object], last: str = "or") -> str:
    """Join values as a sentence does: `a, b or c`."""
    *first, end = map(str, values)
    return f"{', '.join(first)} {last} {end}" if first else end
