"""What counts as the same answer, and how a reply becomes a Trace."""

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cotforge.answers import Task, answer_span, clean_text, normal_form, read_reply, reads_well
from cotforge.records import Call, Fault, Reply, Sample, Trace

EMOTIONS = Task(kind="classify", labels=("amusement", "awe", "fear", "sadness"))


def free(verifier: str, **fields: Any) -> Task:
    return Task.model_validate({"kind": "answer", "verifier": verifier, **fields})


def trace(content: str, task: Task = EMOTIONS, *, options: tuple[str, ...] | None = None, **fields: Any) -> Trace:
    """The Trace of a reply that ended by itself, unless the fields say otherwise."""
    sample = Sample("1", (), "Which?", task.options() if options is None else options)
    call = Call("k", sample, "t", "m", 0, ())
    return read_reply(Reply(**{"key": "k", "content": content, "finish_reason": "stop", **fields}), call, task)


@pytest.mark.parametrize(
    "text",
    ["awe", " Awe ", "AWE.", "**awe**", "_Awe_", '"awe"', "`awe`.", "“Awe!”", "a\u200bwe", "\uff41\uff57\uff45", "**Awe.**", "'awe',"],
)
def test_case_width_quotes_markdown_and_final_punctuation_do_not_matter(text: str) -> None:
    assert EMOTIONS.comparable(text, EMOTIONS.options()) == "awe"


@pytest.mark.parametrize(
    "text", ["not awe", "awesome", "awe or fear", "awe?", "awe, fear", "aw", "", "an awe", "awe (not fear)", "\u202e", "a" * 3_000]
)
def test_an_answer_is_never_matched_by_a_part_of_it(text: str) -> None:
    assert EMOTIONS.comparable(text, EMOTIONS.options()) is None


@pytest.mark.parametrize("text", ["no_entry", "No Entry", "NO-ENTRY.", "no  entry", "**No_Entry**"])
def test_space_underscore_and_hyphen_between_words_are_the_same_in_a_closed_set(text: str) -> None:
    task = Task.model_validate({"kind": "classify", "labels": {"no_entry": ["keep out"], "yield": []}})
    assert task.comparable(text, task.options()) == task.label(text, task.options()) == "no_entry"
    assert task.comparable("keep-out", task.options()) == "no_entry"
    assert task.comparable("noentry", task.options()) is None


def test_they_are_not_where_two_options_would_become_equal_or_where_they_may_be_signs() -> None:
    task = Task.model_validate({"kind": "classify", "labels": ["no_entry", "no entry", "x-1", "-5", "3-4", "limit_50"]})
    told = ["no_entry", "No Entry", "no-entry", "x-1", "x_1", "x 1", "5", "-5", "3 4", "Limit 50"]
    found = [task.comparable(text, task.options()) for text in told]
    assert found == ["no_entry", "no entry", None, "x-1", None, None, None, "-5", None, "limit_50"]


def test_a_synonym_means_its_label_and_a_label_keeps_its_spelling() -> None:
    task = Task.model_validate({"kind": "classify", "labels": {"Awe": ["wonder", "amazement"], "Fear": []}})
    assert task.options() == ("Awe", "Fear")
    assert [task.label(raw, task.options()) for raw in ("AMAZEMENT", "fear", "wonderful")] == ["Awe", "Fear", None]


