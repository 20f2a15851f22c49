"""`cotforge gold` after a build: samples drawn by doubt, and the audit of labels, by what the teachers said."""

import csv
import json
import random
import re
import shutil
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from outcomes import gone
from PIL import Image

from cotforge.answers import Task
from cotforge.consensus import decide
from cotforge.consensus.claim import lower_bound
from cotforge.gold import Gold, find_gold, read_gold
from cotforge.gold.audit import MOST_ODDS, Audit, audit_rows
from cotforge.gold.drawing import Doubt
from cotforge.gold.page import gold_page
from cotforge.pipeline import Loaded
from cotforge.records import Picture, Sample
from tests.browser import PROGRAM, chromium
from tests.project import LABELS, ran, replay, said, summary, write_pipeline, write_rows

FLIPPED = {f"row-{number}" for number in range(7, 400, 37)}
"""Rows whose label is wrong."""


def of(id: str, label: str | None = "a") -> Sample:
    return Sample(id, (Picture(id, "image/png", 1, 1, 1, gone),), "What?", ("a", "b"), label)


# the likeliest wrong labels


@given(st.dictionaries(st.text(max_size=3), st.one_of(st.none(), st.floats(0, 1)), max_size=40), st.integers(1, 12), st.randoms())
def test_the_likeliest_wrong_labels_come_first_in_whatever_order_samples_come(posteriors, count, order) -> None:  # type: ignore[no-untyped-def]
    items = list(posteriors.items())
    order.shuffle(items)
    audit = Audit(Gold(), count)
    for id, share in items:
        audit.add(of(id), Doubt("b", 0.5, share, contradicts=True) if share is not None else Doubt())
    judged = sorted((share, id) for id, share in posteriors.items() if share is not None)
    assert [sample.id for sample in audit.picked] == [suspect.id for suspect in audit.suspects()][:count]
    odds = [suspect.odds for suspect in audit.suspects()]
    assert odds == sorted(odds, reverse=True)
    assert all(0 <= one <= MOST_ODDS for one in odds)
    assert {share for share, _ in judged if share <= 0.9 - 1e-9} <= {posteriors[suspect.id] for suspect in audit.suspects()}
    assert len(audit.picked) == min(count, len(judged))
    assert audit.labelled == len(judged)


def test_odds_are_how_many_times_likelier_a_label_is_wrong_than_right() -> None:
    audit = Audit(Gold(), 10)
    for id, share in (("even", 0.5), ("wrong", 0.2), ("right", 0.96), ("never", 0.0)):
        audit.add(of(id), Doubt("b", 0.5, share, contradicts=True, votes="b 1 (one)"))
    told = {row[0]: row for row in audit_rows(audit.suspects())[1:]}
    assert {id: row[3] for id, row in told.items()} == {"never": "1e+06", "wrong": "4", "even": "1", "right": "0.04167"}
    assert list(told) == ["never", "wrong", "even", "right"]
    assert told["wrong"] == ("wrong", "", "a", "4", "b", "b 1 (one)", "1", "")
    assert audit.likelier == 2


def test_labels_that_people_checked_and_samples_without_a_label_are_not_listed() -> None:
    audit = Audit(Gold({"checked": "b", "checked too": "b"}, frozenset({"ambiguous"})), 2)
    for id, share in (("checked", 0.01), ("checked too", 0.99), ("ambiguous", 0.1), ("open", 0.3), ("open too", 0.4)):
        audit.add(of(id), Doubt("b", 0.5, share, contradicts=True))
    audit.add(of("unlabelled", None), Doubt("b", 0.9))
    assert list(audit.notes()) == ["2 of 2 labels are likelier wrong than right; 3 that people checked are left out"]
    assert [suspect.id for suspect in audit.suspects()] == ["open", "open too"]
    assert audit.drawn() == {"open": 1.0, "open too": 1.0, "checked": 1.0, "ambiguous": 1.0}


