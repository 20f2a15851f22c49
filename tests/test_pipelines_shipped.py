"""Shipped pipelines that train run end to end: student and other models are tiny, stages have two steps, and all else is as shipped."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from cotforge.prompts import shipped_folder
from cotforge.train.command import run_training
from cotforge.train.students import processors, tiny
from tests import squares
from tests.project import ran

NAMES = ["answer_shuffle", "disperse_then_merge", "drift", "merges", "rollout_dpo", "self_paced"]
SMOKED = ["emoset", "long_cot_math", "one_gpu", "self_preference", "self_verify", "short_or_long"]
"""Others that train. `caption_bridge` asks a server while it trains: see `test_train_reader.py`."""
SHRUNK: dict[str, Any] = {"steps": 2, "epochs": None, "batch": 2, "accumulate": 1, "max_completion": 8}
"""Keys of a stage, where it has them, and what they are here."""
ALWAYS = ("steps", "epochs", "batch")
"""Those that every stage with a trainer has, whether the file gives them or not."""
OF_GRPO = {"group": 2, "accumulate": 1, "max_completion": 8}
"""Keys that every stage of kind grpo has."""
MODELS: dict[str, str] = {
    "Qwen/Qwen2.5-VL-3B-Instruct": "student",
    "HuggingFaceTB/SmolVLM-500M-Instruct": "student",
    "Qwen/Qwen2.5-VL-7B-Instruct": "student",
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B": "expert",
    "Qwen/Qwen2.5-7B": "text",
}
"""By the names of published models, the folders of tiny ones."""
OWN = {
    "rollout_dpo": [
        "train.stages.0.steps=100", "train.stages.0.batch=8", "train.stages.0.learning_rate=1e-2", "train.student.max_pixels=null",
        "train.stages.1.rollouts={per_sample: 4, max_completion: 40, length_ratio: 3}",
    ],
}  # fmt: skip
"""Pipelines whose student has to learn something before its last stage can be done, and what that takes."""
LAYERS = {"layers": [1]}
"""Of a layer swap: the tiny decoder has two."""


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Squares as source and lessons, a student, and two text models of its decoder's shape."""
    folder = tmp_path_factory.mktemp("shipped")
    tiny.make_llava(folder / "student", squares.TEXTS, squares.SIZE)
    squares.prefer(squares.write(folder / "dataset", 8), 4)
    rows = []
    for number, colour in enumerate([*squares.COLOURS] * 2):
        (folder / f"{number}.png").write_bytes(squares.square(colour, 20 + number))
        rows.append({"id": f"s{number}", "image": f"{number}.png", "label": colour, "split": "test" if number % 2 else "train"})
    (folder / "rows.jsonl").write_text("".join(json.dumps(row | {"question": squares.QUESTION}) + "\n" for row in rows))
    whole = AutoModelForImageTextToText.from_pretrained(folder / "student")
    words = processors.load_processor(folder / "student").tokenizer
    for seed, name in enumerate(("text", "expert")):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(whole.config.text_config)
        model.save_pretrained(folder / name)
        words.save_pretrained(folder / name)
    return folder


