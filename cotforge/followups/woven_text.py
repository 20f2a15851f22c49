"""A woven text without a writer: sentences of the traces themselves, joined by sentences of our own.

Nobody wrote it as a whole, and it says so: its trace is `read_as` `sentences`, has no reply and cost nothing.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

from cotforge.answers.task import Synonyms
from cotforge.followups import joining
from cotforge.followups.joining import Draw
from cotforge.followups.weave_sources import Namer, Source
from cotforge.followups.woven_parts import WovenWriting
from cotforge.followups.woven_sentences import Sentence, common_share, reads_english, sentences_of, without_repeats
from cotforge.records import SENTENCES, Sample, Trace

OBSERVED = 4
"""Most sentences of observation at the beginning; as many are left over for the checks where there are fewer (chosen by us)."""
CHARACTERS_PER_TOKEN = 4
_VERSION = "1"
"""Of what is made of the same traces: it is part of the key."""

Parts = list[tuple[str, str]]


def weave_sentences(
    sample: Sample, sources: Sequence[Source], answer: str, *, synonyms: Synonyms = (), index: int = 0
) -> WovenWriting | None:
    """One text of at least five parts out of sentences of the sources; None where they have too few that can stand in another text.

    What is seen is what right traces saw; a wrong candidate is brought forward in the words of its own trace, and doubted in the words
    of right ones: those that speak against it, else those that saw something else. English only. The same sources give the same text.
    """
    if not reads_english(source.text for source in sources):
        return None
    keys = sorted(source.trace.call for source in sources)
    key = sha256("\n".join(("woven sentences", _VERSION, str(index), answer, *keys)).encode(errors="surrogatepass")).hexdigest()
    loom = _Loom(sample, sources, answer, Draw(key), synonyms)
    parts = loom.parts()
    if parts is None:
        return None
    reasoning = "\n\n".join(text for _, text in parts)
    last = loom.last.source.trace
    trace = Trace(
        call=key,
        teacher=last.teacher,
        model=last.model,
        index=index,
        reasoning=reasoning,
        answer=answer,
        read_as=SENTENCES,
        well_formed=True,
        finish_reason="",
        reasoning_tokens=round(len(reasoning) / CHARACTERS_PER_TOKEN),
        origin="woven",
    )
    return WovenWriting(trace, tuple(parts))


class _Loom:
    """The sentences of one text while they are taken, each once."""

    def __init__(self, sample: Sample, sources: Sequence[Source], answer: str, draw: Draw, synonyms: Synonyms) -> None:
        namer = Namer(sample, [answer, *(source.answer for source in sources)], synonyms)
        self.answer, self.draw = answer, draw
        self.right = [one for source in sources if source.right for one in sentences_of(source, namer)]
        self.wrong = [one for source in sources if not source.right for one in sentences_of(source, namer)]
        self.errors = list(dict.fromkeys(source.answer for source in sources if not source.right))
        self.taken: list[Sentence] = []
        self.seen = without_repeats(one for one in self.right if one.observes)

    @property
    def last(self) -> Sentence:
        """The last sentence that was taken from a right trace: its teacher is named for the text."""
        return next(one for one in reversed(self.taken) if one.source.right)

    def parts(self) -> Parts | None:
        """(kind, text) of each part; None where a kind has no sentence of its own."""
        if len(self.seen) < 2:
            return None
        start = self._observe()
        doubted = [part for error in self.errors if (part := self._doubt(error)) is not None]
        if self.errors and not doubted:
            return None
        rival, check = self._support(), self._check()
        if check is None:
            return None
        candidates, doubts = [one for one, _ in doubted], [one for _, one in doubted]
        beside = [part for pair in doubted for part in pair]
        middle = [*candidates, rival, *doubts] if self.draw.below(2) else [*beside, rival]
        return [start, *middle, check, self._conclude()]

    def _observe(self) -> tuple[str, str]:
        """What right traces saw, but for what is kept for the check."""
        kept = max(1, min(OBSERVED, len(self.seen) * 3 // 5))
        first = self.seen[0].source.trace.call
        others = [one for one in self.seen if one.source.trace.call != first]
        mixed = [*[one for one in self.seen if one.source.trace.call == first][: max(1, kept - bool(others))], *others]
        return "observe", self._take(mixed[:kept])

    def _doubt(self, error: str) -> tuple[tuple[str, str], tuple[str, str]] | None:
        """A wrong candidate in its own words, and what speaks against it; None where nothing does."""
        own = [one for one in self.wrong if one.source.answer == error]
        speaks = [one for one in own if one.supports(error)] or [one for one in own if one.observes]
        against = [one for one in self.right if one.opposes(error, self.answer)]
        if not (against := without_repeats(against, self.taken)):
            against = self._seen_otherwise(own)
        if not against or not (speaks := without_repeats(speaks, self.taken)):
            return None
        candidate = f"{self.draw.sentence(joining.CANDIDATE, error)} {self._take(speaks[:2])}"
        return ("candidate", candidate), ("doubt", f"{self.draw.sentence(joining.DOUBT, error)} {self._take(against[:2])}")

    def _seen_otherwise(self, own: Sequence[Sentence]) -> list[Sentence]:
        """What right traces saw that those of a wrong answer say least of; one sentence is left for the check."""
        free = without_repeats(self.seen, self.taken)
        told = frozenset[str]().union(*(one.words for one in own))
        return sorted(free, key=lambda one: common_share(one.words, told))[:1] if len(free) > 1 else []

    def _support(self) -> tuple[str, str]:
        speaks = without_repeats([one for one in self.right if one.supports(self.answer)], self.taken)
        free = without_repeats(self.seen, self.taken)
        speaks = speaks or (free[-1:] if len(free) > 1 else [])  # one is left for the check
        named = self.draw.sentence(joining.RIVAL if self.errors else joining.CANDIDATE, self.answer)
        return "candidate", " ".join(filter(None, (named, self._take(speaks[:2]))))

    def _check(self) -> tuple[str, str] | None:
        """Another look: what other right traces saw comes first."""
        known = {one.source.trace.call for one in self.taken}
        free = without_repeats(self.seen, self.taken)
        free.sort(key=lambda one: one.source.trace.call in known)
        return ("check", f"{self.draw.sentence(joining.CHECK)} {self._take(free[:2])}") if free else None

    def _conclude(self) -> tuple[str, str]:
        known = {self.answer, *self.errors}
        own = [one for one in self.right if one.concludes(self.answer) and one.names <= known and one not in self.taken]
        last = without_repeats(reversed(own), self.taken)[:1]
        return "conclude", " ".join(filter(None, (self._take(last), self.draw.sentence(joining.CONCLUDE, self.answer))))

    def _take(self, sentences: Iterable[Sentence]) -> str:
        chosen = list(sentences)
        self.taken += chosen
        return " ".join(one.text for one in chosen)