def test_where_no_label_is_likelier_wrong_than_right_it_is_said_that_there_is_little_to_find() -> None:
    audit = Audit(Gold(), 2)
    for id in ("one", "two", "three"):
        audit.add(of(id), Doubt("a", 0.9999, 0.9999))
    assert list(audit.notes()) == [
        "0 of 3 labels are likelier wrong than right",
        "there is little to find: even the label that is likeliest wrong has odds of only 0.0001",
    ]


# the command


def truth(count: int) -> dict[str, str]:
    return {f"row-{number}": LABELS[(number + (f"row-{number}" in FLIPPED)) % 4] for number in range(count)}


def answers(teacher: str, count: int) -> dict[str, str]:
    drawn = random.Random(teacher)
    return {id: true if drawn.random() < 0.9 else drawn.choice(LABELS) for id, true in truth(count).items()}


Build = Callable[..., None]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Puts a project that was built under a rule into an empty folder; under each rule it is built once."""

    @cache
    def built(rule: str) -> Path:
        folder = tmp_path_factory.mktemp("built")
        made(folder, 400, rule=rule)
        return folder

    def put(folder: Path, *, rule: str = "majority") -> None:
        shutil.copytree(built(rule), folder, dirs_exist_ok=True)

    return put


def made(folder: Path, count: int, *, rule: str, teachers: Sequence[str] = ("one", "two", "three")) -> None:
    """Teachers who err by chance, each on its own; labels are wrong where `FLIPPED`."""
    (folder / "images").mkdir()
    lines = []
    for number in range(count):  # no two pictures are alike: one picture under two ids is asked about once
        Image.new("RGB", (8, 8), (number % 256, number // 256, 7)).save(folder / f"images/{number}.png")
        lines.append(json.dumps({"id": f"row-{number}", "image": f"images/{number}.png", "label": LABELS[number % 4]}) + "\n")
    (folder / "rows.jsonl").write_text("".join(lines))
    specs = [replay(folder, name, {id: said(answer) for id, answer in answers(name, count).items()}) for name in teachers]
    write_pipeline(folder, *specs, consensus={"rule": rule})
    built = ran("build", "pipeline.yaml", cwd=folder)
    assert built.returncode == 0, built.stderr


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def data(run: Path) -> dict[str, object]:
    """What the page holds."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', (run / "gold.html").read_text(), re.S)
    assert found
    return dict(json.loads(found[1]))


