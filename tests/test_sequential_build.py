"""`rule: sequential` from end to end: a made project whose truth is known, real servers, the real statistics, the command as typed."""

import random
import re
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.crowd import ACCURACIES, IN_TURN, Crowd, drawn, late
from tests.project import LABELS, Running, command, cotforge, environment, files, ran, said, summary, table
from tests.test_forge import until

ROWS = 240
RUN = Path("runs/feelings")


def build(crowd: Crowd, *words: object, code: int = 0) -> dict[str, Any]:
    """The summary that `cotforge build` leaves."""
    ended = ran("build", "pipeline.yaml", *words, cwd=crowd.folder)
    assert ended.returncode == code, ended.stderr
    out = Path(str(words[words.index("--out") + 1])) if "--out" in words else RUN
    return summary(crowd.folder / out)


def verdicts(run: Path) -> dict[str, Any]:
    """What a run says of every Sample, and of itself."""
    lessons = {row["id"]: (row["answer"], row["confidence"], row["label_conflict"]) for row in table(run, "data")}
    told = summary(run)
    return {"lessons": lessons, **{key: told[key] for key in ("samples", "rejected", "claim", "calls_missing", "label_conflicts")}}


def lessons(crowd: Crowd, run: Path = RUN) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in table(crowd.folder / run, "data")}


# asking less, and the same


def test_most_rows_are_accepted_for_far_fewer_calls_and_a_second_build_asks_nothing(tmp_path: Path) -> None:
    crowd = Crowd.of(tmp_path / "it", 300)
    with crowd.servers() as servers:
        crowd.pipeline(servers)
        told = build(crowd)
    assert told["calls"] == crowd.asked.total() < 0.65 * 300 * len(servers)
    assert set(crowd.asked.values()) == {1}
    assert told["accepted"] > 0.93 * 300
    assert crowd.right(table(crowd.folder / RUN, "data")) > 0.97
    assert (told["calls_missing"], told["claim"]["calibrated"], told["claim"]["low"]) == (0, False, None)
    assert all(abs(told["teachers"][name]["estimated_accuracy"] - accuracy) < 0.12 for name, accuracy in ACCURACIES.items())
    before = files(crowd.folder / RUN / "dataset")
    checked = ran("check", "pipeline.yaml", cwd=crowd.folder)
    assert checked.returncode == 0, "nobody is asked any more, so no server is looked for"
    assert "in all 0 calls to make" in checked.stdout
    assert build(crowd)["calls"] == 0
    assert files(crowd.folder / RUN / "dataset") == before
    assert (crowd.folder / RUN / "cache/finished.json").exists(), "so that the next build ends at once"
    for words in (["build", "pipeline.yaml", "--offline"], ["curate", RUN]):
        assert ran(*words, cwd=crowd.folder).returncode == 0
        assert files(crowd.folder / RUN / "dataset") == before


def learned(run: Path) -> dict[str, tuple[int, bytes]]:
    """What a run folder keeps of what was learned: whoever learns it again writes a file anew."""
    return {path.name: (path.stat().st_ino, path.read_bytes()) for path in (run / "cache/learned").iterdir()}


def in_another_process(crowd: Crowd, *words: object) -> None:
    """A command that has nothing in mind."""
    assert cotforge(*words, cwd=crowd.folder, timeout=600).returncode == 0


@pytest.mark.parametrize("gold", [False, True])
def test_what_is_finished_is_found_finished_without_learning_again(tmp_path: Path, gold: bool) -> None:
    crowd = Crowd.of(tmp_path / "it", ROWS, unlabelled=0.1)
    if gold:
        crowd.gold([f"row-{number}" for number in range(40)])
    with crowd.servers() as servers:
        crowd.pipeline(servers, **({"gold": "gold.csv"} if gold else {}))
        told = build(crowd)
    kept = learned(crowd.folder / RUN)
    assert len(kept) >= (7 if gold else 2), "policies, the belief at the end, and one without each part of the gold"
    before = files(crowd.folder / RUN / "dataset")
    for words in (["build", "pipeline.yaml"], ["build", "pipeline.yaml", "--offline"], ["curate", RUN]):
        in_another_process(crowd, *words)
        assert summary(crowd.folder / RUN)["claim"] == told["claim"]
        assert files(crowd.folder / RUN / "dataset") == before
        assert learned(crowd.folder / RUN) == kept


