"""Everything that cotforge overrides or reads of TRL, transformers and accelerate beneath their documented interface.

Nothing here is promised from one release to the next. So each name has a test (`tests/test_trl_seam.py`), no other module of `train` but
`vllm_seam` uses one, and `pyproject.toml` bounds the releases (`cotforge.train.versions`). What is said of them holds for TRL 1.16 and
transformers 5.23.
"""

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from peft import PeftModel
from transformers import AutoModelForImageTextToText
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK
from trl import GRPOTrainer
from trl.data_utils import apply_chat_template, prepare_multimodal_messages

from cotforge.errors import PipelineError
from cotforge.train import family_inputs
from cotforge.train.curriculum.orders import FirstRow
from cotforge.train.students.padding import needs_mask, without_mask
from cotforge.train.students.student_folder import SAFE_WEIGHTS
from cotforge.train.vllm_seam import named_as_saved, placed_alike, short_prompts, tokens_named

GRPO_TAKES = frozenset(inspect.signature(GRPOTrainer._get_per_token_logps_and_entropies).parameters)
"""What TRL's GRPO hands on of what a processor makes, by name."""

__all__ = ["INTEGRATION_TO_CALLBACK", "apply_chat_template", "prepare_multimodal_messages"]


def is_sharded(trainer: Any) -> bool:
    """Whether each process holds a part of the student alone (FSDP)."""
    return bool(getattr(trainer, "is_fsdp_enabled", False))


def load_weights(trainer: Any, checkpoint: str) -> None:
    """Give a trainer's student the weights of a checkpoint, and nothing else of it."""
    trainer._load_from_checkpoint(checkpoint)


class Resuming:
    """Goes before a trainer of TRL's: what all stages need to resume exactly."""

    model: Any
    state: Any
    _total_train_tokens: int
    """Tokens that SFT and DPO have seen; they count from 0 again after a checkpoint."""
    _metrics: dict[str, dict[str, list[float]]]
    """What is logged of the steps since the last log, by `train` and `eval`, then by name."""

    def note(self, name: str, value: float) -> None:
        """Add a value to a metric of this step; its mean is logged."""
        self._metrics["train"][name].append(value)

    def _load_from_checkpoint(self, checkpoint: str, model: Any = None) -> None:
        """The weights of a checkpoint, all of them, under the names that they have in memory.

        transformers 5.23 loads a checkpoint by the names in its file and lets those pass that it does not know; a LLaVA's are all
        other than in memory, so that it would resume from its first weights without a word.
        """
        model = model or self.model
        if isinstance(model, PeftModel) or is_sharded(self):
            super()._load_from_checkpoint(checkpoint, model)  # type: ignore[misc]
            return
        kinds = {weight.dtype for weight in model.parameters()}  # of float32 and bfloat16, float32 holds both
        kind = torch.float32 if len(kinds) > 1 else model.dtype
        again = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=kind, **SAFE_WEIGHTS)
        model.load_state_dict(again.state_dict())

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Called once a checkpoint's step is known: tokens are counted on from there."""
        super()._load_rng_state(checkpoint)  # type: ignore[misc]
        if checkpoint is not None and getattr(self, "_total_train_tokens", None) == 0:
            counted = [row["num_tokens"] for row in self.state.log_history if "num_tokens" in row]
            self._total_train_tokens = int(counted[-1]) if counted else 0

    rate_of: Callable[[str], float] | None = None
    """The learning rate of a weight by its name; None where all have the same."""
    begun = 0
    """The step that it began with, which is not 0 after a checkpoint."""

    def create_optimizer(self, *given: Any, **named: Any) -> Any:
        """TRL's, with groups of weights of one learning rate; their order follows from the model alone, so that a checkpoint fits."""
        self.begun = self.state.global_step
        optimizer = super().create_optimizer(*given, **named)  # type: ignore[misc]
        if self.rate_of is not None:
            model = next(iter(given), named.get("model")) or self.model
            rates = {id(weight): self.rate_of(name) for name, weight in model.named_parameters()}
            optimizer.param_groups[:] = [part for group in optimizer.param_groups for part in by_rate(group, rates)]
        return optimizer

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """The student's card is written at the end, by us; TRL would write one into every checkpoint."""