@pytest.mark.parametrize(
    ("raw", "label"), [(1, "1"), (1.0, "1"), ("1", "1"), (True, None), (None, None), (float("nan"), None), ([1], None), (7, None)]
)
def test_a_raw_label_of_any_type_is_a_label_or_unknown(raw: object, label: str | None) -> None:
    task = Task.model_validate({"kind": "classify", "labels": [0, 1, 2]})
    assert task.label(raw, task.options()) == label


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"labels": ["awe", "Awe "]}, "'awe' and 'Awe'"),
        ({"labels": {"awe": ["wonder"], "fear": ["Wonder"]}}, "'wonder' and 'Wonder'"),
        ({"labels": {"awe": [], "fear": ["awe"]}}, "'awe' and 'awe'"),
        ({"labels": ["awe"]}, "at least 2"),
        ({"labels": [True, False]}, "put it in quotes"),
        ({"labels": [None, "awe"]}, "put it in quotes"),
        ({"labels": {1: [], "1": []}}, "the same text"),
        ({"labels": ["awe", "\u200b"]}, "is not a label"),
        ({"labels": ["a", "b"], "verifier": "math"}, "verifier"),
        ({"kind": "answer", "labels": ["a", "b"]}, "labels"),
        ({"labels": "awe, fear"}, "labels"),
    ],
)
def test_a_wrong_task_says_what_is_wrong(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Task.model_validate({"kind": "classify", **fields})
    assert said in str(caught.value)


def test_a_task_read_back_from_its_own_dump_is_the_same() -> None:
    for task in (EMOTIONS, Task.model_validate({"kind": "classify", "labels": {"a": ["x"], "b": []}}), free("number")):
        again = Task.model_validate(task.model_dump(mode="json"))
        assert again == task
        assert again.options() == task.options()


def test_the_options_of_a_row_win_over_those_of_the_task() -> None:
    task = Task.model_validate({"kind": "classify", "labels": {"cat": ["kitty"], "dog": []}})
    assert task.options(["Cat", "bird"]) == ("Cat", "bird")
    assert task.comparable("kitty", ("Cat", "bird")) == "Cat"
    assert task.comparable("dog", ("Cat", "bird")) is None
    assert task.comparable("kitty", ("cat", "kitty")) == "kitty"
    assert task.options([]) == ("cat", "dog")
    assert Task(kind="classify").options() == ()


@pytest.mark.parametrize("options", [["a"], ["a", "A"], ["a", None], ["a", ""], "ab", [["a"], "b"]])
def test_broken_options_of_a_row_are_a_fault_of_the_row(options: Any) -> None:
    with pytest.raises(Fault) as caught:
        EMOTIONS.options(options)
    assert caught.value.reason == "options_broken"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", "3"),
        ("3.0", "3"),
        ("+3e0", "3"),
        ("3,000", "3000"),
        ("3000.", "3000"),
        ("-0.0", "0"),
        (".5", "0.5"),
        ("\u22127", "-7"),
        ("25%", "25%"),
        ("1,234,567.80", "1234567.8"),
        ("0.10", "0.1"),
        ("\uff11\uff12", "12"),
        ("**12**", "12"),
        ("1,00", None),
        ("3 cats", None),
        ("1/2", None),
        ("three", None),
        ("1e999", None),
        ("1.2.3", None),
        ("", None),
        (".", None),
        ("9" * 80, None),
    ],
)
def test_a_number_has_one_text_whatever_way_it_is_written(text: str, value: str | None) -> None:
    assert free("number").comparable(text) == value


@given(st.integers(-(10**15), 10**15))
def test_every_whole_number_is_read_with_and_without_separators(value: int) -> None:
    task = free("number")
    assert task.comparable(str(value)) == task.comparable(f"{value:,}") == task.comparable(f"{value}.00") == str(value)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("B", "dog"),
        ("(b)", "dog"),
        ("b)", "dog"),
        ("B.", "dog"),
        ("B. Dog", "dog"),
        ("option C", "a bird"),
        ("A bird", "a bird"),
        ("dog", "dog"),
        ("B. cat", None),
        ("D", None),
        ("fish", None),
        ("cat or dog", None),
        ("ab", None),
    ],
)
def test_a_choice_is_its_text_or_its_letter(text: str, answer: str | None) -> None:
    assert free("choice").comparable(text, ("cat", "dog", "a bird")) == answer


def test_a_choice_without_options_is_its_letter_and_letters_as_options_are_their_own_text() -> None:
    assert [free("choice").comparable(text) for text in ("b", "(B)", "C. Paris", "a cat", "Paris")] == ["B", "B", "C", None, None]
    assert free("choice").comparable("a", ("B", "A")) == "A"


@pytest.mark.parametrize(
    "texts",
    [
        ["1/2", "0.5", r"\frac{1}{2}", "$50\\%$", r"\frac12", r"\cos(\pi/3)"],
        ["(x+1)^2", "x^2+2x+1", "1 + 2x + x**2"],
        [r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt2}", r"\frac{\sqrt{8}}{4}"],
        ["x = 5", "5", "$5$", "5.0"],
        ["1, 2", r"\{2, 1\}"],
        ["2\\pi", "2pi"],
        ["no solution", "No solution."],
    ],
)
def test_equal_expressions_have_one_text(texts: list[str]) -> None:
    assert len({free("math").comparable(text) for text in texts}) == 1


