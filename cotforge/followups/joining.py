"""The words that join sentences of several traces into one: drawn from so many that none becomes a set phrase.

Mulberry joins its wrong and its right branch by one fixed sentence, which a student then repeats (arXiv 2412.18319). Here each sentence is
composed of parts that are drawn apart. Over 2,000 texts no five words in a row stand in more than 2 % of them, also where there are two
labels of two words: see `tests/test_woven_text.py`.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import TypeVar

T = TypeVar("T")
Pattern = tuple[tuple[str, ...], ...]
"""The choices for each part of a sentence, in order; `{c}` is a candidate. A part that starts with a mark follows without a space."""


class Draw:
    """Choices that depend on a seed alone, and are the same on every machine and in every version of Python."""

    def __init__(self, seed: str) -> None:
        self._seed, self._number = seed, 0

    def below(self, bound: int) -> int:
        """A whole number in [0, bound)."""
        self._number += 1
        return int.from_bytes(sha256(f"{self._seed}\n{self._number}".encode(errors="surrogatepass")).digest()[:8]) % bound

    def one_of(self, choices: Sequence[T]) -> T:
        """One of them, each equally likely."""
        return choices[self.below(len(choices))]

    def sentence(self, patterns: Sequence[Pattern], candidate: str = "") -> str:
        """A sentence by one of the patterns, about a candidate."""
        parts = [self.one_of(choices) for choices in self.one_of(patterns)]
        text = "".join(part if not place or part[:1] in ",.:?" else f" {part}" for place, part in enumerate(parts) if part)
        return text[0].upper() + text[1:].replace("{c}", candidate)


CANDIDATE: tuple[Pattern, ...] = (
    (
        ("could this", "might this", "could it", "might it", "could all this", "would this", "may this", "can this"),
        ("be {c}", "mean {c}", "suggest {c}", "fit {c}", "show {c}", "indicate {c}", "signal {c}", "imply {c}", "spell {c}", "denote {c}"),
        ("?", "then?", "here?", ", perhaps?", ", roughly?", "so far?", "at all?", "by chance?", ", for example?", ", say?", "as such?",
         "in fact?", "in part?", "after all?"),
    ),
    (
        ("one", "a first", "an early", "a quick", "a natural", "a likely", "an obvious", "a tempting", "a possible", "a plain"),
        ("guess", "reading", "idea", "thought", "hunch", "candidate", "hypothesis", "possibility", "suggestion", "explanation"),
        (": {c}.",),
    ),
    (
        ("my eye", "my mind", "attention", "the impression", "the first look", "a glance", "the overall view", "the whole", "my guess"),
        ("turns to {c}", "goes to {c}", "drifts to {c}", "leans to {c}", "leads to {c}", "moves to {c}", "runs to {c}", "tends to {c}"),
        ("first.", "at once.", "immediately.", "initially.", "readily.", "unprompted.", "almost automatically.", "quickly.", "for now.",
         "early on.", "without effort.", "by itself.", "at first.", "right away."),
    ),
    (
        ("I would", "I could", "I might", "I may", "I can", "one could", "one might", "one may", "one can", "one would"),
        ("first take {c}", "look at {c}", "begin with {c}", "think of {c}", "try {c}", "propose {c}", "name {c}", "consider {c}",
         "weigh {c}", "entertain {c}", "put forward {c}", "suspect {c}"),
        ("here.", ", tentatively.", "for now.", ", provisionally.", "from this.", ", so far.", ", cautiously.", "at first.", ", unproven.",
         "at least.", "to start.", "in passing.", ", with reserve.", "on trust."),
    ),
)  # fmt: skip
"""Names a candidate that may turn out wrong."""

RIVAL: tuple[Pattern, ...] = (
    (
        ("against this", "next to that", "opposite it", "as a rival", "besides,", "as an alternative,", "in its place,", "instead,",
         "in turn,", "for comparison,", "facing it,", "apart from that,"),
        ("there is {c}", "I find {c}", "I see {c}", "I set {c}", "I put {c}", "I weigh {c}", "I place {c}", "there remains {c}",
         "I keep {c}", "I hold {c}"),
        ("to compare.", "to weigh.", "to test.", "to consider.", "in reserve.", ", untested.", "as well.", ", for fairness.", "too.",
         "to try.", "beside it.", ", still open.", ", not excluded.", ", equally possible."),
    ),
    (
        ("what about {c}?", "how about {c}?", "why not {c}?", "then consider {c}.", "now take {c}.", "suppose {c}.", "also possible: {c}.",
         "a rival reading: {c}.", "another thought: {c}.", "second candidate: {c}.", "next, {c}.", "still open: {c}.", "competing: {c}.",
         "the alternative: {c}.", "remaining choice: {c}.", "perhaps {c}.", "maybe {c}.", "or rather {c}?"),
    ),
    CANDIDATE[0],
    CANDIDATE[3],
)  # fmt: skip
"""Names a candidate beside another one."""

DOUBT: tuple[Pattern, ...] = (
    (
        ("one detail", "something here", "a closer look", "the rest", "what is visible", "another feature", "the evidence", "this",
         "part of it", "one point"),
        ("speaks against {c}", "argues against {c}", "misfits {c}", "jars with {c}", "rules out {c}", "contradicts {c}",
         "weakens {c}", "counts against {c}", "questions {c}", "undermines {c}", "clashes with {c}", "goes against {c}"),
        (", though.", "on inspection.", "after all.", "eventually.", "when compared.", "once tested.", "nonetheless.", "quite clearly.",
         "on reflection.", "here.", "in detail.", "up close.", "in part.", "rather strongly."),
    ),
    (
        ("that guess", "this idea", "that reading", "the suggestion", "this candidate", "that thought", "the hunch", "this proposal",
         "that hypothesis", "the first impression"),
        ("fails", "falters", "breaks down", "does not last", "runs into trouble", "weakens", "stumbles", "comes apart", "gives way",
         "loses ground"),
        ("on a second look.", "under closer study.", "against the details.", "when tested.", "at one point.", "once I compare.",
         "where it matters.", "before long.", "over one thing.", "in the details."),
    ),
    (
        ("for {c}", "were it {c},", "with {c}", "as for {c},", "given {c},", "taking {c},", "assuming {c},", "supposing {c},",
         "granting {c},", "admitting {c},"),
        ("I would expect", "one would want", "there should be", "it would take", "I would need", "one would expect", "I would look for",
         "there ought to be", "I should find", "one would need", "I expect", "one expects", "we should meet", "there would be",
         "one should find", "we would see", "I should see", "we might expect"),
        ("something else.", "other signs.", "a different look.", "more than this.", "another arrangement.", "what is missing here.",
         "features now absent.", "quite another picture.", "details I cannot find.", "the opposite."),
    ),
)  # fmt: skip
"""Says that something is wrong with a candidate, before it is said what."""

CHECK: tuple[Pattern, ...] = (
    (
        ("looking again,", "going back,", "a second time,", "once more", "to be sure,", "before deciding,", "to test this,",
         "as a check", "returning to it,", "for certainty", "taking another look,", "to make certain,"),
        ("I compare", "I follow", "I go through", "I test", "I revisit", "I examine", "I retrace", "I inspect", "I weigh", "I study",
         "I recount", "I review"),
        ("what is there.", "the details.", "each part.", "the remaining signs.", "the same places.", "these points.", "what was left open.",
         "the weak spots.", "the plain facts.", "the essentials.", "what I passed over.", "the whole again."),
    ),
    (
        ("does this", "does the rest", "does everything else", "does each detail", "does what remains", "does the other part",
         "does it all", "does the evidence", "does my reading", "does every sign"),
        ("agree", "hold", "stand up", "fit together", "support it", "survive", "bear it out", "match", "keep its ground", "stay sound"),
        ("as well?", "on inspection?", "under a test?", "when compared?", "everywhere?", "this time?", "from nearby?", "without exception?",
         "at the edges?", "in full?"),
    ),
    (
        ("another look", "one more look", "a second look", "a slower look", "closer study", "a fresh look", "a careful look",
         "a final look"),
        ("should decide", "may settle it", "seems wise", "is needed", "does no harm", "helps", "is due", "must confirm it",
         "can test this", "is worth it"),
        ("here.", "at this point.", "before I choose.", ", to be fair.", "in any case.", "now.", ", I think.", "between them.", "first.",
         "to be safe."),
    ),
)  # fmt: skip
"""Announces another look."""

CONCLUDE: tuple[Pattern, ...] = (
    (
        ("taken together,", "on balance,", "all told,", "with that,", "in sum,", "after all this,", "weighing everything,", "by now,",
         "having checked,", "in the end,", "everything considered,", "so"),
        ("I settle on {c}", "I decide for {c}", "it comes to {c}", "I arrive at {c}", "this means {c}", "I keep to {c}",
         "the signs favour {c}", "I keep {c}", "the evidence supports {c}", "I choose {c}", "this gives {c}", "I end at {c}",
         "the details give {c}", "I hold to {c}"),
        (".", ".", "with confidence.", ", as tested.", "here.", ", well supported.", ", uncontradicted.", "nonetheless.", "alone.",
         "in earnest.", "for good.", "as decided."),
    ),
    (
        ("that leaves {c}", "this leaves {c}", "which leaves {c}", "there remains {c}", "it leaves {c}", "still standing: {c}",
         "what holds: {c}", "what remains: {c}", "nothing displaces {c}", "everything fits {c}"),
        (".", ", undefeated.", ", more soundly.", "without rival.", "on balance.", "by far.", ", well supported.", "as decided.",
         "after testing.", "for good.", "with reason.", "in all."),
    ),
    (
        ("the verdict", "my decision", "the outcome", "the result", "my choice", "the judgement", "my conclusion", "the upshot",
         "my reading", "the finding"),
        (", once checked", ", ultimately", ", on balance", ", once compared", ", all weighed", ", on reflection", ", twice tested",
         ", overall", ", in short", ", in sum", ", finally", ", so far"),
        (": {c}.",),
    ),
)  # fmt: skip
"""Decides for a candidate."""
