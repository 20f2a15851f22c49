"""The things that an English reasoning says are in its picture: concrete noun phrases, found by their determiners, without a model."""

import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

MOST = 12
"""Things of one trace that are asked about: a list that a model answers line by line without losing count."""
DECOYS = 2
"""Things asked along that nobody named."""
LONGEST = 4
"""Words of a thing, its determiner left out."""
ENGLISH = 0.2
"""Share of a text's words that are common English function words from which on it is taken for English; prose is above 0.35."""

_FUNCTION = frozenset(
    "the a an of and is are was were in on with that this it its to at as for from by be has have not but there which or so they".split()
)
_DETERMINERS = (
    r"an?|the|two|three|four|five|six|seven|eight|nine|ten|several|some|many|few|another|both|his|her|their|its|these|those|[2-9]|1[0-9]"
)
_PHRASE = re.compile(rf"(?<![\w'-])(?P<determiner>{_DETERMINERS})\s+(?P<words>[a-z][a-z'-]*(?:\s+[a-z][a-z'-]*){{0,5}})", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?;:\n])\s+")
_UNREAL = re.compile(
    r"\b(?:if|would|could|might|may|unless|whether|imagine|suppose|perhaps|should|usually|often|typically|typical|normally|suggests?|rather than"
    r"|instead of|unlike|as if|as though|expect(?:ed)?|looks? like|resembl\w+|like an?|similar to|such as|neither|nor|or|not|never|no|n't"
    r"|without|lack\w*|absen\w+|missing|hardly|barely|seems? to|\w+n't)\b",
    re.IGNORECASE,
)
"""A clause with one of these may speak of what is not there."""
_CLAUSE = re.compile(r",\s+|\s+(?:but|while|although|though|because|since|so|which)\s+", re.IGNORECASE)
_ENDS = frozenset(
    """
    of in on at with and or by to from for near under over above below behind beside between into onto through across along around against
    as than that which who whose where when while but so because if then there here inside outside within without toward towards up down
    is are was were be been being am has have had do does did can will would could should may might must not no
    also only just still even very quite rather too both each all i we you he she it they them me us one ones
    itself himself herself themselves this these those his her their its my our your the a an some any most more less
    """.split()
)
"""A phrase ends before these."""
_VERBS = frozenset(
    """
    stands stand sits sit lies lie holds hold wears wear shows show looks look appears appear seems seem rises rise falls fall runs run
    makes make gives give leads lead points point meets meet hangs hang covers cover fills fill stretches stretch faces face leans lean
    walks walk smiles smile stares stare reaches reach curves closes close ends end begins begin starts start goes go comes come graze bends
    suggests suggest says say reads read speaks speak tells tell fits fit matches match supports support belongs belong remains remain
    carries carry rests rest reflects reflect glows glow shines shine surrounds surround dominates dominate frames crosses touches touch
    joins bend forms form turns turn opens open sees saw took takes keeps keep gets get evokes evoke conveys convey feels feel
    drops drop flies fly floats float waits wait plays play marks mark pass passes watches watch moves move slopes tapers extends
    seen visible shown placed set made painted dressed seated gathered surrounded covered filled tied lit drawn
    """.split()
)
"""And before these verbs of descriptions, but right after its determiner, where they are nouns or adjectives."""
_ABSTRACT = frozenset(
    """
    image picture photo photograph scene question answer option options candidate candidates label labels choice choices category way ways sense
    feeling feelings emotion emotions mood tone impression reason reasons kind type sort lot bit hint fact idea case possibility look view
    viewer moment time day part parts place side sides top bottom middle centre center left right corner edge front back end ends
    beginning background foreground frame distance whole rest number numbers detail details thing things something nothing anything everything
    evidence clue clues conclusion check step steps example difference similarity combination mixture mix presence absence effect contrast
    focus point points composition atmosphere overall light lighting colour color colours colors shape shapes size form style texture
    expression expressions posture gesture situation event activity action subject setting environment context first second third last next
    same other others latter former best most least more less main only position direction angle area region space level degree amount
    attention interest fear joy awe anger sadness surprise disgust contentment amusement excitement calm peace sorrow happiness
    value total sum result equation problem solution text word words letter meaning description interpretation reading assessment object
    subject objects dark pair set group row series range variety couple number total few many several bits pieces piece mind eye chance
    """.split()
)
"""Heads that nobody can point at, or that name the picture itself."""
_ADJECTIVES = frozenset(
    """
    upper lower small large big little tall short long wide narrow thick thin high low old young new bright black white red blue green yellow
    brown grey gray orange purple pink single open closed round square flat straight vertical horizontal diagonal whole entire main
    close fourth fifth sixth empty full clear faint visible dense distant nearby similar different
    """.split()
)
"""No noun, or rarely, so a phrase that ends with one was cut before its noun."""
_GERUND = re.compile(r"[a-z]{3,}ing")
_THINGS_IN_ING = frozenset(
    "building ceiling painting drawing ring king wing string spring clothing railing swing earring awning lightning wedding".split()
)