@pytest.mark.parametrize(
    ("one", "other"), [("1/2", "2"), ("1 1/2", "1"), ("3 cm", "3"), ("yes", "yse"), ("x", "y"), ("(1,2)", "[1,2]"), ("2^3", "2^4")]
)
def test_different_expressions_stay_apart(one: str, other: str) -> None:
    task = free("math")
    assert task.comparable(one) != task.comparable(other)


@pytest.mark.parametrize(
    "text",
    [
        "9^{9^{9}}",
        "99^{9999999}",
        r"\binom{100000}{50000}",
        "170000!",
        "((x+1)^{60})^{60}",
        "1/0",
        "__import__('os').abort()",
        "(" * 100,
        "9" * 119,
    ],
)
def test_an_expression_made_to_stall_the_grader_is_compared_as_text(text: str) -> None:
    assert free("math").comparable(text) == normal_form(text)


def test_formulas_are_read_outside_the_main_thread_too() -> None:
    found: list[str | None] = []
    thread = threading.Thread(target=lambda: found.append(free("math").comparable("7/14")))
    thread.start()
    thread.join()
    assert found == ["1/2"]


def test_a_reply_in_the_asked_form_is_read_from_its_tags() -> None:
    read_ = trace("<think>\nA wide\nvalley. </think>\n\n<answer> Awe. </answer>\n")
    assert (read_.reasoning, read_.answer, read_.read_as, read_.well_formed, read_.fault) == ("A wide\nvalley.", "awe", "tags", True, None)


@pytest.mark.parametrize(
    ("content", "fields", "read_as"),
    [
        ("<answer>awe</answer>", {"reasoning": "I see."}, "reasoning_field"),
        ("awe", {"reasoning": "I see."}, "reasoning_field+bare"),
        (r"\boxed{awe}", {"reasoning": "I see."}, "reasoning_field+boxed"),
        ("I see.</think><answer>awe</answer>", {}, "open_think"),
        ("I see.</think>\n**Awe**", {}, "open_think+bare"),
        (r"I see.</think> $\boxed{\text{awe}}$.", {}, "open_think+boxed"),
        (r"<think>I see.</think><answer>\boxed{awe}</answer>", {}, "boxed"),
        ("<THINK>I see.</Think><ANSWER>awe</Answer>", {}, "tags"),
        ('{"reasoning": "I see.", "answer": "Awe"}', {}, "json"),
        ('```json\n{\n  "Thought": "I see.",\n  "final_answer": "awe"\n}\n```', {}, "json"),
        ('```\n{"explanation": "I see.", "label": "\\\\boxed{awe}"}```', {}, "json+boxed"),
        ('{"reasoning": "So it is.", "answer": "awe"}', {"reasoning": "I see."}, "reasoning_field+json"),
    ],
)
def test_every_way_of_reading_is_named(content: str, fields: dict[str, Any], read_as: str) -> None:
    read_ = trace(content, **fields)
    assert (read_.answer, read_.read_as, read_.well_formed, read_.reasoning) == ("awe", read_as, True, "I see.")


@pytest.mark.parametrize(
    "content",
    [
        "<think>a</think>So: <answer>awe</answer>",
        "<think>a</think><answer>awe</answer> Hope this helps.",
        "<think>a</think><think>b</think><answer>awe</answer>",
        "<think>a <answer>fear</answer> b</think><answer>awe</answer>",
        "<think>it says <answer> here</think><answer>awe</answer>",
        "<think></think><answer>awe</answer>",
        "<answer>awe</answer>",
        "a</think>b</think><answer>awe</answer>",
        "<think>a</think><answer>awe</answer><answer>Awe</answer>",
        r"<think>a</think>I would say \boxed{awe} here.",
        "Sure! <think>a</think><answer>awe</answer>",
        "<think>a</think><answer>awe</answer><think>b",
        "awe",
    ],
)
def test_an_answer_in_a_loose_form_is_a_ballot_but_not_well_formed(content: str) -> None:
    read_ = trace(content)
    assert (read_.answer, read_.fault, read_.well_formed) == ("awe", None, False)


