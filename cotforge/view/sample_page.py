"""The page of one sample: picture, question, votes, traces side by side, measures, what was lost, and what people say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cotforge.errors import CotforgeError
from cotforge.given_answers import GivenAnswer, GoldSheet
from cotforge.reasons import short_fate
from cotforge.view.list_page import clip_text
from cotforge.view.page_words import reason_words
from cotforge.view.sample_filter import Narrowed, SampleFilter
from cotforge.view.sample_texts import lesson_of, losses_of, traces_of
from cotforge.view.shown_pictures import ShownPictures
from cotforge.view.viewed_run import OpenedDataset, ViewedRun

LONGEST_TEXT = 20_000
"""Characters of a reasoning that a page holds; the whole is one click away."""
LONGEST_ANSWER = 2_000
"""Characters of an answer, label or option: cotforge reads no longer one, but a dataset may be anybody's."""
OPTIONS = 200
"""Options of a question that are listed."""
SEGMENTS = 200
"""Parts of a woven text that are shown."""
WAIT_S = 0.3
"""Seconds that a page waits for what is read in the background."""


@dataclass(frozen=True, slots=True)
class ViewedTrace:
    """One trace."""

    teacher: str
    model: str
    origin: str
    answer: str | None
    agrees: bool | None
    """Whether its answer is that of the sample; None where it has none."""
    fate: str
    fate_kind: str
    """The first word of the fate, for its colour."""
    text: str
    whole: str
    """The address of the whole text, where it is longer; else empty."""
    length: int
    figures: Sequence[tuple[str, str]]
    measures: Mapping[str, float | None]
    segments: Sequence[tuple[str, str]] = ()
    """(kind, text) of each part of a woven text."""


@dataclass(frozen=True, slots=True)
class AnswerVotes:
    """Who gave one answer."""

    answer: str
    teachers: Sequence[str]
    share: float
    """Of all ballots, in percent."""
    is_answer: bool
    is_label: bool


@dataclass(frozen=True, slots=True)
class SamplePage:
    """All that the template of a sample shows."""

    key: str
    id: str
    row: Mapping[str, Any]
    reason: str
    question: str
    options: Sequence[str]
    pictures: Sequence[str]
    """Addresses."""
    waits: bool
    """Whether the source is not read yet up to this sample."""
    votes: Sequence[AnswerVotes]
    traces: Sequence[ViewedTrace]
    measures: Sequence[str]
    losses: Sequence[Mapping[str, Any]]
    mine: GivenAnswer | None
    others: Sequence[GivenAnswer]
    place: int | None
    """Among the samples of the list, from 1."""
    left: int
    back: str
    earlier: str | None
    later: str | None
    ahead: Sequence[str]
    """Addresses of the pictures of the next sample, to be fetched early."""
    closed_to_answers: str
    """Why no answer can be saved; empty where it can."""


@dataclass(frozen=True, slots=True)
class SampleAsked:
    """Which sample is wanted, out of which list."""

    number: int
    wanted: SampleFilter
    found: Narrowed


def sample_page(
    run: ViewedRun, opened: OpenedDataset, asked: SampleAsked, *, pictures: ShownPictures, sheet: GoldSheet, person: str
) -> SamplePage:
    """The page of one sample. Raises CotforgeError."""
    number, row = asked.number, opened.index.row(asked.number)
    key, label = opened.index.key(number), row["label"]
    lesson = lesson_of(opened, number)
    sample = None if lesson else run.source_sample(row["id"], seconds=WAIT_S)
    if sample is not None:
        label = sample.label
    traces = traces_of(run, opened, number)
    digests = pictures.picture_digests(opened, [number]).get(number, [])
    said = sheet.answers.get(row["id"], ())
    question, options = (sample.question, sample.options) if sample else (lesson.get("question") or "", lesson.get("options") or ())
    place = asked.found.place_of(number)
    shown = {"answer": row["answer"], "label": label}
    return SamplePage(
        key=key,
        id=row["id"],
        row=dict(row) | {name: None if word is None else clip_text(word, LONGEST_ANSWER) for name, word in shown.items()},
        reason=reason_words(row),
        question=clip_text(question or _of_task(run, "question"), LONGEST_TEXT),
        options=tuple(option for option in options or _of_task(run, "closed") if len(option) <= LONGEST_ANSWER)[:OPTIONS],
        pictures=[f"./picture/{digest}?at={key}" for digest in digests],
        waits=not lesson and sample is None and not run.progress[1] and not run.progress[2],
        votes=_count_votes(traces, row["answer"], label),
        traces=[_show_trace(trace, row["answer"], place, key, lesson) for place, trace in enumerate(traces)],
        measures=[name for name in opened.index.measures if any(trace["measures"].get(name) is not None for trace in traces)],
        losses=losses_of(run, opened, number),
        mine=next((one for one in said if one.person == person), None),
        others=[one for one in said if one.person != person],
        place=None if place is None else place + 1,
        left=len(asked.found.numbers),
        back=_list_address(opened, asked, place),
        **_beside_sample(opened, asked, place, pictures),
        closed_to_answers=_why_closed(run, row["id"]),
    )


