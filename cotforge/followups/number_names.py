"""Whether a text states a number: in digits or words, as a fraction or per cent, and not as an operand of a sum."""

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import NamedTuple

_UNITS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11,
    "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19,
}  # fmt: skip
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000}
_PARTS = {"half": Fraction(1, 2), "quarter": Fraction(1, 4), "dozen": Fraction(12)}
_NAMED = "|".join([*sorted({**_UNITS, **_TENS}, key=len, reverse=True), *_SCALES])
_IN_WORDS = re.compile(rf"\b(?:{_NAMED})(?:(?:\s+and\s+|[\s-]+)(?:{_NAMED}))*\b|\b(?:half|quarter|dozen)\b", re.IGNORECASE)
_PRONOUN = re.compile(r"\b(?:the|this|that|no|each|any|every|which|another|other|some|only|first|last|right|wrong)\s+$", re.IGNORECASE)
_OF = re.compile(r"\s+(?:of|another|can|could|might|may|would|should|sees?|looks?|finds?)\b", re.IGNORECASE)
"""The word "one" that counts nothing."""

_COUNTS = re.compile(
    r"(?<=[a-z])[\s-]+(?!(?:is|are|was|be|it|that|and|or|but|nor|rather|than|not|as|because|since|so|with|without|would|could|can|may|must|should"
    r"|seems?|looks?|fits?|explains?|has|have|by|well|then|if|which|who|here|there|again|instead|alone|at|in|on|from|to|for|normally|usually"
    r"|tends?|remains?|stays?|wins?|clearly|only|after|over|above|before)\b)[a-z]{3,}",
    re.IGNORECASE,
)
"""Behind a number word: what it counts."""

_WHOLE = r"(?:[0-9]{1,3}(?:(?:[,'\u202f]| (?=000))[0-9]{3}){1,8}(?![0-9])|[0-9]+)"
_DIGITS = re.compile(
    rf"(?<![\w.])(?:(?P<base>{_WHOLE}(?:\.[0-9]+)?)\s*(?:×|x|\*|·|\\times|\\cdot)\s*10\s*(?:\^|\*\*)\s*\{{?\s*(?P<power>[-−+]?[0-9]{{1,2}})\}}?"
    rf"|(?P<mixed>[0-9]+)\s+(?P<over>[0-9]+)\s*/\s*(?P<under>[0-9]+)"
    rf"|(?P<top>[0-9]+)\s*/\s*(?P<bottom>[0-9]+)(?!\s*/)"
    rf"|(?P<comma>[0-9]+,[0-9]{{1,2}})(?![0-9])"
    rf"|(?P<plain>{_WHOLE}(?:\.[0-9]+)?)(?:e(?P<exponent>[-+]?[0-9]{{1,2}})(?![\w]))?)"
    r"(?P<percent>\s*(?:\\?%|[Pp]er\s?cent\b))?"
)
_PERCENT = re.compile(r"\s*(?:\\?%|per\s?cent\b)", re.IGNORECASE)
_FRAC = re.compile(r"\\[dt]?frac\s*\{\s*([0-9]+)\s*\}\s*\{\s*([0-9]+)\s*\}")
_COEFFICIENT = re.compile(r"[a-zA-Z](?![a-zA-Z])")
_UNIT_LETTERS = "mgshlkMGKLVWJN"
_OPERATOR = r"[+*×÷·/^−–-]|\\times\b|\\cdot\b|\\div\b|\bplus\b|\bminus\b|\btimes\b"
_BEFORE = re.compile(
    rf"(?:[0-9)}}\]]|(?<![a-zA-Z])[a-zA-Z]|\b(?:{_NAMED}))\s*(?:{_OPERATOR})\s*[({{$\\]*$|[\^_]\s*[({{]*$|\b(?:divided|multiplied|increased|reduced|raised)\s+by\s+$",
    re.IGNORECASE,
)
_AFTER = re.compile(
    rf"[)}}$]*\s*(?:(?:{_OPERATOR})\s*[({{$\\]*(?:[0-9]|[a-zA-Z](?![a-zA-Z])|\\(?:frac|sqrt))"
    r"|(?:plus|minus|times|divided\s+by|multiplied\s+by|squared|cubed)\b)",
    re.IGNORECASE,
)
_EQUALS = re.compile(r"(?:=|≈|\bequals|\bis|\bare|\bmakes|\bgives)\s*[({$\\]*[-−+]?\s*$", re.IGNORECASE)
_NUMBERED = re.compile(r"(?:^|\n)\s*(?:[-#]+\s*)?$")
_LISTED = re.compile(r"[.)](?:\s|$)")
_COUNTED = re.compile(r"\b(?:steps?|figures?|fig\.?|equations?|eq\.?|parts?|sections?|methods?|attempts?)\s*[(#]?$", re.IGNORECASE)


