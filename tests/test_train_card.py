"""The student's card: what was measured, good or bad, what it learned from, and no text of others as markup."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cotforge.card_keys import header_faults
from cotforge.pipeline import Loaded
from cotforge.plan import Plan
from cotforge.train.data.lessons import find_lessons
from cotforge.train.report import card
from cotforge.train.report.card import TrainingData, lessons_of
from cotforge.train.report.past import outdone_line, past_chapters
from tests import squares
from tests.project import write_pipeline
from tests.trained import REWARDED, figures, stage, tried

HOSTILE = "a | b\n# mine\n[x](http://e.com)"
LESSONS = TrainingData("lessons", 1_200, "f" * 64, "cc-by-4.0", [{"name": "one", "model": HOSTILE, "license": None}])
STAGES = [
    {"name": "inject", "kind": "sft", "epochs": 1},
    {"name": "reason", "kind": "grpo", "steps": 3, "rewards": [{"measure": "correct"}]},
]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two stages that are done, of which the second made the student worse, and others tried on the same samples and on other ones."""
    monkeypatch.setenv("SERVER", "hunter2")
    stage(tmp_path / "run", "01-inject", "k1", "k0", [{"step": 9, "loss": 0.5}])
    stage(tmp_path / "run", "02-reason", "k2", "k1", [REWARDED | {"step": 3}])
    tried(tmp_path / "run", "00-base", figures("k0", 0.2))
    tried(tmp_path / "run", "01-inject", figures("k1", 0.8))
    tried(tmp_path / "run", "02-reason", figures("k2", 0.5))
    (tmp_path / "run" / "plain").mkdir()
    tried(tmp_path / "run" / "plain", "00-base", figures("", 0.1))
    tried(tmp_path / "run" / "plain", "01-labels", figures("", 0.9))
    tried(tmp_path / "run", "twin", figures("", 0.55))
    tried(tmp_path / "run", "elsewhere", figures("", 0.99, held_out="h2"))
    return tmp_path / "run"


def made(run: Path, *, plan: dict[str, Any] | None = None, held_out: bool = True, data: TrainingData = LESSONS, smoke: bool = False) -> str:
    one = {"name": "one", "model": "m", "url": "http://${SERVER}:1/v1"}
    train = {"student": {"model": "org/small"}, "stages": STAGES} | (plan or {})
    path = write_pipeline(run.parent, one, train=train, **({"eval": {"share": 0.1}} if held_out else {}))
    return card.student_card(Loaded.load(path), run, [data], begin=run, smoke=smoke)


def test_every_stage_has_its_figures_with_intervals_beside_the_base_and_whatever_else_was_tried_on_the_same_samples(run: Path) -> None:
    text = made(run)
    rows = re.findall(r"^\| (.+) \| 40 \| (\S+ \(.+?\)) \|", text, re.M)
    assert rows == [
        ("nothing: the student it began with", "0.200 (0.100 to 0.300)"),
        ("inject", "0.800 (0.700 to 0.900)"),
        ("reason", "0.500 (0.400 to 0.600)"),
        ("twin", "0.550 (0.450 to 0.650)"),
        ("plain: 01-labels", "0.900 (0.800 to 1.000)"),
    ]
    assert "| red | 30 | 20.0% | 50.0% |" in text
    assert "| 02 reason: grpo, on lessons, 3 steps, batch 16 x 8, 1 correct, groups of 8 | 3 | " in text
    assert "vllm serve PATH_OR_REPO --dtype bfloat16" in text


def test_a_student_that_was_tried_on_fewer_samples_is_compared_with_their_number(run: Path) -> None:
    tried(run, "00-base", figures("k0", 0.2) | {"n": 20})
    assert "better, accuracy 0.500 against 0.200 (of 20 of the 40 samples); the intervals do not meet." in made(run)


def test_a_branch_that_is_surely_better_than_the_student_is_told(tmp_path: Path) -> None:
    stages = [{"name": "labels", "kind": "sft", "data": "source"}, STAGES[0] | {"from": "base"}]
    plan = Plan.model_validate({"student": {"model": "org/small"}, "stages": stages})
    for name, key, share in (("01-labels", "k1", 0.9), ("02-inject", "k2", 0.5)):
        stage(tmp_path, name, key, "k0", [{"step": 9, "loss": 0.5}])
        tried(tmp_path, name, figures(key, share))
    line = outdone_line(plan, past_chapters(plan, tmp_path))
    assert line.startswith("train/student is 'inject, from base', the last stage, with accuracy 0.500; 'labels' has 0.900: have it last")
    tried(tmp_path, "02-inject", figures("k2", 0.85))
    assert outdone_line(plan, past_chapters(plan, tmp_path)) == ""


