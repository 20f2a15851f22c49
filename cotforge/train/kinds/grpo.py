"""Stages of kind `grpo`: TRL's trainer with measures for rewards, a clip that can act, and guards that speak."""

import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from cotforge.errors import PipelineError
from cotforge.plan import Clip, Grpo
from cotforge.teachers.local.engine import TAGS
from cotforge.train import guards
from cotforge.train.data.learnable import Learnable
from cotforge.train.data.leftout import leave_out
from cotforge.train.data.lessons import Lessons
from cotforge.train.faults import pictures
from cotforge.train.guards import Watch
from cotforge.train.precheck import first_rows, tried
from cotforge.train.rewards import Decoder, Rewards
from cotforge.train.students import student
from cotforge.train.students.reload import check_saved
from cotforge.train.work import SAVED, Resuming, Work, configured, drive, settings

RATE = 1e-6
"""Learning rate where the file gives none: that of the code of arXiv 2509.03321, and TRL's own."""
COUNTED = 32
"""Prompts, the longest, whose tokens are counted."""
SMOKE = 16
"""Tokens of a completion, at most, when only the machinery is tried."""
ROLLOUTS, ROWS, LETTERS = 200, 64, 20_000
"""Of a stage, whose completions are kept; completions of each; letters of one, at most (ours): some megabytes, however long it goes on."""
COLUMNS = ("id", "prompt", "images", "question", "options", "answer", "label", "confidence")
"""Of the lessons, where they have them; never the completion."""


def train(stage: Grpo, work: Work) -> None:
    """The student's weights after `stage.steps` updates on its own completions, in `work.weights`."""
    pupil = student.load(work.plan.student, work.begin)
    lessons = work.data()
    rewards = found(stage, work)
    config = config_of(stage, work, pupil)
    work.record.say(guards.frozen(pupil.model))
    known = set(pq.read_schema(lessons.files[0]).names)
    rows = lessons.seen([name for name in COLUMNS if name in known])
    learnable = Learnable.of(pupil, meant=work.prompts.student.text)
    faults = ((str(row["id"]), learnable.prompt_fault(row)) for row in lessons.rows(["id", "prompt", "images"]))
    learned = leave_out(work, faults, "lessons")
    rows = rows if learned is None else rows.select(learned)
    with pictures(stage.name):
        guards.check_room(_longest_prompt(lessons, rows, learned, pupil.processor), config.max_completion_length, pupil.positions)
    if config.use_vllm and find_spec("vllm") is None:
        raise PipelineError(f"stage {stage.name!r}: trl.use_vllm: needs vllm, also to talk to its server; pip install 'trl[vllm]'")
    watch = Watch(work.record.say)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TRL 1.16 asks transformers by a name that 5.23 calls old
        try:
            trainer = Trainer(rewards, rows, pupil, config, watch=watch, table=work.out / "completions")
        except ConnectionError as fault:
            server = config.vllm_server_base_url or f"http://{config.vllm_server_host}:{config.vllm_server_port}"
            raise PipelineError(
                f"stage {stage.name!r}: trl.use_vllm: nobody answers at {server}; start trl vllm-serve --model {work.begin} there"
            ) from fault
        drive(trainer, work, pupil, watch, last=Between(trainer.cycle))
    clip = stage.clip or Clip()
    if (stage.clip is not None or stage.updates_per_rollout > 1) and not work.smoke:
        watch.over(low=clip.low, high=clip.high, live=trainer.clip_is_live, furthest=trainer.furthest)
    check_saved(pupil, work, lessons)


