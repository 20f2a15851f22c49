"""Whether a student's answer follows its reasoning or the picture: it goes on from the reasoning that it gave about another picture.

Where the answer stays as it was, the student maps pictures to answers, and its reasoning is for show: then all completions of a group
answer alike, and reinforcement learns nothing. Source: the diagnosis of PA-FAS (arXiv 2511.17927); how it is counted is ours.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from cotforge.answers import answer_span
from cotforge.scores import wilson_interval
from cotforge.train.evaluation.askers import Asker
from cotforge.train.evaluation.evaluate import Exchange, figure_text, gone_on
from cotforge.train.evaluation.held_out import HeldOutSamples

NAME = "swapped_reasoning"
FIGURES = ("follows_picture", "follows_reasoning", "follows_neither", "unread")
TOKENS = 64
"""Of an answer after the reasoning, at most (ours)."""


def measure_swaps(asker: Asker, held: HeldOutSamples, said: Sequence[Exchange]) -> dict[str, Any]:
    """`swapped_reasoning`: of how many samples (`n`) the answer stayed (`follows_picture`), became that of the other sample
    (`follows_reasoning`), became a third one (`follows_neither`) or could not be read (`unread`), as shares with intervals.

    A sample has part in it where its own answer could be read and another one, with the same options, got another answer after a
    reasoning.
    """
    pairs = draw_donors(said)
    begun = [(said[place].question, reasoning_beginning(said[donor])) for place, donor in pairs]
    answers = gone_on(asker, held, begun, tokens=TOKENS)
    kinds = Counter(
        _which_followed(answer, said[place].trace.answer, said[donor].trace.answer)
        for (place, donor), answer in zip(pairs, answers, strict=True)
    )
    found: dict[str, Any] = {"n": len(pairs)}
    for name in FIGURES:
        found |= {name: kinds[name] / len(pairs) if pairs else None, f"{name}_interval": wilson_interval(kinds[name], len(pairs))}
    return {NAME: found}


def _which_followed(answer: str | None, own: str | None, other: str | None) -> str:
    """Which of the FIGURES a sample counts for, by its answer after another's reasoning, its own before, and that of the other one."""
    if answer is None:
        return "unread"
    return "follows_picture" if answer == own else "follows_reasoning" if answer == other else "follows_neither"


def draw_donors(said: Sequence[Exchange], *, seed: int = 0) -> list[tuple[int, int]]:
    """Places of samples, each with the place of another one whose reasoning it gets: drawn from those with the same options that were
    answered otherwise, after a reasoning and in the form that was asked for.
    """
    pools = defaultdict[tuple[str, ...], list[int]](list)
    for place, each in enumerate(said):
        if each.trace.answer is not None and each.trace.reasoning and each.trace.well_formed:
            pools[each.question.sample.options].append(place)
    blocks: dict[tuple[str, ...], dict[str, tuple[int, int]]] = {}
    for options, pool in pools.items():
        pool.sort(key=lambda place: (str(said[place].trace.answer), place))  # those of one answer stand together, to be passed over
        answers = [str(said[place].trace.answer) for place in pool]
        blocks[options] = {answer: (answers.index(answer), answers.count(answer)) for answer in dict.fromkeys(answers)}
    draw, found = Random(seed), list[tuple[int, int]]()
    for place, each in enumerate(said):
        options, own = each.question.sample.options, each.trace.answer
        begin, many = blocks.get(options, {}).get(str(own), (0, 0))
        others = len(pools.get(options, ())) - many
        if own is not None and others:
            drawn = draw.randrange(others)
            found.append((place, pools[options][drawn if drawn < begin else drawn + many]))
    return found


def reasoning_beginning(donor: Exchange) -> str:
    """What it said up to its final answer, in its own form."""
    span = None if donor.reply.reasoning else answer_span(donor.reply)  # a server may have taken the reasoning out of the text
    return f"<think>{donor.trace.reasoning}</think>\n<answer>" if span is None else span.text[: span.start]


def swaps_text(figures: Mapping[str, Any]) -> str:
    """What it came to, in a line."""
    found: dict[str, Any] = figures[NAME]
    if not found["n"]:
        return "swapped reasoning: no two samples were answered differently after a reasoning, so there is nothing to swap"
    shares = ", ".join(f"{name.replace('_', ' ')} {figure_text(found, name)}" for name in FIGURES if found[name])
    return f"swapped reasoning ({found['n']:,}): the answer {shares}"
