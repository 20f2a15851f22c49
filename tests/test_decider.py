"""One vote: a run, a table of the same answers, and the what-if of the run decide the same, and claim the same."""

import json
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
from PIL import Image

from cotforge.consensus import RULES, decide
from tests.project import LABELS, ran, replay, said, summary, table, write_pipeline

ROWS, GOLD, UNTOLD = 320, 140, 8
SKILLS = {"ann": 0.9, "bob": 0.8, "cyd": 0.7, "dee": 0.6}
KEYS = ("precision", "low", "calibrated", "checked", "right")
MANY = [f"kind {number}" for number in range(40)]


class Journal(NamedTuple):
    """A run in which everybody was asked everything, and what it holds."""

    run: Path
    answers: pl.DataFrame
    classes: list[str] | None
    labels: dict[str, str | None]
    gold: dict[str, str | None]
    """None of what people cannot tell."""


def curate(run: Path, rule: str, label: str, *words: str) -> None:
    ended = ran("curate", run, "--set", f"consensus={{rule: {rule}, label: {label}}}", *words, cwd=run.parents[1])
    assert ended.returncode == 0, ended.stderr


class World:
    """Answers whose truth is known."""

    def __init__(self, kind: str) -> None:
        self.kind, self.draw = kind, random.Random(5)
        self.names = MANY if kind == "many classes" else LABELS
        self.truth = {f"row-{row}": self.named(row, self.names[row % len(self.names)]) for row in range(ROWS)}
        self.labels = {id: None if self.draw.random() < 0.05 else self.says(id, 0.9) for id in self.truth}
        self.given = {
            name: {id: None if self.draw.random() < 0.03 else self.says(id, skill) for id in self.truth} for name, skill in SKILLS.items()
        }

    def named(self, row: int, name: str) -> str:
        """An answer; where there are no classes, a text that no other row knows."""
        return f"{name} {row}" if self.kind == "free answers" else name

    def says(self, id: str, skill: float) -> str:
        others = [other for name in self.names if (other := self.named(int(id[4:]), name)) != self.truth[id]]
        return self.truth[id] if self.draw.random() < skill else self.draw.choice(others)

    def write(self, folder: Path) -> None:
        """The project; no two pictures are alike, as one picture under two ids is asked about once."""
        (folder / "images").mkdir()
        lines = []
        for row, (id, label) in enumerate(self.labels.items()):
            Image.new("RGB", (8, 8), (row % 256, row // 256, 7)).save(folder / f"images/{row}.png")
            line: dict[str, Any] = {"id": id, "image": f"images/{row}.png", "label": label}
            if self.kind == "own options":
                line["options"] = [*LABELS, f"only in {row % 3}"]
            lines.append(json.dumps({name: value for name, value in line.items() if value is not None}) + "\n")
        (folder / "rows.jsonl").write_text("".join(lines))
        teachers = [
            replay(folder, name, {id: said(answer or "") for id, answer in answers.items()}, price={"output": 1 + place})
            for place, (name, answers) in enumerate(self.given.items())
        ]
        task: dict[str, Any] = {"kind": "classify", "question": "What is it?", "labels": self.names}
        source: dict[str, Any] = {"kind": "table", "path": "rows.jsonl"}
        if self.kind == "free answers":
            task = {"kind": "answer", "question": "What is it?", "verifier": "exact"}
        if self.kind == "own options":
            task, source["columns"] = {"kind": "classify", "question": "What is it?"}, {"options": "options"}
        write_pipeline(folder, *teachers, task=task, source=source)

    def journal(self, folder: Path) -> Journal:
        self.write(folder)
        built = ran("build", "pipeline.yaml", cwd=folder)
        assert built.returncode == 0, built.stderr
        run, ids = folder / "runs/feelings", self.draw.sample(sorted(self.truth), GOLD + UNTOLD)
        gold = {id: self.truth[id] if place < GOLD else None for place, id in enumerate(ids)}
        (run / "gold.csv").write_text("id,answer\n" + "".join(f"{id},{answer or '?'}\n" for id, answer in gold.items()))
        rows = [(id, name, answers[id]) for id in self.truth for name, answers in self.given.items()]
        frame = pl.DataFrame(rows, schema={"id": pl.String, "teacher": pl.String, "answer": pl.String}, orient="row")
        classes = self.names if self.kind in ("classes", "many classes") else None
        return Journal(run, frame, classes, self.labels, gold)


@pytest.fixture(scope="module")
def journals(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Journal]:
    """Each kind of project once."""
    return cache(lambda kind: World(kind).journal(tmp_path_factory.mktemp("law")))


@cache
def what_if(run: Path, label: str) -> pl.DataFrame:
    """Its table: whatever rule the file has, it is the same."""
    curate(run, "sequential", label, "--what-if")
    return pl.read_csv(run / "what-if.csv", infer_schema_length=None)


WAYS = [
    ("classes", "vote"),
    ("classes", "gate"),
    ("classes", "ignore"),
    ("many classes", "vote"),
    ("free answers", "vote"),
    ("own options", "vote"),
]


@pytest.mark.parametrize(("kind", "label"), WAYS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_run_a_table_and_the_what_if_decide_and_claim_the_same(
    journals: Callable[[str], Journal], rule: Any, kind: str, label: Any
) -> None:
    journal = journals(kind)
    curate(journal.run, rule.name, label)
    told = summary(journal.run)
    lessons = {row["id"]: (row["answer"], row["confidence"]) for row in table(journal.run, "data")}
    claim = {key: told["claim"][key] for key in KEYS}
    assert len(lessons) > ROWS / 4
    assert claim["checked"] >= 20
    assert (told["claim"]["ambiguous"], told["claim"]["gold"]) == (UNTOLD, UNTOLD + GOLD)
    if kind != "own options":  # of which a table knows nothing
        decided = decide(
            journal.answers, classes=journal.classes, labels=journal.labels, gold=journal.gold, rule=rule.name, target=0.9, label=label
        )
        accepted = decided.frame.filter("accepted").select("id", "answer", "confidence")
        assert lessons == {id: (answer, sure) for id, answer, sure in accepted.rows()}
        assert told["claim"] == json.loads(json.dumps(decided.claim.summary()))
        assert claim == {key: getattr(decided.claim, key) for key in KEYS}
    found = what_if(journal.run, label).filter(pl.col("rule") == rule.name)
    if rule.targeted:
        found = found.filter(pl.col("target") == 0.9)
    if rule.in_turn and not rule.targeted:
        found = found.filter(pl.col("order").is_in(["best alone", "cheap to dear"]))
    elif rule.in_turn:
        found = found.filter((pl.col("order") == "policy") & (pl.col("objective") == "balanced"))
    (row,) = found.to_dicts()
    assert row["accepted"] == len(lessons) == told["accepted"]
    assert {key: row[key] for key in ("precision", "low", "calibrated", "checked")} == {key: claim[key] for key in KEYS[:4]}