def config_of(stage: Grpo, work: Work, pupil: student.Pupil) -> Any:
    """TRL's configuration. Raises PipelineError where the numbers do not go together."""
    clip = stage.clip or Clip()
    cycle = stage.updates_per_rollout
    ours: dict[str, Any] = {
        "num_generations": stage.group,
        "num_iterations": cycle,
        "steps_per_generation": stage.accumulate,
        "max_completion_length": min(stage.max_completion, SMOKE) if work.smoke else stage.max_completion,
        "temperature": stage.temperature,
        "beta": stage.beta or 0.0,
        "epsilon": clip.low,
        "epsilon_high": clip.high,
        "generation_kwargs": _mute(pupil, vllm=bool(stage.trl.get("use_vllm"))),
        "log_completions": False,  # TRL prints them; `completions/` holds them
    }
    fields = ours | settings(work, stage, rate=RATE)
    fields["save_steps"] = stage.trl.get("save_steps", -(-SAVED // cycle) * cycle)
    try:
        config = configured(GRPOConfig, stage, fields)
    except ValueError as fault:
        if "divisible by num_generations" not in str(fault):
            raise
        raise PipelineError(
            f"stage {stage.name!r}: batch x accumulate is {stage.batch} x {stage.accumulate} completions, "
            f"which are no whole groups of {stage.group}; make it a multiple of {stage.group}"
        ) from fault
    try:
        guards.check_engine(str(pupil.model.config.model_type), vllm=config.use_vllm)
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


def decoder(pupil: student.Pupil) -> Decoder:
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


class Trainer(Resuming, GRPOTrainer):  # type: ignore[misc]
    """TRL's, which also logs how far the ratio goes, and keeps every completion with what became of it."""

    def __init__(self, rewards: Rewards, rows: Any, pupil: student.Pupil, config: Any, *, watch: Watch, table: Path | None = None) -> None:
        self.furthest: tuple[float, float] | None = None
        """The smallest and largest ratio of a token; None while there was none to tell."""
        self._table = table
        self._logps_BT: torch.Tensor | None = None
        config.reward_weights = list(rewards.weights)
        super().__init__(
            model=pupil.model,
            reward_funcs=rewards.functions(decoder(pupil)),
            args=config,
            train_dataset=rows,
            processing_class=pupil.processor,
            callbacks=[Completions(table)] if table else [],
        )
        watch.show = self._shown

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

    def _get_per_token_logps_and_entropies(self, *given: Any, **named: Any) -> Any:
        found = super()._get_per_token_logps_and_entropies(*given, **named)
        self._logps_BT = found[0].detach()
        return found

    def _compute_loss(self, model: Any, inputs: Mapping[str, Any]) -> Any:
        """TRL's loss; of the ratio it is made of, the ends are logged."""
        loss = super()._compute_loss(model, inputs)
        old_BT = inputs.get("old_per_token_logps")
        if old_BT is not None and self._logps_BT is not None and self.model.training:
            ratio_N = (self._logps_BT - old_BT).exp()[inputs["completion_mask"].bool()]
            least, most = ratio_N.min().item(), ratio_N.max().item()
            self._metrics["train"]["ratio/min"].append(least)
            self._metrics["train"]["ratio/max"].append(most)
            before = self.furthest or (1.0, 1.0)
            self.furthest = min(before[0], least), max(before[1], most)
        return loss

    def _tokenize_prompts(self, prompts: Any) -> Any:
        try:
            return super()._tokenize_prompts(prompts)
        except (ValueError, TypeError, IndexError) as fault:
            said = (str(fault).strip().splitlines() or [type(fault).__name__])[-1][:200]
            raise PipelineError(f"step {self.state.global_step}: the student's processor cannot take a prompt: {said}") from fault

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        try:
            found = super()._generate_and_score_completions(inputs)
        except RuntimeError as fault:
            if "probability tensor contains" not in str(fault):
                raise
            raise PipelineError(f"step {self.state.global_step}: its probabilities are no numbers any more; {guards.CALMER}") from fault
        if self._table is not None and self.model.training and self.accelerator.is_main_process:
            self._keep(self._table)
        return found

    def _keep(self, folder: Path) -> None:
        """The rollout as a file of `completions/`: `step`, the columns that rewards log, each reward, and the advantage."""
        step, count = self.state.global_step, self.args.generation_batch_size
        if not is_kept(step // self.cycle, of=-(-self.state.max_steps // self.cycle)):
            return
        columns = {**self._logs["extra"], **self._logs["rewards"], "advantage": self._logs["advantages"]}
        most = kept_rows(count, group=self.num_generations)
        kept = {name: list(values)[-count:][:most] for name, values in columns.items()}
        kept["said"] = [text[:LETTERS] for text in kept["said"]]
        folder.mkdir(parents=True, exist_ok=True)
        passing = folder / ".new"
        pq.write_table(pa.table({"step": [step] * len(kept["advantage"]), **kept}), passing, compression="zstd")
        passing.replace(folder / f"{step:06}.parquet")

    def _shown(self) -> str:
        """The last completion, for the case that nothing is ever rewarded."""
        said = self._logs["extra"].get("said") or [""]
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


def found(stage: Grpo, work: Work) -> Rewards:
    """The rewards, found and tried on the first lessons. Raises PipelineError."""
    return tried(stage, first_rows(work.data()), task=work.task, root=work.root)


def _mute(pupil: student.Pupil, *, vllm: bool) -> dict[str, Any]:
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


def _longest_prompt(lessons: Lessons, rows: Any, learned: Sequence[int] | None, processor: Any) -> int:
    """Tokens of the longest of the prompts with the most letters, pictures included; `rows` are those that are `learned` of the lessons."""
    letters = [len(row["prompt"][-1]["content"]) for row in lessons.rows(["prompt"])]
    letters = letters if learned is None else [letters[row] for row in learned]
    places = sorted(range(len(letters)), key=letters.__getitem__, reverse=True)[:COUNTED]
    longest = 0
    for row in rows.select(places):
        content = [*({"type": "image", "image": image} for image in row["images"]), {"type": "text", "text": row["prompt"][-1]["content"]}]
        asked = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=True, return_dict=True
        )
        ids = asked["input_ids"]
        longest = max(longest, len(ids[0]) if isinstance(ids[0], list) else len(ids))
    return longest
