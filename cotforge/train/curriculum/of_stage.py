"""The sampler of a stage, made of its data and its trainer's configuration, as it was at the checkpoint to resume from."""

import math
from collections.abc import Sequence
from typing import Any

from cotforge.plan import Grpo, Sft
from cotforge.train import ranks
from cotforge.train.curriculum.samplers import InOrder, RowSampler
from cotforge.train.curriculum.saving import restore_sampler
from cotforge.train.curriculum.stage_order import RowFacts, StageSize, sampler_of
from cotforge.train.data.lessons import Lessons
from cotforge.train.stage_run import StageRun


def of_lessons(stage: Sft, work: StageRun, config: Any, lessons: Lessons, learned: Sequence[tuple[int, int]]) -> RowSampler | None:
    """What chooses among lessons, (row, tokens) of which are `learned`; None without a curriculum. Raises PipelineError."""
    if stage.curriculum is None:
        return None
    ids = [str(row["id"]) for row in lessons.rows(["id"])]
    lengths = [tokens for _, tokens in learned]
    facts = RowFacts.of([ids[row] for row, _ in learned], work.pass_rates(), lengths=lengths, alike=True)
    step = config.per_device_train_batch_size * config.gradient_accumulation_steps * ranks.process_count()
    reach = config.max_steps * step if config.max_steps > 0 else math.ceil(config.num_train_epochs * len(learned))
    sampler = sampler_of(stage, facts, StageSize(step, reach), work.record.say)
    if sampler is not None and not isinstance(sampler, InOrder):  # a loader finds its place in an order by itself
        restore_sampler(sampler, work.resume_from)
    return sampler


def of_prompts(stage: Grpo, work: StageRun, config: Any, rows: Any) -> RowSampler | None:
    """What chooses among prompts, `rows` of a `datasets.Dataset` with ids; None without a curriculum. Raises PipelineError."""
    if stage.curriculum is None:
        return None
    ids = [str(id) for id in rows.with_format(None).select_columns(["id"])["id"]]
    lengths = None
    if stage.data == "lessons":
        said = {str(row["id"]): len(row["completion"][-1]["content"]) for row in work.data().rows(["id", "completion"])}
        lengths = [said[id] for id in ids]
    prompts = config.generation_batch_size // config.num_generations
    cycle = max(1, config.steps_per_generation * config.num_iterations // config.gradient_accumulation_steps)
    reach = -(-config.max_steps // cycle) * prompts if config.max_steps > 0 else math.ceil(config.num_train_epochs * len(ids))
    sampler = sampler_of(stage, RowFacts.of(ids, work.pass_rates(), lengths=lengths), StageSize(prompts, reach), work.record.say)
    if sampler is not None:
        restore_sampler(sampler, work.resume_from)
    return sampler
