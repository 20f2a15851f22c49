"""How sure a student is of its own words, and the checkpoint that is taken for it."""

import io
import json
import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from cotforge.pipeline import Loaded, Pipeline
from cotforge.plan import EntropyBand, Eval, Plan, Student
from cotforge.teachers.local.entropy import token_entropy
from cotforge.train.data.lessons import find_lessons
from cotforge.train.evaluation.askers import CheckpointAsker, Question
from cotforge.train.evaluation.held_out import HeldOutSamples
from cotforge.train.evaluation.mean_entropy import mean_entropy
from cotforge.train.evaluation.trials import Trials
from cotforge.train.kinds import sft
from cotforge.train.report.record import MetricsLog
from cotforge.train.stage_run import StageRun
from cotforge.tree import pydantic_faults
from tests import squares

STAGE = {"name": "inject", "kind": "sft", "batch": 8, "steps": 9, "learning_rate": 1e-2, "trl": {"save_steps": 3}}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return squares.project(tmp_path_factory.mktemp("entropy") / "p", STAGE, eval={"split": "test"})


@pytest.fixture(scope="module")
def held(project: Path) -> HeldOutSamples:
    return HeldOutSamples.of(Loaded.load(project / "squares.yaml"), project / "run")


@pytest.fixture(scope="module")
def checkpoint(project: Path) -> CheckpointAsker:
    return CheckpointAsker.load(str(project / "student"))


def questions(held: HeldOutSamples) -> list[Question]:
    return [Question(sample, held.messages(sample)) for sample in held.samples]


@given(st.lists(st.one_of(st.floats(-30, 30), st.just(-math.inf)), min_size=2, max_size=20).filter(lambda row: max(row) > -math.inf))
def test_the_entropy_is_that_of_the_distribution_in_nats(row: list[float]) -> None:
    weights = [math.exp(value - max(row)) for value in row]
    shares = [weight / math.fsum(weights) for weight in weights]
    wanted = -math.fsum(share * math.log(share) for share in shares if share)
    assert token_entropy(torch.tensor([row, [1.0] * len(row)])).tolist() == pytest.approx([wanted, math.log(len(row))], abs=1e-4)


def test_what_a_student_draws_follows_from_the_seed_and_touches_no_other_draw(held: HeldOutSamples, checkpoint: CheckpointAsker) -> None:
    before = torch.get_rng_state()
    first, again, other = (checkpoint.drawn(questions(held), max_tokens=6, seed=seed, done=bool) for seed in (0, 0, 1))
    assert torch.get_rng_state().equal(before)
    assert first == again
    assert [said.content for said in first] != [said.content for said in other]
    assert all(said.entropy is not None and 0 < said.entropy < math.log(400) for said in first)
    nats = math.fsum((said.entropy or 0) * said.output_tokens for said in first) / sum(said.output_tokens for said in first)
    assert mean_entropy(checkpoint, questions(held), max_tokens=6) == pytest.approx(nats)


