"""The nouns of the house, as plain values. Nothing here reads, asks or decides."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from cotforge.endings import Closing
from cotforge.findings import Finding, FollowUpCounts
from cotforge.plain_record import Record

Origin = Literal["solve", "vote", "rescue", "woven", "verify", "probe", "judge"]
"""What a Trace is for: a reasoned answer, a short answer that only counts, a trace after a hint, one put together from several.

The last three are of Calls that check another trace: its reasoning without the answer, another picture, or marks for it.
"""
ReadingFault = Literal["no_answer", "two_answers", "not_an_option", "placeholder", "truncated", "empty", "content_filter", "no_reasoning"]
"""Why a Reply is of no use though a text came."""
VoteReason = Literal[
    "", "no_ballots", "tie", "no_majority", "not_unanimous", "below_target", "one_teacher", "label_gate", "label_missing",
    "ambiguous", "gold_unsaid", "not_asked", "not_wanted",
]  # fmt: skip
"""Why a Verdict was not accepted; empty where it was."""
TraceFate = Literal["lesson", "surplus", "filter", "wrong", "unread", "undecided", "vote", "gate", "check"]
"""What became of a Trace: `surplus` is good, but `select` took others; `undecided` has no verdict; `vote` only counts.

`gate` is a rescued or woven text that did not pass its own checks; `check` is a reply about another trace.
"""


@dataclass(frozen=True, slots=True)
class Picture(Record):
    """An image as it is sent to teachers and packed into the dataset."""

    digest: str
    """sha256, hex, of the bytes `load` returns."""
    mime: str
    """image/jpeg, image/png or image/webp."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    size: int
    """Bytes."""
    load: Callable[[], bytes] = field(repr=False, compare=False)
    """Reads the bytes anew; may be called any time, from any thread. Raises `Fault` where the file has changed or gone."""
    file: str | None = field(default=None, repr=False, compare=False)
    """The absolute path of a file that holds exactly these bytes; None where there is none."""

    @property
    def place(self) -> str:
        """Where the data has it, whatever is sent of it: the path of a file, or a place in one; the digest where that is not known."""
        return str(getattr(self.load, "place", self.digest))


@dataclass(frozen=True, slots=True)
class Sample(Record):
    """One image, or several, with a question and, where known, a label."""

    id: str
    pictures: tuple[Picture, ...]
    question: str
    options: tuple[str, ...] = ()
    """Canonical labels of the closed set, in the file's order; empty for a free answer."""
    label: str | None = None
    """The raw label, canonical (one of `options`, or a comparable free answer); None where unknown."""
    split: str = "train"
    meta: Mapping[str, Any] = field(default_factory=dict)
    where: str = ""
    """File and line, for messages."""
    own: tuple[Picture, ...] = ()
    """Those of the row itself, where `pictures` are those of a near-duplicate that is asked about in its place; else empty."""

    @property
    def lesson_pictures(self) -> tuple[Picture, ...]:
        """Those that a student learns from."""
        return self.own or self.pictures


class Fault(Exception):
    """Why one row, image or file of the data did not become a Sample: data to be counted, not an error of the run."""

    def __init__(self, reason: str, detail: str = "", *, where: str = "", id: str | None = None, stage: str = "source") -> None:
        super().__init__(f"{where}: {detail or reason}" if where else detail or reason)
        self.reason = reason
        """A short word in snake_case: the summary counts it as `<stage>:<reason>`."""
        self.detail = detail
        self.where = where
        self.id = id
        self.stage = stage
        """`source`, or `dedup` for a row that is sound and left out as a duplicate."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _make_fault, (self.reason, self.detail, self.where, self.id, self.stage)


def _make_fault(reason: str, detail: str, where: str, id: str | None, stage: str) -> Fault:
    return Fault(reason, detail, where=where, id=id, stage=stage)


@dataclass(frozen=True, slots=True)
class Call(Record):
    """Exactly what one teacher is asked about one Sample."""

    key: str
    """sha256, hex, of what is asked: see `prompts.key_of`."""
    sample: Sample
    teacher: str
    model: str
    index: int
    """Which of the teacher's `samples` this is, from 0."""
    messages: tuple[Mapping[str, Any], ...]
    """Chat messages in OpenAI's form; an image part is `{"type": "image", "digest": ...}` until it is sent."""
    origin: Origin = "solve"


