"""The last lines of a run: vanished classes, classes, reasons, and the rule with its origin."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from cotforge.pipeline import Loaded
from cotforge.tally import Tally
from cotforge.tally.counts import ClassTally
from cotforge.tally.words import CLASSES, loss_lines, per_class, rule_line, vanished_classes, weave_lines
from tests.project import LABELS, ran, replay, said, summary, teacher, write_pipeline, write_rows


def loaded(folder: Path, *sets: str, **sections: Any) -> Loaded:
    return Loaded.load(write_pipeline(folder, teacher("http://localhost:1/v1"), **sections), sets)


def tally(**classes: tuple[int, int]) -> Tally:
    """By class (its labels, its accepted answers)."""
    counts = {name: ClassTally(labels=labels, answers=answers) for name, (labels, answers) in classes.items()}
    return Tally(accepted=sum(answers for _, answers in classes.values()), classes=counts)


def one(lines: Iterable[str]) -> str:
    (line,) = lines
    return line


def test_a_class_that_the_data_has_and_the_dataset_has_not_is_named(tmp_path: Path) -> None:
    found = vanished_classes(loaded(tmp_path), tally(amusement=(5, 9), awe=(4, 0), fear=(0, 0), sadness=(3, 1)))
    assert one(found) == "no sample was accepted as 'awe' (label: 4): the dataset has no lesson of this class"


def test_a_class_that_no_label_names_has_not_vanished_but_where_there_are_no_labels_at_all_it_has(tmp_path: Path) -> None:
    pipeline = loaded(tmp_path)
    assert not list(vanished_classes(pipeline, tally(amusement=(5, 5))))
    line = "no sample was accepted as 'awe', 'fear', 'sadness': the dataset has no lesson of them"
    assert one(vanished_classes(pipeline, tally(amusement=(0, 5)))) == line


def test_where_nothing_was_accepted_or_rows_have_options_of_their_own_no_class_is_named(tmp_path: Path) -> None:
    pipeline = loaded(tmp_path)
    for nothing in (tally(amusement=(5, 0), awe=(4, 0)), tally(paris=(5, 5), rome=(4, 0)), tally()):
        assert not list(vanished_classes(pipeline, nothing))
        assert not list(per_class(pipeline, nothing))


def test_classes_are_told_in_the_order_of_the_file_beside_their_labels(tmp_path: Path) -> None:
    pipeline = loaded(tmp_path)
    assert one(per_class(pipeline, tally(sadness=(3, 1), awe=(4, 2)))) == "accepted per class: awe 2 (label: 4), sadness 1 (3)"
    assert one(per_class(pipeline, tally(awe=(0, 2)))) == "accepted per class: awe 2"


def test_of_many_classes_those_are_told_of_which_least_was_accepted(tmp_path: Path) -> None:
    names = [f"c{number:02}" for number in range(CLASSES + 4)]
    pipeline = loaded(tmp_path, task={"kind": "classify", "question": "?", "labels": names})
    line = one(per_class(pipeline, tally(**{name: (100, place) for place, name in enumerate(reversed(names))})))
    assert line.startswith("accepted per class: c11 0 (label: 100), c10 1 (100), ")
    assert line.endswith(", and 4 classes more: see report.html")
    assert line.count("(") == CLASSES


def test_reasons_are_told_in_words_the_most_frequent_first_with_the_published_word_and_rows_apart_from_samples() -> None:
    rejected = {"vote:tie": 2, "filter:reasoning_words": 7, "source:image_missing": 3, "unread:truncated": 1, "export:image_changed": 1}
    rejected |= {"dedup:near": 4, "no_trace": 1}
    assert list(loss_lines(rejected)) == [
        "7 rows are no samples: 4 with nearly the picture of an earlier sample (dedup:near), "
        "3 rows of the source with image_missing (source:image_missing)",
        "12 samples gave no lesson: 7 dropped by the filter reasoning_words (filter:reasoning_words), 2 tied (vote:tie), "
        "1 not exported: image_changed (export:image_changed), 1 accepted by short votes alone (no_trace), 1 for other reasons",
    ]
    assert list(loss_lines({"source:no_image": 1, "vote:tie": 1})) == [
        "1 row is no sample: 1 row of the source with no_image (source:no_image)",
        "1 sample gave no lesson: 1 tied (vote:tie)",
    ]
    assert not list(loss_lines({}))


def test_where_most_woven_texts_fail_at_their_readers_it_is_told_what_asks_fewer(tmp_path: Path) -> None:
    teachers = [teacher("http://localhost:1/v1", name) for name in ("one", "two", "three")]
    pipeline = Loaded.load(write_pipeline(tmp_path, *teachers, weave={"teacher": "one"}))
    fates = Counter({"gate:unverified": 5, "gate:unchecked": 1, "gate:parts": 2, "lesson": 3})
    line = "6 of 11 woven texts failed at their readers (5 unverified, 1 unchecked); look at some, and if they are good, "
    assert one(weave_lines(pipeline, Tally(woven=fates))) == f"{line}weave.verify: 0 asks no reader"
    two = Loaded.load(write_pipeline(tmp_path, *teachers, weave={"teacher": "one", "verify": 2}))
    assert one(weave_lines(two, Tally(woven=fates))) == f"{line}a weave.verify below 2 asks fewer readers"
    fewer, even = fates - Counter({"gate:parts": 2}), fates + Counter({"lesson": 1})
    for quiet in (Tally(woven=fates, missing=1), Tally(woven=fewer), Tally(woven=even)):
        assert not list(weave_lines(pipeline, quiet))
    assert not list(weave_lines(loaded(tmp_path), Tally(woven=fates)))


@pytest.mark.parametrize(
    ("consensus", "sets", "line"),
    [
        ({}, [], "majority, label vote (by default)"),
        ({"rule": "unanimous", "label": "gate"}, [], "unanimous, label gate (pipeline.yaml)"),
        ({"rule": "unanimous"}, ["consensus.rule=weighted"], "weighted (--set), label vote (by default)"),
        (
            {"rule": "dawid_skene", "label": "vote"},
            ["consensus.target=0.99"],
            "dawid_skene (pipeline.yaml), target 0.99 (--set), label vote (pipeline.yaml)",
        ),
        ({}, ["consensus={rule: unanimous, label: gate}"], "unanimous, label gate (--set)"),
        (
            {"label": "vote"},
            ["consensus.promise.precision=0.95"],
            "majority (by default), promise of precision 0.95 with confidence 0.95 (--set), label vote (pipeline.yaml)",
        ),
    ],
)
def test_the_rule_is_told_with_where_each_part_of_it_comes_from(
    tmp_path: Path, consensus: dict[str, Any], sets: list[str], line: str
) -> None:
    pipeline = loaded(tmp_path, *sets, **({"consensus": consensus} if consensus else {}))
    assert rule_line(pipeline) == f"rule in force: {line}"


def test_curate_tells_that_its_rule_comes_from_an_earlier_build(tmp_path: Path) -> None:
    write_rows(tmp_path, 3)
    write_pipeline(tmp_path, replay(tmp_path, "one", {f"row-{number}": said("awe") for number in range(3)}))
    built = ran("build", "pipeline.yaml", "--set", "consensus.label=ignore", "--set", "select.per_sample=2", cwd=tmp_path)
    assert "label ignore (--set)" in built.stdout
    curated = ran("curate", "runs/feelings", cwd=tmp_path)
    assert "label ignore (--set of an earlier build); also from the --set of an earlier build: select.per_sample=2" in curated.stdout
    once = ran("curate", "runs/feelings", "--set", "consensus.label=vote", cwd=tmp_path)
    assert "label vote (--set); also from" in once.stdout


def test_all_that_was_paid_is_told_also_what_was_asked_again(tmp_path: Path) -> None:
    write_rows(tmp_path, 4)
    replies = {f"row-{number}": said(LABELS[number % 4]) for number in range(4)}
    write_pipeline(tmp_path, replay(tmp_path, "one", dict(replies)), replay(tmp_path, "two", dict(replies)))
    assert "in all 8 calls since this folder began" in ran("build", "pipeline.yaml", cwd=tmp_path).stdout
    refreshed = ran("build", "pipeline.yaml", "--refresh", "two", cwd=tmp_path)
    assert "4 calls now, 0 given up; in all 12 calls (8 different ones) since this folder began" in refreshed.stdout
    told = summary(tmp_path / "runs/feelings")
    assert (told["calls_total"], told["calls_ended_total"]) == (8, 12)
    assert "12 calls, " in (tmp_path / "runs/feelings/dataset/README.md").read_text()
