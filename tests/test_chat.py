"""A body that came with status 200, read once: its texts, its counts, and what became of the attempt."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.endings import Closing
from cotforge.records import ANSWERED, OutcomeKind
from cotforge.replies.chat import MOST_TOKENS, REASONING_FIELDS, SHOWN, Completion, read_completion, refused_in
from cotforge.replies.finish_reasons import REASONS, Finish

TEXT = "<think>a wide sky</think><answer>awe</answer>"


def whole(content: Any = TEXT, finish: Any = "stop", *, message: Any = None, choice: Any = None, **top: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": content, **(message or {})}
    return {"choices": [{"index": 0, "message": said, "finish_reason": finish, **(choice or {})}], **top}


def read(body: Any) -> Completion:
    return read_completion(body if isinstance(body, str) else json.dumps(body), "application/json; charset=utf-8")


# Texts


def test_a_plain_completion_is_answered_with_its_text_and_counts() -> None:
    found = read(whole(usage={"prompt_tokens": 3, "completion_tokens": 4, "completion_tokens_details": {"reasoning_tokens": 2}}))
    assert found == Completion(ANSWERED, TEXT, "", "stop", 3, 4, 2, counted=True)


@pytest.mark.parametrize(
    ("content", "text", "thoughts"),
    [
        ([{"type": "text", "text": "A"}], "A", ""),
        (["A", {"type": "output_text", "text": "B"}], "AB", ""),
        ([{"type": "thinking", "thinking": "t"}, {"type": "text", "text": "A"}], "A", "t"),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "t"}]}, {"type": "text", "text": "A"}], "A", "t"),
        ([{"type": "reasoning", "text": "t"}, {"type": "text", "text": "A"}], "A", "t"),
        ([{"type": "reasoning", "summary": [{"type": "summary_text", "text": "t"}]}, {"text": "A"}], "A", "t"),
        ([{"type": "reasoning_content", "reasoning_content": "t"}, {"text": "A"}], "A", "t"),
        ([{"type": "text", "text": "t", "thought": True}, {"text": "A"}], "A", "t"),
        ([{"type": "text", "text": {"value": "A"}}], "A", ""),
        ([{"type": "refusal", "refusal": "no"}], "no", ""),
        ({"type": "text", "text": "A"}, "A", ""),
        ([7, None, {"type": "image_url"}, {"type": "text", "text": "A"}], "A", ""),
        (None, "", ""),
        (7, "", ""),
    ],
)
def test_a_content_of_parts_is_its_texts_with_the_thoughts_apart(content: Any, text: str, thoughts: str) -> None:
    found = read(whole(content))
    assert (found.content, found.reasoning) == (text, thoughts)


def test_parts_deeper_than_any_server_has_them_are_no_text() -> None:
    part: Any = "deep"
    for _ in range(12):
        part = {"text": part}
    assert read(whole([part])).content == ""


@pytest.mark.parametrize("field", REASONING_FIELDS)
def test_a_reasoning_is_found_in_every_field_and_once(field: str) -> None:
    for value in ("why", [{"type": "reasoning.text", "text": "w"}, {"type": "reasoning.encrypted", "data": "AAAA"}, {"text": "hy"}]):
        assert read(whole("A", message={field: value})).reasoning == "why"
        assert read(whole("A", message={"provider_specific_fields": {field: value}})).reasoning == "why"
        assert read(whole("A", choice={field: value})).reasoning == "why"
    assert read(whole("A", message=dict.fromkeys(REASONING_FIELDS, "why"))).reasoning == "why"
    assert read(whole([{"type": "thinking", "thinking": "why"}, {"text": "A"}], message={field: "why"})).reasoning == "why"


def test_a_reasoning_that_is_encrypted_is_no_text() -> None:
    assert read(whole("A", message={"reasoning_details": [{"type": "reasoning.encrypted", "data": "AAAA"}]})).reasoning == ""


def test_a_refusal_in_words_is_the_text_where_there_is_no_other() -> None:
    assert read(whole(None, message={"refusal": "I cannot."})).content == "I cannot."
    assert read(whole("A", message={"refusal": "I cannot."})).content == "A"


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [{"text": TEXT, "finish_reason": "stop"}]},
        {"choices": [{"message": TEXT, "finish_reason": "stop"}]},
        {"choices": [{"delta": {"content": TEXT}, "finish_reason": "stop"}]},
        [whole()],
        {"code": 200, "message": "ok", "data": whole()},
        {"output": {"choices": [{"message": {"content": [{"text": TEXT}]}, "finish_reason": "stop"}]}, "usage": {}},
        {"model": "m", "message": {"role": "assistant", "content": TEXT}, "done": True, "done_reason": "stop"},
        "\n\n \n" + json.dumps(whole()),
        "\ufeff" + json.dumps(whole()),
        ": keep-alive\n\n" + json.dumps(whole()),
        json.dumps(whole()) + "\n" + json.dumps(whole()),
        json.dumps(whole()) + "\n\ndata: [DONE]\n\n",
        "data: " + json.dumps(whole()) + "\n\n",
    ],
)
def test_a_completion_is_read_out_of_whatever_is_around_it(body: Any) -> None:
    found = read(body)
    assert (found.outcome, found.content, found.finish_reason) == (ANSWERED, TEXT, "stop")


# Counts


@pytest.mark.parametrize("odd", [None, -1, "3", 4.5, True, MOST_TOKENS + 1])
def test_a_count_that_cannot_be_is_none(odd: Any) -> None:
    found = read(whole(usage={"prompt_tokens": odd, "completion_tokens": odd, "completion_tokens_details": {"reasoning_tokens": odd}}))
    assert (found.input_tokens, found.output_tokens, found.reasoning_tokens, found.counted) == (None, None, None, True)


def test_counts_under_the_names_of_anthropic_are_read_and_odd_usage_costs_no_reply() -> None:
    found = read(whole(usage={"input_tokens": 3, "output_tokens": 4}))
    assert (found.input_tokens, found.output_tokens) == (3, 4)
    for odd in ([1], "many", 7, None):
        assert read(whole(usage=odd)).content == TEXT


# Finish reasons


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: f"{reason.server}: {reason.name}")
def test_each_finish_reason_decides_what_became_of_the_text(reason: Any) -> None:
    kinds = {Finish.LENGTH: OutcomeKind.CUT_OFF, Finish.FILTERED: OutcomeKind.FILTERED, Finish.ERROR: OutcomeKind.PASSING}
    found = read(whole(finish=reason.name))
    assert found.outcome.kind is kinds.get(reason.finish, OutcomeKind.ANSWERED)
    assert found.outcome.has_text is (reason.finish is not Finish.ERROR)
    assert found.content == TEXT


@pytest.mark.parametrize(
    ("choice", "reason", "kind"),
    [
        ({"finish_reason": {"type": "length", "length": 9}}, "length", OutcomeKind.CUT_OFF),
        ({"finish_reason": None, "stop_reason": "max_tokens"}, "length", OutcomeKind.CUT_OFF),
        ({"finish_reason": "stop", "stop_reason": 151645}, "stop", OutcomeKind.ANSWERED),
        ({"finish_reason": "stop", "native_finish_reason": "MAX_TOKENS"}, "length", OutcomeKind.CUT_OFF),
        ({"finish_reason": "length", "native_finish_reason": "STOP"}, "length", OutcomeKind.CUT_OFF),
        ({"finish_reason": "odd", "native_finish_reason": "SAFETY"}, "content_filter", OutcomeKind.FILTERED),
        ({"finish_reason": None, "finish_details": {"type": "max_tokens"}}, "length", OutcomeKind.CUT_OFF),
        ({"finish_reason": "content_filter: OTHER"}, "content_filter", OutcomeKind.FILTERED),
        ({"finish_reason": "foo"}, "foo", OutcomeKind.ANSWERED),
        ({"finish_reason": 17}, "17", OutcomeKind.ANSWERED),
        ({"finish_reason": ["stop"]}, "['stop']", OutcomeKind.ANSWERED),
        ({"finish_reason": None}, "", OutcomeKind.ANSWERED),
        ({"finish_reason": ""}, "", OutcomeKind.ANSWERED),
    ],
)
def test_a_finish_reason_in_an_odd_form_or_place_counts(choice: dict[str, Any], reason: str, kind: OutcomeKind) -> None:
    found = read(whole(choice=choice))
    assert (found.finish_reason, found.outcome.kind) == (reason, kind)


def test_a_finish_reason_in_camel_case_counts() -> None:
    assert read({"choices": [{"message": {"content": TEXT}, "finishReason": "MAX_TOKENS"}]}).finish_reason == "length"


@pytest.mark.parametrize(("reason", "kind"), [("length", OutcomeKind.CUT_OFF), ("SAFETY", OutcomeKind.FILTERED)])
@pytest.mark.parametrize("message", [None, {}, {"role": "assistant"}])
def test_a_choice_that_was_ended_before_its_first_word_is_no_broken_body(reason: str, kind: OutcomeKind, message: Any) -> None:
    assert read({"choices": [{"message": message, "finish_reason": reason}]}).outcome.kind is kind


def test_a_server_that_gave_up_says_so_with_its_own_word() -> None:
    outcome = read(whole(finish="network_error")).outcome
    assert (outcome.error, outcome.retry, outcome.passing) == ("error", True, True)
    assert outcome.detail == "finish_reason 'network_error': the server gave up before the end"


# Errors


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": 502, "message": "lost the upstream"}},
        whole(error={"code": 502, "message": "lost the upstream"}),
        whole(choice={"error": {"code": "502", "message": "lost the upstream"}}),
        whole(message={"error": {"status": 502, "message": "lost the upstream"}}),
        {"choices": None, "error": {"statusCode": 502, "message": "lost the upstream"}},
        {"choices": [], "code": 502, "msg": "lost the upstream"},
        {"error_code": 502, "error_msg": "lost the upstream"},
        [{"error": {"code": 502, "message": "lost the upstream"}}],
        'data: {"error": {"code": 502, "message": "lost the upstream"}}\n\n',
    ],
)
def test_an_error_counts_before_any_text_wherever_it_stands(body: Any) -> None:
    found = read(body)
    assert (found.outcome.error, found.outcome.detail, found.outcome.retry) == ("502", "lost the upstream", True)
    assert (found.content, found.outcome.kind) == ("", OutcomeKind.PASSING)


@pytest.mark.parametrize("none", [None, False, "", {}, [], {"code": 0, "message": ""}, {"code": None}])
def test_an_error_that_says_there_is_none_costs_no_reply(none: Any) -> None:
    assert read(whole(error=none)).content == TEXT


@pytest.mark.parametrize(("told", "fine"), [(0, True), ("0", True), (None, True), (1000, True), (1008, False)])
def test_minimax_tells_of_errors_beside_its_choices(told: Any, fine: bool) -> None:
    assert read(whole(base_resp={"status_code": told, "status_msg": "as it is"})).outcome.has_text is fine
    assert read(whole(base_resp="ok")).content == TEXT


@pytest.mark.parametrize(
    ("body", "closes"),
    [
        ({"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, Closing.QUOTA),
        ({"error": {"code": "invalid_api_key", "message": "no"}}, Closing.KEY),
        ({"code": 401, "msg": "token expired", "data": None}, Closing.KEY),
        ([{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}], Closing.KEY),
        ({"success": False, "message": "Invalid API key"}, Closing.KEY),
        ({"choices": None, "code": "model_not_found", "message": "no"}, Closing.MODEL),
    ],
)
def test_a_refusal_inside_a_200_closes_as_one_with_its_own_status_does(body: Any, closes: Closing) -> None:
    assert read(body).outcome.closes is closes
    refused = refused_in(json.dumps(body))
    assert refused is not None
    assert refused.closes is closes


@pytest.mark.parametrize(
    "body",
    [
        '{"object": "list", "data": [{"id": "m"}]}',
        '[{"id": "m"}]',
        '{"code": 0, "message": "success", "data": [{"id": "m"}]}',
        "<p>",
        "",
        "7",
    ],
)
def test_a_list_of_models_or_a_page_is_no_refusal(body: str) -> None:
    assert refused_in(body) is None


# Bodies nobody can read


@pytest.mark.parametrize(
    "body",
    [
        "", "  \n", "null", "42", '"Unauthorized"', "[]", "{}", "[[]]", "<!DOCTYPE html><html><title>Sign in</title></html>",
        '{"choices": []}', '{"choices": null}', '{"choices": [null]}', '{"choices": ["x"]}', '{"choices": {"0": 1}}',
        '{"choices": [{"message": null, "finish_reason": "stop"}]}', json.dumps(whole())[:40], "[" * 100_000,
        '{"choices": [{"message": [1]}]}',
        'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n', "data: <html>\n\ndata: x\n\n", ": keep-alive\n\n",
    ],
)  # fmt: skip
def test_a_body_nobody_can_read_passes_and_shows_its_beginning(body: str) -> None:
    outcome = read_completion(body, "text/html; charset=utf-8").outcome
    assert (outcome.error, outcome.kind, outcome.retry) == ("bad_body", OutcomeKind.PASSING, True)
    assert ": text/html, " in outcome.detail
    shown = " ".join(body.split())[:SHOWN]
    assert (f"beginning {shown!r}" if shown else "and nothing in it") in outcome.detail
    assert "\n" not in outcome.detail


def test_a_body_without_a_content_type_says_so() -> None:
    assert read_completion("<p>").outcome.detail == "not a chat completion: no content type, beginning '<p>'"


# Laws

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from([
            "choices", "message", "content", "error", "code", "usage", "finish_reason", "delta", "text", "type", "data", "base_resp",
            "reasoning", "reasoning_details", "status_code", "done", "native_finish_reason", "prompt_tokens", "msg", "output", "thought",
        ]),
        inner, max_size=4,
    ),
    max_leaves=25,
)  # fmt: skip


@given(JSON, st.text(max_size=10))
def test_any_json_at_all_is_read_without_an_exception(body: Any, kind: str) -> None:
    text = json.dumps(body)
    for written in (text, f"data: {text}\n\n", f"{text}\n{text}", text[: len(text) // 2]):
        found = read_completion(written, kind)
        assert found.outcome.has_text or found.outcome.detail or found.outcome.error
        refused_in(written)


@given(st.text(max_size=200), st.sampled_from(["", "data: ", ": ", "{", "[", "event: x\n"]))
def test_any_text_at_all_is_read_without_an_exception(body: str, before: str) -> None:
    found = read_completion(before + body)
    assert found.outcome.has_text or "\n" not in found.outcome.detail
    refused_in(before + body)
