"""The `math` verifier: one text for equal expressions, so that equal answers vote together.

Parsed by math-verify's LaTeX grammar (its other extractors evaluate Python source, which text from a model must never reach),
then brought to one form by sympy. Its time limit is a signal, which threads cannot use; the limits here are on the text and the
parsed tree instead, and what is over them is compared as plain text.
"""

import functools
import logging
import re
from typing import Any

from cotforge.answers.text import normal

LONGEST = 120
"""Characters; longer answers are compared as text."""
_NODES, _DIGITS = 60, 30
_COMMANDS = frozenset(
    re.findall(
        r"\w+",
        """frac dfrac tfrac sqrt pi cdot times div left right sin cos tan log ln exp infty cup cap in pm le ge leq geq neq ne
        theta alpha beta lambda mu sigma phi omega begin end pmatrix bmatrix matrix""",
    )
)
_WORD = re.compile(r"[a-z]{2,}")
_MIXED = re.compile(r"[0-9]\s+[0-9]")


@functools.lru_cache(maxsize=65_536)
def math_answer(text: str) -> str | None:
    """Canonical text of a formula ("1/2" for 0.5, 50% and \\frac{1}{2}); None where the text is empty.

    Words and what the grammar would misread (a mixed number, a unit) are compared as text. Forms that sympy does not bring
    together stay apart: an agreement may be lost, none is invented. The case of a variable is ignored, as math-verify does.
    """
    plain = normal(text)
    formula = text.strip().strip("$").strip()
    if not plain or len(formula) > LONGEST or not _is_formula(formula):
        return plain or None
    try:
        return _canonical(_parsed(formula)) or plain
    except Exception:  # sympy raises every kind of error on odd trees; a text it cannot bring to one form is compared as text
        return plain


def _is_formula(text: str) -> bool:
    """Only letters, numbers, operators and known commands: "yes" would be read as the product y e s, "1 1/2" as 1."""
    return all(word in _COMMANDS for word in _WORD.findall(text.lower())) and not _MIXED.search(text)


@functools.cache
def _grammar() -> Any:
    # Importing sympy takes 0.4 s; only a pipeline with this verifier pays for it.
    from math_verify import LatexExtractionConfig, parse

    # It says once per process that it has no time limit; the limits are ours.
    logging.getLogger("math_verify.parser").setLevel(logging.ERROR)
    return functools.partial(parse, extraction_config=[LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=None)


def _parsed(formula: str) -> Any:
    found = _grammar()(f"${_with_commands(formula)}$")
    return found[0] if found else None


def _with_commands(formula: str) -> str:
    """Plain `pi` and `**` as LaTeX."""
    return re.sub(r"(?<![\\a-zA-Z])pi(?![a-zA-Z])", r"\\pi ", formula).replace("**", "^")


def _canonical(tree: Any) -> str:
    """Empty where the tree is none, too large, or of a kind that has no canonical form here."""
    import sympy

    if tree is None or isinstance(tree, str):
        return ""
    if isinstance(tree, sympy.Equality) and tree.lhs.is_Symbol:
        return _canonical(tree.rhs)
    if isinstance(tree, sympy.FiniteSet):
        parts = [_canonical(part) for part in tree.args]
        return "{" + ", ".join(sorted(parts)) + "}" if all(parts) else ""
    if isinstance(tree, sympy.Interval):
        ends = [_canonical(end) for end in (tree.start, tree.end)]
        return f"{'(' if tree.left_open else '['}{', '.join(ends)}{')' if tree.right_open else ']'}" if all(ends) else ""
    if isinstance(tree, sympy.MatrixBase):
        rows = [[_canonical(cell) for cell in row] for row in tree.tolist()]
        return "[" + "; ".join(", ".join(row) for row in rows) + "]" if all(map(all, rows)) else ""
    if not isinstance(tree, sympy.Expr) or not _is_small(tree):
        return ""
    simplest = _simplest(tree)
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
    return _degree(tree) <= (6 if len(tree.free_symbols) > 1 else 64)


def _degree(tree: Any) -> float:
    """The largest product of exponents on a way from the root to a leaf; infinite where a number is raised to a worked-out power."""
    below = max((_degree(arg) for arg in tree.args), default=1.0)
    if not tree.is_Pow or tree.exp.free_symbols:
        return below
    if not tree.exp.is_Rational:
        return float("inf") if tree.base.is_Rational and tree.exp.is_Pow else below
    return below * max(1.0, abs(float(tree.exp)))


def _simplest(tree: Any) -> Any:
    import sympy

    exact = sympy.nsimplify(tree, rational=True) if tree.has(sympy.Float) else tree
    worked = exact.doit()
    if worked.is_rational_function():
        return sympy.cancel(worked)
    return sympy.radsimp(sympy.sqrtdenest(sympy.simplify(worked)))
