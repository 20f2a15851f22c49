"""The sentences of a reasoning that can stand in another one, and what each of them does there."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cotforge.followups.weave_sources import Namer, Source

WORDS = (4, 45)
"""Fewest and most words of a sentence that is taken (chosen by us)."""
SAME = 0.6
"""Share of the words of two sentences, in both, from which they count as one (chosen by us)."""
ENGLISH = 0.15
"""Share of `_COMMON` among the words of an English text, at least (chosen by us: half of what English prose has)."""

_COMMON = frozenset(
    (
        *("the", "of", "and", "is", "are", "it", "to", "that", "this", "with", "as", "from", "which", "there", "than", "but", "not"),
        *("a", "an", "in", "on", "at", "has", "have", "or", "its", "i", "here"),
    )
)
_ABBREVIATED = "".join(rf"(?<!\b{word}\.)" for word in ("e\\.g", "i\\.e", "vs", "Mr", "Dr", "Mrs", "Fig", "No", "St", "approx"))
_BORDER = re.compile(rf"(?<=[.!?]){_ABBREVIATED}[\"')\]]{{0,2}}\s+(?=[\"'(\[*]{{0,3}}[A-Z0-9])|\s*\n+\s*")
_MARKUP = re.compile(r"\*\*|__|`|^#+\s*|^[-*•>]\s+|^\(?\d{1,2}[.)]\s+")
_HEAD = re.compile(
    r"^(?:observations?|candidates?|check(?:ing)?|decision|conclusion|analysis|weighing|step \d+|first|second|third|finally|evidence)"
    r"\s*(?:\d+\s*)?:\s*",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"""^(?: (?: however|then|next|first(?:ly|\ of\ all)?|second(?:ly)?|third(?:ly)?|finally|lastly|also|besides|moreover
            |furthermore|additionally|in\ addition|thus|therefore|hence|consequently|meanwhile|nevertheless|nonetheless
            |on\ the\ (?:other|one)\ hand
            |similarly|likewise|overall|again|now|well|okay|ok|yes|as\ a\ result|for\ (?:example|instance)|that\ said|(?:in|by)\ contrast
            |conversely|instead|still|yet|so|but|and|because\ of\ (?:this|that)|in\ (?:conclusion|summary|short)|to\ (?:conclude|sum\ up)
            |after\ all|indeed|of\ course|wait|hmm|actually|clearly|alternatively|at\ the\ same\ time
            |(?:given|with)\ (?:this|that)
            ),\s+
        | (?:so|but|and|yet|then|also|now|thus|therefore|hence|still|next)\s+
            (?=(?:the|this|that|these|those|it|its|there|a|an|i|here|what|in|on|with|no|my|all|both|each|one|two|some|we)\b) )""",
    re.IGNORECASE | re.VERBOSE,
)
"""A connective at the head of a sentence, which belongs to the sentence before it."""
_LEFT = re.compile(
    r"(?:so|but|and|yet|or|nor|because|since|which|then|thus|therefore|hence|however|also|wait|hmm|instead|otherwise)\b", re.IGNORECASE
)
"""A sentence that still begins with one cannot stand alone."""
_UNFIT = re.compile(
    r"""[<>{}] | \bhttps?: | :\s*$
      | \b(?:prompt|instructions?|the\ user|the\ question|asked\ to|i\ was\ asked|step\ by\ step|as\ an\ ai|language\ model)\b
      | \b(?:former|latter|aforementioned|above-mentioned)\b
      | \b(?:first|second|third|last)\ (?:option|choice|candidate|label)\b | \b(?:option|choice)\ (?:[A-H]|\d)\b""",
    re.IGNORECASE | re.VERBOSE,
)
"""What can stand in no other text."""
_PROCESS = re.compile(
    r"""\b(?:let\ me|let\ us|let's|i\ (?:will|'ll|start|begin|go\ over|describe|need|should|want|have\ to|am\ (?:going|not)|hesitate)
        |i'll|i'm|before\ (?:i|naming|judging|deciding)|my\ (?:task|goal|job)) | \b(?:candidates?|readings?|comes?\ to\ mind|plain\ facts)\b
      | \b(?:answers?|options?|labels?|categor(?:y|ies)|choices?|conclusions?|decide[sd]?|decision)\b""",
    re.IGNORECASE | re.VERBOSE,
)
"""What a sentence has that says how one proceeds, rather than what there is."""
_AGAINST = re.compile(
    r"""\b(?:not|never|nothing|hardly|little|lacks?|lacking|without|missing|absent|against|contradicts?|contradicting|unlike|unlikely|less
        |fails?|whereas|however|but|yet|although|though|rather\ than|instead|disturbs?|weak(?:er|ens)?|doubt(?:s|ful)?|no|only|too|wrong
        |incorrect|rules?\ out|ruled\ out|excludes?|would\ (?:need|expect|require|have|be|show))\b | n't\b""",
    re.IGNORECASE | re.VERBOSE,
)
"""What may speak against a candidate."""
_DENIED = re.compile(
    r"""\b(?:nothing|no|not|never|hardly|n't|little)\b[^.;,]{0,60}
        \b(?:against|contradict\w*|rules?\ out|exclude\w*|disturb\w*|doubt\w*|wrong|unlikely|overturn\w*)\b
      | \b(?:not\ only|no\ doubt|cannot\ be\ ruled|can't\ be\ ruled)\b""",
    re.IGNORECASE | re.VERBOSE,
)
"""What looks as if it spoke against one, and does not."""
_OPEN = re.compile(
    r"\b(?:could|might|may|perhaps|maybe|possibl[ey]|considered|hesitate|between|nearest|candidates?|readings?|certain|sure|leans?|even"
    r"|close|settle|plausible)\b",
    re.IGNORECASE,
)
"""What leaves open which candidate is right."""
_DECIDES = re.compile(r"\b(?:answers?|decid\w+|decision|conclu\w+|choose|chose|choice|final\w*|must be|has to be|verdict)\b", re.IGNORECASE)
_PREFERS = re.compile(r"\b(?:rather than|instead of|better than|more than)\b", re.IGNORECASE)
_WORD = re.compile(r"\w+")


