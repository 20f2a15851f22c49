"""Calls of Samples that nobody was asked about, counted without making each: `check` of a million rows would make them to drop them."""

from collections.abc import Iterator

from cotforge.pipeline import Loaded
from cotforge.records import Fault, Sample
from cotforge.teachers.wire import input_tokens

KEPT = 4_096
"""Forms of Samples whose counts are remembered."""

Asking = dict[str, tuple[int, int]]
"""(Calls, their input tokens), by teacher."""


class Unasked:
    """Counts by form: question, options and the sizes of the pictures, which all that is counted follows from."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._known: dict[object, Asking] = {}
        prompts = loaded.prompts.solve.inputs | loaded.prompts.vote.inputs
        self._forms = "meta" not in prompts
        """Whether all Samples of a form are asked in as many words."""

    def counted(self, samples: Iterator[Sample | Fault]) -> Iterator[tuple[Sample, Asking] | Fault]:
        """Each with what is asked about it; a Fault where no prompt can be made."""
        for sample in samples:
            if isinstance(sample, Fault):
                yield sample
                continue
            try:
                yield sample, self._what_is_asked(sample)
            except Fault as fault:
                yield fault

    def _what_is_asked(self, sample: Sample) -> Asking:
        form = sample.question, sample.options, tuple([(picture.width, picture.height) for picture in sample.pictures])
        known = self._known.get(form) if self._forms else None
        if known is None:
            known = {}
            for teacher, call in self._loaded.calls(sample):
                calls, tokens = known.get(teacher.name, (0, 0))
                known[teacher.name] = calls + 1, tokens + input_tokens(call)
            if len(self._known) >= KEPT:
                self._known.clear()
            self._known[form] = known
        return known
