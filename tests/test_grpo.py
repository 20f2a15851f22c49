"""Reinforcement of a tiny student: the clip acts, completions are kept, a killed run goes on, and what is wrong is said first."""

import json
import math
from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from trl import GRPOConfig

from cotforge.answers import Task
from cotforge.errors import PipelineError
from cotforge.images import Images, PictureStore
from cotforge.images.refs import FileRef
from cotforge.plan import Grpo, Lora, Plan, Sft, variants
from cotforge.plan.variants import Variant
from cotforge.prompts import Prompts
from cotforge.records import Sample
from cotforge.train.data.lessons import Lessons, find_lessons, write_source
from cotforge.train.guards import MetricGuards
from cotforge.train.kinds import grpo, sft
from cotforge.train.report.record import MetricsLog
from cotforge.train.rollouts.trainer import GrpoTrainer, completion_decoder, is_kept, kept_rows
from cotforge.train.stage_run import StageRun, newest_whole
from cotforge.train.students import loaded_student, tiny
from tests import squares
from tests.clip import acted, objective

TASK = Task(kind="classify", question="Which colour is this?", labels=tuple(squares.COLOURS))
SMALL = {"batch": 8, "accumulate": 1, "group": 4, "max_completion": 24, "temperature": 1.2}
LEARNED = 120
"""Steps of supervised learning before."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, dataset: Path) -> Path:
    """A student that has learned the form and half of the colours."""
    folder = tmp_path_factory.mktemp("student")
    begin = tiny.make_llava(folder / "begin", squares.TEXTS, squares.SIZE)
    stage = Sft.model_validate({"name": "inject", "kind": "sft", "steps": LEARNED, "batch": 8, "learning_rate": 1e-2})
    job = replace(work(folder / "sft", begin, dataset, {"rewards": [{"measure": "correct"}]}), stage=stage)
    with job.record:
        sft.train(stage, job)
    return job.weights


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return squares.write(tmp_path_factory.mktemp("lessons") / "dataset", 16)


REWARDS = [{"measure": "well_formed", "weight": 0.5}, {"measure": "correct"}]
BUDGET = 90
"""Tokens: those of about half of a step's completions."""


def work(folder: Path, model: Path, dataset: Path, stage: dict[str, Any], **changed: Any) -> StageRun:
    made = Grpo.model_validate({"name": "reason", "kind": "grpo", **SMALL, **stage})
    plan = Plan.model_validate({"student": {"model": str(model)}, "stages": [made.model_dump(by_alias=True)]})
    folder.mkdir(parents=True, exist_ok=True)
    lessons = find_lessons(dataset, cache=dataset.parent / "cache")
    given: dict[str, Any] = {
        "plan": plan, "stage": made, "begin": model, "out": folder, "lessons": lambda: lessons, "source": lambda: lessons, "task": TASK,
        "prompts": Prompts().load(Path()), "held_out": None, "smoke": False, "resume_from": None,
        "record": MetricsLog(folder / "metrics.jsonl", "reason"), "cache": dataset.parent / "cache", "root": folder,
    }  # fmt: skip
    return StageRun(**given | changed)


def run(job: StageRun) -> list[dict[str, Any]]:
    assert isinstance(job.stage, Grpo)
    with job.record:
        grpo.train(job.stage, job)
    return [json.loads(line) for line in (job.out / "metrics.jsonl").read_text().splitlines()]


