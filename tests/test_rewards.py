"""Rewards: measures of what the student says, their weights, and their trial on the lessons before anything is trained."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.answers import Task
from cotforge.errors import PipelineError
from cotforge.plan import Reward
from cotforge.train.rewards import PromptedSample, Rewards

TASK = Task(kind="classify", question="Which colour?", labels=("red", "green", "blue"))
GOOD = "<think>Warm like a fire: red.</think>\n<answer>red</answer>"


def rewards(*given: dict[str, Any], task: Task = TASK, root: Path = Path()) -> Rewards:
    return Rewards.of([Reward.model_validate(each) for each in given], task, root)


def asked(answer: str | None = "red", **row: Any) -> PromptedSample:
    return PromptedSample.of({"answer": answer, "id": "s1", **row}, TASK)


def value(of: Rewards, text: str, *, finish: str = "stop", about: PromptedSample | None = None) -> list[float | None]:
    about = about or asked()
    return of.values(about, about.trace(text, of.task, finish=finish))


@pytest.mark.parametrize(
    ("text", "form", "right"),
    [
        (GOOD, 1, 1),
        ("<think>Cold.</think><answer>Blue.</answer>", 1, 0),
        ("<think>Warm.</think> <answer> RED </answer>", 1, 1),
        ("<answer>red</answer>", 0, 1),
        ("<think>Warm.</think><answer>not red</answer>", 1, 0),
        ("red", 0, 1),
        ("It is red or green, I think.", 0, 0),
        ("", 0, 0),
    ],
)
def test_format_and_accuracy_are_those_of_the_text_as_it_is_read(text: str, form: float, right: float) -> None:
    assert value(rewards({"measure": "well_formed"}, {"measure": "correct"}), text) == [form, right]


def test_a_text_that_was_cut_off_is_never_well_formed() -> None:
    both = rewards({"measure": "well_formed"}, {"measure": "correct"})
    assert value(both, GOOD, finish="length") == [0, 1]
    assert value(both, "<think>Warm, so", finish="length") == [0, 0]


def test_a_free_answer_is_compared_by_the_verifier_of_the_task() -> None:
    task = Task(kind="answer", verifier="number")
    about = PromptedSample.of({"answer": "3000"}, task)
    told = rewards({"measure": "correct"}, task=task)
    assert value(told, "<think>So.</think><answer>3,000.0</answer>", about=about) == [1]
    assert value(told, "<think>So.</think><answer>300</answer>", about=about) == [0]


def test_a_rows_own_options_decide_what_is_an_answer() -> None:
    own = Task(kind="classify")
    about = PromptedSample.of({"answer": "crow", "question": "Which bird?", "options": ["crow", "owl"]}, own)
    told = rewards({"measure": "correct"}, {"measure": "well_formed"}, task=own)
    assert value(told, "<think>Black.</think>\n<answer>Crow</answer>", about=about) == [1, 1]
    assert value(told, "<think>Eyes.</think>\n<answer>owl</answer>", about=about) == [0, 1]
    assert about.trace("<answer>red</answer>", own, finish="stop").fault == "not_an_option"
    assert about.sample.question == "Which bird?"


def test_weights_are_normalised_and_penalties_subtract() -> None:
    told = rewards({"measure": "well_formed", "weight": 0.2}, {"measure": "correct"}, {"measure": "overlong", "weight": -0.4})
    assert told.weights == pytest.approx((0.125, 0.625, -0.25))
    assert told.total([1, 1, 0]) == pytest.approx(0.75)
    assert told.total([1, None, 1]) == pytest.approx(-0.125)


def test_all_weights_zero_teach_nothing() -> None:
    with pytest.raises(PipelineError, match="every weight is 0; nothing would be learned"):
        rewards({"measure": "correct", "weight": 0})


def test_a_measure_taken_twice_has_two_names() -> None:
    told = rewards({"measure": "repeated_ngrams", "with": {"n": 2}}, {"measure": "repeated_ngrams"}, {"measure": "repeated_ngrams"})
    assert told.names == ("repeated_ngrams", "repeated_ngrams_2", "repeated_ngrams_3")


@given(st.lists(st.floats(-5, 5).filter(lambda weight: abs(weight) > 1e-3), min_size=1, max_size=5), st.data())
def test_full_marks_come_to_the_positive_share(weights: list[float], data: st.DataObject) -> None:
    told = rewards(*({"measure": "correct", "weight": weight} for weight in weights))
    values = data.draw(st.lists(st.floats(0, 1), min_size=len(weights), max_size=len(weights)))
    best = told.total([float(weight > 0) for weight in weights])
    assert sum(map(abs, told.weights)) == pytest.approx(1)
    assert told.total(values) <= best + 1e-9 <= 1 + 2e-9


# the trial on the lessons

LESSONS = [(asked(), GOOD), (asked("blue", id="s2"), "<think>Cold like the sea.</think>\n<answer>blue</answer>")]


def test_lessons_that_get_full_marks_pass() -> None:
    rewards(
        {"measure": "well_formed"},
        {"measure": "correct"},
        {"measure": "consistent"},
        {"measure": "repeated_ngrams", "weight": -1},
        {"measure": "overlong", "weight": -0.5},
        {"measure": "finish_ok"},
    ).tried(LESSONS)


@pytest.mark.parametrize(
    ("reward", "why"),
    [
        ({"measure": "mentions_prompt"}, r"rewards\[0\] mentions_prompt: gives the lessons themselves 0.00 in the mean, where 1 is full"),
        ({"measure": "finish_ok", "weight": -1}, "gives the lessons themselves 1.00 in the mean, where 0 is full"),
        ({"measure": "reasoning_words"}, "gives 4 to 5; a reward gives 0 to 1"),
        ({"measure": "matches_label"}, r"is None for every lesson it was tried on \(2\)"),
        ({"measure": "confidence"}, "gives an empty text 1.00, as much as a lesson"),
    ],
)
def test_a_reward_that_cannot_teach_is_named_before_training(reward: dict[str, Any], why: str) -> None:
    with pytest.raises(PipelineError, match=why):
        rewards(reward).tried(LESSONS)


def test_every_reward_that_fails_has_its_line_and_no_lessons_are_a_line() -> None:
    with pytest.raises(PipelineError) as fault:
        rewards({"measure": "correct"}, {"measure": "mentions_prompt"}, {"measure": "confidence"}).tried(LESSONS)
    assert [line.split(":")[0] for line in fault.value.faults] == ["rewards[1] mentions_prompt", "rewards[2] confidence"]
    with pytest.raises(PipelineError, match="no lesson to try them on"):
        rewards({"measure": "correct"}).tried([])


def test_lessons_without_a_reasoning_get_no_marks_for_their_form() -> None:
    with pytest.raises(PipelineError, match=r"well_formed: gives the lessons themselves 0\.00"):
        rewards({"measure": "well_formed"}).tried([(asked(), "<answer>red</answer>")])


# a user's own


def own(folder: Path, body: str) -> dict[str, str]:
    (folder / "mine.py").write_text(f"def calm(sample, trace, verdict):\n    {body}\n")
    return {"measure": f"{folder}/mine.py:calm"}


def test_a_users_own_is_found_in_its_file(tmp_path: Path) -> None:
    told = rewards(own(tmp_path, "return float('!' not in trace.reasoning and trace.answer is not None)"), root=tmp_path)
    assert told.names == ("calm",)
    told.tried(LESSONS)
    assert value(told, "<think>Red!</think><answer>red</answer>") == [0]


@pytest.mark.parametrize(
    ("body", "why"),
    [("raise KeyError('red')", "KeyError: 'red'"), ("return None", "is None for every lesson"), ("return 'much'", "gave 'much'")],
)
def test_a_users_own_that_fails_is_one_line(tmp_path: Path, body: str, why: str) -> None:
    with pytest.raises(PipelineError, match=why) as fault:
        rewards(own(tmp_path, body)).tried(LESSONS)
    assert len(fault.value.faults) == 1
    assert "\n" not in fault.value.faults[0]


# as a trainer calls them


def test_a_trainer_gets_one_function_per_reward_and_each_text_is_read_once() -> None:
    texts = {1: GOOD, 2: "<think>Cold", 3: "<think>Green.</think><answer>green</answer>"}
    decoded: list[int] = []

    def said(tokens: Any) -> tuple[str, str]:
        decoded.extend(tokens)
        return texts[tokens[0]], "length" if tokens[0] == 2 else "stop"

    extra: dict[str, list[Any]] = {}
    metrics: dict[str, float] = {}
    form, right = rewards({"measure": "well_formed"}, {"measure": "correct"}).functions(said)
    ids = [[1], [2], [3]]
    columns = {"answer": ["red"] * 3, "id": ["a", "b", "c"], "images": [[], [], []], "prompts": [[{"role": "user", "content": "?"}]] * 3}
    logs = {"log_extra": extra.__setitem__, "log_metric": metrics.__setitem__, "trainer_state": None}
    assert form(completion_ids=ids, completions=[], **columns, **logs) == [1, 0, 1]
    assert right(completion_ids=ids, completions=[], **columns, **logs) == [1, 0, 0]
    assert (form.__name__, right.__name__) == ("well_formed", "correct")
    assert decoded == [1, 2, 3]
    assert extra.pop("said") == list(texts.values())
    assert extra == {"id": ["a", "b", "c"], "truth": ["red"] * 3, "answer": ["red", None, "green"], "fault": ["", "truncated", ""]}
    assert metrics == {"accuracy": pytest.approx(1 / 3), "format_rate": pytest.approx(2 / 3)}
