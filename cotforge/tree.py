"""The pipeline file as a tree of plain values: read, overridden by `--set`, expanded, and its faults put into words."""

import difflib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cotforge import bounded_yaml
from cotforge.bounded_yaml import YamlError
from cotforge.errors import MOST_FAULTS, PipelineError, show_value
from cotforge.spec import WrongKey, fault_words

Tree = dict[str, Any]

_NOT_KEPT = re.compile("[\n\r\x85\u2028\u2029\ud800-\udfff]")
"""What a `--set` may not hold: the run folder keeps each on a line of UTF-8."""
_LONGEST_KEY = 60
"""Characters of a key in the path of an error."""
MOST_EXPANDED = 2**20
"""Characters that variables may bring into one file, all places together."""

_VARIABLE = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)\}|(\{[^}]*\}?))")


def read_tree(path: Path) -> Tree:
    """The file's tree. Raises PipelineError where it cannot be read, is not YAML, or is no mapping."""
    return parse_tree(read_tree_text(path), path)


def read_tree_text(path: Path) -> str:
    """The file's text. Raises PipelineError where it cannot be read, is too long or no text."""
    try:
        return bounded_yaml.read_text(path)
    except OSError as fault:
        raise PipelineError(f"{path}: {fault.strerror}") from fault
    except YamlError as fault:
        raise PipelineError(f"{_fault_place(path, fault)}: not YAML: {fault}") from fault


def parse_tree(text: str, path: Path) -> Tree:
    """The tree that the file's text stands for. Raises PipelineError that shows the line."""
    try:
        tree = bounded_yaml.load_yaml(text)
    except YamlError as fault:
        raise PipelineError(f"{_fault_place(path, fault)}: not YAML: {fault}") from fault
    if not isinstance(tree, dict):
        raise PipelineError(f"{path}: holds no pipeline; it starts with 'name: ...'")
    return tree


def _fault_place(path: Path, fault: YamlError) -> str:
    return f"{path}:{fault.line}" if fault.line else str(path)


def override_keys(tree: Tree, sets: Iterable[str]) -> Tree:
    """A copy of the tree with each `key.path=value` put in; values are YAML, list items go by index, `+` is a new one.

    Raises PipelineError.
    """
    tree = _copy_tree(tree)
    for given in sets:
        path, equals, text = given.partition("=")
        if not equals or not path.strip():
            raise PipelineError(f"--set {show_value(given)}: write it as key.path=value")
        if _NOT_KEPT.search(given):
            raise PipelineError(f"--set {show_value(given)}: is one line of UTF-8 text; write a line break as \\n within double quotes")
        where = path if len(path) <= 100 else f"{path[:100]}..."
        steps = path.strip().split(".")
        if len(steps) > bounded_yaml.DEEPEST:
            raise PipelineError(f"--set {where}: names {len(steps):,} keys, one below the other; {bounded_yaml.DEEPEST} are the most")
        try:
            value = bounded_yaml.load_yaml(text) if text.strip() else None
        except YamlError as fault:
            raise PipelineError(f"--set {where}: {show_value(text)} is not a YAML value: {fault.problem}") from fault
        _put_value(tree, steps, value, where)
    return tree


def key_assignments(set: Mapping[str, Any] | None) -> list[str]:
    """`key_assignment` of each. Raises PipelineError also where it is no mapping."""
    if set is not None and not isinstance(set, Mapping):
        raise PipelineError(f"set: {show_value(set)} is no mapping; write it as {{'consensus.rule': 'unanimous'}}")
    return [key_assignment(key, value) for key, value in (set or {}).items()]


def key_assignment(key: str, value: Any) -> str:
    """The `key.path=value` that `override_keys` takes, for a plain value of Python; a path is its text. Raises PipelineError."""
    try:
        return f"{key}={bounded_yaml.dump_inline(value)}"
    except ValueError as fault:
        raise PipelineError(f"set {show_value(key)}: {fault}") from fault


