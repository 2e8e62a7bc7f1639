"""Parameters written as the words of a command line."""

from typing import Any

from isonet2.parameters.base import Parameters


def words_of(parameters: Parameters) -> list[str]:
    """Words that call the command again: its name, and `--name=value` for all that was set.

    What was left to its default is left out, so that the call means the same as the first one.
    """
    values = parameters.model_dump(mode="json", include=parameters.model_fields_set)
    return [
        parameters.command,
        *(
            f"--{name}={_word(values[name])}"
            for name in type(parameters).model_fields
            if name in values
        ),
    ]


def _word(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_word, value))}]"
    return str(value)
