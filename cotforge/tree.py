"""The pipeline file as a tree of plain values: read, overridden by `--set`, expanded, and its faults put into words."""

import difflib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cotforge.errors import PipelineError

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
        raise PipelineError(f"{at}: not YAML: {getattr(fault, 'problem', None) or type(fault).__name__}") from fault
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
    """A copy of the tree with each `key.path=value` put in; values are YAML, list items go by index. Raises PipelineError."""
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
    if isinstance(at, list):
        if not step.isdigit() or int(step) >= len(at):
            raise PipelineError(f"--set {path}: {step!r} is no item of a list of {len(at)}; items count from 0")
        slot: Any = int(step)
    elif isinstance(at, dict):
        slot = step
        if rest and at.get(step) is None:
            at[step] = {}
    else:
        raise PipelineError(f"--set {path}: there is nothing below {at!r}")
    if rest:
        _put(at[slot], rest, value, path)
    else:
        at[slot] = value


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


def faults(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Pydantic's findings, one line each: `filters[2].measure: what is wrong; what would be right`."""
    return [_fault(found, model) for found in error.errors(include_url=False, include_context=True)]


def _fault(found: ErrorDetails, model: type[BaseModel]) -> str:
    if found["type"] == "extra_forbidden":
        *above, key = found["loc"]
        at = _place(above)
        return f"{at}: no key named {key!r}{_near(str(key), _keys(above, model))}".removeprefix(": ")
    at = _place(found["loc"])
    if found["type"] == "missing":
        return f"{at}: is missing"
    message = found["msg"].removeprefix("Value error, ")
    shown = found.get("input")
    if found["type"] == "value_error" or isinstance(shown, dict | list):
        return f"{at}: {message}".removeprefix(": ")
    return f"{at}: {shown!r}: {message[:1].lower()}{message[1:]}"


TAGS = frozenset({"table", "imagefolder", "hf", "emoset", "webdataset", "sft", "grpo", "dpo", "eval"})


def _is_tag(step: int | str) -> bool:
    """Pydantic puts the kind of a union's member, or the name of a type, into the place; the file has no such step."""
    return isinstance(step, str) and (step in TAGS or not re.fullmatch(r"[\w$.-]+", step) or step.startswith(("function-", "constrained-")))


def _place(loc: Sequence[int | str]) -> str:
    """As the file has it; what comes first is always a key (there is one named `eval`, which is also a kind of stage)."""
    steps = [step for place, step in enumerate(loc) if not place or not _is_tag(step)]
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")


def _near(name: str, names: Iterable[str]) -> str:
    names = list(names)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(sorted(names))}" if names else ""


def _keys(loc: Iterable[int | str], model: type[BaseModel]) -> set[str]:
    """The keys that the section at `loc` knows."""
    at: list[Any] = [model]
    for step in loc:
        below: list[Any] = []
        for kind in at:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                named = {(field.alias or name): field.annotation for name, field in kind.model_fields.items()}
                if step in named:
                    below += _models(named[str(step)])
                elif step in get_args(getattr(kind.model_fields.get("kind"), "annotation", None)):
                    below.append(kind)
        at = below or at
    return {field.alias or name for kind in at for name, field in kind.model_fields.items()}


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