def test_what_is_kept_of_what_was_learned_may_be_lost_or_damaged(tmp_path: Path) -> None:
    crowd = Crowd.of(tmp_path / "it", ROWS)
    with crowd.servers() as servers:
        crowd.pipeline(servers)
        build(crowd)
    kept, before = learned(crowd.folder / RUN), files(crowd.folder / RUN / "dataset")
    for number, name in enumerate(sorted(kept)):
        path = crowd.folder / RUN / "cache/learned" / name
        path.write_bytes((b"", b"not what it was", kept[name][1][:-3])[number % 3])
    in_another_process(crowd, "build", "pipeline.yaml")
    assert {name: data for name, (_, data) in learned(crowd.folder / RUN).items()} == {name: data for name, (_, data) in kept.items()}
    assert files(crowd.folder / RUN / "dataset") == before


def test_whatever_the_order_of_arrival_the_same_is_asked_and_found(tmp_path: Path) -> None:
    crowd, found = Crowd.of(tmp_path / "it", ROWS), list[dict[str, Any]]()
    sets = list[Counter[tuple[str, str, bool]]]()
    for number in range(3):
        with crowd.servers() as servers:
            crowd.pipeline(servers, concurrency=(1, 8, 21)[number])
            late(servers, number, most=(0.0, 0.02, 0.05)[number])
            build(crowd, "--out", f"run-{number}")
        found.append(verdicts(crowd.folder / f"run-{number}"))
        sets.append(crowd.asked.copy())
        crowd.asked.clear()
    assert sets[0] == sets[1] == sets[2]
    assert found[0] == found[1] == found[2]


def test_what_is_learned_while_asking_goes_on_is_what_the_replay_learns(tmp_path: Path) -> None:
    """Rows enough for two policies: the replay finds every answer it wants, and nothing is left to ask."""
    crowd = Crowd.of(tmp_path / "it", 3600)
    with crowd.servers({name: ACCURACIES[name] for name in ("ann", "bob", "cyd")}) as servers:
        crowd.pipeline(servers, concurrency=21)
        late(servers, 0, most=0.01)
        told = build(crowd)
    assert told["calls"] < 0.7 * 3 * 3600
    assert told["calls_missing"] == 0
    assert set(crowd.asked.values()) == {1}
    assert "in all 0 calls to make" in ran("check", "pipeline.yaml", cwd=crowd.folder).stdout


def test_killed_again_and_again_it_asks_what_an_undisturbed_run_asks(tmp_path: Path) -> None:
    crowd, chance, kills = Crowd.of(tmp_path / "it", ROWS), random.Random(4), 3
    with crowd.servers(latency=0.01) as servers:
        crowd.pipeline(servers)
        for kill in range(1, kills + 1):
            with Running(command("build", "pipeline.yaml"), cwd=crowd.folder, env=environment(), stdout=subprocess.DEVNULL) as run:
                until(lambda kill=kill: crowd.asked.total() >= 150 * kill)
                time.sleep(chance.uniform(0, 0.05))
                run.kill()
        time.sleep(0.1)
        build(crowd)
        disturbed = crowd.asked.copy()
        crowd.asked.clear()
        build(crowd, "--out", "undisturbed")
    assert disturbed.keys() == crowd.asked.keys()
    assert disturbed.total() - len(disturbed) <= kills * 8 * len(servers)
    assert files(crowd.folder / RUN / "dataset/data") == files(crowd.folder / "undisturbed/dataset/data")
    assert verdicts(crowd.folder / RUN) == verdicts(crowd.folder / "undisturbed")


