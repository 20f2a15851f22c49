"""What `report.html` shows of a training: curves over the steps of all stages, figures on what is held out, and no text as markup."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_report import HOSTILE, Page

from cotforge.folder import RunFolder
from cotforge.plan import Plan
from cotforge.train.report import page
from cotforge.train.report.curves import CURVES, plots, thinned
from cotforge.train.report.past import base_figures, past_chapters
from cotforge.train.report.recall import recall_table
from tests.trained import REWARDED, figures, stage, tried

PLAN = Plan.model_validate(
    {
        "student": {"model": "org/small"},
        "stages": [
            {"name": "inject", "kind": "sft", "epochs": 1},
            {"name": "reason", "kind": "grpo", "steps": 6, "rewards": [{"measure": "well_formed"}, {"measure": "correct"}]},
            {"name": "later", "kind": "sft"},
        ],
    }
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run whose second stage goes on: its last row is cut short, and the figures of its name are those of an earlier student."""
    losses = [{"step": step, "loss": 3.0 / step, "mean_token_accuracy": step / 10} for step in range(1, 11)]
    stage(tmp_path, "01-inject", "k1", "k0", losses)
    folder = stage(tmp_path, "02-reason", "k2", "k1", [REWARDED | {"step": step} for step in range(1, 4)], finished=False)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "rew')
    (folder / "completions").mkdir()
    said = {"step": 0, "id": HOSTILE, "truth": "red", "answer": None, "fault": "no_answer", "said": HOSTILE, "advantage": -1.0}
    pq.write_table(pa.Table.from_pylist([said] * 5), folder / "completions" / "000000.parquet")
    tried(tmp_path, "00-base", figures("k0", 0.25))
    tried(tmp_path, "01-inject", figures("k1", 0.5))
    tried(tmp_path, "02-reason", figures("of other inputs", 0.75))
    return tmp_path


def test_the_curves_are_those_of_the_stages_that_have_them(run: Path) -> None:
    chapters = past_chapters(PLAN, run)
    drawn = {plot.title: plot for plot in plots(chapters, base_figures(run, chapters))}
    first, *others = drawn
    assert first == "On what is held out, with 95 % intervals"
    assert set(others) == {curve.title for curve in CURVES if curve.title in drawn} >= {"Loss on lessons", "Rewards", "Entropy in nats"}
    held, loss, rewards = drawn[first], drawn["Loss on lessons"], drawn["Rewards"]
    assert [mark.says for mark in held.lines[0].marks] == [
        "after nothing: accuracy 0.250, 0.150 to 0.350",
        "after inject: accuracy 0.500, 0.400 to 0.600",
    ]
    assert [(line.name, line.path.count("L"), line.last) for line in loss.lines] == [("loss", 9, pytest.approx(0.3))]
    assert [(line.name, line.last) for line in rewards.lines] == [("whole", 0.5), ("well_formed", 0.25), ("correct", 0.75)]
    assert [tick.text for tick in rewards.stages] == ["reason"]
    assert [tick.text for tick in held.stages] == ["inject", "reason"]


def test_a_branch_starts_a_line_of_its_own_at_the_figure_of_the_weights_it_begins_with(tmp_path: Path) -> None:
    stages = [{"name": name, "kind": "sft"} for name in ("inject", "plain", "more")]
    plan = Plan.model_validate(
        {"student": {"model": "m"}, "stages": [stages[0], stages[1] | {"from": "base"}, stages[2] | {"from": "inject"}]}
    )
    for place, (name, begin, accuracy) in enumerate([("inject", "k0", 0.5), ("plain", "k0", 0.3), ("more", "k1", 0.7)], 1):
        stage(tmp_path, f"{place:02}-{name}", f"k{place}", begin, [{"step": 2, "loss": 1.0}])
        tried(tmp_path, f"{place:02}-{name}", figures(f"k{place}", accuracy))
    tried(tmp_path, "00-base", figures("k0", 0.2))
    chapters = past_chapters(plan, tmp_path)
    assert [chapter.title for chapter in chapters] == ["inject", "plain, from base", "more, from inject"]
    held = plots(chapters, base_figures(tmp_path, chapters))[0].lines[0]
    y = {mark.says.partition(":")[0]: f"{mark.y:g}" for mark in held.marks}
    parts = [[point.split()[1] for point in part.split("L")] for part in held.path.removeprefix("M").split(" M")]
    expected = [("nothing", "inject"), ("nothing", "plain"), ("inject", "more")]
    assert parts == [[y[f"after {one}"], y[f"after {two}"]] for one, two in expected]
    with RunFolder(tmp_path) as folder:
        page.write_page(folder, plan)
    assert "plain, from base" in Page((tmp_path / "report.html").read_text()).text