class Sentence(NamedTuple):
    """A sentence of a trace."""

    text: str
    names: frozenset[str]
    """The answers that it names."""
    source: Source
    words: frozenset[str]
    """In lower case."""

    @property
    def observes(self) -> bool:
        """Whether it says what there is, and names no answer."""
        return not self.names and _PROCESS.search(self.text) is None

    def opposes(self, answer: str, right: str) -> bool:
        """Whether it speaks against an answer, and names no other but the right one, as far as words tell."""
        told = answer in self.names and self.names <= {answer, right} and _AGAINST.search(self.text) is not None
        return told and _DENIED.search(self.text) is None and _OPEN.search(self.text) is None

    def supports(self, answer: str) -> bool:
        """Whether it names that answer alone, and speaks for it without deciding, as far as words tell."""
        return self.names == {answer} and _AGAINST.search(self.text) is None and _DECIDES.search(self.text) is None

    def concludes(self, answer: str) -> bool:
        """Whether it may end a text that comes to an answer: nothing in it speaks against that."""
        if answer not in self.names or _OPEN.search(self.text):
            return False
        return _AGAINST.search(_PREFERS.sub("", self.text)) is None


def sentences_of(source: Source, namer: Namer) -> list[Sentence]:
    """The sentences of a trace that can stand in another text, without markup and without the connectives at their heads."""
    texts = (_standing_alone(part) for part in _BORDER.split(source.text))
    return [Sentence(text, frozenset(namer.named(text)), source, _words_of(text)) for text in texts if text]


def without_repeats(sentences: Iterable[Sentence], before: Sequence[Sentence] = ()) -> list[Sentence]:
    """Those that say nothing that one before them says, in nearly the same words."""
    kept: list[Sentence] = []
    for sentence in sentences:
        if not any(common_share(sentence.words, other.words) >= SAME for other in (*before, *kept)):
            kept.append(sentence)
    return kept


def common_share(one: frozenset[str], other: frozenset[str]) -> float:
    """Share of words that are in both of two sets, in [0, 1]."""
    both = len(one & other)
    return both / max(1, len(one) + len(other) - both)


def reads_english(texts: Iterable[str]) -> bool:
    """Whether texts are English, as far as its most common words tell: sentences of another language need other joints."""
    words = [word.lower() for text in texts for word in _WORD.findall(text)]
    return bool(words) and sum(word in _COMMON for word in words) >= ENGLISH * len(words)


def _words_of(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))


def _standing_alone(part: str) -> str:
    """A sentence as it can stand anywhere; empty where it cannot."""
    text = " ".join(part.split())
    for pattern in (_MARKUP, _HEAD, _LEAD, _LEAD):
        text = pattern.sub("", text)
    if not WORDS[0] <= len(text.split()) <= WORDS[1] or _UNFIT.search(text) or _LEFT.match(text):
        return ""
    ended = text if text[-1] in ".!?" else text.rstrip(",;:") + "."
    return ended[0].upper() + ended[1:]
