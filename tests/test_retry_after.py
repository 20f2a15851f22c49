"""What servers ask to wait is read in every form, never for longer than a minute at a time, and never raises."""

from email.utils import formatdate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.replies.retry_after import asked_wait, retry_after
from tests.aftermath import RUN
from tests.project import ran, summary, teacher, write_pipeline, write_rows
from tests.stranger import Stranger, completion, http

NOW = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("86400", 86_400.0),
        ("1e11", 1e11),
        (" 3 ", 3.0),
        ("1.5", 1.5),
        ("-5", 0.0),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60.0),
        ("Sunday, 06-Nov-94 08:50:37 GMT", 60.0),
        ("Sun Nov  6 08:50:37 1994", 60.0),
        ("1994-11-06T08:50:37Z", 60.0),
        ("1994-11-06T09:50:37+01:00", 60.0),
        ("Sun, 06 Nov 1994 08:40:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 252_618_188_022.0),
    ],
)
def test_numbers_and_dates_of_every_form_are_seconds(text: str, seconds: float) -> None:
    assert asked_wait([("Retry-After", text), ("Date", NOW)]) == pytest.approx(seconds, rel=1e-3)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "nan",
        "inf",
        "-inf",
        "1e999",
        "Fri, 31 Dec 99999 23:59:59 GMT",
        "Sun, 99 Foo 1994 99:99:99 +9999999",
        "0x10",
        "5 minutes",
        "\x00",
    ],
)
def test_what_cannot_be_read_is_as_if_it_were_not_there(text: str) -> None:
    assert asked_wait([("Retry-After", text)]) is None
    assert asked_wait([("Retry-After", text), ("retry-after", "2")]) == 2.0
    assert asked_wait([("Retry-After", "2"), ("Retry-After-Ms", text)]) == 2.0
    assert asked_wait([("Retry-After", formatdate(usegmt=True)), ("Date", text)]) is not None


def test_of_several_headers_the_longest_counts_and_milliseconds_go_first() -> None:
    assert asked_wait([("Retry-After", "2"), ("RETRY-AFTER", "7"), ("Retry-After", "3")]) == 7.0
    assert asked_wait([("Retry-After", "2"), ("retry-after-ms", "1500")]) == 1.5
    assert asked_wait([("X-RateLimit-Reset", "99999999999"), ("x-ratelimit-reset-tokens", "6m0s")]) is None


@given(st.text(max_size=60), st.text(max_size=60), st.one_of(st.none(), st.text(max_size=60)))
def test_no_header_raises_or_is_waited_for_for_ever(seconds: str, milliseconds: str, date: str | None) -> None:
    found = retry_after(seconds, milliseconds, date=date)
    assert found is None or 0.0 <= found < float("inf")


@pytest.mark.parametrize("header", ["nan", "soon", "-7", "Fri, 31 Dec 99999 23:59:59 GMT", "Mon, 99 Zzz"])
def test_a_run_goes_on_where_a_server_says_nonsense(tmp_path: Path, header: str) -> None:
    write_rows(tmp_path, 12)
    said = [http(429, "{}", retry_after=header), http(503, "{}", retry_after=header), http(500, "{}", retry_after=header)]
    with Stranger(lambda number, body: said.pop() if said else http(200, completion())) as server:
        write_pipeline(tmp_path, teacher(server.url, concurrency=4), consensus={"label": "ignore"})
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert summary(tmp_path / RUN)["accepted"] == 12


@pytest.mark.parametrize("header", ["86400", "1e11", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_server_that_asks_five_calls_in_a_row_to_wait_for_hours_is_left_and_that_is_told(tmp_path: Path, header: str) -> None:
    write_rows(tmp_path, 12)
    with Stranger(lambda number, body: http(429, "{}", retry_after=header)) as server:
        write_pipeline(tmp_path, teacher(server.url, concurrency=8), consensus={"label": "ignore"})
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
        assert len(server.ledger) <= 12
    assert ended.returncode == 3, ended.stderr
    assert "Retry-After asked for" in ended.stderr
    assert "calls wait 60 s at most" in ended.stderr
    assert "Traceback" not in ended.stderr