def _copy_tree(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy_tree(item) for key, item in value.items()}
    return [_copy_tree(item) for item in value] if isinstance(value, list) else value


def _put_value(at: Any, steps: list[str], value: Any, path: str) -> None:
    step, rest = steps[0], steps[1:]
    if step == "+":
        at, step = _appended_to(at, path)
    if isinstance(at, list):
        if not re.fullmatch("[0-9]{1,9}", step) or int(step) >= len(at):
            raise PipelineError(f"--set {path}: {show_value(step)} is no item of a list of {len(at)}; items count from 0")
        slot: Any = int(step)
    elif isinstance(at, dict):
        slot = step
        if rest and at.get(step) is None:
            at[step] = [] if rest[0] == "+" else {}
        elif rest == ["+"] and isinstance(at[step], str):  # one text where a list may stand too: a URL
            at[step] = [at[step]]
    else:
        raise PipelineError(f"--set {path}: there is nothing below {show_value(at)}")
    if rest:
        _put_value(at[slot], rest, value, path)
    else:
        at[slot] = value


def _appended_to(at: Any, path: str) -> tuple[Any, str]:
    """The list with an empty place at its end, and that place. Raises PipelineError for anything but a list."""
    if not isinstance(at, list):
        raise PipelineError(f"--set {path}: '+' appends to a list, and there is none; give the whole value")
    at.append({})
    return at, str(len(at) - 1)


