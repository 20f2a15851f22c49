"""What a simulated teacher understands of a follow-up's request, and of the reasoning that it shows."""

from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.simulate.cells import STYLES, work_out
from cotforge.simulate.evidence import label_evidence, read_values
from cotforge.simulate.hints import fit_cells
from cotforge.simulate.request import HttpRefusal
from cotforge.simulate.tasks import ExplainTask, JudgeTask, RubricLine, SeenTask, VerifyTask, WeaveTask, WovenTrace
from cotforge.simulate.weaving import weave_cells
from cotforge.teachers.simulated import GridCells
from tests.shown import DIGITS, RUBRIC, SUM, follow_up_request, grid_picture

CELLS = GridCells.model_validate(SUM)
SOME = [dict.fromkeys(DIGITS, 0.1)] * 4


def test_every_shipped_prompt_is_understood_as_what_it_asks_for() -> None:
    data, _ = grid_picture(0)
    traces = ({"answer": "7", "reasoning": "It is wide.\n\nAnd tall."}, {"answer": "one third", "reasoning": "It is <b>small</b>."})
    asked = {
        "solve": (None, {}),
        "explain": (ExplainTask("12"), {"label": "12"}),
        "verify": (VerifyTask("It is wide.\nIt is tall."), {"reasoning": "It is wide.\nIt is tall."}),
        "weave": (
            WeaveTask((WovenTrace("7", "It is wide.\n\nAnd tall."), WovenTrace("one third", "It is <b>small</b>.")), "7"),
            {"answer": "7", "traces": traces},
        ),
        "judge": (
            JudgeTask("It is wide.", "7", (RubricLine("grounded", 1, 5), RubricLine("checks", 0, 10))),
            {"reasoning": "It is wide.", "answer": "7", "rubric": RUBRIC},
        ),
        "seen": (SeenTask(("a hat", "two lines")), {"things": ("a hat", "two lines")}),
    }
    for kind, (task, given_) in asked.items():
        for options in ((), DIGITS):
            assert follow_up_request(kind, data, options=options, **given_).task == task, kind


def test_without_a_picture_a_reasoning_can_be_checked_and_nothing_else_is_answered() -> None:
    assert follow_up_request("verify", None, reasoning="It is wide.").images == ()
    with pytest.raises(HttpRefusal, match="looks at pictures, and none was sent"):
        follow_up_request("solve", None)
    with pytest.raises(HttpRefusal, match="looks at pictures, and none was sent"):
        follow_up_request("explain", None, label="7")


@given(st.lists(st.sampled_from(DIGITS), min_size=4, max_size=4), st.sampled_from(STYLES), st.integers(0, 4))
def test_one_value_that_was_cut_out_follows_from_the_sums_around_it(values: list[str], style: object, cut: int) -> None:
    reasoning, answer = work_out(CELLS, values, style=style)  # type: ignore[arg-type]
    assert read_values(reasoning, CELLS, DIGITS) == values
    words = reasoning.split(" ")
    numbers = [place for place, word in enumerate(words) if word.strip(",.").isdigit()]
    place = numbers[cut]
    words[place] = "___" + words[place].lstrip("0123456789")
    without_end = " ".join(words).removesuffix(f" {answer}.")
    assert read_values(without_end, CELLS, DIGITS) == values


def test_a_cell_that_a_text_says_nothing_of_is_not_made_up() -> None:
    assert read_values("The top left shows 3, and the rest is hard to read.", CELLS, DIGITS) == ["3", None, None, None]
    assert read_values("Nothing.", CELLS, DIGITS, pictures=2) == [None] * 8


def test_of_several_pictures_every_one_has_its_own_cells() -> None:
    cells = GridCells.model_validate({"rows": 1, "columns": 2})
    reasoning, _ = work_out(cells, ["3", "4", "5", "6"], style=STYLES[0])
    assert read_values(reasoning, cells, DIGITS, pictures=2) == ["3", "4", "5", "6"]


def test_observations_speak_for_the_label_that_usually_has_them_and_a_rejected_label_counts_less() -> None:
    usual = {"0": {"holes": (1.0, 0.0), "symmetry": (0.9, 0.05)}, "1": {"holes": (0.0, 0.0), "symmetry": (0.9, 0.05)}}
    found = label_evidence("I can see one closed loop, and also sides that nearly mirror each other.", usual, ["0", "1"])
    assert found["0"] > 0.9
    assert sum(found.values()) == pytest.approx(1)
    even = label_evidence("Nothing to report.", usual, ["0", "1"])
    assert even["0"] == even["1"] == 0.5
    assert label_evidence("It looks more like that than 1.", usual, ["0", "1"])["0"] > 0.8


@given(st.integers(0, 2**32), st.integers(0, 40))
def test_the_reading_that_fits_a_hint_is_the_best_of_all_that_lead_to_it(seed: int, hint: int) -> None:
    rng = Random(seed)
    scores = [{label: rng.random() for label in ("0", "3", "9")} for _ in range(4)]
    ways = [labels for labels in product(("0", "3", "9"), repeat=4) if sum(map(int, labels)) == hint]
    worth = {labels: sum(cell[label] for cell, label in zip(scores, labels, strict=True)) for labels in ways}
    found = fit_cells(scores, CELLS, str(hint))
    if not worth:
        assert found is None
    else:
        assert found is not None
        assert worth[tuple(found[0])] == pytest.approx(max(worth.values())) == pytest.approx(found[1])


def test_a_hint_that_no_reading_leads_to_has_none_and_joined_cells_are_cut_as_their_labels_are() -> None:
    assert fit_cells(SOME, CELLS, "many") is None
    joined = GridCells.model_validate({"rows": 1, "columns": 2})
    found = fit_cells([{"1": 0.5, "12": 0.4}] * 2, joined, "121")
    assert found is not None
    assert found[0] == ["12", "1"]
    assert fit_cells([{"1": 0.5}] * 2, joined, "7") is None


@given(st.lists(st.sampled_from(DIGITS), min_size=4, max_size=4), st.integers(0, 3), st.sampled_from(DIGITS), st.integers(0, 2**32))
def test_a_woven_text_leads_to_the_right_answer_and_weighs_only_what_was_proposed(
    values: list[str], at: int, other: str, seed: int
) -> None:
    misread = [*values[:at], other, *values[at + 1 :]]
    texts = [work_out(CELLS, each, style=STYLES[place]) for place, each in enumerate((values, misread))]
    task = WeaveTask(tuple(WovenTrace(answer, text) for text, answer in texts), texts[0][1])
    woven = weave_cells(task, CELLS, SOME, style=STYLES[2], rng=Random(seed))
    assert woven is not None
    assert list(dict.fromkeys(kind for kind, _ in woven)) == ["observe", "candidate", "doubt", "check", "conclude"]
    assert read_values(" ".join(text for _, text in woven), CELLS, DIGITS) == values
    assert sum(kind == "candidate" for kind, _ in woven) == len({answer for _, answer in texts})
