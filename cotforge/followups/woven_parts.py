"""A woven text as it was written: its parts, and the checks that it has to pass before other teachers try it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from cotforge.answers import clean_reasoning
from cotforge.answers.task import Synonyms
from cotforge.answers.thoughts import split_thoughts
from cotforge.followups.frame import FollowUpAsker, VotedSample
from cotforge.followups.weave_sources import Namer, Source
from cotforge.measures.leaks import leaks
from cotforge.records import Call, Reply, Trace

PARTS = ("observe", "candidate", "doubt", "check", "conclude")
"""The kinds of parts, in their order."""

_ANY = "|".join(PARTS)
_PART = re.compile(rf"<({_ANY})>(.*?)(?:</\1>|(?=</?(?:{_ANY})>)|\Z)", re.IGNORECASE | re.DOTALL)
_STRAY = re.compile(rf"</?(?:{_ANY})>", re.IGNORECASE)
_ANSWER = re.compile(r"<answer>.*?(?:</answer>|\Z)", re.IGNORECASE | re.DOTALL)
_NUMBERED = r"(?:first|second|third|fourth|fifth|last|other|previous|earlier|wrong|incorrect|correct|two|three|four|five)"
_MADE = r"(?:traces|reasonings?|solutions?|responses?|attempts?|explanations?|analys[ei]s|writers?|reasoners?|annotators?|texts)"
_SAID = (
    r"(?:claim(?:s|ed)?|thinks?|thought|conclud(?:es?|ed)|argu(?:es?|ed)|answer(?:s|ed)|suggest(?:s|ed)?|reason(?:s|ed)|propos(?:es?|ed)"
    r"|(?:came|comes?)\ to\ (?:the|a|an)\ (?:\w+\ )?(?:answer|conclusion)|arrived?\ at|believ(?:es?|ed)|says?|said)"
)
_HELD = (  # what people in a picture do not do
    r"(?:claim(?:s|ed)?|conclud(?:es?|ed)|argued?|argues|answered|proposed?|proposes|believe[sd]?|reasoned|thought\ (?:it|that|this)"
    r"|(?:came|comes?)\ to\ (?:the|a|an)\ (?:\w+\ )?(?:answer|conclusion)|said\ (?:it|that|this))"
)
_NOTED = r"(?:not(?:es?|ed)|mention(?:s|ed)?|observ(?:es?|ed)|describ(?:es?|ed)|agree(?:s|d)?|disagree(?:s|d)?|saw)"
_SOURCES = re.compile(
    rf"""</?trace\b
      | \baccording\ to\ (?:the|one|another|some|both|all|most)\ (?:{_NUMBERED}\ )?(?:{_MADE}|text|trace|person|people|observers?|one)\b
      | \b(?:the|one|each|both|all|these|those|several|of\ the|this|that)\ (?:{_NUMBERED}\ )?{_MADE}\ (?:\w+\ )?(?:{_SAID}|{_NOTED})\b
      | \bthe\ {_NUMBERED}\ (?:texts?|traces?|person|people|one|ones|observers?)\ (?:who\ |also\ |\w+ly\ )?(?:{_SAID}|{_NOTED})\b
      | \b(?:person|people|observers?|someone|somebody|others)\ (?:who\ |also\ |else\ )?{_HELD}\b
      | \b(?:one|another|some)\ (?:claim(?:s|ed)?|conclud(?:es?|ed)|argued|argues|believe[sd]?|says?|said)\b
      | \b(?:the|these|those|given|provided|above|other|both)\ (?:traces|reasonings|writers|reasoners|annotators)\b(?!\ of\b)
      | \b(?:text|trace|reasoning|person)\ (?:[1-9]|\#[1-9]|[A-D])\b""",
    re.IGNORECASE | re.VERBOSE,
)
"""A mention of the texts that were woven, or of those who wrote them."""


class WovenWriting(NamedTuple):
    """A woven text."""

    trace: Trace
    """Its reasoning is the text of the parts, without their tags."""
    segments: tuple[tuple[str, str], ...]
    """(kind, text) of its parts."""