@pytest.mark.parametrize(
    ("content", "fields", "fault"),
    [
        ("", {}, "empty"),
        (" \n", {}, "empty"),
        ("", {"finish_reason": "content_filter"}, "content_filter"),
        ("<think>a</think><answer>awe</answer>", {"finish_reason": "content_filter"}, "content_filter"),
        ("", {"reasoning": "I see."}, "no_answer"),
        ("<think>a <answer>awe</answer>", {}, "no_answer"),
        ("<think>a</think>", {}, "no_answer"),
        ("<think>a</think><answer>awe", {}, "no_answer"),
        ("<think>a</think><answer> </answer>", {}, "no_answer"),
        ("<think>a</think>not awe", {}, "no_answer"),
        ("<think>a</think>The answer is surely awe, I think", {}, "no_answer"),
        ("<think>a</think><answer>awesome</answer>", {}, "not_an_option"),
        (r"<think>a</think>\boxed{joy}", {}, "not_an_option"),
        ("<think>a</think><answer>awe</answer> or <answer>fear</answer>", {}, "two_answers"),
        ("<think>a</think><answer>awe</answer> or <answer>joy</answer>", {}, "two_answers"),
        ("<think>a</think><answer>awe<answer>fear</answer>", {}, "two_answers"),
        ("<think>a</think><answer>awe <answer>fear</answer></answer>", {}, "two_answers"),
        (r"<think>a</think>\boxed{awe} \boxed{fear}", {}, "two_answers"),
        ("<think>a", {"finish_reason": "length"}, "truncated"),
        ("<think>a</think>awe", {"finish_reason": "length"}, "truncated"),
        (r"<think>a</think>\boxed{awe}", {"finish_reason": "length"}, "truncated"),
        ("<think>a</think><answer>aw", {"finish_reason": "length"}, "truncated"),
    ],
)
def test_a_reply_without_one_answer_has_a_fault_and_no_ballot(content: str, fields: dict[str, Any], fault: str) -> None:
    read_ = trace(content, **fields)
    assert (read_.answer, read_.fault) == (None, fault)
    assert read_.read_as in ("tags", "reasoning_field")


@pytest.mark.parametrize(
    "content",
    [
        '{"answer": "awe"}',
        '{"reasoning": "I see.", "answer": "awe", "confidence": 0.9}',
        '{"reasoning": "I see.", "answer": ["awe"]}',
        '{"reasoning": "I see.", "answer": "awe", "answer": "fear"}',
        '{"reasoning": "I see.", "colour": "awe"}',
        '{"reasoning": "", "answer": "awe"}',
        '{"reasoning": "I see.", "answer": "your answer"}',
        '{"reasoning": "I see.", "answer": "awe"',
        'Here it is: {"reasoning": "I see.", "answer": "awe"}',
        '[{"reasoning": "I see.", "answer": "awe"}]',
        "[" * 100_000,
        "{" * 100_000,
    ],
)
def test_json_of_any_other_form_is_no_answer(content: str) -> None:
    assert (trace(content).answer, trace(content).fault) == (None, "no_answer")


def test_json_whose_answer_stands_first_is_a_ballot_and_not_well_formed() -> None:
    read_ = trace('{"answer": "awe", "reasoning": "It is not fear."}')
    assert (read_.answer, read_.read_as, read_.well_formed) == ("awe", "json", False)
    assert answer_span(Reply("k", '{"answer": "awe", "reasoning": "It is awe."}', finish_reason="stop")) is None
    span = answer_span(Reply("k", '{"reasoning": "It is awe.", "answer": "awe"}', finish_reason="stop"))
    assert span is not None
    assert (span.start, span.end) == (39, 42)
    read_ = trace('{"reasoning": "I see. <answer>fear</answer>", "answer": "awe"}')
    assert (read_.answer, read_.well_formed) == ("awe", False)
    assert trace('{"reasoning": "I see.", "answer": "joy"}').fault == "not_an_option"


def test_a_reply_cut_off_after_its_closed_answer_still_votes_but_its_text_is_not_usable() -> None:
    read_ = trace("<think>a</think><answer>awe</answer> And", finish_reason="length")
    assert (read_.answer, read_.fault, read_.well_formed, read_.finish_reason) == ("awe", "truncated", False, "length")


def test_a_refusal_of_five_words_is_no_free_answer_but_a_short_content_after_a_reasoning_is() -> None:
    task = free("exact")
    assert trace("I cannot help with that", task).fault == "no_answer"
    assert trace("Paris", task, reasoning="The tower.").answer == "paris"
    assert trace("42", free("number")).answer == "42"


def test_a_bare_answer_has_at_most_five_words() -> None:
    options = ("one two three four five", "one two three four five six")
    assert [trace(option, options=options).answer for option in options] == [options[0], None]
    assert trace(f"<answer>{options[1]}</answer>", options=options).answer == options[1]


