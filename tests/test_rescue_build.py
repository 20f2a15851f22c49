"""Rescue and verification in a build, against a real server: what is asked, what becomes a lesson, and that the vote stays as it was."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cotforge.answers import reads_well
from cotforge.measures.leaks import leaks
from tests.project import LABELS, files, ran, summary, table, teacher, write_pipeline, write_rows
from tests.teacher import Teacher, _image

ROWS = 60
SEEN = "A plain field of one colour fills the frame from edge to edge, and its tone number {0} is even."
RESCUE = {"verify": 1, "wrong_hints": 1}


def number_of(body: dict[str, Any], known: dict[str, int]) -> int:
    url = next((part["image_url"]["url"] for part in body["messages"][0]["content"] if part["type"] == "image_url"), None)
    return -1 if url is None else known[hashlib.sha256(_image(url)).hexdigest()]


def reasoned(number: int, answer: str, first: str = "") -> str:
    return f"<think>{first}{SEEN.format(number)} So {answer} fits.</think><answer>{answer}</answer>"


class Crowd:
    """Models that agree but on every fourth picture; `model-three` argues for whatever it is told. None sees row 8 as it is labelled."""

    def __init__(self, folder: Path) -> None:
        paths = sorted((folder / "images").iterdir())
        self.known = {hashlib.sha256(path.read_bytes()).hexdigest(): int(path.stem) for path in paths}

    def __call__(self, body: dict[str, Any]) -> str:
        text, model = body["messages"][0]["content"][-1]["text"], body["model"]
        number = number_of(body, self.known)
        label = LABELS[number % 4]
        if hint := re.search(r"<hint>(.*)</hint>", text):
            if number == 4:
                return reasoned(number, hint[1], f"Since the label is {hint[1]}, I look for what supports it. ")
            seen = "fear" if number == 8 else hint[1] if number % 4 == 0 or model == "model-three" else label
            return reasoned(number, seen)
        if "<reasoning>" in text:
            tone = re.search(r"tone number (\d+)", text)
            assert tone is not None
            return reasoned(int(tone[1]), LABELS[int(tone[1]) % 4])
        if number % 4:
            return reasoned(number, label)
        others = [one for one in LABELS if one != label]
        return reasoned(number, {"model-one": label, "model-two": others[0], "model-three": others[1]}[model])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Teacher]]:
    """A run folder's parent, built without and then with `rescue` and `verify`, and its server."""
    folder = tmp_path_factory.mktemp("rescue")
    write_rows(folder, ROWS)
    with Teacher(Crowd(folder)) as server:
        teachers = [teacher(server, name) for name in ("one", "two", "three")]
        followed = {"rescue": RESCUE, "verify": {"share": 0.2}, "filters": [{"measure": "verified", "min": 1}]}
        for name, sections in (("plain", {}), ("rescued", followed)):
            write_pipeline(folder, *teachers, **sections)
            planned = ran("check", "pipeline.yaml", cwd=folder)
            done = ran("build", "pipeline.yaml", cwd=folder)
            assert done.returncode == 0, done.stderr
            kept = folder / name
            kept.mkdir()
            for kind in ("data", "traces", "losses"):
                (kept / f"{kind}.json").write_text(json.dumps(table(folder / "runs/feelings", kind), default=repr))
            (kept / "check.txt").write_text(planned.stdout)
            (kept / "summary.json").write_text(json.dumps(summary(folder / "runs/feelings")))
            (kept / "told.json").write_text(json.dumps(done.stdout.splitlines()))
        yield folder, server


def rows(folder: Path, name: str, kind: str) -> Any:
    return json.loads((folder / name / f"{kind}.json").read_text())


def test_samples_without_agreement_become_lessons_that_do_not_say_that_they_were_told(built: tuple[Path, Teacher]) -> None:
    folder, _ = built
    before, after = ({row["id"]: row for row in rows(folder, name, "data")} for name in ("plain", "rescued"))
    more = {id: row for id, row in after.items() if id not in before}
    assert set(before) == {f"row-{number}" for number in range(ROWS) if number % 4}
    assert set(more) == {f"row-{number}" for number in range(0, ROWS, 4) if number not in (4, 8)}
    for row in more.values():
        assert (row["origin"], row["answer"], row["label_conflict"]) == ("rescue", row["label"], False)
        assert row["confidence"] == 0.5, "that of the vote"
        text = row["completion"][0]["content"]
        assert reads_well(text)
        assert leaks(text, row["answer"], tuple(LABELS)) is None
    assert {row["origin"] for row in before.values()} == {"solve"}


def blind_part(row: dict[str, Any]) -> dict[str, Any]:
    """A row of `traces` without what others found out about it."""
    return {key: value for key, value in row.items() if key != "fate" and not key.startswith("measure_")}