def read_written(reply: Reply, call: Call, asker: FollowUpAsker) -> WovenWriting | None:
    """What a teacher wrote; None where there is no reply, or an error.

    Parts count where they follow a thought, which is the writer's own; else wherever they stand. An open part ends at the next tag.
    """
    content = reply.content
    rest = content[split_thoughts(content).start :] if "<" in content else content
    text = next((one for one in (rest, content, reply.reasoning) if _PART.search(one)), "")
    if not text:
        trace = asker.read(reply, call)
        return None if trace is None else WovenWriting(trace, ())
    answers = _ANSWER.findall(text)
    segments = _parts_of(_ANSWER.sub(" ", text))
    reasoning = "\n\n".join(part for _, part in segments)
    left = clean_reasoning(_STRAY.sub("", _PART.sub("", _ANSWER.sub(" ", text))))[0].strip()
    after = "\n".join([left, *(answers or _ANSWER.findall(content))]).strip()
    share = len(reasoning) / max(1, len(content) + len(reply.reasoning))
    told = replace(
        reply, content=f"<think>{reasoning}</think>\n{after}", reasoning="", reasoning_tokens=max(1, round(reply.output_tokens * share))
    )
    trace = asker.read(told, call)
    return None if trace is None else WovenWriting(trace, segments)


def _parts_of(text: str) -> tuple[tuple[str, str], ...]:
    found = ((match[1].lower(), clean_reasoning(match[2])[0].strip()) for match in _PART.finditer(text))
    return tuple((kind, part) for kind, part in found if part)


class _Checked(NamedTuple):
    """A woven text with all that it is compared with."""

    about: VotedSample
    written: WovenWriting
    sources: Sequence[Source]
    synonyms: Synonyms

    @property
    def answer(self) -> str:
        return str(self.about.verdict.answer)

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.written.segments]

    def text_of(self, *kinds: str) -> str:
        return "\n".join(text for kind, text in self.written.segments if kind in kinds)


def failed_check(written: WovenWriting, about: VotedSample, sources: Sequence[Source], synonyms: Synonyms = ()) -> str:
    """The first check that a woven text does not pass, by its published word; empty where it passes all, or could not be read."""
    if written.trace.fault is not None:
        return ""
    checked = _Checked(about, written, sources, synonyms)
    return next((word for word, fails in _CHECKS if fails(checked)), "")


def _lacks_parts(checked: _Checked) -> bool:
    """A kind of part is not there; a doubt is wanted only where a wrong trace was woven."""
    wanted = {*PARTS} - (set() if any(not source.right for source in checked.sources) else {"doubt"})
    return not wanted <= {*checked.kinds}


def _is_disordered(checked: _Checked) -> bool:
    """It does not begin by observing, concludes before its end, or doubts or checks before it has a candidate."""
    kinds = checked.kinds
    first = {kind: kinds.index(kind) for kind in {*kinds}}
    early = min(first.get("doubt", len(kinds)), first.get("check", len(kinds))) < first["candidate"]
    return kinds[0] != "observe" or first["conclude"] != len(kinds) - 1 or early


def _has_other_answer(checked: _Checked) -> bool:
    return checked.written.trace.answer != checked.answer


def _weighs_too_little(checked: _Checked) -> bool:
    """It does not weigh the accepted answer, or none of the wrong ones that were woven.

    Only answers count that their own traces name: a formula may be written in many ways.
    """
    namer = Namer(checked.about.sample, {source.answer for source in checked.sources}, checked.synonyms)
    weighed = namer.named(checked.text_of("candidate", "doubt", "check", "conclude"))
    nameable = {source.answer for source in checked.sources if source.answer in namer.named(source.text)}
    wrong = nameable - {checked.answer}
    return checked.answer in nameable - weighed or bool(wrong and not wrong & weighed)


def _invents_candidate(checked: _Checked) -> bool:
    """A candidate, or the conclusion, names an option that no trace came to or speaks of."""
    answers = {source.answer for source in checked.sources}
    namer = Namer(checked.about.sample, answers, checked.synonyms)
    known = answers.union(*(namer.named(source.text) for source in checked.sources))
    return not namer.named(checked.text_of("candidate", "conclude")) <= known


def _mentions_sources(checked: _Checked) -> bool:
    return _SOURCES.search(checked.written.trace.reasoning) is not None


def _leaks_answer(checked: _Checked) -> bool:
    return leaks(checked.written.trace.reasoning, checked.answer, checked.about.sample.options) is not None


_CHECKS: tuple[tuple[str, Callable[[_Checked], bool]], ...] = (
    ("parts", _lacks_parts),
    ("order", _is_disordered),
    ("other_answer", _has_other_answer),
    ("unweighed", _weighs_too_little),
    ("invented", _invents_candidate),
    ("sources", _mentions_sources),
    ("hint_leaked", _leaks_answer),
)
"""(word, whether a text fails it), in the order in which they are tried."""
