"""The page with many samples: cards of one page of them, and the filters with their counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cotforge.given_answers import GoldSheet
from cotforge.view.page_words import STATES, TITLES, reason_words, value_words
from cotforge.view.sample_filter import LONGEST, ORDERS, Narrowed, SampleFilter
from cotforge.view.sample_index import SampleIndex
from cotforge.view.shown_pictures import ShownPictures
from cotforge.view.viewed_run import OpenedDataset

PAGE = 48
"""Cards of a page: divisible by 2, 3, 4 and 6 columns."""
LISTED = 12
"""Values of a filter that are shown at once; the rest can be unfolded, up to MOST."""
MOST = 200
CLIPPED = 160
"""Characters of an answer or id on a card."""


@dataclass(frozen=True, slots=True)
class FacetRow:
    """One value of a filter."""

    text: str
    count: int
    share: float
    """Of the largest count of the filter, in percent."""
    link: str
    is_set: bool


@dataclass(frozen=True, slots=True)
class Facet:
    """One filter with its values."""

    name: str
    title: str
    rows: Sequence[FacetRow]
    more: int
    """Values beyond those in `rows`."""


@dataclass(frozen=True, slots=True)
class CardVote:
    """What one teacher said, as a dot on a card."""

    teacher: str
    answer: str
    kind: str
    """`agrees` with the answer of the sample, `differs`, or `silent` where nothing could be read."""


@dataclass(frozen=True, slots=True)
class SampleCard:
    """One sample of a page."""

    id: str
    link: str
    verdict: str
    reason: str
    answer: str | None
    label: str | None
    is_conflict: bool
    confidence: float | None
    votes: Sequence[CardVote]
    picture: str
    """The address of its first picture; empty where there is none."""
    pictures: int
    checked: str


@dataclass(frozen=True, slots=True)
class HistogramBar:
    """One part of the histogram of a measure."""

    x: float
    height: float
    link: str
    title: str
    is_set: bool


@dataclass(frozen=True, slots=True)
class ListPage:
    """All that the template of the list shows."""

    wanted: SampleFilter
    cards: Sequence[SampleCard]
    facets: Sequence[Facet]
    chips: Sequence[tuple[str, str]]
    """(words, address without it) of each filter that is set."""
    orders: Sequence[tuple[str, str, bool]]
    """(words, address, whether it is this one)."""
    measures: Sequence[str]
    bars: Sequence[HistogramBar]
    low: float | None
    high: float | None
    """Of the values of the measure."""
    total: int
    left: int
    first: int
    """Place of the first card, from 1."""
    earlier: str | None
    later: str | None
    """Addresses of the pages beside this one."""
    searched: float
    """Share of the traces that were searched for the text, in [0, 1]."""


def list_page(
    opened: OpenedDataset, wanted: SampleFilter, found: Narrowed, *, after: str, pictures: ShownPictures, sheet: GoldSheet, searched: float
) -> ListPage:
    """The page behind the sample whose key is `after`; the first one where that is empty.

    Raises JournalError.
    """
    start = _start_place(opened, found, after)
    numbers = [int(number) for number in found.numbers[start : start + PAGE]]
    beyond, before = start + PAGE < len(found.numbers), max(start - PAGE, 0)
    histogram, index = found.histogram, opened.index
    return ListPage(
        wanted=wanted,
        cards=_make_cards(opened, wanted, numbers, pictures, sheet),
        facets=[facet for name in TITLES if (facet := _make_facet(name, found.facets[name], wanted, index))],
        chips=_filter_chips(wanted, index),
        orders=[(value_words("order", order, index), f"./?{wanted.to_query(order=order)}", order == wanted.order) for order in ORDERS],
        measures=index.measures,
        bars=_histogram_bars(wanted, found),
        low=histogram.low if histogram else None,
        high=histogram.high if histogram else None,
        total=len(index),
        left=len(found.numbers),
        first=start + 1 if numbers else 0,
        earlier=f"./?{wanted.to_query(**_after_filter(opened, found, before))}" if start else None,
        later=f"./?{wanted.to_query(after=index.key(numbers[-1]))}" if beyond else None,
        searched=searched,
    )


def clip_text(text: str, most: int = CLIPPED) -> str:
    """A text cut to so many characters."""
    return text if len(text) <= most else f"{text[:most]}…"


def _start_place(opened: OpenedDataset, found: Narrowed, after: str) -> int:
    number = opened.index.number_of(after) if after else None
    place = None if number is None else found.place_of(number)
    return 0 if place is None else place + 1


def _after_filter(opened: OpenedDataset, found: Narrowed, start: int) -> dict[str, str]:
    return {"after": opened.index.key(int(found.numbers[start - 1]))} if start else {}


def _make_cards(
    opened: OpenedDataset, wanted: SampleFilter, numbers: Sequence[int], pictures: ShownPictures, sheet: GoldSheet
) -> list[SampleCard]:
    digests = pictures.picture_digests(opened, numbers)
    late = pictures.may_come
    return [_make_card(opened.index, wanted, number, digests.get(number, None if late else []), sheet) for number in numbers]


def _make_card(index: SampleIndex, wanted: SampleFilter, number: int, digests: Sequence[str] | None, sheet: GoldSheet) -> SampleCard:
    row, key = index.row(number), index.key(number)
    return SampleCard(
        id=clip_text(row["id"]),
        link=f"./sample?{wanted.to_query(key=key)}",
        verdict=row["verdict"],
        reason=reason_words(row),
        answer=clip_text(row["answer"]) if row["answer"] is not None else None,
        label=clip_text(row["label"]) if row["label"] is not None else None,
        is_conflict=row["conflict"],
        confidence=row["confidence"],
        votes=_card_votes(index, row),
        picture=f"./picture/{digests[0]}?at={key}&small=1" if digests else f"./first-picture?at={key}" if digests is None else "",
        pictures=len(digests or ()),
        checked=sheet.state(row["id"]),
    )


def _card_votes(index: SampleIndex, row: Mapping[str, Any]) -> list[CardVote]:
    said = zip(*(column.slice_words(row["first"], row["count"]) for column in (index.traces.teacher, index.traces.answer)), strict=True)
    return [CardVote(teacher or "", clip_text(answer or "no answer", 60), _vote_kind(answer, row["answer"])) for teacher, answer in said]


def _vote_kind(said: str | None, answer: str | None) -> str:
    return "silent" if said is None else "agrees" if said == answer else "differs"


def _make_facet(name: str, counted: Sequence[tuple[str, int]], wanted: SampleFilter, index: SampleIndex) -> Facet | None:
    """None where there is nothing to choose."""
    chosen = getattr(wanted, name)
    if index.is_live and name == "verdict":
        return None
    if not counted or (len(counted) == 1 and not chosen and name not in ("conflict", "verdict")):
        return None
    counted = [(value, count) for value, count in counted if len(value) <= LONGEST]
    most = max((count for _, count in counted), default=1)
    rows = [
        FacetRow(
            clip_text(value_words(name, value, index), 60),
            count,
            100 * count / most,
            f"./?{wanted.to_query(**{name: '' if value == chosen else value})}",
            value == chosen,
        )
        for value, count in counted[:MOST]
    ]
    return Facet(name, STATES if index.is_live and name == "reason" else TITLES[name], rows, max(len(counted) - MOST, 0))


def _filter_chips(wanted: SampleFilter, index: SampleIndex) -> list[tuple[str, str]]:
    given = {name: value for name in TITLES if (value := getattr(wanted, name))}
    chips = [
        (f"{TITLES[name]}: {clip_text(value_words(name, value, index), 60)}", f"./?{wanted.to_query(**{name: ''})}")
        for name, value in given.items()
    ]
    if wanted.text:
        chips.append((f"Text: {clip_text(wanted.text, 60)}", f"./?{wanted.to_query(text='')}"))
    if wanted.measure and (wanted.min is not None or wanted.max is not None):
        low, high = (f"{bound:g}" if bound is not None else "…" for bound in (wanted.min, wanted.max))
        chips.append((f"{wanted.measure} from {low} to {high}", f"./?{wanted.to_query(min=None, max=None)}"))
    return chips


def _histogram_bars(wanted: SampleFilter, found: Narrowed) -> list[HistogramBar]:
    histogram = found.histogram
    if histogram is None:
        return []
    most, bars = max(histogram.counts), []
    for place, count in enumerate(histogram.counts):
        low, high = histogram.bar_edges(place)
        is_set = (wanted.min is None or high > wanted.min) and (wanted.max is None or low < wanted.max)
        link = f"./?{replace(wanted, min=float(f'{low:.6g}'), max=float(f'{high:.6g}')).to_query()}"
        bars.append(HistogramBar(10.0 * place, round(40 * count / most, 2), link, f"{count:,} traces from {low:.4g} to {high:.4g}", is_set))
    return bars
