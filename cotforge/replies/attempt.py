"""One attempt at a Call: what was tried, who answered, what became of it, and the Reply, read once."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from cotforge.records import ANSWERED, Outcome, OutcomeKind, Reply
from cotforge.redaction import redact_text
from cotforge.replies import logprobs
from cotforge.replies.chat import Completion, outcome_of, read_completion
from cotforge.replies.finish_reasons import Finish, read_finish
from cotforge.replies.redacted import redact_completion, without_credentials
from cotforge.replies.refusals import read_refusal
from cotforge.replies.text import MOST_PARTS, MOST_TEXT, is_dense, one_line
from cotforge.replies.usage import Most, read_usage

CHARGED = (200, 408, 504, 524)
"""Statuses of a failed attempt after which the work may have been done all the same: a body nobody can read, and gateways' timeouts."""
BROKEN_OFF, NOT_HTTP = "the connection broke after the request was sent", "its answer is not HTTP"
"""How the detail of a `connection` begins that may have been charged: the journal has no other mark of it."""
NOT_SENT = "not_sent"
"""The error of an attempt that was begun and then not made: the run had been stopped."""
DAMAGED = "damaged"
"""The error of a reply that the disk has spoilt: it may pass, for the Call is asked again."""
LONG = 2**18
"""Characters of a text above which it is not held for the running figures of a build (default chosen by us): 65,000 tokens."""
KEPT = 2000
"""Characters of an error's body that are kept."""


@dataclass(slots=True)
class Attempt:
    """One attempt at a Call, as the journal keeps it."""

    number: int
    key: bytes
    """The Call's sha256, 32 bytes."""
    status: int | None
    """HTTP status; None where no answer came."""
    outcome: Outcome
    final: bool = False
    """Whether the Call ended with it: a reply, or given up."""
    finish_reason: str = ""
    """In its common form, see `Reply`."""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0
    max_tokens: int | None = None
    """The limit that was in force."""
    body: str = ""
    """As received, whatever the reader makes of it; the first 2,000 characters of an error's. What held a credential is `redacted`."""
    url: str = ""
    """Who answered."""
    probability: float | None = None
    """Of the final answer, in [0, 1], by the log probabilities of its tokens; None where there were none."""
    refused_field: str = field(default="", compare=False)
    """A field of the request that its server refused, so that it was asked without; empty where it refused none."""
    overcount: str = field(default="", compare=False)
    """What its server counted, or wrote, beyond what can be, on one line; empty where it did not, and where it comes from the journal."""
    held: object = field(default=None, repr=False, compare=False)
    """What is free again once nothing holds it any more; see `let_go`."""
    redacted: bool = False
    """Whether a credential was cut out of what came; not known of one from the journal."""
    _read: Completion | None = field(default=None, repr=False, compare=False)

    @property
    def error(self) -> str | None:
        return self.outcome.error

    @property
    def detail(self) -> str:
        return self.outcome.detail

    @property
    def passing(self) -> bool:
        """Whether the next build asks the Call again."""
        return self.outcome.passing

    @property
    def reply(self) -> Reply:
        """The Reply, without credentials. The body is parsed once, also from the disk; an error `damaged` where the disk has spoilt it."""
        outcome, read = self.outcome, self._read
        if outcome.has_text and read is None:
            read = self._read = redact_completion(read_completion(self.body))
            if not read.outcome.has_text:
                outcome = self.outcome = _SPOILT if read.outcome.error == "bad_body" else read.outcome
        read = read if read is not None and outcome.has_text else _NOTHING
        return Reply(
            self.key.hex(), read.content, read.reasoning, self.finish_reason, self.input_tokens, self.output_tokens,
            read.reasoning_tokens, self.cost_usd, self.seconds, self.max_tokens, outcome, read.unread_field, self.probability,
        )  # fmt: skip

    @property
    def is_blank(self) -> bool:
        """Whether a whole reply came and holds no word."""
        if self.outcome.kind is not OutcomeKind.ANSWERED:
            return False
        reply = self.reply
        return not (reply.content.strip() or reply.reasoning.strip())

    def let_go(self) -> None:
        """Of an attempt that is in the journal: hold no more than its Reply."""
        self.held, self.body = None, ""

    @property
    def is_long(self) -> bool:
        """Whether its text is one that should not be held for long."""
        read = self._read
        return read is not None and len(read.content) + len(read.reasoning) > LONG

    def settles(self, max_tokens: int | None) -> bool:
        """Whether the Call need not be asked (again) under today's `max_tokens`."""
        if self.outcome.kind is OutcomeKind.CUT_OFF:
            return self.max_tokens is None or (max_tokens is not None and self.max_tokens >= max_tokens)
        if not self.outcome.has_text:
            return not self.outcome.passing and self.max_tokens == max_tokens
        return True

    @property
    def may_be_charged(self) -> bool:
        """Whether a server may have done, and charged, the work of an attempt that brought no reply: nobody can tell."""
        broken = self.error == "connection" and self.detail.startswith((BROKEN_OFF, NOT_HTTP))
        return not self.outcome.has_text and (self.status in CHARGED or self.error == "timeout" or broken)

    @property
    def rank(self) -> tuple[int, int]:
        """Of several to one Call the highest counts: a whole reply, one cut off, an error; among equals the latest."""
        if not self.outcome.has_text:
            return 0, self.number
        return 1 if self.outcome.kind is OutcomeKind.CUT_OFF else 2, self.number

    def with_retry(self, retry: bool) -> "Attempt":
        """The same, with another answer to whether another attempt makes sense."""
        return self if retry is self.outcome.retry else replace(self, outcome=replace(self.outcome, retry=retry))


