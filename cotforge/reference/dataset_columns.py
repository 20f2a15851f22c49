"""The columns of a dataset's tables, and of `losses.parquet`, with what each holds."""

from collections.abc import Mapping
from typing import Any, Literal

from cotforge.export import columns
from cotforge.reference.markdown import markdown_table

Table = Literal["lessons", "traces", "preference", "losses"]

HEADS: Mapping[Table, str] = {
    "lessons": "lesson column",
    "traces": "trace column",
    "preference": "preference column",
    "losses": "loss column",
}
NAMES = {"string": "text", "bool": "true or false", "int64": "whole number", "float64": "number", "image": "image"}

MEANINGS: Mapping[str, Mapping[str, str]] = {
    "lessons": {
        "id": "Id of the sample, as the source has it.",
        "images": "The images, exactly as they were sent to the teachers.",
        "prompt": "The student's prompt, as one message of the user. It is never a teacher's prompt.",
        "completion": "What the student learns, as one message of the assistant: one reasoning, then one answer.",
        "question": "The question about this sample.",
        "options": "The allowed answers of this sample; null for a free answer.",
        "answer": "The accepted answer.",
        "label": "The raw label; null where the source has none, or one outside the allowed set.",
        "label_conflict": "Whether the accepted answer differs from the raw label.",
        "confidence": "Confidence of the verdict, from 0 to 1; what it means depends on the rule.",
        "votes": "Every teacher's vote: who gave it, and for which answer. The raw label is not among them, even where it votes.",
        "teacher": "The teacher that wrote the completion; of joined sentences that of the last one from a right text.",
        "model": "The model of that teacher.",
        "origin": "Kind of call the reasoning comes from: `solve`, `rescue` or `woven`.",
        "reasoning_tokens": "Tokens of the reasoning, as reported by the server or estimated.",
        "measure_*": "Value of each measure that a filter uses; null where it does not apply.",
        "call": "Key of the call, which finds the reply in `journal.sqlite` and in `traces`. Joined sentences have a key and no reply: "
        "they are in `traces` alone, with `sentences` in `read_as`.",
        "language": "Only with `reasoning_language`, or a filter on it: tag of the reasoning's language, such as `en`; null where it "
        "cannot be told.",
        "soft_label": "Only with `consensus.soft_labels`: the probability of each possible answer; those with 0 are left out. "
        "Null for a free answer, and under a rule without probabilities.",
        "segments": "Only with `weave`: the parts of a woven reasoning, in order; the kind is `observe`, `candidate`, `doubt`, `check` or "
        "`conclude`. Null where it is not woven.",
        "mended": "What was removed from the reasoning: `think_tags`, `answer_tags`, `image_tokens` and `control_tokens`, joined by `+`; "
        "null where nothing was.",
    },
    "traces": {
        "id": "Id of the sample.",
        "call": "Key of the call.",
        "teacher": "The teacher that replied.",
        "model": "The model of that teacher.",
        "origin": "Kind of call: `solve` for a full reply, `vote` for a short answer, `rescue` and `woven` for texts that were made of "
        "a label or of other texts, `verify`, `probe` and `judge` for replies about other texts.",
        "index": "Number of the call among those of one teacher about one sample, from 0.",
        "reasoning": "The reasoning, as it was read.",
        "answer": "The answer in comparable form; null where none could be read.",
        "ballot": "The answer as it was counted as a vote; null where it was not counted.",
        "finish_reason": "Why the model stopped, as the server says: `stop`, `length`, `content_filter`, ...",
        "read_as": "How reasoning and answer were found: see [reading a reply](../explanation/replies.md). "
        "`sentences`: nobody wrote it as a whole; it is joined of sentences of several replies.",
        "input_tokens": "Tokens of the request.",
        "output_tokens": "Tokens of the reply.",
        "cost_usd": "Cost in US dollars, by the teacher's `price`.",
        "fate": "What became of the text: see [reasons](reasons.md).",
        "fate_value": "Value of the measure whose filter dropped it; else null.",
        "measure_*": "Value of each measure that a filter uses; null where it does not apply.",
        "language": "Only with `reasoning_language`, or a filter on it: tag of the reasoning's language; null where it cannot be told.",
    },
    "preference": {
        "id": "Id of the sample.",
        "prompt": "The student's prompt, as one message of the user.",
        "chosen": "A text with the accepted answer, as one message of the assistant.",
        "rejected": "A text with another answer, as one message of the assistant.",
        "images": "The images, exactly as they were sent to the teachers.",
    },
    "losses": {
        "id": "Id of the sample; null where a row never became one.",
        "teacher": "The teacher, where the loss is about one reply.",
        "call": "Key of the call, where the loss is about one reply.",
        "stage": "Where it was lost: `source`, `dedup`, `forge` (not asked), `ask` (failed), `read`, `filter`, `vote`, `rescue`, "
        "`verify`, `weave`, `select` or `export`.",
        "reason": "Why: see [reasons](reasons.md).",
        "detail": "File and line, and what exactly was wrong.",
    },
}
"""What each column of each table holds."""


def columns_of(table: Table) -> Mapping[str, Any]:
    """The columns of a table by name, in order; `measure_*` stands for all those of measures."""
    makes = {
        "lessons": lambda: columns.lesson_columns(["measure_*"], columns.OPTIONAL),
        "traces": lambda: columns.trace_columns(["measure_*"], columns.OPTIONAL_OF_TRACES),
    }
    plain = {"preference": columns.PREFERENCE, "losses": columns.LOSSES}
    return makes[table]() if table in makes else plain[table]


def columns_table(table: Table) -> str:
    """A row for every column: name, type, what it holds."""
    rows = ([f"`{name}`", type_name(kind.card), MEANINGS[table][name]] for name, kind in columns_of(table).items())
    return markdown_table((HEADS[table], "type", "holds"), rows)


def type_name(card: Mapping[str, Any]) -> str:
    """The type of a column in words, by its entry in a card's `dataset_info.features`."""
    if "dtype" in card:
        return NAMES.get(card["dtype"], str(card["dtype"]))
    inner = card["list"]
    if isinstance(inner, str):
        return f"list of {NAMES.get(inner, inner)}s"
    return f"list of `{{{', '.join(field['name'] for field in inner)}}}`"
