"""What a refusal is about: every line of the table with a body in its server's own shape, and any other body at all."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.replies.refusal_codes import LONGEST_MESSAGE, Meaning, bare_code, codes_and_message, refusal_meaning
from cotforge.replies.refusal_table import LINES, RefusalLine
from tests.refusals import EXAMPLES, Example, page, typed

ABOUT_THE_TEACHER = frozenset({Meaning.KEY, Meaning.QUOTA, Meaning.MODEL, Meaning.HELP})


def named(line: RefusalLine) -> tuple[str, str, int | None]:
    pattern = " ".join(part for part in (line.code, line.words) if part)
    return line.server, pattern or str(line.status), line.status


def of(line: RefusalLine) -> Example:
    """The one example of a line."""
    server, pattern, status = named(line)
    found = [each for each in EXAMPLES if (each.server, each.pattern) == (server, pattern) and _in_its_words(each, line, status)]
    assert len(found) == 1, f"{server}: {pattern}: {len(found)} examples"
    return found[0]


def _in_its_words(example: Example, line: RefusalLine, status: int | None) -> bool:
    """Whether an example has the status, code and words of a line: two lines may have one name."""
    codes, message = codes_and_message(example.body)
    numbers = {example.status, *(int(code) for code in codes.split() if code in ("402", "403"))}
    pieces = [piece in message.casefold() for piece in line.words.casefold().removeprefix("^").split("*")]
    code = all(piece in bare_code(codes) for piece in bare_code(line.code).split("*"))
    return (status is None or status in numbers) and code and all(pieces)


def read(status: int, body: str) -> Meaning | None:
    return refusal_meaning(status, *codes_and_message(body))


@pytest.mark.parametrize("line", LINES, ids=lambda line: ": ".join(str(part) for part in named(line)))
def test_each_line_is_read_from_a_body_of_its_server(line: RefusalLine) -> None:
    example = of(line)
    assert read(example.status, example.body) is line.meaning
    assert line.source


@pytest.mark.parametrize(
    "line", [line for line in LINES if line.status is None and not line.words], ids=lambda line: f"{line.server}: {line.code}"
)
def test_a_code_that_stands_without_a_status_counts_under_every_status(line: RefusalLine) -> None:
    assert {read(status, of(line).body) for status in (200, 400, 403, 418, 500)} == {line.meaning}


def test_every_example_is_of_one_line_and_no_line_is_there_twice() -> None:
    assert len(EXAMPLES) == len(LINES)
    assert [name for name, times in Counter((*named(line), line.code) for line in LINES).items() if times > 1] == []


@pytest.mark.parametrize("line", [line for line in LINES if line.meaning is Meaning.FILTER], ids=lambda line: f"{line.server}: {line.code}")
def test_a_filter_is_never_taken_for_the_account(line: RefusalLine) -> None:
    example = of(line)
    statuses = (line.status,) if line.status is not None else (200, 400, 401, 402, 403, 404, 422, 429, 451, 500)
    assert {read(status, example.body) for status in statuses} == {Meaning.FILTER}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda body: f"\ufeff \n{body}",
        lambda body: json.dumps([json.loads(body)]),
        lambda body: json.dumps({"error": json.loads(body)}),
        lambda body: json.dumps({"error": {"message": body, "code": None}}),
        lambda body: json.dumps({"detail": body}),
        lambda body: json.dumps({"errors": [json.loads(body)]}),
        lambda body: json.dumps(body),
        lambda body: f": waiting\n\nevent: error\ndata: {json.dumps(json.loads(body))}\n\ndata: [DONE]\n\n",
    ],
    ids=["mark", "list", "object", "text", "detail", "errors", "json text", "stream"],
)
def test_a_gateway_that_wraps_a_body_changes_nothing(wrap: Any) -> None:
    objects = [example for example in EXAMPLES if example.body.startswith(("{", "["))]
    assert len(objects) > 200
    for example in objects:
        assert read(example.status, wrap(example.body)) is read(example.status, example.body), example


@pytest.mark.parametrize("status", [400, 403, 409, 418, 422, 500, 502, 503, 504])
@pytest.mark.parametrize(
    "body", ["", "no", "{}", "[]", '{"error": {"message": "no", "type": "invalid_request_error"}}', "<html>nginx</html>"]
)
def test_nothing_is_read_where_nothing_is_said(status: int, body: str) -> None:
    assert read(status, body) is None


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "What is the balance of the account on the picture?"),
        (400, "messages[1].content: 'insufficient balance' is not a valid part"),
        (500, "the key of the map was not found"),
        (422, "model: field required"),
        (400, "temperature must be below 2; the quota of words is 7"),
    ],
)
def test_words_that_may_be_about_anything_are_not_trusted(status: int, message: str) -> None:
    assert read(status, typed("invalid_request_error", message)) is None


def test_a_precise_line_counts_before_a_general_one() -> None:
    assert read(429, typed("insufficient_quota", "rate limit")) is Meaning.QUOTA
    assert read(401, json.dumps({"error": {"code": "content_filter"}})) is Meaning.FILTER
    assert read(404, json.dumps({"error": {"code": "insufficient_quota"}})) is Meaning.QUOTA


def test_a_status_inside_a_200_counts_and_one_inside_an_error_does_not() -> None:
    assert read(200, '{"error": {"code": 429, "message": "wait"}}') is Meaning.BUSY
    assert read(200, '{"error": {"code": "401", "message": "who"}}') is Meaning.KEY
    assert read(400, '{"error": {"code": 401, "message": "who"}}') is None


@pytest.mark.parametrize(
    ("body", "codes", "message"),
    [
        ('{"error": {"message": "m", "type": "t", "param": null, "code": "c"}}', "t c", "m"),
        ('{"error": "text of it"}', "", "text of it"),
        ('{"error": "insufficient_quota", "message": "pay"}', "insufficient_quota", "insufficient_quota; pay"),
        ('[{"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT"}}]', "400 INVALID_ARGUMENT", "m"),
        ('{"message": "m", "code": 20012, "data": null}', "20012", "m"),
        ('{"detail": "Unauthorized"}', "", "Unauthorized"),
        ('{"detail": [{"type": "missing", "loc": ["body", "model"], "msg": "Field required"}]}', "missing", "Field required"),
        ('{"errors": [{"code": 7003, "message": "no route"}, "and more"]}', "7003", "no route; and more"),
        ('{"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}', "1008", "insufficient balance"),
        ('{"Error": {"Code": "AccessDenied", "Message": "m"}}', "AccessDenied", "m"),
        ('{"header": {"code": 10163, "message": "m", "sid": "s"}}', "10163", "m"),
        ('{"error": {"message": "same", "details": [{"message": "same"}, {"reason": "API_KEY_INVALID"}]}}', "API_KEY_INVALID", "same"),
        ('{"error": {"message": "Provider returned error", "code": 429, "metadata": {"raw": "z is limited"}}}', "429", ""),
        ('{"code": "Client specified an invalid argument", "error": "no"}', "Client_specified_an_invalid_argument no", "no"),
        ('"plain text in JSON"', "", "plain text in JSON"),
        ("two\n lines", "", "two lines"),
        ('{"error": {"message": "<html><body>bad &amp; worse</body></html>"}}', "", "bad & worse"),
        ('data: {"error": {"code": "c", "message": "m"}}\n\n', "c", "m"),
        ("<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>no</Message></Error>", "", "AccessDenied no"),
        ("", "", ""),
        ("null", "", "null"),
        ("{}", "", "{}"),
        ('{"code": true, "id": 3}', "", '{"code": true, "id": 3}'),
    ],
)
def test_codes_and_message_are_found_in_every_form(body: str, codes: str, message: str) -> None:
    found, said = codes_and_message(body)
    assert found == codes
    assert said == (message or said)


def test_a_page_is_read_without_tags_scripts_and_styles() -> None:
    assert codes_and_message(page("403 Forbidden", "Go &lt;away&gt;")) == ("", "403 Forbidden Go <away>")
    assert codes_and_message("<HTML><STYLE>a{}</STYLE><Script src=x>if (a < b) {}</sCRIPT >said<!-- no --></HTML>") == ("", "said")
    assert codes_and_message("<html>said<script>never closed") == ("", "said")


def test_a_gateways_own_words_and_those_behind_it_are_both_kept() -> None:
    body = {"error": {"message": "Provider returned error", "code": 429, "metadata": {"raw": "b is limited", "provider_name": "b"}}}
    assert codes_and_message(json.dumps(body))[1] == "Provider returned error; b is limited"


def test_what_a_filter_said_is_found_inside_the_error_of_a_gateway() -> None:
    inner = {"innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {"filtered": True}}}}
    body = {"error": {"message": "refused upstream", "type": None, "code": "400", "provider_specific_fields": inner}}
    assert read(400, json.dumps(body)) is Meaning.FILTER


HOSTILE = (
    "[" * 100_000,
    '{"error":' * 100_000,
    "<" * 100_000,
    "<script" * 20_000,
    "<!--" * 30_000,
    '{"error": "\\ud800"}',
    "\ud800",
    "\x00",
    "data:",
)


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_body_is_read_without_an_exception(body: str) -> None:
    _is_sound(body)


def _is_sound(body: str) -> None:
    codes, message = codes_and_message(body)
    assert len(message) <= LONGEST_MESSAGE
    assert message.isprintable()
    assert codes.isprintable()
    for status in (200, 400, 429):
        assert refusal_meaning(status, codes, message) in (None, *Meaning)


@given(st.text() | st.text().map(lambda text: f"<html>{text}") | st.text().map(lambda text: f"data: {text}"))
def test_any_text_is_read_without_an_exception(body: str) -> None:
    _is_sound(body)


NAMES = st.sampled_from(["error", "errors", "detail", "details", "message", "code", "type", "reason", "status", "metadata", "x"])
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([each.body for each in EXAMPLES])


@given(
    st.recursive(VALUES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(), inner, max_size=4), max_leaves=20)
)
def test_any_json_is_read_without_an_exception(value: Any) -> None:
    _is_sound(json.dumps(value))


@given(st.integers(), st.text(), st.text())
def test_any_codes_and_message_have_a_meaning_or_none(status: int, codes: str, message: str) -> None:
    assert refusal_meaning(status, codes, message) in (None, *Meaning)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60).filter(lambda text: "{" not in text and "[" not in text))
def test_a_filters_refusal_stays_one_whatever_its_message_says(message: str) -> None:
    for code in ("content_filter", "data_inspection_failed", "content_policy_violation"):
        for status in (400, 401, 402, 403, 404, 429, 500):
            assert read(status, json.dumps({"error": {"code": code, "message": f"credit balance is too low {message}"}})) is Meaning.FILTER
    assert Meaning.FILTER not in ABOUT_THE_TEACHER