class OutcomeKind(StrEnum):
    """What became of one attempt at a Call."""

    ANSWERED = "answered"
    """A whole text came back."""
    CUT_OFF = "cut_off"
    """A text came back that ended at `max_tokens`: good only under that limit or a lower one."""
    FILTERED = "filtered"
    """A content filter stopped the request or the text: final."""
    REFUSED = "refused"
    """The server refused this very request: final."""
    PASSING = "passing"
    """It failed for a reason that may pass (timeout, 5xx, connection): the next build asks again."""
    ACCOUNT = "account"
    """The key, the account or its quota was refused: about the teacher, so the next build asks again."""
    GONE = "gone"
    """The model, or something that the server needs, is not there: about the teacher, so the next build asks again."""


NOT_ASKED = "not_asked"
"""The error of a Call without any reply: nobody was asked, or not to the end."""


@dataclass(frozen=True, slots=True)
class Outcome(Record):
    """What became of one attempt at a Call, in the server's own words where it has any."""

    kind: OutcomeKind
    error: str | None = None
    """The published short word (`timeout`, `connection`, `500`, `400`, `content_filter`, ...); None where a text came back."""
    detail: str = ""
    """One line without secrets: what the server said, or what was noticed about its reply."""
    retry: bool = False
    """Whether another attempt within this run makes sense."""
    after: float | None = None
    """Seconds to leave the server alone, as it asked, but no more than `MOST_WAIT_S`; None where it did not say."""
    asked_wait: float | None = None
    """Seconds that it asked for, where they were more than that."""
    unreached: bool = False
    """No connection was made: nothing was paid, and the replica may be gone."""
    busy: bool = False
    """The server had no room (429, or an overload that says so): nothing was paid, and fewer should be in flight."""
    closes: Closing | None = None
    """Why this teacher should be asked nothing more in this run; None where asking can go on."""
    of_request: bool = False
    """The server named the request itself (too long, a picture it cannot read): never taken as a fault of the teacher."""

    @property
    def passing(self) -> bool:
        """Whether the next build asks the Call again."""
        return self.kind in (OutcomeKind.PASSING, OutcomeKind.ACCOUNT, OutcomeKind.GONE)

    @property
    def has_text(self) -> bool:
        """Whether a reply came, whole or cut off, filtered or not."""
        return self.error is None


ANSWERED = Outcome(OutcomeKind.ANSWERED)


@dataclass(frozen=True, slots=True)
class Reply(Record):
    """What came back for a Call: text and counts, or why there is none."""

    key: str
    content: str = ""
    reasoning: str = ""
    """What the server gave as reasoning, apart from the content; empty where there was none."""
    finish_reason: str = ""
    """`stop`, `length`, `content_filter`, `tool_calls`, or the server's own word where it is none that is known."""
    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int | None = None
    """As reported by the server; None where it does not say."""
    cost_usd: float = 0.0
    seconds: float = 0.0
    max_tokens: int | None = None
    """The limit that was in force; a reply cut off by `length` is good only up to it."""
    outcome: Outcome = ANSWERED
    unread_field: str = ""
    """A field of the message that is not known, with a long text in it, where no reasoning was found."""
    probability: float | None = None
    """With which its model said the final answer, given all before it, in [0, 1]; None where the server gave no log probabilities."""

    @property
    def error(self) -> str | None:
        """The published short word where no text came; None where one did."""
        return self.outcome.error

    @property
    def detail(self) -> str:
        return self.outcome.detail

    @property
    def passing(self) -> bool:
        """Whether the next build asks again."""
        return self.outcome.passing


SENTENCES = "sentences"
"""`Trace.read_as` where no teacher wrote the text as a whole: it is joined of sentences of several replies, and is no reply itself."""


def unasked_reply(key: str) -> Reply:
    """What stands for the Reply of a Call that was not asked, or not to the end."""
    return Reply(key, outcome=Outcome(OutcomeKind.PASSING, NOT_ASKED))


@dataclass(frozen=True, slots=True)
class Trace(Record):
    """A Reply read: reasoning and a comparable answer."""

    call: str
    """The Call's key."""
    teacher: str
    model: str
    index: int
    reasoning: str
    answer: str | None
    """Canonical label or comparable free answer; None where none could be read (then `fault` says why)."""
    read_as: str = "tags"
    """How it was read: `tags`, or the readings that were needed, joined by `+` (see `answers.read`)."""
    fault: ReadingFault | None = None
    """Why `answer` is None; a text that was cut off (`truncated`) may have one."""
    well_formed: bool = False
    """One reasoning, then one answer, and nothing else."""
    finish_reason: str = "stop"
    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float = 0.0
    origin: Origin = "solve"
    unread_field: str = ""
    """See `Reply`."""
    probability: float | None = None
    """Of the answer; see `Reply`."""
    marks: Mapping[str, float | None] = field(default_factory=dict)
    """What follow-ups found out about it, by measure: `verified`, `grounded`, `judge_<dimension>`, ..."""


