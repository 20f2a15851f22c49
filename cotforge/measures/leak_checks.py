"""Whether one sentence of a reasoning shows, in one of the ways of `leaks`, that the reasoning was told its answer."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from cotforge.measures import leak_agrees as agrees
from cotforge.measures import leak_backwards as backwards
from cotforge.measures import leak_patterns as patterns
from cotforge.measures.needs import Clue, read_needs
from cotforge.measures.texts import mark_answer, names_answer


class LeakSuspect(NamedTuple):
    """A sentence that may leak, with what it has to be compared with; all in lower case."""

    text: str
    may_be: Collection[object]
    """Of the clues whose needs it meets what they are."""
    answer: str
    options: tuple[str, ...]
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
    return any(_names_if_it_must(suspect, found) for found in patterns.GIVEN_ANSWER.finditer(suspect.text))


def _names_if_it_must(suspect: LeakSuspect, found: re.Match[str]) -> bool:
    """Whether the group that was found, if there is one, states the answer."""
    return found.lastgroup is None or suspect.states_answer(found[found.lastgroup])


def _is_labelled(suspect: LeakSuspect) -> bool:
    """It was labelled so: "as labelled", "the image is tagged with awe", "somebody labelled this awe"."""
    if any(_names_if_it_must(suspect, found) for found in patterns.AS_LABELLED.finditer(suspect.text)) and not suspect.is_of_thing():
        return True
    at = max(suspect.text.find("labelled "), suspect.text.find("labeled "))
    return at >= 0 and suspect.states_answer(suspect.text[at + 8 : at + 25 + len(suspect.answer)])


def _is_premise(suspect: LeakSuspect) -> bool:
    """The label is what the reasoning goes by: "since the label is awe", or "the answer is awe" in its first third."""
    text = suspect.text
    for found in patterns.PREMISE.finditer(text) if "premise" in suspect.may_be else ():
        said = found[found.lastgroup] if found.lastgroup else None
        if suspect.states_answer(said.partition(",")[0]) if said is not None else not suspect.is_of_thing():
            return True
    if suspect.things:
        return False
    if "label_named" in suspect.may_be and _is_label_named(suspect):
        return True
    stated = patterns.LABEL_SAYS.search(text) if "label_says" in suspect.may_be else None
    return stated is not None and suspect.states_answer(stated["said"]) and patterns.NOT_JUDGED.search(text) is None


EARLY_SHARE = 0.3
"""Share of a reasoning in which nothing can be decided yet."""
EARLY = "@early"
"""Stands among the words of a sentence that begins there."""


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
    return any(_names_if_it_must(suspect, found) for found in patterns.ANNOTATION_SAYS.finditer(suspect.text))


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
    marked = mark_answer(suspect.text, suspect.answer)
    return patterns.EXPLAINS.search(marked) is not None and not suspect.names_other(marked)


def _is_agreeing(suspect: LeakSuspect) -> bool:
    """It finds its evidence to agree with a label: "which matches the label", "the given answer holds up"."""
    marked = mark_answer(suspect.text, suspect.answer)
    of_thing = suspect.is_of_thing()
    return any(found.lastgroup is None or not of_thing for pattern in (agrees.AGREES, agrees.HOLDS) for found in pattern.finditer(marked))


def _is_backwards(suspect: LeakSuspect) -> bool:
    """It reasons from the answer: "working backwards from awe", "so that the result comes out as 42", "knowing that it is awe"."""
    ways = [way for way in suspect.may_be if isinstance(way, backwards.Way)]
    kinds = {way.of for way in ways}
    for found in patterns.BACKWARDS.finditer(suspect.text) if "result" in kinds else ():
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
    return _starts_from_answer(suspect, [way.pattern for way in ways if way.pattern], kinds)


def _starts_from_answer(suspect: LeakSuspect, toward: Sequence[re.Pattern[str]], kinds: Collection[str]) -> bool:
    """The same by words around the answer: "I choose the details that lead to awe", "otherwise it would not be awe"."""
    if not toward and kinds == {"result"}:
        return False
    marked = mark_answer(suspect.text, suspect.answer)
    named = "@" in marked
    return (
        (
            ("settled" in kinds and backwards.SETTLED.search(marked) is not None)
            or (
                "reversed" in kinds
                and (named or _SPEAKS_OF_ANSWER.search(marked) is not None)
                and backwards.REVERSED.search(marked) is not None
            )
            or (named and any(_goes_toward(pattern, marked) for pattern in toward))
        )
        and not suspect.names_other(suspect.text)
        and backwards.CALCULATES.search(marked) is None
    )


def _goes_toward(pattern: re.Pattern[str], marked: str) -> bool:
    """Whether the pattern is found, in a sentence that does not only suppose something."""
    found = pattern.search(marked)
    return found is not None and (
        found.lastgroup in _WITH_SUPPOSED or "otherwise" in marked or " else " in marked or backwards.SUPPOSED.search(marked) is None
    )


_WITH_SUPPOSED = ("how", "asked", "taken")
_SPEAKS_OF_ANSWER = re.compile(r"\b(?:answer|label|solution|conclusion|(?:the|final|known|end|given) (?:result|outcome))\b")
_BEGINS_WITH_ANSWER = re.compile(r"(?:the )?(?:\w+ )?(?:answer|label|solution|conclusion|category)\b")


def _is_concealing(suspect: LeakSuspect) -> bool:
    """It says what it must not say: "without mentioning the hint", "as if I did not know"."""
    for found in patterns.CONCEALS.finditer(suspect.text):
        what = found["what"] or found["also"]
        if what is None or (patterns.CONCEALED.search(what) and not suspect.is_of_thing()):
            return True
    return False


_META = "label answer category class classification annotation solution response verdict"
_TASKS = "emotion animal species breed mood feeling sentiment style genre activity action country city diagnosis brand theme"
_LABELS = "label labels labelled labeled labelling labeling annotation annotations annotated annotator annotators tagged tag classification"
_GIVENS = (
    "given provided supplied stated specified assigned preassigned pre predetermined designated known official listed recorded annotated"
)
_DATA = "number value word name total count result shape scene object place person letter digit title type color colour finding"
_CAUSES = "since because given as seeing considering knowing granted"
_NEEDS: Mapping[str, str] = {
    "conceals": (
        "not t never cannot without avoid avoiding refrain refraining instead rather if though like keep keeping hide hiding unaware"
        " independent independently scratch myself ourselves alone"
    ),
    "hint": ("hint hints hinted"),
    "overrules_evidence": (f"{_LABELS} answer category class emotion it was were"),
    "justifies": (
        "justify justifies justified justifying justification rationalise rationalize rationalised rationalized rationale explain"
        " explaining"
        " explanation support defend argue show motivate back account reason reasons reasoning argument arguments evidence backing"
        " grounds"
        " make lead point arrive find give list name gather collect provide write build construct produce come look think why"
    ),
    "ground_truth": (
        "ground groundtruth truth human gold golden standard annotation annotations annotator annotators dataset data metadata"
        " rater raters"
        " reference official model sample key sheet corpus file solution"
    ),
    "agrees_with_label": (
        "label labelling labeling annotation annotations classification tag annotator annotators prompt"
        f" | {_GIVENS} expected correct true actual required target reference labelled labeled told attached know"
        f" + {_META} {_TASKS} tag"
        " | assigned annotated designated official preassigned pre labelled labeled + number value word result count total name"
        " | what + told given informed stated provided supplied"
    ),
    "as_labelled": (
        "labelled labeled annotated tagged classified categorised categorized marked listed recorded filed sorted assigned classed put"
        " registered stored label tag annotation rated given"
    ),
    "told": (
        "we i you + told informed notified shown given handed provided supplied know knew"
        " | prompt question user task instruction instructions system problem message assignment exercise"
    ),
    "given_answer": (
        f"{_GIVENS} + {_META} {_TASKS} {_DATA}"
        " | expected intended desired required wanted target labelled labeled reference told handed shown came comes coming attached"
        f" + {_META} {_TASKS} number value word"
    ),
}
"""By kind the words of which a sentence must have some; see `read_needs`."""
_OF_PREMISE: Mapping[str, str] = {
    "premise": (
        f"{_CAUSES} now with taking accepting assuming + {_META} {_TASKS}"
        f" | {_CAUSES} but + has must known supposed said meant stated given declared"
        f" | true actual real correct right known official + being {_CAUSES}"
        f" | label annotation classification + {_CAUSES} with taking accepting assuming trusting"
    ),
    "label_says": f"{_META} {_TASKS} + the its this + {EARLY}",
    "label_named": "label labelled labeled labelling labeling annotation annotated tagged",
}
"""The same of the three ways in which a label may be a premise."""
CLUES: tuple[Clue, ...] = (
    *(Clue(kind, kind, read_needs(needs)) for kind, needs in _NEEDS.items()),
    *(Clue("label_as_premise", what, read_needs(needs)) for what, needs in _OF_PREMISE.items()),
    *(Clue("works_backwards", way, way.needs) for way in backwards.WAYS),
)
"""By which words a sentence may leak, in which way."""
CHECKS: Mapping[str, Check] = {
    "conceals": _is_concealing,
    "hint": _meets(patterns.HINT),
    "overrules_evidence": _meets(patterns.OVERRULES, of_things=False),
    "works_backwards": _is_backwards,
    "justifies": _is_justifying,
    "ground_truth": _is_ground_truth,
    "agrees_with_label": _is_agreeing,
    "as_labelled": _is_labelled,
    "told": _is_told,
    "given_answer": _is_given,
    "label_as_premise": _is_premise,
}
"""By kind whether a sentence leaks in this way, the surer kinds first."""