def named_things(text: str, *, without: Iterable[str] = (), most: int = MOST) -> list[str]:
    """The first `most` things that a text says are there, each once, lower case, without determiner but for a number; none of other languages.

    `without`: texts that a thing must not hold, such as the labels. What a text denies, doubts or supposes is left out by its clause.
    Measured on `tests/tables/things.tsv`, 15 descriptions with 67 things that nobody looked at while the lists were written: precision 0.93,
    recall 0.90. A thing counts as right where a person would look for it in the picture.
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
    return bool(words) and sum(word in _FUNCTION for word in words) / len(words) >= ENGLISH


def _has_word(phrase: str, other: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(other)}(?!\w)", phrase) is not None


def _phrases(text: str) -> Iterator[str]:
    for sentence in _SENTENCE.split(text):
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
        if word in _ENDS or word.endswith("ly"):
            break
        if kept and (word in _VERBS or (_GERUND.fullmatch(word) and word not in _THINGS_IN_ING)):
            break
        if kept and determiner in ("a", "an", "another") and re.search(r"[^sui]s$", word):
            break  # after a singular a word in -s is its verb
        kept.append(word)
    if not kept or len(kept) > LONGEST:
        return None
    head = kept[-1]
    if (
        head in _ABSTRACT
        or head in _ADJECTIVES
        or len(head) < 3
        or head.endswith(("'s", "ness", "ity", "ment", "tion", "sion", "ed", "ful", "ous", "ive", "less"))
    ):
        return None
    return " ".join([determiner, *kept]) if _is_number(determiner) else " ".join(kept)


def _is_number(determiner: str) -> bool:
    return determiner.isdigit() or determiner in ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


_DECOYS = (
    "a giraffe", "a red umbrella", "a grand piano", "a fire hydrant", "a zebra", "a birthday cake", "a sailing boat", "a traffic light",
    "a bunch of bananas", "a chess board", "a hot air balloon", "a pair of skis", "a wedding dress", "a parking meter", "a lighthouse",
    "a penguin", "a typewriter", "a violin", "a snowman", "a helicopter", "a pineapple", "a wheelchair", "a beehive", "a tractor",
    "a surfboard", "a telescope", "a cactus", "a teddy bear", "a windmill", "an elephant", "a toaster", "a jellyfish",
)  # fmt: skip
"""Things that are in few pictures, so that who says that they are there most likely did not look."""


def decoys_for(known: str, mark: str, *, many: int = DECOYS) -> list[str]:
    """Things that nobody named, drawn by a hash of `mark`; none of which a word stands in `known`, all that was said of the picture.

    Source of the test: POPE (arXiv 2305.10355) asks in the same way for objects that are not in the picture.
    """
    said = set(re.findall(r"[a-z]+", known.casefold()))
    strange = [decoy for decoy in _DECOYS if said.isdisjoint(decoy.split()[1:])]
    return in_drawn_order(strange, mark)[:many]


def in_drawn_order(texts: Iterable[str], mark: str) -> list[str]:
    """Texts in an order that is drawn by a hash of each with `mark`."""
    return sorted(texts, key=lambda text: sha256(f"{mark}\n{text}".encode(errors="surrogatepass")).digest())
