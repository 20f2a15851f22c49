"""What if: every way of deciding a table of answers, the command on a run's journal, and the page."""

import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cotforge.consensus import AnswersError, Consensus, decide, what_if
from cotforge.consensus.promise import Promise
from cotforge.consensus.sequential.answer_table import Evidence
from cotforge.consensus.sequential.learning import solve_policy
from cotforge.consensus.sequential.policy import Policy
from cotforge.consensus.sequential.terms import Terms, Voter
from cotforge.consensus.whatif import OF_CLASS
from cotforge.whatif.answers import Answers
from cotforge.whatif.choice import LACKING, compare_rows, lacking_text, row_name, setting_line
from cotforge.whatif.page import whatif_page
from cotforge.whatif.whatif_text import follow_up_notes, row_advice, whatif_text
from tests.project import LABELS, ran, replay, said, summary, teacher, write_pipeline, write_rows
from tests.test_gold import HOSTILE, Page

CLASSES = ["awe", "fear", "joy", "calm"]
SKILLS = {"cheap": 0.65, "dear": 0.9, "middle": 0.8}
PRICES = {"cheap": 1.0, "dear": 6.0, "middle": 2.0}


def world(ids: int = 240, seed: int = 0) -> tuple[pl.DataFrame, dict[str, str], dict[str, str]]:
    """(answers, labels of which a tenth is wrong, the truth)."""
    draw = random.Random(seed)
    truth = {f"i{place}": draw.choice(CLASSES) for place in range(ids)}

    def says(true: str, skill: float) -> str:
        return true if draw.random() < skill else draw.choice([one for one in CLASSES if one != true])

    rows = [(id, who, says(true, skill)) for id, true in truth.items() for who, skill in SKILLS.items()]
    labels = {id: says(true, 0.9) for id, true in truth.items()}
    return pl.DataFrame(rows, schema=["id", "teacher", "answer"], orient="row"), labels, truth


def some(truth: dict[str, str], count: int) -> dict[str, str]:
    return dict(list(truth.items())[:count])


def one(table: pl.DataFrame, **is_: Any) -> dict[str, Any]:
    """The one row that is so."""
    (row,) = table.filter(*(pl.col(column) == value for column, value in is_.items())).to_dicts()
    return row


@pytest.fixture(scope="module")
def whole() -> pl.DataFrame:
    answers, labels, truth = world()
    return what_if(answers, classes=CLASSES, labels=labels, prices=PRICES, gold=some(truth, 100), targets=(0.8, 0.95), ordered_at=0.95)


# the function


def test_every_variant_has_its_row(whole: pl.DataFrame) -> None:
    assert whole.select("rule", "order", "objective", "target").rows() == [
        ("majority", "everybody", None, None),
        ("unanimous", "everybody", None, None),
        ("weighted", "everybody", None, None),
        ("dawid_skene", "everybody", None, 0.8),
        ("dawid_skene", "everybody", None, 0.95),
        ("sequential", "policy", "balanced", 0.8),
        ("sequential", "policy", "cheapest", 0.8),
        ("sequential", "policy", "balanced", 0.95),
        ("sequential", "policy", "cheapest", 0.95),
        ("sequential", "cheap to dear", "cheapest", 0.95),
        ("sequential", "best to worst", "balanced", 0.95),
        ("label_match", "best alone", None, None),
        ("cascade", "cheap to dear", None, None),
    ]
    assert whole["lacking"].to_list() == [0.0] * len(whole)


@pytest.mark.parametrize(
    ("row", "options"),
    [
        ({"rule": "majority"}, {"rule": "majority"}),
        ({"rule": "dawid_skene", "target": 0.95}, {"rule": "dawid_skene", "target": 0.95}),
        ({"rule": "sequential", "order": "policy", "objective": "cheapest", "target": 0.8}, {"target": 0.8, "objective": "cheapest"}),
        ({"rule": "sequential", "order": "policy", "objective": "balanced", "target": 0.95}, {"target": 0.95}),
    ],
)
def test_a_row_has_the_figures_of_decide(whole: pl.DataFrame, row: dict[str, Any], options: dict[str, Any]) -> None:
    answers, labels, truth = world()
    decided = decide(answers, classes=CLASSES, labels=labels, prices=PRICES, gold=some(truth, 100), **options)
    found = one(whole, **row)
    accepted, calls = int(decided.frame["accepted"].sum()), int(decided.frame["calls"].sum())
    assert (found["accepted"], found["calls"], found["cost"]) == (accepted, calls, pytest.approx(decided.cost))
    assert (found["precision"], found["low"], found["checked"]) == (decided.claim.precision, decided.claim.low, decided.claim.checked)
    assert decided.by_rule.keys() == some(truth, 100).keys()
    kept = sum(decided.by_rule.get(id, accepts) for id, accepts in decided.frame.select("id", "accepted").iter_rows())
    assert found["coverage"] == pytest.approx(kept / 240)
    assert found["calls_per_accepted"] == pytest.approx(calls / kept)
    assert found["cost_per_accepted"] == pytest.approx(decided.cost / kept)
    assert found["against_label"] == pytest.approx(decided.frame["against_label"].sum() / accepted)