def put(value: Any, path: str, ground: Path) -> Iterator[str]:
    """`--set` of every model that stands somewhere below a key."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from put(each, f"{path}.{key}", ground)
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from put(each, f"{path}.{place}", ground)
    elif value in MODELS:
        yield f"{path}={ground / MODELS[value]}"


def sets(name: str, ground: Path) -> Iterator[str]:
    """What is another in a shipped pipeline here."""
    tree = yaml.safe_load((shipped_folder("pipelines") / f"{name}.yaml").read_text())
    plan = tree["train"]
    if tree["source"]["kind"] == "imagefolder":
        yield f"source={json.dumps({'kind': 'table', 'path': str(ground / 'rows.jsonl'), 'split': 'train'})}"
        yield f"task={json.dumps({'kind': 'classify', 'question': squares.QUESTION, 'labels': [*squares.COLOURS]})}"
        yield 'eval={"split": "test"}'
    found = [f"train.data={ground / 'dataset'}", "eval.when=[]", *put(plan["student"], "train.student", ground)]
    for place, stage in enumerate(plan["stages"]):
        path = f"train.stages.{place}"
        found += put(stage, path, ground)
        if stage["kind"] == "eval":
            continue
        if stage["kind"] == "grpo":
            found += [f"{path}.{key}={value}" for key, value in OF_GRPO.items()]
        if stage["kind"] == "merge":
            found += [f"{path}.models.{at}.layers={LAYERS['layers']}" for at, each in enumerate(stage["models"]) if "layers" in each]
            continue
        found += [f"{path}.{key}={json.dumps(value)}" for key, value in SHRUNK.items() if key in stage or key in ALWAYS]
    yield from (*found, *OWN.get(name, ()))


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_pipeline_runs_end_to_end_on_a_tiny_student(
    name: str, ground: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in (name.upper(), "IMAGES"):
        monkeypatch.setenv(f"{variable}_DIR", str(ground))
    said: list[str] = []
    told = run_training(name, out=tmp_path / "run", sets=[*sets(name, ground)], tell=said.append)
    assert told == f"the student: {tmp_path / 'run/train/student'}"
    stages = yaml.safe_load((shipped_folder("pipelines") / f"{name}.yaml").read_text())["train"]["stages"]
    begin = load_file(ground / "student" / "model.safetensors")
    for place, stage in enumerate(stages, 1):
        if stage["kind"] == "eval":
            assert stage["probe"] in json.loads((tmp_path / "run" / "eval" / f"{place:02}-{stage['name']}.json").read_text())
            continue
        weights = tmp_path / "run" / "train" / f"{place:02}-{stage['name']}" / "weights"
        assert (weights / "processor_config.json").is_file()
        left = load_file(weights / "model.safetensors")
        assert {name: weight.shape for name, weight in left.items()} == {name: weight.shape for name, weight in begin.items()}
        changed = any((left[name] != weight).any() for name, weight in begin.items())
        assert changed or stage["kind"] == "grpo", f"{stage['name']} changes nothing"  # its babble is never rewarded


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_pipeline_that_trains_passes_its_check(name: str, ground: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (name.upper(), "IMAGES"):
        monkeypatch.setenv(f"{variable}_DIR", str(ground))
    words = [word for given in sets(name, ground) if given.startswith(("source", "task", "eval=")) for word in ("--set", given)]
    done = ran("check", name, "--offline", "--out", tmp_path / "run", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "01 " in done.stdout


def test_every_shipped_pipeline_that_trains_is_tried() -> None:
    trees = {path.stem: yaml.safe_load(path.read_text()) for path in shipped_folder("pipelines").glob("*.yaml")}
    assert {name for name, tree in trees.items() if "train" in tree} == {*NAMES, *SMOKED, "caption_bridge", "digits", "sums"}


@pytest.mark.parametrize("name", SMOKED)
def test_a_recipe_that_trains_smokes_on_a_tiny_student(name: str, ground: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (name.upper(), "IMAGES"):
        monkeypatch.setenv(f"{variable}_DIR", str(ground))
    given = [
        f"source={json.dumps({'kind': 'table', 'path': str(ground / 'rows.jsonl'), 'split': 'train'})}",
        f"task={json.dumps({'kind': 'classify', 'question': squares.QUESTION, 'labels': [*squares.COLOURS]})}",
        'eval={"split": "test", "when": []}',
        f"train.data={ground / 'dataset'}",
        f"train.student.model={ground / 'student'}",
        "train.student.max_pixels=null",
    ]
    told = run_training(name, out=tmp_path / "run", sets=given, smoke=True, tell=lambda line: None)
    assert told == f"the student: {tmp_path / 'run/train/smoke/student'}"