@pytest.mark.parametrize("votes", ["full", "short"])
def test_what_was_never_asked_may_say_anything(tmp_path: Path, votes: str) -> None:
    """Everybody is asked afterwards, in the same folder; whom the vote did not ask says something else then."""
    crowd = Crowd.of(tmp_path / "it", ROWS)
    with crowd.servers() as servers:
        crowd.pipeline(servers, consensus={**IN_TURN, "votes": votes})
        build(crowd)
        before = verdicts(crowd.folder / RUN)
        for name, server in servers.items():

            def anything(body: dict[str, Any], name: str = name) -> str:
                return said(LABELS[int(4 * drawn("anything", crowd.key(name, body)))])

            server.answer, server.fail = anything, None
        told = build(crowd, "--set", "consensus.rule=majority", "--set", "consensus.votes=full")
        assert told["calls"] > 0.3 * 4 * ROWS
    assert verdicts(crowd.folder / RUN) != before
    assert ran("build", "pipeline.yaml", "--offline", cwd=crowd.folder).returncode == 0
    assert verdicts(crowd.folder / RUN) == before


# what people checked


def test_gold_calibrates_the_claim_and_stands_for_the_rows_it_is_of(tmp_path: Path) -> None:
    crowd = Crowd.of(tmp_path / "it", 300)
    ids = [f"row-{number}" for number in range(60)]
    never = next(f"row-{row}" for row in range(100, 300) if all(crowd.answer(name, f"row-{row}") != "fear" for name in ACCURACIES))
    crowd.gold(ids, **{"row-70": "?", never: "fear"})
    with crowd.servers() as servers:
        crowd.pipeline(servers, gold="gold.csv")
        told = build(crowd)
    claim, found = told["claim"], lessons(crowd)
    assert claim["calibrated"] is True
    assert 20 <= claim["right"] <= claim["checked"] <= 61
    assert 0.8 < claim["low"] < claim["precision"] <= 1
    assert next(iter(claim)) == "low"
    assert claim["with_label"]["checked"] >= 20
    assert claim["against_label"] is None
    assert (claim["ambiguous"], claim["gold"]) == (1, 62)
    assert told["rejected"]["vote:ambiguous"] == 1
    assert told["rejected"]["vote:gold_unsaid"] >= 1
    assert "row-70" not in found
    assert never not in found
    assert all(found[id]["answer"] == crowd.truth[id] for id in ids if id in found)
    assert all(found[id]["confidence"] == 1 for id in ids if id in found)
    assert sum(id in found for id in ids) > 55
    assert sum(crowd.asked[name, id, False] for id in [*ids, "row-70"] for name in ACCURACIES) == 4 * 61
    assert 'id="calibration-title"' in (crowd.folder / RUN / "report.html").read_text()
    card = (crowd.folder / RUN / "dataset/README.md").read_text()
    assert "those that are the raw label" in card
    assert "people could not tell 1 of 62 checked samples" in card
    assert build(crowd)["claim"] == claim


# who votes, and how


def test_one_model_behind_two_names_counts_once(tmp_path: Path) -> None:
    """Two that always say the same would carry every wrong answer of theirs, were they two."""
    crowd = Crowd.of(tmp_path / "it", 400)
    accuracies = {"ann": 0.75, "bob": 0.75, "cyd": 0.8}
    with crowd.servers(accuracies) as servers:
        servers["bob"].answer, servers["bob"].fail = crowd.says("ann", 0.75, told="bob"), None
        servers["ann"].fail = None
        crowd.pipeline(servers)
        told = build(crowd)
    assert {name: about.get("twin_of") for name, about in told["teachers"].items()} == {"ann": None, "bob": "ann", "cyd": None}
    later = Counter(name for (name, _, _), count in crowd.asked.items() for _ in range(count))
    assert later["bob"] < 0.4 * 400, "once that is known it is asked only where everybody is"
    assert crowd.right(table(crowd.folder / RUN, "data")) > 0.95
    assert "bob repeats ann" in (crowd.folder / RUN / "report.html").read_text()


