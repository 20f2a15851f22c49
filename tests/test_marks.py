"""The table of marks: each family of models is read as its own model card writes, and no token of a chat template is learned."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.answers import Task, clean_reasoning, clean_trace, read_reply, reads_well
from cotforge.answers.controls import CONTROLS, Control
from cotforge.answers.marks import THOUGHTS, Thought
from cotforge.answers.thoughts import find_marks
from cotforge.records import Call, Reply, Sample, Trace

EMOTIONS = Task(kind="classify", labels=("amusement", "awe", "fear", "sadness"))
PAIRS = [
    ("<think>", "</think>"),
    ("<THINK>", "</Think >"),
    ("<think:opensource>", "</think:opensource>"),
    ("◁think▷", "◁/think▷"),
    ("◁THINK▷", "◁/Think▷"),
    ("[THINK]", "[/THINK]"),
    ("[think]", "[/think]"),
    ("<seed:think>", "</seed:think>"),
    ("<mm:think>", "</mm:think>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
    ("<|channel>thought\n", "<channel|>"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
    ("<unused94>thought\n", "<unused95>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<ifm|think>", "</ifm|think>"),
    ("Here is my thought process:", "Here is my response:"),
    ("Here's my thought process:", "Here's my response:"),
    ("Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"),
]
TEMPLATE_OPENS = [pair for pair in PAIRS if "thought process" not in pair[0]]


def trace(content: str, task: Task = EMOTIONS, **fields: Any) -> Trace:
    call = Call("k", Sample("1", (), "Which?", task.options()), "t", "m", 0, ())
    return read_reply(Reply(**{"key": "k", "content": content, "finish_reason": "stop", **fields}), call, task)


@pytest.mark.parametrize("family", THOUGHTS, ids=lambda family: family.name)
def test_each_family_is_read_as_its_own_models_write(family: Thought) -> None:
    found = trace(family.example)
    assert (found.answer, found.fault, found.well_formed) == ("awe", None, True)
    assert re.sub(r"\s+", " ", found.reasoning).startswith("I see.")
    assert set(found.read_as.split("+")) >= ({family.name} if family.name != "think" else {"tags"})
    assert family.source


@pytest.mark.parametrize("family", [family for family in THOUGHTS if not family.spoken], ids=lambda family: family.name)
def test_the_marks_of_each_family_are_taken_out_of_a_reasoning_and_the_text_stays(family: Thought) -> None:
    if family.name == "details":
        return
    cleaned, kinds = clean_reasoning(family.example)
    assert "think_tags" in kinds
    assert clean_reasoning(cleaned) == (cleaned, frozenset())
    assert re.sub(r"\s+", " ", cleaned).startswith("I see.")


@pytest.mark.parametrize(("token", "family"), [(token, family) for family in CONTROLS for token in family.examples])
def test_each_control_token_is_taken_out_and_counted(token: str, family: Control) -> None:
    kind = "image_tokens" if family.images else "control_tokens"
    assert clean_reasoning(f"The sky{token} is wide.") == ("The sky is wide.", frozenset({kind}))
    if token[-1] in ">]":
        assert clean_reasoning(f"whi{token}ch") == ("which", frozenset({kind}))
    if "user" not in token and token != "[INST]":  # there the reply ends
        assert trace(f"<think>I see.</think><answer>awe{token}</answer>").answer == "awe"
    assert family.source


@pytest.mark.parametrize(("opens", "closes"), PAIRS)
def test_an_answer_within_a_thought_is_never_a_ballot(opens: str, closes: str) -> None:
    inside = f"{opens}It may be <answer>fear</answer>, but"
    assert trace(f"{inside} no.{closes}<answer>awe</answer>").answer == "awe"
    assert trace(f"{inside} no.{closes}awe").answer == "awe"
    for content in (inside, f"{inside} no.{closes}", f"{opens}\\boxed{{fear}}", f"{opens}fear", f"{opens}<answer>fear</answer>"):
        assert trace(content).answer is None
        assert trace(content, finish_reason="length").answer is None
    if not opens.startswith("Here"):  # plain words open a thought only at the beginning
        assert trace(f"{opens}a{closes}<answer>awe</answer>{opens}or <answer>fear</answer>").answer == "awe"


@pytest.mark.parametrize(("opens", "closes"), TEMPLATE_OPENS)
def test_an_opening_mark_that_stood_in_the_prompt_is_supplied(opens: str, closes: str) -> None:
    if closes.startswith("<|end|>"):
        return
    found = trace(f"I see, <answer>fear</answer> no.{closes}\n<answer>awe</answer>")
    assert (found.answer, found.reasoning) == ("awe", "I see, <answer>fear</answer> no.")
    assert found.read_as.startswith("open_think")
    assert trace(f"I see.{closes}").answer is None


@pytest.mark.parametrize(("opens", "closes"), PAIRS)
def test_a_closing_mark_of_another_family_is_a_word_of_a_thought(opens: str, closes: str) -> None:
    family = next(find_marks(opens + closes)).family
    for pair in PAIRS:
        if next(find_marks("".join(pair))).family is not family:
            assert trace(f"{opens}It writes {pair[1]} here. <answer>fear</answer>").answer is None, pair


@pytest.mark.parametrize(
    ("opens", "closes"),
    [
        ('<think type="long">', "</think>"),
        ("<think\n", "</think>"),
        ("<think>", r"<\/think>"),
        ("&lt;think&gt;", "&lt;/think&gt;"),
        (r"\<think\>", r"\</think\>"),
        ("\uff1cthink\uff1e", "\uff1c\uff0fthink\uff1e"),
        ("<th\u200bink>", "</\u200bthink>"),
        ("< think >", "< / think >"),
        ("<思考>", "</思考>"),
        ("analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
        ("analysisthe ", "assistantfinal"),
        ("### Here's my thought process:", "### Here's my response:"),
        ("<think>", "</thinking>"),
        ("◁think▷", "</think>"),
    ],
)
def test_a_mark_written_in_another_form_is_read_as_a_plain_one(opens: str, closes: str) -> None:
    found = trace(f"{opens}I see. <answer>fear</answer> No.{closes}<answer>awe</answer>")
    assert found.answer == "awe"
    assert found.reasoning.endswith("No.")
    for left in ("", " No.", " <answer>joy</answer> or"):
        assert trace(f"{opens}I see. <answer>fear</answer>{left}").answer is None


@pytest.mark.parametrize(
    "written",
    [
        '<answer id="1">awe</answer>',
        "&lt;answer&gt;awe&lt;/answer&gt;",
        r"\<answer\>awe\</answer\>",
        r"<answer>awe<\/answer>",
        "\uff1canswer\uff1eawe\uff1c/answer\uff1e",
        "< answer >awe< / answer >",
        "<an\u200bswer>awe</answer>",
        "<答案>awe</答案>",
    ],
)
def test_an_answer_in_tags_of_another_form_is_read_after_a_thought(written: str) -> None:
    assert trace(f"<think>I see.</think>{written}").answer == "awe"


def test_beside_plain_marks_those_of_another_form_are_words_of_the_thought() -> None:
    thought = "I write &lt;/think&gt; and then <answer>fear</answer>, or not"
    assert trace(f"<think>{thought}").answer is None
    assert trace(f"<think>{thought}.</think><answer>awe</answer>").answer == "awe"


@pytest.mark.parametrize("quote", ["`", '"', "'"])
def test_a_closing_mark_in_quotes_closes_no_thought(quote: str) -> None:
    thought = f"<think>I close with {quote}</think>{quote}, then {quote}<answer>fear</answer>{quote}. Awe it is."
    assert trace(thought).answer is None
    found = trace(f"{thought}</think><answer>awe</answer>")
    assert (found.answer, found.read_as) == ("awe", "tags")


def test_a_closing_mark_behind_the_answer_closes_nothing() -> None:
    found = trace("<think>I see.</think>\n<answer>awe</answer>\n</think>")
    assert (found.answer, found.reasoning, found.well_formed) == ("awe", "I see.", False)
    assert trace("<think>I see.</think><answer>fear</answer></think><answer>awe</answer>").answer == "awe"


def test_thoughts_may_be_nested_and_an_opening_mark_repeated() -> None:
    nested = "<think>The form is <think> and </think>, then <answer>fear</answer>."
    assert trace(f"{nested}</think><answer>awe</answer>").answer == "awe"
    assert trace(nested).answer is None
    assert trace(f"{nested} <answer>fear</answer> or").answer is None
    assert trace("<think>\n<think>I see.</think><answer>awe</answer>").answer == "awe"
    assert trace("<think>My <think> tags hold this.</think><answer>awe</answer>").answer == "awe"
    assert trace("<think>My <think> tags</think><answer>fear</answer> are open").answer is None
    assert trace("<think>My <think> tags</think><answer>fear</answer>", finish_reason="length").answer is None


def test_several_thoughts_with_different_marks_are_one_reasoning() -> None:
    found = trace("<analysis>A hard one.</analysis>\n<think>I see.</think>\n<answer>awe</answer>")
    assert (found.reasoning, found.well_formed, found.read_as) == ("A hard one.\n\nI see.", True, "analysis")


def test_a_turn_of_the_user_that_a_model_made_up_is_no_part_of_its_reply() -> None:
    told = "<think>I see.</think><answer>awe</answer>"
    for turn in ("<|im_end|>\n<|im_start|>user\n", "<|user|>", "<end_of_turn>\n<start_of_turn>user\n", "</s>[INST]", "<｜User｜>"):  # noqa: RUF001
        found = trace(f"{told}{turn}Again?<think>No.</think><answer>fear</answer>")
        assert (found.answer, found.well_formed) == ("awe", True)


def test_the_end_of_turn_of_phi_is_no_mark_of_a_thought() -> None:
    assert trace("<think>I see.</think><answer>awe</answer><|end|>").well_formed
    assert trace("<answer>awe</answer><|end|>").answer == "awe"


def test_words_that_name_a_mark_close_no_thought_and_generic_markup_stays() -> None:
    text = 'He says "Here is my response:" with <b>bold</b>, a <p class="x">, x < y, a[INSTANCE] and [1, 2] <br/>.'
    assert clean_reasoning(text) == (text, frozenset())
    assert trace("I see <answer>awe</answer>; Here is my thought process: none").answer == "awe"


def test_an_image_token_used_as_a_word_becomes_the_word() -> None:
    assert clean_reasoning("In the <image> a cat sits.") == ("In the image a cat sits.", frozenset({"image_tokens"}))
    assert clean_reasoning("<image>\nA cat sits.") == ("A cat sits.", frozenset({"image_tokens"}))


def test_the_special_tokens_of_a_known_student_are_taken_out_too() -> None:
    assert clean_reasoning("a ~END~ b") == ("a ~END~ b", frozenset())
    assert clean_reasoning("a ~END~b", ("~END~",)) == ("a b", frozenset({"control_tokens"}))
    assert clean_reasoning("a ~E~END~ND~b", ("~END~", " ")) == ("a b", frozenset({"control_tokens"}))


TOKENS = [token for family in CONTROLS for token in family.examples] + [mark for pair in PAIRS for mark in pair] + ["<answer>", "</answer>"]
PIECES = st.one_of(
    st.sampled_from(TOKENS),
    st.sampled_from(TOKENS).flatmap(lambda token: st.integers(0, len(token)).map(lambda cut: token[:cut])),
    st.sampled_from(TOKENS).flatmap(lambda token: st.integers(0, len(token)).map(lambda cut: token[cut:])),
    st.sampled_from([" ", "\n", "sky", ".", "<", ">", "|", "[", "]", "im_", "the ", "<image>"]),
)
TEXTS = st.lists(PIECES, max_size=14).map("".join)


@given(TEXTS)
def test_cleaning_twice_is_cleaning_once_and_no_token_is_made(text: str) -> None:
    cleaned, kinds = clean_reasoning(text)
    assert clean_reasoning(cleaned) == (cleaned, frozenset())
    assert bool(kinds) == (cleaned != text)
    assert not any(token in cleaned for token in TOKENS if token[0] in "<[◁")


@given(st.lists(st.sampled_from([*TOKENS, "sky", "sky.", " ", "\n"]), max_size=14))
def test_the_text_between_tokens_stays(parts: list[str]) -> None:
    assert clean_reasoning("".join(parts))[0].count("sky") == sum(part.startswith("sky") for part in parts)


@given(TEXTS, TEXTS, st.sampled_from(PAIRS))
def test_what_a_lesson_says_reads_well_whatever_a_teacher_said(thought: str, rest: str, pair: tuple[str, str]) -> None:
    found = trace(f"{pair[0]}{thought}{pair[1]}{rest}<answer>awe</answer>")
    learned = clean_trace(found, options=EMOTIONS.options())
    if found.answer and learned.reasoning:
        assert reads_well(f"<think>{learned.reasoning}</think>\n<answer>{learned.answer}</answer>")


FRAGMENTS = st.sampled_from(
    ["<answer>fear</answer>", "\\boxed{fear}", "fear", "\n", "The sky is wide.", "<|begin_of_box|>fear<|end_of_box|>"]
)
INSIDE = st.lists(FRAGMENTS, max_size=6).map(" ".join)


@given(INSIDE, st.sampled_from(PAIRS), st.sampled_from(["open", "cut", "closed", "nested", "prompt"]), st.booleans())
def test_an_answer_placed_anywhere_within_a_thought_is_no_ballot(inside: str, pair: tuple[str, str], how: str, told: bool) -> None:
    opens, closes = pair
    answer = "<answer>awe</answer>" if told else ""
    said = {
        "open": f"{opens}{inside} so",
        "cut": f"{opens}{inside} so",
        "closed": f"{opens}{inside}{closes}{answer}",
        "nested": f"<think>{opens}a{closes} {inside}</think>{answer}",
        "prompt": f"{opens}{inside}{closes}{answer}",
    }[how]
    found = trace(said, finish_reason="length" if how == "cut" else "stop")
    assert found.answer == ("awe" if told and how not in ("open", "cut") else None)


@given(TEXTS, st.sampled_from(["stop", "length", "", "content_filter"]), st.booleans())
def test_any_text_of_marks_is_read_without_an_error(text: str, finish: str, in_field: bool) -> None:
    for task in (EMOTIONS, Task(kind="answer", verifier="exact"), Task(kind="answer", verifier="number")):
        found = trace("" if in_field else text, task, reasoning=text if in_field else "", finish_reason=finish)
        assert (found.answer is None) == (found.fault is not None) or found.fault == "truncated"
