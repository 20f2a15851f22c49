"""Stages of kind `grpo`: TRL's trainer with measures for rewards, a clip that can act, and guards that speak."""

import warnings
from dataclasses import replace
from itertools import islice
from typing import Any

import pyarrow.parquet as pq
from trl import GRPOConfig

from cotforge.errors import PipelineError
from cotforge.plan import SMOKE_TOKENS, Clip, Grpo
from cotforge.plan.kinds.grpo import UNCLIPPED, passes_of
from cotforge.train import guards, ranks
from cotforge.train.curriculum.of_stage import of_prompts
from cotforge.train.data.learnable import Learnable
from cotforge.train.data.leftout import leave_out
from cotforge.train.explained_errors import explain_pictures
from cotforge.train.fields import explain_fields, make_config
from cotforge.train.guards import MetricGuards
from cotforge.train.precheck import TRIED, try_rewards
from cotforge.train.rewards import Rewards, RolloutReward
from cotforge.train.rollouts import caption_reader as reader_reward
from cotforge.train.rollouts import rollout_engine
from cotforge.train.rollouts.rollout_prompts import RolloutPrompts
from cotforge.train.rollouts.trainer import Between, GrpoTrainer
from cotforge.train.stage_run import SAVED, StageRun, TrainingRun, drive_trainer, trainer_settings
from cotforge.train.students import loaded_student
from cotforge.train.students.reload import check_saved

RATE = 1e-6
"""Learning rate where the file gives none: that of the code of arXiv 2509.03321, and TRL's own."""
COLUMNS = ("id", "prompt", "images", "question", "options", "answer", "label", "confidence")
"""Of the lessons, where they have them; never the completion."""


def train(stage: Grpo, work: StageRun) -> None:
    """The student's weights after `stage.steps` updates on its own completions, in `work.weights`."""
    pupil = loaded_student.load_pupil(work.student, work.begin, seed=stage.seed, numbers=work.precision, attention=stage.attention)
    lessons = work.data()
    rewards = find_rewards(stage, work)
    config = config_of(stage, work, pupil)
    work.record.say(guards.frozen_line(pupil.model))
    rows = learned_rows(stage, work, pupil, config)
    watch = MetricGuards(work.record.say)
    sampler = of_prompts(stage, work, config, rows)
    by = stage.curriculum.by if stage.curriculum else "pass_rate"
    table = work.out / "completions"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TRL 1.16 asks transformers by a name that 5.23 calls old
        with explain_fields(stage), rollout_engine.explain_starting(stage.name, config, pupil):
            trainer = GrpoTrainer(
                rewards, rows, pupil, config, watch=watch, table=table, resample=stage.resample, token_budget=stage.token_budget,
                sampler=sampler, by=by,
            )  # fmt: skip
        drive_trainer(trainer, work, pupil, watch, last=Between(trainer.cycle))
    clip = stage.clip or Clip()
    clips = stage.clip is not None or (stage.updates_per_rollout > 1 and config.loss_type not in UNCLIPPED)
    if clips and not work.smoke:
        watch.over(low=clip.low, high=clip.high, live=trainer.clip_is_live, furthest=trainer.furthest)
    del trainer, watch, rewards
    check_saved(pupil, work, lessons)


def check(stage: Grpo, training: TrainingRun) -> None:
    """See that the server of a reader is there. Raises TeacherError."""
    ranks.from_first(lambda: reader_reward.demand_reader(stage))


def learned_rows(stage: Grpo, work: StageRun, pupil: loaded_student.Pupil, config: Any) -> Any:
    """The rows whose prompts the student can be asked. Raises PipelineError where a completion would not fit behind the longest one."""
    lessons = work.data()
    known = set(pq.read_schema(lessons.files[0]).names)
    rows = lessons.seen([name for name in COLUMNS if name in known])
    prompts = RolloutPrompts(Learnable.of(pupil, meant=work.prompts.student.text))
    left = leave_out(work, prompts.faults(lessons.rows(["id", "prompt", "images"])), "lessons")
    rows = rows if left is None else rows.select(left)
    with explain_pictures(stage.name):
        longest = ranks.from_first(lambda: prompts.longest(rows))
        fault, most = ranks.from_first(lambda: (prompts.mixed_fault(rows), prompts.most_pictures))
    if fault:
        raise PipelineError(f"stage {stage.name!r}: {fault}; leave such rows out of train.data")
    if config.use_vllm and most > 1 and (fault := rollout_engine.pairing_fault(pupil)):
        raise PipelineError(f"stage {stage.name!r}: rollouts: vllm: {fault}; set rollouts to transformers")
    guards.check_room(longest.found, config.max_completion_length, pupil.positions)
    rollout_engine.fit_vllm(config, stage, pupil, longest=longest.bound)
    if config.use_vllm and config.vllm_mode == "colocate" and pupil.spec.max_pixels is not None:
        ranks.from_first(lambda: rollout_engine.bound_copy(pupil, work.out / "vllm"))
        rollout_engine.read_from(pupil, work.out / "vllm")
    return rows


