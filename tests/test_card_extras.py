"""What a card shows beside counts: the same lesson whatever the order, its picture, the pipeline as written, where the data come from."""

import random
from dataclasses import replace
from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st
from outcomes import lesson, mixed, picture

from cotforge.card_example import ExampleChooser, example_of
from cotforge.card_extras import EXAMPLE, FUNNEL, bibtex, hub_lineage, write_card_files
from cotforge.pipeline import Loaded
from cotforge.records import CuratedSample, Lesson, Trace
from tests.project import write_pipeline

TEACHER = {"name": "one", "model": "m", "url": "http://127.0.0.1:1/v1"}


def worded(number: int, words: int, *, label: str = "awe", pictures: int = 1) -> CuratedSample:
    """A lesson whose reasoning has so many words."""
    outcome = lesson(number, label=label)
    (taught,) = outcome.lessons
    trace = replace(taught.judged.trace, reasoning="word " * words)
    sample = replace(outcome.sample, pictures=tuple(picture(number + place) for place in range(pictures)))
    return replace(outcome, lessons=(replace(taught, sample=sample, judged=replace(taught.judged, trace=trace)),))


def chosen(outcomes: list[CuratedSample]) -> Lesson:
    chooser = ExampleChooser()
    assert list(chooser.watch(outcomes)) == outcomes
    [found] = chooser.lessons
    return found


@given(st.randoms(use_true_random=False))
def test_the_same_lesson_is_shown_in_whatever_order_the_samples_come(rng: random.Random) -> None:
    outcomes = [outcome for outcome in mixed(12) if isinstance(outcome, CuratedSample)]
    shuffled = rng.sample(outcomes, len(outcomes))
    assert chosen(shuffled) == chosen(outcomes)


def test_a_lesson_that_can_be_read_is_shown_before_one_that_contradicts_its_label_or_is_long() -> None:
    flawed = [worded(1, 900), worded(2, 5), worded(3, 90, label="fear"), worded(4, 90, pictures=3)]
    assert chosen([*flawed, worded(5, 90)]).sample.id == "s5"
    assert chosen(flawed).sample.id == "s3"
    assert chosen(flawed[:2] + flawed[3:]).sample.id == "s4"


def test_the_example_tells_votes_answer_label_and_who_wrote_it() -> None:
    (taught,) = lesson(1, label="fear").lessons
    shown = example_of(taught, "assets/lesson.jpg")
    assert (shown.answer, shown.label, shown.teacher, shown.picture) == ("awe", "fear", "t0 (org/t0)", "assets/lesson.jpg")
    assert list(shown.votes) == [("t0", "awe"), ("t1", "awe")]
    assert isinstance(taught.judged.trace, Trace)


def test_pictures_of_an_earlier_card_go_and_nothing_else_does(tmp_path: Path) -> None:
    write_card_files(tmp_path / "assets", {EXAMPLE: b"a", FUNNEL: b"b"})
    (tmp_path / "assets" / "mine.png").write_bytes(b"mine")
    write_card_files(tmp_path / "assets", {FUNNEL: b"c"})
    assert {path.name: path.read_bytes() for path in (tmp_path / "assets").iterdir()} == {FUNNEL: b"c", "mine.png": b"mine"}
    write_card_files(tmp_path / "none", {})
    assert not (tmp_path / "none").exists()


def test_the_pipeline_is_shown_as_its_user_wrote_it(tmp_path: Path) -> None:
    path = write_pipeline(tmp_path, TEACHER)
    path.write_text(f"# what I think\n{path.read_text()}")
    assert Loaded.load(path).written == path.read_text()
    changed = yaml.safe_load(Loaded.load(path, ["consensus.rule=majority"]).written)
    assert changed == yaml.safe_load(path.read_text()) | {"consensus": {"rule": "majority"}}


def test_what_only_a_run_folder_keeps_is_shown_without_the_keys_left_at_default(tmp_path: Path) -> None:
    path = write_pipeline(tmp_path, TEACHER, budget={"usd": 5})
    given = yaml.safe_load(path.read_text())
    run = tmp_path / "elsewhere"
    run.mkdir()
    (run / "pipeline.yaml").write_text(Loaded.load(path).text())
    path.unlink()
    shown = yaml.safe_load(Loaded.of_run(run).written)
    assert shown.keys() == given.keys()
    assert (shown["budget"], shown["task"]["labels"]) == (given["budget"], given["task"]["labels"])
    assert "null" not in Loaded.of_run(run).written


def test_a_dataset_of_the_hub_is_its_lineage_and_a_folder_of_that_name_is_none(tmp_path: Path) -> None:
    path = write_pipeline(tmp_path, TEACHER, source={"kind": "hf", "path": "org/raw"})
    assert hub_lineage(Loaded.load(path)) == ["org/raw"]
    (tmp_path / "org" / "raw").mkdir(parents=True)
    assert hub_lineage(Loaded.load(path)) == []
    assert hub_lineage(Loaded.load(write_pipeline(tmp_path, TEACHER))) == []


def test_no_brace_of_a_name_breaks_the_citation() -> None:
    entry = bibtex("emotions", "table: a}{b.jsonl")
    assert entry.count("{") == entry.count("}")
    assert entry.startswith("@misc{emotions,\n  title = {emotions: ")
