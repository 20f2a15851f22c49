"""What is asked, what counts as the same answer, and how a reply is read."""

from cotforge.answers.reading import read, reads_well, why_lost
from cotforge.answers.task import Task
from cotforge.answers.text import as_text, normal, seen

__all__ = ["Task", "as_text", "normal", "read", "reads_well", "seen", "why_lost"]