def test_the_rules_that_wait_for_the_label_do_what_they_say(whole: pl.DataFrame) -> None:
    answers, labels, truth = world()
    wide = answers.pivot("teacher", index="id", values="answer").to_dicts()
    gold = some(truth, 100)
    matched = [row["id"] for row in wide if row["dear"] == labels[row["id"]]]
    known = [row["id"] for row in wide if row["id"] in gold and row["dear"] == gold[row["id"]]]
    found = one(whole, rule="label_match")
    unchecked = len(set(matched) - gold.keys())
    assert (found["accepted"], found["calls"], found["cost"]) == (unchecked + len(known), 240, 240 * 6.0), (
        "a checked one is what people say"
    )
    checked = [id for id in matched if id in gold]
    assert (found["checked"], found["calibrated"]) == (len(checked), True)
    assert found["precision"] == pytest.approx(np.mean([labels[id] == truth[id] for id in checked]))
    assert 0 < found["low"] < found["precision"]
    calls = cost = accepted = against = 0
    for row in wide:
        said = []
        for who in ("cheap", "middle", "dear"):
            calls, cost, said = calls + 1, cost + PRICES[who], [*said, row[who]]
            if row[who] == labels[row["id"]]:
                break
        true = gold.get(row["id"], labels[row["id"]])
        accepted, against = accepted + (true in said), against + (true in said and true != labels[row["id"]])
    found = one(whole, rule="cascade")
    assert (found["accepted"], found["calls"], found["cost"]) == (accepted, calls, cost)
    assert found["against_label"] == pytest.approx(against / accepted)


def test_without_gold_nothing_is_calibrated_and_no_precision_is_told() -> None:
    answers, labels, _ = world()
    table = what_if(answers, classes=CLASSES, labels=labels, prices=PRICES, targets=[0.9])
    assert not table["calibrated"].any()
    assert table["low"].null_count() == len(table)
    assert table["precision"].null_count() == len(table)


def test_without_labels_nobody_waits_for_one_and_equal_prices_need_no_second_look() -> None:
    answers, _, _ = world()
    table = what_if(answers, classes=CLASSES, targets=[0.9])
    assert not {"label_match", "cascade"} & set(table["rule"])
    assert table["against_label"].null_count() == len(table)
    assert table["cost"].to_list() == table["calls"].to_list()
    policies = table.filter(pl.col("order") == "policy").drop("objective")
    assert policies.row(0) == policies.row(1)


def test_free_answers_are_compared_too() -> None:
    answers, labels, _ = world()
    free = answers.with_columns(answer=pl.format("{}-{}", "id", "answer"))
    table = what_if(free, labels={id: f"{id}-{label}" for id, label in labels.items()}, prices=PRICES, targets=[0.9])
    closed = what_if(answers, classes=CLASSES, labels=labels, prices=PRICES, targets=[0.9])
    assert len(table) == len(closed)
    for rule in ("majority", "cascade"):
        told = {name: value for name, value in one(closed, rule=rule).items() if not name.startswith(OF_CLASS)}
        assert one(table, rule=rule) == told, "what a label covers is told of a closed set alone"


def test_the_label_gates_or_is_ignored_where_everybody_is_asked() -> None:
    answers, labels, _ = world(60)
    tables = {label: what_if(answers, classes=CLASSES, labels=labels, targets=[0.9], label=label) for label in ("vote", "gate", "ignore")}
    assert one(tables["gate"], rule="majority")["against_label"] == 0
    assert one(tables["ignore"], rule="majority")["against_label"] > one(tables["vote"], rule="majority")["against_label"]
    assert {len(table) for table in tables.values()} == {len(tables["vote"])}


