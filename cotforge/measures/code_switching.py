"""Whether a reasoning changes its language on the way: sentences in another script, or with the small words of another language."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from cotforge.measures.scripts import script_of_letter
from cotforge.measures.small_words import FOREIGN, SMALL_WORDS
from cotforge.measures.texts import lower_case, sentences_of
from cotforge.measures.word_codes import find_codes
from cotforge.records import Sample, Trace, Verdict

_LANGUAGES: dict[str, list[str]] = {}
"""By small word the languages that have it."""
for _language, _words in SMALL_WORDS.items():
    for _word in _words.split():
        _LANGUAGES.setdefault(_word, []).append(_language)
_QUOTED = re.compile(
    '"[^"\n]{1,80}"|\u201c[^\u201d\n]{1,80}\u201d|\u00ab[^\u00bb\n]{1,80}\u00bb|\u300c[^\u300d\n]{1,80}\u300d'
    "|(?<!\\w)'[^'\n]{1,80}'(?!\\w)"
)
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_TOKEN = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_WITHIN = 8
"""Letters of another script that make a sentence switch though most of it is in its own."""
_FEWEST_LATIN = 12
"""Letters of another script, beside a main one that is not Latin, from which on a sentence may switch; at twice as many it does."""
_FEWEST = 2
"""Small words of another language that make a sentence switch, where they are more than its own."""


def code_switching(sample: Sample, trace: Trace, verdict: Verdict | None) -> float | None:
    """Share of sentences in another language than most of the reasoning, in [0, 1); None without a sentence.

    Told by script, and among languages in Latin letters by small words (English, German, French, Spanish, Italian, Portuguese, Dutch,
    Polish, Indonesian, Turkish, Vietnamese, Swedish). What stands in quotation marks does not count, so that a sign may be read out.
    """
    text = trace.reasoning
    if not text.strip():
        return None
    if text.isascii():
        if len(find_codes(text).cues & FOREIGN) < _FEWEST:
            return 0.0
    elif not any(char.isalpha() for char in _BEYOND_ASCII.findall(text)):
        return 0.0
    sentences = sentences_of(_QUOTED.sub(" ", lower_case(text)))
    if not sentences:
        return None
    main_script = _main_script(text)
    if main_script != "LATIN":
        return sum(_is_other_script(sentence, main_script) for sentence in sentences) / len(sentences)
    counts = [_count_languages(sentence) for sentence in sentences]
    main = _main_language(counts)
    switched = sum(
        _is_other_script(sentence, main_script) or _is_other_language(sentence, count, main)
        for sentence, count in zip(sentences, counts, strict=True)
    )
    return switched / len(sentences)


def _count_languages(sentence: str) -> Counter[str]:
    """How many small words of each language a sentence has."""
    return Counter(language for word in _TOKEN.findall(sentence) for language in _LANGUAGES.get(word.replace("\u2019", "'"), ()))


def _main_language(counts: Sequence[Counter[str]]) -> str:
    """The language of most small words; English where there are none."""
    total = sum(counts, Counter[str]())
    return max(total, key=lambda language: (total[language], language == "en"), default="en")


def _is_other_language(sentence: str, count: Mapping[str, int], main: str) -> bool:
    """Whether another language has more of a sentence's small words than the main one; or it has none, and words no English text has."""
    best = max(count.values(), default=0)
    if best >= _FEWEST and best > count.get(main, 0) and not (main != "en" and count.get(main, 0) >= _FEWEST and best < 2 * count[main]):
        return True
    words = _TOKEN.findall(sentence)
    return main == "en" and len(words) >= 4 and not count.get("en") and 2 * sum(not word.isascii() for word in words) >= len(words)


def _letters_by_script(text: str) -> Counter[str]:
    ascii_letters = sum(map(str.isalpha, text)) if text.isascii() else sum(char.isascii() and char.isalpha() for char in text)
    counts = Counter(filter(None, map(script_of_letter, _BEYOND_ASCII.findall(text))))
    counts["LATIN"] += ascii_letters
    return _with_one_east_asian(counts)


def _with_one_east_asian(counts: Counter[str]) -> Counter[str]:
    """Japanese mixes three scripts, which count as one where it has any of its own."""
    kana = counts["HIRAGANA"] + counts["KATAKANA"]
    if kana:
        counts["HIRAGANA"] = kana + counts.pop("CJK", 0)
        counts.pop("KATAKANA", 0)
    return counts


def _main_script(text: str) -> str:
    counts = _letters_by_script(text)
    # A word of Latin letters has as much to say as one or two Chinese characters.
    return max(counts, key=lambda script: counts[script] * (1 if script == "LATIN" else 3))


def _is_other_script(sentence: str, main: str) -> bool:
    """Whether most letters of a sentence, or many, are of another script."""
    if main == "LATIN" and sentence.isascii():
        return False
    counts = _letters_by_script(sentence)
    others = _count_others(counts, main)
    if main == "LATIN":
        return others >= _WITHIN or (others >= 4 and 2 * others > sum(counts.values()))
    return others >= _FEWEST_LATIN and (others >= 2 * _FEWEST_LATIN or 3 * others > 2 * sum(counts.values()))


def _count_others(counts: Mapping[str, int], main: str) -> int:
    return sum(number for script, number in counts.items() if script != main)
