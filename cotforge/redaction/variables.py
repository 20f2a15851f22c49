"""Which variables of the environment hold credentials, as a pipeline file says, and whether it holds one itself."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cotforge.redaction import is_weak, remember_secrets
from cotforge.redaction.redactor import PLACEHOLDERS

_VARIABLE = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)\})")
_CALLED = re.compile(r"(^|_)(API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASS|CREDENTIALS?|AUTH)(_|$)", re.IGNORECASE)
"""Names of variables that say what they hold."""
_RANDOM = re.compile(r"(?=\S*[0-9])(?=\S*[A-Za-z])\S{20,}")
"""Values that are no words: what services hand out has at least so many letters and digits."""
_LIBRARIES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY")
"""Variables with keys that libraries read by themselves."""


def remember_variables(pipeline: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Remember the credentials that a pipeline file, not yet expanded, takes from the environment.

    These are `key_env`; every `${VAR}` with KEY, TOKEN, SECRET, PASSWORD, CREDENTIAL or AUTH as a word in its name; in a teacher's `body`,
    and in its `url` outside host and port, every value of 20 characters or more with letters and digits; and keys that libraries read.
    Returns (where, variable) of each key that the file holds itself: it would be in the run folder and on the card.
    """
    teachers = pipeline.get("teachers")
    sections = [teacher for teacher in teachers if isinstance(teacher, dict)] if isinstance(teachers, list) else []
    keys = {name for teacher in sections if isinstance(name := teacher.get("key_env"), str) and name in os.environ}
    sent = {name for teacher in sections for name in (*_named_variables(teacher.get("body")), *_in_paths(teacher.get("url")))}
    likely = {name for name in sent if _RANDOM.fullmatch(os.environ.get(name, ""))}
    likely |= {
        name for name in (*_named_variables(pipeline), *_LIBRARIES) if _CALLED.search(name) and not is_weak(os.environ.get(name, ""))
    }
    remember_secrets(*(os.environ[name] for name in keys | likely))
    values = {os.environ[name].strip(): name for name in keys}
    values = {value: name for value, name in values.items() if not is_weak(value) and value.casefold() not in PLACEHOLDERS}
    return [(where, name) for where, text in _tree_texts(pipeline, "") for value, name in values.items() if value in text]


def _tree_texts(value: Any, where: str) -> Iterator[tuple[str, str]]:
    """Every text in a tree of values, with its place as the file has it."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _tree_texts(part, f"{where}.{name}".removeprefix("."))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _tree_texts(part, f"{where}[{number}]")
    elif isinstance(value, str):
        yield where, value


def _named_variables(value: Any) -> Iterator[str]:
    """The variables in a tree of values."""
    for _, text in _tree_texts(value, ""):
        yield from filter(None, _VARIABLE.findall(text))


def _in_paths(url: Any) -> Iterator[str]:
    """The variables in URLs, but for those of host and port, which a person has to see."""
    for _, text in _tree_texts(url, ""):
        scheme, _, behind = text.rpartition("://")
        userinfo, _, place = behind.rpartition("@")
        yield from _named_variables([scheme, userinfo, place.partition("/")[2], place.partition("?")[2]])
