"""What is asked, what counts as the same answer, and how a reply is read."""

from cotforge.answers.cleaning import Mended, clean_reasoning, clean_trace
from cotforge.answers.finding import placeholders_of_call
from cotforge.answers.reading import Reading, Span, answer_span, read_reply, read_text, reads_well, why_lost
from cotforge.answers.task import Task
from cotforge.answers.text import as_text, clean_text, normal_form

__all__ = [
    "Mended",
    "Reading",
    "Span",
    "Task",
    "answer_span",
    "as_text",
    "clean_reasoning",
    "clean_text",
    "clean_trace",
    "normal_form",
    "placeholders_of_call",
    "read_reply",
    "read_text",
    "reads_well",
    "why_lost",
]