def test_an_exclamation_mark_ends_a_word_and_belongs_to_a_number() -> None:
    assert [free("exact").comparable(text) for text in ("Paris!", "5!", "5.")] == ["paris", "5!", "5"]


def test_tokens_of_the_reasoning_are_as_reported_or_by_share_or_by_length() -> None:
    content = "<think>" + "x" * 66 + "</think><answer>awe</answer>"
    assert len(content) == 101
    assert trace(content, reasoning_tokens=7, output_tokens=50).reasoning_tokens == 7
    assert trace(content, output_tokens=101).reasoning_tokens == 66
    assert trace(content, output_tokens=101, reasoning_tokens=0).reasoning_tokens == 66
    assert trace(content).reasoning_tokens == 16
    assert trace("<answer>awe</answer>", output_tokens=9).reasoning_tokens == 0


def test_what_a_terminal_would_obey_is_cut_out_of_the_reasoning() -> None:
    assert trace("<think>\x1b[31mred\u202e\n\ttwo\u200b</think><answer>awe</answer>").reasoning == "[31mred\n\ttwo"
    assert trace("<think>half \ud83d</think><answer>x\udc00</answer>", free("exact")).answer == "x"
    assert trace("<think>half \ud83d</think>").reasoning == "half"
    persian = "\u0645\u06cc\u200c\u062e\u0648"
    assert clean_text(persian) == persian


@pytest.mark.parametrize(
    "content", ["<" * 200_000, r"\boxed{" * 30_000, "<answer>" * 30_000, "<think></think>" * 20_000, "**" * 100_000, "awe" + "." * 200_000]
)
def test_a_hostile_reply_is_read_in_linear_time(content: str) -> None:
    assert trace(content).answer is None


_PIECES = st.lists(st.sampled_from(["<think>", "</think>", "<answer>", "</answer>", "awe", "fear", " ", "x", "\\boxed{", "}"])).map("".join)


@given(_PIECES, st.text(max_size=5))
def test_any_reply_gives_an_option_or_a_fault(content: str, reasoning: str) -> None:
    read_ = trace(content, reasoning=reasoning)
    assert (read_.answer is None) != (read_.fault is None)
    assert read_.answer in (None, "awe", "fear")


_BODY = st.text(alphabet=st.characters(exclude_characters="<>", exclude_categories=["Cs"]), min_size=1).filter(
    lambda text: bool(clean_text(text))
)


@given(_BODY, st.sampled_from(EMOTIONS.options()))
def test_what_was_composed_reads_back_as_it_was(reasoning: str, answer: str) -> None:
    text = f"<think>{reasoning}</think>\n<answer>{answer}</answer>"
    read_ = trace(text)
    assert (read_.reasoning, read_.answer, read_.well_formed, read_.read_as) == (clean_text(reasoning), answer, True, "tags")
    assert reads_well(text)


@pytest.mark.parametrize(
    "text",
    [
        "<think>a</think>",
        "<answer>b</answer>",
        "<think></think><answer>b</answer>",
        "<think>a</think><answer> </answer>",
        "x<think>a</think><answer>b</answer>",
        "<think>a</think>x<answer>b</answer>",
        "<think>a</think><answer>b</answer>x",
        "<think>a<think></think><answer>b</answer>",
        "a</think><answer>b</answer>",
    ],
)
def test_only_the_whole_form_reads_well(text: str) -> None:
    assert not reads_well(text)
    assert not reads_well(text.upper())


@given(st.text())
def test_the_normal_form_of_a_normal_form_is_itself(text: str) -> None:
    once = normal_form(text)
    assert normal_form(once) == once


@pytest.mark.parametrize(
    ("verifier", "options", "text", "meant"),
    [
        ("exact", ("Circle", "Square"), "circle", "Circle"),
        ("exact", ("Circle", "Square"), "blob", None),
        ("math", ("0.50", "1"), "1/2", "0.50"),
        ("number", ("3,000", "1"), "3000", "3,000"),
        ("number", ("dog", "cat"), "DOG", "dog"),
        ("number", ("dog", "cat"), "3", None),
        ("math", ("3", "6/2"), "\\frac{6}{2}", None),
    ],
)
def test_a_free_answer_beside_options_is_one_of_them_or_none(verifier: str, options: tuple[str, ...], text: str, meant: str | None) -> None:
    assert Task.model_validate({"kind": "answer", "verifier": verifier}).comparable(text, options) == meant
