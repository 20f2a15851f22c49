"""A model on held-out labels: a checkpoint in this process, a server that speaks the protocol, and what is never held out twice."""

import base64
import io
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cotforge.answers import Task
from cotforge.difficulty import read_rated
from cotforge.pipeline import Loaded
from cotforge.prompts import Prompts
from cotforge.records import Sample
from cotforge.train.evaluation.askers import CheckpointAsker
from cotforge.train.evaluation.evaluate import closing_text, evaluate_asker
from cotforge.train.evaluation.held_out import HeldOutSamples
from cotforge.train.evaluation.tryout import name_of
from cotforge.train.students import tiny
from tests import squares, tiny_vlm
from tests.project import ran, summary, teacher, write_pipeline
from tests.teacher import Teacher

COLOURS = list(tiny_vlm.SAYINGS)
TRAINED, HELD = 8, 12


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Squares of one colour, each a file of its own, of the splits train and test; of the last one the label is missing."""
    rows = []
    for number in range(TRAINED + HELD + 1):
        colour = COLOURS[number % len(COLOURS)]
        Image.new("RGB", (30 + number, 40), colour).save(tmp_path / f"{number}.png")
        split = "train" if number < TRAINED else "test"
        label = None if number == TRAINED + HELD else colour
        rows.append({"id": f"s{number}", "image": f"{number}.png", "label": label, "split": split})
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def pipeline(folder: Path, held: dict[str, Any] | None, *teachers: dict[str, Any], **sections: Any) -> Path:
    asked = {"kind": "classify", "question": "Which colour is it?", "labels": COLOURS}
    teachers = teachers or ({"name": "one", "model": "m", "url": "http://127.0.0.1:9/v1"},)
    return write_pipeline(folder, *teachers, task=asked, eval=held, **sections)


def found(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / "run" / "eval" / f"{name}.json").read_text())  # type: ignore[no-any-return]


def sees(body: dict[str, Any]) -> str:
    """By the picture's width, which is 30 and its number."""
    url = next(part["image_url"]["url"] for part in body["messages"][0]["content"] if part["type"] == "image_url")
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as picture:
        return COLOURS[(picture.width - 30) % len(COLOURS)]


def test_a_checkpoint_is_tried_on_the_held_out_split(vlm: Path, folder: Path) -> None:
    path = pipeline(folder, {"split": "test"})
    done = ran("eval", path, "--out", "run", "--model", vlm, "--max-tokens", 64, "--batch", 5, cwd=folder)
    assert (done.returncode, done.stderr.splitlines()) == (0, [f"12 held-out samples, 1 more without a label; asking {vlm}"])
    figures = found(folder, vlm.name)
    assert (figures["n"], figures["accuracy"], figures["macro_recall"], figures["format_rate"]) == (HELD, 1.0, 1.0, 1.0)
    assert figures["recall"] == dict.fromkeys(COLOURS, 1.0)
    assert figures["confusion"] == {colour: {colour: HELD // len(COLOURS)} for colour in COLOURS}
    assert (figures["truncated_rate"], figures["failed"], figures["unlabelled"]) == (0, 0, 1)
    assert figures["reasoning_words"] == (1 + 3 + 7 + 10) / 4
    assert re.search(r"accuracy +1.000  1.000 to 1.000", done.stdout)


def test_pass_rates_of_a_checkpoint_on_the_samples_of_the_build_are_the_same_each_time(vlm: Path, folder: Path) -> None:
    path = pipeline(folder, {"split": "test"})
    words = ("eval", path, "--out", "run", "--model", vlm, "--max-tokens", 64, "--batch", 6, "--write-back", "--tries", 2)
    assert ran(*words, cwd=folder).returncode == 0
    first = read_rated(folder / "run")
    assert {(rated.tries, rated.model) for rated in first.values()} == {(2, vlm.name)}
    assert first.keys() == {f"s{number}" for number in range(TRAINED)}
    assert ran(*words, cwd=folder).returncode == 0
    assert read_rated(folder / "run") == first


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=60), st.integers(1, 70))
def test_the_sample_between_stages_is_part_of_all_and_of_every_larger_one_and_has_each_class_by_its_share(
    labels: list[str], most: int
) -> None:
    samples = tuple(Sample(str(number), (), "", (), label) for number, label in enumerate(labels))
    held = HeldOutSamples(Task(kind="classify", question="?", labels=tuple("abcd")), Prompts().load(Path()).student, samples)
    few = held.between(most).samples
    assert len(few) == min(most, len(samples))
    assert [sample for sample in held.between(most + 1).samples if sample in few] == list(few)
    assert held.between(None) == held
    support, kept = Counter(labels), Counter(str(sample.label) for sample in few)
    if most >= len(support):
        assert kept.keys() == support.keys()
        assert all(abs(kept[label] - most * support[label] / len(labels)) <= len(support) for label in support if most < len(labels))


