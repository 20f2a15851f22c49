"""How a reply is read: fields, boxes, placeholders of the prompt, and control tokens beside an answer."""

from typing import Any

import pytest

from benchmarks.replies.counts import FAULTS, counted
from cotforge.answers import Task, placeholders_of_call, read_reply, read_text, reads_well
from cotforge.answers.boxes import strip_box
from cotforge.records import Call, Reply, Sample, Trace

EMOTIONS = Task(kind="classify", labels=("amusement", "awe", "fear", "sadness"))
EXACT = Task(kind="answer", verifier="exact")
PROMPT = (
    "Reason inside <think> and </think>, answer inside <answer> and </answer>:\n<think>your reasoning</think>\n<answer>your answer</answer>"
)


def trace(content: str, task: Task = EMOTIONS, *, prompt: str = "", **fields: Any) -> Trace:
    messages = ({"role": "user", "content": [{"type": "image", "digest": "d"}, {"type": "text", "text": prompt}]},)
    call = Call("k", Sample("1", (), "Which?", task.options()), "t", "m", 0, messages)
    return read_reply(Reply(**{"key": "k", "content": content, "finish_reason": "stop", **fields}), call, task)


@pytest.mark.parametrize(
    ("prompt", "content"),
    [
        (PROMPT, "<think>your reasoning</think>\n<answer>your answer</answer>"),
        (PROMPT, "<think>I see.</think><answer>Your Answer.</answer>"),
        (PROMPT, "<think>I see.</think>your answer"),
        (PROMPT, r"<think>I see.</think>\boxed{your answer}"),
        (PROMPT, "<think>I see.</think><answer>and</answer>"),
        ("Write <answer>...</answer>", "<think>I see.</think><answer>...</answer>"),
        ("Write <answer>[the label]</answer>", "<think>I see.</think><answer>the label</answer>"),
        ("Write <answer>label</answer>", "<think>I see.</think><answer>[label]</answer>"),
        (r"End with \boxed{final answer}", r"<think>I see.</think>\boxed{final answer}"),
        ("Write <|begin_of_box|>name<|end_of_box|>", "<think>I see.</think><answer>name</answer>"),
    ],
)
def test_what_the_prompt_shows_in_place_of_an_answer_is_none(prompt: str, content: str) -> None:
    found = trace(content, EXACT, prompt=prompt)
    assert (found.answer, found.fault) == (None, "placeholder")
    assert trace(content, EXACT).answer is not None


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ("your answer", "Your_Answer"),
        ("your answer", "{{your answer}}"),
        ("your answer", "your final answer"),
        ("your answer", "<your answer here>"),
        ("your answer", "你的答案"),
        ("your answer", "Deine Antwort."),
        ("...", "....."),
        ("{answer}", "the answer"),
        ("LABEL", "<label>"),
    ],
)
def test_a_placeholder_is_none_in_any_spelling_and_neither_is_another_of_its_kind(shown: str, said: str) -> None:
    found = trace(f"<think>I see.</think><answer>{said}</answer>", EXACT, prompt=f"Write <answer>{shown}</answer>")
    assert (found.answer, found.fault) == (None, "placeholder")


def test_what_no_prompt_shows_is_an_answer() -> None:
    assert trace("<think>I see.</think><answer>label</answer>", EXACT, prompt=PROMPT).answer == "label"
    assert trace("<think>I see.</think><answer>your answer</answer>", EXACT, prompt="Write <answer>X</answer>").answer == "your answer"


def test_an_option_is_an_answer_although_the_prompt_shows_it() -> None:
    assert trace("<think>I see.</think><answer>awe</answer>", prompt="Write <answer>awe</answer>").answer == "awe"
    letters = Task(kind="answer", verifier="choice")
    assert trace("<think>I see.</think><answer>B</answer>", letters, prompt="like <answer>B</answer>").answer == "B"


@pytest.mark.parametrize("prompt", ["a", "<answer></answer>", "<answer>", r"\boxed{}", "</answer><answer>"])
def test_a_prompt_without_a_placeholder_refuses_nothing(prompt: str) -> None:
    assert placeholders_of_call([{"content": prompt}]) == frozenset()


