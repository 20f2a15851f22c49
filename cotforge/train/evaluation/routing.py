"""Short answer or long one: the student answers shortly first, and reasons where the perplexity of that speaks against it.

The perplexity of short answers that are right is taken for one normal distribution, that of wrong ones for another; with the shares of
both as priors, Bayes' rule keeps the short answer where it is more likely right than wrong. Source: CAR (arXiv 2505.15154). The paper fits
on the training set; here it is one half of what is held out, and the figures are those of the other half.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from statistics import fmean, pstdev
from typing import Any, Protocol, runtime_checkable

from cotforge.errors import PipelineError
from cotforge.scores import wilson_interval
from cotforge.train.data.short_form import short_prompt
from cotforge.train.evaluation.askers import Asker, Question
from cotforge.train.evaluation.evaluate import Exchange, figure_text, trace_of
from cotforge.train.evaluation.held_out import HeldOutSamples

NAME = "short_or_long"
TOKENS = 64
"""Of a short answer, at most (ours)."""
FEWEST = 2
"""Answers of a kind, right or wrong, of which a distribution is made (ours); of fewer the other kind is taken for all."""
NARROWEST = 1e-6
"""Standard deviation of a perplexity, at least (ours): equal values have none."""


@dataclass(frozen=True, slots=True)
class Normal:
    """How perplexities of answers of one kind are distributed."""

    mean: float
    std: float
    prior: float
    """The share of answers that are of this kind, in (0, 1]."""

    def log_joint(self, perplexity: float) -> float:
        """The logarithm of prior times density, without what is the same for all normal distributions."""
        return math.log(self.prior) - math.log(self.std) - 0.5 * ((perplexity - self.mean) / self.std) ** 2


@dataclass(frozen=True, slots=True)
class Router:
    """Decides by the perplexity of a short answer whether it is kept."""

    right: Normal | None
    """None where hardly any short answer was right: none is kept."""
    wrong: Normal | None
    """None where hardly any was wrong: all are kept, where any was right."""

    def keeps(self, perplexity: float) -> bool:
        """Whether the answer is at least as likely right as wrong."""
        if self.right is None or self.wrong is None:
            return self.right is not None
        return self.right.log_joint(perplexity) >= self.wrong.log_joint(perplexity)


@runtime_checkable
class Scorer(Protocol):
    """An Asker that also says how surprising a text is to its model."""

    def perplexities(self, texts: Sequence[tuple[Question, str]]) -> list[float]:
        """exp(-1/T sum log p) over the T tokens of each text as the answer to a question, its end included."""


def fit_router(perplexities: Sequence[float], right: Sequence[bool]) -> Router:
    """From short answers and whether each was right. Nothing is kept where there are none."""

    def of(kind: bool) -> Normal | None:
        values = [value for value, is_right in zip(perplexities, right, strict=True) if is_right == kind]
        if len(values) < FEWEST:
            return None
        return Normal(fmean(values), max(NARROWEST, pstdev(values)), len(values) / len(right))

    return Router(of(True), of(False))


def measure_routing(asker: Asker, held: HeldOutSamples, said: Sequence[Exchange]) -> dict[str, Any]:
    """`short_or_long`: accuracy and tokens of an answer by the rule, beside those of always the short form and always the long one.

    Long answers are those that were given already. Raises PipelineError where the asker cannot tell perplexities.
    """
    if not isinstance(asker, Scorer):
        raise PipelineError(
            "eval.engine: probe: short_or_long needs perplexities, which transformers alone tells; set engine to transformers"
        )
    brief = replace(held, prompt=short_prompt())
    longs = [each for each in said if each.reply.error is None]
    questions = [Question(each.question.sample, brief.messages(each.question.sample)) for each in longs]
    replies = asker.answers(questions, max_tokens=TOKENS, done=bool)
    answered = [place for place, reply in enumerate(replies) if reply.error is None]
    surprise = asker.perplexities([(questions[place], replies[place].content) for place in answered])
    rows = [
        Both(
            longs[place].question.sample.id,
            value,
            _is_right(trace_of(questions[place], replies[place], brief).answer, longs[place]),
            _is_right(longs[place].trace.answer, longs[place]),
            replies[place].output_tokens,
            longs[place].reply.output_tokens,
        )
        for place, value in zip(answered, surprise, strict=True)
    ]
    return {NAME: routing_figures(rows)}


@dataclass(frozen=True, slots=True)
class Both:
    """A sample that was answered in both forms."""

    id: str
    perplexity: float
    """Of the short answer."""
    short_is_right: bool
    long_is_right: bool
    short_tokens: int
    long_tokens: int


def routing_figures(rows: Sequence[Both]) -> dict[str, Any]:
    """Fitted on one half of the rows, by their ids' hash, and measured on the other; null where there are too few."""
    order = sorted(rows, key=lambda row: sha256(row.id.encode()).hexdigest())
    known, measured = order[: len(order) // 2], order[len(order) // 2 :]
    found: dict[str, Any] = {"n": len(measured), "calibrated_on": len(known)}
    if not known:
        return found | dict.fromkeys(("accuracy", "short_accuracy", "long_accuracy", "tokens_saved"))
    router = fit_router([row.perplexity for row in known], [row.short_is_right for row in known])
    kept = [router.keeps(row.perplexity) for row in measured]
    right = [row.short_is_right if keep else row.long_is_right for row, keep in zip(measured, kept, strict=True)]
    spent = fmean(row.short_tokens + (0 if keep else row.long_tokens) for row, keep in zip(measured, kept, strict=True))
    long = fmean(row.long_tokens for row in measured)
    return found | {
        "accuracy": fmean(right),
        "accuracy_interval": wilson_interval(sum(right), len(right)),
        "short_accuracy": fmean(row.short_is_right for row in measured),
        "long_accuracy": fmean(row.long_is_right for row in measured),
        "kept_short": fmean(kept),
        "tokens": spent,
        "short_tokens": fmean(row.short_tokens for row in measured),
        "long_tokens": long,
        "tokens_saved": 1 - spent / long if long else None,
        "right": router.right and asdict(router.right),
        "wrong": router.wrong and asdict(router.wrong),
    }


def _is_right(answer: str | None, asked: Exchange) -> bool:
    return answer is not None and answer == asked.question.sample.label


def routing_text(found: Mapping[str, Any]) -> str:
    """What it came to, in a line."""
    own: dict[str, Any] = found[NAME]
    if own["accuracy"] is None:
        return "short or long: too few samples to tell"
    saved, kept = own["tokens_saved"] or 0.0, f"{own['kept_short']:.0%} kept short"
    return (
        f"short or long ({own['n']:,}, fitted on {own['calibrated_on']:,} others): accuracy {figure_text(own, 'accuracy')}, always short "
        f"{own['short_accuracy']:.3f}, always long {own['long_accuracy']:.3f}; {kept}, {own['tokens']:.1f} tokens "
        f"an answer, {abs(saved):.0%} {'fewer' if saved >= 0 else 'more'} than always long"
    )
