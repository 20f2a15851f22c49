"""TRL's GRPO trainer with our rollouts: drawn again where they teach nothing, looked at, and kept with what became of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers import TrainerCallback
from trl import GRPOTrainer

from cotforge.atomic import replace_file
from cotforge.errors import PipelineError
from cotforge.plan.curriculum import By
from cotforge.teachers.local.engine import TAGS
from cotforge.train import guards
from cotforge.train.curriculum.feedback import of_prompts
from cotforge.train.curriculum.samplers import RowSampler
from cotforge.train.curriculum.saving import Saving
from cotforge.train.family_inputs import type_of_completions
from cotforge.train.guards import MetricGuards
from cotforge.train.rewards import Decoder, Rewards
from cotforge.train.rollouts.resample import flat_groups, other_rows, refill_groups
from cotforge.train.rollouts.rollout_engine import masked_share
from cotforge.train.rollouts.token_budget import fill_budget
from cotforge.train.students.loaded_student import Pupil
from cotforge.train.trl_seam import GrpoHooks, Sampled

ROLLOUTS, ROWS, LETTERS = 200, 64, 20_000
"""Of a stage, whose completions are kept; completions of each; letters of one, at most: some megabytes, however long it goes on."""


def completion_decoder(pupil: Pupil) -> Decoder:
    """Tokens of a completion to its text, up to its end, and its finish_reason; tags stay, though a tokenizer may call them special."""
    words = pupil.processor.tokenizer
    ends = pupil.ends
    mute = {*words.all_special_ids} - {*words.convert_tokens_to_ids(list(TAGS))}

    def said(tokens: Sequence[int]) -> tuple[str, str]:
        end = next((place for place, token in enumerate(tokens) if token in ends), None)
        spoken = [int(token) for token in tokens[:end] if token not in mute]
        text: str = words.decode(spoken, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text, "length" if end is None else "stop"

    return said


class GrpoTrainer(GrpoHooks, GRPOTrainer):  # type: ignore[misc]
    """TRL's, which also logs how far the ratio goes, and keeps every completion with what became of it."""

    def __init__(
        self,
        rewards: Rewards,
        rows: Any,
        pupil: Pupil,
        config: Any,
        *,
        watch: MetricGuards,
        table: Path | None = None,
        resample: int = 0,
        token_budget: int | None = None,
        sampler: RowSampler | None = None,
        by: By = "pass_rate",
    ) -> None:
        """`sampler` chooses the prompts of each rollout, and is told what came of them, by `by`."""
        self.furthest: tuple[float, float] | None = None
        """The smallest and largest ratio of a token; None while there was none to tell."""
        self._table, self._resample, self._budget, self._tell = table, resample, token_budget, watch.tell
        self._sampler, self._by, self.chooses_rows = sampler, by, sampler is not None
        self.said_type = type_of_completions(pupil.processor)
        config.reward_weights = rewards.all_weights
        super().__init__(
            model=pupil.model,
            reward_funcs=rewards.functions(completion_decoder(pupil)),
            args=config,
            train_dataset=rows,
            processing_class=pupil.processor,
            callbacks=[*([Completions(table)] if table else []), *([Saving(sampler)] if sampler is not None else [])],
        )
        watch.show = self._shown
        if self.use_vllm:
            self.check_vllm()

    @property
    def cycle(self) -> int:
        """Optimizer steps from one rollout to the next."""
        micro: int = self.args.steps_per_generation * self.num_iterations
        return max(1, micro // int(self.args.gradient_accumulation_steps))

    @property
    def clip_is_live(self) -> bool:
        return guards.clip_is_live(
            accumulate=self.args.gradient_accumulation_steps,
            per_generation=self.args.steps_per_generation,
            iterations=self.num_iterations,
        )

    def after_loss(self, inputs: Mapping[str, Any], logps_BT: torch.Tensor) -> None:
        """Log the ends of the ratio; there is none where every completion of a micro-batch is masked."""
        if (old_BT := inputs.get("old_per_token_logps")) is None:
            return
        mask_BT, log_ratio_BT = inputs["completion_mask"].bool(), logps_BT - old_BT
        if self.importance_sampling_level == "sequence":  # the one that is clipped: of a completion, not of a token
            some_B = mask_BT.any(dim=1)
            ratio_N = ((log_ratio_BT * mask_BT).sum(dim=1)[some_B] / mask_BT.sum(dim=1)[some_B]).exp()
        else:
            ratio_N = log_ratio_BT[mask_BT].exp()
        if not ratio_N.numel():
            return
        least, most = ratio_N.min().item(), ratio_N.max().item()
        self.note("ratio/min", least)
        self.note("ratio/max", most)
        before = self.furthest or (1.0, 1.0)
        self.furthest = min(before[0], least), max(before[1], most)

    def fewer(self, size: int, count: int) -> None:
        """Told once each time: the rollout takes longer."""
        self._tell(f"{count:,} completions at once do not fit into memory; now {size:,} are made at a time")

    def tokenize(self, prompts: Any) -> Any:
        """TRL's; what the processor cannot take is a line."""
        try:
            return super().tokenize(prompts)
        except (ValueError, TypeError, IndexError) as fault:
            told = (str(fault).strip().splitlines() or [type(fault).__name__])[-1][:200]
            raise PipelineError(f"step {self.state.global_step}: the student's processor cannot take a prompt: {told}") from fault

    def rollout(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """TRL's, of groups that teach something, kept in the table of completions."""
        sampler = self._sampler if self.model.training else None
        try:
            if sampler is not None:
                rows = self._chosen(sampler, len(rows))
            elif self._resample and self.model.training:
                rows = self._drawn_again(list(rows))
            made = super().rollout(rows)
        except RuntimeError as fault:
            if "probability tensor contains" not in str(fault):
                raise
            raise PipelineError(f"step {self.state.global_step}: its probabilities are no numbers any more; {guards.CALMER}") from fault
        if sampler is not None:
            self._tell_sampler(sampler)
        if (ratio := made.get("importance_sampling_ratio")) is not None and self.model.training:
            share = masked_share(ratio, made["completion_mask"])
            self.note(guards.MASKED, self.accelerator.gather(share).mean().item())
        if self._table is not None and self.model.training and self.accelerator.is_main_process:
            self._keep(self._table)
        return made if self._budget is None or not self.model.training else self._within_budget(made, self._budget)

    def _within_budget(self, made: dict[str, Any], budget: int) -> dict[str, Any]:
        """A rollout whose completions beyond the budget are not learned from; advantages are those among all of them."""
        found = fill_budget(made, budget, gather=self.accelerator.gather, process=self.accelerator.process_index)
        self.note(guards.FILLED, found.filled)
        self.note(guards.TAKEN, found.taken)
        return found.rollout

    def _chosen(self, sampler: RowSampler, count: int) -> list[dict[str, Any]]:
        """So many rows of this process, of the prompts that the curriculum chooses for all processes."""
        group = self.num_generations
        prompts = sampler.draw(self.args.generation_batch_size // group)
        first = self.accelerator.process_index * count
        own = [prompts[place // group] for place in range(first, first + count)]
        known = {row: self.train_dataset[row] for row in dict.fromkeys(own)}
        return [known[row] for row in own]

    def _tell_sampler(self, sampler: RowSampler) -> None:
        """What came of the prompts of the newest rollout, over all processes."""
        columns, count = self.rollout_columns(), self.args.generation_batch_size
        newest = {name: list(values)[-count:] for name, values in columns.items()}
        rewards = [newest[name] for name in self.reward_func_names]
        sampler.see(of_prompts(self._by, newest, rewards, self.reward_weights.tolist(), group=self.num_generations))
        for name, value in sampler.metrics().items():
            self.note(name, value)

    def _drawn_again(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows of a rollout, whose completions are made and wait. Rows of groups without variance are replaced by others."""
        group, others = self.num_generations, self._others()
        sampled, flat = self._sample(rows)
        share, drawn = self._mean(flat), 0
        for _ in range(self._resample):
            if not (most := self._most(len(flat))):
                break
            drawn += len(flat)
            fresh = [row for row in (self.train_dataset[next(others)] for _ in range(most)) for _ in range(group)]
            with self.unlogged():
                again, still = self._sample(fresh)
            moved = refill_groups(flat, [place not in still for place in range(most)])
            pairs = [(to * group + at, of * group + at) for to, of in moved for at in range(group)]
            sampled = sampled.replaced(again, pairs)
            for to, of in pairs:
                rows[to] = fresh[of]
            flat = [place for place in flat if place not in dict(moved)]
        self.use(sampled)
        self.note(guards.FLAT, share)
        self.note(guards.AGAIN, self._mean([0] * drawn))
        return rows

    def _sample(self, rows: Sequence[Mapping[str, Any]]) -> tuple[Sampled, list[int]]:
        """Completions of rows, and which of their groups have no variance; whole groups, of this process alone."""
        sampled, rewards_NF = self.sample(rows)
        summed = self.multi_objective_aggregation == "sum_then_normalize"
        flat_G = flat_groups(rewards_NF, self.reward_weights.to(rewards_NF.device), self.num_generations, summed=summed)
        return sampled, flat_G.nonzero().flatten().tolist()

    def _others(self) -> Any:
        processes, process = self.accelerator.num_processes, self.accelerator.process_index
        return other_rows(len(self.train_dataset), seed=self.args.seed, step=self.state.global_step, process=process, processes=processes)

    def _most(self, count: int) -> int:
        """The largest of the processes' counts: all of them have to make as many."""
        counts = self.accelerator.gather(torch.tensor([count], device=self.accelerator.device))
        return int(counts.max().item())

    def _mean(self, groups: Sequence[int]) -> float:
        """So many groups as a share of a rollout's, over all processes."""
        whole: int = self.args.generation_batch_size // self.num_generations
        counts = self.accelerator.gather(torch.tensor([len(groups)], device=self.accelerator.device))
        return int(counts.sum().item()) / whole

    def _keep(self, folder: Path) -> None:
        """The rollout as a file of `completions/`: `step`, the columns that rewards log, each reward, and the advantage."""
        step, count = self.state.global_step, self.args.generation_batch_size
        if not is_kept(step // self.cycle, of=-(-self.state.max_steps // self.cycle)):
            return
        most = kept_rows(count, group=self.num_generations)
        kept = {name: list(values)[-count:][:most] for name, values in self.rollout_columns().items()}
        kept["said"] = [text[:LETTERS] for text in kept["said"]]
        folder.mkdir(parents=True, exist_ok=True)
        with replace_file(folder / f"{step:06}.parquet") as passing:
            pq.write_table(pa.table({"step": [step] * len(kept["advantage"]), **kept}), passing, compression="zstd")

    def _shown(self) -> str:
        """The last completion, for the case that nothing is ever rewarded."""
        said = self.rollout_columns().get("said") or [""]
        return repr(" ".join(str(said[-1]).split())[:200])


def is_kept(rollout: int, *, of: int) -> bool:
    """Whether the completions of a rollout, counted from 0, are kept: evenly many, the first and the last among them."""
    return rollout % -(-of // ROLLOUTS) == 0 or rollout == of - 1


def kept_rows(count: int, *, group: int) -> int:
    """How many of a rollout's completions are kept: whole groups."""
    return min(count, max(1, ROWS // group) * group)


class Completions(TrainerCallback):  # type: ignore[misc]
    """Removes the completions of later steps, which an interrupted run has left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The step to go on from is known."""
        for file in sorted(self.folder.glob("*.parquet")):
            if int(file.stem) >= state.global_step:
                file.unlink()


class Between(TrainerCallback):  # type: ignore[misc]
    """Puts an end that was asked for off until the rollout is used up: TRL does not keep it, so a run resumed amid it would differ."""

    def __init__(self, cycle: int) -> None:
        self.cycle = cycle

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """After whoever asked."""
        if control.should_training_stop and state.global_step < state.max_steps and state.global_step % self.cycle:
            control.should_save = control.should_training_stop = False