def test_a_thought_that_is_cut_off_is_rescued_where_that_is_asked_for(vlm: Path, folder: Path) -> None:
    held = HeldOutSamples.of(Loaded.load(pipeline(folder, {"split": "test"})), folder / "run")
    checkpoint = CheckpointAsker.load(str(vlm))
    cut = evaluate_asker(checkpoint, held, max_tokens=3)
    assert (cut["truncated_rate"], cut["accuracy"], cut["rescued_rate"], cut["format_rate"]) == (1.0, 0.0, 0.0, 0.0)
    saved = evaluate_asker(checkpoint, held, max_tokens=3, rescue=24)
    assert (saved["truncated_rate"], saved["format_rate"]) == (1.0, 0.0)
    assert saved["rescued_rate"] == 1.0
    assert saved["accuracy"] > 0.5


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("Qwen/Qwen2.5-VL-3B-Instruct", "Qwen2.5-VL-3B-Instruct"),
        ("runs/labels/train/student", "labels"),
        ("/runs/labels/train/01-inject/weights/", "labels-01-inject"),
        ("some where/my model", "my-model"),
    ],
)
def test_figures_go_by_the_models_name_or_by_the_run_and_stage_it_was_trained_in(model: str, name: str) -> None:
    assert name_of(model) == name


@pytest.mark.parametrize(
    ("begun", "closed"),
    [
        ("<think>It is", "\n</think>\n<answer>"),
        ("It is", "\n</think>\n<answer>"),
        ("<think>Warm.</think>", "\n<answer>"),
        ("</think><answer>re", ""),
    ],
)
def test_what_follows_a_cut_can_only_be_the_answer(begun: str, closed: str) -> None:
    assert closing_text(begun) == closed


