"""Every key of the pipeline file with its type, its default and its meaning: the field's own docstring, and nothing besides."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from cotforge.keys.types import describe_type, join_words, sections_in
from cotforge.pipeline import Pipeline
from cotforge.spec import field_docs
from cotforge.teachers.kinds import KINDS as TEACHER_KINDS

Section = type[BaseModel]

DEFAULT_KIND = str(TEACHER_KINDS[0].model_fields["kind"].default)
"""The one kind that a section has where it names none: that of a teacher."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the pipeline file; a key that several kinds have with another meaning or default is told once for each."""

    path: str
    """As in `train.stages[].clip.low`; `[]` stands for any item of a list."""
    kinds: tuple[str, ...]
    """The kinds of the section, or of one above it, that have the key; empty where all have it, or there are none."""
    type: str
    """What may stand there, in words."""
    required: bool
    default: Any
    """A plain value, as YAML would have it; None also where it is required."""
    meaning: str
    """The field's docstring."""
    holds: tuple[Section, ...]
    """The sections that may stand there; empty for a plain value."""

    @property
    def section(self) -> str:
        """The path of the section that the key is in; empty at the top."""
        return self.path.rpartition(".")[0]


def list_keys(section: Section = Pipeline) -> list[Key]:
    """Every key of a section and of those below it, in the order of the models; what lies below a key follows it."""
    return list(_keys_of([section], "", ()))


def _keys_of(sections: Iterable[Section], above: str, kinds: tuple[str, ...]) -> Iterator[Key]:
    sections = list(sections)
    names = dict.fromkeys(name for section in sections for name in section.model_fields)
    for name in sorted(names, key=lambda name: name != "kind"):
        having = [section for section in sections if name in section.model_fields]
        if name == "kind" and kind_of(having[0]):
            yield _kind_key(having, f"{above}kind", kinds)
            continue
        for group in _group_alike(having, name):
            own = kinds if len(group) == len(sections) else tuple(filter(None, map(kind_of, group)))
            key = _make_key(name, group[0], above, own)
            yield key
            yield from _keys_of(key.holds, f"{key.path}.", own)


def _group_alike(sections: Iterable[Section], name: str) -> list[list[Section]]:
    """The sections in groups whose field of that name has the same type, default and docstring."""
    groups: dict[str, list[Section]] = {}
    for section in sections:
        field = section.model_fields[name]
        groups.setdefault(repr((describe_type(field), _field_default(field), field_docs(section).get(name))), []).append(section)
    return list(groups.values())


def _make_key(name: str, section: Section, above: str, kinds: tuple[str, ...]) -> Key:
    field, meaning = section.model_fields[name], _meaning(section, name)
    below = sections_in(field.annotation)
    return Key(
        path=f"{above}{field.alias or name}{'[]' if _is_list_of_sections(field.annotation) else ''}",
        kinds=kinds,
        type=describe_type(field),
        required=field.is_required() or "Required" in meaning,  # by a validator, which can say more
        default=_field_default(field),
        meaning=meaning,
        holds=tuple(below),
    )


def _kind_key(sections: Iterable[Section], path: str, kinds: tuple[str, ...]) -> Key:
    """The key that says which kind a section is of."""
    meanings = {kind_of(section): _meaning(section, "kind") for section in sections}
    default = DEFAULT_KIND if DEFAULT_KIND in meanings else None
    return Key(
        path=path,
        kinds=kinds,
        type=join_words(f"`{kind}`" for kind in meanings),
        required=default is None,
        default=default,
        meaning=" ".join(meanings.values()),
        holds=(),
    )


def _meaning(section: Section, name: str) -> str:
    return " ".join(field_docs(section).get(name, "").split())


def kind_of(section: Section) -> str:
    """The one kind that a section of a union stands for; empty where it is in none."""
    field = section.model_fields.get("kind")
    names = get_args(field.annotation) if field is not None else ()
    return str(names[0]) if len(names) == 1 else ""


def _field_default(field: FieldInfo) -> Any:
    if field.is_required():
        return None
    return _plain_value(field.get_default(call_default_factory=True))


def _plain_value(value: Any) -> Any:
    """A default as YAML would have it; of a section what it has beside its own defaults."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return [_plain_value(each) for each in value] if isinstance(value, tuple) else to_jsonable_python(value)


def default_text(value: Any) -> str:
    """A plain value as YAML on one line."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {default_text(each)}' for key, each in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(default_text, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _is_list_of_sections(annotation: Any) -> bool:
    """Whether sections stand in a list there, not alone."""
    if get_origin(annotation) is tuple:
        return bool(sections_in(annotation))
    return any(_is_list_of_sections(part) for part in get_args(annotation))