def test_the_messages_of_a_prompt_may_have_any_form() -> None:
    shown = "<answer>x</answer>"
    for messages in (
        [{"content": shown}],
        [{"content": [shown]}],
        [{"content": [{"text": shown}, {"image": 1}]}],
        [{}, {"content": shown}],
    ):
        assert placeholders_of_call(messages) == frozenset({"x"})


def test_a_text_is_read_without_a_call() -> None:
    found = read_text(Reply("", "<think>I see.</think><answer>your answer</answer>"), (), EXACT, frozenset({"your answer"}))
    assert (found.reasoning, found.answer, found.fault, found.read_as) == ("I see.", None, "placeholder", "tags")


@pytest.mark.parametrize(
    ("field", "read_as"),
    [
        ("<think>I see.</think><answer>awe</answer>", "whole_field"),
        ("I see.</think>\n<answer>awe</answer>", "whole_field+open_think"),
        ("◁think▷I see.◁/think▷<answer>awe</answer>", "whole_field+kimi"),
        (r"<think>I see.</think>\boxed{awe}", "whole_field+boxed"),
    ],
)
def test_a_whole_reply_in_the_field_of_the_reasoning_is_read(field: str, read_as: str) -> None:
    found = trace("", reasoning=field)
    assert (found.answer, found.reasoning, found.read_as, found.well_formed) == ("awe", "I see.", read_as, True)
    assert trace("\n", reasoning=field).answer == "awe"
    assert trace("", reasoning=field, finish_reason="length").answer is None


@pytest.mark.parametrize(
    "field",
    [
        "I see. <answer>fear</answer>",
        "<think>I see. <answer>fear</answer>",
        "The form is <think> and </think>, then <answer>fear</answer>. Now",
        "<think>I see.</think>",
        "<think>I see.</think><answer>fear</answer> or <answer>awe</answer>",
        "<think>a</think>b<think>c</think><answer>fear</answer>",
        "fear",
    ],
)
def test_an_answer_in_a_field_that_is_all_thought_is_none(field: str) -> None:
    assert (trace("", reasoning=field).answer, trace("", reasoning=field).fault) == (None, "no_answer")


@pytest.mark.parametrize("content", ["\u200b", "<|im_end|>", " \ufeff\n</s>"])
def test_a_content_that_says_nothing_is_none_beside_a_whole_reply_in_the_field(content: str) -> None:
    assert trace(content, reasoning="<think>I see.</think><answer>awe</answer>").answer == "awe"


def test_a_whole_reply_in_the_field_is_the_reasoning_alone_and_the_ballot_is_that_of_the_content() -> None:
    found = trace("<answer>awe</answer>", reasoning="<think>I see.</think><answer>fear</answer>")
    assert (found.answer, found.reasoning, found.well_formed) == ("awe", "I see.", False)


def test_a_content_that_repeats_the_reasoning_of_the_field_is_well_formed() -> None:
    found = trace("<think>I see.</think><answer>awe</answer>", reasoning="I see.")
    assert (found.answer, found.reasoning, found.well_formed) == ("awe", "I see.", True)
    assert not trace("<think>I look.</think><answer>awe</answer>", reasoning="I see.").well_formed


def test_marks_around_the_whole_field_are_no_part_of_the_reasoning() -> None:
    found = trace("<answer>awe</answer>", reasoning="<think>\nI see.\n</think>")
    assert (found.reasoning, found.well_formed, found.read_as) == ("I see.", True, "reasoning_field")