def _of_task(run: ViewedRun, name: str) -> Any:
    """A value of the task; nothing where the pipeline cannot be read, or not yet."""
    try:
        return getattr(run.wait_for_pipeline(WAIT_S).pipeline.task, name) or ""
    except (CotforgeError, TimeoutError):
        return ""


def _why_closed(run: ViewedRun, id: str) -> str:
    if not id:
        return "This row of the source became no sample."
    try:
        run.wait_for_pipeline(WAIT_S)
    except CotforgeError as fault:
        return f"Answers cannot be saved: {clip_text(fault.faults[0], 300)}"
    except TimeoutError:
        return ""
    return ""


def _count_votes(traces: Sequence[Mapping[str, Any]], answer: str | None, label: str | None) -> list[AnswerVotes]:
    """The ballots, the most frequent answer first."""
    by_answer: dict[str, list[str]] = {}
    for trace in traces:
        if trace["answer"] is not None and trace["origin"] in ("solve", "vote"):
            by_answer.setdefault(trace["answer"], []).append(trace["teacher"])
    count = sum(map(len, by_answer.values()))
    ranked = sorted(by_answer.items(), key=lambda one: (-len(one[1]), one[0]))
    return [AnswerVotes(clip_text(said), names, 100 * len(names) / count, said == answer, said == label) for said, names in ranked]


def _show_trace(trace: Mapping[str, Any], answer: str | None, place: int, key: str, lesson: Mapping[str, Any]) -> ViewedTrace:
    text, fate = trace["reasoning"] or "", trace["fate"] or ""
    parts = (lesson.get("segments") or ()) if lesson.get("call") == trace["call"] else ()
    figures = [("tokens in", trace["input_tokens"]), ("tokens out", trace["output_tokens"]), ("finish", trace["finish_reason"])]
    figures += [("read as", trace["read_as"])] if trace["read_as"] not in ("tags", "", None) else []
    if trace["cost_usd"]:
        figures.append(("cost", f"${trace['cost_usd']:.4f}" if trace["cost_usd"] >= 0.00005 else "below $0.0001"))
    if trace["fate_value"] is not None:
        figures.append(("filtered at", f"{trace['fate_value']:.4g}"))
    return ViewedTrace(
        teacher=trace["teacher"],
        model=trace["model"],
        origin=trace["origin"],
        answer=clip_text(trace["answer"]) if trace["answer"] is not None else None,
        agrees=None if trace["answer"] is None else trace["answer"] == answer,
        fate=short_fate(fate),
        fate_kind=fate.partition(":")[0],
        text=clip_text(text, LONGEST_TEXT),
        whole=f"./text?at={key}&trace={place}" if len(text) > LONGEST_TEXT else "",
        length=len(text),
        figures=[(name, f"{value:,}" if isinstance(value, int) else str(value)) for name, value in figures if value not in (None, "")],
        measures=trace["measures"],
        segments=[(part["kind"], clip_text(part["text"], LONGEST_TEXT)) for part in parts][:SEGMENTS],
    )


def _list_address(opened: OpenedDataset, asked: SampleAsked, place: int | None) -> str:
    """The page of the list with this sample on it, near its beginning."""
    before = None if not place else int(asked.found.numbers[place - 1])
    return f"./?{asked.wanted.to_query(after=opened.index.key(before) if before is not None else '')}"


def _beside_sample(opened: OpenedDataset, asked: SampleAsked, place: int | None, pictures: ShownPictures) -> dict[str, Any]:
    """`earlier`, `later` and `ahead`.

    Where the list no longer has the sample, they are of what comes after it in the source.
    """
    numbers = asked.found.numbers
    if place is None:
        earlier, later = None, next((int(number) for number in numbers if number > asked.number), None)
    else:
        earlier = int(numbers[place - 1]) if place else None
        later = int(numbers[place + 1]) if place + 1 < len(numbers) else None
    links = [None if one is None else f"./sample?{asked.wanted.to_query(key=opened.index.key(one))}" for one in (earlier, later)]
    digests = [] if later is None else pictures.picture_digests(opened, [later]).get(later, [])
    ahead = [f"./picture/{digest}?at={opened.index.key(later)}" for digest in digests] if later is not None else []
    return {"earlier": links[0], "later": links[1], "ahead": ahead}
