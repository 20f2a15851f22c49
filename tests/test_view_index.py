"""The viewer's index: what it says of each sample, and that its filters find what one finds by looking at every row."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outcomes import filtered, judged, lesson, mixed, sample, trace, undecided, unheard, verdict

from cotforge.export import Exported, export_dataset
from cotforge.given_answers import GivenAnswer, GoldSheet
from cotforge.records import CuratedSample, Fault
from cotforge.tally import Tally
from cotforge.view.index_reader import DatasetIndex, read_index
from cotforge.view.page_words import reason_words, value_words
from cotforge.view.sample_filter import ORDERS, Narrowed, SampleFilter, narrow_samples
from cotforge.view.shard_rows import ShardRows
from cotforge.view.text_search import found_in_ids, found_in_traces

COUNT = 60


def exported(folder: Path, outcomes: list[CuratedSample | Fault]) -> DatasetIndex:
    """A dataset of these, and its index."""
    folder.mkdir(parents=True, exist_ok=True)

    def card(made: Exported) -> str:
        files = {
            config: [{"split": split, "path": [one.path for one in shards]} for split, shards in splits.items()]
            for config, splits in made.shards.items()
        }
        return f"---\n{json.dumps({'configs': [{'config_name': name, 'data_files': each} for name, each in files.items()]})}\n---\n"

    export_dataset(outcomes, folder, measures=["reasoning_words"], tally=Tally(), card=card)
    found = read_index(folder)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> DatasetIndex:
    faults = [Fault("image_missing", "no such file", where="data.jsonl:99"), Fault("image_broken", where="data.jsonl:98", id="lost")]
    return exported(tmp_path_factory.mktemp("index") / "run", [*mixed(COUNT), *faults])


def test_every_sample_has_its_outcome_reason_answer_and_label(tmp_path: Path) -> None:
    outcomes = [lesson(0), lesson(1, label="fear"), undecided(2), filtered(3), unheard(4), undecided(5)]
    against = filtered(6)
    outcomes.append(replace(against, verdict=replace(against.verdict, answer="joy", label_conflict=True)))
    outcomes.append(CuratedSample(sample(7), verdict(reason="no_ballots", accepted=False), (), rejected="vote:no_replies"))
    index = exported(tmp_path, [*outcomes, Fault("x", where="f:1")]).index
    told = [index.row(number) for number in range(len(index))]
    shown = [tuple(row[name] for name in ("id", "verdict", "reason", "label", "answer", "conflict", "count")) for row in told]
    assert shown == [
        ("s0", "lesson", None, "awe", "awe", False, 2),
        ("s1", "lesson", None, "fear", "awe", True, 2),
        ("s2", "disagreed", "vote:no_majority", "awe", "awe", False, 2),
        ("s3", "filtered", "filter:reasoning_words", "awe", "awe", False, 2),
        ("s4", "disagreed", "vote:no_ballots", "awe", None, False, 1),
        ("s5", "disagreed", "vote:no_majority", "awe", "awe", False, 2),
        ("s6", "filtered", "filter:reasoning_words", "awe", "joy", True, 2),
        ("s7", "disagreed", "vote:no_replies", "awe", None, False, 0),
        ("", "unusable", "source:x", None, None, False, 0),
    ]
    assert [row["confidence"] for row in told] == [*[0.75] * 8, None]


def test_a_tie_has_no_answer_though_one_is_more_frequent_among_the_traces(tmp_path: Path) -> None:
    tied = undecided(1)
    more = judged(trace(1, "t2", "fear"), "undecided")
    tied = replace(tied, verdict=replace(tied.verdict, answer=None), traces=(*tied.traces, more))
    index = exported(tmp_path, [lesson(0), tied]).index
    assert [index.row(number)["answer"] for number in range(2)] == ["awe", None]
    assert narrow_samples(index, SampleFilter(), sheet=SHEET).facets["answer"] == (("awe", 1),)
    (tmp_path / "verdicts.parquet").unlink()
    earlier = read_index(tmp_path)
    assert earlier is not None
    assert earlier.index.row(1)["answer"] == "fear"


def test_a_dataset_of_an_earlier_version_is_shown_without_what_only_the_verdicts_tell(tmp_path: Path) -> None:
    exported(tmp_path, [lesson(0), undecided(1), filtered(2)])
    (tmp_path / "verdicts.parquet").unlink()
    found = read_index(tmp_path)
    assert found is not None
    rows = [found.index.row(number) for number in range(3)]
    assert [(row["label"], row["answer"], row["confidence"]) for row in rows] == [
        ("awe", "awe", 0.75),
        ("awe", None, 0.75),
        (None, "awe", None),
    ]


def test_numbers_lead_to_the_rows_of_the_files(made: DatasetIndex) -> None:
    index, traces, lessons = made.index, ShardRows(made.traces), ShardRows(made.lessons)
    for number in range(len(index)):
        row = index.row(number)
        for told in traces.read_rows(row["first"], row["count"], columns=["id", "teacher", "nothing"]) if row["count"] else []:
            assert set(told) == {"id", "teacher"}
            assert told["id"] == row["id"]
        if row["lesson"] is not None:
            assert lessons.read_rows(row["lesson"], columns=["id", "answer"]) == [{"id": row["id"], "answer": row["answer"]}]
        if row["id"]:
            assert index.number_of(index.key(number)) == number
            assert index.number_of(f"7{index.key(number)}") == number  # it stood elsewhere before
    assert [index.number_of(key) for key in ("", "x", "0_0", "9" * 30 + "_0", "-1_0")] == [None] * 5


FILTERS = st.builds(
    SampleFilter,
    verdict=st.sampled_from(["", "", "lesson", "disagreed", "filtered", "unusable", "none"]),
    reason=st.sampled_from(["", "", "vote:no_majority", "filter:reasoning_words"]),
    answer=st.sampled_from(["", "", "awe", "fear"]),
    label=st.sampled_from(["", "", "awe"]),
    conflict=st.sampled_from(["", "", "yes"]),
    checked=st.sampled_from(["", "", "checked", "unsure", "no"]),
    teacher=st.sampled_from(["", "", "t0", "t1", "t2"]),
    fate=st.sampled_from(["", "", "lesson", "wrong", "unread:no_answer"]),
    measure=st.sampled_from(["", "reasoning_words", "other"]),
    min=st.sampled_from([None, 1.0, 3.5]),
    max=st.sampled_from([None, 3.0]),
    order=st.sampled_from(ORDERS),
)
SAID = {"s1": ["awe"], "s2": ["?"], "s7": ["awe", "fear"]}
SHEET = GoldSheet({id: tuple(GivenAnswer(f"person {place}", answer) for place, answer in enumerate(each)) for id, each in SAID.items()})


def left_out(number: int, confidence: float, reason: str = "below_target", *, promise: float = 1.0) -> CuratedSample:
    """A Sample whose vote came to an answer that is not accepted: from the confidence of `promise` on because of the promise."""
    of = replace(verdict("awe", "awe", accepted=False, reason=reason), confidence=confidence)
    of = replace(of, unpromised=reason == "below_target" and confidence >= promise)
    return CuratedSample(sample(number), of, (), rejected=f"vote:{reason}")


def test_what_a_promise_leaves_out_is_told_as_that_and_narrowed_by_its_published_word(tmp_path: Path) -> None:
    below, promise = "the confidence is below the target", "left out by consensus.promise"
    for least, first, words in ((0.8, promise, promise), (0.9, below, f"{below}, or {promise}"), (0.99, below, below)):
        outcomes = [lesson(0), left_out(1, 0.85, promise=least), left_out(2, 0.95, promise=least), left_out(3, 0.95, "one_teacher")]
        index = exported(tmp_path / str(least), outcomes).index
        rows = {row["id"]: row for row in map(index.row, range(len(index)))}
        assert value_words("reason", "vote:below_target", index) == words
        assert [reason_words(rows[id]) for id in ("s0", "s1")] == ["", first]
        assert (rows["s3"]["confidence"], rows["s3"]["label"]) == (pytest.approx(0.95), "awe"), "words behind them do not hide them"
        found = narrow_samples(index, SampleFilter(reason="vote:below_target"), sheet=SHEET)
        assert [index.id(number) for number in found.numbers] == ["s1", "s2"]


@cache
def trace_rows(paths: tuple[Path, ...]) -> list[dict[str, Any]]:
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def by_looking(made: DatasetIndex, wanted: SampleFilter) -> list[int]:
    """The samples that a filter means, found row by row in the files."""
    traces = trace_rows(made.traces)
    found = []
    for number in range(len(made.index)):
        row = made.index.row(number)
        values = row | {"conflict": "yes" if row["conflict"] else "", "checked": SHEET.state(row["id"]) or "no"}
        plain = all(not (asked := getattr(wanted, name)) or values[name] == asked for name in
                    ("verdict", "reason", "answer", "label", "conflict", "checked"))  # fmt: skip
        if plain and (not wanted.names_traces or any(fits(one, wanted) for one in traces if one["id"] == row["id"])):
            found.append(number)
    if wanted.order != "source":
        sign = 1 if wanted.order == "unsure" else -1
        sure = [made.index.row(number)["confidence"] for number in found]
        ranked = [(one is None, sign * (one or 0), number) for one, number in zip(sure, found, strict=True)]
        found = [number for _, _, number in sorted(ranked)]
    return found


def fits(trace: dict[str, object], wanted: SampleFilter) -> bool:
    if any((asked := getattr(wanted, name)) and trace[name] != asked for name in ("teacher", "fate")):
        return False
    if wanted.measure != "reasoning_words" or (wanted.min is None and wanted.max is None):
        return True
    value = trace["measure_reasoning_words"]
    return isinstance(value, float) and (wanted.min is None or value >= wanted.min) and (wanted.max is None or value <= wanted.max)


@settings(max_examples=40)
@given(FILTERS)
def test_a_filter_finds_what_one_finds_by_looking_at_every_row(made: DatasetIndex, wanted: SampleFilter) -> None:
    found = narrow_samples(made.index, wanted, sheet=SHEET)
    assert found.numbers.tolist() == by_looking(made, wanted)
    for name in ("verdict", "answer", "teacher", "fate", "checked", "conflict"):
        for value, count in found.facets[name]:
            other = SampleFilter(**{**{field: getattr(wanted, field) for field in wanted.__slots__}, name: value})
            assert count == len(narrow_samples(made.index, other, sheet=SHEET).numbers)


@given(FILTERS)
def test_an_address_asks_for_the_same_when_it_is_read_again(wanted: SampleFilter) -> None:
    from urllib.parse import parse_qsl

    assert SampleFilter.of_query(dict(parse_qsl(wanted.to_query()))) == wanted


def test_a_histogram_counts_every_value_once(made: DatasetIndex) -> None:
    found: Narrowed = narrow_samples(made.index, SampleFilter(measure="reasoning_words"), sheet=GoldSheet())
    assert found.histogram is not None
    assert sum(found.histogram.counts) == np.isfinite(made.index.traces.measures["reasoning_words"]).sum()


def test_a_text_is_found_in_every_trace_whatever_its_case(made: DatasetIndex) -> None:
    index = made.index
    rows = trace_rows(made.traces)
    wanted = {row["id"] for row in rows if "see 1" in row["reasoning"].lower()}
    found = {index.id(int(number)) for numbers, _ in found_in_traces(made.traces, index.traces.sample, "SEE 1") for number in numbers}
    assert found == wanted
    assert [index.id(int(number)) for number in np.flatnonzero(found_in_ids(index, "S59"))] == ["s59"]
    assert not list(found_in_traces((), index.traces.sample, "x"))
