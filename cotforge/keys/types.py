"""What may stand at a key, in the words of those who write a pipeline file."""

from collections.abc import Iterable, Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

NAMES: dict[Any, str] = {str: "text", int: "whole number", float: "number", NoneType: "`null`"}
BOUNDS = {Ge: "at least", Gt: "above", Le: "at most", Lt: "below"}


def sections_in(annotation: Any) -> list[type[BaseModel]]:
    """The sections that an annotation allows, alone or in a list, each once."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return list(dict.fromkeys(section for part in get_args(annotation) for section in sections_in(part)))


def describe_type(field: FieldInfo) -> str:
    """A field's type in words, such as "number above 0 and below 1" or "`auto` or `off`"."""
    extra = field.json_schema_extra
    if isinstance(extra, dict) and isinstance(choices := extra.get("enum"), list):
        return join_words(f"`{choice}`" for choice in choices)
    return join_words(_name_alternatives(_as_written(field.annotation, field.metadata), field.metadata))


def join_words(words: Iterable[str]) -> str:
    """Words as a list with `or` before the last, each once, and `null` at the end."""
    found = sorted(dict.fromkeys(words), key=lambda word: word == "`null`")
    return " or ".join(filter(None, [", ".join(found[:-1]), *found[-1:]]))


def _as_written(annotation: Any, marks: Iterable[Any]) -> Any:
    """What a file may have, where a validator takes more than the type says."""
    given = [mark.json_schema_input_type for mark in marks if isinstance(mark, BeforeValidator)]
    return next((each for each in given if each is not PydanticUndefined), annotation)


def _name_alternatives(annotation: Any, marks: Iterable[Any] = ()) -> Iterator[str]:
    """The alternatives of a type, one by one."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = [mark for given in parts[1:] for mark in (given.metadata if isinstance(given, FieldInfo) else [given])]
        yield from _name_alternatives(_as_written(parts[0], inner), inner)
    elif origin is Literal:
        yield from (f"`{value}`" for value in parts if value is not False)  # false is what YAML 1.1 makes of `off`
    elif origin in (Union, UnionType):
        for part in parts:
            yield from _name_alternatives(part, () if part is NoneType else marks)
    elif annotation is bool:
        yield from ("`true`", "`false`")
    else:
        yield _one_word(annotation, marks)


def _one_word(annotation: Any, marks: Iterable[Any]) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (tuple, list):
        return _list_word(parts)
    if origin is dict:
        return "section with keys of your own"
    if sections_in(annotation):
        return "section"
    return f"{NAMES.get(annotation, 'any value')}{_bounds_text(marks)}"


def _list_word(parts: tuple[Any, ...]) -> str:
    if sections_in(parts[0]):
        return "list of sections"
    if parts[-1] is not Ellipsis and len(parts) > 1:
        return f"list of {len(parts)} {join_words(_name_alternatives(parts[0]))}s"
    words = [*_name_alternatives(parts[0])]
    if {"text", "whole number", "number"} <= {*words}:  # any value that YAML may make of an unquoted text
        words = ["text"]
    return f"list of {join_words(word if word.startswith('`') else _plural_word(word) for word in words)}"


def _plural_word(word: str) -> str:
    for name in ("whole number", "number", "text"):
        if word.startswith(name):
            return f"{name}s{word.removeprefix(name)}"
    return word


def _bounds_text(marks: Iterable[Any]) -> str:
    """The bounds of a number, as ` from 0 to 1` or ` above 0`."""
    found = {kind: getattr(mark, kind.__name__.lower()) for mark in marks for kind in BOUNDS if isinstance(mark, kind)}
    if found.keys() == {Ge, Le}:
        return f" from {_bound_text(found[Ge])} to {_bound_text(found[Le])}"
    return " and".join(f" {BOUNDS[kind]} {_bound_text(bound)}" for kind, bound in found.items())


def _bound_text(bound: Any) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"
