"""Whether a reasoning was told its answer: the traces that a hint, or a label that was shown, leaves in the words.

A teacher that is shown the answer explains it instead of finding it, and mostly says so: "the given answer", "as labelled", "to justify
why this is awe". Such a text teaches its student to rely on what it will not have.
"""

import re
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple, get_args

from cotforge.measures import leak_patterns as patterns
from cotforge.measures.texts import lower_case, names_answer, sentence_around, words_of
from cotforge.records import Sample, Trace, Verdict

LeakKind = Literal[
    "given_answer", "as_labelled", "label_as_premise", "told", "hint", "ground_truth",
    "justifies", "agrees_with_label", "works_backwards", "conceals", "overrules_evidence", "answer_first",
]  # fmt: skip
"""What gives a told answer away."""

LEAK_KINDS: tuple[LeakKind, ...] = get_args(LeakKind)
_LONGEST = 400
"""Characters of a sentence that are looked at, so that a text without stops costs no more."""
_STEMS = ("label", "answer", "hint", "truth", "annotat", "supposed to be", "meant to be", "as if ", "as though ")
"""A sentence that leaks has one of these, or one of `_WORDS`; looked for as they stand, since punctuation may follow."""
_NAMED = """
    given provided supplied stated specified assigned preassigned predetermined designated known official listed recorded expected intended
    desired required told informed notified shown handed know knew knowing aware tagged classified categorized categorised metadata raters
    dataset dataset's raters' justify justifying justifies rationalize rationalise explain defend argue backward backwards reverse back
    pretend reference standard gold prompt user instructions task explanation rationale reasons evidence plausible convincing case
    arguments reach arrive start starting begin beginning target goal conclusion lead come end conclude account myself scratch being
"""
_WORDS = frozenset(form + end for word in _NAMED.split() for form in (word, word.capitalize()) for end in ("", ",", ":"))


class _Suspect(NamedTuple):
    """A sentence that may leak, with what it has to be compared with; all in lower case."""

    text: str
    answer: str
    options: tuple[str, ...]
    share: float
    """How far into the reasoning it begins, in [0, 1]."""
    things: bool
    """Whether the reasoning speaks of a label that is a thing in the picture, as on a bottle."""

    def states_answer(self, text: str) -> bool:
        """Whether a part of the sentence names the answer and none of the other options."""
        return names_answer(text, self.answer) and not self.names_other(text)

    def is_of_thing(self) -> bool:
        """Whether the sentence itself speaks of a label in the picture."""
        return self.things and patterns.THING.search(self.text) is not None

    def names_other(self, text: str) -> bool:
        """Whether a part of the sentence names an option that is neither the answer nor a part of it."""
        return any(names_answer(text, option) for option in self.options if option not in self.answer)


Check = Callable[[_Suspect], bool]


def _is_answer_first(suspect: _Suspect) -> bool:
    """The first sentence states the answer as a judgement: "This image evokes awe because ..."."""
    text = suspect.text
    return suspect.states_answer(text) and patterns.JUDGES.search(text) is not None and patterns.NOT_JUDGED.search(text) is None


def _meets(pattern: re.Pattern[str], *, of_things: bool = True) -> Check:
    """Whether the pattern is found; without `of_things` not in a sentence that speaks of a label in the picture."""
    return lambda suspect: pattern.search(suspect.text) is not None and (of_things or not suspect.is_of_thing())


def _is_given(suspect: _Suspect) -> bool:
    """It calls the answer a given one: "the provided label", "the answer that was supplied"."""
    return any(found["said"] is None or suspect.states_answer(found["said"]) for found in patterns.GIVEN_ANSWER.finditer(suspect.text))


def _is_premise(suspect: _Suspect) -> bool:
    """The label is what the reasoning goes by: "since the label is awe", or "the answer is awe" in its first third."""
    for found in patterns.PREMISE.finditer(suspect.text):
        said = found[found.lastgroup] if found.lastgroup else None
        if suspect.states_answer(said.partition(",")[0]) if said is not None else not suspect.is_of_thing():
            return True
    if _is_label_named(suspect):
        return True
    stated = patterns.LABEL_SAYS.search(suspect.text)
    return (
        stated is not None
        and not suspect.things
        and suspect.share < 0.3
        and suspect.states_answer(stated["said"])
        and patterns.NOT_JUDGED.search(suspect.text) is None
    )