def by_rate(group: Mapping[str, Any], rates: Mapping[int, float]) -> Iterator[dict[str, Any]]:
    """A group of an optimizer's parameters as groups of one learning rate each, by the parameters' `id`."""
    found: dict[float, list[Any]] = {}
    for weight in group["params"]:
        found.setdefault(rates[id(weight)], []).append(weight)
    for rate, weights in found.items():
        yield {**group, "params": weights, "lr": rate}


class SftHooks(Resuming):
    """Goes before TRL's SFTTrainer: its order of rows can be replaced, and attention masks that change nothing are left out."""

    accelerator: Any
    args: Any
    _train_batch_size: int
    """Rows of one process in a forward pass."""
    masked: bool | None = None
    """Whether the student gets its attention masks; None before that was tried."""
    wants_losses: bool = False
    """Ours: whether `after_losses` is called."""

    def order(self, rows_per_batch: int) -> Any:
        """A sampler of rows, `rows_per_batch` of which make one forward pass over all processes; None takes transformers' own."""
        return None

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        ours = self.order(self._train_batch_size * self.accelerator.num_processes)
        return super()._get_train_sampler(train_dataset) if ours is None else ours  # type: ignore[misc]

    def training_step(self, *given: Any, **named: Any) -> Any:
        """TRL's, and then, in the last forward pass of an optimizer step, what is to be done with the gradient."""
        loss = super().training_step(*given, **named)  # type: ignore[misc]
        if self.accelerator.sync_gradients:
            for name, value in self.after_backward().items():
                self.note(name, value)
        return loss

    def after_backward(self) -> Mapping[str, float]:
        """Called once in each optimizer step, with the gradient of all its passes and processes, before it is clipped; gives metrics."""
        return {}

    def chosen(self, batches: int, size: int) -> Iterator[dict[str, Any]] | None:
        """So many batches of `size` rows of this process in place of the loader's, for one optimizer step; None leaves it those."""
        return None

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> Any:
        """transformers', which takes the batches of an optimizer step from the loader."""
        if (ours := self.chosen(num_batches, self._train_batch_size)) is not None:
            epoch_iterator = (batch for _, batch in zip(epoch_iterator, ours, strict=False))
        return super().get_batch_samples(epoch_iterator, num_batches, device)  # type: ignore[misc]

    def after_losses(self, losses_B: torch.Tensor) -> None:
        """Called with the mean loss of each row's learned tokens, after a forward pass of the training; where `wants_losses`."""

    def trial(self) -> dict[str, Any] | None:
        """A small batch with padding, by which it is tried if masks are needed; None where they are to stay."""
        return None

    def compute_loss(self, model: Any, inputs: dict[str, Any], *given: Any, **named: Any) -> Any:
        """TRL's, which counts tokens by the mask, of a student that does not get to see it."""
        if self.masked is None:
            self.masked = self.has_masks(model)
        with ExitStack() as hooks:
            if not self.masked:
                hooks.enter_context(self.model.register_forward_pre_hook(without_mask, with_kwargs=True))
            if self.wants_losses and self.model.training:
                hooks.enter_context(self.model.register_forward_hook(self._row_losses))
            return super().compute_loss(model, inputs, *given, **named)  # type: ignore[misc]

    def _row_losses(self, model: Any, given: Any, found: Any) -> None:
        """Of TRL's fused head, which gives log-probabilities that are 0 where nothing is learned."""
        with torch.no_grad():
            learned_B = found.label_mask.sum(dim=1).clamp(min=1)
            self.after_losses(-found.log_probs.detach().float().sum(dim=1) / learned_B)

    def has_masks(self, model: Any) -> bool:
        """Whether the student has to get them: tried, where its attention is PyTorch's own."""
        plain = getattr(self.model.config, "_attn_implementation", None) == "sdpa" and not self.args.torch_compile
        batch = self.trial() if plain else None
        if batch is None:
            return True

        def loss_of(one: dict[str, Any]) -> Any:
            return -model(**one, use_cache=False, fused_lm_head=True).log_probs.float().sum()

        training = model.training
        model.eval()
        try:
            return needs_mask(loss_of, self._prepare_inputs(batch))  # type: ignore[attr-defined]
        finally:
            model.train(training)


