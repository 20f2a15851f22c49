"""Whether a reasoning concludes for another answer than the one that is given behind it."""

import re
from collections.abc import Iterator, Sequence

from cotforge.measures.texts import last_sentences, lower_case
from cotforge.records import Sample, Trace, Verdict

_LOOKED_AT = 3
"""Sentences from the end in which a conclusion is looked for."""
_CONCLUDES = re.compile(
    r"""\b(?:so|therefore|thus|hence|consequently|accordingly|answer|conclude|conclusion|settle|choose|decide[sd]?|decision|choice
      |verdict|best
          |better\ supported|final|finally|overall|in\ the\ end|on\ balance|all\ in\ all|taken\ together|in\ all|in\ total|total|sum
          |result
          |must\ be|has\ to\ be|makes|gives|leaves|follows|remains|go\ with|confident|sure|it\ is|this\ is|i\ say|would\ say|i\ get|reads?
          |equals?|most\ likely|fits|points\ to)\b | = | \\boxed""",
    re.VERBOSE,
)
_DENIED_BEFORE = re.compile(
    r"""(?:\b(?:not|never|than|over|against|instead\ of|rather\ than|exclud(?:e|es|ing)|rul(?:e|es|ing)\ out|,\ with|without|although|though
      |even\ if
          |unless|if|argue\ for|neither|nor|thought\ of|think\ of|seemed\ (?:to\ be\ )?|would\ be|could\ be|might\ be|may\ be|dismiss
          |reject|except|but\ for|some\ would\ say|for\ so\ long\ was|excluded|beats?|unlike|despite)|n't)
        (?:\ (?:a|an|the|be|of|as|it\ (?:is|was)|answer|likely|clearly|really|just|only)){0,3}[ "'*]{0,3}\Z""",
    re.VERBOSE,
)
_DENIAL = 80
"""Characters that such a denial has at most."""
_DENIED_AFTER = re.compile(
    r"""["'*,]{0,3}\ (?:was|is|were|are|does|do|did|has|had|would|could|might|may|can|cannot|can't|needs?|remains?|looks?|seems?|came
      |comes)\b
        (?:\ \w+){0,2}?\ ?(?:\b(?:close|out|excluded|not|possible|unlikely|less|second|different|weaker|wrong|be|have|need|look|been)\b
          |n't\b)
      | ["'*,]{0,3}\ (?:doesn't|isn't|wasn't|can't|cannot|won't|would|could|might|as\ (?:the\ )?(?:runner|second|well)|in\ second)\b""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"(?<![\w.,])[-+]?\d[\d,]*(?:\.\d+)?(?![\w]|\.\d)")
_SAID = re.compile(
    r"""\b(?:answer|choice|word|result|sign|value|name|title|it|this)\ (?:\w+\ the\ \w+\ )?(?:is|must\ be|has\ to\ be|should\ be|reads
      |says)\ (?:that\ it\ is\ )?
        ["'*]{0,3}(?P<is>[\w'\u2019-]+(?:\ [\w'\u2019-]+){0,2})["'*]{0,3}(?=[,;]|\Z|\ (?:and|since|because|but|rather|not)\b)
      | \b(?:settle\ on|choose|go\ with|decide\ for|would\ say|i\ say|conclude\ that\ it\ is|makes|leaves|gives|points\ to)[ :]
        ["'*]{0,3}(?P<takes>[\w'\u2019-]+)["'*]{0,3}(?=[,;]|\Z|\ (?:the|as|and|since|because|but|rather|not|over)\b)
      | \bfollows\ that\ (?:it\ (?:is|says)\ )?(?P<follows>[\w'\u2019-]+)\ (?:is|must)\b
      | \b(?:so|conclusion|therefore|hence|thus|answer)[,:]?\ ["'*]{0,3}(?P<so>[\w'\u2019-]+)["'*]{0,3}\Z""",
    re.VERBOSE,
)
_POINTING = "this that it one these he she we i they those what which there not clear right wrong likely more most a the my"
_POINTS = frozenset(_POINTING.split())
"""With which what is said is no answer."""


def contradicts_answer(sample: Sample, trace: Trace, verdict: Verdict | None) -> float | None:
    """1 if the reasoning concludes for another answer than the one given, 0 if for this one; None where it concludes for none.

    Its conclusion is the last of its final three sentences that says "so", "therefore", "the answer is" or the like in English and names
    an option, a number or a word, leaving out those it sets aside ("rather than awe", "awe does not hold"). `consistent` goes by the
    option named last alone, and so takes "awe, not fear" for fear.
    """
    if trace.answer is None or not trace.reasoning:
        return None
    answer = trace.answer.lower()
    options = tuple(map(str.lower, sample.options))
    for sentence in last_sentences(lower_case(trace.reasoning), _LOOKED_AT):
        said = _concluded(sentence, answer, options)
        if said is not None:
            return float(not said)
    return None


def _concluded(sentence: str, answer: str, options: tuple[str, ...]) -> bool | None:
    """Whether a sentence concludes for the answer; None where it concludes for nothing."""
    here = [option for option in options if option in sentence]
    if (options and not here) or _CONCLUDES.search(sentence) is None:
        return None
    if options:
        held = [option for option, start, end in _named_options(sentence, here) if not _is_denied(sentence, start, end)]
        return answer in held if held else None
    if _holds_answer(sentence, answer):
        return True
    if (wanted := _as_number(answer)) is not None:
        numbers = [found for found in _NUMBER.finditer(sentence) if not _is_denied(sentence, found.start(), found.end())]
        return any(_as_number(found[0]) == wanted for found in numbers) if numbers else None
    if any(char.isdigit() for char in answer):
        return None
    said = [
        found[found.lastgroup or 0] for found in _SAID.finditer(sentence) if not _is_denied(sentence, *found.span(found.lastgroup or 0))
    ]
    said = [words for words in said if words.split()[0] not in _POINTS]
    return False if said else None


def _named_options(sentence: str, options: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """(option, start, end) of each that a sentence names as whole words; of those that overlap the longest."""
    taken: list[tuple[int, int]] = []
    for option in sorted(filter(None, options), key=len, reverse=True):
        at = sentence.find(option)
        while at >= 0:
            end = at + len(option)
            free = not taken or not any(start < end and at < stop for start, stop in taken)
            if free and not sentence[at - 1 : at].isalnum() and not sentence[end : end + 1].isalnum():
                taken.append((at, end))
                yield option, at, end
            at = sentence.find(option, end)


def _is_denied(sentence: str, start: int, end: int) -> bool:
    """Whether what stands there is set aside: "rather than", "not", "was close"."""
    return _DENIED_BEFORE.search(sentence, max(0, start - _DENIAL), start) is not None or _DENIED_AFTER.match(sentence, end) is not None


def _holds_answer(sentence: str, answer: str) -> bool:
    return any(not _is_denied(sentence, start, end) for _, start, end in _named_options(sentence, (answer,)))


def _as_number(text: str) -> float | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None
