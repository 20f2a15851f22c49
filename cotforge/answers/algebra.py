"""The `math` verifier: one text for equal expressions, so that equal answers vote together.

Parsed by math-verify's LaTeX grammar (its other extractors evaluate Python source, which text from a model must never reach),
then brought to one form by sympy. Its time limit is a signal, which threads cannot use; the limits here are on the text and the
parsed tree instead, and what is over them is compared as plain text.
"""

import dataclasses
import functools
import logging
import re
from fractions import Fraction
from typing import Any

from cotforge.answers.decimals import read_number
from cotforge.answers.formulas import formula_of, parts_of_or, text_of
from cotforge.answers.phrases import core_answer
from cotforge.answers.text import normal_form

_NODES, _DIGITS, _ROOT = 60, 30, 12
_TRIED = 30
"""Nodes up to which roots and functions are simplified."""
_INVISIBLE = {0x2062: "×", 0x2063: ",", 0x2064: "+"}
"""Operators of MathML that a normal form would take out with all else that is invisible."""


@functools.lru_cache(maxsize=65_536)
def math_answer(text: str) -> str | None:
    """Canonical text of a formula ("1/2" for 0.5, 50% and \\frac{1}{2}); None where the text is empty or names two answers.

    Words and what the grammar would misread (a unit, a ratio, a range, a base) are compared as text. Forms that sympy does not bring
    together stay apart: an agreement may be lost, none is invented. The case of a variable is ignored, as math-verify does.
    """
    if not normal_form(text):
        return None
    text = text.translate(_INVISIBLE)
    number = read_number(text)
    if number is not None:
        return str(Fraction(number.value) / (100 if number.percent else 1))
    found = core_answer(text)
    if found.twice:
        return None
    parts = parts_of_or(found.text)
    return _canonical_text(found.text) if len(parts) == 1 else _solution_set(parts)


def _canonical_text(text: str) -> str | None:
    """Canonical text of an answer that stands bare."""
    formula = formula_of(text)
    if formula is None:
        return text_of(text)
    try:
        return _canonical_form(_parse_formula(formula)) or text_of(text)
    except Exception:  # sympy raises every kind of error on odd trees; a text it cannot bring to one form is compared as text
        return text_of(text)


def _solution_set(parts: list[str]) -> str | None:
    """ "x = 1 or x = 2" as the set {1, 2}; None for "1 or 2", which is two answers, and text for words."""
    ends = [re.fullmatch(r"\s*([a-zA-Z])\s*=(.*)", part, re.DOTALL) for part in parts]
    if all(ends) and len({end[1] for end in ends if end}) == 1:
        read = [_canonical_text(end[2]) for end in ends if end]
        return "{" + ", ".join(sorted({part for part in read if part})) + "}" if all(read) else None
    return None


@functools.cache
def _latex_grammar() -> Any:
    # Importing sympy takes 0.4 s; only a pipeline with this verifier pays for it.
    from math_verify import LatexExtractionConfig, parse

    # It says once per process that it has no time limit; the limits are ours.
    logging.getLogger("math_verify.parser").setLevel(logging.ERROR)
    latex = LatexExtractionConfig()
    # It takes the m of 5m, the h of 5h and the t of 5t for units, and leaves them out.
    units_kept = dataclasses.replace(latex.normalization_config, units=False, boxed="none")
    latex = dataclasses.replace(latex, normalization_config=units_kept)
    return functools.partial(parse, extraction_config=[latex], fallback_mode="no_fallback", parsing_timeout=None)


def _parse_formula(formula: str) -> Any:
    found = _latex_grammar()(f"${formula}$")
    return found[0] if found else None


def _canonical_form(tree: Any) -> str:
    """Empty where the tree is none, too large, or of a kind that has no canonical form here."""
    import sympy

    if tree is None or isinstance(tree, str):
        return ""
    if isinstance(tree, sympy.Equality) and tree.lhs.is_Symbol:
        return _canonical_form(tree.rhs)
    if isinstance(tree, sympy.FiniteSet):
        if any(isinstance(part, sympy.Equality) for part in tree.args):
            return ""  # "x = 3, y = 5" is not "x = 5, y = 3"
        parts = [_canonical_form(part) for part in tree.args]
        return "{" + ", ".join(sorted(parts)) + "}" if all(parts) else ""
    if isinstance(tree, sympy.Tuple):
        parts = [_canonical_form(part) for part in tree.args]
        return "(" + ", ".join(parts) + ")" if all(parts) else ""
    if isinstance(tree, sympy.Interval):
        ends = [_canonical_form(end) for end in (tree.start, tree.end)]
        return f"{'(' if tree.left_open else '['}{', '.join(ends)}{')' if tree.right_open else ']'}" if all(ends) else ""
    if isinstance(tree, sympy.MatrixBase):
        rows = [[_canonical_form(cell) for cell in row] for row in tree.tolist()]
        return "[" + "; ".join(", ".join(row) for row in rows) + "]" if all(map(all, rows)) else ""
    if not isinstance(tree, sympy.Expr) or not _is_small(tree):
        return ""
    exact = sympy.nsimplify(tree, rational=True) if tree.has(sympy.Float) else tree
    if not _is_small(exact):
        return ""
    simplest = _simplify_tree(exact)
    return "" if simplest.has(sympy.zoo, sympy.nan) else str(simplest)


def _is_small(tree: Any) -> bool:
    """Whether working it out is cheap: few nodes, short numbers, and powers that multiply to a small degree."""
    import sympy

    if tree.has(sympy.Integral, sympy.Sum, sympy.Product, sympy.Limit, sympy.Derivative, sympy.factorial, sympy.binomial):
        return False
    if sum(1 for _ in sympy.preorder_traversal(tree)) > _NODES:
        return False
    if any(abs(atom.p) >= 10**_DIGITS or atom.q >= 10**_DIGITS for atom in tree.atoms(sympy.Rational)):
        return False
    return _tree_degree(tree) <= (6 if len(tree.free_symbols) > 1 else 64)


def _tree_degree(tree: Any) -> float:
    """The largest product of exponents on a way from the root to a leaf; infinite where an exponent is no short fraction."""
    below = max((_tree_degree(arg) for arg in tree.args), default=1.0)
    if not tree.is_Pow or tree.exp.free_symbols:
        return below
    if tree.exp.is_Float:
        return below * max(1.0, abs(float(tree.exp)))
    # i^(0.5^pi) kept sympy busy for minutes: only an exponent that is a short fraction is worked with.
    if not tree.exp.is_Rational or tree.exp.q > _ROOT:
        return float("inf")
    return below * max(1.0, abs(float(tree.exp)))


def _simplify_tree(tree: Any) -> Any:
    import sympy

    worked = tree.doit()
    if worked.is_rational_function():
        return sympy.cancel(worked)
    # Roots and functions are simplified by trial; nothing bounds the time on a large tree.
    if sum(1 for _ in sympy.preorder_traversal(worked)) > _TRIED:
        return worked
    return sympy.radsimp(sympy.sqrtdenest(sympy.simplify(worked)))