@dataclass(frozen=True, slots=True)
class Ballot(Record):
    """All that a vote may know."""

    teacher: str
    answer: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Verdict(Record):
    """What the teachers agreed on, and how sure."""

    answer: str | None
    """The leading answer; None on a tie or without ballots."""
    confidence: float
    """In [0, 1]: the winner's share, or its posterior."""
    accepted: bool
    reason: VoteReason = ""
    ballots: tuple[Ballot, ...] = ()
    """The teachers' ballots (never the label's)."""
    label_conflict: bool = False
    """A label is known, an answer was accepted, and they differ."""
    soft_label: tuple[tuple[str, float], ...] = ()
    """(answer, probability above 0) of the options, in their order; empty where it is not asked for, or the rule has none."""
    unpromised: bool = False
    """Not accepted because of `consensus.promise` alone: the teachers agree as surely as the rule itself asks for."""


@dataclass(frozen=True, slots=True)
class Gold(Record):
    """What people agree on about the samples they checked."""

    answers: Mapping[str, str] = field(default_factory=dict)
    """id to canonical answer, of the samples on which all agree."""
    ambiguous: frozenset[str] = frozenset()
    """ids on which people disagree, or of which one wrote that it cannot be told."""
    drawn: Mapping[str, float] = field(default_factory=dict)
    """id to the probability with which it was drawn for people to check, in (0, 1]; what it lacks was drawn as improbably as any other."""

    @property
    def checked(self) -> frozenset[str]:
        """ids of all samples that people looked at."""
        return self.ambiguous.union(self.answers)


@dataclass(frozen=True, slots=True)
class Judged(Record):
    """A Trace with its measures and its fate."""

    trace: Trace
    fate: TraceFate
    because: str = ""
    """The measure whose filter dropped it, the check that it failed, or why it was not read; empty for every other fate."""
    fate_value: float | None = None
    """The measure's value, where a filter dropped it."""
    measures: Mapping[str, float | None] = field(default_factory=dict)
    said: str = ""
    """Of one that was not read: the beginning of the reply, on one line of at most 200 characters; of a duplicate: what it repeats."""
    offered: str = ""
    """Of one whose answer is none of the options: that answer, on one line of at most 80 characters; empty for every other."""
    segments: tuple[tuple[str, str], ...] = ()
    """(kind, text) of each part of a woven reasoning, in order; empty for every other trace."""
    language: str | None = None
    """Tag of the reasoning's language (`en`); None where it was not looked at, or cannot be told."""

    @property
    def fate_word(self) -> str:
        """The fate as it is published: `filter:<measure>`, `gate:<check>`, `unread:<fault>`, or the bare word."""
        return f"{self.fate}:{self.because}" if self.because else self.fate


@dataclass(frozen=True, slots=True)
class Lesson(Record):
    """A Sample with the Trace its student will learn from, and the Verdict: a row of the dataset."""

    sample: Sample
    verdict: Verdict
    judged: Judged
    prompt: str
    """The student's prompt, rendered: the text of the one user message."""
    completion: str
    """What the student learns to say: the text of the one assistant message."""
    mended: str | None = None
    """What was taken out of the Trace's text for it, joined by `+` (see `answers.clean_reasoning`); None where nothing was."""


@dataclass(frozen=True, slots=True)
class CuratedSample(Record):
    """Everything curating found out about one Sample; export, card and summary are made of these."""

    sample: Sample
    verdict: Verdict
    traces: tuple[Judged, ...]
    """Every Call of the present pipeline that has a reply, in the order of the teachers and indexes."""
    lessons: tuple[Lesson, ...] = ()
    prompt: str = ""
    """The student's prompt (also for `pair`)."""
    pair: tuple[str, str] | None = None
    """A right and a wrong completion of this Sample, for preference training."""
    rejected: str = ""
    """Why there is no Lesson: `vote:<verdict.reason>`, `vote:no_replies`, `filter:<measure>`, ...; empty where there is one."""
    failed: tuple[tuple[str, Reply], ...] = ()
    """(teacher, Reply) of the Calls that were given up."""
    findings: tuple[Finding, ...] = ()
    """What follow-ups found out about its traces."""
    skipped: tuple[str, ...] = ()
    """Why a follow-up had nothing to do: `weave:one_trace`, ..."""
    followed: tuple[FollowUpCounts, ...] = ()
    """Of each follow-up of the pipeline, in their order; empty where it has none."""

    @property
    def taught(self) -> Verdict:
        """The Verdict of its Lessons: a rescue's own where the vote accepted none."""
        return self.lessons[0].verdict if self.lessons else self.verdict