def test_what_was_never_asked_is_told() -> None:
    answers, labels, _ = world()
    first = answers.with_columns(turn=pl.int_range(pl.len()).over("id"))
    asked = decide(answers, classes=CLASSES, labels=labels, prices=PRICES, target=0.9).frame.select("id", "asked").explode("asked")
    sparse = first.join(asked, left_on=["id", "teacher"], right_on=["id", "asked"], maintain_order="left").drop("turn")
    table = what_if(sparse, classes=CLASSES, labels=labels, prices=PRICES, targets=[0.9])
    assert one(table, order="policy", objective="balanced")["lacking"] == 0, "what it asked itself is all there"
    assert one(table, rule="majority")["lacking"] == pytest.approx(1 - len(sparse) / 720)
    cheap = sparse.filter(pl.col("teacher") == "cheap")["id"].n_unique()
    assert one(table, rule="cascade")["lacking"] >= (240 - cheap) / 720
    decided = decide(sparse, classes=CLASSES, labels=labels, prices=PRICES, rule="majority")
    assert decided.lacking == 720 - len(sparse)
    for rule, calls, cost in (("majority", 720, 240 * 9.0), ("label_match", 240, 240 * 6.0)):
        row = one(table, rule=rule)
        assert row["lacking"] > LACKING
        assert (row["calls"], row["cost"]) == (calls, pytest.approx(cost)), "all that the rule needs"
        assert row["calls_per_accepted"] == pytest.approx(calls / row["accepted"])


def test_a_row_that_lacks_replies_says_so_and_is_never_recommended() -> None:
    answers, labels, truth = world()
    gold = some(truth, 150)
    told: dict[str, Any] = {"classes": CLASSES, "labels": labels, "prices": PRICES, "gold": gold}
    asked = decide(answers, target=0.9, **told).frame.select("id", "asked").explode("asked")
    sparse = answers.join(asked, left_on=["id", "teacher"], right_on=["id", "asked"], maintain_order="left")
    rows = what_if(sparse, targets=[0.9], **told).to_dicts()
    sound = [row for row in rows if row["lacking"] <= LACKING]
    assert sound
    assert len(rows) - len(sound) > 3
    for target in (0.51, 0.6, 0.8, 0.999):
        found = compare_rows(rows, Consensus(rule="unanimous", target=target), gold=150)
        assert all(found.rows[place] in sound for place in (found.best, found.better) if place is not None)
    found = compare_rows(rows, Consensus(), gold=150)
    text = whatif_text(found, Answers(sparse, labels, tuple(CLASSES), PRICES, "usd", 240), Path("run"), [])
    lines = {line.split()[0]: line for line in text.splitlines() if "lacks" in line}
    share = one(pl.DataFrame(rows), rule="label_match")["lacking"]
    assert lines["label_match,"].endswith(f" lacks {share:.1%} of its replies: its coverage is too low")
    assert lines["unanimous"].endswith(": its coverage is a guess")
    assert "its coverage is probably too low" in text
    assert lacking_text({**found.rows[0], "rule": "sequential", "lacking": 0.1, "coverage": 1.0}).endswith(": its coverage is a guess")
    assert f"{len(sparse):,} calls in the journal, of which {len(sparse):,} gave an answer that could be read" in text
    page = whatif_page("run", found, Answers(sparse, labels, tuple(CLASSES), PRICES, "usd", 240), Path("run"))
    assert f"<td>lacks {share:.1%} of its replies: its coverage is too low</td>" in page


@pytest.mark.parametrize("rule", ["majority", "unanimous", "label_match", "cascade"])
def test_answers_of_people_flatter_neither_coverage_nor_calls(rule: str) -> None:
    answers, labels, truth = world()
    told: dict[str, Any] = {"classes": CLASSES, "labels": labels, "prices": PRICES, "targets": [0.9]}
    plain, checked = (what_if(answers, gold=gold, **told).filter(pl.col("rule") == rule).row(0, named=True) for gold in (None, truth))
    assert checked["accepted"] > plain["accepted"]
    figures = ["coverage", "calls_per_accepted", "cost_per_accepted", *(OF_CLASS + label for label in CLASSES)]
    assert [checked[name] for name in figures] == pytest.approx([plain[name] for name in figures])


