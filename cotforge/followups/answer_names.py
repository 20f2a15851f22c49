"""Whether a text names an answer: in its words or words of the same root, by its letter, or as a number however it is written."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from cotforge.answers import clean_text, normal_form
from cotforge.answers.task import Synonyms
from cotforge.answers.text import powers_kept
from cotforge.followups.formula_names import formula_test
from cotforge.followups.number_names import number_in, number_test

Test = Callable[[str], bool]
"""Whether a plain text (see `plain_text`) names something."""

_MARKUP = re.compile(r"[*`~]+|(?<!\\)_{1,2}(?=\w)|(?<=\w)_{1,2}(?!\w)")
_WORD = re.compile(r"[^\W_]+")
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
"""Letters of scripts that put no space between words."""
_BARE = frozenset({"yes", "no", "true", "false", "none", "neither", "both", "other"})
"""Labels that are words of every text: they are named where they stand as an answer does."""
_OWN_LETTER = re.compile(r"\(?([A-Za-z])[).:]\s*(\S.*)", re.DOTALL)
_ENDINGS = (
    "fulness", "iness", "ation", "ition", "ness", "ment", "ingly", "edly", "iful", "ious", "ful", "ing", "ion", "ous", "ity", "ety", "ily",
    "ies", "ia", "ic", "ed", "es", "ly", "s", "y", "e",
)  # fmt: skip
"""What may be taken from a word to leave its root, the longest first."""
_MORE_ENDINGS = (
    "i", "d", "r", "er", "est", "ens?", "ened", "ening", "ier", "iest", "ish", "some", "struck", "inspiring", "fully", "ously", "iously",
    "ements?", "ement", "ments?", "ifully", "al", "ally", "able", "less", "like",
)  # fmt: skip
"""What may follow a root beside these."""
_AFTER = "|".join(sorted({*_ENDINGS, *_MORE_ENDINGS}, key=len, reverse=True))
_ALONE = r"(?![\w'-])"
_ENDS = r"(?=\s*(?:$|[.,;:!?)\]]|(?i:is|fits|holds|must|seems|matches|works)\b))"
"""What follows A or I where it is a letter, and no word."""
_SHORTEST = 3
"""Letters of a root."""
_FEW_WORDS = 3
"""Words of a name whose last one may stand for the whole: "the retriever" for a golden retriever."""


def plain_text(text: str) -> str:
    """A text as names are looked for in it: one space between words, no markdown, nothing invisible; its case stays."""
    shown = unicodedata.normalize("NFKC", powers_kept(clean_text(text)) if not text.isascii() else text)
    return " ".join(_MARKUP.sub("", shown).replace("\u2019", "'").split())


@dataclass(frozen=True)
class AnswerNames:
    """What names an answer, and what names each other option."""

    own: tuple[Test, ...]
    others: tuple[tuple[Test, ...], ...]
    """Of each other option of a closed set that is small enough to rule out all but one."""
    closed: bool

    def is_named(self, text: str) -> bool:
        """Whether a text names the answer."""
        plain = plain_text(text)
        return any(test(plain) for test in self.own)

    def is_left_over(self, text: str) -> bool:
        """Whether a text names every option but the answer: with two options the other one, with more all others at once."""
        if not self.others:
            return False
        plain = plain_text(text)
        return all(any(test(plain) for test in tests) for tests in self.others)


MOST_RULED_OUT = 12
"""Options up to which a sentence may name all but one (default chosen by us)."""


@lru_cache(maxsize=4_096)
def names_of_answer(answer: str, options: tuple[str, ...], synonyms: Synonyms = ()) -> AnswerNames:
    """What names an answer: of a closed set one of `options`, else a free one in its comparable form."""
    own = tuple(_tests_of_option(answer, options, dict(synonyms).get(answer, ()))) if options else tuple(_tests_of_text(answer, ()))
    few = answer in options and 2 <= len(options) <= MOST_RULED_OUT
    others = [option for option in options if option != answer] if few else []
    return AnswerNames(own, tuple(tuple(_tests_of_option(one, options, dict(synonyms).get(one, ()))) for one in others), bool(options))


def _tests_of_option(option: str, options: tuple[str, ...], others: Sequence[str]) -> list[Test]:
    """Of its text, its synonyms, its own letter, and the letter of its place where that is marked as one."""
    tests: list[Test] = []
    rest = [one for one in options if one != option]
    for name in (option, *others):
        tests += _tests_of_text(name, tuple(rest))
        if own := _OWN_LETTER.fullmatch(name):
            tests += [*_tests_of_text(own[2], tuple(rest)), _letter_test(own[1].upper(), bare=True)]
    if option in options and len(options) <= 26 and len(option) > 1:
        tests.append(_letter_test(chr(ord("A") + options.index(option)), bare=False))
    return tests


def _tests_of_text(name: str, others: tuple[str, ...]) -> list[Test]:
    """Of one way to write an answer; `others` are the other options."""
    plain = normal_form(name)
    if not plain:
        return []
    if values := number_in(plain, whole=True):
        return [number_test(values, is_label=bool(others))]
    if len(plain) == 1 and plain.isascii() and plain.isalpha():
        return [_letter_test(plain.upper(), bare=True)]
    if plain in _BARE:
        return [_bare_test(plain)]
    if not others and (formula := formula_test(name)) is not None:
        return [formula]
    tests = [_phrase_test(part) for part in _parts_of_name(plain)]
    values = number_in(plain, whole=False)
    if values and not any(number_in(normal_form(other), whole=False) == values for other in others):
        tests.append(number_test(values))
    return [*tests, *_last_word_tests(plain, others)]


def _parts_of_name(plain: str) -> list[str]:
    """The whole, and each sentence of a long one: a text is looked at sentence by sentence."""
    parts = [part for part in re.split(r"(?<=[.!?])\s+", plain) if len(part.split()) > 2]
    return [plain, *(parts if len(parts) > 1 else ())]


def _last_word_tests(plain: str, others: tuple[str, ...]) -> list[Test]:
    words = _WORD.findall(plain)
    if not 2 <= len(words) <= _FEW_WORDS or len(words[-1]) <= _SHORTEST or not words[-1].isalpha():
        return []
    return [] if any(words[-1] in normal_form(other) for other in others) else [_phrase_test(words[-1])]


def _phrase_test(plain: str) -> Test:
    """Whole words, the last one also in words of its root; of scripts without spaces the letters wherever they stand."""
    if UNSPACED.search(plain):
        return lambda text: plain in normal_text(text)
    words = _WORD.findall(plain)
    if not words:
        return lambda text: plain in normal_text(text)
    pattern = r"[\W_]{0,3}".join([*map(re.escape, words[:-1]), _root_pattern(words[-1])])
    found = re.compile(rf"(?<![^\W_]){pattern}(?![^\W_])", re.IGNORECASE)
    return lambda text: found.search(text) is not None


def normal_text(text: str) -> str:
    """A plain text without regard to case."""
    return text.casefold()


def _root_pattern(word: str) -> str:
    if len(word) < _SHORTEST or not (word.isascii() and word.isalpha()):
        return re.escape(word) + ("(?:e?s)?" if word.isalpha() else "")
    roots = {word}
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST:
            root = word[: -len(ending)]
            roots |= {root, *([root[:-1]] if root[-1] in "eyi" and len(root) > _SHORTEST else [])}
            break
    if word.endswith("er") and len(word) > _SHORTEST + 1:  # anger and angry, hunger and hungry
        roots.add(f"{word[:-2]}r")
    return "(?:" + "|".join(f"{root}{root[-1]}?(?:{_AFTER})?" for root in sorted(roots, key=len, reverse=True)) + ")"


def _letter_test(letter: str, *, bare: bool) -> Test:
    """A letter as an answer's: "(B)", "option B", "the answer is B"; with `bare` also alone, where it is no word of its own."""
    either = f"[{letter}{letter.lower()}]"
    marked = rf"[(\[]\s?{either}\s?[)\]]"
    marked += rf"|(?i:\b(?:option|choice|answer|letter|candidate)s?)\s*(?i:is|was|be|:|=)?\s*[(\[\"']?{either}{_ALONE}"
    if bare:
        end = _ENDS if letter in "AI" else _ALONE
        marked += rf"|(?<![\w'.-]){letter}{end}|(?<![\w'.-]){letter.lower()}[).](?=\s|$)"
    found = re.compile(marked)
    return lambda text: found.search(text) is not None


def _bare_test(word: str) -> Test:
    """A word such as "yes" where it stands as an answer does: alone, first before a stop, in quotes, or behind "is" or "say"."""
    opened, closed = r"[\"'\u201c\u2018(\[]*", r"[\"'\u201d\u2019)\]]*"
    found = re.compile(
        rf"^\W*{word}\W*$|^\W*{word}\s*[,.;:!\u2014\u2013-]|[\"'\u201c\u2018]{word}[\"'\u201d\u2019]"
        rf"|\b(?:answer|conclusion|verdict|response|reply|say|is|be|with|choose|pick)\b\s*[:=]?\s*(?:a\s+|an\s+|clearly\s+|therefore\s+)?"
        rf"{opened}{word}{closed}\s*(?:$|[.,;!?])",
        re.IGNORECASE,
    )
    return lambda text: found.search(text) is not None