def test_the_entropy_of_a_token_is_that_of_the_models_own_logits(project: Path, held: HeldOutSamples, checkpoint: CheckpointAsker) -> None:
    from cotforge.train.students import loaded_student

    pupil = loaded_student.load_pupil(Student(model=str(project / "student")), project / "student")
    sample = held.samples[0]
    picture = Image.open(io.BytesIO(sample.pictures[0].load())).convert("RGB")
    asked = [{"role": "user", "content": [{"type": "image", "image": picture}, {"type": "text", "text": held.prompt.render(sample)}]}]
    inputs = pupil.processor.apply_chat_template([asked], add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt")
    with torch.inference_mode():
        wanted = token_entropy(pupil.model.eval()(**inputs).logits[:, -1])
    (said,) = checkpoint.drawn(questions(held)[:1], max_tokens=1, seed=0, done=bool)
    assert said.entropy == pytest.approx(wanted.item(), abs=1e-4)


def test_the_checkpoint_nearest_to_the_band_is_what_a_stage_leaves(project: Path, held: HeldOutSamples, tmp_path: Path) -> None:
    """No checkpoint is as unsure as that band: the least sure one is the nearest, though the metric alone would take the last."""
    loaded = Loaded.load(project / "squares.yaml")
    plan = Eval.model_validate({"split": "test", "best": {"entropy": [8, 9]}})
    trained = Plan.model_validate({"student": {"model": str(project / "student")}, "stages": [STAGE]})
    trials = Trials(plan, lambda: held, tmp_path, max_tokens=8, student=trained.student)
    lessons = find_lessons(project / "run" / "dataset", cache=tmp_path / "cache")
    lines: list[str] = []

    class Told(MetricsLog):
        def say(self, line: str) -> None:
            lines.append(line)

    out = tmp_path / "stage"
    out.mkdir()
    job = StageRun(
        plan=trained, stage=trained.stages[0], begin=project / "student", out=out, lessons=lambda: lessons, source=lambda: lessons,
        task=loaded.pipeline.task, prompts=loaded.prompts, held_out=plan, trials=trials, smoke=False, resume_from=None,
        record=Told(out / "metrics.jsonl", "inject"), cache=tmp_path / "cache",
    )  # fmt: skip
    with job.record:
        sft.train(trained.stages[0], job)  # type: ignore[arg-type]
    best = json.loads((out / "best.json").read_text())
    assert [*best["entropy"]] == [*best["tried"]] == ["3", "6", "9"]
    assert all(before > after for before, after in pairwise(best["entropy"].values())), "it learns, and grows surer"
    assert (best["step"], best["metric"], best["band"]) == (3, "accuracy", [8, 9])
    assert trials.entropy(CheckpointAsker.load(str(job.weights)), "what is left") == pytest.approx(best["entropy"]["3"], abs=1e-4)
    assert any(
        line.endswith(f"nearest to 8 to 9 nats a token: it has {best['entropy']['3']:.3f}; its weights are the stage's") for line in lines
    )


@given(st.floats(0, 5), st.floats(0.01, 5), st.floats(0, 12))
def test_a_band_is_as_far_as_its_nearer_end(low: float, width: float, nats: float) -> None:
    band = EntropyBand(entropy=(low, low + width))
    assert band.distance(nats) == pytest.approx(0 if low <= nats <= low + width else min(abs(nats - low), abs(nats - low - width)))


@pytest.mark.parametrize(
    ("best", "line"),
    [
        ({"entropy": [0.5, 0.3]}, "eval.best: entropy: 0.5 to 0.3 is no band; give the lower bound first, from 0 up, like [0.3, 0.5]"),
        ({"entropy": [-1, 0.3]}, "eval.best: entropy: -1 to 0.3 is no band; give the lower bound first, from 0 up, like [0.3, 0.5]"),
        ({"entropi": [0.3, 0.5]}, "eval.best: no key named 'entropi'; did you mean 'entropy'?"),
        ("acuracy", "eval.best: 'acuracy': input should be 'accuracy', 'macro_recall' or 'format_rate'; did you mean 'accuracy'?"),
    ],
)
def test_what_is_no_band_and_no_metric_is_one_line(best: Any, line: str) -> None:
    given = {"name": "x", "eval": {"split": "test", "best": best}}
    with pytest.raises(ValidationError) as error:
        Pipeline.model_validate(given)
    assert line in pydantic_faults(error.value, Pipeline, given)


def test_the_band_and_the_metric_within_it_decide_which_checkpoint_is_taken() -> None:
    def choosing(**keys: Any) -> dict[str, Any]:
        return Eval.model_validate({"split": "test", **keys}).choosing()

    band = {"best": {"entropy": [0.3, 0.5]}}
    assert choosing(**band) != choosing(best={"entropy": [0.3, 0.6]}) != choosing(best="accuracy")
    assert choosing(**band) != choosing(**band, metrics=["macro_recall"])
    assert choosing(best="accuracy") == choosing(best="accuracy", metrics=["macro_recall"])