def test_the_clip_acts_the_ratio_is_logged_and_every_completion_is_kept(tmp_path: Path, model: Path, dataset: Path) -> None:
    stage = {
        "steps": 6, "updates_per_rollout": 3, "clip": {"low": 0.02, "high": 0.01}, "learning_rate": 5e-3,
        "rewards": REWARDS,
    }  # fmt: skip
    job = work(tmp_path / "stage", model, dataset, stage)
    rows = run(job)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    low, high = ([row[f"clip_ratio/{side}_mean"] for row in rows] for side in ("low", "high"))
    assert low[0] == high[0] == low[3] == high[3] == 0  # the first update on a rollout: the ratio is 1
    assert max(low) > 0
    assert max(high) > 0
    assert min(row["ratio/min"] for row in rows) < 0.98
    assert max(row["ratio/max"] for row in rows) > 1.01
    assert rows[0]["ratio/min"] == pytest.approx(1, abs=1e-3)
    files = sorted((job.out / "completions").glob("*.parquet"))
    assert [file.name for file in files] == ["000000.parquet", "000003.parquet"]
    kept = [row for file in files for row in pq.read_table(file).to_pylist()]
    assert len(kept) == 16
    assert {*kept[0]} == {"step", "id", "truth", "said", "answer", "fault", "well_formed", "correct", "advantage"}
    assert len({row["id"] for row in kept}) == 4
    assert abs(sum(row["advantage"] for row in kept[:4])) < 1e-3
    assert loaded_student.weights_fingerprint(job.weights) != loaded_student.weights_fingerprint(model)


@pytest.mark.parametrize("rollouts", [1, 2, 199, 200, 201, 800, 12_345])
def test_of_a_long_stage_evenly_many_rollouts_are_kept_with_the_first_and_the_last(rollouts: int) -> None:
    kept = [rollout for rollout in range(rollouts) if is_kept(rollout, of=rollouts)]
    assert (kept[0], kept[-1]) == (0, rollouts - 1)
    assert min(rollouts, 100) <= len(kept) <= 201
    assert len({after - before for before, after in pairwise(kept[:-1])}) <= 1


@pytest.mark.parametrize(("count", "group", "rows"), [(8, 4, 8), (64, 8, 64), (512, 8, 64), (512, 12, 60), (256, 128, 128)])
def test_of_a_large_rollout_whole_groups_are_kept(count: int, group: int, rows: int) -> None:
    assert kept_rows(count, group=group) == rows


