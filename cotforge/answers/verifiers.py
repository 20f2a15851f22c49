"""What makes two free answers the same: each function turns an answer into the text in which it is compared, or None."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType

from cotforge.answers.algebra import math_answer
from cotforge.answers.text import normal

_NUMBER = re.compile(r"([+-]?)([0-9]+|[0-9]{1,3}(?:,[0-9]{3})+|(?=\.))(?:\.([0-9]*))?(?:e([+-]?[0-9]{1,2}))? ?(%?)")
_LETTER = re.compile(r"(?:option |choice )?(?:\(([a-z])\)|([a-z])(?=[).:\s]|$))[).:]? ?(.*)", re.DOTALL)
_DIGITS = 60


def exact(text: str, options: tuple[str, ...]) -> str | None:
    """The text in its normal form: Unicode, case, spaces, surrounding quotes and final punctuation do not matter."""
    return normal(text) or None


def number(text: str, options: tuple[str, ...]) -> str | None:
    """Canonical decimal text: 3, 3.0, +3 and 3e0 are "3", 3,000 is "3000"; None for everything but one number.

    A comma is a thousands separator and must stand every three digits; a point is the decimal point. A per cent sign stays, so
    that 25% is neither 25 nor 0.25. No units, words, currencies or fractions (`math` reads fractions).
    """
    plain = normal(text).replace("\N{MINUS SIGN}", "-")
    match = _NUMBER.fullmatch(plain) if len(plain) <= _DIGITS else None
    if match is None:
        return None
    sign, whole, part, power, percent = match.groups()
    if not whole and not part:
        return None
    value = Decimal(f"{sign}{whole.replace(',', '') or '0'}.{part or '0'}e{power or '0'}")
    digits = format(value, "f")
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return ("0" if not value else digits.lstrip("+")) + percent


def choice(text: str, options: tuple[str, ...]) -> str | None:
    """The option meant by its text, its letter ("B", "(b)", "B.", in the options' order) or both where they agree.

    Without options (they stand in the question's text) the answer is the letter, upper case. An option that is itself a letter
    wins over the letter's place.
    """
    plain = normal(text)
    for option in options:
        if normal(option) == plain:
            return option
    match = _LETTER.fullmatch(plain)
    if match is None:
        return None
    letter, rest = match[1] or match[2], normal(match[3])
    if not options:
        return letter.upper() if not rest or plain[0] == "(" or plain[1:2] in (")", ".", ":") else None
    place = ord(letter) - ord("a")
    named = options[place] if place < len(options) else None
    return named if named is not None and rest in ("", normal(named)) else None


def math(text: str, options: tuple[str, ...]) -> str | None:
    """Canonical text of a formula: see `algebra.math_answer`."""
    return math_answer(text)


VERIFIERS: Mapping[str, Callable[[str, tuple[str, ...]], str | None]] = MappingProxyType(
    {"exact": exact, "number": number, "choice": choice, "math": math}
)
"""Every `task.verifier` by name."""
