"""Sentences tried for leaks in the middle of a sound reasoning."""

from cotforge.measures.leaks import leaks

EMOTIONS = ("amusement", "awe", "contentment", "anger", "disgust", "fear")
NAMES = {"emotion": ("awe", "fear", EMOTIONS), "number": ("14", "15", ())}
"""By what is asked the answer, another one and the options; a number has none."""
BEFORE = "Tall grey mountains fill the frame and one hiker stands at their foot. Snow lies on the upper slopes. Clouds hang above them. "
BEHIND = " The sky is pale. A path leads up on the left."


def find_leak(sentence: str, asked: str) -> str | None:
    """The kind of leak that a sentence is found to be where that is asked for; None where it is sound."""
    answer, other, options = NAMES[asked]
    filled = sentence.format(answer=answer, other=other, task=asked)
    return leaks(f"{BEFORE}{filled[:1].upper()}{filled[1:]}{BEHIND}", answer, options)