def _is_label_named(suspect: _Suspect) -> bool:
    """It speaks of the label, and names an answer, without weighing which label fits."""
    return (
        not suspect.things
        and patterns.LABEL_NAMES.search(suspect.text) is not None
        and (names_answer(suspect.text, suspect.answer) or suspect.names_other(suspect.text))
        and patterns.LABEL_WEIGHED.search(suspect.text) is None
    )


def _is_told(suspect: _Suspect) -> bool:
    """Somebody said the answer: "we are told that it is awe", "the prompt says that the answer is awe"."""
    for found in patterns.TOLD.finditer(suspect.text):
        said = found[found.lastgroup or 0]
        meta, answer = patterns.META.search(said) is not None, suspect.states_answer(said)
        if found.lastgroup == "known":
            about = meta and answer
        elif found.lastgroup == "prompt":
            about = meta or answer
        else:
            about = meta or (answer and (bool(suspect.options) or _BY_PROMPT.search(found[0]) is not None))
        if about and patterns.TOLD_BY_THING.match(said) is None:
            return True
    return False


_BY_PROMPT = re.compile(r"(?:prompt|user|instructions?|task|system|message) ")


def _is_ground_truth(suspect: _Suspect) -> bool:
    """It names the truth that is kept beside the data: "the ground truth", "the annotators agreed", "the answer key says"."""
    if patterns.GROUND_TRUTH.search(suspect.text):
        return True
    found = patterns.ANNOTATION_SAYS.search(suspect.text)
    return found is not None and suspect.states_answer(found["said"])


def _is_justifying(suspect: _Suspect) -> bool:
    """It says that its task is to explain an answer: "I need to justify why this is awe"."""
    for found in patterns.JUSTIFIES.finditer(suspect.text):
        what = found["what"]
        if what is None:
            return not suspect.is_of_thing()
        if suspect.states_answer(what):
            return True
        if patterns.THE_ANSWER.search(what) and not suspect.names_other(what) and not suspect.is_of_thing():
            return True
    return False


def _is_agreeing(suspect: _Suspect) -> bool:
    """It finds its evidence to agree with a label: "which matches the label", "this confirms the given answer"."""
    return any(not (found["label"] and suspect.is_of_thing()) for found in patterns.AGREES.finditer(suspect.text))


def _is_backwards(suspect: _Suspect) -> bool:
    """It reasons from the answer: "working backwards from awe", "so that the result comes out as 42", "knowing that it is awe"."""
    for found in patterns.BACKWARDS.finditer(suspect.text):
        group = found.lastgroup
        if group is None:
            return True
        said = found[group]
        if group == "from" and _BEGINS_WITH_ANSWER.match(said):
            return True
        # Of a free answer, as a number, one often says how to reach it, and what is known.
        free = not suspect.options and group in ("known", "toward", "start") and not patterns.META.search(said)
        if suspect.states_answer(said) and not free:
            return True
    return False


_BEGINS_WITH_ANSWER = re.compile(r"(?:the )?(?:\w+ )?(?:answer|label|solution|conclusion|category)\b")


def _is_concealing(suspect: _Suspect) -> bool:
    """It says what it must not say: "without mentioning the hint", "as if I did not know"."""
    for found in patterns.CONCEALS.finditer(suspect.text):
        what = found["what"] or found["also"]
        if what is None or (patterns.CONCEALED.search(what) and not suspect.is_of_thing()):
            return True
    return False