def expand_variables(value: Any, *, missing: Callable[[str, str], None], where: str = "") -> Any:
    """The tree with `${VAR}` in string values replaced from the environment and `$$` by a dollar.

    `missing(where, name)` hears of the variables that are not set. Raises PipelineError above `MOST_EXPANDED` characters of them.
    """
    brought = 0

    def fill(match: re.Match[str], where: str) -> str:
        nonlocal brought
        if match.group(0) == "$$":
            return "$"
        name = match.group(1)
        if name is None or name not in os.environ:
            missing(where, name or match.group(2)[1:].rstrip("}"))
            return ""
        if bounded_yaml.HALF.search(os.environ[name]):
            raise PipelineError(f"{where}: the variable {name} is not UTF-8 text")
        brought += len(os.environ[name])
        if brought > MOST_EXPANDED:
            raise PipelineError(f"{where}: {name}: variables bring more than {MOST_EXPANDED:,} characters into the file")
        return os.environ[name]

    def filled(value: Any, where: str) -> Any:
        if isinstance(value, dict):
            return {key: filled(item, key_path(where, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [filled(item, f"{where}[{index}]") for index, item in enumerate(value)]
        return _VARIABLE.sub(lambda match: fill(match, where), value) if isinstance(value, str) and "$" in value else value

    return filled(value, where)


def variable_names(value: object) -> list[str]:
    """The variables that a string of the file names, each once."""
    return list(dict.fromkeys(match[1] for match in _VARIABLE.finditer(value) if match[1])) if isinstance(value, str) else []


def key_path(where: str, key: object) -> str:
    """The path of a key of the section at `where`; a key of any length stays a word."""
    name = str(key) if len(str(key)) <= _LONGEST_KEY else f"{str(key)[:_LONGEST_KEY]}..."
    return f"{where}.{name}" if where else name


def pydantic_faults(error: ValidationError, model: type[BaseModel], given: Any) -> list[str]:
    """Pydantic's findings about `given`, one line each: `filters[2].measure: what is wrong; what would be right`."""
    told = [each for each in error.errors(include_url=False, include_context=True) if not _counts_sound_items(each)]
    found = _join_wants(_of_branch_meant(told, model, given), model, given)
    lines = [_pydantic_fault(each, model, given) for each in found[:MOST_FAULTS]]
    return [*lines, *([f"and {len(found) - len(lines):,} faults more"] if len(found) > len(lines) else [])]


def unknown_keys(given: Tree, model: type[BaseModel]) -> list[str]:
    """The same about keys that there are not, and nothing else: variables need not be expanded."""
    try:
        model.model_validate(given)
    except ValidationError as error:
        told = _of_branch_meant(error.errors(include_url=False, include_context=True), model, given)
        return [_pydantic_fault(each, model, given) for each in told if each["type"] == "extra_forbidden"][:MOST_FAULTS]
    return []


def _counts_sound_items(found: ErrorDetails) -> bool:
    """Whether pydantic finds a list too short only because it leaves out items that it found something wrong with."""
    value = found.get("input")
    return found["type"] == "too_short" and isinstance(value, Sized) and len(value) >= found.get("ctx", {}).get("min_length", 0)


def _of_branch_meant(found: list[ErrorDetails], model: type[BaseModel], given: Any) -> list[ErrorDetails]:
    """Without those of a union's branch that the value was not meant for, where another branch says what is wrong.

    Of a number or a section, a misspelt key of the section is told, and not that a section is no number.
    """
    at = [(each, _Spot.of(each["loc"], model, given).path) for each in found]
    meant = [path for each, path in at if not _is_of_other_branch(each)]
    return [
        each
        for each, path in at
        if not (_is_of_other_branch(each) and any(other == path or other.startswith((f"{path}.", f"{path}[")) for other in meant))
    ]


def _join_wants(found: list[ErrorDetails], model: type[BaseModel], given: Any) -> list[ErrorDetails]:
    """With one finding where both a list and a section may stand, and neither does."""
    paths = [_Spot.of(each["loc"], model, given).path for each in found]
    lists, sections = ({path for each, path in zip(found, paths, strict=True) if each["type"] in kinds} for kinds in (_LISTS, _SECTIONS))
    both = lists & sections
    return [
        {**each, "type": "list_or_section"} if path in both and each["type"] in _LISTS else each
        for each, path in zip(found, paths, strict=True)
        if not (path in both and each["type"] in _SECTIONS)
    ]


_SECTIONS = frozenset({"dict_type", "mapping_type", "model_type", "model_attributes_type"})
_LISTS = frozenset({"list_type", "tuple_type", "set_type", "frozen_set_type"})
_WANTED = dict.fromkeys(_SECTIONS, "Input should be a section of keys") | dict.fromkeys(_LISTS, "Input should be a list")
_WANTED["list_or_section"] = "Input should be a list or a section of keys"
"""What a file should have there, in the words of those who write one."""


def _is_of_other_branch(found: ErrorDetails) -> bool:
    """Whether a section was wanted and none given, or the other way round; and the same of a list."""
    kind, value = found["type"], found.get("input")
    if not kind.endswith("_type"):
        return False
    return (kind in _SECTIONS) != isinstance(value, dict) or (kind in _LISTS) != isinstance(value, list)


def _pydantic_fault(found: ErrorDetails, model: type[BaseModel], given: Any) -> str:
    if found["type"] == "extra_forbidden":
        *above, key = found["loc"]
        return _strange_key(str(key), _Spot.of(above, model, given))
    spot = _Spot.of(found["loc"], model, given)
    if found["type"] == "missing":
        return f"{spot.path}.{found['loc'][-1]}: is missing".removeprefix(".")
    if found["type"] in ("union_tag_invalid", "union_tag_not_found"):
        kind, kinds = found.get("ctx", {}).get("tag"), [_kind_of_model(each) for each in spot.models]
        wrong = "is missing" if kind is None else f"{show_value(kind)}: there is no such kind"
        return f"{spot.path}.kind: {wrong}{_near_name(kind or '', kinds)}".removeprefix(".")
    error = found.get("ctx", {}).get("error")
    if isinstance(error, WrongKey):
        return f"{spot.path}.{error.key}: {error.message}".removeprefix(".")
    message = _WANTED.get(found["type"]) or fault_words(found)
    value = found.get("input")
    if found["type"] == "literal_error" and isinstance(value, str):
        near = difflib.get_close_matches(value, re.findall(r"'([^']*)'", found.get("ctx", {}).get("expected", "")), n=1)
        message += f"; did you mean {near[0]!r}?" if near else ""
    if found["type"] == "value_error" or isinstance(value, dict | list):
        return f"{spot.path}: {message}".removeprefix(": ")
    return f"{spot.path}: {show_value(value)}: {message[:1].lower()}{message[1:]}"


def _strange_key(key: str, spot: "_Spot") -> str:
    """The line about a key that a section does not have: it may be one of another kind, or misspelt."""
    if others := [repr(_kind_of_model(model)) for model in spot.union if key in _known_keys([model])]:
        belongs = f"kind {others[0]}" if len(others) == 1 else f"kinds {' and '.join(others)}"
        line = f"{key} is for {belongs}; kind {_kind_of_model(spot.models[0])!r} has none"
    else:
        line = f"no key named {show_value(key)}{_near_name(key, _known_keys(spot.models))}"
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
            if len(models) > 1 and (chosen := [each for each in models if _kind_of_model(each) == step]):
                models, union = chosen, models
            elif _holds_step(given, step):
                given, union = given[step], []
                models = models if isinstance(step, int) else _models_below(models, step)
                path += f"[{step}]" if isinstance(step, int) else f".{step}"
        return cls(path.removeprefix("."), models, union)


def _holds_step(given: Any, step: int | str) -> bool:
    if isinstance(given, Mapping):
        return step in given
    return isinstance(given, Sequence) and not isinstance(given, str) and isinstance(step, int) and step < len(given)


def _models_below(models: Iterable[type[BaseModel]], key: str) -> list[type[BaseModel]]:
    fields = [field for model in models for name, field in model.model_fields.items() if (field.alias or name) == key]
    return [model for field in fields for model in _models_of(field.annotation)]


def _kind_of_model(model: type[BaseModel]) -> str:
    """By which a union tells the model from the others; empty where it is in none."""
    names = get_args(getattr(model.model_fields.get("kind"), "annotation", None))
    return str(names[0]) if names else ""


def _known_keys(models: Iterable[type[BaseModel]]) -> set[str]:
    return {field.alias or name for model in models for name, field in model.model_fields.items()}


def _near_name(name: str, names: Iterable[str]) -> str:
    names = list(names)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(sorted(names))}" if names else ""


def _models_of(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_of(part)]


def user_text(text: str, raw: Tree, chosen: Tree | None, *, is_changed: bool) -> str:
    """What a user wrote: the file's text as it stands, or, where `--set` changed it, its tree as YAML.

    `chosen` is the tree without the keys left at default, of a file that a run folder keeps with all of them.
    """
    if chosen is not None:
        return bounded_yaml.dump_yaml(keep_chosen(raw, chosen))
    return bounded_yaml.dump_yaml(raw) if is_changed else text


def keep_chosen(given: Any, chosen: Any) -> Any:
    """Of a tree of values only the keys that `chosen`, a tree of the same shape, has too."""
    if isinstance(given, dict) and isinstance(chosen, dict):
        return {key: keep_chosen(value, chosen[key]) for key, value in given.items() if key in chosen}
    if isinstance(given, list) and isinstance(chosen, list) and len(given) == len(chosen):
        return [keep_chosen(*pair) for pair in zip(given, chosen, strict=True)]
    return given


def merge_unexpanded(resolved: Mapping[str, Any], raw: Mapping[str, Any]) -> Tree:
    """The resolved tree with every string that the file wrote with a dollar left as the file wrote it."""
    return {key: _unexpanded_value(value, raw.get(key) if isinstance(raw, Mapping) else None) for key, value in resolved.items()}


def _unexpanded_value(value: Any, raw: Any) -> Any:
    if isinstance(raw, str) and "$" in raw:
        return raw
    if isinstance(value, dict):
        return merge_unexpanded(value, raw if isinstance(raw, dict) else {})
    if isinstance(value, list):
        raws = raw if isinstance(raw, list) else [raw] if isinstance(raw, str) else []
        return [_unexpanded_value(item, raws[i] if i < len(raws) else None) for i, item in enumerate(value)]
    return value