def test_a_target_that_the_pipeline_file_does_not_set_is_named_as_the_default(whole: pl.DataFrame) -> None:
    rows = [row | {"low": None if row["low"] is None else row["low"] / 2} for row in whole.to_dicts()]
    for consensus, source in ((Consensus(), " (the default of consensus.target)"), (Consensus(target=0.9), "")):
        told = row_advice(compare_rows(rows, consensus, gold=100), "usd", Path("run"))
        assert told[0].startswith(f"no row is shown to reach the target 0.9{source}; ")
        high = [row | {"low": 0.95} for row in rows]
        assert f"reaches the target 0.9{source}; " in row_advice(compare_rows(high, consensus, gold=100), "usd", Path("run"))[1]


def test_an_answer_that_could_not_be_read_was_asked_for() -> None:
    answers, labels, _ = world(60)
    blind = answers.with_columns(answer=pl.when(pl.col("teacher") != "middle").then("answer"))
    assert what_if(blind, classes=CLASSES, labels=labels, targets=[0.9])["lacking"].sum() == 0


def test_a_table_or_target_that_cannot_be_used_is_refused() -> None:
    answers, _, _ = world(10)
    with pytest.raises(AnswersError, match="target: 2; a probability between 0 and 1"):
        what_if(answers, targets=[0.9, 2])
    with pytest.raises(AnswersError, match="targets: there is none"):
        what_if(answers, targets=[])
    with pytest.raises(AnswersError, match="no column answer"):
        what_if(answers.drop("answer"))


def test_the_coverage_of_each_label_is_told(whole: pl.DataFrame) -> None:
    answers, labels, _ = world()
    decided = decide(answers, classes=CLASSES, labels=labels, prices=PRICES, rule="majority")
    accepted = dict(decided.frame.select("id", "accepted").iter_rows())
    for label in CLASSES:
        ids = [id for id, given_label in labels.items() if given_label == label]
        assert one(whole, rule="majority")[OF_CLASS + label] == pytest.approx(sum(accepted[id] for id in ids) / len(ids))


def test_a_promise_holds_in_every_row_and_decides_which_is_recommended() -> None:
    answers, labels, truth = world()
    told: dict[str, Any] = {"classes": CLASSES, "labels": labels, "prices": PRICES, "gold": some(truth, 150), "promise": (0.95, 0.9)}
    table = what_if(answers, targets=[0.9], **told)
    assert 0 < table["promised"].null_count() < len(table)
    row = one(table, rule="sequential", order="policy", objective="balanced")
    decided = decide(answers, **told)
    assert decided.promise is not None
    assert (row["promised"], row["accepted"]) == (decided.promise.target, int(decided.frame["accepted"].sum()))
    for row in table.filter(pl.col("promised").is_null()).to_dicts():
        assert row["accepted"] <= 150, "only what people checked"
    found = compare_rows(table.to_dicts(), Consensus(rule="sequential", promise=Promise(precision=0.95, confidence=0.9)), gold=150)
    assert found.best is not None
    assert found.rows[found.best]["promised"] is not None


def test_the_line_for_the_pipeline_file_sets_the_row_that_it_is_of(whole: pl.DataFrame) -> None:
    for row in whole.to_dicts():
        (written,) = yaml.safe_load(setting_line(row, Consensus())).values()
        consensus = Consensus(**written)
        assert consensus.rule == row["rule"]
        assert not consensus.make_rule.targeted or consensus.target == row["target"]
        found = compare_rows(whole.to_dicts(), consensus, gold=100, order=consensus.order or ())
        assert found.present is not None
        assert found.rows[found.present] == row


def test_where_no_row_reaches_the_target_the_cheapest_that_is_in_nothing_worse_than_the_present_one_is_named(whole: pl.DataFrame) -> None:
    given = {"gold": 100, "follow_ups": ("rescue", "verify")}
    found = compare_rows(whole.to_dicts(), Consensus(rule="unanimous", target=0.999), **given)
    assert (found.best, found.present is None) == (None, False)
    assert found.better is not None
    present, better = found.rows[found.present or 0], found.rows[found.better]
    assert better["calls_per_accepted"] < present["calls_per_accepted"]
    assert all(better[name] >= present[name] for name in ("low", "coverage"))
    none, told = row_advice(found, "usd", Path("runs/it"))
    assert none.startswith("no row is shown to reach the target 0.999; ")
    assert told.startswith(f"in nothing worse than the present setting, and asks less: {row_name(better)}: ")
    assert told.endswith(setting_line(better, found.consensus))
    assert list(follow_up_notes(found)) == [
        "calls and cost are those of the vote alone: what is asked after it (rescue, verify) is in no row"
    ]
    cheapest = Consensus(**yaml.safe_load(setting_line(better, found.consensus))["consensus"] | {"target": better["target"] or 0.999})
    again = compare_rows(whole.to_dicts(), cheapest, gold=100, order=cheapest.order or ())
    assert again.better is None, "nothing beats what was named"


