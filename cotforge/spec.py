"""The base of every typed section of the pipeline file."""

import ast
import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from textwrap import dedent
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


def _expand_path(text: str) -> str:
    data = text.encode(errors="surrogateescape")
    if b"\0" in data or len(data) > 4_095 or max(map(len, data.split(b"/"))) > 255:  # Linux's limits
        raise ValueError("no file can have this name: a path has at most 4,095 bytes, 255 between slashes, and no NUL")
    return text


_IS_PATH = AfterValidator(_expand_path)
PathText = Annotated[str, _IS_PATH]
"""A path, or another name that a file of that name goes before."""


def off_word(value: Any) -> Any:
    """The word `off`, of which YAML makes False."""
    return "off" if value is False else value


AutoOrOff = Annotated[Literal["auto", "off"], BeforeValidator(off_word, json_schema_input_type=Literal["auto", "off", False])]


def written_as(type_: Any) -> BeforeValidator:
    """Tells schema and docs what a file may have, where the type alone says less; changes no value."""
    return BeforeValidator(_as_given, json_schema_input_type=type_)


def _as_given(value: Any) -> Any:
    return value


_SPELLINGS: dict[str, str] = {}
"""By pattern, what is wanted of a text that does not match, in words."""


def spelled(pattern: str, words: str) -> Any:
    """A field whose text matches a pattern; a fault says the words, which no user has to decipher."""
    _SPELLINGS[pattern] = words
    return Field(pattern=pattern)


def fault_words(found: Mapping[str, Any]) -> str:
    """What pydantic found wrong with a value, in words."""
    if found["type"] == "string_pattern_mismatch" and (words := _SPELLINGS.get(found.get("ctx", {}).get("pattern", ""))):
        return f"Input should be {words}"
    least = found.get("ctx", {}).get("min_length")
    if found["type"] == "too_short":
        return f"there is none; at least {least} is needed" if not found["input"] else f"there are too few; at least {least} are needed"
    return str(found["msg"]).removeprefix("Value error, ")


class Spec(BaseModel):
    """A closed, frozen section: a key that is not a field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """With the strings under the fields: only a schema needs them, and to read the source takes 0.2 s of every start."""
        found = handler(core_schema)
        keys, docs = handler.resolve_ref_schema(found).get("properties", {}), field_docs(cls)
        for name, field in cls.model_fields.items():
            if name in docs and (key := field.alias or name) in keys:
                keys[key]["description"] = docs[name]
        return found


@cache
def field_docs(section: type[BaseModel]) -> Mapping[str, str]:
    """The string under each field of a section, by the field's name; fields without one are left out."""
    found: dict[str, str] = {}
    for each in reversed(section.__mro__):
        if issubclass(each, Spec) and each is not Spec:
            found |= _own_field_docs(each)
    return {name: words for name, words in found.items() if words}


def _own_field_docs(section: type) -> dict[str, str]:
    """Of the fields that stand in this class itself; a field without a string has an empty one."""
    body = ast.parse(dedent(inspect.getsource(section))).body[0]
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for field, below in pairwise([*body.body, ast.Pass()]):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            words = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else ""
            found[field.target.id] = inspect.cleandoc(words) if isinstance(words, str) else ""
    return found


def path_keys(section: type[BaseModel]) -> Iterator[str]:
    """The keys of a section whose value is a PathText."""
    for name, field in section.model_fields.items():
        parts = [field.annotation, *get_args(field.annotation)]
        if _IS_PATH in [*field.metadata, *(mark for part in parts for mark in getattr(part, "__metadata__", ()))]:
            yield field.alias or name


def paths_in(section: type[BaseModel], values: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """(section, key) of every PathText that a section of a file gives, and those that the sections below it give."""
    if isinstance(values, dict):
        yield from ((values, key) for key in path_keys(section) if key in values)
        for name, field in section.model_fields.items():
            given = values.get(field.alias or name)
            for below in _section_models(field.annotation):
                for each in given if isinstance(given, list) else [given]:
                    yield from paths_in(below, each)


def _section_models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections that a field may hold, alone or in a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _section_models(part)


class WrongKey(ValueError):
    """What a section's validator finds wrong with a key below the section: `tree.pydantic_faults` tells it at that key's own path."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}")
        self.key, self.message = key, message