def test_a_curve_lies_where_its_values_do(run: Path) -> None:
    chapters = past_chapters(PLAN, run)
    loss = next(plot for plot in plots(chapters, None) if plot.title == "Loss on lessons")
    places = [tuple(map(float, point.split())) for point in loss.lines[0].path.removeprefix("M").split("L")]
    across = {tick.text: tick.at for tick in loss.across}
    up = {tick.text: tick.at for tick in loss.up}
    assert places[0] == (pytest.approx(across["2"] / 2 + across["0"] / 2, abs=0.1), up["3"])
    assert places[-1][0] == across["10"]
    assert [y for _, y in places] == sorted(y for _, y in places)
    assert all(up["0"] > y >= up["3"] for _, y in places)


def test_a_long_curve_is_thinned_to_means() -> None:
    course = [(step, float(step % 2)) for step in range(1, 10_001)]
    thin = thinned(course)
    assert len(thin) <= 240
    assert {value for _, value in thin} == {0.5}
    assert thinned(course[:100]) == course[:100]
    assert thinned([]) == []


def test_the_page_has_no_script_and_shows_hostile_text_as_text(run: Path) -> None:
    with RunFolder(run) as folder:
        page.write_page(folder, PLAN)
    made = Page((run / "report.html").read_text())
    assert not {"script", "img", "link"} & {*made.tags}
    assert not [name for _, name, _ in made.attributes if name.startswith("on") or name in ("src", "href")]
    assert made.text.count(HOSTILE) == 4
    assert "02 reason: grpo" in made.text
    assert "03 later" not in made.text
    assert "of which 2 were begun" in made.text
    assert "0.500  0.400 to 0.600" in made.text


def test_written_again_it_is_the_same_and_what_else_stands_in_the_page_stays(run: Path) -> None:
    with RunFolder(run) as folder:
        page.write_page(folder, PLAN)
        once = (run / "report.html").read_text()
        page.write_page(folder, PLAN)
        assert (run / "report.html").read_text() == once
        (run / "report.html").write_text("<html><body><p>before</p>\n</body>\n</html>\n")
        for _ in range(2):
            page.write_page(folder, PLAN)
            text = (run / "report.html").read_text()
            assert (text.count("<p>before</p>"), text.count(">Training</h2>"), text.count("</body>")) == (1, 1, 1)


def test_the_recall_of_each_class_stands_beside_the_curves_stage_by_stage(run: Path) -> None:
    tried(run, "01-inject", figures("k1", 0.5, recall={"red": 0.9, HOSTILE: 0.25, "unseen": None}, support={"red": 30, HOSTILE: 10}))
    with RunFolder(run) as folder:
        page.write_page(folder, PLAN)
    made = Page((run / "report.html").read_text())
    assert "After inject the lowest recall is 25.0%" in made.text
    assert "the highest 90.0% (red)." in made.text
    assert ("aria-labelledby", "recall-title recall-desc") in [(name, value) for _, name, value in made.attributes]
    assert "script" not in made.tags


def test_of_many_classes_those_with_the_lowest_recall_are_plotted() -> None:
    shares = {f"class {number}": number / 100 for number in range(100)}
    found = recall_table([(f"stage {number}", {"recall": shares}) for number in range(20)])
    assert found is not None
    assert [name for name, _, _ in found.rows] == [f"class {number}" for number in range(24)]
    assert [found.head[0], found.head[-1], len(found.head)] == ["stage 0", "stage 19", 8]
    assert recall_table([("inject", {"recall": {}})]) is None
