"""What a request asks for beside an answer: the follow-ups, told apart by the tags of their prompts.

`<rubric>`: marks. Several `<trace answer="...">` and `<right>`: one text out of them. `<things>`: what can be seen. `<hint>`: a reasoning
that leads to a given answer. `<reasoning>`: the answer that a reasoning leads to. Any other request asks for a reasoned answer.
"""

import re
from typing import NamedTuple

_RUBRIC = re.compile(r"^<rubric>\s*\n(.*?)^</rubric>", re.MULTILINE | re.DOTALL)
_DIMENSION = re.compile(r"^(\S.*?) \((-?\d+) to (-?\d+)\)\s*$", re.MULTILINE)
_TRACE = re.compile(r'^<trace answer="([^\n]*)">\s*\n(.*?)\n</trace>', re.MULTILINE | re.DOTALL)
_RIGHT = re.compile(r"<right>([^<\n]*)</right>")
_THINGS = re.compile(r"^<things>\s*\n(.*?)^</things>", re.MULTILINE | re.DOTALL)
_THING = re.compile(r"^\s*\d+\.\s+(.*\S)\s*$", re.MULTILINE)
_HINT = re.compile(r"<hint>([^\n]*)</hint>")
_REASONING = re.compile(r"^<reasoning>\s*\n(.*)\n</reasoning>", re.MULTILINE | re.DOTALL)
_ITS_ANSWER = re.compile(r"^Its answer: (.*\S)\s*$", re.MULTILINE)

_QUESTION = re.compile(r"^Question:\s*\n(.*?)(?:\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)


class ExplainTask(NamedTuple):
    """To explain how one comes to a given answer."""

    hint: str


class VerifyTask(NamedTuple):
    """To say which answer a reasoning leads to, whose end is cut off."""

    reasoning: str


class WovenTrace(NamedTuple):
    """One of several traces that are to become one."""

    answer: str
    reasoning: str


class WeaveTask(NamedTuple):
    """To write one text out of several traces that leads to the right answer."""

    traces: tuple[WovenTrace, ...]
    right: str


class RubricLine(NamedTuple):
    """One dimension of a rubric: its name, and its least and its highest mark."""

    name: str
    low: int
    high: int


class JudgeTask(NamedTuple):
    """To mark a reasoning and its answer by a rubric."""

    reasoning: str
    answer: str
    rubric: tuple[RubricLine, ...]


class SeenTask(NamedTuple):
    """To say of each thing whether it can be seen."""

    things: tuple[str, ...]


FollowUpTask = ExplainTask | VerifyTask | WeaveTask | JudgeTask | SeenTask


def read_task(text: str) -> FollowUpTask | None:
    """The follow-up that a prompt asks for; None where it asks for a reasoned answer."""
    reasoning = _REASONING.search(text)
    if found := _RUBRIC.search(text):
        rubric = tuple(RubricLine(name, int(low), int(high)) for name, low, high in _DIMENSION.findall(found[1]))
        answers = _ITS_ANSWER.findall(text)
        return JudgeTask(reasoning[1] if reasoning else "", answers[-1] if answers else "", rubric)
    if (traces := _TRACE.findall(text)) and (right := _RIGHT.search(text)):
        return WeaveTask(tuple(WovenTrace(answer.strip(), said.strip()) for answer, said in traces), right[1].strip())
    if found := _THINGS.search(text):
        return SeenTask(tuple(_THING.findall(found[1])))
    if hint := _HINT.search(text):
        return ExplainTask(hint[1].strip())
    return VerifyTask(reasoning[1]) if reasoning else None


def question_text(text: str) -> str:
    """The question that a prompt is about; the whole prompt where it does not mark one."""
    found = _QUESTION.search(text)
    return found[1] if found else text
