"""Whether a reasoning was told its answer: the traces that a hint, or a label that was shown, leaves in the words.

A teacher that is shown the answer explains it instead of finding it, and mostly says so: "the given answer", "as labelled", "to justify
why this is awe". Such a text teaches its student to rely on what it will not have.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal, cast, get_args

from cotforge.measures import cues
from cotforge.measures import leak_backwards as backwards
from cotforge.measures.leak_checks import CHECKS, LeakSuspect, has_label_thing, is_answer_first
from cotforge.measures.texts import lower_case, names_answer, parts_of, split_sentences
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


def _by_word(words: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """By word the kinds of leak that it may be part of."""
    kinds = defaultdict[str, set[str]](set)
    for kind, named in words.items():
        for word in named.split():
            kinds[word].add(kind)
    return {word: frozenset(of_word) for word, of_word in kinds.items()}


_KINDS = _by_word(cues.LEAKS)
_KINDS_NAMING = _by_word({**cues.LEAKS_NAMING, "works_backwards": " ".join(backwards.WORDS)})
_STRONG, _NAMING = frozenset(_KINDS), frozenset(_KINDS_NAMING)
_NONE: frozenset[str] = frozenset()


def leaks(reasoning: str, answer: str, options: tuple[str, ...] = ()) -> LeakKind | None:
    """The kind of leak by which a reasoning shows that it was told its answer; None where none is found.

    `options`: the closed set, empty for a free answer. It goes by English words, sentence by sentence: a teacher that hides what it was
    told well, or writes in another language, is not found. What the picture itself shows, as the label on a bottle, is no leak.
    """
    text, lowered = lower_case(reasoning), answer.lower()
    sentences = split_sentences(text)
    strong = find_codes(reasoning).cues & _STRONG
    speaking = _kinds_by_sentence(sentences, lowered, strong)
    if speaking:
        things = "label" in text and has_label_thing(text)
        others = tuple(map(str.lower, options))
    for place, kinds in sorted(speaking.items()):
        words = frozenset(parts_of(sentences[place][:_LONGEST]))
        suspect = LeakSuspect(sentences[place][:_LONGEST].strip(" .!?\t\r"), words, lowered, others, place / len(sentences), things)
        for kind, wanted, check in CHECKS:
            if kind in kinds and not (wanted and words.isdisjoint(wanted)) and check(suspect):
                return cast(LeakKind, kind)
    first = sentences[0][:_LONGEST]
    if len(first) < len(text) and names_answer(first, lowered):
        suspect = LeakSuspect(first, frozenset(), lowered, tuple(map(str.lower, options)), 0.0, things=False)
        return "answer_first" if is_answer_first(suspect) else None
    return None


def _kinds_by_sentence(sentences: Sequence[str], answer: str, strong: frozenset[str]) -> dict[int, frozenset[str]]:
    """By the place of each sentence that may leak the kinds that its words speak for."""
    found: dict[int, frozenset[str]] = {}
    for word in strong:
        for place in [place for place, sentence in enumerate(sentences) if word in sentence]:
            if "label" not in word or not has_label_thing(sentences[place]):
                found[place] = found.get(place, _NONE) | _KINDS[word]
    for place in [place for place, sentence in enumerate(sentences) if answer in sentence] if answer else ():
        sentence = sentences[place]
        naming = _NAMING.intersection(parts_of(sentence))
        if naming and names_answer(sentence, answer):
            found[place] = found.get(place, _NONE).union(*map(_KINDS_NAMING.__getitem__, naming))
    return found


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