@pytest.mark.parametrize("rule", ["majority", "dawid_skene", "sequential"])
def test_an_audit_lists_the_likeliest_wrong_labels_first_and_shows_them_on_the_page(tmp_path: Path, build: Build, rule: str) -> None:
    build(tmp_path, rule=rule)
    done = ran("gold", "runs/feelings", "--audit", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    run = tmp_path / "runs/feelings"
    listed = table(run / "audit.csv")
    assert list(listed[0]) == ["id", "image", "label", "odds", "suggested", "votes", "drawn", "answer"]
    first = [row["id"] for row in listed[: len(FLIPPED)]]
    assert len(FLIPPED & set(first)) >= len(FLIPPED) - 2
    odds = [float(row["odds"]) for row in listed]
    assert odds == sorted(odds, reverse=True)
    assert odds[0] > 5
    shown = [one["id"] for one in data(run)["samples"]]  # type: ignore[attr-defined]
    assert shown == [row["id"] for row in listed][: len(shown)]
    assert len(shown) == 100
    row = next(row for row in listed if row["id"] in FLIPPED)
    number = int(row["id"].removeprefix("row-"))
    assert (row["label"], row["suggested"], row["drawn"], row["answer"]) == (LABELS[number % 4], LABELS[(number + 1) % 4], "1", "")
    assert row["suggested"] in row["votes"]
    assert Path(row["image"]).is_file()
    assert done.stdout.splitlines()[-1] == "then: cotforge gold runs/feelings --read gold.csv"
    assert "little to find" not in done.stdout
    assert "replaces" not in done.stdout


def test_an_audit_that_a_person_filled_in_is_read_back_and_its_samples_stand_for_no_other(tmp_path: Path, build: Build) -> None:
    build(tmp_path)
    assert ran("gold", "runs/feelings", "--audit", cwd=tmp_path).returncode == 0
    run = tmp_path / "runs/feelings"
    listed = table(run / "audit.csv")
    text = (run / "audit.csv").read_text().splitlines()
    filled = [text[0], *(f"{line}{truth(400)[row['id']]}" for line, row in zip(text[1:], listed[:12], strict=False)), *text[13:]]
    (run / "audit.csv").write_text("\n".join(filled) + "\n")
    kept = ran("gold", "runs/feelings", "--audit", cwd=tmp_path)
    assert "audit.csv: has answers in it, and is left as it was" in kept.stdout
    back = ran("gold", "runs/feelings", "--read", "runs/feelings/audit.csv", cwd=tmp_path)
    assert (back.returncode, back.stderr) == (0, "")
    gold = find_gold(Loaded.of_run(run), run)
    assert set(gold.drawn.values()) == {1.0}
    assert len(gold.answers) == 12
    assert (run / "gold.csv").read_text().startswith("id,answer,drawn\n")
    again = ran("gold", "runs/feelings", "--audit", cwd=tmp_path)
    assert again.returncode == 0
    assert not {row["id"] for row in table(run / "audit.csv")} & set(gold.answers)
    (run / "gold.csv").write_text("id,answer\n" + "".join(f"{id},{answer}\n" for id, answer in truth(400).items()))
    assert "this page replaces the one that was there; cotforge gold runs/feelings writes a page of drawn samples again" in again.stdout
    page = (run / "gold.html").read_bytes()
    none = ran("gold", "runs/feelings", "--audit", cwd=tmp_path)
    assert none.stdout == "nothing to audit: people checked all 400 samples that have a label and an answer\n"
    assert (run / "gold.html").read_bytes() == page


def test_an_audit_that_finds_nothing_asks_about_a_few_samples_alone(tmp_path: Path) -> None:
    write_rows(tmp_path, 30)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    write_pipeline(tmp_path, replay(tmp_path, "one", {row["id"]: said(row["label"]) for row in rows}))
    assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    told = ran("gold", "runs/feelings", "--audit", cwd=tmp_path).stdout
    assert told.startswith("0 of 30 labels are likelier wrong than right\nthere is little to find: ")
    assert "gold.html: the 20 likeliest to be wrong;" in told
    assert len(table(tmp_path / "runs/feelings/audit.csv")) == 20


def test_there_is_no_audit_without_replies_and_none_without_labels(tmp_path: Path) -> None:
    write_rows(tmp_path, 4)
    write_pipeline(tmp_path, replay(tmp_path, "one", {}))
    none = ran("gold", "pipeline.yaml", "--audit", cwd=tmp_path)
    assert (none.returncode, none.stdout) == (2, "")
    assert "journal.sqlite: holds no reply to audit labels by; cotforge build asks the teachers" in none.stderr
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({**line, "label": None}) + "\n" for line in lines))
    write_pipeline(tmp_path, replay(tmp_path, "one", {f"row-{number}": said("awe") for number in range(4)}))
    assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    unlabelled = ran("gold", "runs/feelings", "--audit", cwd=tmp_path)
    assert (unlabelled.returncode, unlabelled.stdout) == (2, "")
    assert "no sample has a label and an answer of a teacher; there is no label to audit" in unlabelled.stderr
    assert "--audit picks samples, and --read takes their answers" in ran("gold", "x.yaml", "--audit", "--read", "y", cwd=tmp_path).stderr


