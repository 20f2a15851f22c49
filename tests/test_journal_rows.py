"""A row of the journal: an attempt comes back from SQLite as it was, whatever stood in it."""

import json
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.journal.attempt_rows import BODY, COLUMNS, READ, attempt_of, is_sound, row_of
from cotforge.journal.schema import MIGRATIONS
from cotforge.records import Outcome, OutcomeKind
from cotforge.replies.attempt import Attempt, answered_attempt, failed_attempt
from cotforge.replies.finish_reasons import REASONS, Finish
from cotforge.replies.refusals import read_refusal
from tests.attempts import attempt

KEY = "ab" * 32
WORDS = st.text(max_size=40) | st.sampled_from(["", "st\0op", "leng\0th", "SAFETY\u2028", "x" * 299 + " stop", "a.length"])
TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]) | st.just("\0"), max_size=60)
NUMBERS = st.floats(min_value=0, allow_infinity=False) | st.just(-0.0)


def kept(attempt: Attempt) -> Attempt:
    """As SQLite gives it back."""
    row = row_of(attempt)
    with closing(sqlite3.connect(":memory:")) as journal:
        journal.executescript("".join(MIGRATIONS))
        journal.execute(f"INSERT INTO replies ({COLUMNS}) VALUES ({', '.join('?' * len(row))})", row)
        return attempt_of(journal.execute(f"SELECT {READ} FROM replies").fetchone())


def came(body: str, **fields: Any) -> Attempt:
    """What a server answered with status 200."""
    return answered_attempt(KEY, body, **{"number": 1, "max_tokens": 9, "usd": lambda read, written: 0.0, "estimate": lambda: 3} | fields)


def completion(reason: object, content: str = "<answer>awe</answer>") -> str:
    return json.dumps({"choices": [{"message": {"content": content}, "finish_reason": reason}]})


@given(WORDS | st.sampled_from([reason.name for reason in REASONS]) | st.none() | st.integers(), st.text(max_size=20), NUMBERS)
def test_an_answer_comes_back_with_its_text_its_end_and_its_counts(reason: object, content: str, seconds: float) -> None:
    ended = came(completion(reason, content), seconds=seconds)
    back = kept(ended)
    known = ended.outcome
    assert (back.reply.content, back.reply.reasoning, back.finish_reason) == (
        ended.reply.content,
        ended.reply.reasoning,
        ended.finish_reason,
    )
    assert (back.outcome.kind, back.error, back.detail, back.rank) == (known.kind, known.error, known.detail, ended.rank)
    assert (back.number, back.key, back.status, back.final, back.seconds, back.max_tokens, back.body, back.url) == (
        ended.number, ended.key, ended.status, ended.final, ended.seconds, ended.max_tokens, ended.body, ended.url,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "end", "kind"), [("leng\0th", "leng th", OutcomeKind.CUT_OFF), ("st\0op", "st op", OutcomeKind.ANSWERED)]
)
def test_a_finish_reason_with_control_characters_means_the_same_before_and_after_the_journal(
    reason: str, end: str, kind: OutcomeKind
) -> None:
    ended = came(completion(reason))
    assert (ended.outcome.kind, kept(ended).outcome.kind) == (kind, kind)
    assert ended.finish_reason == kept(ended).finish_reason == end.replace(" ", "")


@given(st.sampled_from([400, 401, 403, 404, 408, 413, 422, 429, 500, 503, 529]), TEXTS, TEXTS, st.integers(0, 10**7) | st.none())
def test_a_refusal_comes_back_with_what_it_means_for_the_next_build(status: int, code: str, message: str, limit: int | None) -> None:
    body = json.dumps({"error": {"code": code, "message": message}})
    ended = failed_attempt(KEY, read_refusal(status, body), number=1, max_tokens=limit, status=status, body=body)
    back = kept(ended)
    assert (back.outcome.kind, back.error, back.detail, back.passing) == (
        ended.outcome.kind, ended.error, ended.detail, ended.passing,
    )  # fmt: skip
    assert back.settles(limit) == ended.settles(limit)


@pytest.mark.parametrize("reason", [known for known in Finish if known not in (Finish.ERROR, Finish.UNKNOWN)])
def test_a_finish_reason_of_the_closed_set_is_kept_as_its_word(reason: Finish) -> None:
    ended = attempt(1, bytes.fromhex(KEY), finish_reason=reason, body=completion(reason.value))
    assert kept(ended) == ended
    assert type(kept(ended).finish_reason) is str


@given(TEXTS, TEXTS, TEXTS, NUMBERS, NUMBERS)
def test_any_body_error_and_figure_come_back(body: str, error: str, url: str, cost: float, seconds: float) -> None:
    outcome = Outcome(OutcomeKind.PASSING, f"x{error}", error)
    ended = Attempt(1, bytes.fromhex(KEY), None, outcome, cost_usd=cost, seconds=seconds, body=body, url=url)
    assert kept(ended) == ended


@given(st.floats(0, 1) | st.none())
def test_a_probability_comes_back_and_a_row_from_before_there_were_any_is_sound(probability: float | None) -> None:
    ended = came(completion("stop"))
    ended.probability = probability
    back = kept(ended)
    assert (back.probability, back.error) == (probability, None)
    assert back.reply.probability == probability
    row = row_of(came(completion("stop")))
    assert is_sound(row, row[BODY].encode())
    assert not is_sound((*row[:-1], 0.5), row[BODY].encode()), "one that the disk has made up"
