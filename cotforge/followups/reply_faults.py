"""What is wrong with an explanation beside its answer: a refusal, the prompt again, another language, the hint alone."""

import re

from cotforge.answers import normal_form
from cotforge.answers.phrases import core_answer
from cotforge.measures import language
from cotforge.records import Reply, Sample, Trace

_REFUSAL = re.compile(
    r"""\b(?:i|we)(?:'m|\ am|\ are|'re)?\ (?:really\ |very\ |so\ )?(?:sorry|afraid|unable|not\ (?:able|allowed|permitted))\b
      | \b(?:i|we)\ (?:can(?:not|'t|\ not)|could(?:\ not|n't)|won't|will\ not|(?:must\ |have\ to\ )?(?:decline|refuse))\b
      | \bas\ an\ ai\b | \bagainst\ (?:my|our)\ (?:policy|guidelines)\b
      | 抱歉 | 对不起 | 我(?:无法|不能) | \blo\ siento\b | \bje\ (?:suis\ désolé|ne\ peux\ pas)\b
      | \bes\ tut\ mir\ leid\b | \bich\ kann\ (?:das\ )?nicht\b""",
    re.IGNORECASE | re.VERBOSE,
)
_LOOKED_AT = 300
"""Characters of a reply's beginning in which a refusal stands."""
_GRAM = 8
_COPIED = 0.5
"""Share of runs of eight words that stand in the prompt too, from which on a text repeats it (default chosen by us)."""
_LEAST_IN_SCRIPT = 0.5
"""Share of letters in a script of the prompt below which a text is in another language (default chosen by us)."""


def is_refusal(reply: Reply) -> bool:
    """Whether a reply that has no answer begins by refusing: "I'm sorry, but I cannot help with that"."""
    return reads_as_refusal(f"{reply.reasoning.strip()[:_LOOKED_AT]} {reply.content.strip()[:_LOOKED_AT]}")


def reads_as_refusal(beginning: str) -> bool:
    """The same of a reply's beginning alone."""
    return _REFUSAL.search(beginning.replace("\u2019", "'")) is not None


def is_answer_alone(reasoning: str, answer: str) -> bool:
    """Whether a reasoning is nothing, or nothing but the answer: "awe.", "The answer is awe."."""
    bare = core_answer(reasoning).text if len(reasoning) < 2_000 else reasoning
    return not reasoning.strip() or normal_form(bare) == normal_form(answer) or normal_form(reasoning) == normal_form(answer)


def repeats_prompt(reasoning: str, prompt: str) -> bool:
    """Whether most of a reasoning stands in the prompt word for word."""
    words, asked = reasoning.lower().split(), prompt.lower().split()
    known = set(zip(*(asked[place:] for place in range(_GRAM)), strict=False))
    grams = list(zip(*(words[place:] for place in range(_GRAM)), strict=False))
    return bool(grams) and sum(gram in known for gram in grams) > _COPIED * len(grams)


def is_other_language(sample: Sample, trace: Trace, prompt: str) -> bool:
    """Whether most letters of a reasoning are of scripts that the prompt does not have: Chinese where it was asked in English."""
    asked = Sample(sample.id, (), prompt, sample.options)
    share = language(asked, trace, None)
    return share is not None and share < _LEAST_IN_SCRIPT
