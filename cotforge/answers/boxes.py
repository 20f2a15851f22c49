r"""Answers in a `\boxed{}`."""

import re

from cotforge.answers.text import LONGEST

_WRAPPED = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf)\s*\{([^{}]*)\}")
_BOX = re.compile(r"\\boxed\s*\{")
_PROSE = re.compile(r"(?=.*[^\W\d_]{2})[^\W\d_]+(?:[\s,;:'\u2019\"\u201c\u201d*]+[^\W\d_]+)*[\s.,;:!'\u2019\"\u201c\u201d*$]*")
"""Words alone, one of them of two letters or more: beside a number or an operator a box is a part of a formula."""


def find_boxes(text: str) -> list[str]:
    r"""What stands in each `\boxed{}` with balanced braces, at most `LONGEST` characters of it; boxes in boxes are not looked for."""
    found = []
    match = _BOX.search(text)
    while match:
        depth, start, place = 1, match.end(), match.end()
        last = min(len(text), start + LONGEST)
        while depth and place < last:
            depth += (text[place] == "{") - (text[place] == "}")
            place += 1
        if not depth:
            found.append(text[start : place - 1])
        match = _BOX.search(text, place)
    return found


def strip_box(text: str, *, prose: bool = True) -> str:
    r"""Without a `\boxed{}` or `\text{}` around the whole (and the `$` around that), or with `prose` the words around one box."""
    if "\\" not in text or len(text) > LONGEST:
        return text
    bare = text.strip().strip("$").rstrip(".").strip().strip("$").strip()
    inside = find_boxes(bare)
    if len(inside) == 1 and _BOX.match(bare) and bare.endswith(inside[0] + "}"):
        bare = inside[0].strip()
    elif prose and len(set(inside)) == 1 and _is_prose(bare, inside[0]):
        return strip_box(inside[0].strip())
    wrapped = _WRAPPED.fullmatch(bare)
    return wrapped[1] if wrapped else (bare if inside else text)


def _is_prose(text: str, inside: str) -> bool:
    around = _BOX.sub("", text).replace(inside + "}", " ", text.count(inside + "}")).strip().strip("$").strip()
    return _PROSE.fullmatch(around) is not None