def test_after_a_build_half_is_drawn_where_the_teachers_contradict_label_or_one_another(tmp_path: Path, build: Build) -> None:
    build(tmp_path)
    done = ran("gold", "runs/feelings", "--count", "100", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == (
        "100 of 400 samples picked, 50 by chance and 50 where teachers are unsure or contradict the label; "
        "column drawn: how likely each was"
    )
    run = tmp_path / "runs/feelings"
    sheet = table(run / "gold-to-fill.csv")
    assert [row["id"] for row in sheet] == [one["id"] for one in data(run)["samples"]]  # type: ignore[attr-defined]
    assert all(0 < float(row["drawn"]) < 1 and not row["answer"] for row in sheet)
    assert len(FLIPPED & {row["id"] for row in sheet}) >= 8  # by chance about 3
    assert ran("gold", "runs/feelings", "--count", "100", cwd=tmp_path).stdout == done.stdout
    assert table(run / "gold-to-fill.csv") == sheet


def test_who_was_checked_before_is_not_asked_about_again_and_gets_its_probability(tmp_path: Path, build: Build) -> None:
    build(tmp_path)
    run = tmp_path / "runs/feelings"
    (run / "gold.csv").write_text("id;answer;person;remark\nrow-7;fear;ann;keep, me\nrow-1;awe\nrow-2;?\n")
    done = ran("gold", "runs/feelings", cwd=tmp_path)
    assert done.stdout.splitlines()[1] == "3 samples that people checked before are not asked about again"
    sheet = table(run / "gold-to-fill.csv")
    assert {row["id"]: row["answer"] for row in sheet if row["answer"]} == {"row-7": "fear", "row-1": "awe", "row-2": "?"}
    shares = {row["id"]: float(row["drawn"]) for row in sheet}
    assert shares["row-7"] > shares["row-1"]
    (run / "gold-to-fill.csv").write_text((run / "gold-to-fill.csv").read_text().replace(",\n", ",awe\n", 2))
    back = ran("gold", "runs/feelings", "--read", "runs/feelings/gold-to-fill.csv", cwd=tmp_path)
    assert (back.returncode, back.stderr) == (0, "")
    assert "gold.csv: 2 rows added; 4 samples have an answer, 1 is ambiguous" in back.stdout
    lines = (run / "gold.csv").read_text().splitlines()
    assert lines[0] == "id;answer;person;remark;drawn"
    assert lines[1].startswith('row-7;fear;ann;"keep, me";0.')
    assert lines[2].startswith("row-1;awe;;;0.")
    gold = find_gold(Loaded.of_run(run), run)
    assert gold.drawn == pytest.approx({id: share for id, share in shares.items() if id in {*gold.answers, *gold.ambiguous}})


@pytest.mark.parametrize("rule", ["majority", "sequential"])
def test_a_run_and_a_table_claim_the_same_of_samples_that_were_not_drawn_alike(tmp_path: Path, build: Build, rule: str) -> None:
    build(tmp_path, rule=rule)
    run, true = tmp_path / "runs/feelings", truth(400)
    assert ran("gold", "runs/feelings", "--count", "200", cwd=tmp_path).returncode == 0
    sheet = table(run / "gold-to-fill.csv")
    (run / "gold.csv").write_text("id,answer,drawn\n" + "".join(f"{row['id']},{true[row['id']]},{row['drawn']}\n" for row in sheet))
    if rule == "sequential":  # those that people checked are asked about anew, everybody
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    assert ran("curate", "runs/feelings", cwd=tmp_path).returncode == 0
    told = summary(run)["claim"]
    rows = [(id, name, answer) for name in ("one", "two", "three") for id, answer in answers(name, 400).items()]
    decided = decide(
        pl.DataFrame(rows, schema=["id", "teacher", "answer"], orient="row"),
        classes=LABELS,
        labels={f"row-{number}": LABELS[number % 4] for number in range(400)},
        gold={row["id"]: true[row["id"]] for row in sheet},
        drawn={row["id"]: float(row["drawn"]) for row in sheet},
        rule=rule,
    )
    claim = decided.claim
    assert told["unequal"] is claim.unequal is True
    assert (told["low"], told["checked"], told["right"]) == (claim.low, claim.checked, claim.right)
    assert told["precision"] == pytest.approx(claim.precision)
    assert claim.low == lower_bound(claim.right, claim.checked)
    assert 60 < claim.checked < 140  # of 200, about those drawn by chance
    assert "some of the 200 checked samples were likelier to be drawn" in ran("curate", "runs/feelings", cwd=tmp_path).stdout


def test_a_file_of_gold_that_is_named_and_not_there_yet_is_made_by_this(tmp_path: Path) -> None:
    made(tmp_path, 12, rule="majority")
    with (tmp_path / "pipeline.yaml").open("a") as file:
        file.write("gold: people/mine.csv\n")
    (tmp_path / "people").mkdir()
    done = ran("gold", "runs/feelings", cwd=tmp_path)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "12 of 12 samples picked: all that nobody checked, each picture once")
    (tmp_path / "back.csv").write_text("id,answer,drawn\nrow-0,awe,0.5\n")
    assert ran("gold", "runs/feelings", "--read", "back.csv", cwd=tmp_path).returncode == 0
    assert (tmp_path / "people/mine.csv").read_text() == "id,answer,drawn\nrow-0,awe,0.5\n"


