"""Text as it is compared and as it is kept: Unicode form, invisible characters, surrounding marks."""

import math
import numbers
import re
import unicodedata

LONGEST = 2_000
"""Characters of an answer or label that are looked at; a longer text is not an answer."""

_PAIRS = {'"': '"', "'": "'", "`": "`", "*": "*", "_": "_", "“": "”", "\u2018": "\u2019", "«": "»", "$": "$"}
# C0 but tab, line feed and carriage return, DEL and C1, the bidi controls, zero-width characters, and halves of a surrogate pair,
# which no file can hold. The joiners U+200C and U+200D stay: Persian, Hindi and emoji are written with them.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)

# What NFKC alone would glue to a digit beside it: it turns 10² into 102, 2½ into 21/2 and 10₂ into 102.
_RAISED = re.compile(r"[⁺⁻⁽⁾]*[⁰¹²³⁴-⁹ⁿ][⁰¹²³⁴-⁹ⁿ⁺⁻⁽⁾]*(?=(\d?))")
_LOWERED = re.compile(r"(?<=\d)(?=[₀-₉])")
_APART = re.compile("[\u00bc-\u00be\u2150-\u215f\u2189\u2460-\u249b\u24ea\u3251-\u325f\u32b1-\u32bf]")
_SQUARED = str.maketrans(
    {"㎟": "mm²", "㎠": "cm²", "㎡": "m²", "㎢": "km²", "㎣": "mm³", "㎤": "cm³", "㎥": "m³", "㎦": "km³", "㎨": "m/s²", "⁄": "/"}
)


def clean_text(text: str) -> str:
    """The text without control, zero-width and bidi characters (line breaks and tabs stay), stripped."""
    if text.isascii() and text.replace("\n", "").isprintable():  # nearly every text; 0.4 us a kilobyte instead of 4
        return text.strip()
    return visible_text(text).strip()


def visible_text(text: str) -> str:
    """The text without control, zero-width and bidi characters, but with the space around it."""
    return _UNSEEN.sub("", text)


def normal_form(text: str) -> str:
    """The form in which labels and answers are compared; empty where nothing is left or the text is over `LONGEST`.

    NFKC, casefold, one space between words, nothing invisible, and without quotes and markdown that surround the whole or a
    full stop, comma, colon or exclamation mark that ends it. A question mark stays: "awe?" is a doubt, not awe. A raised digit is
    a power (10² is "10^2"), a digit set low after a digit is a base ("10_2"), and a fraction sign stands alone (2½ is "2 1/2").
    """
    if len(text) > LONGEST:
        return ""
    if text.isascii() and text.isalnum():
        return text.casefold()
    folded = text if text.isascii() else powers_kept(text)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", folded).casefold())
    plain = " ".join("".join(c for c in folded if c.isspace() or unicodedata.category(c) not in ("Cc", "Cf", "Cs")).split())
    return _strip_marks(plain)


def powers_kept(text: str) -> str:
    """The text with raised and lowered digits, fraction signs and circled numbers written so that NFKC keeps their meaning.

    Source: rasbt/reasoning-from-scratch#99 (a checker of mathematics that read 10² as 102).
    """
    spread = _RAISED.sub(_as_power, text.translate(_SQUARED))
    spread = _APART.sub(lambda sign: f" {unicodedata.normalize('NFKC', sign.group())} ", _LOWERED.sub("_", spread))
    return spread.replace("⁄", "/")


def _as_power(run: re.Match[str]) -> str:
    return "^" + unicodedata.normalize("NFKC", run.group()).replace("−", "-") + " " * bool(run[1])


def as_text(raw: object) -> str | None:
    """A raw label or option of any type as text; None for null, NaN and everything that is neither text, number nor bool.

    A whole number that arrives as a float (a CSV column with gaps) is written without its `.0`.
    """
    if isinstance(raw, str):
        return raw
    if isinstance(raw, bool):
        return str(raw).lower()
    if not isinstance(raw, numbers.Number):
        return None
    if isinstance(raw, numbers.Real) and not isinstance(raw, numbers.Rational):
        value = float(raw)
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() else str(raw)
    return str(raw)


def _strip_marks(text: str) -> str:
    """Without final punctuation and surrounding pairs, however nested; a text made of nothing else stays whole."""
    core = text
    while True:
        shorter = core.rstrip(".,;:。")
        bare = shorter.rstrip("!")
        # "5!" is a factorial, "Awe!" is awe.
        if bare and not bare[-1].isdigit():
            shorter = bare
        shorter = shorter.strip()
        if len(shorter) > 1 and _PAIRS.get(shorter[0]) == shorter[-1]:
            shorter = shorter[1:-1].strip()
        if shorter == core or not shorter:
            return shorter or text
        core = shorter
