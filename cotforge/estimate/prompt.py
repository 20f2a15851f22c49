"""What is asked about one Sample, rendered, for a person to read before anything is paid."""

from collections.abc import Iterable
from itertools import islice

from cotforge.errors import PipelineError
from cotforge.pipeline import Loaded
from cotforge.prompts import as_text
from cotforge.records import Fault, Sample


def shown_prompt(loaded: Loaded, samples: Iterable[Sample | Fault], number: int) -> str:
    """What the first teacher is asked about the Sample of that number, from 1, as text.

    Raises PipelineError where there are fewer Samples, or no prompt can be made.
    """
    sound = (item for item in samples if isinstance(item, Sample))
    before = sum(1 for _ in islice(sound, number - 1))
    if (sample := next(sound, None)) is None:
        raise PipelineError(f"--show-prompt {number}: the source has only {before:,} samples; give the number of one, from 1")
    try:
        calls = loaded.calls(sample)
    except Fault as fault:
        raise PipelineError(f"--show-prompt {number}: {fault}") from fault
    teacher = calls[0][0].name
    return "\n\n".join(
        f"sample {number}, {sample.id!r} ({sample.where}), {call.origin}, teacher {teacher!r}:\n{as_text(call)}\n"
        for asked, call in calls
        if asked.name == teacher and call.index == 0
    )
