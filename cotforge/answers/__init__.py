"""What is asked, what counts as the same answer, and how a reply is read."""

from cotforge.answers.cleaning import Mended, clean_reasoning, mended
from cotforge.answers.finding import placeholders
from cotforge.answers.reading import Reading, Span, answer_span, read, read_text, reads_well, why_lost
from cotforge.answers.task import Task
from cotforge.answers.text import as_text, normal, seen

__all__ = [
    "Mended",
    "Reading",
    "Span",
    "Task",
    "answer_span",
    "as_text",
    "clean_reasoning",
    "mended",
    "normal",
    "placeholders",
    "read",
    "read_text",
    "reads_well",
    "seen",
    "why_lost",
]
