"""The answers in what follows the thoughts of a reply, and what they agree on."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from cotforge.answers.boxes import find_boxes, strip_box
from cotforge.answers.cleaning import replace_box_tokens, without_controls
from cotforge.answers.task import Task
from cotforge.answers.text import LONGEST, normal_form
from cotforge.answers.thoughts import ANSWER_TAG, find_marks
from cotforge.records import ReadingFault

_BARE_WORDS = 5
STAND_INS = frozenset({
    "your answer", "your answer here", "your final answer", "your final answer here", "final answer", "the final answer", "the answer",
    "my answer", "answer", "answer here", "the answer here", "insert answer here", "insert your answer here", "put your answer here",
    "your choice", "你的答案", "您的答案", "答案", "最终答案", "あなたの答え", "あなたの回答", "答え", "回答", "정답", "답변",
    "당신의 답변", "deine antwort", "ihre antwort", "votre réponse", "ta réponse", "tu respuesta", "su respuesta", "sua resposta",
    "la tua risposta", "ваш ответ", "твой ответ",
})  # fmt: skip
"""Each stands for an answer and is none: where a prompt shows one of them, a teacher may write another, or the same in its language."""


class Found(NamedTuple):
    """The answers of the rest, as they stand there."""

    texts: list[str]
    reading: str
    """`tags`, `bare`, `boxed`, or empty where there is none."""
    alone: bool
    """One answer and nothing else."""
    unclosed: Sequence[str] = ()
    """What stands between one opening answer tag and the next."""


NOTHING = Found([], "", False)


def placeholders_of_call(messages: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """What stands between answer tags, or in a box, in the messages of a Call, in its normal form: a copy of it is no answer."""
    found: frozenset[str] = frozenset()
    for message in messages:
        content = message.get("content")
        for part in [content] if isinstance(content, str) else content or ():
            text = part if isinstance(part, str) else part.get("text")
            if isinstance(text, str):
                found |= _placeholders_in_text(text)
    return found


@lru_cache(maxsize=4_096)
def _placeholders_in_text(text: str) -> frozenset[str]:
    shown = replace_box_tokens(text)
    found = frozenset(form for raw in (*_between_tags(shown).texts, *find_boxes(shown)) for form in _placeholder_forms(raw))
    return found if found.isdisjoint(STAND_INS) else found | STAND_INS


def _placeholder_forms(text: str) -> tuple[str, ...]:
    """A placeholder as it may be copied: with and without the brackets around it, with `_` for blanks, with more points or fewer."""
    whole = normal_form(strip_box(text))
    bare = normal_form(whole.strip("[]{}<>()").strip())
    spaced = normal_form(bare.replace("_", " "))
    return tuple(form for form in dict.fromkeys((whole, bare, spaced, "..." if spaced and not spaced.strip(". ") else "")) if form)


class _Tagged(NamedTuple):
    """What stands between answer tags."""

    texts: list[str]
    unclosed: list[str]
    start: int
    """Where the first tag begins; -1 where there is none."""
    end: int
    """Where the last one ends."""
    length: int
    """Characters of the answers with their tags."""


def _between_tags(text: str) -> _Tagged:
    tags = list(ANSWER_TAG.finditer(text))
    texts, unclosed, length = [], [], 0
    for before, tag in pairwise(tags):
        if not before["closes"]:
            if tag["closes"]:
                texts.append(text[before.end() : tag.start()])
                length += tag.end() - before.start()
            else:
                unclosed.append(text[before.end() : tag.start()])
    return _Tagged(texts, unclosed, tags[0].start(), tags[-1].end(), length) if tags else _UNTAGGED


_UNTAGGED = _Tagged([], [], -1, -1, 0)


def answers_in(rest: str, *, bare: bool) -> Found:
    """The answers of what follows the thoughts; `bare`: a few words without a form may be one."""
    texts, unclosed, first, last, length = _between_tags(rest)
    if first >= 0:
        if texts and "\\boxed" in rest:  # beside an answer in tags a box is one more answer
            texts += find_boxes(rest[:first]) + find_boxes(rest[last:])
        blank = not without_controls(rest[:first]) and not without_controls(rest[last:])
        return Found(texts, "tags" if texts else "", len(texts) == 1 and last - first == length and blank, unclosed)
    text = without_controls(rest)
    if inside := find_boxes(text):
        return Found(inside, "boxed", len(inside) == 1 and strip_box(text, prose=False) == strip_box(inside[0], prose=False))
    short = len(text) <= LONGEST and len(text.split(maxsplit=_BARE_WORDS)) <= _BARE_WORDS
    if bare and text and short and next(find_marks(text), None) is None:
        return Found([text], "bare", True)
    return NOTHING


def agreed_answer(found: Found, options: tuple[str, ...], task: Task, refused: frozenset[str]) -> tuple[str | None, ReadingFault | None]:
    """(answer, None), or (None, fault)."""
    if not found.texts:
        return None, "no_answer"
    read = [_comparable_answer(one, options, task, refused) for text in found.texts for one in _differing_boxes(text)]
    if task.kind == "classify" or task.verifier in ("number", "choice"):  # of these a text is an answer or none: "in <answer> tags"
        read += [one for text in found.unclosed if (one := _comparable_answer(text, options, task, refused))[0] is not None]
    if len(read) > 1 and len({answer or normal_form(text) for answer, text, _ in read}) > 1:
        return None, "two_answers"
    answer, _, copied = read[0]
    if copied:
        return None, "placeholder"
    if answer is not None:
        return answer, None
    # Five words that are no label were never offered as an answer; an empty tag or box offers none either.
    offered = found.reading != "bare" and any(text.strip() for text in found.texts)
    return None, "not_an_option" if offered else "no_answer"


def _differing_boxes(text: str) -> list[str]:
    """The boxes of an answer, where they differ; else the answer."""
    inside = find_boxes(text) if "\\boxed" in text else []
    return inside if len({box.strip() for box in inside}) > 1 else [text]


def _comparable_answer(text: str, options: tuple[str, ...], task: Task, refused: frozenset[str]) -> tuple[str | None, str, bool]:
    """(the answer, the text it was read from, whether that is a placeholder)."""
    shown = strip_box(text)
    answer = task.comparable(shown, options)
    closed = task.kind == "classify" or (task.verifier == "choice" and bool(options))
    if ("<" in shown or "[" in shown) and (answer is None or not closed):
        shown = strip_box(without_controls(text))
        answer = task.comparable(shown, options)
    if not refused or (closed and answer is not None) or (task.verifier == "choice" and answer is not None and len(answer) == 1):
        return answer, shown, False
    return answer, shown, answer in refused or not refused.isdisjoint(_placeholder_forms(shown))
