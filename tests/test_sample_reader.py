"""What a run asks about: that no sample has a label is told before anything is paid for."""

import json
from pathlib import Path

import pytest

from tests.project import LABELS, ran, replay, said, write_pipeline, write_rows

KIND = "no sample that was read has a label; unused columns: kind: source.columns.label names the one with the labels"


def told_of_labels(folder: Path, command: str, *words: str) -> list[str]:
    ended = ran(command, "pipeline.yaml", *words, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return [line for line in ended.stderr.splitlines() if "has a label" in line]


def without_labels(folder: Path, **sections: object) -> None:
    """Nine rows whose labels stand under `kind`, and a teacher that has answers to all."""
    write_rows(folder, 9)
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    (folder / "rows.jsonl").write_text("".join(json.dumps({"kind": row.pop("label"), **row}) + "\n" for row in rows))
    write_pipeline(folder, replay(folder, "one", {row["id"]: said(LABELS[0]) for row in rows}), **sections)


def test_check_and_build_tell_that_no_sample_has_a_label_and_which_columns_are_not_used(tmp_path: Path) -> None:
    without_labels(tmp_path)
    assert told_of_labels(tmp_path, "check") == [KIND]
    assert told_of_labels(tmp_path, "build") == [KIND]
    assert told_of_labels(tmp_path, "build", "--set", "source.columns={label: kind}") == []


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"consensus": {"label": "ignore"}}, []),
        ({"consensus": {"label": "ignore"}, "eval": {"share": 0.2}}, [KIND]),
        ({"consensus": {"label": "gate"}}, [KIND]),
    ],
)
def test_that_is_told_where_the_vote_or_eval_looks_at_labels(tmp_path: Path, sections: dict[str, object], told: list[str]) -> None:
    without_labels(tmp_path, **sections)
    assert told_of_labels(tmp_path, "check") == told
