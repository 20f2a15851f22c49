"""What a journal says about each teacher as a whole: how much it was asked, how much it said, and what that cost."""

from dataclasses import dataclass, field

from cotforge.journal import Journal
from cotforge.replies.attempt import BROKEN_OFF, CHARGED, NOT_HTTP
from cotforge.replies.fingerprints import FINGERPRINT_JSON


@dataclass(frozen=True, slots=True)
class History:
    """What one teacher was asked and said, over all invocations."""

    replies: int = 0
    """Attempts that brought a reply, whatever the reader makes of it."""
    calls: int = 0
    """Distinct Calls among them."""
    input_tokens: int = 0
    output_tokens: int = 0
    squares: float = 0.0
    """Sum of the squares of the output tokens of each reply."""
    cost_usd: float = 0.0
    seconds: float = 0.0
    """Sum over the replies."""
    most_input: int = 0
    """Tokens of the longest request that was counted."""
    untold: int = field(default=0, compare=False)
    """Of `calls`, those from before the journal noted what each was about: tells of the journal, and not of the teacher."""
    unknown: int = 0
    """Attempts begun and never ended, or ended so that they may have been charged for (`Attempt.may_be_charged`)."""


_BROKE = f"error = 'connection' AND (detail GLOB '{BROKEN_OFF}*' OR detail GLOB '{NOT_HTTP}*')"
_MAYBE = f"replies.id IS NULL OR (error IS NOT NULL AND (error = 'timeout' OR status IN ({', '.join(map(str, CHARGED))}) OR {_BROKE}))"
"""`Attempt.may_be_charged`, and attempts without an end."""
_REPLY = "CASE WHEN error IS NULL THEN {} END"
_HISTORIES = f"""
    SELECT name, model, count({_REPLY.format("replies.id")}), count(DISTINCT {_REPLY.format("replies.key")}),
           coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0), total(1.0 * output_tokens * output_tokens), total(cost_usd),
           total({_REPLY.format("seconds")}), coalesce(max(input_tokens), 0),
           count(DISTINCT CASE WHEN error IS NULL AND asked.place IS NULL THEN replies.key END),
           coalesce(sum({_MAYBE}), 0)
    FROM asked JOIN teachers ON teachers.id = teacher LEFT JOIN replies ON replies.id = asked.id GROUP BY name, model
"""
_ONE = "instr((SELECT body FROM asked JOIN replies USING (id) WHERE teacher = teachers.id AND error IS NULL ORDER BY id {} LIMIT 1), ?)"
_SIMULATED = f"SELECT name FROM teachers WHERE {_ONE.format('ASC')} OR {_ONE.format('DESC')}"


def teacher_histories(journal: Journal) -> dict[tuple[str, str], History]:
    """By (name, model) of the teacher. Reads every row of the journal once."""
    return {(name, model): History(*figures) for name, model, *figures in journal.rows(_HISTORIES)}


def simulated_teachers(journal: Journal) -> frozenset[str]:
    """Names of those whose first or latest reply is of `cotforge simulate`."""
    return frozenset(name for (name,) in journal.rows(_SIMULATED, FINGERPRINT_JSON, FINGERPRINT_JSON))


def unanswered_attempts(journal: Journal) -> dict[str, int]:
    """Attempts that brought no reply and may have been charged for, by error; `unknown` are those without an end."""
    found = journal.rows(
        f"SELECT coalesce(error, 'unknown'), count(*) FROM asked LEFT JOIN replies ON replies.id = asked.id WHERE {_MAYBE} GROUP BY 1"
    )
    return dict(found)


def ended_calls(journal: Journal) -> int:
    """Calls that came to an end, each as often as it was asked: more than there are different ones after a refresh."""
    return int(journal.rows("SELECT total(final) FROM replies")[0][0])


def known_errors(journal: Journal) -> set[str]:
    """Every error with which a Call was given up at some time."""
    return {error for (error,) in journal.rows("SELECT DISTINCT error FROM replies WHERE final AND error IS NOT NULL")}
