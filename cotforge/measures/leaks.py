"""Whether a reasoning was told its answer: the traces that a hint, or a label that was shown, leaves in the words.

A teacher that is shown the answer explains it instead of finding it, and mostly says so: "the given answer", "as labelled", "to justify
why this is awe". Such a text teaches its student to rely on what it will not have.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal, cast, get_args

from cotforge.measures import cues
from cotforge.measures.leak_checks import CHECKS, CLUES, EARLY, EARLY_SHARE, LeakSuspect, has_label_thing, is_answer_first
from cotforge.measures.needs import Clue, ClueTable, Needs
from cotforge.measures.texts import lower_case, names_answer, split_sentences
from cotforge.measures.word_codes import find_codes
from cotforge.records import Sample, Trace, Verdict

LeakKind = Literal[
    "given_answer", "as_labelled", "label_as_premise", "told", "hint", "ground_truth",
    "justifies", "agrees_with_label", "works_backwards", "conceals", "overrules_evidence", "answer_first",
]  # fmt: skip
"""What gives a told answer away."""
LEAK_KINDS: tuple[LeakKind, ...] = get_args(LeakKind)

_LONGEST = 400
"""Characters of a sentence that are looked at, so that a text without stops costs no more."""


def _said(kind: str) -> str:
    """Stands among the words of a sentence for that it has one of `cues.LEAKS` for this kind."""
    return f"said:{kind}"


_ANSWER = "@"
"""Stands among the words of a sentence that names the answer."""


def _with_cues(clue: Clue) -> Clue:
    """The clue with what the sentence needs besides: a word of `cues`, of some only where it names the answer."""
    said, named = frozenset({_said(clue.kind)}), frozenset({_ANSWER})
    ways: list[Needs] = [(said,)]
    if clue.kind == "works_backwards":
        ways.append((named,))
    elif clue.kind in cues.LEAKS_NAMING:
        ways.append((named, frozenset(cues.LEAKS_NAMING[clue.kind].split())))
    return clue._replace(needs=tuple((*needs, *way) for needs in clue.needs for way in ways))


_TABLE = ClueTable(map(_with_cues, CLUES))
_IS_EARLY = _TABLE.bits_of(EARLY)
_NAMES_ANSWER = _TABLE.bits_of(_ANSWER)
_STRONG_BITS: dict[str, int] = defaultdict(int)
for _kind, _words in cues.LEAKS.items():
    for _word in _words.split():
        _STRONG_BITS[_word] |= _TABLE.bits_of(_said(_kind))
_STRONG = frozenset(_STRONG_BITS)


def leaks(reasoning: str, answer: str, options: tuple[str, ...] = ()) -> LeakKind | None:
    """The kind of leak by which a reasoning shows that it was told its answer; None where none is found.

    `options`: the closed set, empty for a free answer. It goes by English words, sentence by sentence: a teacher that hides what it was
    told well, or writes in another language, is not found. What the picture itself shows, as the label on a bottle, is no leak.
    """
    text, lowered = lower_case(reasoning), answer.lower()
    sentences = split_sentences(text)
    strong = _bits_by_sentence(sentences, find_codes(reasoning).cues & _STRONG)
    naming = [place for place, sentence in enumerate(sentences) if lowered in sentence] if lowered else []
    things: bool | None = None
    for place in sorted({*strong, *naming}) if strong else naming:
        share = place / len(sentences)
        clues = _find_clues(sentences[place], lowered, strong.get(place, 0) | (_IS_EARLY if share < EARLY_SHARE else 0))
        if not clues:
            continue
        if things is None:
            things = "label" in text and has_label_thing(text)
        looked_at = sentences[place][:_LONGEST].strip(" .!?\t\r")
        may_be = {clue.what for clue in clues}
        suspect = LeakSuspect(looked_at, may_be, lowered, tuple(map(str.lower, options)), things)
        kinds = {clue.kind for clue in clues}
        for kind, check in CHECKS.items():
            if kind in kinds and check(suspect):
                return cast(LeakKind, kind)
    first = sentences[0][:_LONGEST]
    if len(first) < len(text) and names_answer(first, lowered):
        suspect = LeakSuspect(first, (), lowered, tuple(map(str.lower, options)), things=False)
        return "answer_first" if is_answer_first(suspect) else None
    return None


def _bits_by_sentence(sentences: Sequence[str], strong: frozenset[str]) -> dict[int, int]:
    """By the place of each sentence that has one of those words for which kinds they speak."""
    found: dict[int, int] = {}
    for word in strong:
        for place in [place for place, sentence in enumerate(sentences) if word in sentence]:
            if "label" not in word or not has_label_thing(sentences[place]):
                found[place] = found.get(place, 0) | _STRONG_BITS[word]
    return found


def _find_clues(sentence: str, answer: str, told: int) -> list[Clue]:
    """In which ways a sentence may leak, by its words and by the bits of what is told of it."""
    bits = told | _TABLE.bits_of_text(sentence[:_LONGEST])
    if not answer or answer not in sentence:
        return _TABLE.met(bits)
    clues = _TABLE.met(bits | _NAMES_ANSWER)
    return clues if not clues or names_answer(sentence, answer) else _TABLE.met(bits)


def leaked_label(sample: Sample, trace: Trace, verdict: Verdict | None, *, answer_first: bool = True) -> float | None:
    """1 if the reasoning shows that it was told its answer, else 0; None without reasoning. `answer_first`: also by its first sentence.

    Kinds: given_answer, as_labelled, label_as_premise, told, hint, ground_truth, justifies, agrees_with_label, works_backwards, conceals,
    overrules_evidence, answer_first (the first sentence states the answer, as a text on animals may well do). They are told by English
    words; a "label" that is a thing in the picture is no leak.
    """
    if not trace.reasoning:
        return None
    kind = leaks(trace.reasoning, trace.answer or "", sample.options)
    return float(kind is not None and (answer_first or kind != "answer_first"))