@pytest.mark.parametrize(
    "rule",
    [
        {"label": "gate"},
        {"label": "ignore"},
        {"max_calls": 2},
        {"objective": "cheapest"},
        {"objective": {"lessons": 150}},
        {"objective": {"budget": 0.025}},
        {"objective": {"lessons": 200, "budget": 1}},
    ],
    ids=str,
)
def test_every_way_to_ask_in_turn_ends_and_is_curated_as_it_was_asked(tmp_path: Path, rule: dict[str, Any]) -> None:
    crowd = Crowd.of(tmp_path / "it", ROWS, unlabelled=0.1)
    with crowd.servers() as servers:
        crowd.pipeline(servers, consensus={**IN_TURN, **rule})
        told = build(crowd)
        assert build(crowd)["calls"] == 0
    assert told["calls_missing"] == 0
    assert told["accepted"] + sum(told["rejected"].values()) == ROWS
    assert crowd.right(table(crowd.folder / RUN, "data")) > 0.95
    by_row = Counter(id for _, id, _ in crowd.asked)
    if rule.get("label") == "gate":
        assert {*told["rejected"]} >= {"vote:label_gate", "vote:label_missing"}
        assert all(row["label"] == row["answer"] for row in table(crowd.folder / RUN, "data"))
    if "max_calls" in rule:
        assert set(by_row.values()) <= {0, 1, 2, 4}
    if rule.get("objective") == {"lessons": 150}:
        assert 130 < told["accepted"] < 180
    if rule.get("objective") == {"budget": 0.025}:
        assert 0.02 < told["cost_usd"] < 1.1 * 0.025
        assert told["accepted"] > 100
    if rule.get("objective") == {"lessons": 200, "budget": 1}:
        assert told["accepted"] > 180


def test_free_answers_with_rows_that_have_no_label(tmp_path: Path) -> None:
    crowd = Crowd.of(tmp_path / "it", ROWS, unlabelled=0.3)
    with crowd.servers() as servers:
        crowd.pipeline(servers, task={"kind": "answer", "question": "What does this picture evoke?", "verifier": "exact"})
        told = build(crowd)
        assert build(crowd)["calls"] == 0
    assert told["accepted"] > 0.85 * ROWS
    assert told["calls"] < 0.75 * 4 * ROWS
    assert told["calls_missing"] == 0
    assert crowd.right(table(crowd.folder / RUN, "data")) > 0.95


def test_short_votes_teach_nothing_and_a_trace_is_asked_for_where_the_answer_has_none(tmp_path: Path) -> None:
    crowd = Crowd.of(tmp_path / "it", ROWS)
    with crowd.servers() as servers:
        crowd.pipeline(servers, consensus={**IN_TURN, "votes": "short"})
        told = build(crowd)
        assert build(crowd)["calls"] == 0
    found, traces = lessons(crowd), table(crowd.folder / RUN, "traces")
    assert told["calls_missing"] == 0
    assert len(found) > 0.9 * ROWS
    assert all(row["origin"] == "solve" and len(row["completion"][0]["content"]) > 80 for row in found.values())
    fates = {(row["origin"], row["fate"]) for row in traces}
    assert {fate for origin, fate in fates if origin == "vote"} <= {"vote", "unread:no_answer"}
    both = {(name, id) for name, id, short in crowd.asked if short} & {(name, id) for name, id, short in crowd.asked if not short}
    warm = {id for _, id in both if sum((name, id) in both for name in ACCURACIES) == 4}
    asked_for = {(name, id) for name, id in both if id not in warm}
    assert asked_for, "somewhere the first trace was wrong, and the others outvoted it in short"
    assert all(crowd.answer(name, id) == found[id]["answer"] for name, id in asked_for if id in found)


# ends in between


