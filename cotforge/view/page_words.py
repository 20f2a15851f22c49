"""What a page calls its filters, and the outcomes that files have as short words."""

from collections.abc import Mapping
from typing import Any

from cotforge.reasons import BELOW_TARGET, UNPROMISED, short_fate, short_reason
from cotforge.view.sample_index import SampleIndex

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


def reason_words(row: Mapping[str, Any]) -> str:
    """Why a sample of the index has no lesson; empty where it has one."""
    return UNPROMISED if row["unpromised"] else short_reason(row["reason"] or "")


def value_words(name: str, value: str, index: SampleIndex) -> str:
    """A value of a filter as a page shows it."""
    if name == "reason" and value == BELOW_TARGET and index.unpromised.any():
        unpromised = index.unpromised[index.reason.has_word(BELOW_TARGET)]
        return UNPROMISED if unpromised.all() else f"{short_reason(value)}, or {UNPROMISED}"
    if name == "reason":
        return short_reason(value)
    if name == "fate":
        return short_fate(value)
    return _VALUES.get(name, {}).get(value, value)
