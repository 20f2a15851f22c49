"""Whether a reasoning breaks off before its thought is finished, whatever its server says of how it ended."""

import re

from cotforge.measures.texts import last_sentences, lower_case
from cotforge.records import Sample, Trace, Verdict

_LAST = 300
"""Characters from the end that are looked at."""
_STOPS = ".!?\u2026\u3002\uff01\uff1f\u0964\u061f"
_CLOSERS = "\"'\u201d\u2019\u00bb\u300d\u300f)]}*_`$ \t\n"
_SMILE = re.compile(r"[:;]-?[)D]\s*\Z")
_CONCLUDES = re.compile(
    r"\b(?:so|answer|therefore|thus|hence|settle|choose|conclude|decide|it is|must be|has to be|fits best|final|choice|comes to|makes"
    r"|gives"
    r"|leaves|total|result|i say|i would say|reads|says|remains|which is)\b|=|\\boxed"
)
_ANNOUNCES = re.compile(
    r"""\A(?:(?:but|so|now|then|next|first|well|ok|okay|wait|hmm|however|still|also|and|alternatively|again|before\ i\ (?:decide
      |conclude))\b[,.!]{0,3}\s*){0,3}
        (?:(?:let(?:\ me|'s|\ us)|i\ (?:will|shall|should|must|need\ to|have\ to|want\ to|can|could)|i'll|we\ (?:should|need\ to|must
          |will|can)
             |it\ (?:is|remains)\ (?:time\ )?to)\ (?:now\ |also\ |first\ |then\ |quickly\ |just\ |again\ )?
             (?:look|check|consider|compare|weigh|count|verify|turn|examine|think|see|go|inspect|re-?check|double-?check|recount
               |revisit|take|try|move|start|begin)\b
           |i\ (?:now\ |next\ )?turn\ to\b | now\ consider\b | consider\b | (?:there\ (?:is|are)
           |that\ leaves)\b.{0,40}\b(?:to\ (?:consider|check|look\ at|weigh))\b)
      | \A(?:but\ |oh,?\ |no,?\ |hm+,?\ )?(?:wait|hold\ on|hmm+|let's\ see|let\ me\ see|let\ me\ think)\W*\Z
      | \A(?:on\ the\ other\ hand|next|then|first|second|finally|moreover|furthermore|however|also)\W*\Z""",
    re.VERBOSE,
)


def cut_thought(sample: Sample, trace: Trace, verdict: Verdict | None) -> float | None:
    """1 if the reasoning breaks off within a sentence, or ends with what it will do next, else 0; None without reasoning.

    A last line without a full stop is whole where it concludes with the answer, an option or a number, or where most lines have none.
    A text that was cut right behind a finished sentence is not found; announcements ("Let me check") are English.
    """
    text = trace.reasoning.rstrip()
    if not text:
        return None
    bare = text[-_LAST:]
    if bare[-1] in ")D":
        bare = _SMILE.sub("", bare)
    bare = bare.rstrip(_CLOSERS)
    last = next(iter(last_sentences(lower_case(trace.reasoning), 1)), "").rstrip(_CLOSERS)
    if not bare or bare[-1] not in _STOPS:
        return float(not _is_whole_line(sample, trace, text, bare, last))
    named = bool(trace.answer) and str(trace.answer).lower() in last
    if bare[-1] in "?\uff1f\u061f":
        return float(not named)
    return float(_ANNOUNCES.match(last) is not None and not (named and _CONCLUDES.search(last)))


def _is_whole_line(sample: Sample, trace: Trace, text: str, bare: str, last: str) -> bool:
    """Whether a last line that has no full stop is finished all the same."""
    if not bare or bare[-1] in ",;:-\u2013\u2014(/\u3001\uff0c\uff1a\uff1b":
        return not bare
    if _ANNOUNCES.match(last):
        return False
    concluded = [option.lower() for option in (*sample.options, trace.answer or "") if option]
    if any(last.rstrip(_CLOSERS).endswith(option) for option in concluded):
        return len(last.split()) <= 3 or _CONCLUDES.search(last) is not None
    lines = [line.rstrip(_CLOSERS) for line in text.splitlines() if line.strip()]
    return len(lines) > 2 and sum(line[-1:] not in _STOPS for line in lines if line) > len(lines) / 2
