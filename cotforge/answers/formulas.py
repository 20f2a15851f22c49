"""What of an answer the LaTeX grammar may read, in the form in which it reads it right; the rest is text."""

import re

from cotforge.answers.decimals import decimal_text, read_number, thousands_marked
from cotforge.answers.phrases import plain_spaces, strip_fonts
from cotforge.answers.text import normal_form, powers_kept

LONGEST = 120
"""Characters; longer answers are compared as text."""
_FUNCTIONS = tuple(
    re.findall(
        r"\w+",
        """sqrt pi sin cos tan cot sec csc log ln exp arcsin arccos arctan theta alpha beta gamma lambda mu sigma phi omega infty""",
    )
)
_COMMANDS = frozenset(
    re.findall(r"\w+", """frac dfrac tfrac cdot times div left right cup cap in pm le ge leq geq neq ne begin end pmatrix bmatrix matrix""")
) | frozenset(_FUNCTIONS)
_SIGNS = str.maketrans(
    {"×": r"\times ", "÷": "/", "·": r"\cdot ", "⋅": r"\cdot ", "−": "-", "π": r"\pi ", "∞": r"\infty ", "±": r"\pm ", "≤": r"\le "}
    | {"≥": r"\ge ", "≠": r"\ne ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta "}
    | {"λ": r"\lambda ", "μ": r"\mu ", "σ": r"\sigma ", "φ": r"\phi ", "ω": r"\omega ", "γ": r"\gamma "}
)
_ROOT = re.compile(r"√\s*(?:([0-9]+|[a-zA-Z](?![a-zA-Z]))|\(([^()]*)\)|\{([^{}]*)\})")
_CALLED_ROOT = re.compile(r"(?<![\\a-zA-Z])sqrt\s*(?:\(([^()]*)\)|([0-9]+))")
_NAMED = re.compile(rf"(?<![\\a-zA-Z])({'|'.join(name for name in _FUNCTIONS if name != 'sqrt')})(?![a-zA-Z])")
_POWER = re.compile(r"\^(-?[0-9]{2,}|-[0-9a-z])")
_DEGREES = re.compile(r"\s*(?:\^\s*\{?\s*\\circ\s*\}?|\\degree|(?<=[0-9])\s*degrees?\b)")
_MIXED = re.compile(
    r"(-?)\s*([0-9]{1,9})\s*(?:\\[dt]?frac\s*\{\s*([0-9]{1,9})\s*\}\s*\{\s*([0-9]{1,9})\s*\}|\s([0-9]{1,9})\s*/\s*([0-9]{1,9}))"
)
_OR = re.compile(r"\s*,?\s*(?:\\text\s*\{\s*or\s*\}|\bor\b|或者?|\\lor\b|\\vee\b)\s*")
_MATRIX = re.compile(r"\\(?:begin|end)\{[bp]?matrix\}")
_COMMAND = re.compile(r"\\([a-zA-Z]+)")
_WORD = re.compile(r"[a-zA-Z][a-zA-Z0-9{]")
_SIZED = re.compile(r"\\(?:left|right)\s*(?=[()\[\]|])")
# The grammar adds what stands side by side in 2(3) and (2)(3), as in a mixed number.
_FACTORS = re.compile(r"(?<=[0-9)])\s*(?=\(\s*[0-9.]+(?:\s*/\s*[0-9.]+)?\s*\))|(?<=[0-9]\))\s*(?=[0-9])")
_READABLE = re.compile(r"[0-9a-zA-Z\\{}()\[\]^_+\-*/=<>|,.!%& \n]+")
_MISREAD = re.compile(
    r"""
    # side by side: a sum in a mixed number, a product, or two numbers
    [0-9]\s+[0-9.] | [0-9]\s*\{ | [0-9]\s*\\[dt]?frac\s*\{?\s*[0-9] | ^\s*\{[^{}]*\}\s*\S
    | [0-9)}]\s*\(\s*[-+]?\s*\\[dt]?frac | \}\s*\\[dt]?frac | \\[dt]?frac\s*(?:\{[^{}]*\}|[0-9])\s*(?:\{[^{}]*\}|[0-9])\s*[0-9]
    # a base, a code, an unfinished number, a comment
    | [0-9]\s*_ | (?<![0-9])0[0-9] | [0-9]e[+\-]?[0-9] | %(?!\s*$) | ! | \.\. | … | \.\s | (?<!\\)\\[0-9\ ]
    # a version, a date, a range
    | [0-9]\.[0-9]*\. | [0-9]\s*/\s*[0-9]+\s*/ | ^\s*[0-9.]+\s*-\s*[0-9.]+\s*(?:-\s*[0-9.]+\s*)*$
    # thousands in something larger, the decimals of other countries
    | [0-9],[0-9]{3}(?![0-9]) | (?<![0-9.(\[{,])0,[0-9]+(?![0-9,)\]}]) | (?<![0-9.])[0-9]{1,3}\.[0-9]{3},[0-9] | [0-9]·(?!10\s*\^)[0-9]
    # what a slash or a power covers: 1/2x, 10^1/2, e^2x
    | /\s*(?:[0-9.]+|[a-zA-Z])(?:\s*\^\s*(?:[0-9]|\{[^{}]*\}))?\s*[a-zA-Z(\\]
    | [0-9]\s*\^\s*[0-9]+\s*/\s*[0-9] | [0-9e]\s*\^\s*[0-9][a-zA-Z]
    # which of two powers comes first, a part of a hundred that is a fraction
    | \^\s*(?:[0-9a-z]+|\{[^{}]*\})\s*\^ | (?:/\s*[0-9.]+|\})\s*\\?%
    # a power of ten that lost its height: 6.02 × 1023
    | (?:\*|×|\\times|\\cdot)\s*10\s*[+\-−]\s*[0-9]+\s*$ | [0-9]\.[0-9]+\s*(?:\*|×|\\times|\\cdot)\s*10[0-9]{1,2}\s*$
    # a logarithm to an unknown base, half a formula
    | \\log(?!\s*_) | [+\-*/^=,]\s*$ | ^\s*[*/^=,<>] | \|\s*\| | [0-9]\s*\|\s*[0-9] | -- | \+\+
    """,
    re.VERBOSE,
)
"""What the grammar reads as something else than a person may have meant."""
_GLUED = re.compile(r"[√/÷^]\s*[\u00bc-\u00be\u2150-\u215e]|[⁰¹²³⁴-⁹]\.[0-9]")
"""What a sign covers is lost once it is written out: √½ is no half of √1, and 1/½ is 2."""
_UNIT = re.compile(r"([+\-−]?[0-9][0-9.,'{}\\]*(?:e[+-]?[0-9]+)?) ?(°(?: ?[cfk]\b)?|[a-zµμω]{2,}.*|[a-z]/.*)", re.DOTALL)