def test_a_clip_that_never_acted_says_so(tmp_path: Path, model: Path, dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage = {"steps": 2, "updates_per_rollout": 2, "clip": "cliplow-upper", "rewards": REWARDS}
    run(work(tmp_path / "stage", model, dataset, stage))
    said = " ".join(capsys.readouterr().err.split())
    assert "no clip ever acted (0.8 to 1.1): the ratio stayed within" in said
    assert "raise learning_rate or updates_per_rollout, or narrow clip" in said


def test_killed_and_resumed_equals_undisturbed(tmp_path: Path, model: Path, dataset: Path) -> None:
    stage = {
        "steps": 4, "updates_per_rollout": 2, "learning_rate": 1e-3, "rewards": REWARDS, "beta": 0.04,
        "trl": {"save_steps": 2},
    }  # fmt: skip
    whole = run(work(tmp_path / "whole", model, dataset, stage))
    job = work(tmp_path / "cut", model, dataset, stage)

    class Killed(BaseException):
        """As SIGKILL would: nothing is saved any more."""

    class Killing(MetricsLog):
        def row(self, step: int, metrics: dict[str, Any]) -> None:
            super().row(step, metrics)
            if step == 3:
                raise Killed

    with pytest.raises(Killed):
        run(replace(job, record=Killing(job.out / "metrics.jsonl", "reason")))
    checkpoint = newest_whole(job.out / "checkpoints")
    assert checkpoint is not None
    assert checkpoint.name == "checkpoint-2"
    again = run(replace(job, resume_from=checkpoint, record=MetricsLog(job.out / "metrics.jsonl", "reason")))
    told = ("step", "loss", "reward", "kl", "clip_ratio/low_mean", "ratio/max", "completions/mean_length")
    assert [{name: row.get(name) for name in told} for row in again] == [{name: row.get(name) for name in told} for row in whole]
    assert loaded_student.weights_fingerprint(job.weights) == loaded_student.weights_fingerprint(tmp_path / "whole" / "weights")


MASKING = {"max_completion": 2, "updates_per_rollout": 2, "trl": {"mask_truncated_completions": True}}


def test_a_micro_batch_whose_completions_are_all_cut_off_and_masked_trains_on(tmp_path: Path, model: Path, dataset: Path) -> None:
    rows = run(work(tmp_path / "stage", model, dataset, {"steps": 4, "rewards": REWARDS, **MASKING}))
    assert [(row["step"], row["loss"]) for row in rows] == [(1, 0), (2, 0), (3, 0), (4, 0)]
    assert rows[0]["completions/clipped_ratio"] == rows[2]["completions/clipped_ratio"] == 1
    assert not any("ratio/min" in row for row in rows)


FLAT = {"steps": 3, "batch": 16, "temperature": 0.8, "learning_rate": 1e-3, "rewards": REWARDS}


def test_groups_of_one_reward_are_drawn_again_with_other_prompts_and_counted(tmp_path: Path, model: Path, dataset: Path) -> None:
    once, again = (run(work(tmp_path / str(times), model, dataset, FLAT | {"resample": times})) for times in (0, 8))
    assert once[0]["frac_reward_zero_std"] > 0  # of the same prompts and the same chance, so that the first rollouts are one
    assert again[0]["resample/flat"] == once[0]["frac_reward_zero_std"]
    assert all(row["frac_reward_zero_std"] <= row["resample/flat"] for row in again)
    assert sum(row["frac_reward_zero_std"] for row in again) < sum(row["resample/flat"] for row in again)
    assert all(row["resample/drawn"] >= row["resample/flat"] for row in again)
    assert "resample/flat" not in once[0]
    for name in ("0", "8"):
        for file in (tmp_path / name / "completions").glob("*.parquet"):
            kept = pq.read_table(file).to_pylist()
            assert [len({row["id"] for row in kept[at : at + 4]}) for at in (0, 4, 8, 12)] == [1] * 4
            assert all((row["correct"] == 1) == (row["answer"] == row["truth"]) for row in kept)
    assert again[0]["completions/mean_length"] == once[0]["completions/mean_length"]  # as the student speaks by itself
    assert again[0]["num_tokens"] > once[0]["num_tokens"]


def test_a_stage_that_draws_again_and_has_a_token_budget_resumes_exactly(tmp_path: Path, model: Path, dataset: Path) -> None:
    stage = FLAT | {"steps": 4, "resample": 2, "token_budget": 120, "trl": {"save_steps": 2}}
    whole = run(work(tmp_path / "whole", model, dataset, stage))
    job = work(tmp_path / "cut", model, dataset, stage)

    class Killed(BaseException):
        """As SIGKILL would: nothing is saved any more."""

    class Killing(MetricsLog):
        def row(self, step: int, metrics: dict[str, Any]) -> None:
            super().row(step, metrics)
            if step == 3:
                raise Killed

    with pytest.raises(Killed):
        run(replace(job, record=Killing(job.out / "metrics.jsonl", "reason")))
    again = run(replace(job, resume_from=newest_whole(job.out / "checkpoints"), record=MetricsLog(job.out / "metrics.jsonl", "reason")))
    told = ("step", "loss", "reward", "resample/flat", "resample/drawn", "num_tokens", "budget/filled", "budget/taken")
    assert all(row["budget/filled"] >= 1 > row["budget/taken"] > 0 for row in whole)
    assert [{name: row.get(name) for name in told} for row in again] == [{name: row.get(name) for name in told} for row in whole]
    assert loaded_student.weights_fingerprint(job.weights) == loaded_student.weights_fingerprint(tmp_path / "whole" / "weights")


def test_pictures_of_every_labelled_sample_are_learned_from_and_rewards_tried_on_lessons(
    tmp_path: Path, model: Path, dataset: Path
) -> None:
    """The source has labels and no reasoning: a reward for the form would refuse its own texts."""
    store = PictureStore(tmp_path / "run", Images())
    samples = []
    for number, colour in enumerate([*squares.COLOURS] * 3):
        file = tmp_path / f"{number}.png"
        file.write_bytes(squares.square(colour, 20 + number))
        samples.append(Sample(f"s{number}", (store.picture(FileRef(str(file), file.name)),), squares.QUESTION, (), colour))
    store.close()
    source = write_source(
        samples, tmp_path / "source.parquet", key="k", prompt=lambda sample: squares.PROMPT, completion="<answer>{}</answer>".format
    )

    def none() -> Lessons:
        raise PipelineError("there are no lessons yet")

    stage = {"steps": 3, "data": "source", "rewards": REWARDS}
    for number, lessons in enumerate((lambda: find_lessons(dataset, cache=tmp_path / "cache"), none)):
        job = work(tmp_path / f"stage{number}", model, dataset, stage, source=lambda: source, lessons=lessons)
        run(job)
        kept = [row for file in (job.out / "completions").glob("*.parquet") for row in pq.read_table(file).to_pylist()]
        assert {row["id"] for row in kept} <= {sample.id for sample in samples}
        assert {row["truth"] for row in kept} <= {*squares.COLOURS}
        assert sum(row["correct"] for row in kept)


def test_prompts_without_a_picture_are_learned_from_among_others(tmp_path: Path, model: Path, dataset: Path) -> None:
    (there,) = (dataset / "data").glob("*.parquet")
    rows = pq.read_table(there)
    images = [[] if number % 3 == 1 else cell for number, cell in enumerate(rows["images"].to_pylist())]
    mixed = tmp_path / "dataset" / "data" / there.name
    mixed.parent.mkdir(parents=True)
    place = rows.schema.get_field_index("images")
    pq.write_table(rows.set_column(place, rows.schema.field(place), pa.array(images, rows.schema.field(place).type)), mixed)
    job = work(
        tmp_path / "stage", model, mixed.parents[1], {"steps": 4, "batch": 16, "updates_per_rollout": 2, "beta": 0.1, "rewards": REWARDS}
    )
    assert len(run(job)) == 4


def test_the_form_of_the_loss_is_handed_on(tmp_path: Path, model: Path, dataset: Path) -> None:
    def config(**stage: Any) -> Any:
        job = work(tmp_path / "stage", model, dataset, {"rewards": REWARDS, **stage})
        assert isinstance(job.stage, Grpo)
        return grpo.config_of(job.stage, job, loaded_student.load_pupil(job.plan.student, model))

    names = ("loss_type", "scale_rewards", "use_bias_correction_kl")
    theirs = {field.name: field.default for field in fields(GRPOConfig)}
    assert [getattr(config(), name) for name in names] == [theirs[name] for name in names]
    other = config(loss_type="dr_grpo", scale_rewards=False, use_bias_correction_kl=False)
    assert [getattr(other, name) for name in names] == ["dr_grpo", "none", False]
    assert config(loss_type="dr_grpo", trl={"loss_type": "bnpo"}).loss_type == "bnpo"


VARIANTS = {
    "dr_grpo": ({}, {"loss_type": "dr_grpo", "scale_rewards": "none", "beta": 0.0, "num_iterations": 1}),
    "dapo": (
        {},
        {"loss_type": "dapo", "epsilon": 0.2, "epsilon_high": 0.28, "beta": 0.0, "mask_truncated_completions": True, "num_iterations": 2,
         "scale_rewards": "group"},
    ),
    "gspo": (
        {},
        {"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon": 3e-4, "epsilon_high": 4e-4, "beta": 0.0,
         "num_iterations": 4},
    ),
    "c3po": (
        {"token_budget": 100},
        {"loss_type": "dapo", "beta": 1e-3, "entropy_coef": 5e-4, "use_bias_correction_kl": False, "epsilon": 0.2, "epsilon_high": 0.2},
    ),
}  # fmt: skip


@pytest.mark.parametrize("variant", get_args(Variant))
def test_a_variant_is_what_trls_configuration_gets(tmp_path: Path, model: Path, dataset: Path, variant: str) -> None:
    given, wanted = VARIANTS[variant]
    job = work(tmp_path / "stage", model, dataset, {"rewards": REWARDS, "variant": variant, **given})
    assert isinstance(job.stage, Grpo)
    config = grpo.config_of(job.stage, job, loaded_student.load_pupil(job.plan.student, model))
    assert {name: getattr(config, name) for name in wanted} == wanted
    assert {*variants.VARIANTS[variant].get("trl", {})} <= {field.name for field in fields(GRPOConfig)}


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_completions_that_do_not_fit_into_memory_at_once_are_made_by_halves(tmp_path: Path, model: Path, dataset: Path) -> None:
    job = work(tmp_path / "stage", model, dataset, {"steps": 2, "batch": 16, "rewards": REWARDS})
    assert isinstance(job.stage, Grpo)
    pupil, told, sizes = loaded_student.load_pupil(job.plan.student, model), list[str](), list[int]()
    generate = pupil.model.generate

    def limited(*given: Any, **named: Any) -> Any:
        sizes.append(len(named["input_ids"]))
        if sizes[-1] > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return generate(*given, **named)

    pupil.model.generate = limited
    rows = job.lessons().seen(["id", "prompt", "images", "answer"])
    trainer = GrpoTrainer(
        grpo.find_rewards(job.stage, job), rows, pupil, grpo.config_of(job.stage, job, pupil), watch=MetricGuards(told.append)
    )
    trainer.train()
    assert sizes == [16, 8, *[4] * 8]
    assert told[:2] == [
        "16 completions at once do not fit into memory; now 8 are made at a time",
        "16 completions at once do not fit into memory; now 4 are made at a time",
    ]
    assert len([row for row in trainer.state.log_history if "reward" in row]) == 2


def test_every_form_of_the_loss_learns_something_also_where_groups_are_drawn_again(tmp_path: Path, model: Path, dataset: Path) -> None:
    forms = [*get_args(Grpo.model_fields["loss_type"].annotation)]
    assert len(forms) == 8
    for number, form in enumerate(forms):
        scale = ("group", "batch", "none")[number % 3]
        stage = {"steps": 1, "beta": 0.1, "loss_type": form, "scale_rewards": scale, "resample": number % 2 * 3}
        rows = run(work(tmp_path / form, model, dataset, {**stage, "temperature": 1.5, "learning_rate": 1e-3, "rewards": REWARDS}))
        assert all(math.isfinite(row["loss"]) and row["grad_norm"] > 0 for row in rows), form


def test_a_rehearsal_takes_two_groups_at_least(tmp_path: Path, model: Path, dataset: Path) -> None:
    for batch, group, passes in ((8, 8, 2), (16, 4, 1), (6, 4, 2)):
        job = work(tmp_path / "stage", model, dataset, {"rewards": REWARDS, "batch": batch, "group": group, "accumulate": 4}, smoke=True)
        assert isinstance(job.stage, Grpo)
        config = grpo.config_of(job.stage, job, loaded_student.load_pupil(job.plan.student, model))
        assert (config.steps_per_generation, config.gradient_accumulation_steps) == (passes, passes)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_step_is_the_sum_over_the_tokens_that_fill_the_budget_divided_by_it(tmp_path: Path, model: Path, dataset: Path) -> None:
    """In two forward passes, after which a step has the loss of one."""
    seen: list[tuple[float, float, Any]] = []

    class Seen(GrpoTrainer):
        def _compute_loss(self, model: Any, inputs: Any) -> Any:
            loss = super()._compute_loss(model, inputs)
            mask_BT, advantage_B = inputs["completion_mask"], inputs["advantages"]
            ours = -(advantage_B.unsqueeze(1) * mask_BT).sum().item() / BUDGET  # at a ratio of 1
            seen.append((loss.item(), ours, mask_BT.sum(1).tolist()))
            return loss

    job = work(tmp_path / "stage", model, dataset, {"steps": 1, "accumulate": 2, "rewards": REWARDS, "token_budget": BUDGET})
    assert isinstance(job.stage, Grpo)
    pupil = loaded_student.load_pupil(job.plan.student, model)
    rows = job.lessons().dataset(["id", "prompt", "images", "answer"])
    trainer = Seen(
        grpo.find_rewards(job.stage, job),
        rows,
        pupil,
        grpo.config_of(job.stage, job, pupil),
        watch=MetricGuards(print),
        token_budget=BUDGET,
    )
    trainer.train()
    assert len(seen) == 2
    assert [theirs for theirs, _, _ in seen] == pytest.approx([ours for _, ours, _ in seen], abs=1e-5)
    lengths = [length for _, _, own in seen for length in own]
    taken = [length for length in lengths if length]
    assert BUDGET <= sum(taken) < BUDGET + max(taken)
    assert 0 < len(taken) < len(lengths)
    (row,) = (row for row in trainer.state.log_history if "budget/taken" in row)
    assert row["budget/taken"] == pytest.approx(len(taken) / len(lengths))
    assert row["budget/filled"] == pytest.approx(sum(taken) / BUDGET)
    assert row["loss"] == pytest.approx(sum(loss for loss, _, _ in seen), abs=1e-4)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_under_gspo_the_ratio_that_is_clipped_and_logged_is_that_of_a_completion(tmp_path: Path, model: Path, dataset: Path) -> None:
    ratios: list[float] = []

    class Seen(GrpoTrainer):
        def _compute_loss(self, model: Any, inputs: Any) -> Any:
            loss = super()._compute_loss(model, inputs)
            assert self._logps_BT is not None
            for own, old, mask in zip(self._logps_BT, inputs["old_per_token_logps"], inputs["completion_mask"], strict=True):
                ratios.append(math.exp(sum((own - old)[mask.bool()].tolist()) / int(mask.sum())))
            return loss

    job = work(tmp_path / "stage", model, dataset, {"steps": 4, "learning_rate": 5e-4, "rewards": REWARDS, "variant": "gspo"})
    assert isinstance(job.stage, Grpo)
    pupil = loaded_student.load_pupil(job.plan.student, model)
    rows = job.lessons().dataset(["id", "prompt", "images", "answer"])
    trainer = Seen(grpo.find_rewards(job.stage, job), rows, pupil, grpo.config_of(job.stage, job, pupil), watch=MetricGuards(print))
    trainer.train()
    assert len(ratios) == 4 * 8
    assert trainer.furthest == pytest.approx((min(ratios), max(ratios)), abs=1e-5)
    logged = [row for row in trainer.state.log_history if "ratio/min" in row]
    assert logged[0]["ratio/min"] == pytest.approx(1, abs=1e-4)
    assert max(row["clip_ratio/region_mean"] for row in logged) > 0


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_loss_is_the_objective_of_the_equation(tmp_path: Path, model: Path, dataset: Path) -> None:
    seen: list[tuple[float, float, int]] = []

    class Seen(GrpoTrainer):
        def _compute_loss(self, model: Any, inputs: Any) -> Any:
            loss = super()._compute_loss(model, inputs)
            assert self._logps_BT is not None
            ratio_BT = (self._logps_BT - inputs["old_per_token_logps"]).exp()
            mask_BT, advantage_B = inputs["completion_mask"], inputs["advantages"]
            mine_BT = objective(ratio_BT, advantage_B, low=0.02, high=0.01)
            clipped = sum(int((side & mask_BT.bool()).sum()) for side in acted(ratio_BT, advantage_B, low=0.02, high=0.01))
            seen.append((loss.item(), -((mine_BT * mask_BT).sum(-1) / mask_BT.sum(-1)).mean().item(), clipped))
            return loss

    stage = {
        "steps": 3, "updates_per_rollout": 3, "clip": {"low": 0.02, "high": 0.01}, "learning_rate": 5e-3,
        "rewards": REWARDS, "trl": {"loss_type": "grpo"},
    }  # fmt: skip
    job = work(tmp_path / "stage", model, dataset, stage)
    assert isinstance(job.stage, Grpo)
    pupil = loaded_student.load_pupil(job.plan.student, model)
    config = grpo.config_of(job.stage, job, pupil)
    rows = job.lessons().dataset(["id", "prompt", "images", "answer"])
    Seen(grpo.find_rewards(job.stage, job), rows, pupil, config, watch=MetricGuards(print)).train()
    for theirs, ours, _ in seen:
        assert theirs == pytest.approx(ours, abs=1e-5)
    assert seen[0][2] == 0
    assert sum(clipped for _, _, clipped in seen) > 0


def test_rows_with_options_of_their_own_are_rewarded(tmp_path: Path, model: Path, dataset: Path) -> None:
    """The task knows no labels: without the column no answer would be an option, and no lesson worth a reward."""
    job = work(tmp_path / "stage", model, dataset, {"steps": 2, "rewards": REWARDS}, task=Task(kind="classify"))
    rows = run(job)
    kept = [row for file in sorted((job.out / "completions").glob("*.parquet")) for row in pq.read_table(file).to_pylist()]
    right = [row for row in kept if row["said"] == squares.said(row["truth"])]
    assert len(rows) == 2
    assert right
    assert all((row["correct"], row["fault"]) == (1, "") for row in right)


def test_a_raw_source_with_options_of_its_own_is_rewarded(tmp_path: Path, model: Path, dataset: Path) -> None:
    store = PictureStore(tmp_path / "run", Images())
    samples = []
    for number, colour in enumerate(squares.COLOURS):
        file = tmp_path / f"{colour}.png"
        file.write_bytes(squares.square(colour))
        pictures = (store.picture(FileRef(str(file), file.name)),)
        samples.append(Sample(f"s{number}", pictures, squares.QUESTION, (colour, "mauve"), colour))
    store.close()
    source = write_source(
        samples, tmp_path / "source.parquet", key="k", prompt=lambda sample: squares.PROMPT, completion="<answer>{}</answer>".format
    )
    stage = {"steps": 1, "data": "source", "rewards": [{"measure": "correct"}]}
    assert len(run(work(tmp_path / "stage", model, dataset, stage, task=Task(kind="classify"), source=lambda: source))) == 1


def test_a_dataset_without_question_and_options_trains_as_before(tmp_path: Path, model: Path, dataset: Path) -> None:
    (there,) = (dataset / "data").glob("*.parquet")
    old = tmp_path / "dataset" / "data" / there.name
    old.parent.mkdir(parents=True)
    pq.write_table(pq.read_table(there).drop_columns(["question", "options"]), old)
    new, same = (
        run(work(tmp_path / name, model, place, {"steps": 2, "rewards": REWARDS}))
        for name, place in (("new", dataset), ("old", old.parents[1]))
    )
    told = ("step", "loss", "reward", "accuracy")
    assert [{name: row[name] for name in told} for row in new] == [{name: row[name] for name in told} for row in same]


def test_tokens_of_pictures_are_never_said(model: Path, dataset: Path, tmp_path: Path) -> None:
    job = work(tmp_path / "stage", model, dataset, {"rewards": [{"measure": "correct"}]})
    assert isinstance(job.stage, Grpo)
    pupil = loaded_student.load_pupil(job.plan.student, model)
    muted = grpo.config_of(job.stage, job, pupil).generation_kwargs["suppress_tokens"]
    assert pupil.processor.tokenizer.convert_tokens_to_ids("<image>") in muted
    assert pupil.processor.tokenizer.eos_token_id not in muted
    assert pupil.processor.tokenizer.padding_side == "left"


def test_tags_stay_in_a_text_though_the_tokenizer_calls_them_special(model: Path, dataset: Path, tmp_path: Path) -> None:
    pupil = loaded_student.load_pupil(work(tmp_path / "s", model, dataset, {"rewards": [{"measure": "correct"}]}).plan.student, model)
    words = pupil.processor.tokenizer
    words.add_special_tokens({"extra_special_tokens": ["<think>", "</think>"]})
    tokens: Sequence[int] = words(squares.said("red"), add_special_tokens=False)["input_ids"]
    said = completion_decoder(pupil)
    assert said([*tokens, words.eos_token_id, words.pad_token_id]) == (squares.said("red"), "stop")
    assert said(tokens) == (squares.said("red"), "length")


@pytest.mark.parametrize(
    ("stage", "line"),
    [
        (
            {"rewards": [{"measure": "mentions_prompt"}]},
            r"'reason': rewards\[0\] mentions_prompt: gives the lessons themselves 0\.00",
        ),
        (
            {"batch": 6, "accumulate": 1, "rewards": [{"measure": "correct"}]},
            "batch x accumulate is 6 x 1 completions, which are no whole groups of 4",
        ),
        ({"rewards": [{"measure": "correct"}], "trl": {"betta": 1}}, "'reason': trl: GRPOConfig has no field 'betta'; did you mean 'beta'"),
        (
            {"rewards": [{"measure": "correct"}], "updates_per_rollout": 4, "trl": {"save_steps": 6}},
            "trl.save_steps: 6 ends within a rollout.*multiple of 4",
        ),
        (
            {"rewards": [{"measure": "correct"}], "clip": "cliplow-lower", "updates_per_rollout": 2, "trl": {"num_iterations": 1}},
            "the clip never act; leave num_iterations",
        ),
        ({"rewards": [{"measure": "correct"}], "max_completion": 5000}, "max_completion: the longest prompt has"),
    ],
)
def test_what_is_wrong_is_a_line_before_anything_is_trained(
    tmp_path: Path, model: Path, dataset: Path, stage: dict[str, Any], line: str
) -> None:
    with pytest.raises(PipelineError, match=line) as fault:
        run(work(tmp_path / "stage", model, dataset, stage))
    assert len(fault.value.faults) == 1


def test_a_picture_that_cannot_be_read_leaves_its_lesson_out(tmp_path: Path, model: Path) -> None:
    job = work(tmp_path / "stage", model, squares.write(tmp_path / "dataset", 8, broken=5), {"steps": 4, "rewards": REWARDS})
    assert len(run(job)) == 4
    listed = (job.out / "left-out.csv").read_text().splitlines()
    assert listed == ["id,reason", "row-5,the student's processor cannot take it: cannot identify image file"]


def test_a_prompt_that_the_processor_cannot_take_is_a_line(tmp_path: Path, model: Path, dataset: Path) -> None:
    job = work(tmp_path / "stage", model, dataset, {"steps": 1, "rewards": REWARDS})
    assert isinstance(job.stage, Grpo)
    pupil = loaded_student.load_pupil(job.plan.student, model)
    rows = (
        job.lessons().dataset(["id", "prompt", "images", "answer"]).map(lambda row: {"prompt": [{"role": "user", "content": "<image>?"}]})
    )
    trainer = GrpoTrainer(grpo.find_rewards(job.stage, job), rows, pupil, grpo.config_of(job.stage, job, pupil), watch=MetricGuards(print))
    with pytest.raises(PipelineError, match="step 0: the student's processor cannot take a prompt: "):
        trainer.train()


def test_parameters_that_are_no_numbers_end_the_stage(tmp_path: Path, model: Path, dataset: Path) -> None:
    stage = {"steps": 3, "learning_rate": 1e30, "rewards": REWARDS, "trl": {"max_grad_norm": 1e30}}
    with pytest.raises(PipelineError, match=r"step \d: .* no numbers? any more; lower learning_rate"):
        run(work(tmp_path / "stage", model, dataset, stage))
    assert not (tmp_path / "stage" / "weights").exists()


def test_smoke_takes_two_short_steps(tmp_path: Path, model: Path, dataset: Path) -> None:
    torch.manual_seed(0)
    job = work(tmp_path / "stage", model, dataset, {"steps": 500, "rewards": [{"measure": "correct"}]}, smoke=True)
    assert len(run(job)) == 2
    assert (job.weights / "config.json").is_file()


def test_adapters_are_trained_against_the_weights_before_and_merged(tmp_path: Path, model: Path, dataset: Path) -> None:
    job = work(tmp_path / "stage", model, dataset, {"steps": 3, "beta": 0.1, "learning_rate": 1e-2, "rewards": REWARDS})
    plan = job.plan.model_copy(update={"student": job.plan.student.model_copy(update={"lora": Lora(rank=4)})})
    rows = run(replace(job, plan=plan))
    assert rows[0]["kl"] == pytest.approx(0, abs=1e-4)
    assert rows[-1]["kl"] > 1e-4
    assert not list(job.weights.glob("adapter*"))
    assert loaded_student.weights_fingerprint(job.weights) != loaded_student.weights_fingerprint(model)
