"""What follow-ups found out, as rows of a table that a person reads: the same words on the card and in the report."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

_ASKED: Mapping[tuple[str, str], str] = {
    ("verify", "picture"): "its answer is found again from its text without the answer, with the picture",
    ("verify", "no_picture"): "its answer is found again from its text without the answer, and without the picture",
    ("verify", "woven"): "the answer of its woven texts is found again from them without the answer, with the picture",
    ("verify", "hinted"): "the label that it explained is found again from its text without the label, with the picture",
    ("hint", "all"): "explains an answer that is wrong",
    ("probe", "blank"): "gives the same answer for a blank picture",
    ("probe", "swap"): "gives the same answer for the picture of another sample",
    ("seen", "thing"): "things that its texts name and another teacher sees",
    ("seen", "decoy"): "sees things that nobody named",
}
"""By kind and detail of a finding; told of the teacher that wrote the text, and of a decoy of the one that was asked."""
_OF_READERS = (("seen", "decoy"),)


class FindingRow(NamedTuple):
    """One rate of one teacher."""

    teacher: str
    asked: str
    """What was found out, in words that go on from the teacher's name."""
    yes: int
    of: int
    share: float | None
    low: float | None
    """The interval of the share: Wilson, 95 %."""
    high: float | None
    by_guessing: float | None
    """What would be met without looking at the picture; None where that is not known or makes no sense."""


class MarkRow(NamedTuple):
    """The marks for one dimension of a rubric."""

    dimension: str
    marks: int
    mean: float | None
    traces: int
    """That two judges or more marked."""
    alpha: float | None
    """Krippendorff's alpha, ordinal."""
    alpha_interval: float | None
    people: int
    """Texts that people marked too."""
    difference: float | None
    """Mean absolute difference between the judges' mean and people's."""
    above: float | None
    """By how much the judges' mean lies above people's, on average."""
    alpha_people: float | None
    """Krippendorff's alpha of the judges' mean and people's, interval."""


def rate_tables(found: Mapping[str, Any]) -> list[tuple[str, str, list[FindingRow]]]:
    """(what it is about, whom a row is about, rows) of the rates in what `FindingTally.summary` gives: of writers, then of readers."""
    writers, readers = list[FindingRow](), list[FindingRow]()
    for kind in dict.fromkeys(kind for kind, _ in _ASKED):
        for teacher, details in found.get(kind, {}).items():
            for detail, told in details.items():
                low, high = told["interval"] or (None, None)
                asked = _ASKED.get((kind, detail), f"{kind} {detail}")
                row = FindingRow(teacher, asked, told["yes"], told["of"], told["share"], low, high, told.get("by_guessing"))
                (readers if (kind, detail) in _OF_READERS else writers).append(row)
    tables = [("What was found about texts, by the teacher that wrote them:", "writer", writers)]
    tables += [("What was found about teachers that looked for things in pictures:", "reader", readers)]
    return [table for table in tables if table[2]]


def mark_rows(found: Mapping[str, Any]) -> list[MarkRow]:
    """The dimensions of the judges' rubric, in its order; none where nobody judged."""
    rows = []
    for name, told in found.get("judge", {}).get("dimensions", {}).items():
        people = told["people"] or {}
        rows.append(
            MarkRow(
                name,
                told["marks"],
                told["mean"],
                told["traces_with_two_judges"],
                told["alpha_ordinal"],
                told["alpha_interval"],
                people.get("traces", 0),
                people.get("mean_absolute_difference"),
                people.get("mean_difference"),
                people.get("alpha_interval"),
            )
        )
    return rows


def writer_marks(found: Mapping[str, Any]) -> list[tuple[str, list[float | None]]]:
    """(teacher, mean mark of what it wrote for each dimension of the rubric, in its order)."""
    judged = found.get("judge", {})
    return [(writer, [means.get(name) for name in judged["dimensions"]]) for writer, means in judged.get("writers", {}).items()]


def finding_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each teacher that wrong labels were planted on, and one for the phrase that most woven texts share."""
    for teacher, details in found.get("hint", {}).items():
        barred = "; barred from explaining labels" if details["all"].get("barred") else ""
        yield f"Wrong labels to explain, {teacher}: {details['all']['in_words']}{barred}"
    if phrase := found.get("commonest_phrase"):
        share = f"{phrase['share']:.1%} of {phrase['texts']:,} woven texts"
        yield f"The commonest five words of woven texts, \u201c{phrase['phrase']}\u201d, are in {share}"


def check_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """For the console: a line for each kind of check with what it found over all teachers, and one for each teacher that is barred."""
    for kind, name, of_details in _SUMMED:
        told = [words for detail, of in of_details.items() if (words := _summed_rate(found.get(kind, {}), detail, of))]
        if told:
            yield f"{name}: {', '.join(told)}"
    if rows := mark_rows(found):
        marks = (f"{row.dimension} {_mark_text(row.mean)} (alpha {_mark_text(row.alpha)})" for row in rows)
        yield f"judge: mean marks, and how far judges agree: {', '.join(marks)}"
    for teacher, details in found.get("hint", {}).items():
        if details["all"].get("barred"):
            yield f"rescue: {teacher} is barred from explaining labels, as it {details['all']['in_words']}"


_SUMMED: Sequence[tuple[str, str, Mapping[str, str]]] = (
    (
        "verify",
        "texts checked by readers",
        {
            "picture": "confirmed with the picture",
            "no_picture": "confirmed without it",
            "woven": "woven ones confirmed",
            "hinted": "explained labels confirmed",
        },
    ),
    ("probe", "probe", {"blank": "answers survive a blank picture", "swap": "survive the picture of another sample"}),
)
"""(kind of a finding, how its line begins, what a rate is of, by detail)."""


def _summed_rate(teachers: Mapping[str, Any], detail: str, of: str) -> str:
    """One rate over all teachers; empty where none has it."""
    rates = [details[detail] for details in teachers.values() if detail in details]
    yes, whole = sum(rate["yes"] for rate in rates), sum(rate["of"] for rate in rates)
    if not whole:
        return ""
    guesses = [(rate["of"], rate["by_guessing"]) for rate in rates if rate.get("by_guessing") is not None]
    guessed = sum(times * share for times, share in guesses) / sum(times for times, _ in guesses) if guesses else None
    return f"{yes:,} of {whole:,} {of} ({yes / whole:.1%}{'' if guessed is None else f'; {guessed:.1%} by guessing'})"


def _mark_text(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def judge_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each judge: how many replies, and how many marks they lack."""
    for judge, told in found.get("judge", {}).get("judges", {}).items():
        flat = "" if told["flat"] is None else f"; it gave {told['flat']:g} for everything"
        yield f"{judge}: {told['marks']:,} marks in {told['replies']:,} replies, {told['missing_marks']:,} could not be read{flat}"


ORIGINS: Mapping[str, str] = {
    "solve": "written by a teacher that never saw the label",
    "rescue": "explained by a teacher that was told the label, then derived again by others",
    "woven": "put together from the traces of several teachers, right and wrong",
}
"""Where the text of a lesson comes from."""


def origin_rows(origins: Mapping[str, int]) -> Sequence[tuple[str, str, int]]:
    """(origin, in words, lessons) of each origin that has lessons."""
    return [(origin, words, origins[origin]) for origin, words in ORIGINS.items() if origins.get(origin)]


FOUND_WORDS = {
    "lines": finding_lines,
    "rates": rate_tables,
    "marks": mark_rows,
    "writers": writer_marks,
    "judges": judge_lines,
    "origins": origin_rows,
}
"""For templates."""