# a fixed order


def policy(order: tuple[str, ...], seed: int, objective: str) -> Policy:
    answers, labels, _ = world(120, seed)
    voters = tuple(Voter(who, price=PRICES[who]) for who in sorted(PRICES))
    terms = Terms(voters, tuple(CLASSES), 0.9, objective, order=order)  # type: ignore[arg-type]
    evidence = Evidence(terms)
    for (id,), rows in answers.group_by("id", maintain_order=True):
        evidence.add(0, label=labels[str(id)], answers=dict(rows.select("teacher", "answer").iter_rows()), everybody=True)
    return solve_policy(terms, evidence.table())


@settings(max_examples=8, deadline=None)
@given(st.permutations(sorted(PRICES)), st.integers(0, 3), st.sampled_from(["balanced", "cheapest"]))
def test_a_fixed_order_is_kept_and_never_worth_more_than_a_free_one(order: list[str], seed: int, objective: str) -> None:
    free, fixed = policy((), seed, objective), policy(tuple(order), seed, objective)
    for worth in (free.worth, fixed.worth, 2 * free.worth):
        free._evaluate_levels(worth)
        fixed._evaluate_levels(worth)
        assert fixed.value <= free.value + 1e-6
    for label in (None, *CLASSES):
        asked: dict[str, str | None] = {}
        while (voter := fixed.next(label, asked)) is not None:
            assert all(order.index(before) < order.index(voter) for before in asked)
            asked[voter] = None if len(asked) % 2 else CLASSES[len(asked)]


def test_an_order_that_ends_with_the_best_is_worth_less() -> None:
    free, fixed = policy((), 0, "balanced"), policy(("cheap", "middle", "dear"), 0, "balanced")
    free._evaluate_levels(free.worth)
    fixed._evaluate_levels(free.worth)
    assert fixed.value < free.value - 1e-3


# the command


def project(folder: Path, rows: int = 60, *, gold: int = 0, **sections: Any) -> Path:
    """A run whose teachers are replayed, and then a pipeline whose servers are not there."""
    write_rows(folder, rows)
    draw = random.Random(1)
    truth = {f"row-{place}": LABELS[place % 4] for place in range(rows)}
    kinds = [
        replay(
            folder,
            who,
            {
                id: "I cannot tell." if draw.random() < 0.05 else said(true if draw.random() < skill else "awe")
                for id, true in truth.items()
            },
            price={"input": PRICES[who], "output": PRICES[who]},
        )
        for who, skill in SKILLS.items()
    ]
    write_pipeline(folder, *kinds, **sections)
    assert ran("build", "pipeline.yaml", cwd=folder).returncode == 0
    run = folder / "runs/feelings"
    if gold:
        (run / "gold.csv").write_text("id,answer\n" + "".join(f"{id},{true}\n" for id, true in some(truth, gold).items()) + "row-59,?\n")
    write_pipeline(
        folder, *(teacher("http://127.0.0.1:9/v1", who, price=one["price"]) for who, one in zip(SKILLS, kinds, strict=True)), **sections
    )
    return run