def config_of(stage: Grpo, work: StageRun, pupil: loaded_student.Pupil) -> Any:
    """TRL's configuration. Raises PipelineError where the numbers do not go together."""
    clip = stage.clip or Clip()
    cycle = stage.updates_per_rollout
    chosen = rollout_engine.choose_engine(
        stage, pupil, pictures=lambda: max(len(row["images"]) for row in islice(work.data().rows(["images"]), TRIED))
    )
    if chosen.line:
        work.record.say(chosen.line)
    ours: dict[str, Any] = {
        "num_generations": stage.group,
        "num_iterations": cycle,
        "steps_per_generation": stage.accumulate,
        "max_completion_length": min(stage.max_completion, SMOKE_TOKENS) if work.smoke else stage.max_completion,
        "temperature": stage.temperature,
        "beta": stage.beta or 0.0,
        "epsilon": clip.low,
        "epsilon_high": clip.high,
        "loss_type": stage.loss_type,
        "scale_rewards": stage.scale_rewards,
        "use_bias_correction_kl": stage.use_bias_correction_kl,
        "generation_kwargs": _mute_pictures(pupil, vllm=chosen.vllm),
        **chosen.fields,
        "log_completions": False,  # TRL prints them; `completions/` holds them
    }
    fields = ours | trainer_settings(work, stage, rate=RATE)
    if work.smoke:
        fields["gradient_accumulation_steps"] = fields["steps_per_generation"] = passes_of(2, stage.batch, stage.group)
    fields["save_steps"] = stage.trl.get("save_steps", -(-SAVED // cycle) * cycle)
    try:
        config = make_config(GRPOConfig, stage, fields)
    except ValueError as fault:
        if "divisible by num_generations" not in str(fault):
            raise
        raise PipelineError(
            f"stage {stage.name!r}: batch x accumulate is {stage.batch} x {stage.accumulate} completions, "
            f"which are no whole groups of {stage.group}; make it a multiple of {stage.group}"
        ) from fault
    if stage.resample and ranks.is_distributed() and stage.batch * stage.accumulate % stage.group:
        raise PipelineError(
            f"stage {stage.name!r}: resample: draws whole groups in each process, and batch x accumulate is {stage.batch} x "
            f"{stage.accumulate}; make it a multiple of {stage.group}"
        )
    try:
        guards.check_schedule(
            clipped=stage.clip is not None,
            accumulate=config.gradient_accumulation_steps,
            per_generation=config.steps_per_generation,
            iterations=config.num_iterations,
            save_steps=config.save_steps if config.save_strategy == "steps" else None,
        )
    except PipelineError as fault:
        raise PipelineError(*(f"stage {stage.name!r}: {line}" for line in fault.faults)) from fault
    return config


def find_rewards(stage: Grpo, work: StageRun) -> Rewards:
    """The rewards, found and tried on the first lessons, and that of a reader. Raises PipelineError."""
    rewards, reader = try_rewards(stage, work), stage.reader
    if reader is None:
        return rewards
    file = work.out / (reader_reward.FILE if ranks.is_first() else f"{ranks.process_number()}-{reader_reward.FILE}")
    weight = reader.weight / (reader.weight + sum(abs(reward.weight) for reward in stage.rewards))
    captions = reader_reward.CaptionReader(reader, work.task, cache=file, tell=work.record.say)
    return replace(rewards, rollout=RolloutReward("reader", weight, captions))


def _mute_pictures(pupil: loaded_student.Pupil, *, vllm: bool) -> dict[str, Any]:
    """Arguments that keep tokens of pictures and videos out of completions: there is no picture to go with them."""
    words, config = pupil.processor.tokenizer, pupil.model.config
    named = {getattr(config, f"{kind}_token_id", None) for kind in ("image", "video", "vision_start", "vision_end", "vision")}
    named |= {words.convert_tokens_to_ids(str(getattr(pupil.processor, name, None) or "")) for name in ("image_token", "video_token")}
    special = {token for token in words.all_special_tokens if any(word in token.lower() for word in ("image", "vision", "video"))}
    named |= set(words.convert_tokens_to_ids(sorted(special)))
    tokens = sorted(token for token in named if isinstance(token, int) and token != words.unk_token_id)
    if vllm:
        return {"logit_bias": dict.fromkeys(tokens, -100.0)}
    return {"suppress_tokens": tokens} if tokens else {}
