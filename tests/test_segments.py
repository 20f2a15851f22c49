"""A reasoning cut into solving and verifying, and what its parts are worth: S2R's +1 and -1 as a share."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cotforge.answers import Task
from cotforge.filters import Measured
from cotforge.measures import verified_segments
from cotforge.measures.segments import judged_right, segment_marks, split_segments, stated_answer
from cotforge.plan import Reward
from cotforge.records import Sample, Trace, Verdict
from cotforge.train.rewards import PromptedSample, Rewards

COLOURS = ("red", "green", "blue")
SAMPLE, FREE = Sample("s1", (), "Which colour is this?", COLOURS), Sample("s2", (), "How many?")
CHECK, AGAIN = "Wait, let me recheck my solution.", "Let me try again."
WRONG, RIGHT = "Therefore, the answer is incorrect.", "Therefore, the answer is correct."


def share(reasoning: str, answer: str | None, truth: str = "blue", *, sample: Sample = SAMPLE, **options: Any) -> float | None:
    trace = Trace("k", "student", "m", 0, reasoning, answer)
    return verified_segments(sample, trace, Verdict(truth, 1.0, True), **options)


def kinds(reasoning: str) -> list[str]:
    return [part.kind for part in split_segments(reasoning)]


CONTEXTS = [
    (f"Warm, so red.\n\n{CHECK}\n\nNo fire. {WRONG}\n\n{AGAIN}\n\nIt is blue.\n\n{CHECK}\n\nThe sea. {RIGHT}", "blue", "S- V+ S+ V+"),
    (f"It is blue.\n\n{CHECK}\n\n{RIGHT}", "blue", "S+ V+"),
    (f"It is blue.\n\n{CHECK}\n\n{WRONG}\n\n{AGAIN}\n\nIt is red.", "red", "S+ V- S-"),
    (f"It is red.\n\n{CHECK}\n\n{RIGHT}", "red", "S- V-"),
    (f"It is red.\n\n{CHECK}\n\n{WRONG}", "blue", "S- V+ S+"),  # an answer that is not the last solution's is a solution of its own
    (f"It is red.\n\n{CHECK}\n\nSo many shades.\n\n{AGAIN}\n\nBlue.", "blue", "S- V+ S+"),  # without a verdict, and tried again: doubted
    (f"It is blue.\n\n{CHECK}\n\nSo many shades.", "blue", "S+ V+"),  # without a verdict, and left at that: accepted
    (f"{CHECK} {RIGHT}", "blue", "V- S+"),  # there is nothing to verify
    ("Like the sea.", "blue", "S+"),
    ("Like the sea.", "red", "S-"),
    ("", "blue", "S+"),
    ("It is blue.", None, "S+ S-"),  # it came to no answer
    ("", None, "S-"),
]
"""What is reasoned and answered where blue is the truth, and the sign of each part that solves (S) or verifies (V)."""


@pytest.mark.parametrize(("reasoning", "answer", "context"), CONTEXTS)
def test_each_part_counts_by_whether_its_answer_or_its_verdict_is_true(reasoning: str, answer: str | None, context: str) -> None:
    found = list(segment_marks(SAMPLE, Trace("k", "student", "m", 0, reasoning, answer), "blue"))
    assert " ".join(f"{kind[0].upper()}{'+' if right else '-'}" for kind, right in found) == context


@pytest.mark.parametrize(("reasoning", "answer", "context"), CONTEXTS)
def test_the_measure_is_the_share_of_parts_that_are_right(reasoning: str, answer: str | None, context: str) -> None:
    parts = context.split()
    last = max(place for place, part in enumerate(parts) if part[0] == "S")

    def wanted(kept: list[str]) -> float | None:
        return sum(part[1] == "+" for part in kept) / len(kept) if kept else None

    assert share(reasoning, answer) == wanted(parts)
    assert share(reasoning, answer, part="solve") == wanted([part for part in parts if part[0] == "S"])
    assert share(reasoning, answer, part="verify") == wanted([part for part in parts if part[0] == "V"])
    assert share(reasoning, answer, solves="last") == wanted([part for place, part in enumerate(parts) if part[0] == "V" or place == last])


def test_where_nothing_was_agreed_on_there_is_no_truth_to_compare_with() -> None:
    trace = Trace("k", "a", "m", 0, "It is blue.", "blue")
    assert verified_segments(SAMPLE, trace, None) is None
    assert verified_segments(SAMPLE, trace, Verdict("blue", 0.5, False, "no_majority")) is None


@pytest.mark.parametrize(
    ("reasoning", "found"),
    [
        ("The sea. Let me check: waves. It holds.", ["solve", "verify"]),
        ("The sea.\nTo verify, look at the edge. Wait, that is grass. Let me think it over. Green.", ["solve", "verify", "solve"]),
        ("Let me look at the sky. Blue. Let's double-check. Correct.", ["solve", "verify"]),
        ("I cannot wait to let me check anything.", ["solve"]),  # amid a sentence nothing begins
        ("Red.\n**Verification**: it is right.\nNew attempt: blue.", ["solve", "verify", "solve"]),
        ("Wait. Wait. Wait.", ["verify"]),
        ("   \n ", []),
        ("<solve>red</solve> so <verify>Let me try again. It is wrong.</verify><solve>blue", ["solve", "verify", "solve"]),
    ],
)
def test_parts_begin_at_cues_or_where_there_are_any_at_tags(reasoning: str, found: list[str]) -> None:
    assert kinds(reasoning) == found


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("At first it seems correct. But 3 + 4 is not 8, so it is wrong.", False),
        ("The first doubt was a mistake of mine; the answer is correct.", True),
        ("It isn't right.", False),
        ("There is no mistake: verified.", True),
        ("It does not hold.", False),
        ("The right half is dark.", None),
        ("", None),
    ],
)
def test_the_last_verdict_of_a_part_counts(text: str, verdict: bool | None) -> None:
    assert judged_right(text) is verdict


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"So \boxed{12}, of 3 and 9.", "12"),
        ("The sum of 3 and 9 is 3 + 9 = 12.", "12"),
        ("The answer is 3.5 because of 1 and 2.", "3.5"),
        ("First 3, then 9, which makes 12", "12"),
        ("The answer is a dog.", "a dog"),
        ("No idea", None),
    ],
)
def test_a_free_answer_is_read_from_its_box_its_sentence_or_its_last_number(text: str, answer: str | None) -> None:
    assert stated_answer(text, ()) == answer


def test_the_longest_option_that_is_named_last_is_the_answer_of_a_part() -> None:
    assert stated_answer("Sad at first, then very sad.", ("sad", "very sad")) == "very sad"
    assert stated_answer("Enjoyment", ("joy",)) is None


def test_free_answers_are_compared_as_numbers_too() -> None:
    text = "3,000 and 9. The answer is 3,009. Let me check: 3,000 + 9 = 3,009. It holds."
    assert share(text, "3009", "3009", sample=FREE) == 1
    assert share(text, "3009", "3010", sample=FREE) == 0


@example(["<verify>", "It is red. ", "<verify>", "<verify>", "It is red. "])
@given(st.lists(st.sampled_from(["It is red. ", "Blue! ", "Wait, ", "Let me try again. ", "That is wrong. ", "Correct. ", "<verify>"])))
def test_it_is_a_share_and_the_parts_hold_the_text_in_its_order(pieces: list[str]) -> None:
    text = "".join(pieces)
    for answer in ("blue", "red", None):
        value = share(text, answer)
        assert value is not None
        assert 0 <= value <= 1
    at = 0
    for part in split_segments(text):
        at = text.index(part.text.split()[0], at)
    assert all(one != other or one == "solve" for one, other in zip(kinds(text), kinds(text)[1:], strict=False))


def test_as_a_reward_it_gives_full_marks_to_lessons_that_correct_themselves_where_only_the_last_solution_counts() -> None:
    task = Task(kind="classify", question="Which colour?", labels=COLOURS)
    about = PromptedSample.of({"answer": "blue", "id": "s1"}, task)
    thought = f"Warm, so red.\n\n{CHECK}\n\n{WRONG}\n\n{AGAIN}\n\nIt is blue.\n\n{CHECK}\n\n{RIGHT}"
    lessons = [(about, f"<think>{thought}</think>\n<answer>blue</answer>")]
    reward = Reward.model_validate({"measure": "verified_segments", "with": {"solves": "last"}})
    Rewards.of([reward], task, Path()).tried(lessons)
    with pytest.raises(ValueError, match="solves: 'first' does not do"):
        Measured.model_validate({"measure": "verified_segments", "with": {"solves": "first"}})
