"""Labels that cannot all be right: one photo under two of them, and such as are outside the set."""

import json
from pathlib import Path

import pytest

from cotforge.records import Fault
from tests.project import ran, replay, said, summary, table, write_pipeline, write_rows
from tests.test_sources import Desk, photo


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_one_photo_under_two_labels_is_told_with_both_places(desk: Desk) -> None:
    for name in ("photos/cat/a.jpg", "photos/dog/b.jpg", "photos/owl/c.jpg"):
        desk.put(name, photo(1 if name.endswith("c.jpg") else 0))
    desk.read("imagefolder", "photos")
    assert desk.counts.clashes.count == 1
    (note,) = desk.counts.notes()
    assert note.startswith("1 photo stands under two labels (label_clash): ")
    assert all(told in note for told in ("cat/a.jpg", "'cat'", "dog/b.jpg", "'dog'"))


def test_rows_without_ids_of_their_own_keep_the_first_label_and_the_other_is_a_label_clash(desk: Desk) -> None:
    desk.photos("a.jpg")
    desk.lines("rows.jsonl", *({"image": "a.jpg", "label": label} for label in ("cat", "dog", "cat", None)))
    found = desk.read("table", "rows.jsonl")
    assert [item.reason if isinstance(item, Fault) else item.label for item in found] == ["cat", "label_clash", "duplicate_id"]
    assert "rows.jsonl:2 ('dog') and rows.jsonl:1 ('cat')" in str(found[1])


def test_rows_with_ids_stay_and_the_same_photo_under_another_question_or_without_a_label_is_no_clash(desk: Desk) -> None:
    desk.photos("a.jpg", "b.jpg")
    desk.lines(
        "rows.jsonl",
        {"id": 1, "image": "a.jpg", "label": "cat"},
        {"id": 2, "image": "a.jpg", "label": "dog", "question": "And now?"},
        {"id": 3, "image": "a.jpg"},
        {"id": 4, "image": "b.jpg", "label": "cat"},
    )
    assert len(desk.sound("table", "rows.jsonl")) == 4
    assert (desk.counts.clashes.count, desk.counts.notes()) == (0, [])
    desk.lines("rows.jsonl", *({"id": number, "image": "a.jpg", "label": label} for number, label in enumerate(("cat", "owl", "dog"))))
    assert len(desk.sound("table", "rows.jsonl")) == 3
    assert desk.counts.clashes.count == 2


def test_labels_outside_the_set_are_named_with_their_counts_by_check_and_build(tmp_path: Path) -> None:
    write_rows(tmp_path, 8)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    for row, label in zip(rows, ["joy", "joy", "joy", "anger\x1b[31m", "anger\x1b[31m", "awe", "awe", "x" * 90], strict=True):
        row["label"] = label
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_pipeline(tmp_path, replay(tmp_path, "one", {row["id"]: said("awe") for row in rows}), consensus={"label": "ignore"})
    for command, stream in (("check", "stderr"), ("build", "stdout")):
        ended = ran(command, "pipeline.yaml", cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr
        (line,) = [line for line in getattr(ended, stream).splitlines() if "not in the set" in line]
        assert line.startswith("6 labels are not in the set and count as unknown: 'joy' 3, 'anger")
        assert "\x1b" not in line
        assert "x" * 41 not in line
    told = summary(tmp_path / "runs/feelings")
    assert (told["labels_unknown"], told["labels_astray"]["joy"], told["label_clashes"]) == (6, 3, 0)


def test_a_build_counts_a_label_clash_among_what_was_rejected_and_in_losses(tmp_path: Path) -> None:
    write_rows(tmp_path, 1)
    rows = [{"image": "images/0.jpg", "label": label} for label in ("awe", "fear")]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_pipeline(tmp_path, replay(tmp_path, "one", {"x": said("awe")}), max_failures=1)
    ended = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert "label_clash" in ended.stdout
    told = summary(tmp_path / "runs/feelings")
    assert (told["rejected"]["source:label_clash"], told["label_clashes"]) == (1, 1)
    assert "label_clash" in {row["reason"] for row in table(tmp_path / "runs/feelings", "losses")}
    checked = ran("check", "pipeline.yaml", "--set", "consensus.rule=sequential", cwd=tmp_path)
    assert (checked.returncode, "1 row label_clash" in checked.stdout) == (0, True), checked
    assert "duplicate_id" not in checked.stdout + checked.stderr
