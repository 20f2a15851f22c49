"""What makes two free answers the same: each function turns an answer into the text in which it is compared, or None.

A wrong ballot teaches something wrong, a missing one costs a little: what can be read in two ways is None.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from cotforge.answers.algebra import math_answer
from cotforge.answers.decimals import decimal_text, read_number
from cotforge.answers.letters import read_choice
from cotforge.answers.text import normal_form

_SHORT = 15


def exact_form(text: str, options: tuple[str, ...]) -> str | None:
    """The text in its normal form: Unicode, case, spaces, surrounding quotes and final punctuation do not matter."""
    return normal_form(text) or None


def number_form(text: str, options: tuple[str, ...]) -> str | None:
    """Canonical decimal text: 3, 3.0, +3 and 3e0 are "3", 3,000 is "3000"; None for everything but one number.

    Read: thousands (`3,000`, `1,00,000`, `3\\,000`, with thin or no-break spaces), powers of ten (10², 3×10^8), a dollar sign,
    and what is written around an answer ("The answer is $\\boxed{3}$.", `#### 3`, "x = 3"). A point is the decimal point. A per
    cent sign stays, so that 25% is neither 25 nor 0.25. A dollar sign goes, as GSM8K's graders have it.

    None: a number with a unit, because 42 cm and 42 m must not agree, and whether 42 cm is a label's 42 only the question says.
    Ranges, bounds ("about 3", "3+"), fractions (`math` reads them), words, other currencies, decimal commas (0,5).
    """
    if len(text) <= _SHORT and text.isascii() and text.isdecimal():  # nearly every answer
        return text.lstrip("0") or "0"
    found = read_number(text)
    return None if found is None else decimal_text(found.value) + "%" * found.percent


def choice_form(text: str, options: tuple[str, ...]) -> str | None:
    """The option meant by its text, its letter ("B", "(b)", "B.", in the options' order) or both where they agree.

    Without options (they stand in the question's text) the answer is the letter, upper case. An option that is itself a letter
    wins over the letter's place, and so does a letter that the options bring with them ("B. dog").

    None: two letters, "not B", "B is wrong", "(A) is incorrect; (B) is correct", and a letter that may begin a sentence ("A cat", "I.").
    """
    return read_choice(text, options)


def math_form(text: str, options: tuple[str, ...]) -> str | None:
    """Canonical text of a formula: see `algebra.math_answer`."""
    return math_answer(text)


VERIFIERS: Mapping[str, Callable[[str, tuple[str, ...]], str | None]] = MappingProxyType(
    {"exact": exact_form, "number": number_form, "choice": choice_form, "math": math_form}
)
"""Every `task.verifier` by name."""
