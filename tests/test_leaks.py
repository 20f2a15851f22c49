"""A reasoning that was told its answer is found out, and one that speaks of labels in the picture is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.measures.leaks import LEAK_KINDS, leaked_label, leaks
from cotforge.records import Sample, Trace

EMOTIONS = ("amusement", "awe", "contentment", "anger", "disgust", "fear")
BEFORE = "Tall grey mountains fill the frame and one hiker stands at their foot. "

LEAKING = {
    "given_answer": "The provided category fits the size of the peaks.",
    "as_labelled": "As labelled, the scene has an enormous scale.",
    "label_as_premise": "Since the label is awe, the size of the peaks must be what counts.",
    "told": "We are told that this picture is one of awe.",
    "hint": "The hint says that the scale is what matters.",
    "ground_truth": "The ground truth speaks for the peaks.",
    "justifies": "I need to explain why this image evokes awe.",
    "agrees_with_label": "The scale is enormous, which matches the given label.",
    "works_backwards": "Working backwards from awe, the peaks are what counts.",
    "conceals": "I should not mention the hint while I reason.",
    "overrules_evidence": "I would have said fear, but the label says awe.",
}


def trace(reasoning: str, answer: str | None = "awe") -> Trace:
    return Trace("k", "a", "m", 0, reasoning, answer)


@pytest.mark.parametrize("kind", LEAKING)
def test_each_kind_of_leak_is_named(kind: str) -> None:
    assert leaks(BEFORE + LEAKING[kind], "awe", EMOTIONS) == kind


def test_a_first_sentence_that_states_the_answer_leaks_and_one_that_only_weighs_it_does_not() -> None:
    assert leaks("This image clearly evokes awe because of its peaks. " + BEFORE, "awe", EMOTIONS) == "answer_first"
    assert leaks("Could this be awe? " + BEFORE, "awe", EMOTIONS) is None
    assert leaks("A dog runs over the grass. It has a collar.", "dog", ("cat", "dog")) is None
    assert set(LEAKING) | {"answer_first"} == set(LEAK_KINDS)


@pytest.mark.parametrize(
    "clean",
    [
        "The label on the bottle says Merlot, and the correct posture is shown on a poster.",
        "There is a hint of fear in her eyes, and the sky hints at a storm.",
        "We are told by the sign that the path is closed.",
        "The jar, labelled 'tea', is open. The given name on the badge is Ann.",
        "Fear is thinkable, but the answer that fits best is awe.",
        "She looks away as if she did not know the photographer.",
    ],
)
def test_what_the_picture_shows_and_what_is_weighed_is_no_leak(clean: str) -> None:
    assert leaks(BEFORE + clean, "awe", EMOTIONS) is None


def test_as_a_measure_it_is_1_or_0_and_a_first_sentence_may_state_the_answer() -> None:
    sample = Sample("s", (), "Which emotion?", EMOTIONS)
    told = trace(BEFORE + LEAKING["hint"])
    assert leaked_label(sample, told, None) == 1
    early = trace("This image clearly evokes awe because of its peaks. " + BEFORE)
    assert [leaked_label(sample, early, None), leaked_label(sample, early, None, answer_first=False)] == [1, 0]
    assert leaked_label(sample, told, None, answer_first=False) == 1
    assert leaked_label(sample, trace(BEFORE), None) == 0
    assert leaked_label(sample, trace(BEFORE, None), None) == 0
    assert leaked_label(sample, trace(""), None) is None


@given(st.text(max_size=300), st.text(max_size=10))
def test_any_text_is_read(reasoning: str, answer: str) -> None:
    assert leaks(reasoning, answer, EMOTIONS) in {None, *LEAK_KINDS}