class Number(NamedTuple):
    """A number that a text holds."""

    value: Fraction
    """Without its sign."""
    percent: bool
    start: int
    end: int

    def values(self) -> frozenset[Fraction]:
        """What it may mean: 25 per cent are 25, or a quarter."""
        return frozenset({self.value, self.value / 100} if self.percent else {self.value})


_WINDOW = 40
"""Characters before a number that tell what it is for."""


def number_in(text: str, *, whole: bool) -> frozenset[Fraction]:
    """What the number may mean that a normal form is, or with `whole` unset the only one that it holds; empty for all else."""
    spelled = _FRAC.sub(r"\1/\2", text)
    found = list(_numbers_of(spelled))
    if len(found) != 1:
        return frozenset()
    around = (spelled[: found[0].start] + spelled[found[0].end :]).strip(" +-−$.")
    return found[0].values() if not (whole and around) else frozenset()


def number_test(values: frozenset[Fraction], *, is_label: bool = False) -> Callable[[str], bool]:
    """Whether a plain text states a number: not as an operand, an exponent, or the number of a step. Its sign does not matter.

    `is_label`: the number is the name of a class; then a word that counts something ("two strokes") does not name it.
    """

    def states_number(text: str) -> bool:
        spelled = _FRAC.sub(r"\1/\2", text)
        found = (number for number in _numbers_of(spelled) if not values.isdisjoint(number.values()))
        return any(
            not _is_operand(spelled, number.start, number.end) and not (is_label and _COUNTS.match(spelled, number.end)) for number in found
        )

    return states_number


def _numbers_of(text: str) -> Iterator[Number]:
    """Every number of a text, those in digits first."""
    for match in _DIGITS.finditer(text):
        if (value := _value_of_digits(match)) is not None:
            following = text[match.end() : match.end() + 2]
            if _COEFFICIENT.match(following) and following[0] not in _UNIT_LETTERS:
                continue
            yield Number(value, match["percent"] is not None, *match.span())
    for match in _IN_WORDS.finditer(text):
        for words, start, end in _single_numbers(match[0].lower(), match.start()):
            if words == "one" and (_PRONOUN.search(text[max(0, start - _WINDOW) : start]) or _OF.match(text, end)):
                continue
            percent = _PERCENT.match(text, end)
            yield Number(_value_of_words(words), percent is not None, start, percent.end() if percent else end)


def _single_numbers(words: str, start: int) -> Iterator[tuple[str, int, int]]:
    """(words, start, end) of each number of a row of number words: "seven seven" are two of them, "twenty-seven" is one."""
    begin, last = 0, None
    for word in re.finditer("[a-z]+", words):
        if word[0] == "and":
            continue
        fits = last is None or last[0] in _SCALES or word[0] in _SCALES or (last[0] in _TENS and 0 < _UNITS.get(word[0], 0) < 10)
        if last is not None and not fits:
            yield words[begin : last.end()], start + begin, start + last.end()
            begin = word.start()
        last = word
    if last is not None:
        yield words[begin : last.end()], start + begin, start + last.end()


def _value_of_digits(match: re.Match[str]) -> Fraction | None:
    parts = {name: text for name, text in match.groupdict().items() if text is not None}
    try:
        if "base" in parts:
            return _decimal(parts["base"]) * Fraction(10) ** int(parts["power"].replace("−", "-"))
        if "mixed" in parts:
            return int(parts["mixed"]) + Fraction(int(parts["over"]), int(parts["under"]))
        if "top" in parts:
            return Fraction(int(parts["top"]), int(parts["bottom"]))
        if "comma" in parts:
            return Fraction(parts["comma"].replace(",", "."))
        return _decimal(parts["plain"]) * Fraction(10) ** int(parts.get("exponent", 0))
    except ZeroDivisionError:
        return None


def _decimal(text: str) -> Fraction:
    return Fraction(re.sub("[,' \u202f]", "", text))


def _value_of_words(words: str) -> Fraction:
    """ "two hundred and five" as 205."""
    if words in _PARTS:
        return _PARTS[words]
    whole, part = 0, 0
    for word in re.findall(r"[a-z]+", words):
        if word in _SCALES:
            scale = _SCALES[word]
            whole, part = (whole, max(1, part) * scale) if scale == 100 else (whole + max(1, part) * scale, 0)
        elif word != "and":
            part += _UNITS.get(word, 0) + _TENS.get(word, 0)
    return Fraction(whole + part)


def _is_operand(text: str, start: int, end: int) -> bool:
    """Whether a number is worked with and not stated: beside an operator, raised, the number of a step or of a list's entry."""
    before = text[max(0, start - _WINDOW) : start]
    if start < _WINDOW and _NUMBERED.search(before) and _LISTED.match(text, end) and text[end + 1 :].strip():
        return True
    if _COUNTED.search(before):
        return True
    if _EQUALS.search(before):
        return False
    return _BEFORE.search(before) is not None or _AFTER.match(text, end) is not None
