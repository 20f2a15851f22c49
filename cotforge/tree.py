"""The pipeline file as a tree of plain values: read, overridden by `--set`, expanded, and its faults put into words."""

import difflib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cotforge.errors import PipelineError, in_words

Tree = dict[str, Any]

_VARIABLE = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)\}|(\{[^}]*\}?))")


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key given twice is a fault and not a silent choice."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> Tree:
    seen: set[Any] = set()
    for key, _ in node.value:
        name = loader.construct_object(key)
        if not isinstance(name, str | int | float | bool | None):
            raise yaml.constructor.ConstructorError(None, None, "a key must be a word", key.start_mark)
        if name in seen:
            raise yaml.constructor.ConstructorError(None, None, f"{name!r} is given twice", key.start_mark)
        seen.add(name)
    loader.flatten_mapping(node)
    return {loader.construct_object(key, deep=True): loader.construct_object(value, deep=True) for key, value in node.value}


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:timestamp"]
    for letter, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# 2.0e8 and 1e-3 are numbers to everybody but YAML 1.1
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789"))


def read(path: Path) -> Tree:
    """The file's tree. Raises PipelineError where it cannot be read, is not YAML, or is no mapping."""
    try:
        tree = _load(path.read_text(encoding="utf-8-sig"))
    except OSError as fault:
        raise PipelineError(f"{path}: {fault.strerror}") from fault
    except (yaml.YAMLError, ValueError, RecursionError) as fault:
        mark = getattr(fault, "problem_mark", None)
        at = f"{path}:{mark.line + 1}" if mark else str(path)
        raise PipelineError(f"{at}: not YAML: {getattr(fault, 'problem', None) or in_words(fault)}") from fault
    if not isinstance(tree, dict):
        raise PipelineError(f"{path}: holds no pipeline; it starts with 'name: ...'")
    return tree


def _load(text: str) -> Any:
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def override(tree: Tree, sets: Iterable[str]) -> Tree:
    """A copy of the tree with each `key.path=value` put in; values are YAML, list items go by index, `+` is a new one.

    Raises PipelineError.
    """
    tree = _copied(tree)
    for given in sets:
        path, equals, text = given.partition("=")
        if not equals or not path.strip():
            raise PipelineError(f"--set {given!r}: write it as key.path=value")
        try:
            value = _load(text) if text.strip() else None
        except yaml.YAMLError as fault:
            raise PipelineError(f"--set {path}: {text!r} is not a YAML value") from fault
        _put(tree, path.strip().split("."), value, path)
    return tree


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _put(at: Any, steps: list[str], value: Any, path: str) -> None:
    step, rest = steps[0], steps[1:]
    if step == "+":
        at, step = _appended_to(at, path)
    if isinstance(at, list):
        if not step.isdigit() or int(step) >= len(at):
            raise PipelineError(f"--set {path}: {step!r} is no item of a list of {len(at)}; items count from 0")
        slot: Any = int(step)
    elif isinstance(at, dict):
        slot = step
        if rest and at.get(step) is None:
            at[step] = [] if rest[0] == "+" else {}
        elif rest == ["+"] and isinstance(at[step], str):  # one text where a list may stand too: a URL
            at[step] = [at[step]]
    else:
        raise PipelineError(f"--set {path}: there is nothing below {at!r}")
    if rest:
        _put(at[slot], rest, value, path)
    else:
        at[slot] = value


def _appended_to(at: Any, path: str) -> tuple[Any, str]:
    """The list with an empty place at its end, and that place. Raises PipelineError for anything but a list."""
    if not isinstance(at, list):
        raise PipelineError(f"--set {path}: '+' appends to a list, and there is none; give the whole value")
    at.append({})
    return at, str(len(at) - 1)


