"""Whether one sentence of a reasoning shows, in one of the ways of `leaks`, that the reasoning was told its answer."""

import re
from collections.abc import Callable
from typing import NamedTuple

from cotforge.measures import leak_patterns as patterns
from cotforge.measures.texts import names_answer


class LeakSuspect(NamedTuple):
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
        return self.things and has_label_thing(self.text)

    def names_other(self, text: str) -> bool:
        """Whether a part of the sentence names an option that is neither the answer nor a part of it."""
        return any(names_answer(text, option) for option in self.options if option not in self.answer)


Check = Callable[[LeakSuspect], bool]
_BEFORE, _BEHIND = 40, 60
"""Characters around a label in which it is told to be a thing."""


def has_label_thing(text: str) -> bool:
    """Whether a text speaks of a label that the picture shows, as one on a bottle."""
    at = text.find("label")
    while at >= 0:
        if patterns.THING.search(text, max(0, at - _BEFORE), at + _BEHIND):
            return True
        at = text.find("label", at + 1)
    return False


def is_answer_first(suspect: LeakSuspect) -> bool:
    """The first sentence states the answer as a judgement: "This image evokes awe because ..."."""
    text = suspect.text
    return suspect.states_answer(text) and patterns.JUDGES.search(text) is not None and patterns.NOT_JUDGED.search(text) is None


def _meets(pattern: re.Pattern[str], *, of_things: bool = True) -> Check:
    """Whether the pattern is found; without `of_things` not in a sentence that speaks of a label in the picture."""
    return lambda suspect: pattern.search(suspect.text) is not None and (of_things or not suspect.is_of_thing())


def _is_given(suspect: LeakSuspect) -> bool:
    """It calls the answer a given one: "the provided label", "the answer that was supplied"."""
    return any(found["said"] is None or suspect.states_answer(found["said"]) for found in patterns.GIVEN_ANSWER.finditer(suspect.text))


def _is_labelled(suspect: LeakSuspect) -> bool:
    """It was labelled so: "as labelled", "the image is tagged with awe", "somebody labelled this awe"."""
    if patterns.AS_LABELLED.search(suspect.text) and not suspect.is_of_thing():
        return True
    at = max(suspect.text.find("labelled "), suspect.text.find("labeled "))
    return at >= 0 and suspect.states_answer(suspect.text[at + 8 : at + 25 + len(suspect.answer)])


def _is_premise(suspect: LeakSuspect) -> bool:
    """The label is what the reasoning goes by: "since the label is awe", or "the answer is awe" in its first third."""
    text = suspect.text
    for found in patterns.PREMISE.finditer(text) if any(map(text.__contains__, _AS)) else ():
        said = found[found.lastgroup] if found.lastgroup else None
        if suspect.states_answer(said.partition(",")[0]) if said is not None else not suspect.is_of_thing():
            return True
    if suspect.things:
        return False
    if ("label" in text or "annot" in text or "tagged" in text) and _is_label_named(suspect):
        return True
    stated = patterns.LABEL_SAYS.search(text) if suspect.share < _EARLY else None
    return stated is not None and suspect.states_answer(stated["said"]) and patterns.NOT_JUDGED.search(text) is None


_AS = ("now ", "since", "because", "given", "as ", "as,", "seeing", "considering", "knowing", "granted", "but ", "being", "with ", "taking",
       "accept", "assum", "trusting")  # fmt: skip
_EARLY = 0.3
"""Share of a reasoning in which nothing can be decided yet."""


def _is_label_named(suspect: LeakSuspect) -> bool:
    """It speaks of the label, and names an answer, without weighing which label fits."""
    return (
        patterns.LABEL_NAMES.search(suspect.text) is not None
        and (names_answer(suspect.text, suspect.answer) or suspect.names_other(suspect.text))
        and patterns.LABEL_WEIGHED.search(suspect.text) is None
    )


def _is_told(suspect: LeakSuspect) -> bool:
    """Somebody said the answer: "we are told that it is awe", "the prompt says that the answer is awe"."""
    for found in patterns.TOLD.finditer(suspect.text):
        said = found[found.lastgroup or 0]
        meta, answer = patterns.META.search(said) is not None, suspect.states_answer(said)
        if found.lastgroup == "known":
            about = meta and answer
        elif found.lastgroup == "prompt":
            about = meta or answer
        else:
            about = meta or (answer and (found.lastgroup == "said" or bool(suspect.options) or _BY_PROMPT.search(found[0]) is not None))
        if about and patterns.TOLD_BY_THING.match(said) is None and patterns.TOLD_CHOICES.search(said) is None:
            return True
    return False