_NEEDED = {
    "conceals": "not |n't |never|without|avoid|refrain|instead|rather| as if| as though|scratch|independent|myself|unaware|keep|hid",
    "overrules_evidence": "label|annotation|answer|supposed to|meant to|given|marked",
    "works_backwards": "back|reverse|answer|label|know|aware|so that|so as to|must| to |target|goal|from|desired",
    "justifies": "justif|rational|explain|support|defend|argue|show |case |motivate|back up|account for|reason|come up|explanation"
    "|construct|lead to|point to|find |evidence|plausible|convincing|argument",
    "ground_truth": "truth|gold|standard|reference|official|model|answer|dataset|data set|annotat|rater|metadata|corpus| data|file",
    "agrees_with_label": "label|annotation|classification|given|provided|expected|correct|true|actual|assigned|tag|known|stated|supplied"
    "|official|listed|specified|required",
    "as_labelled": "labeled|labelled|annotated|tagged|classified|categori|marked",
    "told": "told|informed|notified|shown|given|handed|with|prompt|question|user|task|instruction|system|problem|message|know|knew",
}
"""What a sentence has one of, where it leaks in this way; it is not searched without."""
_CHECKS: tuple[tuple[LeakKind, tuple[str, ...], Check], ...] = (
    ("conceals", tuple(_NEEDED["conceals"].split("|")), _is_concealing),
    ("hint", ("hint",), _meets(patterns.HINT)),
    ("overrules_evidence", tuple(_NEEDED["overrules_evidence"].split("|")), _meets(patterns.OVERRULES, of_things=False)),
    ("works_backwards", tuple(_NEEDED["works_backwards"].split("|")), _is_backwards),
    ("justifies", tuple(_NEEDED["justifies"].split("|")), _is_justifying),
    ("ground_truth", tuple(_NEEDED["ground_truth"].split("|")), _is_ground_truth),
    ("agrees_with_label", tuple(_NEEDED["agrees_with_label"].split("|")), _is_agreeing),
    ("as_labelled", tuple(_NEEDED["as_labelled"].split("|")), _meets(patterns.AS_LABELLED, of_things=False)),
    ("told", tuple(_NEEDED["told"].split("|")), _is_told),
    ("given_answer", ("",), _is_given),
    ("label_as_premise", ("",), _is_premise),
)
"""(kind, what its sentences have one of, how it is told), the surer kinds first."""


def leaks(reasoning: str, answer: str, options: tuple[str, ...] = ()) -> LeakKind | None:
    """The kind of leak by which a reasoning shows that it was told its answer; None where none is found.

    `options`: the closed set, empty for a free answer. It goes by English words, sentence by sentence: a teacher that hides what it was
    told well, or writes in another language, is not found. What the picture itself shows, as the label on a bottle, is no leak.
    """
    text = lower_case(reasoning)
    answer, options = answer.lower(), tuple(map(str.lower, options))
    stems = [stem for stem in _STEMS if stem in text]
    if not _WORDS.isdisjoint(words_of(reasoning)):
        stems += sorted({word.lower().rstrip(",:") for word in _WORDS.intersection(words_of(reasoning))})
    things = "label" in stems and patterns.THING.search(text) is not None
    for start, end in sorted({span for stem in stems for span in _spans_with(text, stem)}):
        suspect = _Suspect(" ".join(text[start:end].split()), answer, options, start / len(text), things)
        for kind, needed, check in _CHECKS:
            if any(stem in suspect.text for stem in needed) and check(suspect):
                return kind
    if answer and names_answer(text[: sentence_around(text, 0)[1]], answer):
        first = text[: sentence_around(text, 0)[1]][:_LONGEST]
        if len(first) < len(text) and _is_answer_first(_Suspect(first, answer, options, 0.0, things)):
            return "answer_first"
    return None


def _spans_with(text: str, stem: str) -> Iterator[tuple[int, int]]:
    """The places of all sentences that hold a stem; of a long one the part around it."""
    at = text.find(stem)
    while at >= 0:
        start, end = sentence_around(text, at)
        yield max(start, at - _LONGEST // 2), min(end, at + _LONGEST // 2)
        at = text.find(stem, max(end, at + 1))


def leaked_label(sample: Sample, trace: Trace, verdict: Verdict | None, *, ignore: tuple[LeakKind, ...] = ()) -> float | None:
    """1 if the reasoning shows that it was told its answer, else 0; None without reasoning. `ignore` names kinds that are no leak.

    Kinds: given_answer, as_labelled, label_as_premise, told, hint, ground_truth, justifies, agrees_with_label, works_backwards, conceals,
    overrules_evidence, answer_first. They are told by English words; a "label" that is a thing in the picture is no leak.
    """
    if not trace.reasoning:
        return None
    kind = leaks(trace.reasoning, trace.answer or "", sample.options)
    return float(kind is not None and kind not in ignore)