_NOTHING = Completion(ANSWERED)
_SPOILT = Outcome(OutcomeKind.PASSING, DAMAGED, "its copy in the journal cannot be read any more")


def answered_attempt(
    key: str,
    body: str,
    *,
    number: int,
    max_tokens: int | None,
    usd: Callable[[int, int], float],
    estimate: Callable[[], int],
    most: Most | None = None,
    seconds: float = 0.0,
    content_type: str = "application/json",
    span: Callable[[Reply], tuple[str, int, int] | None] | None = None,
    keeps_logprobs: bool = True,
) -> Attempt:
    """What came with status 200, whatever it is: never raises. `usd` prices input and output tokens; `estimate` is the input in tokens,
    for a server that does not count, and `most` what can be believed of one that does. `span`: where (text, start, end) a reply gives its
    answer, for its probability; without `keeps_logprobs` those of single tokens are not kept.
    """
    lean, values = ("", []) if is_dense(body) else logprobs.cut_logprobs(body)
    if lean and not keeps_logprobs:
        body = lean
    read, kept = without_credentials(_bounded_completion(body, content_type), body)
    is_redacted, body = kept is not body, kept
    took = read_usage(read, estimate=estimate, most=most)
    outcome = replace(read.outcome, detail=took.note) if took.note else read.outcome
    attempt = Attempt(
        number, bytes.fromhex(key), 200, outcome, outcome.has_text, read.finish_reason, took.input, took.output,
        usd(took.input, took.output), seconds, max_tokens,
        body if outcome.has_text or read.finish_reason else body[:KEPT],  # text that broke off was paid for
        overcount=took.overcount, redacted=is_redacted, _read=read,
    )  # fmt: skip
    if values and span is not None and outcome.has_text and (found := span(attempt.reply)) is not None:
        attempt.probability = logprobs.text_probability(logprobs.logprob_tokens(values), *found)
    return attempt


def _bounded_completion(body: str, content_type: str) -> Completion:
    """What a body says, where it is not more than any model says."""
    problem = f"it has more than {MOST_PARTS:,} parts" if is_dense(body) else ""
    read = _NOTHING if problem else read_completion(body, content_type)
    if (letters := len(read.content) + len(read.reasoning)) > MOST_TEXT:
        problem = f"its text has {letters:,} characters; at most {MOST_TEXT:,} are read"
    return Completion(Outcome(OutcomeKind.PASSING, "bad_body", f"not a chat completion: {problem}", retry=True)) if problem else read


def failed_attempt(
    key: str,
    outcome: Outcome,
    *,
    number: int,
    max_tokens: int | None,
    seconds: float = 0.0,
    status: int | None = None,
    body: str = "",
) -> Attempt:
    """An attempt that brought no reply."""
    kept, body_kept = replace(outcome, detail=one_line(outcome.detail)), redact_text(body)
    return Attempt(
        number, bytes.fromhex(key), status, kept, seconds=seconds, max_tokens=max_tokens, body=body_kept[:KEPT],
        redacted=body_kept != body,
    )  # fmt: skip


def unsent_attempt(number: int, key: str) -> Attempt:
    """The end of an attempt that nobody was asked in."""
    return Attempt(number, bytes.fromhex(key), None, Outcome(OutcomeKind.PASSING, NOT_SENT))


def damaged_attempt(number: int, key: bytes) -> Attempt:
    """What is left of a reply that the disk has spoilt."""
    told = "its copy in the journal is not as it was written"
    return Attempt(number, key, None, Outcome(OutcomeKind.PASSING, DAMAGED, told), final=True)


def outcome_of_row(status: int | None, error: str | None, detail: str, *, passing: bool, finish_reason: str, body: str) -> Outcome:
    """What became of an attempt that a journal holds, also one that an earlier version wrote and judged.

    A refusal that was taken for one of the request is read once more: it may be about the account, or be a filter's.
    """
    if error is None:
        if finish_reason in ("stop", "") and not detail:
            return ANSWERED
        known = read_finish(finish_reason)
        if known is Finish.ERROR:
            return Outcome(OutcomeKind.PASSING, "error", f"finish_reason {finish_reason!r}: the server gave up before the end")
        return replace(outcome_of(known), detail=detail)
    if error == "content_filter":
        return Outcome(OutcomeKind.FILTERED, error, detail)
    again = read_refusal(status, body) if status is not None and status >= 400 else None
    if again is None:
        return Outcome(OutcomeKind.PASSING if passing else OutcomeKind.REFUSED, error, detail)
    if again.kind is OutcomeKind.FILTERED:
        return Outcome(OutcomeKind.FILTERED, "content_filter", detail)
    if again.kind is OutcomeKind.REFUSED:
        return Outcome(OutcomeKind.PASSING if passing else OutcomeKind.REFUSED, error, detail, of_request=again.of_request)
    return Outcome(again.kind, error, detail)
