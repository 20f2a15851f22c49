"""Duplicates in a whole build: what is asked, what becomes a lesson, what is listed."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from cotforge.pipeline import Pipeline
from tests.project import LABELS, ran, replay, summary, table, write_pipeline
from tests.scenery import copies, jpeg, scene

ORIGINALS = 4
COPIES = {"crop": 0, "jpeg": 1, "flip": 2}
"""What was done to which original."""


def write_pictures(folder: Path) -> list[str]:
    """Originals, copies of three of them, and the bytes of the last one again; the ids."""
    (folder / "images").mkdir()
    made = {f"own-{seed}": jpeg(scene(seed)) for seed in range(ORIGINALS)}
    made |= {name: copies(scene(seed))[name] for name, seed in COPIES.items()}
    made["again"] = made[f"own-{ORIGINALS - 1}"]
    lines = []
    for id, data in made.items():
        (folder / "images" / f"{id}.jpg").write_bytes(data)
        lines.append({"id": id, "image": f"images/{id}.jpg", "label": "fear" if id == "crop" else "awe"})
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return list(made)


def thought(id: str, more: str = "") -> str:
    words = " ".join(f"{id.replace('-', '')}part{number} stands" for number in range(12))
    return f"<think>In this picture {words}. {more}</think>\n<answer>awe</answer>"


def build(folder: Path, replies: dict[str, str], dedup: dict[str, Any], **sections: Any) -> list[dict[str, str]]:
    """Builds, and gives the rows of duplicates.csv."""
    write_pipeline(
        folder, replay(folder, "one", replies), **{"consensus": {"label": "ignore"}, "dedup": dedup, "max_failures": 1, **sections}
    )
    built = ran("build", "pipeline.yaml", cwd=folder)
    assert built.returncode == 0, built.stderr
    with (folder / "runs/feelings/duplicates.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_near_duplicates_are_dropped_before_anybody_is_asked_and_listed(tmp_path: Path) -> None:
    ids = write_pictures(tmp_path)
    rows = build(tmp_path, {id: thought(id) for id in ids}, {"pictures": "near"})
    assert [(row["id"], row["kept"], row["kind"], row["fate"]) for row in rows] == [
        ("crop", "own-0", "near", "dropped"),
        ("jpeg", "own-1", "near", "dropped"),
        ("flip", "own-2", "near", "dropped"),
        ("again", "own-3", "exact", "dropped"),
    ]
    assert (rows[0]["label"], rows[0]["kept_label"]) == ("fear", "awe")
    found = summary(tmp_path / "runs/feelings")
    assert found["rejected"] == {"dedup:exact": 1, "dedup:near": 3}
    assert (found["rows"], found["accepted"] + sum(found["rejected"].values())) == (len(ids), len(ids))
    assert found["funnel"] == {"rows": len(ids)} | dict.fromkeys(("samples", "asked", "agreed", "filters", "select"), ORIGINALS)
    card = (tmp_path / "runs/feelings/dataset/README.md").read_text()
    assert "| samples | dedup:near | with nearly the picture of an earlier sample | 3 |" in card
    assert "Together 4, which with the 4 samples that have lessons are the 8 rows read." in card
    assert (found["calls_total"], found["samples"], found["dedup"]) == (ORIGINALS, ORIGINALS, {"exact:dropped": 1, "near:dropped": 3})
    losses = {(row["id"], row["stage"], row["reason"]) for row in table(tmp_path / "runs/feelings", "losses")}
    assert ("crop", "dedup", "near") in losses
    # The same again, from the cache, asks nothing and finds the same; with looser terms it asks what was left out.
    assert build(tmp_path, {id: thought(id) for id in ids}, {"pictures": "near"}) == rows
    assert summary(tmp_path / "runs/feelings")["calls"] == 0
    kept = build(tmp_path, {id: thought(id) for id in ids}, {"pictures": "near", "flips": False})
    assert [row["id"] for row in kept] == ["crop", "jpeg", "again"]
    assert summary(tmp_path / "runs/feelings")["calls"] == 1


def test_asked_once_every_copy_has_a_lesson_with_its_own_picture(tmp_path: Path) -> None:
    ids = write_pictures(tmp_path)
    rows = build(tmp_path, {id: thought(id) for id in ids}, {"pictures": "near", "keep": "ask_once", "reasoning": 0.8})
    assert [(row["id"], row["fate"]) for row in rows] == [(id, "asked_once") for id in ("crop", "jpeg", "flip", "again")]
    found = summary(tmp_path / "runs/feelings")
    assert (found["calls_total"], found["lessons"], found["rejected"]) == (ORIGINALS, len(ids), {})
    lessons = {row["id"]: row for row in table(tmp_path / "runs/feelings", "data")}
    assert lessons["crop"]["call"] == lessons["own-0"]["call"]
    assert lessons["crop"]["images"][0]["bytes"] == (tmp_path / "images/crop.jpg").read_bytes()


@pytest.mark.parametrize("rule", ["sequential", "majority"])
def test_duplicates_are_the_same_whether_teachers_are_asked_in_turn_or_not(rule: str, tmp_path: Path) -> None:
    ids = write_pictures(tmp_path)
    rows = build(
        tmp_path, {id: thought(id) for id in ids}, {"pictures": "near", "keep": "ask_once"}, consensus={"rule": rule, "label": "ignore"}
    )
    assert [row["id"] for row in rows] == ["crop", "jpeg", "flip", "again"]
    assert summary(tmp_path / "runs/feelings")["calls_total"] == ORIGINALS


def test_a_sample_whose_text_repeats_an_earlier_lesson_takes_its_next_text(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    same = [thought("same", "Truly."), thought("same", "Indeed so.")]
    one = {f"own-{number}": same[0] for number in range(4)}
    two = {"own-0": same[1], "own-1": thought("other"), "own-2": same[1], "own-3": thought("dull", "Indeed " * 400)}
    write_pipeline(
        tmp_path,
        replay(tmp_path, "one", one),
        replay(tmp_path, "two", two),
        source={"kind": "table", "path": "rows.jsonl", "limit": 4},
        consensus={"label": "ignore"},
        filters=[{"measure": "compression", "min": 0.2}],
        select={"per_sample": 2},
        dedup={"reasoning": 0.7},
    )
    assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    run = tmp_path / "runs/feelings"
    fates = {(row["id"], row["teacher"]): row["fate"] for row in table(run, "traces")}
    assert sorted([fates["own-0", "one"], fates["own-0", "two"]]) == ["filter:duplicate", "lesson"]
    assert (fates["own-1", "one"], fates["own-1", "two"]) == ("filter:duplicate", "lesson")
    assert (fates["own-2", "one"], fates["own-2", "two"]) == ("filter:duplicate", "filter:duplicate")
    assert (fates["own-3", "one"], fates["own-3", "two"]) == ("filter:duplicate", "filter:compression")
    found = summary(run)
    assert found["rejected"] == {"filter:duplicate": 2}, "one that passed the filters is lost to dedup, whatever became of the other"
    assert (found["funnel"]["filters"], found["funnel"]["dedup"], found["funnel"]["select"]) == (4, 2, 2)
    detail = next(row["detail"] for row in table(run, "losses") if row["id"] == "own-1")
    assert "repeats the lesson of 'own-0'" in detail


def test_samples_that_a_benchmark_has_are_left_out_by_picture_and_by_words(tmp_path: Path) -> None:
    ids = write_pictures(tmp_path)
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "x.jpg").write_bytes(copies(scene(3))["crop"])
    said = " ".join(f"word{number}" for number in range(20))
    (tmp_path / "questions.csv").write_text(f'question,answer\n"{said}",awe\n')
    against = [{"kind": "imagefolder", "path": "bench"}, {"kind": "texts", "path": "questions.csv"}]
    replies = {id: thought(id, said if id == "own-0" else "") for id in ids}
    rows = build(tmp_path, replies, {"pictures": "near", "against": against})
    found = {(row["id"], row["what"], row["kept"]) for row in rows if row["kind"] == "contaminated"}
    assert found == {
        ("own-3", "picture", "bench/x.jpg"),
        ("again", "picture", "bench/x.jpg"),
        ("own-0", "reasoning", "questions.csv:2"),
    }
    assert summary(tmp_path / "runs/feelings")["rejected"]["filter:contaminated"] == 1


def test_a_copy_of_a_held_out_picture_is_left_out(tmp_path: Path) -> None:
    ids = write_pictures(tmp_path)
    rows = build(tmp_path, {id: thought(id) for id in ids}, {"against": [{"kind": "eval"}]}, eval={"share": 0.5})
    held = {id for id in ids if id not in {row["id"] for row in table(tmp_path / "runs/feelings", "traces")}} - {row["id"] for row in rows}
    pairs = {frozenset((f"own-{seed}", name)) for name, seed in COPIES.items()}
    assert held
    assert {row["id"] for row in rows} == {id for id in ids if any(id in pair and pair - {id} <= held for pair in pairs)} - held


def test_a_reference_that_has_nothing_and_held_out_samples_without_eval_are_errors(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    (tmp_path / "short.csv").write_text("question\nwhy?\n")
    for against, said in (
        ({"kind": "texts", "path": "short.csv"}, "dedup.against[0]: 'short.csv' has nothing to compare with"),
        ({"kind": "texts", "path": "gone.csv"}, "dedup.against[0]: path: 'gone.csv' is not there"),
        ({"kind": "eval"}, "dedup.against[0]: names what eval: holds out, and eval: is missing"),
    ):
        write_pipeline(tmp_path, replay(tmp_path, "one", {}), dedup={"against": [against]})
        built = ran("build", "pipeline.yaml", cwd=tmp_path)
        assert (built.returncode, said in built.stderr) == (2, True), built.stderr


def test_off_is_a_word_and_the_default() -> None:
    fields = {"name": "x", "source": {"kind": "table", "path": "x"}, "task": {"kind": "classify", "labels": LABELS}}
    teachers = [{"name": "t", "model": "m", "url": "http://localhost/v1"}]
    read = Pipeline.model_validate({**fields, "teachers": teachers, "dedup": {"pictures": False}})
    assert (read.dedup.pictures, read.dedup.looks_for_any) == ("off", False)
    assert read.dedup == Pipeline.model_validate({**fields, "teachers": teachers}).dedup