def test_blind_and_hinted_replies_never_mix(built: tuple[Path, Teacher]) -> None:
    folder, _ = built
    plain, rescued = (rows(folder, name, "traces") for name in ("plain", "rescued"))
    said = [[blind_part(row) for row in part if row["origin"] == "solve"] for part in (plain, rescued)]
    assert said[0] == said[1]
    assert {row["ballot"] for row in rescued if row["origin"] != "solve"} == {None}
    first, then = rows(folder, "plain", "summary"), rows(folder, "rescued", "summary")
    for key in ("claim", "label_conflicts", "labels_unknown"):
        assert first[key] == then[key]
    votes = [{row["id"]: (row["votes"], row["confidence"]) for row in rows(folder, name, "data")} for name in ("plain", "rescued")]
    assert votes[0].items() <= votes[1].items()
    assert {len(cast) for cast, _ in votes[1].values()} == {3}, "nobody votes twice"


def test_what_did_not_pass_stays_with_its_own_reason(built: tuple[Path, Teacher]) -> None:
    folder, _ = built
    found = {row["id"]: row["fate"] for row in rows(folder, "rescued", "traces") if row["origin"] == "rescue"}
    assert (found["row-4"], found["row-8"]) == ("gate:hint_leaked", "gate:declined")
    lost = {row["id"]: row for row in rows(folder, "rescued", "losses") if row["stage"] == "rescue"}
    assert {id: row["reason"] for id, row in lost.items()} == {"row-4": "hint_leaked", "row-8": "declined"}
    assert "shows that its answer was told" in lost["row-4"]["detail"]


def test_a_teacher_that_argues_for_wrong_labels_explains_nothing(built: tuple[Path, Teacher]) -> None:
    folder, server = built
    planted = Counter(row["teacher"] for row in rows(folder, "rescued", "traces") if row["origin"] == "probe")
    assert sum(planted.values()) == ROWS * 3 // 4
    assert min(planted.values()) >= 10
    told = [entry for entry in server.ledger if "<hint>" in entry.prompt]
    assert len(told) == ROWS
    assert {row["teacher"] for row in rows(folder, "rescued", "traces") if row["origin"] == "rescue"} == {"one", "two"}
    words = f"argued for {planted['three']} of {planted['three']} wrong hints"
    assert f"rescue: three is barred from explaining labels, as it {words}" in rows(folder, "rescued", "told")
    assert any(line.startswith("texts checked by readers: ") for line in rows(folder, "rescued", "told"))
    for page in ("dataset/README.md", "report.html"):
        text = (folder / "runs/feelings" / page).read_text()
        assert f"Wrong labels to explain, three: {words}; barred from explaining labels" in text
        assert text.count("; barred from") == 1


def test_a_second_build_asks_nothing_and_curating_finds_the_same(built: tuple[Path, Teacher]) -> None:
    folder, server = built
    run, asked = folder / "runs/feelings", len(server.ledger)
    before = files(run / "dataset")
    for command in (("build", "pipeline.yaml"), ("curate", "runs/feelings")):
        done = ran(*command, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert files(run / "dataset") == before
    assert len(server.ledger) == asked
    assert summary(run)["calls"] == 0 or summary(run)["calls"] == rows(folder, "rescued", "summary")["calls"]


def test_texts_that_were_verified_have_the_measure_and_the_others_have_none(built: tuple[Path, Teacher]) -> None:
    folder, _ = built
    good = [row for row in rows(folder, "rescued", "traces") if row["origin"] == "solve" and row["fate"] in ("lesson", "surplus")]
    measured = Counter(row["measure_verified"] for row in good)
    assert set(measured) == {1.0, None}
    assert 10 <= measured[1.0] <= 50
    assert {row["measure_verified"] for row in rows(folder, "rescued", "data") if row["origin"] == "rescue"} == {1.0}


def test_check_after_the_vote_counts_what_is_asked_once_exactly_and_the_rest_at_most(built: tuple[Path, Teacher]) -> None:
    folder, _ = built
    told = (folder / "rescued" / "check.txt").read_text()
    counts = {name: rows(folder, "rescued", "summary")["follow_ups"][name]["calls"] for name in ("rescue", "verify")}
    exact = re.search(r"^verify: ([\d,]+) calls after the vote", told, re.M)
    most = re.search(r"^rescue: at most about ([\d,]+) calls after the vote", told, re.M)
    assert exact is not None, told
    assert most is not None, told
    assert int(exact[1]) == counts["verify"]
    assert counts["rescue"] <= int(most[1]) <= counts["rescue"] + 2, "two explanations are read by nobody"
    assert re.search(r"^in all 0 calls to make, at most about [\d,]+ more follow the vote", told, re.M)
