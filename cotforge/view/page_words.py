"""What a page calls the outcomes, fates and reasons that files have as short words."""

import re
from collections.abc import Mapping

TITLES: Mapping[str, str] = {
    "verdict": "Outcome",
    "conflict": "Vote against label",
    "checked": "Checked by people",
    "reason": "Why there is no lesson",
    "answer": "Answer of the vote",
    "label": "Label in the data",
    "teacher": "Teacher",
    "fate": "Fate of a trace",
}
"""Of the filters, in the order in which a page has them."""
STATES = "Asked so far"
"""The title of `reason` where there is no dataset yet."""
_VALUES: Mapping[str, Mapping[str, str]] = {
    "verdict": {
        "lesson": "Lesson", "disagreed": "No agreement", "filtered": "Filtered out", "unusable": "Unusable row", "open": "Not curated yet",
    },
    "conflict": {"yes": "They differ"},
    "checked": {"checked": "Checked", "unsure": "Cannot be told", "no": "Not checked"},
    "order": {"source": "Order of the source", "unsure": "Least confident first", "sure": "Most confident first"},
}  # fmt: skip
_REASONS: Mapping[str, str] = {
    "vote:no_replies": "no teacher has replied",
    "vote:no_ballots": "no reply could be read as an answer",
    "vote:tie": "two answers got equally many votes",
    "vote:no_majority": "no answer got more than half of the votes",
    "vote:not_unanimous": "the teachers are not unanimous",
    "vote:below_target": "the confidence is below the target",
    "vote:one_teacher": "only one teacher has answered",
    "vote:label_gate": "the answer is not the label in the data",
    "vote:label_missing": "the row has no label",
    "vote:ambiguous": "people could not tell, or disagree",
    "vote:gold_unsaid": "no teacher gave the answer that people gave",
    "vote:not_asked": "not every teacher has been asked",
    "vote:not_wanted": "nobody was asked about it",
    "select:difficulty": "its pass rate is outside select.difficulty",
}
_FATES: Mapping[str, str] = {
    "lesson": "became the lesson",
    "surplus": "good, but another was chosen",
    "wrong": "another answer than the vote",
    "undecided": "there was no agreement",
    "vote": "counts as a vote only",
    "read": "read",
}
_STAGES = {"filter": "stopped by the filter {}", "unread": "could not be read: {}", "failed": "no reply: {}", "source": "row: {}"}


def value_words(name: str, value: str) -> str:
    """A value of a filter as a page shows it."""
    if name == "reason":
        return reason_words(value)
    if name == "fate":
        return fate_words(value)
    return _VALUES.get(name, {}).get(value, value)


def reason_words(reason: str) -> str:
    """Why a sample has no lesson."""
    return _REASONS.get(reason) or _by_stage(reason)


def fate_words(fate: str) -> str:
    """What became of a trace."""
    return _FATES.get(fate) or _by_stage(fate)


def _by_stage(word: str) -> str:
    stage, _, detail = word.partition(":")
    if not detail:
        return _plain_words(word)
    return _STAGES.get(stage, f"{stage}: {{}}").format(detail if stage == "filter" else _plain_words(detail))


def _plain_words(word: str) -> str:
    return re.sub(r"_", " ", word)
