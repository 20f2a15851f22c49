"""Which of the options an answer means: by its text, by its letter, or by both where they agree."""

import functools
import re
from collections.abc import Mapping
from typing import NamedTuple

from cotforge.answers.phrases import LONGEST, Core, core_answer, plain_spaces, strip_fonts
from cotforge.answers.text import normal_form

_MARKED = re.compile(
    r"""(?P<word>(?:option|choice|letter|[故应應]?(?:选项|选择|選擇|选|選))\s*:?\s*)?
    (?:\(\s?(?P<round>[a-z])\s?\)|\[\s?(?P<square>[a-z])\s?\]|\{(?P<curly>[a-z])\}|(?P<bare>[a-z]))
    (?P<mark>[).:、]+|\s+[-–—]+(?=\s))?(?P<rest>.*)""",
    re.DOTALL | re.VERBOSE,
)
_RIGHT = re.compile(
    r"(?:is|would be|should be)(?: the)?(?: (?:correct|right|best|final))?(?: (?:answer|option|choice|one))?|选项|項|项|是?正确(?:的|答案)?"
)
# In an option's text that nobody can check: a judgement on the letter, a second letter, or an explanation instead of a text.
_DOUBTFUL = re.compile(
    r"""[/&,;+=<>~|^–—-]
      | (?:is|are|was|were|isn|aren|or|and|but|because|since|if|as|so|would|could|can|has|seems|looks|fits|with|by|for|due)\b
      | (?:true|false|yes|no|correct|right|wrong|incorrect|maybe|probably|unlikely|possible|impossible)$
      | .*(?:
            \b(?:not|never|neither|nor|or|i|wrong|(?:in)?correct(?:ly)?|instead|rather|eliminated?|excluded?|unsure|cannot)\b
          | \b(?:option|choice|answer)s?\b | n['’]t\b | \? | [不非错錯或和选選✗✘❌✖] | ->|→
          | (?<![\w'’.-])[b-hj-z](?![\w'’-]) | (?<![\w'’.-])a[.):](?=\s|$) | [(\[{]\s?[a-z]\s?[)\]}]
        )""",
    re.DOTALL | re.VERBOSE,
)
_SPECIES = re.compile(
    r"[a-z]\. (?:coli|elegans|rex|melanogaster|pylori|sapiens|erectus|aureus|subtilis|cerevisiae|difficile|botulinum|albicans)\b"
)
_OWN = re.compile(r"\(?([a-z])[).:]+\s*(\S.*)", re.DOTALL)
# NFKC makes letters of Roman numerals, but one is no I.
_NUMERALS = re.compile("[\u2160-\u2188]")


class _Options(NamedTuple):
    texts: Mapping[str, str]
    """Normal form of an option, whole and without its own letter, to the option."""
    letters: Mapping[str, str]
    """Lower-case letter to the option it stands for."""


def read_choice(text: str, options: tuple[str, ...]) -> str | None:
    """The option that a text names; without options (they stand in the question's text) the letter, upper case. None for all else.

    None too for two letters, a letter that is denied or doubted, and a letter that may be a word ("A cat", "I.").
    """
    known = _index_options(options)
    if len(text) == 1 and "A" <= text <= "Z":
        return known.letters.get(text.lower()) if options else text
    plain = normal_form(text)
    if (option := known.texts.get(plain)) is not None:
        return option
    if not plain or len(text) > LONGEST:
        return None
    found = core_answer(text)
    inner = plain_spaces(strip_fonts(found.text))
    short = normal_form(inner)
    if (option := known.texts.get(short)) is not None and not found.twice:
        return option
    if found.twice or _cut_off(text.strip(), found):
        return None
    return _option_by_letter(short, inner, known) if options else _letter_alone(short, inner)


def _cut_off(text: str, found: Core) -> bool:
    """Whether it may be how a sentence begins: "I.", "The answer is a", "B..."."""
    return text.endswith(("..", "…")) or (found.text == "a" if found.led else text in ("I.", "I:", "I,", "i", "i."))


