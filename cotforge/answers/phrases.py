"""What is written around an answer and is no part of it: boxes, dollar signs, markdown, "The answer is"."""

import re
from typing import NamedTuple

LONGEST = 300
"""Characters; a longer text is not looked into."""

_ROUNDS = 8
_PAIRS = (
    ("$$", "$$"),
    ("$", "$"),
    (r"\(", r"\)"),
    (r"\[", r"\]"),
    ("**", "**"),
    ("__", "__"),
    ("*", "*"),
    ("`", "`"),
    ('"', '"'),
    ("“", "”"),
)
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_STYLED = re.compile(r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|math(?:bf|rm|it|sf|tt)|mbox|operatorname)\s*\{([^{}]*)\}")
# With thousands: 10\,000 and 10{,}000, as LaTeX sets them; MATH has 10,\!000.
_SPACE = re.compile(r"(?<!\\)\\(?:[,;: !]|thinspace|enspace|quad|qquad)|(?<=[^\s\\])~(?=\D)")
_SIGNS = str.maketrans({"：": ":", "＝": "="})
_LEAD = re.compile(
    r"""[*_\#>\s]*(?:
        (?:\#{4}\s*)
      | (?:(?:so|thus|hence|therefore|then|and)\b,?\s+)?
        (?:(?:the|my|our)\s+)?(?:(?:final|correct|right|best)\s+)*
        (?:answer|ans|solution|result|(?<=(?:correct|..right|...best)\s)(?:option|choice))(?:\s+(?:choice|option|letter))?
        (?:\s+to\s+(?:the|this)\s+(?:question|problem))?[*_]*
        (?:\s+(?:is|would\s+be|should\s+be)\b\s*[:=]?|\s*[:=])
      | (?:所以|因此|故|综上)?[,，]?(?:正确|最终|最後|最后)?(?:的)?(?:答案|答え|答)(?:应?该?是|为|為|选|は|应为)?\s*:?
      | 정답(?:은|는)?\s*:?
      | (?:la\s+|die\s+)?(?:respuesta|réponse|antwort|resposta|risposta|ответ)(?:\s+(?:es|est|ist))?\s*(?::|(?<=es)\s|(?<=st)\s)
    )(?:[*_]+(?=\s))?\s*""",
    re.IGNORECASE | re.VERBOSE,
)
_CLAIM = re.compile(r"\banswer\s*(?:is|:|=)|答案\s*(?:是|为|為|选|:)|\\boxed\b", re.IGNORECASE)


class Core(NamedTuple):
    """An answer without what is written around it."""

    text: str
    led: bool
    """Whether words such as "The answer is" stood before it."""
    twice: bool
    """Whether what is left names an answer once more."""


def core_answer(text: str) -> Core:
    """The answer that a text of one statement holds: "The answer is $\\boxed{42}$." is 42. Only the whole is unwrapped, never a part."""
    led, inner = False, text.translate(_SIGNS).strip()
    for _ in range(_ROUNDS):
        before = inner
        inner = _strip_outermost(inner)
        lead = _LEAD.match(inner) if inner == before else None
        if lead is not None and lead.end() < len(inner):
            led, inner = True, inner[lead.end() :].strip()
        if inner == before:
            break
    return Core(inner, led, _CLAIM.search(inner) is not None)


def strip_fonts(text: str) -> str:
    """LaTeX without fonts: the words of `\\text{}`, `\\mathrm{}` and the like stand bare; a nested one is left."""
    return _STYLED.sub(r"\1", text) if "\\" in text else text


def plain_spaces(text: str) -> str:
    """LaTeX's spaces (`\\,` `\\;` `~` and the like) as plain ones."""
    return _SPACE.sub(" ", text)


def _strip_outermost(text: str) -> str:
    """Without the outermost box, pair of marks or final full stop."""
    if text.endswith((".", "。", ",", ";")) and len(text) > 1 and not text.endswith(".."):
        text = text[:-1].rstrip()
    box = _BOX.match(text)
    if box is not None and text.endswith("}") and _has_balanced_braces(text[box.end() : -1]):
        return text[box.end() : -1].strip()
    styled = _STYLED.fullmatch(text)
    if styled is not None:
        return styled[1].strip()
    for left, right in _PAIRS:
        inner = text[len(left) : -len(right)]
        if text.startswith(left) and text.endswith(right) and len(text) > len(left + right) - 1 and inner and right not in inner:
            return inner.strip() if not inner.endswith("\\") else text
    return text


def _has_balanced_braces(text: str) -> bool:
    depth = 0
    for character in text:
        depth += (character == "{") - (character == "}")
        if depth < 0:
            return False
    return depth == 0
