"""What all parameter models share: the frozen base, and how a field appears to a user."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    NoReturn,
    Union,
    get_args,
    get_origin,
)

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic._internal._model_construction import ModelMetaclass
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema

from isonet2.errors import InputError
from isonet2.parameters.words import fold

Group = Literal["Basic", "CTF", "Advanced"]
GROUPS: tuple[Group, ...] = get_args(Group)


@dataclass(frozen=True)
class Shown:
    """How a field appears to a user, beside what its type, limits and docstring say.

    Parameters
    ----------
    group
        Heading that it stands under.
    unit
        Unit of its value, in words.
    positional
        Whether the command line takes it without its name.
    rest
        Whether it takes all words from there on, as they are.
    short
        Letter of its short form.
    auto
        Whether "auto" is another word for None.
    form
        What a value must look like, where type and limits do not say it.
    """

    group: Group = "Advanced"
    unit: str = ""
    positional: bool = False
    rest: bool = False
    short: str = ""
    auto: bool = False
    form: str = ""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Carry group and unit into the JSON schema, for whoever draws a form."""
        return {**handler(schema), "group": self.group, "unit": self.unit}


class _InSentences(ModelMetaclass):
    """A call of a model says what is wrong in sentences, as the command line does."""

    def __call__(cls, *args: Any, **values: Any) -> Any:
        """Make the model; InputError with a line for each bad value."""
        try:
            return super().__call__(*args, **values)
        except ValidationError as error:
            describe = import_module("isonet2.parameters.describe")  # which imports this module
            said: dict[str, str] = describe.sentences(error, cls, values)
            raise InputError("\n".join(said.values())) from None


class Parameters(BaseModel, metaclass=_InSentences):
    """All that a user can set of one command; frozen, and refusing what it does not know."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        allow_inf_nan=False,
        coerce_numbers_to_str=True,
        str_strip_whitespace=True,
        use_attribute_docstrings=True,
    )

    command: ClassVar[str]
    """Name of the command."""
    example: ClassVar[str]
    """One typical call, without the program's name."""
    passes: ClassVar[Mapping[int, str]] = {}
    """Exit statuses beside 0 that are no failure, and what they mean."""

    if not TYPE_CHECKING:  # to mypy all fields are frozen

        def __setattr__(self, name: str, value: object) -> None:
            """Refuse: parameters are not changed once they are made."""
            self._refuse_change(name)

        def __delattr__(self, name: str) -> None:
            """Refuse: parameters are not changed once they are made."""
            self._refuse_change(name)

    def _refuse_change(self, name: str) -> NoReturn:
        made = type(self).__name__
        if name not in type(self).model_fields:
            raise InputError(f"{self.command} has no parameter {name}, and none is added later.")
        raise InputError(f"{name} is fixed once {made} is made: make it anew with another value.")

    @model_validator(mode="before")
    @classmethod
    def _understand_words(cls, values: Any) -> Any:
        """Turn words as people type them into the values that they stand for."""
        if not isinstance(values, dict):
            return values
        fields = cls.model_fields
        return {k: meant(fields[k], v) if k in fields else v for k, v in values.items()}


def shown(field: FieldInfo) -> Shown:
    """How `field` is shown; advanced and bare where its annotation does not say.

    A field's own word counts more than that of the shared type that it is made from.
    """
    return next((m for m in reversed(field.metadata) if isinstance(m, Shown)), Shown())


def members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union; anything else is its own only member."""
    if get_origin(annotation) is Annotated:
        return members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return tuple(m for part in get_args(annotation) for m in members(part))
    return (annotation,)


def choices(field: FieldInfo) -> tuple[str | int, ...]:
    """The values of a field that takes one of a few; empty for every other field."""
    return tuple(
        value
        for member in members(field.annotation)
        if get_origin(member) is Literal
        for value in get_args(member)
    )


def takes_none(field: FieldInfo) -> bool:
    """Whether None is a value of `field`."""
    return NoneType in members(field.annotation)


def meant(field: FieldInfo, value: Any) -> Any:
    """The value of `field` that a word stands for: a choice in any spelling, None, or auto.

    True and False are the numbers 1 and 0 to Python, and words where no truth value is asked for.
    """
    if isinstance(value, bool) and bool not in members(field.annotation):
        value = str(value)
    if not isinstance(value, str | None):
        return value
    word = fold(str(value))
    for choice in choices(field):
        if fold(str(choice)) == word:
            return choice
    is_none = word in ("none", "null", "") or (word == "auto" and shown(field).auto)
    return None if is_none and takes_none(field) else value
