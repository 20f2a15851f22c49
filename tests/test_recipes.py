"""Recipes run end to end with simulated teachers: pictures, servers and student are made here, and all else is as shipped."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from cotforge.estimate.outlook import ANSWER_TOKENS
from cotforge.prompts import shipped_folder
from cotforge.simulate import Role, Server
from cotforge.simulate.looking import measured_answer
from cotforge.simulate.sight import see_picture
from cotforge.teachers.simulated import Simulated
from tests.asking import LABELS, picture
from tests.project import ran, summary, table, write_pipeline

ROOT = Path(__file__).parents[1]
PIPELINES = shipped_folder("pipelines")
PICTURES = 12
COUNTING = "How many separate white shapes are there?"
SHAPES = ("standing", "pair", "o", "8")
SEEING: dict[str, Simulated] = {
    "Qwen/Qwen2.5-VL-7B-Instruct": Simulated(learn="learn.csv", look="strokes"),
    "OpenGVLab/InternVL3-8B-hf": Simulated(learn="learn.csv", look="pixels", seed=1),
    "zai-org/GLM-4.1V-9B-Thinking": Simulated(seed=3),
    "llava-hf/llava-onevision-qwen2-7b-ov-hf": Simulated(learn="learn.csv", look="blurred", seed=2),
}
"""Every teacher of a recipe by its model. The one that learned nothing disagrees with the others about every other picture."""
UNSURE = {f"unsure-{seed}": Simulated(seed=seed, follows_hint=1, leaks_hint=0, trusts_text=1) for seed in (3, 4, 5)}
"""Teachers that learned nothing, each on its own: where they disagree, they can explain an answer that they are told."""
CALLS = {
    "answer_shuffle": 2, "caption_bridge": 2, "label_audit": 3, "long_cot_math": 4, "one_gpu": 2, "short_or_long": 2,
}  # fmt: skip
"""Calls about one picture, of recipes that ask each teacher the same about all of them."""
AT_MOST = {"emoset": 3, "rescue": 5, "weave": 5, "self_verify": 8, "grounded": 12, "self_preference": 4}
"""Most Calls about one picture, of all others."""
COSTS = re.compile(
    r"^# Costs per 1,000 pictures: (?:at most |about )?([\d,]+) calls, [\d.]+ million tokens in and [\d.]+ million out\b", re.M
)


class Ground(NamedTuple):
    """Where the data lie, and who answers."""

    folder: Path
    closed: str
    """URL of teachers that know the labels of `bars.jsonl`."""
    free: str
    """URL of teachers that measure."""


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Bars and shapes, and servers for every model that a recipe names."""
    folder = tmp_path_factory.mktemp("recipes")
    known = [(f"{label}{shift}.png", label, picture(label, shift=shift)) for label in LABELS for shift in range(-12, 16, 4)]
    bars = [(f"bar{number}.png", LABELS[number % 2], picture(LABELS[number % 2], shift=number - 8)) for number in range(PICTURES + 4)]
    shapes = [(SHAPES[number % 4], picture(SHAPES[number % 4], size=64 + number)) for number in range(PICTURES + 4)]
    counted = [(f"{number}.png", measured_answer(COUNTING, see_picture(data)), data) for number, (_, data) in enumerate(shapes)]
    for name, _, data in (*known, *bars, *counted):
        (folder / name).write_bytes(data)
    (folder / "learn.csv").write_text("image,label\n" + "".join(f"{name},{label}\n" for name, label, _ in known))
    write_rows(folder / "bars.jsonl", bars)
    write_rows(folder / "rows.jsonl", counted)
    roles = [Role(model, model, seeing) for model, seeing in (SEEING | UNSURE).items()]
    counting = [Role(model, model, Simulated(stuck="9") if model.startswith("llava") else seeing) for model, seeing in SEEING.items()]
    with Server(roles, LABELS, root=folder) as closed, Server(counting, (), root=folder) as free:
        yield Ground(folder, closed.url, free.url)