def test_held_out_rows_with_options_of_their_own_are_counted_by_them(folder: Path) -> None:
    there = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    own = [row | {"choices": [row["label"], "mauve"]} for row in there if row["label"]]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in own))
    asked = {"kind": "classify", "question": "Which colour is it?"}
    source = {"kind": "table", "path": "rows.jsonl", "columns": {"options": "choices"}}
    path = write_pipeline(
        folder, {"name": "one", "model": "m", "url": "http://127.0.0.1:9/v1"}, task=asked, eval={"split": "test"}, source=source
    )

    def says(body: dict[str, Any]) -> str:
        colour = sees(body)
        return f"<think>Hm.</think><answer>{'mauve' if colour == 'blue' else colour}</answer>"

    with Teacher(answer=says, models=["student"]) as server:
        done = ran("eval", path, "--out", "run", "--url", server.url, "--max-tokens", 99, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (found(folder, "student")["accuracy"], found(folder, "student")["format_rate"]) == (0.75, 1.0)


def test_a_server_is_asked_greedily_the_students_prompt_and_counted_alike(folder: Path) -> None:
    path = pipeline(folder, {"split": "test"})

    def says(body: dict[str, Any]) -> str:
        colour = sees(body)
        return "<think>Hm.</think><answer>red</answer>" if colour == "blue" else f"<think>I see it.</think>\n<answer>{colour}</answer>"

    with Teacher(answer=says, models=["student"]) as server:
        done = ran("eval", path, "--out", "run", "--url", server.url, "--max-tokens", 99, cwd=folder)
    assert done.returncode == 0, done.stderr
    figures = found(folder, "student")
    assert (figures["n"], figures["accuracy"], figures["macro_recall"]) == (HELD, 0.75, 0.75)
    assert figures["recall"] == {"red": 1, "green": 1, "blue": 0, "white": 1}
    assert figures["confusion"]["blue"] == {"red": 3}
    assert figures["accuracy_interval"][0] < 0.75 < figures["accuracy_interval"][1]
    assert [entry.sampling for entry in server.ledger] == [{"temperature": 0.0, "max_tokens": 99}] * HELD
    held = HeldOutSamples.of(Loaded.load(path), folder / "run")
    (asked,) = {entry.prompt for entry in server.ledger}
    assert asked == held.messages(held.samples[0])[0]["content"][1]["text"]
    assert [asked.index(f"- {colour}") for colour in COLOURS] == sorted(asked.index(f"- {colour}") for colour in COLOURS)


def test_a_server_that_stumbles_is_asked_again_and_a_thought_cut_off_there_goes_on(folder: Path) -> None:
    path = pipeline(folder, {"split": "test", "at_most": 4, "rescue": 16})
    stumbled: list[int] = []

    def fails(body: dict[str, Any]) -> int | str | None:
        if not stumbled:
            stumbled.append(1)
            return 503
        return "truncated" if body["messages"][-1]["role"] == "user" else None

    def says(body: dict[str, Any]) -> str:
        return "green</answer>" if body.get("continue_final_message") else f"<think>{'I see it. ' * 20}</think><answer>red</answer>"

    with Teacher(answer=says, fail=fails, models=["student"], retry_after=0) as server:
        done = ran("eval", path, "--out", "run", "--url", server.url, "--model", "student", cwd=folder)
    assert done.returncode == 0, done.stderr
    figures = found(folder, "student")
    assert (figures["n"], figures["rescued_rate"], figures["truncated_rate"], figures["failed"]) == (4, 1.0, 1.0, 0)
    assert figures["accuracy"] == figures["recall"]["green"] * figures["support"]["green"] / 4
    assert [entry.sampling["max_tokens"] for entry in server.ledger][-1] == 16


@pytest.mark.parametrize(
    ("held", "arguments", "line"),
    [
        (None, (), "eval: is missing; hold samples out with eval: {split: test} or eval: {share: 0.1}"),
        ({"split": "validation"}, (), "split"),
        ({"split": "test"}, (), "train: is missing, so there is no student; name a model with --model or --url"),
        ({"split": "test"}, ("--model", "nowhere/at-all"), "'nowhere/at-all' is no folder, and no model that the Hub gives"),
        ({"split": "test"}, ("--url", "localhost"), "--url localhost: is not a URL of a server"),
    ],
)
def test_what_is_wrong_is_one_line(
    folder: Path, held: dict[str, Any] | None, arguments: tuple[str, ...], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    path = pipeline(folder, held or {"split": "test"})
    if held is None:
        path.write_text(path.read_text().partition("eval:")[0])
    done = ran("eval", path, "--out", "run", *arguments, cwd=folder)
    assert done.returncode == 2
    assert line in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.fixture
def server() -> Iterator[Teacher]:
    with Teacher(answer=lambda body: f"<think>I see it well, and it is plain.</think><answer>{sees(body)}</answer>") as up:
        yield up


def test_what_a_share_holds_out_is_never_asked_of_a_teacher_and_all_else_is(folder: Path, server: Teacher) -> None:
    path = pipeline(folder, {"share": 0.4}, teacher(server), source={"kind": "table", "path": "rows.jsonl", "split": ["train", "test"]})
    held = HeldOutSamples.of(Loaded.load(path), folder / "run")
    done = ran("build", path, "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    asked = {image for entry in server.ledger for image in entry.images}
    kept = {picture.digest for sample in held.samples for picture in sample.pictures}
    assert kept
    assert not asked & kept
    assert len(asked) + len(kept) + held.unlabelled == TRAINED + HELD + 1
    assert summary(folder / "run")["samples"] == len(asked)
    again = HeldOutSamples.of(Loaded.load(path), folder / "elsewhere")
    assert [sample.id for sample in again.samples] == [sample.id for sample in held.samples]


def test_training_tries_the_student_before_and_after_each_stage_and_not_twice(folder: Path) -> None:
    begin = tiny.make_llava(folder / "begin", squares.TEXTS, squares.SIZE)
    squares.write(folder / "run" / "dataset", 8)
    stages = [{"name": "inject", "kind": "sft", "steps": 2, "batch": 4}, {"name": "look", "kind": "eval"}]
    plan = {"student": {"model": str(begin)}, "stages": stages}
    path = pipeline(folder, {"split": "test", "at_most": 4, "metrics": ["macro_recall"]}, train=plan)
    first = ran("train", path, "--out", "run", cwd=folder)
    assert first.returncode == 0, first.stderr
    assert sorted(file.name for file in (folder / "run" / "eval").iterdir()) == ["00-base.json", "01-inject.json", "02-look.json"]
    base, after, looked = (found(folder, name) for name in ("00-base", "01-inject", "02-look"))
    assert base["n"] == after["n"] == looked["n"] == 4
    assert {name: after[name] for name in ("accuracy", "recall", "confusion")} == {
        name: looked[name] for name in ("accuracy", "recall", "confusion")
    }
    assert re.search(r"held out \(4\): macro_recall \d", first.stderr)
    shown = (folder / "run" / "report.html").read_text()
    assert all(words in shown for words in ("<h1>feelings</h1>", "Loss on lessons", "On what is held out", "01 inject: sft"))
    assert base["engine"] == "transformers"
    assert re.search(
        r"held out \(4\): macro_recall .*; always 'red': 0.500\n\d\d-\w+: guard: (it (never )?answers|none of its 4 answers) ", first.stderr
    )
    seconds = base["seconds"]
    again = ran("train", path, "--out", "run", cwd=folder)
    assert again.returncode == 0, again.stderr
    assert found(folder, "00-base")["seconds"] == seconds


def test_the_student_is_evaluated_when_the_plan_says_on_few_samples_before_the_end_and_on_all_there(folder: Path) -> None:
    begin = tiny.make_llava(folder / "begin", squares.TEXTS, squares.SIZE)
    squares.write(folder / "run" / "dataset", 8)
    stages = [{"name": name, "kind": "sft", "steps": 1, "batch": 4} for name in ("one", "two")]
    plan = {"student": {"model": str(begin)}, "stages": [*stages, {"name": "look", "kind": "eval"}]}

    def evaluated(**held: Any) -> dict[str, int]:
        path = pipeline(folder, {"split": "test", "between": 4} | held, train=plan)
        done = ran("train", path, "--out", "run", cwd=folder)
        assert done.returncode == 0, done.stderr
        found = {file.stem: json.loads(file.read_text())["n"] for file in (folder / "run").glob("eval/*.json")}
        shutil.rmtree(folder / "run" / "eval", ignore_errors=True)
        return found

    assert evaluated() == {"00-base": 4, "01-one": 4, "02-two": HELD, "03-look": HELD}
    weights = (folder / "run" / "train" / "02-two" / "weights" / "model.safetensors").stat().st_mtime_ns
    assert evaluated(when="end") == {"02-two": HELD}
    assert evaluated(when=[]) == {}
    assert evaluated(between=None, when=["base"], metrics=["accuracy"]) == {"00-base": HELD}
    assert (folder / "run" / "train" / "02-two" / "weights" / "model.safetensors").stat().st_mtime_ns == weights


def sft(folder: Path, **more: Any) -> dict[str, Any]:
    """A plan of one stage, with a student of its own."""
    begin = tiny.make_llava(folder / "begin", squares.TEXTS, squares.SIZE)
    return {"student": {"model": str(begin)}, "stages": [{"name": "inject", "kind": "sft", "steps": 1, "batch": 2}], **more}


@pytest.mark.parametrize("held", [{"share": 0.4}, {"split": "test"}])
@pytest.mark.parametrize("data", [None, "run/dataset"])
def test_lessons_older_than_what_is_held_out_end_training_before_anything_is_evaluated(
    folder: Path, server: Teacher, held: dict[str, Any], data: str | None
) -> None:
    plan, source = sft(folder, data=data), {"kind": "table", "path": "rows.jsonl"}
    every = source | ({"split": ["train", "test"]} if "share" in held else {})
    rows = (folder / "rows.jsonl").read_text()
    if "split" in held:  # nothing tells the rows apart when they are asked about
        (folder / "rows.jsonl").write_text(rows.replace('"split"', '"part"'))
    assert ran("build", pipeline(folder, None, teacher(server), source=every, train=plan), "--out", "run", cwd=folder).returncode == 0
    whole, asked = summary(folder / "run")["lessons"], len(server.ledger)
    (folder / "rows.jsonl").write_text(rows)
    path = pipeline(folder, held, teacher(server), source=every, train=plan)
    ended = ran("train", path, "--out", "run", cwd=folder)
    assert not (folder / "run" / "eval").exists()
    again = ran("build", path, "--out", "run", cwd=folder)
    assert (again.returncode, len(server.ledger)) == (0, asked), again.stderr
    leaked = whole - summary(folder / "run")["lessons"]
    mend = "take a dataset that was built with this eval:" if data else "run `cotforge build` again, it asks nothing"
    assert leaked
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1] == f"{leaked} of {whole} lessons are made of samples that eval: holds out; {mend}"
    trained = ran("train", path, "--out", "run", cwd=folder)
    assert trained.returncode == 0, trained.stderr


def test_a_sample_that_the_source_has_in_both_splits_and_the_same_id_in_another_split_end_no_training(
    folder: Path, server: Teacher
) -> None:
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    twice, other = rows[0] | {"split": "test"}, rows[-2] | {"id": rows[1]["id"]}
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in (*rows[:TRAINED], twice, other)))
    path = pipeline(folder, {"split": "test"}, teacher(server), train=sft(folder))
    assert ran("build", path, "--out", "run", cwd=folder).returncode == 0
    trained = ran("train", path, "--out", "run", cwd=folder)
    assert trained.returncode == 0, trained.stderr
    assert found(folder, "01-inject")["n"] == 2


@pytest.mark.parametrize("when", ["end", "base", []])
def test_that_nothing_is_held_out_is_told_before_anything_is_trained(folder: Path, when: str | list[str]) -> None:
    squares.write(folder / "run" / "dataset", 8)
    for held, line in (({"split": "nowhere"}, "no split 'nowhere'"), ({"share": 1e-9}, "holds out no labelled sample")):
        ended = ran("train", pipeline(folder, held | {"when": when}, train=sft(folder)), "--out", "run", cwd=folder)
        assert ended.returncode == 2
        assert line in ended.stderr.splitlines()[-1]
    source = {"kind": "imagefolder", "path": "photos"}
    for colour in COLOURS:
        (folder / "photos" / colour).mkdir(parents=True)
        Image.new("RGB", (30, 40), colour).save(folder / "photos" / colour / "0.png")
    ended = ran("train", pipeline(folder, {"split": "test", "when": when}, source=source, train=sft(folder)), "--out", "run", cwd=folder)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1] == "eval.split: photos has no folder test/; use eval: {share: 0.1}"
    assert not [*(folder / "run" / "train").glob("01-*"), *(folder / "run").glob("eval")]
