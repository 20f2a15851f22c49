"""Which traces may become Lessons."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cotforge.dedup.spec import Dedup
from cotforge.errors import PipelineError
from cotforge.filters import Filter, filters_in_words, resolve_filters, take_measures
from cotforge.measures.texts import TEXTS_KEPT
from cotforge.records import Sample, Trace

SAMPLE = Sample("s1", (), "Which?", ("awe", "fear"))


def trace(words: int, call: str = "k") -> Trace:
    return Trace(call, "a", "m", 0, " ".join(["word"] * words), "awe")


def test_a_bound_holds_at_its_ends_and_where_a_measure_does_not_apply() -> None:
    bound = Filter.model_validate({"measure": "reasoning_words", "min": 2, "max": 4}).resolve(Path())
    assert bound.name == "reasoning_words"
    assert [bound.holds(bound.take(SAMPLE, trace(words), None)) for words in (1, 2, 4, 5)] == [False, True, True, False]
    assert bound.holds(None)
    assert Filter.model_validate({"measure": "reasoning_words", "min": 2}).resolve(Path()).holds(1e9)
    assert Filter.model_validate({"measure": "reasoning_words", "max": 2}).resolve(Path()).holds(0)


def test_measures_of_many_traces_are_those_of_each_alone() -> None:
    wanted = ("reasoning_words", "repeated_ngrams", "residue", "leaked_label")
    bounds = resolve_filters([Filter.model_validate({"measure": name, "max": 0}) for name in wanted], Path())
    said = ("word", "the user asks.", "the given answer is awe.", "")
    asked = [(SAMPLE, replace(trace(0), reasoning=f"{place} " * place + said[place % 4]), None) for place in range(3 * TEXTS_KEPT + 1)]
    alone = [{bound.name: bound.take(*one) for bound in bounds} for one in asked]
    assert {one["residue"] for one in alone} == {one["leaked_label"] for one in alone[1:]} == {0, 1}
    assert take_measures(bounds, asked) == alone
    assert take_measures([], asked[:2]) == [{}, {}]
    assert take_measures(bounds, []) == []


def test_options_reach_the_measure() -> None:
    repeated = Filter.model_validate({"measure": "repeated_ngrams", "with": {"n": 2}, "max": 0.2}).resolve(Path())
    assert repeated.take(SAMPLE, trace(3), None) == pytest.approx(0.5)
    assert repeated.take(SAMPLE, trace(1), None) is None


@pytest.mark.parametrize(
    ("section", "place", "said"),
    [
        ({"measure": "repeted_ngrams", "max": 1}, ("measure",), "no measure named 'repeted_ngrams'; did you mean 'repeated_ngrams'?"),
        ({"measure": "repeated_ngrams", "with": {"m": 2}, "max": 1}, ("with",), "repeated_ngrams has no option 'm'; its options are n"),
        ({"measure": "repeated_ngrams", "with": {"n": 0}, "max": 1}, ("with",), "n: 0 does not do; input should be greater than"),
        ({"measure": "repeated_ngrams", "with": {"n": "four"}, "max": 1}, ("with",), "n: 'four' does not do; input should be a valid"),
        ({"measure": "well_formed", "with": {"n": 1}, "min": 1}, ("with",), "well_formed has no option 'n'; it has none"),
        ({"measure": "well_formed"}, (), "a filter needs at least one bound"),
        ({"measure": "reasoning_words", "min": 3, "max": 2}, (), "nothing would pass"),
        ({"measure": "well_formed", "min": float("nan")}, ("min",), "finite"),
        ({"measure": "well_formed", "minimum": 1}, ("minimum",), "not permitted"),
    ],
)
def test_a_wrong_filter_says_where_and_what(section: dict[str, Any], place: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Filter.model_validate(section)
    found = caught.value.errors()
    assert any(one["loc"] == place and said in one["msg"] for one in found)


def test_a_filter_read_back_from_its_own_dump_is_the_same() -> None:
    one = Filter.model_validate({"measure": "repeated_ngrams", "with": {"n": 3}, "max": 0.2})
    assert Filter.model_validate(one.model_dump(mode="json", by_alias=True)) == one


def test_a_measure_of_the_users_own_is_called_by_its_function_and_its_options_are_checked(tmp_path: Path) -> None:
    body = "    return len(trace.reasoning) * n\n"
    (tmp_path / "own.py").write_text("def letters(sample, trace, verdict, *, n: int = 1, note=None):\n" + body)
    bound = Filter.model_validate({"measure": "own.py:letters", "with": {"n": "2"}, "min": 1}).resolve(tmp_path)
    assert bound.name == "letters"
    assert bound.take(SAMPLE, trace(1), None) == 8
    with pytest.raises(PipelineError) as caught:
        Filter.model_validate({"measure": "own.py:letters", "with": {"k": 2, "n": "x"}, "min": 1}).resolve(tmp_path)
    assert caught.value.faults == (
        "with: letters has no option 'k'; its options are n, note",
        "with: n: 'x' does not do; input should be a valid integer, unable to parse string as an integer",
    )
    with pytest.raises(PipelineError, match=r"^measure: gone\.py:f: no file"):
        Filter.model_validate({"measure": "gone.py:f", "min": 1}).resolve(tmp_path)


def test_marks_of_a_judge_are_named_by_their_dimension() -> None:
    given = [Filter.model_validate({"measure": "judge", "with": {"dimension": name}, "min": 3}) for name in ("evidence", "clarity")]
    given.append(Filter.model_validate({"measure": "judge", "max": 5}))
    assert [bound.name for bound in resolve_filters(given[:2], Path())] == ["judge_evidence", "judge_clarity"]
    assert resolve_filters(given[2:], Path())[0].name == "judge_evidence"


def test_filters_are_told_in_words_with_the_fate_of_what_they_drop_those_of_one_measure_together() -> None:
    given: list[dict[str, Any]] = [
        {"measure": "repeated_ngrams", "with": {"n": 4}, "max": 0.2},
        {"measure": "reasoning_words", "min": 40},
        {"measure": "reasoning_words", "max": 400},
        {"measure": "judge", "with": {"dimension": "evidence"}, "min": 3, "max": 5},
    ]
    told = filters_in_words([Filter.model_validate(one) for one in given], Path(), "en")
    assert told == [
        ("reasoning_language: en", "filter:reasoning_language"),
        ("repeated_ngrams (n: 4), at most 0.2", "filter:repeated_ngrams"),
        ("reasoning_words, at least 40; reasoning_words, at most 400", "filter:reasoning_words"),
        ("judge (dimension: evidence), at least 3 and at most 5", "filter:judge_evidence"),
    ]
    assert filters_in_words([], Path(), None) == []


def test_what_dedup_compares_texts_with_is_told_in_words() -> None:
    assert Dedup(reasoning=0.6).in_words() == [("dedup.reasoning: less than 0.6 alike to an earlier lesson", "filter:duplicate")]
    against = Dedup.model_validate({"against": [{"kind": "eval"}]})
    assert [fate for _, fate in against.in_words()] == ["filter:contaminated"]
    assert Dedup(pictures="near").in_words() == []
