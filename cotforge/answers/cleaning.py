"""A reasoning without tags, marks and control tokens in it: what a student may learn."""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

from cotforge.answers.controls import CONTROLS, NEXT_TURN, WRAPPER
from cotforge.answers.marks import ANSWER, BOX, MARKUP, THOUGHTS
from cotforge.answers.text import LONGEST
from cotforge.answers.thoughts import is_marked, mark_hints
from cotforge.records import Trace

_LONGEST = 256
"""Characters of a token at most."""
_IMAGE_AS_WORD = re.compile(r"(?<=[a-z] )<(image|video)>(?=[\s.,;:!?)]|\Z)")


class Mended(NamedTuple):
    """What a student may learn of a Trace."""

    reasoning: str
    answer: str
    kinds: frozenset[str]
    """What was taken out: `think_tags`, `answer_tags`, `image_tokens`, `control_tokens`."""

    def named(self) -> str | None:
        """The kinds in alphabetical order, joined by `+`; None where nothing was taken out."""
        return "+".join(sorted(self.kinds)) or None


def clean_trace(trace: Trace, *, options: tuple[str, ...] = (), extra_tokens: tuple[str, ...] = ()) -> Mended:
    """Reasoning and answer of a Trace for a lesson; an answer that is one of `options` stays as it is."""
    reasoning, kinds = clean_reasoning(trace.reasoning, extra_tokens)
    answer = trace.answer or ""
    if answer not in options:
        answer, more = clean_reasoning(answer, extra_tokens)
        kinds |= more
    return Mended(reasoning, answer, kinds)


def clean_reasoning(text: str, extra_tokens: Iterable[str] = ()) -> tuple[str, frozenset[str]]:
    """The text without tags of thought and answer and without control tokens of chat templates, and the kinds of what was taken out.

    The kinds are `think_tags`, `answer_tags`, `image_tokens` and `control_tokens`; `extra_tokens` are the special tokens of a known
    student, and count as `control_tokens`. The text between the marks stays. `<image>` used as a word ("in the <image>") becomes the
    word. What is left holds no token, also none that came about as another was taken out: `<|im_<|im_end|>end|>` leaves nothing.
    Cleaning it again changes nothing.
    """
    find = _special_token_finder(tuple(sorted({token for token in extra_tokens if token.strip()})))
    if find(text, 0) is None:
        return text, frozenset()
    worded = _IMAGE_AS_WORD.sub(r"\1", text)
    kinds = {"image_tokens"} if worded != text else set()
    return _remove_found(worded, find, kinds).strip(), frozenset(kinds)


def without_controls(text: str) -> str:
    """An answer as it was meant: without control tokens and what wraps a reply, stripped. A text that is too long is only stripped."""
    if ("<" not in text and "[" not in text) or len(text) > 2 * LONGEST:
        return text.strip()
    return _remove_found(text, _find_control, set()).strip()


def own_turn(text: str) -> str:
    """The text up to where a model that missed its end of turn makes up the user's next one."""
    found = _NEXT_TURN.search(text) if any(sign in text for sign in _TURN_SIGNS) else None
    return text[: found.start()] if found else text


def replace_box_tokens(text: str) -> str:
    r"""The text with `\boxed{}` for box tokens."""
    return _BOX.sub(lambda found: rf"\boxed{{{found[1]}}}", text) if "_of_" in text else text


Find = Callable[[str, int], re.Match[str] | None]
"""The next token of a text from a place on."""


def _search_at_hints(pattern: re.Pattern[str]) -> Find:
    """A search that tries the pattern only where a mark may begin."""

    def find(text: str, place: int) -> re.Match[str] | None:
        for hint in mark_hints(text, place):
            if found := pattern.match(text, hint.start()):
                return found
        return None

    return find


def _join_patterns(parts: Iterable[tuple[str, str]]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in parts))


_NEXT_TURN = re.compile(NEXT_TURN)
_TURN_SIGNS = ("<|", "<start_of_turn>", "<\uff5c", "[INST]")
_BOX = re.compile(BOX, re.DOTALL | re.IGNORECASE)
_CONTROLS = (
    ("image_tokens", "|".join(one.pattern for one in CONTROLS if one.images)),
    ("control_tokens", "|".join(one.pattern for one in CONTROLS if not one.images)),
)
_MARKS = "|".join(pattern for one in THOUGHTS if one.name not in MARKUP for pattern in (one.opens, one.closes) if is_marked(pattern))
_ALL = _join_patterns([("answer_tags", f"(?i:{ANSWER.replace('?P<closes>', '')})"), ("think_tags", f"(?i:{_MARKS})"), *_CONTROLS])
_find_all = _search_at_hints(_ALL)
_find_control = _search_at_hints(_join_patterns([("wrappers", WRAPPER), *_CONTROLS]))


@lru_cache(maxsize=64)
def _special_token_finder(extra: tuple[str, ...]) -> Find:
    if not extra:
        return _find_all
    own = "|".join(map(re.escape, sorted(extra, key=len, reverse=True)))
    return re.compile(f"{_ALL.pattern}|(?P<own_tokens>{own})").search


def _remove_found(text: str, find: Find, kinds: set[str]) -> str:
    """The text with everything taken out that `find` finds, also where two parts come together; the kinds are added to `kinds`."""
    kept: list[str] = []
    place = 0
    while found := find(text, place):
        kept.extend(text[place : found.start()])
        place = found.end()
        kind = _kind_of_match(found)
        while True:
            kinds.add(kind)
            if kept and place < len(text) and _needs_space(kept[-1], text[place], kind):
                kept.append(" ")
            left = "".join(kept[-_LONGEST:])
            seam = _match_across_seam(left + text[place : place + _LONGEST], len(left), find)
            if seam is None:
                break
            del kept[len(kept) - len(left) + seam.start() :]
            place += seam.end() - len(left)
            kind = _kind_of_match(seam)
    kept.extend(text[place:])
    return "".join(kept)


def _match_across_seam(text: str, seam: int, find: Find) -> re.Match[str] | None:
    """A token that begins before the seam and ends after it."""
    found = find(text, 0)
    while found and found.start() < seam and found.end() <= seam:
        found = find(text, found.end())
    return found if found and found.start() < seam else None


def _kind_of_match(found: re.Match[str]) -> str:
    return "control_tokens" if found.lastgroup == "own_tokens" else str(found.lastgroup)


def _needs_space(left: str, right: str, kind: str) -> bool:
    """Whether a space takes the place of what stood between two characters: a tag parts two words, a token may stand within one."""
    if left.isspace() or right.isspace() or left in "([{" or right in ".,;:!?)]}":
        return False
    return kind in ("think_tags", "answer_tags") or (left in ".,;:!?)" and right.isalnum())
