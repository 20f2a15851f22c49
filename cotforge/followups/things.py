"""The things that an English reasoning says are in its picture: concrete noun phrases, found by their determiners, without a model."""

import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

from cotforge.followups.english_words import ABSTRACT, ADJECTIVES, ENDS, FUNCTION_WORDS, PLURALS, THINGS_IN_ING, VERBS

MOST = 12
"""Things of one trace that are asked about: a list that a model answers line by line without losing count."""
DECOYS = 2
"""Things asked along that nobody named."""
LONGEST = 4
"""Words of a thing, its determiner left out."""
ENGLISH = 0.2
"""Share of a text's words that are common English function words from which on it is taken for English; prose is above 0.35."""

_DETERMINERS = (
    r"an?|the|two|three|four|five|six|seven|eight|nine|ten|several|some|many|few|another|both|his|her|their|its|these|those|[2-9]|1[0-9]"
)
_PHRASE = re.compile(rf"(?<![\w'-])(?P<determiner>{_DETERMINERS})\s+(?P<words>[a-z][a-z'-]*(?:\s+[a-z][a-z'-]*){{0,5}})", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?;:\n])\s+")
_UNREAL = re.compile(
    r"\b(?:if|would|could|might|may|unless|whether|imagine|suppose|perhaps|should|usually|often|typically|typical|normally|suggests?"
    r"|rather than|instead of|unlike|as if|as though|expect(?:ed)?|looks? like|resembl\w+|like an?|similar to|such as"
    r"|neither|nor|or|not|never|no|n't|without|lack\w*|absen\w+|missing|hardly|barely|seems? to|\w+n't)\b",
    re.IGNORECASE,
)
"""A clause with one of these may speak of what is not there."""
_CLAUSE = re.compile(r",\s+|\s+(?:but|while|although|though|because|since|so|which)\s+", re.IGNORECASE)
_GERUND = re.compile(r"[a-z]{3,}ing")
_NO_THINGS = ("'s", "ness", "ity", "ment", "tion", "sion", "ed", "ful", "ous", "ive", "less")
"""Endings of abstract nouns, participles and adjectives."""


def named_things(text: str, *, without: Iterable[str] = (), most: int = MOST) -> list[str]:
    """The first `most` things that an English text says are there, each once, in lower case; none of another language.

    They keep no determiner but a number. `without`: texts that a thing must not hold, such as the labels. What a clause denies, doubts or
    supposes is left out. Measured on the 15 descriptions with 67 things of `tests/tables/things.tsv` that were not looked at while the
    lists were written: precision 0.93, recall 0.90. A thing is right where a person would look for it in the picture.
    """
    if not is_english(text):
        return []
    unwanted = [one.casefold() for one in without if one.strip()]
    found: dict[str, str] = {}
    for phrase in _phrases(text):
        head = phrase.rpartition(" ")[2]
        if not any(_has_word(phrase, one) for one in unwanted) and head not in found:
            found[head] = phrase
            if len(found) >= most:
                break
    return list(found.values())


def is_english(text: str) -> bool:
    """Whether enough of a text's words are common function words of English."""
    words = re.findall(r"[^\W\d_]+", text.casefold())
    return bool(words) and sum(word in FUNCTION_WORDS for word in words) / len(words) >= ENGLISH


def _has_word(phrase: str, other: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(other)}(?!\w)", phrase) is not None


def _phrases(text: str) -> Iterator[str]:
    plain = "\n".join(" ".join(line.split()) for line in text.splitlines())  # a long blank would be searched again and again
    for sentence in _SENTENCE.split(plain):
        for clause in _CLAUSE.split(sentence):
            if not _UNREAL.search(clause):
                at = 0
                while (found := _PHRASE.search(clause, at)) is not None:
                    at = found.end("determiner")
                    if (phrase := _concrete(found["determiner"].casefold(), found["words"].casefold().split())) is not None:
                        yield phrase


def _concrete(determiner: str, words: Sequence[str]) -> str | None:
    """The noun phrase at the beginning of some words; None where its head is abstract, or no noun shows where it ends."""
    kept: list[str] = []
    for word in words:
        if word in ENDS or word.endswith("ly"):
            break
        if kept and (word in VERBS or (_GERUND.fullmatch(word) and word not in THINGS_IN_ING)):
            break
        if kept and determiner in ("a", "an", "another") and re.search(r"[^sui]s$", word):
            break  # after a singular a word in -s is its verb
        if kept and word.endswith("s") and re.search(r"[^']s$", kept[-1]):
            break  # as it is after a plural: "the strokes overturns" was cut from another clause
        kept.append(word)
    if not kept or len(kept) > LONGEST:
        return None
    head = kept[-1]
    if kept[-2:] == ["other", "hand"] or (_is_number(determiner) and not head.endswith("s") and head not in PLURALS):
        return None
    if head in ABSTRACT or head in ADJECTIVES or len(head) < 3 or head.endswith(_NO_THINGS):
        return None
    return " ".join([determiner, *kept]) if _is_number(determiner) else " ".join(kept)


def _is_number(determiner: str) -> bool:
    return determiner.isdigit() or determiner in ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


_DECOYS = (
    "giraffe", "red umbrella", "grand piano", "fire hydrant", "zebra", "birthday cake", "sailing boat", "traffic light",
    "bananas", "chess board", "hot air balloon", "skis", "wedding dress", "parking meter", "lighthouse",
    "penguin", "typewriter", "violin", "snowman", "helicopter", "pineapple", "wheelchair", "beehive", "tractor",
    "surfboard", "telescope", "cactus", "teddy bear", "windmill", "elephant", "toaster", "jellyfish",
)  # fmt: skip
"""Things that are in few pictures, so that who says that they are there most likely did not look."""


def decoys_for(known: str, mark: str, *, many: int = DECOYS) -> list[str]:
    """Things that nobody named, drawn by a hash of `mark`; none of which a word stands in `known`, all that was said of the picture.

    Source of the test: POPE (arXiv 2305.10355) asks in the same way for objects that are not in the picture.
    """
    said = set(re.findall(r"[a-z]+", known.casefold()))
    strange = [decoy for decoy in _DECOYS if said.isdisjoint(decoy.split())]
    return in_drawn_order(strange, mark)[:many]


def in_drawn_order(texts: Iterable[str], mark: str) -> list[str]:
    """Texts in an order that is drawn by a hash of each with `mark`."""
    return sorted(texts, key=lambda text: sha256(f"{mark}\n{text}".encode(errors="surrogatepass")).digest())