@pytest.mark.parametrize(
    ("rest", "answer"),
    [
        ("<|begin_of_box|>awe<|end_of_box|>", "awe"),
        ("<answer><|begin_of_box|>awe<|end_of_box|></answer>", "awe"),
        ("<answer>The image evokes <|begin_of_box|>awe<|end_of_box|>.</answer>", "awe"),
        (r"<answer>The answer is \boxed{awe}.</answer>", "awe"),
        ("<|begin_of_box|>awe<|end_of_box|> so <|begin_of_box|>Awe<|end_of_box|>", "awe"),
        ("<|begin_of_box|>awe<|end_of_box|> or <|begin_of_box|>fear<|end_of_box|>", None),
        (r"<answer>\boxed{awe} or \boxed{fear}</answer>", None),
        (r"<|begin_of_box|>awe<|end_of_box|> or \boxed{fear}", None),
        ("<|begin_of_box|>awe<|end_of_box|><answer>awe</answer>", "awe"),
        ("<|begin_of_box|>fear<|end_of_box|><answer>awe</answer>", None),
        (r"<answer>awe</answer> and \boxed{fear}", None),
    ],
)
def test_box_tokens_are_a_box_and_two_different_boxes_are_no_answer(rest: str, answer: str | None) -> None:
    found = trace(f"<think>I see.</think>{rest}")
    assert found.answer == answer
    assert found.read_as == (("tags" if rest.endswith("><answer>awe</answer>") else "boxed") if answer else "tags")


def test_a_box_in_a_formula_is_a_part_of_it() -> None:
    assert strip_box(r"The answer is \boxed{3}.") == "3"
    assert strip_box(r"2 + \boxed{3}") == r"2 + \boxed{3}"
    assert strip_box(r"x = \boxed{3}") == r"x = \boxed{3}"


@pytest.mark.parametrize(
    "content",
    [
        "<think>I see.</think><answer>awe</answer><|im_end|>",
        "<|im_start|>assistant\n<think>I see.</think><answer>awe</answer>",
        "\ufeff<think>I see.</think><answer>awe</answer>",
        "\n\n  <think>I see.</think><answer>awe<|im_end|></answer>",
        "<think>I see.</think><response><answer>awe</answer></response>",
        "<think>I see.</think><response>awe</response></s>",
        "<think>I see.</think><|begin_of_solution|>awe<|end_of_solution|>",
        "I see.<|END_THINKING|><|START_TEXT|>awe<|END_TEXT|>",
        "<|open|>think<|sep|>I see.<|close|>think<|sep|><|open|>response<|sep|>awe<|close|>response<|sep|><|close|>message<|sep|>",
        "<think>I see.</think>awe<|endoftext|>",
    ],
)
def test_tokens_around_a_reply_are_no_part_of_it(content: str) -> None:
    found = trace(content)
    assert (found.answer, found.reasoning, found.well_formed) == ("awe", "I see.", True)


def test_a_free_answer_is_compared_without_control_tokens_and_a_label_that_looks_like_one_stays() -> None:
    assert trace("<think>I see.</think><answer>Paris<|im_end|></answer>", EXACT).answer == "paris"
    tags = Task(kind="classify", labels=("<s>", "<b>"))
    assert trace("<think>I see.</think><answer><s></answer>", tags).answer == "<s>"


def test_an_answer_in_a_text_that_was_cut_off_counts_after_a_thought_or_first() -> None:
    cut = {"finish_reason": "length"}
    assert trace("<think>I see.</think>So <answer>awe</answer> and", **cut).answer == "awe"
    assert trace("<answer>awe</answer> because the sky", **cut).answer == "awe"
    assert trace("So <answer>awe</answer> and", reasoning="I see.", **cut).answer == "awe"
    assert trace("I might say <answer>fear</answer>, but wait", **cut).answer is None


@pytest.mark.parametrize("content", ["<" * 200_000, "[" * 200_000, "<think>x" * 20_000, "<think></think>" * 20_000, "<|im_end|>" * 20_000])
def test_a_hostile_text_is_read_in_linear_time(content: str) -> None:
    for text in (content, f"{content}</think>x", f"<think>a</think>{content}"):
        assert trace(text).answer is None


def test_a_lesson_with_a_token_in_its_text_does_not_read_well() -> None:
    assert not reads_well("<think>a<answer>b</answer></think><answer>b</answer>")


def test_of_two_thousand_random_and_mutated_bodies_none_is_read_wrong() -> None:
    counts = counted(2_000, seed=7)
    assert {name: counts[name] for name in FAULTS} == dict.fromkeys(FAULTS, 0)
    assert counts["answer"] > 100 < min(counts["read"], counts["lesson"])
