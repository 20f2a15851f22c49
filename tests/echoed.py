"""A follow-up of the tests' own: an accepted answer is put to two teachers again, without a picture and with other pictures.

As a program, `python -m tests.echoed FOLDER` builds the pipeline of a folder with it.
"""

import io
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from PIL import Image

from cotforge.findings import Finding
from cotforge.followups.frame import Follow, FollowUp, FollowUpAsker, FollowUpFound, VotedSample
from cotforge.pipeline import Loaded
from cotforge.records import Picture
from cotforge.session import RunSession
from cotforge.teachers.kinds.openai import OpenAITeacher
from tests.project import summary


def blank_picture() -> Picture:
    """Grey all over."""
    file = io.BytesIO()
    Image.new("RGB", (48, 32), (128, 128, 128)).save(file, "PNG")
    data = file.getvalue()
    return Picture(sha256(data).hexdigest(), "image/png", 48, 32, len(data), lambda: data)


class EchoedAnswer:
    """First a text alone, then a blank picture and another sample's side by side."""

    def __init__(self, asker: FollowUpAsker) -> None:
        self.asker = asker

    def expected_calls(self, accepted: float, replies: float) -> Mapping[str, float]:
        first, last = self.asker.teachers[0].name, self.asker.teachers[-1].name
        return {first: 3 * accepted} if first == last else {first: accepted, last: 2 * accepted}

    def later_calls(self, *, accepted: bool) -> Mapping[str, float]:
        return {self.asker.teachers[-1].name: 2}

    def follow(self, about: VotedSample) -> Follow:
        if not about.good:
            return FollowUpFound(skipped=("echo:undecided",))
        asker, sample, trace = self.asker, about.sample, about.good[0]
        given = {"reasoning": trace.reasoning}
        told = asker.call(replace(sample, pictures=()), asker.teachers[0], asker.prompts.verify, origin="verify", given=given, index=3)
        reply = (yield [told]).get(told.key)
        if reply is None or not reply.outcome.has_text:
            return FollowUpFound(skipped=("echo:no_reply",))
        other = next(one for one in about.common.partners if one.label != sample.label)
        shown = [
            asker.call(
                replace(sample, pictures=pictures), asker.teachers[-1], asker.prompts.verify, origin="probe", given=given, index=index
            )
            for index, pictures in ((4, (blank_picture(),)), (5, other.pictures))
        ]
        replies = yield shown
        return FollowUpFound(findings=tuple(Finding("probe", trace.teacher, one.teacher, float(one.key in replies)) for one in shown))


class EchoingLoaded(Loaded):
    """A pipeline with this follow-up, and no section of its own."""

    def follow_ups(self) -> tuple[FollowUp, ...]:
        """The one."""
        return (EchoedAnswer(FollowUpAsker.of(self.pipeline.teachers, self.prompts, self.pipeline.task)),)

    @property
    def follow_up_names(self) -> tuple[str, ...]:
        return ("echo",)


class SharingTeacher(OpenAITeacher):
    """A server that holds the GPU of this machine while it is asked."""

    def devices(self) -> frozenset[str]:
        """The one."""
        return frozenset({"gpu:0"})


class TurningLoaded(EchoingLoaded):
    """Teachers that take turns; what the first is asked follows from what the last one said."""

    @classmethod
    def load(cls, *words: Any, **more: Any) -> Loaded:
        """With teachers that share the GPU."""
        plain = Loaded.load(*words, **more)
        teachers = tuple(SharingTeacher(**teacher.model_dump()) for teacher in plain.pipeline.teachers)
        return replace(plain, pipeline=plain.pipeline.model_copy(update={"teachers": teachers}))

    def follow_ups(self) -> tuple[FollowUp, ...]:
        """The last teacher is asked first."""
        return (EchoedAnswer(FollowUpAsker(self.pipeline.teachers[::-1], self.prompts, self.pipeline.task)),)


@contextmanager
def opened(folder: Path, *sets: str, kind: type[Loaded] = EchoingLoaded, limit: int | None = None) -> Iterator[RunSession]:
    """The run of the folder's pipeline, with the follow-up."""
    plain = kind.load(folder / "pipeline.yaml", sets)
    loaded = kind(**{field.name: getattr(plain, field.name) for field in fields(plain)})
    with RunSession._in_folder(loaded, folder / "runs/feelings", limit, None) as run:
        yield run


def build(folder: Path, *sets: str, **options: object) -> dict[str, object]:
    """The summary of a build that ends well."""
    with opened(folder, *sets) as run:
        run.build(**options)  # type: ignore[arg-type]
    return summary(folder / "runs/feelings")


if __name__ == "__main__":
    build(Path(sys.argv[1]))