def write_rows(path: Path, rows: list[tuple[str, str, bytes]]) -> None:
    """A table whose last four rows are held out, and whose first label is wrong."""
    wrong = rows[1][1]
    lines = [
        {"id": name, "image": name, "question": COUNTING, "label": wrong if place == 0 else label}
        | {"split": "train" if place < PICTURES else "test"}
        for place, (name, label, _) in enumerate(rows)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def recipe(name: str) -> Any:
    return yaml.safe_load((PIPELINES / f"{name}.yaml").read_text())


def sets(name: str, ground: Ground) -> Iterator[str]:
    """What is another here: the place of the data, the question, and where the teachers are."""
    tree = recipe(name)
    free = tree["task"]["kind"] == "answer"
    if not free:
        yield f"source={json.dumps({'kind': 'table', 'path': str(ground.folder / 'bars.jsonl'), 'split': 'train'})}"
        yield f"task={json.dumps({'kind': 'classify', 'question': 'Which bar is this?', 'labels': [*LABELS]})}"
    for place, teacher in enumerate(tree["teachers"]):
        if name == "rescue":
            teacher["model"] = [*UNSURE][place]
        fields = {key: value for key, value in teacher.items() if key not in ("gpus", "engine", "kind", "concurrency")}
        yield f"teachers.{place}={json.dumps(fields | {'url': ground.free if free else ground.closed})}"
    if name == "long_cot_math":
        yield "select.difficulty.max=1"  # a simulated teacher that counts is right four times of four
    if "eval" in tree:
        yield 'eval.split="test"' if "split" in tree["eval"] else 'eval={"split": "test"}'


def run(command: str, name: str, ground: Ground, out: Path, *more: object) -> str:
    """What a command prints about a recipe; it must end well."""
    words = [word for given in sets(name, ground) for word in ("--set", given)]
    done = ran(command, name, "--out", out, *more, *words, cwd=out.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(autouse=True)
def places(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable by which a recipe finds its data."""
    for variable in re.findall(r"\$\{(\w+)\}", "".join(path.read_text() for path in PIPELINES.glob("*.yaml"))):
        monkeypatch.setenv(variable, str(ground.folder))


@pytest.mark.parametrize("name", sorted(CALLS | AT_MOST))
def test_a_recipe_passes_its_check_and_makes_lessons_and_a_second_build_asks_nothing(name: str, ground: Ground, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run("check", name, ground, out, "--offline", "--limit", PICTURES)
    run("build", name, ground, out, "--limit", PICTURES)
    first = summary(out)
    assert first["lessons"] == len(table(out, "data")) > 0, first["rejected"]
    most = CALLS.get(name) or AT_MOST[name]
    assert first["calls"] == most * PICTURES if name in CALLS else 0 < first["calls"] <= most * PICTURES + 1
    assert first["calls_failed"] == 0
    assert {section: first["follow_ups"][section]["calls"] > 0 for section in first.get("follow_ups", {})} == dict.fromkeys(
        set(recipe(name)) & {"rescue", "weave", "verify", "probe", "judge"}, True
    )
    if name == "rescue":
        rescued = [row for row in table(out, "data") if row["origin"] == "rescue"]
        assert rescued, "the recipe rescues, as it is shipped"
        assert all(row["answer"] == row["label"] and row["confidence"] >= 0.5 for row in rescued)
    run("build", name, ground, out, "--limit", PICTURES)
    assert summary(out)["calls"] == 0


def test_the_page_names_every_variable_that_a_recipe_reads() -> None:
    page = (ROOT / "docs" / "how-to" / "recipes.md").read_text()
    assert "--set 'task.labels=[" in page, "a folder of other pictures than cats and dogs needs its labels"
    rows = dict(re.findall(r"^\| \[(\w+)\]\(\.\./\.\./pipelines/\w+\.yaml\) \| ([^|]*) \|", page, re.M))
    read = {path.stem: sorted(set(re.findall(r"\$\{(\w+)\}|key_env: (\w+)", path.read_text()))) for path in PIPELINES.glob("*.yaml")}
    assert rows == {name: ", ".join(f"`{one or other}`" for one, other in found) for name, found in read.items()}


def test_a_relative_path_in_a_variable_is_told_with_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "animals").mkdir()
    monkeypatch.setenv("IMAGES_DIR", "animals")
    checked = ran("check", "folder", "--offline", cwd=tmp_path)
    assert checked.returncode == 2
    assert checked.stderr.startswith("source.path: 'animals' is not there; in ")
    assert checked.stderr.endswith(
        "; source.path is '${IMAGES_DIR}' and IMAGES_DIR is 'animals': a relative path, which starts at the pipeline file; "
        "set an absolute one\n"
    )
    monkeypatch.setenv("IMAGES_DIR", str(tmp_path / "plants"))
    checked = ran("check", "folder", "--offline", cwd=tmp_path)
    assert checked.stderr.endswith(f"; source.path is '${{IMAGES_DIR}}' and IMAGES_DIR is {str(tmp_path / 'plants')!r}\n")
    asked = ({"name": name, "model": name, "url": "http://127.0.0.1:9/v1"} for name in ("glm", "qwen"))
    write_pipeline(tmp_path, *asked, source={"kind": "table", "path": "rows.jsonl"}, judge={})
    for key, form in (("gold", "id and answer"), ("judge.gold", "id or call, dimension and mark")):
        checked = ran("check", "pipeline.yaml", "--offline", "--set", f"{key}=x.csv", cwd=tmp_path)
        assert checked.stderr == f"{key}: {tmp_path / 'x.csv'} is not there; a CSV with the columns {form} is wanted\n"


def test_the_costs_in_a_recipe_are_those_of_the_page_and_of_its_calls() -> None:
    page = (ROOT / "docs" / "how-to" / "recipes.md").read_text()
    assert f"| a label alone | 70 and the picture | {ANSWER_TOKENS} |" in page
    rows = dict(re.findall(r"^\| \[(\w+)\]\(\.\./\.\./pipelines/\w+\.yaml\) \|.*\| (?:at most |about )?([\d,]+) \|[^|]*\|$", page, re.M))
    assert set(rows) == {path.stem for path in PIPELINES.glob("*.yaml")}
    for name in CALLS | AT_MOST:
        text = (PIPELINES / f"{name}.yaml").read_text()
        (told,) = COSTS.findall(text)
        assert told == rows[name], name
        assert int(told.replace(",", "")) == round(1000 * (CALLS.get(name) or AT_MOST[name]))
        assert "arXiv" in text or "From no paper" in text
