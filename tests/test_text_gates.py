"""Residue, loops, broken-off and contradicting reasonings, and changes of language: what is found, and what is left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.measures import find_measure
from cotforge.measures.code_switching import code_switching
from cotforge.measures.contradicts_answer import contradicts_answer
from cotforge.measures.cut_thought import cut_thought
from cotforge.measures.loops import loops
from cotforge.measures.residue import RESIDUE_KINDS, find_residue, residue
from cotforge.records import Sample, Trace

SAMPLE = Sample("s", (), "Which emotion does this image evoke?", ("awe", "fear", "joy"), "awe")
NUMBER = Sample("n", (), "How many are there?")
SOUND = "A woman stands at the edge of a lake. The light comes from the right. It could be fear, yet nobody is tense. So it is awe."


def trace(reasoning: str, answer: str | None = "awe") -> Trace:
    return Trace("k", "a", "m", 0, reasoning, answer)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("template", "The sky is wide.<|im_end|>"),
        ("heading", "## Observation\nThe sky is wide."),
        ("heading", "**Observation:** the sky is wide."),
        ("revision", "Here is the revised chain of thought:\nThe sky is wide."),
        ("assistant", "As an AI, I do not feel awe. The sky is wide."),
        ("caption", "According to the caption, the sky is wide."),
        ("prompt_echo", "The user asks which emotion it is. The sky is wide."),
    ],
)
def test_each_kind_of_residue_is_named(kind: str, text: str) -> None:
    assert find_residue(text) == kind
    assert residue(SAMPLE, trace(text), None) == 1


def test_what_looks_like_residue_in_the_picture_is_none() -> None:
    clean = "The caption under the cartoon is cut off. The price is 3 < 5. So it is **awe**."
    assert residue(SAMPLE, trace(clean), None) == 0
    assert residue(SAMPLE, trace("## Observation\nThe sky is wide."), None, headings=False) == 0
    assert residue(SAMPLE, trace(""), None) is None


def test_a_loop_is_measured_by_what_it_repeats() -> None:
    again = "The shadow on the left is long and dark. "
    near = "".join(f"The shadow on the {word} is long and dark. " for word in ("left", "right", "wall", "floor", "door"))
    assert loops(SAMPLE, trace(SOUND), None) == 0
    assert loops(SAMPLE, trace(f"{SOUND} {again * 5}"), None) == pytest.approx(0.47, abs=0.05)
    assert (loops(SAMPLE, trace(near), None) or 0) > 0.5
    assert (loops(SAMPLE, trace("It is wide and " + "so on and " * 20), None) or 0) > 0.8
    assert (loops(SAMPLE, trace("天空很宽。" + "山很高而且很远很远很远。" * 5), None) or 0) > 0.5
    assert loops(SAMPLE, trace("Side a is 3 cm. Side b is 4 cm. Side c is 5 cm. So it is awe."), None) == 0


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        (SOUND, 0),
        (SOUND[:-30], 1),
        (SOUND + " What speaks for", 1),
        (SOUND + " There are three things to look at:", 1),
        (SOUND + " Let me look at the left side again.", 1),
        (SOUND.removesuffix("."), 0),
        ("- light: soft\n- faces: calm\n- so awe", 0),
        ("", None),
    ],
)
def test_a_reasoning_that_breaks_off_is_told_from_one_without_a_full_stop(text: str, cut: float | None) -> None:
    assert cut_thought(SAMPLE, trace(text), None) == cut


@pytest.mark.parametrize(
    ("end", "answer", "value"),
    [
        ("So it is awe, not fear.", "awe", 0),
        ("So it is awe, although fear was close.", "awe", 0),
        ("Therefore awe. I had first thought of fear.", "awe", 0),
        ("In the end I choose fear rather than awe.", "awe", 1),
        ("So the answer is fear.", "awe", 1),
        ("The sky is wide.", "awe", None),
        ("So the answer is fear.", None, None),
    ],
)
def test_a_conclusion_is_compared_with_the_answer(end: str, answer: str | None, value: float | None) -> None:
    assert contradicts_answer(SAMPLE, trace(f"The sky is wide. {end}", answer), None) == value


def test_the_conclusion_for_a_number_is_compared_by_value() -> None:
    assert contradicts_answer(NUMBER, trace("Four and three. So there are 7.", "7"), None) == 0
    assert contradicts_answer(NUMBER, trace("Four and three. So there are 8.", "7"), None) == 1
    assert contradicts_answer(NUMBER, trace("So there are 7.0 in all.", "7"), None) == 0


def test_sentences_in_another_language_are_counted_and_quotations_are_not() -> None:
    assert code_switching(SAMPLE, trace(SOUND), None) == 0
    assert code_switching(SAMPLE, trace(SOUND + " Das Licht ist weich und die Haltung offen."), None) == pytest.approx(1 / 5)
    assert code_switching(SAMPLE, trace(SOUND + " 天空非常宽广而且很明亮。"), None) == pytest.approx(1 / 5)
    assert code_switching(SAMPLE, trace(SOUND + ' The sign reads "Das Licht ist an und die Tür auf".'), None) == 0
    assert code_switching(SAMPLE, trace(""), None) is None


@given(st.text(max_size=400), st.sampled_from(["awe", "12", None]))
def test_any_text_has_a_value_in_range(reasoning: str, answer: str | None) -> None:
    for name in ("residue", "loops", "cut_thought", "contradicts_answer", "code_switching"):
        value = find_measure(name, root=None)(SAMPLE, trace(reasoning, answer), None)  # type: ignore[arg-type]
        assert value is None or 0 <= value <= 1, name
    assert find_residue(reasoning) in {None, *RESIDUE_KINDS}