def test_the_command_compares_without_asking_and_leaves_the_dataset_alone(tmp_path: Path) -> None:
    run = project(tmp_path)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "lock" and "sqlite" not in path.name}
    ended = ran("curate", "runs/feelings", "--what-if", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    unread = sum((tmp_path / f"{who}.jsonl").read_text().count("I cannot tell.") for who in SKILLS)
    assert unread > 0
    assert lines[0] == (
        f"60 samples, 180 calls in the journal, of which {180 - unread} gave an answer that could be read, "
        "0 samples checked by people; nothing was asked"
    )
    (present,) = [line for line in lines if line.startswith("* ") and "present" not in line]
    assert present.split()[1] == "majority"
    assert lines[-1].startswith("nothing is calibrated: no person has checked a sample")
    assert "cotforge gold runs/feelings" in lines[-1]
    assert {path: path.read_bytes() for path in before} == before
    table = pl.read_csv(run / "what-if.csv")
    assert one(table, rule="majority")["accepted"] == summary(run)["accepted"]
    assert one(table, rule="majority")["cost"] == pytest.approx(summary(run)["cost_usd"])
    assert table["calls_per_accepted"].min() < one(table, rule="majority")["calls_per_accepted"]


def test_with_gold_the_cheapest_row_that_is_shown_to_reach_the_target_is_recommended(tmp_path: Path) -> None:
    run = project(tmp_path, gold=50, consensus={"rule": "dawid_skene", "target": 0.7})
    ended = ran("curate", "runs/feelings", "--what-if", cwd=tmp_path)
    lines = ended.stdout.splitlines()
    table = pl.read_csv(run / "what-if.csv")
    assert 0.7 in table["target"].to_list()
    good = table.filter(pl.col("calibrated") & (pl.col("low") >= 0.7)).sort("cost_per_accepted", "calls_per_accepted").row(0, named=True)
    assert lines[-2].startswith(f"recommended: {row_name(good)}: ")
    assert "it is the cheapest row whose lower bound reaches the target 0.7" in lines[-1]
    assert any(line.startswith("* dawid_skene 0.7 ") for line in lines)
    ended = ran("curate", "runs/feelings", "--what-if", "--set", "consensus.target=0.999", cwd=tmp_path)
    *_, none, instead = ended.stdout.splitlines()
    assert none.startswith("no row is shown to reach the target 0.999; ")
    assert instead.startswith("in nothing worse than the present setting, and asks less: ")


def test_a_sample_that_people_find_ambiguous_is_no_gold_and_wrong_gold_is_a_fault(tmp_path: Path) -> None:
    run = project(tmp_path, gold=60)
    told = ran("curate", "runs/feelings", "--what-if", cwd=tmp_path).stdout
    assert "59 samples checked" in told
    assert "people checked all samples" in told
    assert "against label, of" not in told
    gold = (run / "gold.csv").read_text()
    (run / "gold.csv").write_text(re.sub("(?m)^row-4,.*$", "row-4,awe", gold))
    told = ran("curate", "runs/feelings", "--what-if", cwd=tmp_path).stdout
    assert "against label, of label_match and cascade: answers of people alone" in told
    (run / "gold.csv").write_text("id,answer\nrow-1,joy\n")
    ended = ran("curate", "runs/feelings", "--what-if", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "'joy' is not in the set" in ended.stderr


def test_samples_of_which_nothing_was_heard_are_told_and_a_run_without_replies_is_a_fault(tmp_path: Path) -> None:
    run = project(tmp_path)
    write_rows(tmp_path, 5, start=60)
    assert "60 samples (of 65; nothing was heard of the others)" in ran("curate", "runs/feelings", "--what-if", cwd=tmp_path).stdout
    ended = ran(
        "curate", "runs/feelings", "--what-if", "--set", "teachers=[{name: new, model: x, url: 'http://127.0.0.1:9'}]", cwd=tmp_path
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"{run.relative_to(tmp_path)}/journal.sqlite: holds no reply" in ended.stderr


# the page


def shown(gold: int, **answers_: Any) -> tuple[str, Page]:
    answers, labels, truth = world(120)
    table = what_if(answers, classes=CLASSES, labels=labels, prices=PRICES, gold=some(truth, gold), targets=[0.9])
    found = compare_rows(table.to_dicts(), Consensus(), gold=gold)
    given_ = {"frame": answers, "labels": labels, "classes": tuple(CLASSES), "prices": PRICES, "unit": "usd", "samples": 120} | answers_
    text = whatif_page(HOSTILE, found, Answers(**given_), Path(HOSTILE.replace("/", "")))
    return text, Page(text)


@pytest.mark.parametrize("gold", [0, 60])
def test_the_page_is_one_file_without_scripts_in_which_hostile_names_are_text(gold: int) -> None:
    text, made = shown(gold, prices={HOSTILE: 1.0})
    assert not {"script", "link", "iframe", "img", "object", "base", "image", "use"} & set(made.tags)
    assert not [each for each in made.attributes if each in ("src", "href", "xlink:href", "style", "action") or each.startswith("on")]
    assert not re.search(r"https?:|@import|url\(", text)
    (policy_,) = [value for value in made.attributes["content"] if "default-src" in value]
    assert policy_ == "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    assert made.tags.count("svg") == 2 == made.tags.count("desc")
    assert ("so no precision is told" in text) == (not gold)
    assert ("bound r" in text) == bool(gold)


def test_where_calls_are_the_only_price_there_is_one_plot() -> None:
    assert shown(0, unit="calls")[1].tags.count("svg") == 1