class Sampled(NamedTuple):
    """What `_generate` of TRL's GRPOTrainer gives: of each row in turn, and None or empty where there is nothing of that kind."""

    prompt_ids: list[list[int]]
    completion_ids: list[list[int]]
    tool_mask: Any
    completions: list[Any]
    logprobs: list[Any] | None
    extra_fields: dict[str, Any]
    images: list[Any] | None
    tool_images: list[Any]

    def replaced(self, other: "Sampled", rows: Sequence[tuple[int, int]]) -> "Sampled":
        """With some rows, (row here, row there), taken from others."""

        def merged(here: Any, there: Any) -> Any:
            if not here and not there:
                return here
            found = list(here or [None] * len(self.prompt_ids))
            for to, of in rows:
                found[to] = there[of] if there else None
            return found

        parts: list[Any] = [here if isinstance(here, dict) else merged(here, there) for here, there in zip(self, other, strict=True)]
        return Sampled(*parts)


class GrpoHooks(Resuming):
    """Goes before TRL's GRPOTrainer: methods of plain names where a rollout is made and where a loss was computed."""

    _logs: dict[str, Any]
    """The newest rollout's completions, over all processes, by column."""
    _pending_extra_logs: dict[str, list[Any]]
    _pending_metrics: dict[str, list[float]]
    """What rewards logged since the last rollout was scored."""
    _logps_BT: torch.Tensor | None = None
    """Ours: log-probabilities of the completions in the newest forward pass."""
    _waiting: Sampled | None = None
    """Ours: completions that are made, for the next rollout."""
    _newest_prompts: Sequence[Any] = ()
    """Ours: the newest prompts."""
    at_once: int = sys.maxsize
    """Completions that transformers makes at once, at most."""
    _short: Sequence[Sequence[int]] = ()
    """Ours: the newest prompts for vLLM in this process, with one placeholder for each picture."""
    said_type: int = 0
    """Ours: the type of a completion's tokens, where the student knows types."""
    use_vllm: bool
    vllm_mode: str
    vllm_generation: Any
    processing_class: Any
    accelerator: Any

    chooses_rows: bool = False
    """Ours: whether `rollout` takes other rows than it is given."""

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        theirs = super()._get_train_sampler(dataset)  # type: ignore[misc]
        return FirstRow(len(theirs)) if self.chooses_rows else theirs

    def rollout(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Completions of these rows, `num_generations` in turn for each prompt, with rewards and advantages, as the loss takes them."""
        made: dict[str, Any] = super()._generate_and_score_completions(rows)  # type: ignore[misc]
        return made

    def sample(self, rows: Sequence[Mapping[str, Any]]) -> tuple[Sampled, torch.Tensor]:
        """Completions of these rows as a rollout makes them, and nothing of their loss; `rewards_NF`, of this process alone.

        What the rewards log of them is dropped.
        """
        prompts = [prepare_multimodal_messages(row["prompt"], images=row["images"]) for row in rows]
        made = Sampled(*self._generate(prompts))
        rewards_NF = self._calculate_rewards(rows, prompts, made.completions, made.completion_ids)  # type: ignore[attr-defined]
        self._pending_extra_logs.clear()
        self._pending_metrics.clear()
        first = self.accelerator.process_index * len(rows)
        return made, rewards_NF[first : first + len(rows)]

    def use(self, made: Sampled) -> None:
        """Have the next rollout, of just these rows, take completions that are made."""
        self._waiting = made

    @contextmanager
    def unlogged(self) -> Iterator[None]:
        """Has what is done meanwhile add nothing to the metrics, but for the tokens that were seen."""
        metrics = self._metrics["train"]
        before = {name: len(values) for name, values in metrics.items()}
        yield
        for name, values in metrics.items():
            if name != "num_tokens":  # a total, not one value of several
                del values[before.get(name, 0) :]

    def tokenize(self, prompts: Any) -> Any:
        """Prompts with their pictures as the processor makes them: token ids, pictures, and whatever else the model takes."""
        return super()._tokenize_prompts(prompts)  # type: ignore[misc]

    def check_vllm(self) -> None:
        """Have every rollout by vLLM be of the very tokens that are trained on. Raises PipelineError in a rollout where they differ.

        TRL 1.16 gives vLLM in this process prompts in which the processor has put all tokens of a picture, and vLLM puts them in once
        more (huggingface/trl#6401); of what a server makes of a picture it takes the place, and never looks at the length.
        """
        generation = self.vllm_generation
        base = getattr(self.model, "get_base_model", lambda: self.model)()
        parameters = generation._iter_named_params
        generation._iter_named_params = lambda: named_as_saved(base, parameters())
        if self.vllm_mode == "colocate":
            self.vllm_generation.generate = partial(self._generate_short, self.vllm_generation.generate)
        else:
            self.vllm_generation._place_features = partial(placed_alike, self.vllm_generation._place_features)
            if self.accelerator.is_main_process:  # the only one that has a client
                client = self.vllm_generation.vllm_client
                client._post = partial(tokens_named, client._post)

    def after_loss(self, inputs: Mapping[str, Any], logps_BT: torch.Tensor) -> None:
        """Called with what a loss of the training was computed of, and the log-probabilities it found."""

    def fewer(self, size: int, count: int) -> None:
        """Called where `count` completions at once did not fit into memory, and `size` are tried."""

    def rollout_columns(self) -> dict[str, Sequence[Any]]:
        """Of the newest rollout's completions, over all processes: what rewards logged of them, each reward, and the advantage."""
        return {**self._logs["extra"], **self._logs["rewards"], "advantage": self._logs["advantages"]}

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        return self.rollout(inputs)

    def _generate(self, prompts: Any) -> Any:
        if self._waiting is not None:
            made, self._waiting = self._waiting, None
            return tuple(made)
        made = Sampled(*super()._generate(prompts))  # type: ignore[misc]
        if made.images is not None:  # TRL has None where a prompt has no picture, which processors do not take among others
            made = made._replace(images=[images or [] for images in made.images])
        return tuple(made)

    def _generate_short(self, generate: Any, *, prompts: Any, images: Any, **named: Any) -> Any:
        """vLLM's completions of prompts with one placeholder for each picture, which it makes the tokens of itself."""
        found = generate(prompts=prompts if images is None else self._short, images=images, **named)
        for ours, theirs in zip(prompts, found[0], strict=True):
            if list(ours) != list(theirs):
                raise PipelineError(
                    f"rollouts: vllm: it makes {len(theirs):,} tokens of a prompt that has {len(ours):,} in the training, or others; "
                    "set rollouts to transformers"
                )
        return found

    def _tokenize_prompts(self, prompts: Any) -> Any:
        found, self._newest_prompts = self.tokenize(prompts), prompts
        if self.use_vllm and self.vllm_mode == "colocate":
            self._short = short_prompts(self.processing_class, [prepare_multimodal_messages(prompt) for prompt in prompts])
        return found

    def _generate_single_turn(self, prompt_ids: Any, images: Any, fields: Any, *given: Any, **named: Any) -> Any:
        """TRL's, which has transformers make all completions of a rollout at once: here as many as fit into memory, found by halves."""
        size, count = min(self.at_once, len(prompt_ids)), len(prompt_ids)
        while True:
            try:
                if size == count or self.use_vllm:
                    return super()._generate_single_turn(prompt_ids, images, fields, *given, **named)  # type: ignore[misc]
                parts = [self.tokenize(self._newest_prompts[start : start + size]) for start in range(0, count, size)]
                made = [super(GrpoHooks, self)._generate_single_turn(*part, *given, **named)[0] for part in parts]  # type: ignore[misc]
                return [completion for part in made for completion in part], None
            except torch.OutOfMemoryError:
                if size == 1 or self.use_vllm or is_sharded(self):  # processes that share a student must make as many
                    raise
            size = self.at_once = -(-size // 2)
            self.fewer(size, count)
            torch.cuda.empty_cache()

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Any, attention_mask: Any, logits_to_keep: int, batch_size: int | None = None, **named: Any
    ) -> Any:
        right = family_inputs.correct_inputs(named, said=logits_to_keep, said_type=self.said_type)
        counts, student = named.get("num_images"), self.accelerator.unwrap_model(model)
        with family_inputs.told_of_pictures(student, counts, batch_size or len(input_ids)):
            found = super()._get_per_token_logps_and_entropies(  # type: ignore[misc]
                model, input_ids, attention_mask, logits_to_keep, batch_size, **right
            )
        self._logps_BT = found[0].detach()
        return found

    def _compute_loss(self, model: Any, inputs: Mapping[str, Any]) -> Any:
        loss = super()._compute_loss(model, inputs)  # type: ignore[misc]
        if self.model.training and self._logps_BT is not None:
            self.after_loss(inputs, self._logps_BT)
        return loss
