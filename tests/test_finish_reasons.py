"""Why a server stopped writing: every name in the table, however it is written, and every name that is not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.replies.finish_reasons import REASONS, Finish, Reason, read_finish

SPELLINGS = (str, str.upper, str.lower, lambda name: f" {name}\n", lambda name: name.replace("_", "-"), lambda name: name.replace("_", " "))


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: f"{reason.server}: {reason.name}")
def test_each_name_of_each_server_means_what_the_table_says(reason: Reason) -> None:
    assert read_finish(reason.name) is reason.finish
    assert reason.source


@pytest.mark.parametrize("reason", [reason for reason in REASONS if reason.name], ids=lambda reason: f"{reason.server}: {reason.name}")
def test_spelling_makes_no_difference(reason: Reason) -> None:
    assert {read_finish(spell(reason.name)) for spell in SPELLINGS} == {reason.finish}
    camel = "".join(word.capitalize() for word in reason.name.lower().split("_"))
    assert read_finish(camel[:1].lower() + camel[1:]) is reason.finish
    assert read_finish(f"FinishReason.{reason.name}") is reason.finish
    assert read_finish(f"FINISH_REASON_{reason.name}") is reason.finish or reason.name.startswith("FINISH_REASON")


def test_no_name_means_two_things() -> None:
    meanings: dict[str, set[Finish]] = {}
    for reason in REASONS:
        meanings.setdefault(reason.name.lower(), set()).add(reason.finish)
    assert {name for name, finishes in meanings.items() if len(finishes) > 1} == set()


@pytest.mark.parametrize("reason", [None, "", " ", "null"])
def test_a_server_that_gives_no_reason_has_stopped_by_itself(reason: str | None) -> None:
    assert read_finish(reason) is Finish.STOP


@pytest.mark.parametrize(
    ("native", "meant"),
    [
        ({"type": "stop", "matched": 151645}, Finish.STOP),
        ({"type": "length", "length": 128}, Finish.LENGTH),
        ({"type": "abort", "message": "Aborted", "status_code": None}, Finish.ERROR),
        ({"type": None}, Finish.STOP),
    ],
)
def test_the_native_form_of_sglang_is_read(native: dict[str, Any], meant: Finish) -> None:
    assert read_finish(native) is meant


@pytest.mark.parametrize("reason", ["sunset", "stopped_by_moon", "stop!", "lengthy", "FINISH_REASON_NEW_ONE", "止", 7, 2.5, True])
def test_a_name_nobody_knows_is_unknown_and_not_taken_for_another(reason: object) -> None:
    assert read_finish(reason) is Finish.UNKNOWN


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_anything_at_all_is_read_without_an_exception(reason: object) -> None:
    assert isinstance(read_finish(reason), Finish)


def test_partial_text_is_never_taken_for_a_whole_one() -> None:
    """The names that other tools map to `stop` although the text is not whole."""
    for name in ("error", "abort", "network_error", "MALFORMED_RESPONSE", "insufficient_system_resource", "timeout", "repetition"):
        assert read_finish(name) is not Finish.STOP


@pytest.mark.parametrize(
    ("reason", "meant"),
    [
        ("request_aborted", Finish.ERROR),
        ("UpstreamError", Finish.ERROR),
        ("provider-timeout", Finish.ERROR),
        ("output_truncated", Finish.LENGTH),
        ("maxOutputTokensReached", Finish.LENGTH),
        ("context_length_exceeded", Finish.LENGTH),
        ("token_limit", Finish.LENGTH),
        ("safety_stop", Finish.FILTERED),
        ("prompt_blocked", Finish.FILTERED),
        ("policyViolation", Finish.FILTERED),
        ("content_filter: PROHIBITED_CONTENT", Finish.FILTERED),
        ("end_of_block", Finish.UNKNOWN),
        ("done", Finish.UNKNOWN),
        ("token", Finish.UNKNOWN),
        ("lengthy", Finish.UNKNOWN),
    ],
)
def test_an_unlisted_name_is_read_by_its_words_as_far_as_they_say_that_a_text_is_not_whole(reason: str, meant: Finish) -> None:
    assert read_finish(reason) is meant