def test_it_says_what_the_figures_show_and_what_they_do_not(run: Path) -> None:
    text = made(run)
    assert "- Compared with the student it began with: better, accuracy 0.500 against 0.200; the intervals do not meet." in text
    assert "- Compared with plain: 01-labels: worse, accuracy 0.500 against 0.900; the intervals do not meet." in text
    assert "- Compared with twin: not told apart, accuracy 0.500 against 0.550; the intervals meet." in text
    assert "- 40 samples are few" in text
    assert "| always 'red', the commonest label | 40 | 0.750 | 0.500 | - | - | - |" in text
    worse = "worse, accuracy 0.500 against 0.750, macro recall 0.500 against 0.500."
    assert f"- Compared with always 'red', the commonest label: {worse}" in text


def test_a_student_that_says_one_thing_to_everything_is_not_called_better(run: Path) -> None:
    confusion = {"red": {"red": 30}, "blue": {"red": 10}}
    tried(run, "02-reason", figures("k2", 0.75, confusion=confusion, accuracy_interval=[0.6, 0.87]))
    text = made(run)
    assert "- Mind: it answers 'red' in all 40 answers; always 'red' is right for 0.750 of the samples." in text
    assert "began with: more often right, accuracy 0.750 against 0.200, but by always answering 'red'." in text
    assert "the commonest label: not told apart, accuracy 0.750 against 0.750, " in text
    assert ": better" not in text


def test_the_header_names_the_base_and_the_lessons_where_the_hub_has_them(run: Path) -> None:
    found = header(made(run))
    assert header_faults(found, "model") == []
    assert found | {"model-index": []} == {
        "library_name": "transformers", "pipeline_tag": "image-text-to-text", "base_model": "org/small",
        "tags": ["chain-of-thought", "reasoning", "vision", "cotforge"], "metrics": ["accuracy", "recall"], "model-index": [],
    }  # fmt: skip
    (run.parent / "begin").mkdir()
    there = header(made(run, plan={"data": "org/lessons", "student": {"model": "begin"}}))
    assert there["datasets"] == ["org/lessons"]
    assert "base_model" not in there


def test_the_header_has_what_was_measured_with_its_interval(run: Path) -> None:
    (index,) = header(made(run))["model-index"]
    (result,) = index["results"]
    assert result["task"] == {"type": "image-classification"}
    accuracy = {"type": "accuracy", "value": 0.5, "name": "accuracy of 40 held-out samples, 95 % interval 0.400 to 0.600"}
    assert result["metrics"] == [accuracy, {"type": "recall", "value": 0.5, "name": "macro recall of 40 held-out samples"}]


@pytest.mark.parametrize(
    ("base", "lessons", "licence"),
    [("apache-2.0", "cc-by-4.0", "apache-2.0"), ("apache-2.0", "cc-by-nc-4.0", "cc-by-nc-4.0"), ("llama3.2", "cc-by-nc-4.0", "other"),
     (None, "mit", None)],
)  # fmt: skip
def test_the_students_licence_allows_no_more_than_its_base_and_its_lessons(
    run: Path, base: str | None, lessons: str, licence: str | None
) -> None:
    if base:
        (run / "README.md").write_text(f"---\nlicense: {base}\n---\n")
    text = made(run, data=TrainingData("lessons", 9, "f", lessons))
    assert header(text).get("license") == licence
    assert header_faults(header(text), "model") == []
    assert ("No licence is stated for the student itself" in text) == (licence is None)


def header(text: str) -> dict[str, Any]:
    return yaml.safe_load(text.split("---\n")[1])  # type: ignore[no-any-return]


def test_what_others_wrote_is_no_markup_and_no_secret_is_told(run: Path) -> None:
    text = made(run)
    assert "\n# mine" not in text
    assert not re.search(r"(?<!\\)\]\(http", text)
    assert "hunter2" not in text
    assert "http://${SERVER}:1/v1" in text
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
        assert block.count("\n") > 2


def test_without_anything_held_out_or_after_a_smoke_it_claims_nothing(run: Path) -> None:
    for file in (run / "eval").iterdir():
        file.unlink()
    text = made(run, held_out=False)
    assert "Nothing was held out, so nothing is known of how good it is." in text
    assert "Compared with" not in text
    assert "this student is good for nothing" not in text
    assert "this student is good for nothing" in made(run, smoke=True)


def test_lessons_are_told_by_their_number_digest_and_the_licences_of_their_card(tmp_path: Path) -> None:
    folder = squares.write(tmp_path / "dataset", 12)
    teachers = "teachers:\n- {name: one, model: org/t, license: apache-2.0}\n- {name: two, model: org/u, license: unknown}\n"
    (folder / "README.md").write_text(f"---\nlicense: cc-by-4.0\n{teachers}---\n# Lessons\n")
    lessons = find_lessons(folder, cache=tmp_path / "cache")
    told = lessons_of(lessons, "org/lessons", license=None)
    assert (told.what, told.rows, told.digest, told.license) == ("lessons of org/lessons", 12, lessons.digest, "cc-by-4.0")
    assert [(one["model"], one["license"]) for one in told.teachers] == [("org/t", "apache-2.0"), ("org/u", None)]
    (folder / "README.md").write_text("---\nlicense: [\n---\n")
    assert lessons_of(lessons, None, license="mit") == TrainingData("lessons", 12, lessons.digest, "mit")
