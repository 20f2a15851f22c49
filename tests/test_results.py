"""What a run leaves behind: the keys of summary.json, the columns of the dataset and the losses, just as they are promised."""

import json
import os
import re
import stat
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from cotforge.card_keys import header_faults
from cotforge.hub.scan import find_leaks
from cotforge.tally import Tally
from cotforge.tally.words import origin_lines
from tests.project import ran, replay, said, sees, summary, table, teacher, write_pipeline, write_rows
from tests.teacher import Teacher

MEASURED = ["measure_reasoning_words", "measure_compression"]
LESSONS = [
    *("id", "images", "prompt", "completion", "question", "options", "answer", "label", "label_conflict", "confidence", "votes"),
    *("teacher", "model", "origin", "reasoning_tokens", *MEASURED, "call", "mended"),
]
TRACES = [
    *("id", "call", "teacher", "model", "origin", "index", "reasoning", "answer", "ballot", "finish_reason", "read_as"),
    *("input_tokens", "output_tokens", "cost_usd", "fate", "fate_value", *MEASURED),
]
PREFERENCE = ["id", "prompt", "chosen", "rejected", "images"]
LOSSES = ["id", "teacher", "call", "stage", "reason", "detail"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a lesson, a pair, a loss of every stage, a label conflict and one row without a label."""
    folder = tmp_path_factory.mktemp("results")
    write_rows(folder, 6)
    with (folder / "rows.jsonl").open("a") as rows:
        rows.write('{"id": "nameless", "image": "images/0.jpg", "label": "of no set"}\n{"id": "empty"}\n')
    short = "<think>Wide.</think><answer>awe</answer>"
    replies = {"row-0": said("amusement"), "row-1": said("fear"), "row-2": short, "row-3": "?", "nameless": said("awe")}
    two = replies | {"row-3": said("fear"), "row-4": said("awe")}
    write_pipeline(
        folder,
        replay(folder, "one", dict(replies), price={"input": 1, "output": 2}),
        replay(folder, "two", dict(two)),
        replay(folder, "six", dict(replies) | {"row-0": said("sadness")}, samples=2),
        filters=[{"measure": "reasoning_words", "min": 5}, {"measure": "compression", "max": 2}],
        max_failures=1,
    )
    ended = ran("build", "pipeline.yaml", "--out", "run", cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return folder / "run"


def test_the_folder_holds_what_is_promised_and_is_its_owners_alone(run: Path) -> None:
    there = {path.name for path in run.iterdir()}
    assert {"pipeline.yaml", "journal.sqlite", "losses.parquet", "summary.json", "report.html", "dataset"} <= there
    assert {path.name for path in (run / "dataset").iterdir()} == {"README.md", "data", "traces", "preference", "assets"}
    for path in (run, *run.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert not [path for path in run.rglob("*") if path.name.endswith((".new", ".tmp")) or path.stat().st_uid != os.getuid()]


def test_the_card_shows_a_lesson_with_its_picture_and_the_pipeline_as_it_was_written(run: Path) -> None:
    readme = (run / "dataset/README.md").read_text()
    header = yaml.safe_load(readme.split("---\n")[1])
    assert header_faults(header, "dataset") == []
    shown = re.findall(r"\]\((assets/[^)]+)\)", readme)
    assert shown == ["assets/lesson.jpg", "assets/funnel.svg"]
    with Image.open(run / "dataset" / shown[0]) as picture:
        assert (picture.format, picture.size) == ("JPEG", (48, 32))
    drawn = ElementTree.parse(run / "dataset" / shown[1]).getroot()
    assert (drawn.tag, drawn.get("width")) == ("{http://www.w3.org/2000/svg}svg", "560")
    assert {"rows read", "with lessons"} <= {text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")}
    written = readme.partition("<summary>The pipeline file</summary>\n\n```yaml\n")[2].partition("\n```")[0]
    assert written == (run.parent / "pipeline.yaml").read_text().strip()


def test_nothing_of_a_clean_run_is_a_leak_wherever_it_was_made(run: Path) -> None:
    assert find_leaks(run / "dataset") == []
    assert find_leaks(run, files=[Path("summary.json"), Path("report.html")]) == []
    assert {leak.kind for leak in find_leaks(run, files=[Path("pipeline.yaml")])} == {"local-path"}


def test_the_summary_has_every_key_with_its_type(run: Path) -> None:
    told = summary(run)
    wanted: dict[str, type | tuple[type, ...]] = {
        **dict.fromkeys(
            ("samples", "calls", "calls_failed", "attempts", "calls_total", "accepted", "label_conflicts", "labels_unknown"), int
        ),
        **dict.fromkeys(("tokens", "rejected", "teachers"), dict),
        **dict.fromkeys(("cost_usd", "seconds"), float),
    }
    assert {key: type(told[key]) for key in wanted} == wanted
    assert {key: type(value) for key, value in told["tokens"].items()} == {"input": int, "output": int}
    assert set(told["teachers"]) == {"one", "two", "six"}
    for figures in told["teachers"].values():
        assert {key: type(value) for key, value in figures.items()} == {
            "calls": int, "failed": int, "answered": int, "agreement": float, "estimated_accuracy": float, "cost_usd": float,
        }  # fmt: skip
        assert 0 <= figures["agreement"] <= 1
        assert 0 <= figures["estimated_accuracy"] <= 1
    assert all(isinstance(count, int) and count > 0 for count in told["rejected"].values())
    assert "NaN" not in (run / "summary.json").read_text()


def test_the_figures_of_the_summary_agree_with_the_tables(run: Path) -> None:
    told = summary(run)
    lessons, traces, losses = table(run, "data"), table(run, "traces"), table(run, "losses")
    assert told["accepted"] == len({lesson["id"] for lesson in lessons}) == 3
    assert told["lessons"] == len(lessons)
    assert told["label_conflicts"] == sum(lesson["label_conflict"] for lesson in lessons) == 1
    assert told["samples"] == told["accepted"] + sum(count for why, count in told["rejected"].items() if not why.startswith("source:"))
    assert told["samples"] + told["rejected"]["source:no_image"] == 8
    assert told["labels_unknown"] == 1
    assert told["calls"] == 6 * 4, "the nameless row has the picture of another"
    assert told["calls_total"] == told["calls"]
    assert told["calls_failed"] == len({loss["call"] for loss in losses if loss["stage"] == "ask"})
    assert len(traces) == sum(figures["calls"] - figures["failed"] for figures in told["teachers"].values())
    distinct = {trace["call"]: trace for trace in traces}.values()
    assert told["cost_usd"] == pytest.approx(sum(trace["cost_usd"] for trace in distinct))
    assert told["tokens"]["output"] == sum(trace["output_tokens"] for trace in distinct)
    assert told["tokens"]["input"] == sum(trace["input_tokens"] for trace in distinct)


def test_every_stage_that_loses_something_says_so_in_losses(run: Path) -> None:
    assert pq.read_schema(run / "losses.parquet").names == LOSSES
    losses = table(run, "losses")
    assert {loss["stage"] for loss in losses} == {"source", "ask", "read", "filter", "vote"}
    for loss in losses:
        assert loss["reason"], loss
        assert loss["detail"], loss
        assert (loss["call"] is None) == (loss["teacher"] is None) == (loss["stage"] in ("source", "vote")), loss


def test_load_dataset_gives_the_columns_in_the_promised_order(run: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")

    def loaded(*config: str) -> Any:
        return datasets.load_dataset(str(run / "dataset"), *config, split="train", cache_dir=str(tmp_path))

    lessons, traces, pairs = loaded(), loaded("traces"), loaded("preference")
    assert (lessons.column_names, traces.column_names, pairs.column_names) == (LESSONS, TRACES, PREFERENCE)
    told = summary(run)
    assert (len(lessons), len(traces), len(pairs)) == (told["lessons"], told["traces"], told["preference"])
    text, whole, number, flag = (datasets.Value(name) for name in ("string", "int64", "float64", "bool"))
    messages, images = datasets.List({"role": text, "content": text}), datasets.List(datasets.Image())
    assert lessons.features == datasets.Features(
        dict.fromkeys(LESSONS, text)
        | {"images": images, "prompt": messages, "completion": messages, "label_conflict": flag, "confidence": number}
        | {"votes": datasets.List({"teacher": text, "answer": text}), "reasoning_tokens": whole, "options": datasets.List(text)}
        | {"measure_reasoning_words": number, "measure_compression": number}
    )
    first = lessons[0]
    assert (first["id"], first["images"][0].size, first["prompt"][0]["role"]) == ("row-0", (48, 32), "user")
    assert first["completion"] == [{"role": "assistant", "content": said("amusement")}]
    assert next(lesson for lesson in lessons if lesson["id"] == "nameless")["label"] is None
    assert set(first["prompt"][0]["content"].split()) >= {"-", "amusement", "awe", "fear", "sadness"}


def test_without_a_filter_there_is_no_measures_column_and_empty_configs_are_left_out(tmp_path: Path) -> None:
    write_rows(tmp_path, 2)
    replies = {f"row-{number}": said("awe") for number in range(2)}
    write_pipeline(tmp_path, replay(tmp_path, "one", dict(replies)))
    assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    card = (tmp_path / "runs/feelings/dataset/README.md").read_text()
    assert not [name for name in table(tmp_path / "runs/feelings", "data")[0] if name.startswith("measure_")]
    assert "config_name: traces" in card
    assert "config_name: preference" not in card


def test_without_a_lesson_the_run_ends_well_with_one_line_that_says_why(tmp_path: Path) -> None:
    write_rows(tmp_path, 3)
    write_pipeline(tmp_path, replay(tmp_path, "one", {"row-0": "?"}), max_failures=1)
    ended = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "no lessons: 2 of 3 rows ended as vote:no_replies; losses.parquet has each" in ended.stdout.splitlines()
    dataset = tmp_path / "runs/feelings/dataset"
    assert not (dataset / "data").exists()
    assert (dataset / "README.md").is_file()
    assert (summary(tmp_path / "runs/feelings")["accepted"], summary(tmp_path / "runs/feelings")["lessons"]) == (0, 0)


def test_the_splits_of_the_source_are_those_of_the_dataset(tmp_path: Path) -> None:
    write_rows(tmp_path, 6)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    lines = [json.dumps(row | {"part": "test" if number % 3 == 0 else "train"}) + "\n" for number, row in enumerate(rows)]
    (tmp_path / "rows.jsonl").write_text("".join(lines))
    source = {"kind": "table", "path": "rows.jsonl", "columns": {"split": "part"}, "split": ["train", "test"]}
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server), source=source, consensus={"label": "ignore"})
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    names = sorted(path.name.partition("-")[0] for path in (tmp_path / "runs/feelings/dataset/data").iterdir())
    assert names == ["test", "train"]
    assert summary(tmp_path / "runs/feelings")["samples"] == 6


def test_whatever_was_paid_and_is_not_used_is_told_once_per_reason_with_the_remedy(tmp_path: Path) -> None:
    """Among them a reasoning in a field that nobody knows."""
    write_rows(tmp_path, 9)
    thought = "The picture is one even colour. " * 10
    message = {"role": "assistant", "content": "<answer>awe</answer>", "inner_monologue": thought}
    odd = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    replies: list[str | dict[str, Any]] = [
        {"response": odd},
        {"content": "<think>I see", "finish_reason": "length"},
        "",
        "I cannot tell from what is shown here, sorry.",
        "<think>so</think><answer>boredom</answer>",
        "<think>so</think><answer>awe</answer><answer>fear</answer>",
        {"content": "<think>so</think>", "finish_reason": "content_filter"},
        "<answer>awe</answer>",
        "<think>so</think><answer>your answer</answer>",
    ]
    found = {f"row-{number}": reply for number, reply in enumerate(replies)}
    write_pipeline(tmp_path, replay(tmp_path, "one", found), consensus={"label": "ignore"})
    ended = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert summary(tmp_path / "runs/feelings")["unread_fields"] == {"one": {"inner_monologue": 1}}
    told = ended.stdout
    for reason, remedy in [
        ("holds its reasoning in a field that was not read ('inner_monologue'; one 1)", "reasoning_content"),
        ("truncated; one 1", "raise teachers[].max_tokens"),
        ("empty; one 1", "max_tokens"),
        ("no_answer; one 1", "a refusal such as"),
        ("answered outside the set, most often 'boredom' 1 (not_an_option; one 1", "synonyms"),
        ("two_answers; one 1", "--retry"),
        ("content_filter; one 1", "another teacher"),
        ("no_reasoning; one 2", "reasoning parser"),
        ("placeholder; one 1", "--retry"),
    ]:
        assert [remedy in line for line in told.splitlines() if reason in line] == [True], (reason, told)
    assert summary(tmp_path / "runs/feelings")["answers_astray"] == {"boredom": 1}
    (detail,) = [row["detail"] for row in table(tmp_path / "runs/feelings", "losses") if row["reason"] == "not_an_option"]
    assert detail.startswith("rows.jsonl:5: answer 'boredom', finish_reason=stop: <think>so</think>")


def test_the_origins_of_texts_are_told_and_what_failed_a_check() -> None:
    assert list(origin_lines(Tally())) == []
    counted = Tally(origins=Counter(solve=5, woven=2), fates=Counter({"gate:unverified": 3, "gate:parts": 1, "lesson": 7}))
    assert list(origin_lines(counted)) == [
        "texts of lessons: 5 from the vote, 2 woven",
        "rescued or woven texts that failed a check: 4 (3 unverified, 1 parts); losses.parquet has each",
    ]


@pytest.mark.parametrize(
    ("more", "end"),
    [
        ({"gate:unweighed": 1}, "46 (40 unverified, 4 hint_leaked, 1 unchecked and 1 other)"),
        ({"gate:unweighed": 1, "gate:parts": 1}, "47 (40 unverified, 4 hint_leaked, 1 unchecked and 2 others)"),
    ],
)
def test_checks_that_are_not_named_are_counted_so_that_the_sum_is_right(more: dict[str, int], end: str) -> None:
    fates = Counter({"gate:unverified": 40, "gate:hint_leaked": 4, "gate:unchecked": 1} | more)
    (line,) = origin_lines(Tally(fates=fates))
    assert line == f"rescued or woven texts that failed a check: {end}; losses.parquet has each"