@functools.lru_cache(maxsize=4_096)
def _index_options(options: tuple[str, ...]) -> _Options:
    texts = {normal_form(option): option for option in options}
    own = [(_OWN.fullmatch(plain), option) for plain, option in texts.items()]
    single = {plain: option for plain, option in texts.items() if len(plain) == 1 and plain.isascii() and plain.isalpha()}
    if single:  # blood groups A, B, AB and O: a letter is a text, and no place
        return _Options(texts, single)
    if options and all(match is not None for match, _ in own):
        letters = {match[1]: option for match, option in own if match is not None}
        if len(letters) == len(options):
            bare = {normal_form(match[2]): option for match, option in own if match is not None}
            return _Options({**bare, **texts} if len(bare) == len(options) else texts, letters)
    return _Options(texts, dict(zip("abcdefghijklmnopqrstuvwxyz", options, strict=False)))


def _option_by_letter(plain: str, inner: str, known: _Options) -> str | None:
    """One of the options: by its letter alone, or with its own text before or behind it."""
    if (option := _text_then_letter(plain, known)) is not None:
        return option
    match = _MARKED.fullmatch(plain)
    if match is None or _NUMERALS.search(inner):
        return None
    letter, rest = _matched_letter(match), normal_form(match["rest"].strip(" -–—,"))
    named = known.letters.get(letter)
    if named is None:
        return None
    if not match["rest"]:
        return named if _is_unchanged(match, inner) else None
    said = match["rest"][:1]
    if not match["mark"] and not _is_bracketed(match) and said.isalnum() and said.isascii():
        return None
    agrees = known.texts.get(rest) == named or (_RIGHT.fullmatch(rest) is not None and not match["mark"])
    return named if agrees else None


def _text_then_letter(plain: str, known: _Options) -> str | None:
    """ "dog (B)", where both are the same option."""
    if not plain.endswith(")"):
        return None
    before, _, letter = plain[:-1].rpartition("(")
    named = known.letters.get(letter.strip())
    return named if named is not None and known.texts.get(normal_form(before)) == named else None


def _letter_alone(plain: str, inner: str) -> str | None:
    """The letter of an answer whose options nobody gave: alone, or before a text that takes nothing back."""
    match = _MARKED.fullmatch(plain)
    if match is None or _NUMERALS.search(inner):
        return None
    letter, rest, marked = _matched_letter(match), match["rest"].strip(), match["mark"] or ""
    if not rest:
        return letter.upper() if _is_unchanged(match, inner) else None
    if _RIGHT.fullmatch(rest) is not None and not marked:
        return None if letter in "ai" and not _is_bracketed(match) and not match["word"] and inner.strip()[:1].islower() else letter.upper()
    closed = (
        _is_bracketed(match) or marked[:1] in (")", ".", "、") or (marked[:1] == ":" and letter != "a") or bool(match["word"] and marked)
    )
    if not closed or _DOUBTFUL.match(normal_form(rest)) or _SPECIES.match(plain) or (letter == "i" and not _is_bracketed(match)):
        return None
    return letter.upper() if _ends_with_point(match) else None


def _matched_letter(match: re.Match[str]) -> str:
    return str(match["round"] or match["square"] or match["curly"] or match["bare"])


def _is_bracketed(match: re.Match[str]) -> bool:
    return match["bare"] is None


def _is_unchanged(match: re.Match[str], inner: str) -> bool:
    """Whether nothing was lost between the answer and its normal form that would make it a doubt."""
    return not match["word"] or _is_bracketed(match) or match["word"][-1:].isspace() or not match["word"].isascii() or ":" in inner


def _ends_with_point(match: re.Match[str]) -> bool:
    """Whether a point behind the letter ends it: "U.S." and "a.m." are abbreviations."""
    return _is_bracketed(match) or match["mark"] != "." or match["rest"][:1].isspace() or not match["rest"][:1].isascii()
