"""One vote: a run, a table of the same answers, and the what-if of the run decide the same, and claim the same."""

import json
import random
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
from PIL import Image

from cotforge.consensus import RULES, decide
from tests.project import LABELS, ran, replay, said, summary, table, write_pipeline

ROWS, GOLD, UNTOLD = 420, 160, 8
SKILLS = {"ann": 0.9, "bob": 0.8, "cyd": 0.7, "dee": 0.6}
KEYS = ("precision", "low", "calibrated", "checked", "right")


class Journal(NamedTuple):
    """A run in which everybody was asked everything, and what it holds."""

    run: Path
    answers: pl.DataFrame
    labels: dict[str, str | None]
    gold: dict[str, str | None]
    """None of what people cannot tell."""


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Journal:
    folder, draw = tmp_path_factory.mktemp("law"), random.Random(5)
    (folder / "images").mkdir()
    for row in range(ROWS):  # no two pictures are alike: one picture under two ids is asked about once
        Image.new("RGB", (8, 8), (row % 256, row // 256, 7)).save(folder / f"images/{row}.png")
    truth = {f"row-{row}": LABELS[row % 4] for row in range(ROWS)}

    def says(true: str, skill: float) -> str:
        return true if draw.random() < skill else draw.choice([label for label in LABELS if label != true])

    labels = {id: None if draw.random() < 0.05 else says(true, 0.9) for id, true in truth.items()}
    lines = [
        json.dumps({"id": id, "image": f"images/{row}.png"} | ({} if label is None else {"label": label})) + "\n"
        for row, (id, label) in enumerate(labels.items())
    ]
    (folder / "rows.jsonl").write_text("".join(lines))
    given = {
        name: {id: None if draw.random() < 0.03 else says(true, skill) for id, true in truth.items()} for name, skill in SKILLS.items()
    }
    teachers = [
        replay(folder, name, {id: said(answer or "nothing") for id, answer in answers.items()}, price={"output": 1 + place})
        for place, (name, answers) in enumerate(given.items())
    ]
    write_pipeline(folder, *teachers)
    built = ran("build", "pipeline.yaml", cwd=folder)
    assert built.returncode == 0, built.stderr
    ids = draw.sample(sorted(truth), GOLD + UNTOLD)
    gold = {id: truth[id] if place < GOLD else None for place, id in enumerate(ids)}
    run = folder / "runs/feelings"
    (run / "gold.csv").write_text("id,answer\n" + "".join(f"{id},{answer or '?'}\n" for id, answer in gold.items()))
    rows = [(id, name, answers[id]) for id in truth for name, answers in given.items()]
    frame = pl.DataFrame(rows, schema={"id": pl.String, "teacher": pl.String, "answer": pl.String}, orient="row")
    return Journal(run, frame, labels, gold)


def curated(journal: Journal, rule: str, label: str, *words: str) -> None:
    sets = ("--set", f"consensus={{rule: {rule}, label: {label}}}")
    ended = ran("curate", journal.run, *sets, *words, cwd=journal.run.parents[1])
    assert ended.returncode == 0, ended.stderr


def rows_of(journal: Journal, **is_: Any) -> list[dict[str, Any]]:
    """Rows of the what-if."""
    found = pl.read_csv(journal.run / "what-if.csv", infer_schema_length=None)
    return found.filter(*(pl.col(name) == value for name, value in is_.items())).to_dicts()


@pytest.mark.parametrize("label", ["vote", "gate", "ignore"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_run_a_table_and_the_what_if_decide_and_claim_the_same(journal: Journal, rule: Any, label: Any) -> None:
    decided = decide(journal.answers, classes=LABELS, labels=journal.labels, gold=journal.gold, rule=rule.name, target=0.9, label=label)
    curated(journal, rule.name, label)
    told = summary(journal.run)
    lessons = {row["id"]: (row["answer"], row["confidence"]) for row in table(journal.run, "data")}
    accepted = {id: (answer, sure) for id, answer, sure in decided.frame.filter("accepted").select("id", "answer", "confidence").rows()}
    assert lessons == accepted
    assert len(lessons) > ROWS / 3
    claim = {key: getattr(decided.claim, key) for key in KEYS}
    assert {key: told["claim"][key] for key in KEYS} == claim
    assert claim["checked"] > 50
    curated(journal, rule.name, label, "--what-if")
    is_ = {"order": "policy", "objective": "balanced"} if rule.in_turn else {"order": "everybody"}
    (row,) = rows_of(journal, rule=rule.name, **is_, **({"target": 0.9} if rule.targeted else {}))
    assert (row["accepted"], row["calls"]) == (len(accepted), decided.frame["calls"].sum())
    assert {key: row[key] for key in ("low", "checked", "calibrated")} == {key: claim[key] for key in ("low", "checked", "calibrated")}
    assert row["precision"] == claim["precision"]
