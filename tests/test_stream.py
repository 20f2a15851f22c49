"""A chat completion that came in pieces, though nobody asked for that, is the same completion."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.replies.chat import read_completion
from cotforge.replies.stream import Broken, complete_chunks, is_stream, join_stream, json_documents, strip_prefix

TEXT = "<think>a wide sky</think><answer>awe</answer>"


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"object": "chat.completion.chunk", "choices": [choice], **more}


PIECES = [chunk({"role": "assistant", "content": ""}), chunk({"content": TEXT[:9]}), chunk({"content": TEXT[9:]}), chunk({}, "stop")]


def stream(*chunks: Any, end: str = "\n\n", done: bool = True, field: str = "data: ") -> str:
    said = [chunk if isinstance(chunk, str) else json.dumps(chunk) for chunk in chunks]
    return "".join(f"{field}{text}{end}" for text in (*said, *(["[DONE]"] if done else [])))


def message(text: str) -> dict[str, Any]:
    found: dict[str, Any] = join_stream(text)["choices"][0]["message"]
    return found


@pytest.mark.parametrize(
    "text",
    [
        stream(*PIECES),
        stream(*PIECES, end="\r\n\r\n"),
        stream(*PIECES, end="\r\r"),
        stream(*PIECES, end="\n"),
        stream(*PIECES, field="data:"),
        stream(*PIECES, done=False),
        stream(*PIECES[:3]),
        stream("null", *PIECES, "7"),
        "data:\n\n" + stream(*PIECES),
        stream(*PIECES).replace("\n\n", "\n\n: ping\n\n"),
        "event: message\nid: 1\nretry: 10\n" + stream(*PIECES),
        "".join("".join(f"data: {line}\n" for line in json.dumps(piece, indent=1).splitlines()) + "\n" for piece in PIECES),
    ],
)
def test_the_pieces_of_a_stream_are_one_text_however_they_are_set(text: str) -> None:
    assert is_stream(text)
    assert message(text)["content"] == TEXT


def test_what_stands_before_a_body_is_passed_over() -> None:
    assert strip_prefix("\ufeff\r\n : no comment") == ": no comment"[len(": no comment") :]
    assert strip_prefix(": keep-alive\n\n: keep-alive\n\n{}") == "{}"
    assert strip_prefix("\ufeff\n{}") == "{}"
    assert strip_prefix(":") == ""


def test_every_field_of_a_delta_that_is_a_text_or_a_list_goes_on() -> None:
    told = message(
        stream(
            chunk({"reasoning": "a", "content": None, "reasoning_details": [{"type": "reasoning.text", "text": "x"}]}),
            chunk({"reasoning": "b", "role": "assistant", "reasoning_details": [{"type": "reasoning.text", "text": "y"}]}),
            chunk({"content": "A", "refusal": None, "thinking": "t"}, "stop"),
        )
    )
    assert (told["reasoning"], told["content"], told["thinking"], told["role"]) == ("ab", "A", "t", "assistant")
    assert [part["text"] for part in told["reasoning_details"]] == ["x", "y"]


def test_a_field_that_changes_its_kind_begins_anew() -> None:
    assert message(stream(chunk({"content": "a"}), chunk({"content": [{"text": "b"}]}, "stop")))["content"] == [{"text": "b"}]


def test_the_first_choice_alone_is_read_wherever_it_stands() -> None:
    other = {"index": 1, "delta": {"content": "no"}}
    first = {"index": 0, "delta": {"content": "yes"}, "finish_reason": "stop"}
    assert message(stream({"choices": [other]}, {"choices": [other, first]}))["content"] == "yes"


def test_a_whole_message_behind_its_pieces_is_not_doubled() -> None:
    whole = {"object": "chat.completion", "choices": [{"index": 0, "message": {"content": TEXT}, "finish_reason": "stop"}]}
    assert message(stream(*PIECES[:3], whole))["content"] == TEXT
    assert message(stream(whole))["content"] == TEXT


def test_pieces_of_a_message_or_a_text_are_read_as_those_of_a_delta_are() -> None:
    assert message(stream({"choices": [{"message": {"content": "a"}}]}, {"choices": [{"message": {"content": "b"}}]}))["content"] == "ab"
    assert message(stream({"choices": [{"text": "a"}]}, {"choices": [{"text": "b"}]}))["content"] == "ab"


def test_counts_and_errors_come_from_whichever_event_has_them() -> None:
    whole = join_stream(stream(*PIECES, {"choices": [], "usage": {"prompt_tokens": 3}, "model": "m"}))
    assert (whole["usage"], whole["model"]) == ({"prompt_tokens": 3}, "m")
    assert join_stream(stream(PIECES[1], {"error": {"message": "lost"}}, done=False))["error"] == {"message": "lost"}
    late = {"choices": [{"index": 0, "delta": {}, "error": {"code": 502}, "finish_reason": "error"}]}
    assert join_stream(stream(PIECES[1], late))["choices"][0]["error"] == {"code": 502}


@pytest.mark.parametrize(
    "text", [stream(*PIECES[:2], done=False), stream(*PIECES)[:-60], 'data: {"choi', stream(*PIECES[:2], "upstream reset", done=False)]
)
def test_a_stream_that_ends_before_its_answer_is_broken(text: str) -> None:
    with pytest.raises(Broken, match="the stream ended before its answer did"):
        join_stream(text)


@pytest.mark.parametrize("text", [stream("no json", *PIECES), stream(PIECES[1], '{"choices": [{"del', PIECES[3])])
def test_an_event_that_cannot_be_read_leaves_a_hole_and_so_no_text(text: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|delimiter"):
        join_stream(text)


@pytest.mark.parametrize("odd", [{"choices": None}, {"choices": [None]}, {"choices": [{"delta": 7}]}, {"choices": {}}, {}])
def test_an_odd_chunk_says_nothing(odd: dict[str, Any]) -> None:
    assert message(stream(odd, *PIECES))["content"] == TEXT


def test_json_texts_one_behind_the_other_are_found() -> None:
    lines = "\n".join(json.dumps(piece) for piece in PIECES)
    assert json_documents(f"\ufeff{lines}\r\n") == PIECES
    assert json_documents(f"{lines}\n\ndata: [DONE]\n\n") == PIECES
    assert json_documents(f"{lines}[DONE]") == PIECES
    assert json_documents(" \n") == []
    with pytest.raises(ValueError, match="Expecting"):
        json_documents(f"{lines}\n<html>")


def test_the_lines_of_ollama_are_one_answer() -> None:
    lines: list[dict[str, Any]] = [{"message": {"role": "assistant", "content": part}, "done": False} for part in (TEXT[:5], TEXT[5:])]
    ends = {"message": {"content": ""}, "done": True, "done_reason": "length"}
    choice = complete_chunks([*lines, ends], done=False)["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == (TEXT, "length")
    assert complete_chunks([*lines, {"done": True}], done=False)["choices"][0]["finish_reason"] == "stop"
    with pytest.raises(Broken):
        complete_chunks(lines, done=False)


FIELDS = st.fixed_dictionaries({"content": st.text(max_size=60), "reasoning_content": st.text(max_size=60)})


@given(told=FIELDS, size=st.integers(1, 20), end=st.sampled_from(["\n\n", "\r\n\r\n", "\r\r", "\n"]), usage=st.booleans())
def test_a_stream_cut_anywhere_reads_as_the_plain_body(told: dict[str, str], size: int, end: str, usage: bool) -> None:
    counts = {"prompt_tokens": 5, "completion_tokens": 7} if usage else None
    body = {"choices": [{"index": 0, "message": {"role": "assistant", **told}, "finish_reason": "stop"}], "usage": counts}
    deltas = [{name: text[at : at + size]} for name, text in told.items() for at in range(0, len(text), size)]
    chunks = [*(chunk(delta) for delta in deltas), chunk({}, "stop"), {"choices": [], "usage": counts}]
    whole = read_completion(json.dumps(body))
    assert read_completion(stream(*chunks, end=end)) == whole
    assert read_completion("\n".join(map(json.dumps, chunks))) == whole
    assert read_completion(json.dumps(chunks)) == whole


@given(told=st.text(min_size=1, max_size=60), at=st.integers(1, 10_000))
def test_a_stream_that_is_cut_is_never_taken_for_a_whole_answer(told: str, at: int) -> None:
    text = stream(*(chunk({"content": letter}) for letter in told), chunk({}, "stop"))
    cut = text[: at % (len(text) - len("data: [DONE]\n\n") - len(json.dumps(chunk({}, "stop"))))]
    assert read_completion(cut, "text/event-stream").outcome.error == "bad_body"


@given(
    st.lists(st.tuples(st.sampled_from(["content", "reasoning"]), st.text(max_size=3) | st.lists(st.integers(), max_size=2)), max_size=30)
)
def test_parts_of_one_field_continue_one_another_and_those_of_another_type_begin_anew(parts: list[tuple[str, str | list[int]]]) -> None:
    expected: dict[str, Any] = {"role": "assistant"}
    for name, part in parts:
        before: Any = expected.get(name)
        expected[name] = before + part if isinstance(before, type(part)) else part
    chunks = [{"choices": [{"index": 0, "delta": {name: part}}]} for name, part in parts]
    assert complete_chunks(chunks, done=True)["choices"][0]["message"] == expected


def test_a_long_preamble_and_a_long_stream_take_no_time_that_grows_with_the_square() -> None:
    begun = time.process_time()
    assert strip_prefix(":\n" * 500_000 + "{}") == "{}"
    events = "".join(
        f'data: {{"choices":[{{"index":0,"delta":{{"content":"word","details":[{number}]}}}}]}}\n\n' for number in range(50_000)
    )
    assert len(join_stream(events + "data: [DONE]\n\n")["choices"][0]["message"]["details"]) == 50_000
    assert time.process_time() - begun < 10