# the column


TASK = Task(kind="classify", question="?", labels=("awe", "fear"))


def test_a_file_without_probabilities_goes_on_working_and_one_with_some_is_read(tmp_path: Path) -> None:
    path = tmp_path / "gold.csv"
    path.write_text("id,answer\n1,awe\n")
    assert read_gold(path, TASK).drawn == {}
    path.write_text("id;answer;drawn\n1;awe;0,25\n2;fear;\n3;?;1\n4;awe;0.5\n4;awe;0.75\n5;;0.1\n")
    assert read_gold(path, TASK) == Gold({"1": "awe", "2": "fear", "4": "awe"}, frozenset({"3"}), {"1": 0.25, "3": 1.0, "4": 0.75})


@pytest.mark.parametrize("cell", ["0", "-0.1", "1.01", "nan", "inf", "often", "50 %"])
def test_what_is_no_probability_is_a_fault_of_its_line(tmp_path: Path, cell: str) -> None:
    (tmp_path / "rows.jsonl").touch()
    write_rows(tmp_path, 3)
    write_pipeline(tmp_path, replay(tmp_path, "one", {}), gold="mine.csv")
    (tmp_path / "mine.csv").write_text(f"id,answer,drawn\nrow-0,awe,0.5\nrow-1,awe,{cell}\n")
    ended = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"mine.csv:3: drawn: {cell!r} is no probability; a number above 0 and at most 1, or nothing, is wanted" in ended.stderr


@pytest.mark.skipif(PROGRAM is None, reason="needs chromium on the PATH")
def test_the_page_saves_the_probability_of_each_answer_and_of_samples_checked_before(tmp_path: Path) -> None:
    samples = [of("one"), of("=two"), of("three")]
    drawn = {"one": 0.25, "=two": 0.5, "three": 0.125, "before": 0.75}
    path = tmp_path / "gold.html"
    path.write_text(gold_page("feelings", samples, then="", drawn=drawn, known=[("before", "b")]))
    with chromium(tmp_path) as person:
        person.open(path)
        person.press("1", "2")
        person.click("#save")
        saved = person.downloaded("gold.csv")
    assert saved.read_bytes() == b"id,answer,drawn\r\none,a,0.25\r\n'=two,b,0.5\r\nbefore,b,0.75\r\n"
    task = Task(kind="classify", question="?", labels=("a", "b"))
    assert read_gold(saved, task).drawn == {"one": 0.25, "=two": 0.5, "before": 0.75}


def test_of_a_small_run_what_is_said_to_be_picked_is_what_nobody_checked(tmp_path: Path) -> None:
    made(tmp_path, 12, rule="majority")
    run = tmp_path / "runs/feelings"
    for checked in (9, 12):
        rows = "".join(f"row-{number},{answer}\n" for number, answer in enumerate([*truth(12).values()][:checked]))
        (run / "gold.csv").write_text(f"id,answer\n{rows}")
        told = ran("gold", "runs/feelings", "--count", "100", cwd=tmp_path).stdout.splitlines()
        assert told[0] == (
            "3 of 12 samples picked: all that nobody checked, each picture once"
            if checked == 9
            else "nothing to pick: people checked all 12 samples"
        )
    assert len(table(run / "gold-to-fill.csv")) == 3, "what was there stays"