_BY_PROMPT = re.compile(r"(?:prompt|user|instructions?|task|system|message) ")


def _is_ground_truth(suspect: LeakSuspect) -> bool:
    """It names the truth that is kept beside the data: "the ground truth", "the annotators agreed", "the answer key says"."""
    if patterns.GROUND_TRUTH.search(suspect.text):
        return True
    found = patterns.ANNOTATION_SAYS.search(suspect.text)
    return found is not None and suspect.states_answer(found["said"])


def _is_justifying(suspect: LeakSuspect) -> bool:
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


def _is_agreeing(suspect: LeakSuspect) -> bool:
    """It finds its evidence to agree with a label: "which matches the label", "this confirms the given answer"."""
    return any(not (found["label"] and suspect.is_of_thing()) for found in patterns.AGREES.finditer(suspect.text))


def _is_backwards(suspect: LeakSuspect) -> bool:
    """It reasons from the answer: "working backwards from awe", "so that the result comes out as 42", "knowing that it is awe"."""
    for found in patterns.BACKWARDS.finditer(suspect.text):
        group = found.lastgroup
        if group is None:
            return True
        said = found[group]
        if group == "from" and _BEGINS_WITH_ANSWER.match(said):
            return True
        # Of a free answer, as a number, one often says how to reach it, and what is known.
        free = not suspect.options and group in ("known", "toward") and not patterns.META.search(said)
        if suspect.states_answer(said) and not free:
            return True
    return False


_BEGINS_WITH_ANSWER = re.compile(r"(?:the )?(?:\w+ )?(?:answer|label|solution|conclusion|category)\b")


def _is_concealing(suspect: LeakSuspect) -> bool:
    """It says what it must not say: "without mentioning the hint", "as if I did not know"."""
    for found in patterns.CONCEALS.finditer(suspect.text):
        what = found["what"] or found["also"]
        if what is None or (patterns.CONCEALED.search(what) and not suspect.is_of_thing()):
            return True
    return False


_NOT = "not |n't |never|without|avoid|refrain|instead|rather| as if| as though| like |pretend|scratch|myself|unaware|keep|hid"
_WHY = (
    "justif|rational|explain|support|defend|argu|show |case |motivate|back up|account for|reason|come up|explanation|construct|lead to"
    "|point to|find |evidence|plausible|convincing"
)
_FROM = (
    "back|reverse|start|begin|set out|from |must|need|should|order to|so as to|so that|to get |to reach|to arrive|target|goal|knowing|aware"
    "|know |the answer to"
)
_BUT = (
    "but |but,|however|yet|though|still|nevertheless|nonetheless|except|, the|, it|, so|, i|, we|; the|overr|defer|trump|set aside|outweigh"
)
_SAID = "told|informed|notified|shown|given|handed|with |prompt|question|user|task|instruction|system|problem|message|know|knew|exercise"
_GIVEN = (
    "given|provided|supplied|stated|specified|assigned|designated|predetermined|known|official|listed|recorded|annotated|expected|intended"
    "|desired|required|handed|told|shown"
)
_TRUTH = "truth|gold|standard|reference|official|model|key|sheet|data|annot|rater|corpus|file"
_WITH = (
    "match|fit|consist|line|align|agree|confirm|support|correspond|corrobor|valid|expla|keeping|accord|reinforc|verif|reflect|bear|back"
    "|true|compatib|lead|coincid|underlin|warrant|makes"
)
CHECKS: tuple[tuple[str, tuple[str, ...], Check], ...] = (
    ("conceals", tuple(_NOT.split("|")), _is_concealing),
    ("hint", ("hint",), _meets(patterns.HINT)),
    ("overrules_evidence", tuple(_BUT.split("|")), _meets(patterns.OVERRULES, of_things=False)),
    ("works_backwards", tuple(_FROM.split("|")), _is_backwards),
    ("justifies", tuple(_WHY.split("|")), _is_justifying),
    ("ground_truth", tuple(_TRUTH.split("|")), _is_ground_truth),
    ("agrees_with_label", tuple(_WITH.split("|")), _is_agreeing),
    ("as_labelled", ("label", "annotated", "tagged", "classified", "categori", "marked"), _is_labelled),
    ("told", tuple(_SAID.split("|")), _is_told),
    ("given_answer", tuple(_GIVEN.split("|")), _is_given),
    ("label_as_premise", ("",), _is_premise),
)
"""(kind, what its sentences have one of, whether a sentence leaks in this way), the surer kinds first."""
