"""A stage of kind merge on a tiny student: what it is made of, evaluated and carded like any other, and made anew when it has to be."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from cotforge.pipeline import Loaded
from cotforge.train.report import card
from cotforge.train.report.past import past_chapters
from tests import experts, squares
from tests.nursery import Nursery
from tests.project import ran

TRAIN = ("train", "squares.yaml", "--out", "run")
ONE = {"name": "one", "kind": "sft", "batch": 8, "steps": 2, "learning_rate": 1e-2}
TWO = ONE | {"name": "two", "from": "base", "seed": 1}
SOUP = {
    "name": "soup", "kind": "merge", "method": "task_arithmetic", "from": "one", "base": "base",
    "models": [{"model": "one", "weight": 0.5}, {"model": "two", "weight": 0.4}, {"model": "expert", "weight": 0.1}],
}  # fmt: skip
MORE = {"name": "more", "kind": "sft", "batch": 8, "steps": 1}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def project(folder: Path, *stages: dict[str, Any], evaluated: bool = False) -> Path:
    made = squares.project(folder, *stages, **({"eval": {"split": "test"}} if evaluated else {}))
    experts.text_model(made / "expert", made / "student")
    return made


def body(folder: Path) -> dict[str, torch.Tensor]:
    return experts.weights(folder)


def manifest(folder: Path, stage: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run" / "train" / stage / "manifest.json").read_text())
    return found


def test_a_student_is_merged_of_stages_and_a_text_model_and_goes_on_like_any_other(tmp_path: Path) -> None:
    folder = project(tmp_path / "p", ONE, TWO, SOUP, MORE, evaluated=True)
    done = ran(*TRAIN, cwd=folder)
    assert (done.returncode, done.stdout) == (0, "the student: run/train/student\n"), done.stderr
    assert "03 soup: merge, from one, task_arithmetic, 0.5 one + 0.4 two + 0.1 expert\n" in done.stderr
    assert "soup: 25 of " in done.stderr
    trained = folder / "run" / "train"
    places = {"base": folder / "student", "expert": folder / "expert", "one": trained / "01-one" / "weights"}
    places |= {"two": trained / "02-two" / "weights", "soup": trained / "03-soup" / "weights"}
    held = {name: body(place) for name, place in places.items()}
    for name, found in held["soup"].items():
        if name in ("embed_tokens.weight", "lm_head.weight"):
            assert torch.equal(found, held["one"][name])
            continue
        base = held["base"][name]
        whole = base + sum(each["weight"] * (held[each["model"]][name] - base) for each in SOUP["models"])
        torch.testing.assert_close(found, whole, rtol=1e-6, atol=1e-6, msg=name)
    tower = "vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight"
    assert torch.equal(*(load_file(places[name] / "model.safetensors")[tower] for name in ("one", "soup")))
    assert sorted(file.stem for file in (folder / "run" / "eval").iterdir()) == ["00-base", "01-one", "02-two", "03-soup", "04-more"]
    inputs = manifest(folder, "03-soup")["inputs"]
    keys = {"models[0].model": manifest(folder, "01-one")["key"], "models[1].model": manifest(folder, "02-two")["key"]}
    assert inputs["models"].items() >= keys.items()
    assert len(set(inputs["models"].values())) == 4
    text = (trained / "student" / "README.md").read_text()
    assert r"| 03 soup: merge, from one, task\_arithmetic, 0.5 one + 0.4 two + 0.1 expert | 0 |" in text
    assert "\n| soup, from one | 8 | " in text
    assert "A stage of kind `merge` trains nothing" in text
    assert "base_model_relation" not in text, "the last stage trained"

    experts.text_model(folder / "expert", folder / "student", seed=2)
    changed = ran(*TRAIN, cwd=folder)
    assert changed.returncode == 2
    assert "stage 'more': the weights it begins with have changed; it would start again: 1 step (" in changed.stderr
    redone = ran(*TRAIN, "--from", "soup", cwd=folder)
    assert (redone.returncode, redone.stderr.count("done already"), redone.stderr.count("starts again")) == (0, 2, 2), redone.stderr


def test_one_that_is_killed_while_it_writes_is_made_again_bit_for_bit(tmp_path: Path, nursery: Nursery) -> None:
    soup = SOUP | {"method": "dare_ties", "models": [each | {"density": 0.5} for each in SOUP["models"]]}
    folder = project(tmp_path / "p", ONE, TWO, soup)
    killed = nursery.run(folder, *TRAIN, dies_at=".weights.new/model.safetensors")
    assert killed[0] == -signal.SIGKILL
    assert [(folder / "run" / "train" / name / "weights").exists() for name in ("01-one", "02-two", "03-soup")] == [True, True, False]
    again = ran(*TRAIN, cwd=folder)
    assert (again.returncode, again.stderr.count("done already")) == (0, 2), again.stderr
    merged = folder / "run" / "train" / "03-soup" / "weights" / "model.safetensors"
    whole = merged.read_bytes()
    assert ran(*TRAIN, "--from", "soup", cwd=folder).returncode == 0
    assert merged.read_bytes() == whole


def test_what_cannot_be_merged_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    folder = project(tmp_path / "p", ONE, TWO, SOUP)
    early = ran(*TRAIN, "--stage", "soup", cwd=folder)
    assert (early.returncode, early.stdout) == (2, "")
    assert early.stderr.splitlines()[-1] == ("--stage soup: the stage 'one' before it is not done; leave --stage out, or do it first")
    config = json.loads((folder / "expert" / "config.json").read_text())
    (folder / "expert" / "config.json").write_text(json.dumps(config | {"num_key_value_heads": 2}))
    refused = ran(*TRAIN, cwd=folder)
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1] == (
        f"stage 'soup': models[2].model: {str(folder / 'expert')!r} is not of the shape of the student's language model: "
        "num_key_value_heads 2 where the student has 1; take one of its family"
    )
    assert not (folder / "run" / "train" / "01-one" / "weights").exists()
    file = folder / "squares.yaml"
    held = yaml.safe_load(file.read_text())
    held["train"]["stages"][2]["models"][2]["model"] = "no/where"
    file.write_text(yaml.safe_dump(held))
    missing = ran(*TRAIN, cwd=folder)
    assert missing.returncode == 2
    assert "stage 'soup': models[2].model: 'no/where' is no folder, and no model that the Hub gives" in missing.stderr


@pytest.mark.parametrize(
    ("stage", "line"),
    [
        (
            {"name": "bent", "kind": "sft", "steps": 1, "prior": {"expert": "expert", "layers": [9]}},
            "stage 'bent': prior.layers: the student has no layer 9; they count from 0",
        ),
        (
            {"name": "swap", "kind": "merge", "method": "layer_swap", "models": [{"model": "expert", "layers": [9]}]},
            "stage 'swap': models[0].layers: the student has no layer 9; they count from 0",
        ),
        ({"name": "look", "kind": "eval"}, "stage 'look': eval: is missing from the pipeline file; it says what the student is tried on"),
    ],
)
def test_a_later_stage_that_cannot_be_done_is_told_before_an_earlier_one_is_trained(
    tmp_path: Path, stage: dict[str, Any], line: str
) -> None:
    folder = project(tmp_path / "p", ONE, stage)
    file = folder / "squares.yaml"
    file.write_text(yaml.safe_dump({name: part for name, part in yaml.safe_load(file.read_text()).items() if name != "eval"}))
    refused = ran(*TRAIN, cwd=folder)
    assert (refused.returncode, refused.stderr.splitlines()[-1]) == (2, line)
    assert not (folder / "run" / "train" / "01-one" / "weights").exists()


def test_its_card_names_the_models_that_it_is_made_of_with_their_licences(tmp_path: Path) -> None:
    soup = SOUP | {"from": "base", "models": [{"model": "base"}, {"model": "some/expert"}, {"model": "expert"}]}
    folder = project(tmp_path / "p", soup)
    file = folder / "squares.yaml"
    held = yaml.safe_load(file.read_text())
    held["train"]["student"]["model"] = "some/student"
    file.write_text(yaml.safe_dump(held))
    stage = folder / "run" / "train" / "01-soup"
    stage.mkdir(parents=True)
    (stage / "manifest.json").write_text(json.dumps({"finished": True, "key": "k", "inputs": {"begin": "b"}, "files": {}}))
    loaded = Loaded.load(str(file))
    assert loaded.pipeline.train is not None
    assert len(past_chapters(loaded.pipeline.train, folder / "run")) == 1
    (folder / "expert" / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    _, head, text = card.student_card(loaded, folder / "run", [], begin=folder / "student").split("---\n", 2)
    assert "\n- some/expert, licence: not stated\n- expert, licence: cc-by-nc-4.0\n" in text
    found = yaml.safe_load(head)
    assert (found["base_model"], found["base_model_relation"]) == (["some/student", "some/expert"], "merge")