def formula_of(text: str) -> str | None:
    """The answer as LaTeX that the grammar reads right; None where it is words, or could be read as something else."""
    if _GLUED.search(text):
        return None
    kept = powers_kept(plain_spaces(strip_fonts(thousands_marked(text)).replace(r"\!", "")))
    if _MISREAD.search(kept) and not _MIXED.fullmatch(kept.strip()):
        return None
    spread = _with_commands(kept.translate(_SIGNS)).strip()
    mixed = _MIXED.fullmatch(spread)
    if mixed is not None:
        return _sum_of(mixed)
    bare = spread.replace("'", "") if re.search(r"[0-9]'[0-9]{3}", spread) else spread
    if len(bare) > LONGEST or not _READABLE.fullmatch(bare) or _MISREAD.search(bare):
        return None
    return bare if _is_formula(bare) else None


def _is_formula(text: str) -> bool:
    """Only letters, numbers, operators and known commands: "yes" would be read as the product y e s, CO2 as C2O."""
    plain = _MATRIX.sub(" ", text)
    if "&" in text and plain == text:
        return False
    return all(name in _COMMANDS for name in _COMMAND.findall(plain)) and not _WORD.search(_COMMAND.sub(" ", plain))


def text_of(text: str) -> str | None:
    """The answer as text: LaTeX's spaces and fonts do not matter, and a number before a unit has its one form ("1000 cm^2")."""
    spread = _DEGREES.sub("°", plain_spaces(strip_fonts(thousands_marked(text)).replace(r"\!", "")))
    plain = (
        re.sub(r"\^\{ ?([+-]?\w+) ?\}", r"^\1", normal_form(spread))
        if "^{" in spread and _UNIT.match(normal_form(spread))
        else normal_form(spread)
    )
    measure = _UNIT.fullmatch(plain)
    number = read_number(measure[1]) if measure else None
    if measure and number:
        return f"{decimal_text(number.value)} {measure[2]}"
    ended = "..." if text.rstrip().endswith(("..", "…")) else "!" * (plain.isalpha() and len(plain) == 1 and "!" in text)
    return plain + ended or None  # n! is no n


def parts_of_or(text: str) -> list[str]:
    """What stands before and after each "or"; the whole where a part is words, as in "one or more"."""
    parts = [part.strip() for part in _OR.split(text)]
    return parts if len(parts) > 1 and all(part and (read_number(part) or formula_of(part)) for part in parts) else [text]


def _with_commands(formula: str) -> str:
    """Plain `pi`, `sqrt(2)`, `√2`, `x^10` and `**` as LaTeX."""
    rooted = _ROOT.sub(lambda m: rf"\sqrt{{{m[1] or m[2] or m[3]}}}", formula)
    called = _CALLED_ROOT.sub(lambda m: rf"\sqrt{{{m[1] or m[2]}}}", rooted)
    called = _FACTORS.sub(r"\\cdot ", _SIZED.sub("", called))
    return _POWER.sub(r"^{\1}", _NAMED.sub(r"\\\1 ", called).replace("**", "^"))


def _sum_of(mixed: re.Match[str]) -> str | None:
    """A mixed number as a sum; None where its fraction is not below one, so that it may be a product."""
    above, below = int(mixed[3] or mixed[5]), int(mixed[4] or mixed[6])
    return rf"{mixed[1]}\frac{{{int(mixed[2]) * below + above}}}{{{below}}}" if 0 < above < below else None
