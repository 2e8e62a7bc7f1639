"""What the pages say, in English and Chinese: one dictionary for each language."""

from functools import cache
from importlib.resources import files

import yaml

LANGUAGES = {"en": "English", "zh": "中文"}


@cache
def dictionary(language: str) -> dict[str, str]:
    """All texts of a language by key."""
    text = files(__name__).joinpath(f"{language}.yaml").read_text(encoding="utf-8")
    return {
        f"{group}.{key}": str(words)
        for group, entries in yaml.safe_load(text).items()
        for key, words in entries.items()
    }


class _Speaker:
    """The language that the pages of this server are in."""

    language = "en"


def speak(language: str | None) -> None:
    """Choose the language of the pages that are made from now on; an unknown one is English."""
    _Speaker.language = language if language in LANGUAGES else "en"


def language() -> str:
    """The language of the pages."""
    return _Speaker.language


def t(key: str, **values: object) -> str:
    """Text for `key`, with `{name}` in it replaced by values."""
    text = dictionary(_Speaker.language)[key]
    return text.format(**values) if values else text