def test_a_budget_in_the_middle_leaves_what_there_is_and_a_higher_one_goes_on_to_the_same_end(tmp_path: Path) -> None:
    crowd = Crowd.of(tmp_path / "it", ROWS)
    with crowd.servers() as servers:
        crowd.pipeline(servers, budget={"calls": 460})
        planned = planned_checks(crowd)
        told = build(crowd, code=3)
        assert_planned_by_replies(planned, planned_checks(crowd))
        losses = table(crowd.folder / RUN, "losses")
        assert told["stopped"].startswith("budget: calls 460")
        assert 60 < told["accepted"] < 0.9 * ROWS
        assert told["calls_missing"] == sum(loss["stage"] == "forge" for loss in losses) > 20
        assert told["rejected"].keys() & {"vote:not_asked", "vote:no_replies"}
        curated = ran("curate", RUN, cwd=crowd.folder)
        assert f"at least {told['calls_missing']:,} calls are not asked yet" in curated.stdout
        build(crowd, "--set", "budget.calls=1e6")
        in_two = crowd.asked.copy()
        crowd.asked.clear()
        build(crowd, "--out", "undisturbed", "--set", "budget.calls=1e6")
    assert in_two == crowd.asked
    assert verdicts(crowd.folder / RUN) == verdicts(crowd.folder / "undisturbed")


def planned_checks(crowd: Crowd) -> str:
    """What `check` says of the Calls that would read what the teachers wrote."""
    ended = ran("check", "pipeline.yaml", "--offline", "--set", "verify={by: 1}", cwd=crowd.folder)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def assert_planned_by_replies(before: str, after: str) -> None:
    """Nobody knows before the vote how many are asked about a sample; the first ones tell."""
    assert (
        "calls after the vote: counted as if 80% of the samples had an accepted answer, which is an assumption, and as if all teachers "
        "were asked about each; asked in turn, they are fewer"
    ) in before.splitlines()
    told = r"accepted answer, as the (\d+) so far have, and (\d\.\d) replies to it, as the \d+ about which teachers were asked in turn$"
    found = re.search(told, after, re.MULTILINE)
    assert found, after
    assert 1 <= float(found[2]) < 2
    most, left = (int(re.findall(r"verify: at most about (\d+) calls", text)[0]) for text in (before, after))
    assert left < 0.6 * most * (ROWS - int(found[1])) / ROWS, "all four would have been counted"


def test_stopped_in_the_warm_up_what_is_missing_is_told(tmp_path: Path) -> None:
    crowd = Crowd.of(tmp_path / "it", ROWS)
    with crowd.servers() as servers:
        crowd.pipeline(servers, budget={"calls": 100})
        told = build(crowd, code=3)
    assert told["calls_missing"] >= 4 * 100 - 100
    assert told["rejected"]["vote:no_replies"] > 100


def test_a_teacher_that_dies_for_good_is_done_without(tmp_path: Path) -> None:
    crowd = Crowd.of(tmp_path / "it", ROWS)
    with crowd.servers() as servers:
        refused = servers["ann"].fail
        assert refused is not None
        servers["ann"].fail = lambda body: (429, "insufficient_quota") if len(servers["ann"].ledger) > 130 else refused(body)
        crowd.pipeline(servers)
        told = build(crowd, code=3)
        found = table(crowd.folder / RUN, "data")
        assert len(found) > 0.8 * ROWS
        assert crowd.right(found) > 0.95
        assert told["calls_missing"] > 10
        servers["ann"].fail = refused
        again = build(crowd)
        assert again["teachers"]["ann"]["calls"] > 130
        assert again["calls_missing"] == 0
        assert again["accepted"] > 0.9 * ROWS
        assert build(crowd)["calls"] == 0


def test_with_so_few_samples_that_all_are_warm_up_check_and_build_say_that_nothing_is_saved(tmp_path: Path) -> None:
    crowd = Crowd.of(tmp_path / "it", 30)
    line = (
        "consensus.rule: 'sequential': all 30 samples are warm-up, about which every teacher is asked; it saves calls from more than 100 "
        "samples on"
    )
    with crowd.servers() as servers:
        crowd.pipeline(servers)
        for name in ("check", "build"):
            ended = ran(name, "pipeline.yaml", cwd=crowd.folder)
            assert (ended.returncode, ended.stderr.splitlines().count(line)) == (0, 1), ended.stderr
