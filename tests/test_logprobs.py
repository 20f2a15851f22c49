"""The probability of an answer: its tokens are found in whatever form they come, and whatever is wrong with them is no evidence."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.answers import Task, answer_span, read_text
from cotforge.records import Reply
from cotforge.replies import logprobs
from cotforge.replies.attempt import Attempt, answered_attempt

KEY = "ab" * 32
TEXT = "<think>It is wide: awe.</think>\n<answer>awe</answer>"
PIECES = ("<think>", "It is wide: awe.", "</think>", "\n", "<answer>", "aw", "e", "</", "answer>")
TASK = Task(kind="classify", labels=("awe", "fear"))


def entry(token: str, logprob: Any = -0.01, **more: Any) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode()), "top_logprobs": [], **more}


def told(*pieces: str, **of: float) -> dict[str, Any]:
    """Log probabilities of pieces of a text: those that are named, else near 0."""
    return {"content": [entry(piece, of.get(piece, -0.01)) for piece in pieces]}


def body(found: Any = None, *, content: Any = TEXT, **message: Any) -> str:
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": "stop", "logprobs": found}
    return json.dumps({"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 9}})


def of(text: str, *, kept: bool = False) -> Attempt:
    return answered_attempt(
        KEY, text, number=1, max_tokens=64, usd=lambda read, written: 0.0, estimate=lambda: 5, span=answer_span, keeps_logprobs=kept
    )


def test_an_answer_of_several_tokens_has_the_probability_of_all_of_them() -> None:
    found = of(body(told(*PIECES, aw=-1.0, e=-0.5)))
    assert found.probability == pytest.approx(math.exp(-1.5))
    assert found.reply.probability == found.probability


def test_a_token_that_holds_a_part_of_the_answer_and_a_mark_counts() -> None:
    pieces = ("<think>", "It is wide: awe.", "</think>\n<answer", ">a", "we<", "/answer>")
    assert of(body(told(*pieces, **{">a": -2.0, "we<": -0.25}))).probability == pytest.approx(math.exp(-2.25))


def test_the_last_answer_counts_and_not_the_same_word_in_a_thought() -> None:
    pieces = ("<think>It is wide: ", "awe", ".</think>\n<answer>", "awe", "</answer>")
    found = told(*pieces)
    found["content"][1]["logprob"], found["content"][3]["logprob"] = -5.0, -0.125
    assert of(body(found)).probability == pytest.approx(math.exp(-0.125))


def test_tokens_of_a_thought_that_the_server_took_out_of_the_text_are_passed_over() -> None:
    """vLLM with a reasoning parser gives the tokens of all, and the text behind the thought."""
    text = body(told(*PIECES, "<|im_end|>", aw=-1.0, e=-0.5), content="<answer>awe</answer>", reasoning_content="It is wide: awe.")
    assert of(text).probability == pytest.approx(math.exp(-1.5))


def test_an_answer_whose_characters_are_cut_by_tokens_is_found_by_its_bytes() -> None:
    raw = "<answer>敬畏</answer>".encode()
    parts = [raw[:8], raw[8:10], raw[10:14], raw[14:]]
    content = [{"token": "\ufffd", "logprob": -float(place), "bytes": list(part)} for place, part in enumerate(parts)]
    assert of(body({"content": content}, content=raw.decode())).probability == pytest.approx(math.exp(-3))


def test_the_form_of_the_older_completions_is_read_too() -> None:
    found = {"tokens": ["<answer>", "awe", "</answer>"], "token_logprobs": [-0.1, -0.75, -0.1], "token_ids": [1, 2, 3]}
    assert of(body(found, content="<answer>awe</answer>")).probability == pytest.approx(math.exp(-0.75))


def test_a_bare_answer_and_a_boxed_one_have_their_probability() -> None:
    assert of(body(told("awe", awe=-0.5), content="awe")).probability == pytest.approx(math.exp(-0.5))
    pieces = ("So it is \\boxed", "{", "awe", "}")
    assert of(body(told(*pieces, awe=-0.5), content="".join(pieces))).probability == pytest.approx(math.exp(-0.5))


def chunks(*, done: bool = True) -> str:
    """A stream of one token each."""
    events = [
        {
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": {"content": piece}, "logprobs": told(piece, aw=-1.0, e=-0.5)}],
        }
        for piece in PIECES
    ]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "logprobs": None}]})
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n" * done


@pytest.mark.parametrize("done", [True, False])
def test_a_stream_is_read_and_kept_without_them(done: bool) -> None:
    found = of(chunks(done=done))
    assert found.probability == pytest.approx(math.exp(-1.5))
    assert found.reply.content == TEXT
    assert '"logprob"' not in found.body
    assert Attempt(1, found.key, 200, found.outcome, body=found.body).reply.content == TEXT


def test_what_is_kept_is_the_body_without_them() -> None:
    found = of(body(told(*PIECES)))
    assert json.loads(found.body) == json.loads(body(None))
    assert found.body == body(None)


def test_a_user_who_asked_for_them_keeps_them_all() -> None:
    text = body(told(*PIECES, aw=-1.0))
    found = of(text, kept=True)
    assert found.body == text
    assert found.probability == pytest.approx(math.exp(-1.01))


MALFORMED = [
    None, "many", 7, True, [], {}, [1, None, "x"], {"content": None}, {"content": []}, {"content": "awe"}, {"content": {"token": "awe"}},
    {"content": [None, 3, [], "x"]}, {"content": [{}]}, told("something", " else"), {"tokens": ["awe"], "token_logprobs": None},
    {"tokens": PIECES, "token_logprobs": [None] * len(PIECES)}, {"tokens": None, "token_logprobs": [-1.0]},
    *({"content": [entry(piece, wrong) for piece in PIECES]} for wrong in (None, "x", True, 3.5, math.nan, -math.inf, 10**400, [], {})),
    {"content": [{"logprob": -1.0} for _ in PIECES]}, {"content": [{"token": 5, "logprob": -1.0, "bytes": "awe"} for _ in PIECES]},
    {"content": [entry(piece, bytes=[300, -1]) | {"token": None} for piece in PIECES]},
]  # fmt: skip


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("found", MALFORMED, ids=lambda found: json.dumps(found)[:40])
def test_what_is_malformed_or_not_there_is_no_evidence_and_no_fault(found: Any, kept: bool) -> None:
    ended = of(body(found), kept=kept)
    assert ended.probability is None
    assert ended.error is None
    assert (ended.reply.content, ended.input_tokens, ended.output_tokens) == (TEXT, 3, 9)


@pytest.mark.parametrize("wrong", ["[" * 50_000 + "]" * 50_000, '{"content": [{"token": "a", "logprob": -1,}]}', "{'token': 1}", "[-inf]"])
def test_what_is_no_json_costs_the_evidence_and_not_the_reply(wrong: str) -> None:
    ended = of(body(None).replace('"logprobs": null', f'"logprobs": {wrong}'))
    assert (ended.error, ended.probability, ended.reply.content) == (None, None, TEXT)


def test_a_rounded_log_probability_above_0_is_a_certain_token() -> None:
    assert of(body(told("awe", awe=1e-7), content="awe")).probability == 1.0


def test_a_text_that_names_the_field_is_left_as_it_is() -> None:
    said = 'The field "logprobs": [1] is none. <answer>awe</answer>'
    found = of(body(None, content=said))
    assert found.body == body(None, content=said)
    assert found.reply.content == said


def test_an_error_has_no_probability() -> None:
    ended = of(json.dumps({"error": {"message": "overloaded", "code": 503}, "logprobs": told("awe")}))
    assert ended.error is not None
    assert ended.probability is None


PARTS = st.lists(st.integers(1, len(TEXT) - 1), max_size=20).map(lambda cuts: sorted({0, *cuts, len(TEXT)}))
NUMBERS = st.lists(st.floats(-20, 0), min_size=30, max_size=30)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5) | st.sampled_from(["token", "content", "logprobs"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["content", "tokens", "token", "logprob", "logprobs"]), inner)
    ),
    max_leaves=20,
)


@given(cuts=PARTS, numbers=NUMBERS)
def test_however_a_text_is_cut_into_tokens_the_probability_is_that_of_those_with_a_part_of_the_answer(
    cuts: list[int], numbers: list[float]
) -> None:
    pieces = [(start, end, number) for start, end, number in zip(cuts, cuts[1:], numbers, strict=False)]
    start = TEXT.rindex("awe")
    about = [number for begins, ends, number in pieces if begins < start + 3 and ends > start]
    content = [entry(TEXT[begins:ends], number) for begins, ends, number in pieces]
    assert of(body({"content": content})).probability == pytest.approx(math.exp(math.fsum(about)))


@given(found=ANYTHING)
def test_whatever_stands_in_the_field_the_reply_is_the_same(found: Any) -> None:
    ended = of(body(found))
    assert (ended.error, ended.reply.content) == (None, TEXT)
    assert ended.probability is None or 0 <= ended.probability <= 1


@given(text=st.text(max_size=200) | st.text(alphabet='{}[]":, logprobs\\x', max_size=80).map(lambda text: '{"logprobs": [' + text))
def test_cutting_never_raises_and_leaves_a_text_without_the_field_alone(text: str) -> None:
    lean, values = logprobs.cut_logprobs(text)
    assert ('"logprobs"' in text) or (lean, values) == (text, [])
    logprobs.logprob_tokens(values)


@given(text=st.text(alphabet="<>/answer \\boxed{}aw\n", max_size=120), reasoning=st.sampled_from(["", "Wide.", TEXT]))
def test_a_span_holds_what_stands_there(text: str, reasoning: str) -> None:
    reply = Reply(KEY, content=text, reasoning=reasoning)
    if (span := answer_span(reply)) is not None:
        assert 0 <= span.start < span.end <= len(span.text)
        assert span.text in (text, reasoning)
    assert read_text(Reply(KEY, content=TEXT), ("awe", "fear"), TASK).answer == "awe"
