"""One number out of an answer, whatever way it is written; what could be two numbers, a range or a measure is none."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from cotforge.answers.phrases import LONGEST, core_answer, plain_spaces, strip_fonts
from cotforge.answers.text import normal_form

_DIGITS = 60
_GROUPED = r"[1-9][0-9]{0,2}(?P<gap>[,'_])[0-9]{3}(?:(?P=gap)[0-9]{3})*|[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}"
_DECIMAL = rf"(?P<whole>{_GROUPED}|[0-9]+|(?=\.[0-9]))(?:\.(?P<part>[0-9]*))?"
_SIGNED = r"(?:[a-z] ?= ?|= ?)?(?P<sign>[+-]|− ?|(?:minus|negative) )?"
_NUMBER = re.compile(
    rf"{_SIGNED}(?P<money>(?:us)?\$ ?|usd )?(?P<late>[+-])?{_DECIMAL}(?:e(?P<power>[+-]?[0-9]{{1,2}}))?"
    r"(?P<after> ?\\?%| per ?cent| ?(?:us)?\$| dollars?| usd)?"
)
_POWER_OF_TEN = re.compile(
    rf"{_SIGNED}(?:{_DECIMAL} ?(?:x|×|\*|·|⋅|\\times|\\cdot) ?)?"
    r"10 ?(?:\^|\*\*) ?(?P<power>[+−-]?[0-9]{1,2}|\{ ?[+−-]? ?[0-9]{1,2} ?\})"
)
# Thousands as SI, LaTeX and typesetters write them. A plain space or `~` may also stand between two numbers or the ends of a range.
_THOUSANDS = re.compile(r"(?<=[0-9])(?:[\u00a0\u2006-\u200a\u202f]|\\[,;: ]|\\thinspace ?|\{\\,\}|\u2019|~(?=000))(?=[0-9]{3})")
_LATEX_COMMA = re.compile(r"(?<=[0-9])(?:\{,\}|,\\!)(?=[0-9]{3})")
# A full-width comma parts a list as often as thousands; what is invisible between two factors is a product;
# 0.333... is a third.
_UNSURE = re.compile(r"[0-9\uff10-\uff19][\uff0c\u3001\ufe50\u2061-\u2064\u00ad]|[₀-₉]|\.\.|…")
_HYPHENS = str.maketrans({"‐": "-", "‑": "-", "–": "-", "﹣": "-", "－": "-"})


class Read(NamedTuple):
    """A number that was read."""

    value: Decimal
    percent: bool


def read_number(text: str) -> Read | None:
    """The one number that a text names; None where it names none, several, a range, a bound, a fraction or a measure.

    Sources: GSM8K (`#### 1,234`, `$18`), MATH (`10{,}000`, `10,\\!000`, `3 \\times 10^{8}`), Speech-Rule-Engine#724 (thin spaces).
    """
    plainly = _NUMBER.fullmatch(text) if len(text) <= _DIGITS and text.isascii() else None
    if plainly is not None and (read := _decimal_value(plainly.groupdict(default=""))) is not None:  # most answers, in half the time
        return read
    if len(text) > LONGEST or _UNSURE.search(text):
        return None
    found = core_answer(text)
    if found.twice:
        return None
    plain = normal_form(plain_spaces(strip_fonts(thousands_marked(found.text))).replace(r"\$", "$")).translate(_HYPHENS)
    if len(plain) > _DIGITS:
        return None
    match = _NUMBER.fullmatch(plain) or _POWER_OF_TEN.fullmatch(plain)
    return None if match is None else _decimal_value(match.groupdict(default=""))


def thousands_marked(text: str) -> str:
    """The text with an apostrophe where a thin, no-break or LaTeX space parts thousands, and a comma for `{,}`."""
    return _LATEX_COMMA.sub(",", _THOUSANDS.sub("'", text))


def _decimal_value(parts: Mapping[str, str]) -> Read | None:
    sign, late, after = parts["sign"], parts.get("late", ""), parts.get("after", "").strip()
    if (sign and late) or (parts.get("money") and after):
        return None
    minus = "-" if sign not in ("", "+") or late == "-" else ""
    whole = re.sub("[,'_]", "", parts["whole"]) or ("0" if parts["part"] else "1")
    power = re.sub("[{ }]", "", parts["power"]).replace("−", "-") or "0"
    return Read(Decimal(f"{minus}{whole}.{parts['part'] or '0'}e{power}"), percent=after.endswith("%") or after.startswith("per"))


def decimal_text(value: Decimal) -> str:
    """Digits without an exponent, a plus, or zeros that say nothing: "300000000", "0.5", "-7", "0"."""
    digits = format(value, "f")
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return digits if value else "0"
