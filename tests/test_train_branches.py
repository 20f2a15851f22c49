"""Stages as a tree, each with the weights that its `from` names; and a change that would cost what is done is told first."""

import json
import re
import shutil
import signal
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
import yaml
from safetensors.torch import load_file

from cotforge.train.students import loaded_student
from tests import squares
from tests.nursery import Nursery
from tests.project import files, ran
from tests.test_train_killed import TRAIN, has_rows, rows

INJECT = {"name": "inject", "kind": "sft", "batch": 8, "steps": 3, "learning_rate": 1e-2}
PLAIN = {"name": "plain", "kind": "sft", "batch": 4, "steps": 2, "from": "base"}
MORE = {"name": "more", "kind": "sft", "batch": 8, "steps": 2, "from": "inject"}
REWARDS = [{"measure": "well_formed"}, {"measure": "correct"}]
LAST = {"name": "last", "kind": "sft", "batch": 8, "steps": 2}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def again(folder: Path, *stages: dict[str, Any], **student: Any) -> None:
    """The pipeline file with other stages."""
    file = folder / "squares.yaml"
    whole = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump(whole | {"train": {"student": {"model": "student", **student}, "stages": list(stages)}}))


def manifest(folder: Path, stage: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run" / "train" / stage / "manifest.json").read_text())
    return found


def said(text: str) -> dict[str, str]:
    """What a run says of each stage: the line after its own."""
    lines = text.splitlines()
    return {line[3:].partition(":")[0]: after.strip() for line, after in pairwise(lines) if re.match(r"\d\d ", line)}


def test_each_stage_begins_with_the_weights_it_names_and_a_changed_branch_leaves_the_others(tmp_path: Path) -> None:
    folder = squares.project(tmp_path / "p", INJECT, PLAIN, MORE, LAST, eval={"split": "test"})
    done = ran(*TRAIN, cwd=folder)
    assert (done.returncode, done.stdout) == (0, "the student: run/train/student\n"), done.stderr
    base = loaded_student.weights_fingerprint(folder / "student")
    begins = {name: manifest(folder, name)["inputs"]["begin"] for name in ("01-inject", "02-plain", "03-more", "04-last")}
    assert begins == {
        "01-inject": base, "02-plain": base, "03-more": manifest(folder, "01-inject")["key"], "04-last": manifest(folder, "03-more")["key"],
    }  # fmt: skip
    assert sorted(file.stem for file in (folder / "run" / "eval").iterdir()) == ["00-base", "01-inject", "02-plain", "03-more", "04-last"]
    trained = folder / "run" / "train"
    assert (trained / "student" / "model.safetensors").read_bytes() == (trained / "04-last" / "weights" / "model.safetensors").read_bytes()
    card = (trained / "student" / "README.md").read_text()
    for row in ("\n| inject | 8 |", "\n| plain, from base | 8 |", "\n| more, from inject | 8 |", "\n| last | 8 |"):
        assert row in card
    assert "| 02 plain: sft, from base, on lessons, 2 steps, batch 4 x 1 | 2 |" in card
    assert "in 3 stages by cotforge" in card
    assert "- Compared with plain, from base: " in card
    page = (folder / "run" / "report.html").read_text()
    assert "<td>plain, from base</td>" in page

    again(folder, INJECT, PLAIN | {"learning_rate": 1e-3}, MORE, LAST)
    refused = ran(*TRAIN, cwd=folder)
    assert (refused.returncode, refused.stdout) == (2, "")
    line = refused.stderr.splitlines()[-1]
    assert line.startswith("stage 'plain': learning_rate was null and is 0.001; it would start again: 2 steps (")
    assert line.endswith(" s) would be thrown away; undo the change, or start again with --from plain")
    other = ran(*TRAIN, "--from", "plain", cwd=folder)
    assert other.returncode == 0, other.stderr
    kept = "done already; --from {} does it again"
    assert said(other.stderr) == {name: kept.format(name) for name in ("inject", "more", "last")} | {"plain": "starts again"}

    again(folder, INJECT | {"learning_rate": 1e-3}, PLAIN | {"learning_rate": 1e-3}, MORE, LAST)
    refused = ran(*TRAIN, cwd=folder)
    inject = "stage 'inject': learning_rate was 0.01 and is 0.001; it would start again, and so would 'more', 'last': 7 steps ("
    assert refused.stderr.splitlines()[-1].startswith(inject)
    assert refused.stderr.count("would be thrown away") == 1
    other = ran(*TRAIN, "--from", "inject", cwd=folder)
    assert other.returncode == 0, other.stderr
    told = said(other.stderr)
    assert told.pop("plain") == kept.format("plain")
    assert told == dict.fromkeys(("inject", "more", "last"), "starts again")


def test_of_several_changed_branches_each_starts_again_when_it_is_named_or_all_by_base(tmp_path: Path) -> None:
    folder = squares.project(tmp_path / "p", INJECT, PLAIN, MORE)
    assert ran(*TRAIN, cwd=folder).returncode == 0
    again(folder, INJECT | {"seed": 1}, PLAIN | {"seed": 1}, MORE)
    refused = ran(*TRAIN, cwd=folder)
    assert (refused.returncode, refused.stderr.count("seed was 0 and is 1")) == (2, 2)
    above = ran(*TRAIN, "--from", "more", cwd=folder)
    assert (above.returncode, above.stderr.count("seed was 0 and is 1")) == (2, 1)
    assert "--from inject" in above.stderr
    one = ran(*TRAIN, "--from", "inject", cwd=folder)
    assert (one.returncode, one.stdout) == (0, "stage inject is done; others are not, so there is no new train/student\n"), one.stderr
    assert "start again with --from plain; until then it is left as it is\n" in one.stderr
    assert said(one.stderr) == {"inject": "starts again", "more": "starts again"}
    other = ran(*TRAIN, "--from", "plain", cwd=folder)
    assert (other.returncode, other.stdout) == (0, "the student: run/train/student\n"), other.stderr
    again(folder, INJECT | {"seed": 2}, PLAIN | {"seed": 2}, MORE)
    whole = ran(*TRAIN, "--from", "base", cwd=folder)
    assert said(whole.stderr) == dict.fromkeys(("inject", "plain", "more"), "starts again"), whole.stderr


def test_a_stage_that_gets_another_place_in_the_list_keeps_what_it_did(tmp_path: Path) -> None:
    folder = squares.project(tmp_path / "p", INJECT, LAST, eval={"split": "test"})
    assert ran(*TRAIN, cwd=folder).returncode == 0
    again(folder, PLAIN | {"from": None}, INJECT | {"from": "base"}, LAST)
    done = ran(*TRAIN, cwd=folder)
    assert done.returncode == 0, done.stderr
    told = said(done.stderr)
    assert (told["inject"], told["last"]) == ("done already; --from inject does it again", "done already; --from last does it again")
    assert sorted(path.name for path in (folder / "run" / "train").glob("0*")) == ["01-plain", "02-inject", "03-last"]
    assert sorted(file.stem for file in (folder / "run" / "eval").iterdir()) == ["00-base", "01-plain", "02-inject", "03-last"]


def test_one_stage_alone_needs_those_it_descends_from_and_no_other(tmp_path: Path) -> None:
    folder = squares.project(tmp_path / "p", INJECT, PLAIN, MORE)
    early = ran(*TRAIN, "--stage", "more", cwd=folder)
    assert early.returncode == 2
    assert early.stderr.endswith("\n--stage more: the stage 'inject' before it is not done; leave --stage out, or do it first\n")
    assert ran(*TRAIN, "--stage", "plain", cwd=folder).returncode == 0
    assert ran(*TRAIN, "--stage", "inject", cwd=folder).returncode == 0
    smoked = ran(*TRAIN, "--smoke", "--stage", "more", cwd=folder)
    assert smoked.returncode == 0, smoked.stderr
    smoke = json.loads((folder / "run" / "train" / "smoke" / "03-more" / "manifest.json").read_text())
    assert smoke["inputs"]["begin"] == manifest(folder, "01-inject")["key"]
    whole = ran(*TRAIN, "--smoke", cwd=folder)
    assert (whole.returncode, whole.stdout) == (0, "the student: run/train/smoke/student\n"), whole.stderr
    last = ran(*TRAIN, "--stage", "more", cwd=folder)
    assert (last.returncode, last.stdout) == (0, "the student: run/train/student\n"), last.stderr


def test_a_stage_that_only_measures_is_passed_over_and_may_name_what_it_tries(tmp_path: Path) -> None:
    tries = {"name": "check", "kind": "eval", "from": "base"}
    folder = squares.project(tmp_path / "p", INJECT, tries, LAST, eval={"split": "test"})
    done = ran(*TRAIN, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert manifest(folder, "02-check")["inputs"]["begin"] == loaded_student.weights_fingerprint(folder / "student")
    assert manifest(folder, "03-last")["inputs"]["begin"] == manifest(folder, "01-inject")["key"]
    tried = {name: json.loads((folder / "run" / "eval" / f"{name}.json").read_text()) for name in ("00-base", "02-check")}
    assert tried["00-base"]["accuracy"] == tried["02-check"]["accuracy"]
    assert "Compared with check" not in (folder / "run" / "train" / "student" / "README.md").read_text()


LONG = {
    "name": "inject", "kind": "sft", "batch": 4, "accumulate": 2, "steps": 40, "learning_rate": 1e-3, "trl": {"save_steps": 10},
}  # fmt: skip
HARMLESS = {"save_steps": 5, "logging_steps": 2, "dataloader_num_workers": 1, "save_total_limit": 1}


def test_an_interrupted_stage_goes_on_with_other_workers_logs_checkpoints_and_split(tmp_path: Path, nursery: Nursery) -> None:
    folder = squares.project(tmp_path / "p", LONG)
    whole = squares.project(tmp_path / "whole", LONG)
    assert ran(*TRAIN, cwd=whole).returncode == 0
    status, text = nursery.run(folder, *TRAIN, until=partial(has_rows, folder, "01-inject", 12), sends=signal.SIGTERM)
    assert status == 130, text
    at = rows(folder, "01-inject")
    again(folder, LONG | {"batch": 2, "accumulate": 4, "trl": HARMLESS})
    done = ran(*TRAIN, cwd=folder)
    assert (done.returncode, f"goes on from step {at}" in done.stderr) == (0, True), done.stderr
    steps = [json.loads(line)["step"] for line in (folder / "run" / "train" / "01-inject" / "metrics.jsonl").read_text().splitlines()]
    assert steps[:at] == list(range(1, at + 1))
    assert all(step % 2 == 0 for step in steps[at:]), "it logs as often as it is told now, not as often as before"
    assert_same_weights(folder, whole, "01-inject")
    assert manifest(folder, "01-inject")["key"] == manifest(whole, "01-inject")["key"]


@pytest.mark.parametrize(
    ("change", "student_change", "words"),
    [
        ({"learning_rate": 2e-3}, {}, "learning_rate was 0.001 and is 0.002"),
        ({"accumulate": 4}, {}, "batch x accumulate was 8 and is 16"),
        ({"trl": {"weight_decay": 0.1}}, {}, "trl.weight_decay was null and is 0.1"),
        ({}, {"freeze": ["vision"]}, 'student.freeze was [] and is ["vision"]'),
    ],
)
def test_an_interrupted_stage_with_other_inputs_says_what_it_would_throw_away(
    interrupted: Path, change: dict[str, Any], student_change: dict[str, Any], words: str
) -> None:
    at, files = rows(interrupted, "01-inject"), sorted((interrupted / "run" / "train" / "01-inject").rglob("*"))
    again(interrupted, LONG | change, **student_change)
    done = ran(*TRAIN, cwd=interrupted)
    assert (done.returncode, done.stdout) == (2, "")
    line = done.stderr.splitlines()[-1]
    assert re.match(re.escape(f"stage 'inject': {words}; it would start again: {at} steps (") + r"\d+ s\) would be thrown away", line), line
    assert sorted((interrupted / "run" / "train" / "01-inject").rglob("*")) == files


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Path:
    """A run that was told to end in the middle of its only stage."""
    folder = squares.project(tmp_path_factory.mktemp("interrupted") / "p", LONG)
    status, text = nursery.run(folder, *TRAIN, until=partial(has_rows, folder, "01-inject", 5), sends=signal.SIGTERM)
    assert status == 130, text
    return folder


def test_rollouts_and_pairs_are_the_same_however_a_step_is_split(tmp_path: Path) -> None:
    inject = {"name": "inject", "kind": "sft", "batch": 8, "steps": 60, "learning_rate": 1e-2}
    reason = {"name": "reason", "kind": "grpo", "group": 4, "max_completion": 24, "steps": 2, "learning_rate": 1e-3, "rewards": REWARDS}
    prefer = {"name": "prefer", "kind": "dpo", "steps": 3, "from": "inject", "learning_rate": 1e-3}
    one = squares.project(tmp_path / "one", inject, reason | {"batch": 16, "accumulate": 1}, prefer | {"batch": 4})
    assert ran(*TRAIN, "--stage", "inject", cwd=one).returncode == 0
    two = Path(shutil.copytree(one, tmp_path / "two"))
    again(two, inject, reason | {"batch": 8, "accumulate": 2}, prefer | {"batch": 2, "accumulate": 2})
    for folder in (one, two):
        done = ran(*TRAIN, cwd=folder)
        assert done.returncode == 0, done.stderr
    said = [pq.read_table(next((each / "run" / "train" / "02-reason" / "completions").glob("*"))).to_pylist() for each in (one, two)]
    assert said[0] == said[1]
    assert len({row["advantage"] for row in said[0]}) > 1, "some are rewarded and some are not"
    for stage in ("02-reason", "03-prefer"):
        assert manifest(one, stage)["key"] == manifest(two, stage)["key"]
        assert_same_weights(two, one, stage)


def assert_same_weights(ours: Path, theirs: Path, stage: str) -> None:
    """But for the order in which numbers are added up."""
    one, two = (load_file(folder / "run" / "train" / stage / "weights" / "model.safetensors") for folder in (ours, theirs))
    for name, weight in two.items():
        torch.testing.assert_close(one[name], weight, atol=2e-4, rtol=1e-3, msg=lambda told, name=name: f"{stage} {name}: {told}")


def test_a_stage_without_a_whole_checkpoint_has_nothing_to_lose(interrupted: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(interrupted, tmp_path / "p"))
    shutil.rmtree(folder / "run" / "train" / "01-inject" / "checkpoints")
    again(folder, INJECT)
    done = ran(*TRAIN, cwd=folder)
    assert (done.returncode, said(done.stderr)) == (0, {"inject": "its inputs have changed; it starts again"}), done.stderr


REASON = {
    "name": "reason", "kind": "grpo", "group": 4, "batch": 8, "accumulate": 1, "steps": 1, "max_completion": 8, "rewards": REWARDS,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(
            "rollouts=vllm",
            "stage 'reason': rollouts: vllm: it needs vllm",
            marks=pytest.mark.skipif(find_spec("vllm") is not None, reason="vllm is here"),
        ),
        ("max_completion=100000", "max_completion"),
        ("batch=6", "stage 'reason': batch x accumulate is 6 x 1 completions"),
    ],
)
def test_a_fault_that_is_found_when_a_stage_begins_leaves_what_it_did_before(
    reasoned: Path, tmp_path: Path, change: str, words: str
) -> None:
    folder = Path(shutil.copytree(reasoned, tmp_path / "p"))
    before = trained(folder)
    done = ran(*TRAIN, "--from", "reason", "--set", f"train.stages.1.{change}", cwd=folder)
    assert (done.returncode, words in done.stderr.splitlines()[-1]) == (2, True), done.stderr
    assert trained(folder) == before
    kept = ran(*TRAIN, cwd=folder)
    assert (kept.returncode, kept.stderr.count("done already")) == (0, 2), kept.stderr
    again = ran(*TRAIN, "--from", "reason", "--set", "train.stages.1.temperature=0.9", cwd=folder)
    assert again.returncode == 0, again.stderr
    assert not [*(folder / "run" / "train").glob(".*.old")]


def trained(folder: Path) -> dict[str, str]:
    return {name: found for name, found in files(folder / "run" / "train").items() if not name.startswith("cache/")}


@pytest.fixture(scope="module")
def reasoned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = squares.project(tmp_path_factory.mktemp("reasoned") / "p", INJECT | {"steps": 1}, REASON)
    done = ran(*TRAIN, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_after_an_interrupt_what_from_named_is_gone_on_with_and_done_without_it(tmp_path: Path, nursery: Nursery) -> None:
    folder = squares.project(tmp_path / "p", LONG, PLAIN, MORE, LAST)
    assert ran(*TRAIN, cwd=folder).returncode == 0
    changed = ("--set", "train.stages.0.learning_rate=0.002")
    file = folder / "run" / "train" / "01-inject" / "manifest.json"
    before = manifest(folder, "01-inject")["key"]

    def stepped() -> bool:
        return file.exists() and manifest(folder, "01-inject")["key"] != before and has_rows(folder, "01-inject", 3)

    status, text = nursery.run(folder, *TRAIN, "--from", "inject", *changed, until=stepped, sends=signal.SIGTERM)
    told = "interrupted; what was trained is kept: run the same command without --from to go on"
    assert (status, text.splitlines()[-1]) == (130, told), text
    at = rows(folder, "01-inject")
    done = ran(*TRAIN, *changed, cwd=folder)
    assert done.returncode == 0, done.stderr
    whole = said(done.stderr)
    assert whole.pop("inject") == f"goes on from step {at}"
    assert whole == {"plain": "done already; --from plain does it again", "more": "starts again", "last": "starts again"}
    once = ran(*TRAIN, *changed, cwd=folder)
    assert (once.returncode, once.stderr.count("done already")) == (0, 4), once.stderr
    refused = ran(*TRAIN, *changed, "--set", "train.stages.2.seed=1", cwd=folder)
    assert refused.returncode == 2
    assert "stage 'more': seed was 0 and is 1; it would start again, and so would 'last'" in refused.stderr


def test_a_smoke_writes_figures_in_its_own_folder_alone(tmp_path: Path) -> None:
    folder = squares.project(tmp_path / "p", INJECT, {"name": "look", "kind": "eval"}, eval={"split": "test"})
    assert ran(*TRAIN, cwd=folder).returncode == 0
    run = folder / "run"

    def held() -> dict[str, str]:
        return {name: found for name, found in files(run).items() if not name.startswith(("train/smoke/", "train/cache/", "cache/"))}

    before = held()
    assert {"eval/00-base.json", "eval/01-inject.json", "eval/02-look.json"} <= before.keys()
    for words in ([], ["--stage", "look"]):
        done = ran(*TRAIN, "--smoke", *words, cwd=folder)
        assert (done.returncode, "held out" in done.stderr) == (0, True), done.stderr
        assert (run / "train" / "smoke" / "eval" / "02-look.json").is_file()
        assert held() == before