def expand(value: Any, *, missing: Callable[[str, str], None], where: str = "") -> Any:
    """The tree with `${VAR}` in string values replaced from the environment and `$$` by a dollar.

    `missing(where, name)` hears of the variables that are not set.
    """
    if isinstance(value, dict):
        return {key: expand(item, missing=missing, where=f"{where}.{key}" if where else str(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [expand(item, missing=missing, where=f"{where}[{index}]") for index, item in enumerate(value)]
    if not isinstance(value, str) or "$" not in value:
        return value

    def fill(match: re.Match[str]) -> str:
        if match.group(0) == "$$":
            return "$"
        name = match.group(1)
        if name is None or name not in os.environ:
            missing(where, name or match.group(2)[1:].rstrip("}"))
            return ""
        return os.environ[name]

    return _VARIABLE.sub(fill, value)


def faults(error: ValidationError, model: type[BaseModel], given: Any) -> list[str]:
    """Pydantic's findings about `given`, one line each: `filters[2].measure: what is wrong; what would be right`."""
    return [_fault(found, model, given) for found in error.errors(include_url=False, include_context=True)]


def _fault(found: ErrorDetails, model: type[BaseModel], given: Any) -> str:
    if found["type"] == "extra_forbidden":
        *above, key = found["loc"]
        return _strange(str(key), _Spot.of(above, model, given))
    spot = _Spot.of(found["loc"], model, given)
    if found["type"] == "missing":
        return f"{spot.path}.{found['loc'][-1]}: is missing".removeprefix(".")
    if found["type"] in ("union_tag_invalid", "union_tag_not_found"):
        kind, kinds = found.get("ctx", {}).get("tag"), [_kind(each) for each in spot.models]
        wrong = "is missing" if kind is None else f"{kind!r}: there is no such kind"
        return f"{spot.path}.kind: {wrong}{_near(kind or '', kinds)}".removeprefix(".")
    message = found["msg"].removeprefix("Value error, ")
    shown = found.get("input")
    if found["type"] == "value_error" or isinstance(shown, dict | list):
        return f"{spot.path}: {message}".removeprefix(": ")
    return f"{spot.path}: {shown!r}: {message[:1].lower()}{message[1:]}"


def _strange(key: str, spot: "_Spot") -> str:
    """The line about a key that a section does not have: it may be one of another kind, or misspelt."""
    if others := [repr(_kind(model)) for model in spot.union if key in _keys([model])]:
        belongs = f"kind {others[0]}" if len(others) == 1 else f"kinds {' and '.join(others)}"
        line = f"{key} is for {belongs}; kind {_kind(spot.models[0])!r} has none"
    else:
        line = f"no key named {key!r}{_near(key, _keys(spot.models))}"
    return f"{spot.path}: {line}".removeprefix(": ")


@dataclass(frozen=True, slots=True)
class _Spot:
    """A place that pydantic names, found in the models and in what was given.

    Pydantic's steps are keys and indices, and between them what no file has: the kind of a union's member, the name of a type, the index
    of a single value that stands where a list may. Kinds are known by the models, and a step that is not there in the file is left out.
    """

    path: str
    """As the file has it."""
    models: list[type[BaseModel]]
    """What may stand there; none where it is not a section."""
    union: list[type[BaseModel]]
    """Of all kinds, where one of them stands there."""

    @classmethod
    def of(cls, loc: Iterable[int | str], model: type[BaseModel], given: Any) -> Self:
        path, models, union = "", [model], list[type[BaseModel]]()
        for step in loc:
            if len(models) > 1 and (chosen := [each for each in models if _kind(each) == step]):
                models, union = chosen, models
            elif _holds(given, step):
                given, union = given[step], []
                models = models if isinstance(step, int) else _below(models, step)
                path += f"[{step}]" if isinstance(step, int) else f".{step}"
        return cls(path.removeprefix("."), models, union)


def _holds(given: Any, step: int | str) -> bool:
    if isinstance(given, Mapping):
        return step in given
    return isinstance(given, Sequence) and not isinstance(given, str) and isinstance(step, int) and step < len(given)


def _below(models: Iterable[type[BaseModel]], key: str) -> list[type[BaseModel]]:
    fields = [field for model in models for name, field in model.model_fields.items() if (field.alias or name) == key]
    return [model for field in fields for model in _models(field.annotation)]


def _kind(model: type[BaseModel]) -> str:
    """By which a union tells the model from the others; empty where it is in none."""
    names = get_args(getattr(model.model_fields.get("kind"), "annotation", None))
    return str(names[0]) if names else ""


def _keys(models: Iterable[type[BaseModel]]) -> set[str]:
    return {field.alias or name for model in models for name, field in model.model_fields.items()}


def _near(name: str, names: Iterable[str]) -> str:
    names = list(names)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(sorted(names))}" if names else ""


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def merged(resolved: Mapping[str, Any], raw: Mapping[str, Any]) -> Tree:
    """The resolved tree with every string that the file wrote with a dollar left as the file wrote it."""
    return {key: _unexpanded(value, raw.get(key) if isinstance(raw, Mapping) else None) for key, value in resolved.items()}


def _unexpanded(value: Any, raw: Any) -> Any:
    if isinstance(raw, str) and "$" in raw:
        return raw
    if isinstance(value, dict):
        return merged(value, raw if isinstance(raw, dict) else {})
    if isinstance(value, list):
        raws = raw if isinstance(raw, list) else [raw] if isinstance(raw, str) else []
        return [_unexpanded(item, raws[i] if i < len(raws) else None) for i, item in enumerate(value)]
    return value
