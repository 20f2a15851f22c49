"""`reward.py` beside rows for reinforcement: an answer is right where it means the same as the dataset's.

Rewards that trainers ship compare formulas or numbers, and give 0 to every right class name: math-verify finds nothing in "amusement".
"""

from collections.abc import Mapping

_COMPARE = '''"""Rewards for the rows beside this file, made by `cotforge export`."""

import re
import unicodedata

NAMES = {names}
"""Every way to write a label, and the label; empty where answers are free."""
_FORM = re.compile(r"\\s*<think>.+?</think>\\s*<answer>.+?</answer>\\s*", re.DOTALL)
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_BOXED = re.compile(r"\\\\boxed\\{{([^{{}}]*)\\}}")


def plain(text):
    """The text as answers are compared."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(folded.split()).strip("\\"'`*_ ").rstrip(".,:!")


def said(text):
    """The last answer in a text, or None."""
    found = _ANSWER.findall(text) or _BOXED.findall(text)
    return plain(found[-1]) if found else None


def same(one, other):
    """Whether two answers mean the same."""
    one, other = plain(one), plain(other)
    if NAMES:
        return one in NAMES and NAMES.get(one) == NAMES.get(other, other)
    try:
        return float(one.replace(",", "")) == float(other.replace(",", ""))
    except ValueError:
        return one == other


def right(text, solution):
    """1.0 where the text answers as the solution does, else 0.0."""
    found, wanted = said(text), said(solution) or plain(solution)
    return float(found is not None and same(found, wanted))


def well_formed(text):
    """1.0 where the text is a thought and an answer in their tags, and nothing else."""
    return float(_FORM.fullmatch(text) is not None)


def text_of(completion):
    """The text of a completion, which may be a list of messages."""
    return completion if isinstance(completion, str) else str(completion[-1]["content"])
'''

_TRL = '''

def accuracy(completions, solution, **_):
    """For TRL and axolotl: a reward for each completion."""
    return [right(text_of(each), wanted) for each, wanted in zip(completions, solution)]


def form(completions, **_):
    """For TRL and axolotl: whether each completion is in form."""
    return [well_formed(text_of(each)) for each in completions]
'''

_SWIFT = '''

from swift.rewards import ORM, orms  # noqa: E402


class CotforgeAccuracy(ORM):
    """`--external_plugins reward.py --reward_funcs cotforge_accuracy format`"""

    def __call__(self, completions, solution, **kwargs):
        return [right(text_of(each), wanted) for each, wanted in zip(completions, solution)]


orms["cotforge_accuracy"] = CotforgeAccuracy
'''

_EASYR1 = '''

REWARD_NAME = "cotforge"
REWARD_TYPE = "sequential"


def compute_score(reward_input, format_weight=0.2):
    """For EasyR1: `worker.reward.reward_function: reward.py:compute_score`"""
    text, wanted = reward_input["response"], reward_input["ground_truth"]
    form, accuracy = well_formed(text), right(text, wanted)
    return {"overall": (1 - format_weight) * accuracy + format_weight * form, "format": form, "accuracy": accuracy}
'''

ENDS = {"trl": _TRL, "axolotl": _TRL, "ms-swift": _SWIFT, "easyr1": _EASYR1}
"""What each trainer calls, by format."""


def reward_file(trainer: str, names: Mapping[str, str]) -> str:
    """The text of `reward.py` for a format that has one."""
    listed = "{" + "".join(f"\n    {name!r}: {label!r}," for name, label in sorted(names.items())) + ("\n}" if names else "}")
    return _COMPARE.format(names=listed) + ENDS[trainer]
