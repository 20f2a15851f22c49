"""A completion that checks itself, cut into the parts in which it solves and those in which it verifies."""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from cotforge.answers.boxes import find_boxes
from cotforge.answers.verifiers import VERIFIERS
from cotforge.measures.mentions import last_named
from cotforge.records import Sample, Trace, Verdict

Kind = Literal["solve", "verify"]

_TAGGED = re.compile(r"<(solve|verify)>(.*?)(?:</\1>|(?=<(?:solve|verify)>)|\Z)", re.IGNORECASE | re.DOTALL)
_LET = r"let(?:'s|\ me|\ us)\ "
_CHECK = r"(?:re-?|double-?\ ?)?(?:check|verify|examine)\b"
_CUE = re.compile(
    rf"""(?: \A | (?<=[.!?:\n]) ) [\s*#]{{0,8}}
    (?: (?P<verify> (?: but\ |oh,?\ |no,?\ )? (?: wait|hold\ on|hmm ) \b [,.!]{{0,3}} (?: \s{{0,8}} {_LET}{_CHECK} )?
            | (?: now\ |so\ |but\ |first,?\ )? {_LET}(?: now\ |also\ |quickly\ )?{_CHECK}
            | to\ {_CHECK} | verification\b | (?:re-?|double-?\ ?)checking\b )
      | (?P<solve> {_LET}(?: reconsider|redo|retry | (?: try|solve|do|think|look|start )\b [^.!?\n]{{0,20}}? \b(?:again|anew|over) )\b
            | (?: a\ )? (?: second|third|new|another )\ (?: attempt|try )\b | trying\ again\b ) )""",
    re.IGNORECASE | re.VERBOSE,
)
"""Where a part begins, at the start of a sentence; "Wait," and "Let me try again." are those of S2R's own data."""
_JUDGED = re.compile(
    r"""(?P<wrong> \bincorrect\b | (?<!not\ )\bwrong\b | (?<!no\ )(?<!any\ )\bmistake(?:n|s)?\b
            | (?:\bnot|n't|\bnever)\ (?:quite\ |really\ )?(?:correct|right|hold|fit|match|agree|verified)\b
            | \bcan(?:not|'t)\ (?:be\ )?(?:verify|verified|confirm|confirmed)\b )
      | (?P<right> \bcorrect\b | \b(?:is|was|are|seems|looks)\ (?:indeed\ |clearly\ )?right\b | \bis\ indeed\b
            | \bverified\b | \bconfirm(?:s|ed)\b | \bholds\b | \bchecks\ out\b )""",
    re.IGNORECASE | re.VERBOSE,
)
"""What a part that verifies comes to; the last one counts."""
_SAID = re.compile(
    r"\b(?:answer|result|total|sum)\b[^\n.;!?]{0,40}?(?:\b(?:is|equals|must be)\b|[:=])\s*+(?P<answer>(?:[^\n.;!?]|\.(?=\d))+)",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")
_FREE = ("exact", "number", "math")


class Segment(NamedTuple):
    """A part of a reasoning."""

    kind: Kind
    text: str


def split_segments(reasoning: str) -> Iterator[Segment]:
    """The parts of a reasoning in their order, those without a word left out; what stands before the first cue solves.

    By the tags `<solve>` and `<verify>` where it has any, else by cues at the start of a sentence, in English: "Wait", "Let me check",
    "Let me verify", "To verify" begin a part that verifies, "Let me try again" and the like one that solves. Parts that verify and follow
    one another are one. Of an open tag the part ends at the next tag.
    """
    tagged = [Segment("verify" if match[1].lower() == "verify" else "solve", match[2]) for match in _TAGGED.finditer(reasoning)]
    found = tagged or list(_cut_segments(reasoning))
    before: Kind | None = None
    text = ""
    for kind, part in [*found, Segment("solve", "")]:
        if kind == before == "verify":
            text += part
            continue
        if before is not None and text.strip():
            yield Segment(before, text.strip())
        before, text = kind, part


def _cut_segments(reasoning: str) -> Iterator[Segment]:
    kind: Kind = "solve"
    start = 0
    for cue in _CUE.finditer(reasoning):
        yield Segment(kind, reasoning[start : cue.start()])
        kind, start = ("verify" if cue["verify"] else "solve"), cue.start()
    yield Segment(kind, reasoning[start:])


def judged_right(text: str) -> bool | None:
    """Whether a part that verifies finds the answer before it right, by its last verdict ("is incorrect", "verified"); None without one."""
    verdicts = list(_JUDGED.finditer(text))
    return verdicts[-1]["right"] is not None if verdicts else None


def stated_answer(text: str, options: tuple[str, ...]) -> str | None:
    r"""The answer that a part that solves comes to; None where it names none.

    The option that it names last, the longest of several that end there; without options what stands in its last `\boxed{}`, else the
    number, or the words, behind its last "answer is" (behind the equals sign, where one follows), else its last number.
    """
    if options:
        lower = text.lower()
        ends = {option: last_named(lower, option) for option in options}
        best = max(options, key=lambda option: (ends[option], len(option)))
        return best if ends[best] >= 0 else None
    if inside := find_boxes(text):
        return inside[-1]
    said = [match["answer"].rpartition("=")[2].strip() for match in _SAID.finditer(text)]
    if said:
        number = _NUMBER.search(said[-1])
        return number[0].rstrip(",") if number else said[-1] or None
    numbers: list[str] = _NUMBER.findall(text)
    return numbers[-1].rstrip(",") if numbers else None


def _is_same_answer(said: str | None, answer: str | None, options: tuple[str, ...]) -> bool:
    """Whether what a part states is that answer, which is a canonical one."""
    if said is None or answer is None:
        return False
    return said == answer or (not options and any(VERIFIERS[name](said, ()) == answer for name in _FREE))


def segment_marks(sample: Sample, trace: Trace, truth: str) -> Iterator[tuple[Kind, bool]]:
    """Of each part, and of the answer, whether it is right: a solution by its answer, a verification by whether its verdict is true.

    A verification without a verdict is taken by what it does: it finds the answer wrong where another attempt follows, else right; one
    with nothing before it to verify is false. A last solution that names no answer is that of the answer itself. The answer is a solution
    of its own where it is another than the last one's, or there was none.
    """
    parts = list(split_segments(trace.reasoning))
    solves = [place for place, part in enumerate(parts) if part.kind == "solve"]
    said, right = None, None
    for place, part in enumerate(parts):
        tried_again = bool(solves) and place < solves[-1]
        if part.kind == "solve":
            said = stated_answer(part.text, sample.options) or (None if tried_again else trace.answer)
            right = _is_same_answer(said, truth, sample.options)
            yield "solve", right
        else:
            verdict = judged_right(part.text)
            yield "verify", right is not None and (not tried_again if verdict is None else verdict) == right
    if right is None or not _is_same_answer(said, trace.answer, sample.options):
        yield "solve", _is_same_answer(trace.answer, truth, sample.options)


def verified_segments(
    sample: Sample,
    trace: Trace,
    verdict: Verdict | None,
    *,
    part: Literal["both", "solve", "verify"] = "both",
    solves: Literal["all", "last"] = "all",
) -> float | None:
    """Share of solving or verifying parts that are right, in [0, 1]; None if no answer was accepted, or no such part.

    S2R gives +1 to a part that is right and -1 to one that is not: their mean is twice this minus 1, and advantages within a group are the
    same up to that factor. `solves: last` lets wrong attempts that are corrected go free, as lessons that correct themselves need it.
    Parts are told by tags or English cues (`split_segments`), their answers and verdicts by words: a heuristic.
    Source: S2R, arXiv 2502.12853, process-level rewards, and its code (NineAbyss/S2R, tools/process_offline_trainset.py).
    """
    if verdict is None or not verdict.accepted or verdict.answer is None:
        return None
    found = list(segment_marks(sample, trace, verdict.answer))
    last = max((place for place, (kind, _) in enumerate(found) if kind == "solve"), default=-1)
    kept = [
        right
        for place, (kind, right) in enumerate(found)
        if part in ("both", kind) and (kind == "verify" or solves == "all" or place == last)
    ]
    return sum(kept) / len(kept) if kept else None
