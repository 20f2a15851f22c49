"""Other teachers that are shown a reasoning without its answer, and what they make of it."""

from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from cotforge.errors import PipelineError, show_value
from cotforge.findings import Finding
from cotforge.followups.frame import FollowUpAsker, Replies
from cotforge.followups.reply_faults import is_refusal
from cotforge.records import Call, Reply, Sample, Trace
from cotforge.teachers.kind import TeacherKind


class Asked(NamedTuple):
    """A Call that shows a reasoning, and the answer that it should lead to."""

    call: Call
    of: Trace
    with_picture: bool


class ReaderReply(NamedTuple):
    """What a teacher made of a reasoning."""

    asked: Asked
    came: bool | None
    """Whether it came to the answer; None where nobody knows: no reply, or none that could be read."""
    fault: str = ""
    """Why its reply could not be read, as a published word; empty where it could, or none came."""

    def finding(self, detail: str) -> Finding:
        """As a figure about the teacher that wrote the text. Only where `came` is known."""
        trace = self.asked.of
        return Finding("verify", trace.teacher, self.asked.call.teacher, float(bool(self.came)), detail, trace.call)


def readers_of(asker: FollowUpAsker, writer: Trace, *, names: Collection[str] | None = None) -> list[TeacherKind]:
    """Teachers of another name and model than the writer's, in an order that depends on its Call; of `names` alone where they are given."""
    ranked = asker.ranked(writer.call, "verify", without={writer.teacher})
    return [teacher for teacher in ranked if teacher.model != writer.model and (names is None or teacher.name in names)]


def ask_reader(asker: FollowUpAsker, trace: Trace, sample: Sample, text: str, reader: TeacherKind, *, with_picture: bool = True) -> Asked:
    """Show a teacher the text of a trace. Raises Fault as `FollowUpAsker.call`."""
    shown = sample if with_picture else replace(sample, pictures=())
    call = asker.call(shown, reader, asker.prompts.verify, origin="verify", given={"reasoning": text})
    return Asked(call, trace, with_picture)


def read_all(
    asker: FollowUpAsker, asked: Sequence[Asked], answers: Mapping[str, str]
) -> Generator[Sequence[Call], Replies, list[ReaderReply]]:
    """Yields the Calls, none twice, and gives what came of each; `answers` has the answer of each trace by its Call."""
    replies = yield list({one.call.key: one.call for one in asked}.values())
    return [_read(asker, one, replies.get(one.call.key), answers[one.of.call]) for one in asked]


def _read(asker: FollowUpAsker, asked: Asked, reply: Reply | None, answer: str) -> ReaderReply:
    trace = asker.read(reply, asked.call)
    if trace is None or reply is None:
        return ReaderReply(asked, None)
    if trace.answer is not None:
        return ReaderReply(asked, trace.answer == answer)
    return ReaderReply(asked, None, "refused" if is_refusal(reply) else str(trace.fault))


def share_that_came(reads: Sequence[ReaderReply]) -> float | None:
    """Share that came to the answer, in [0, 1], of those that could be read; None of none."""
    known = [read.came for read in reads if read.came is not None]
    return sum(known) / len(known) if known else None


def demand_teachers(asker: FollowUpAsker, names: Sequence[str], where: str) -> None:
    """Raises PipelineError where a key names a teacher that there is not, or none that is asked Call by Call."""
    there = [teacher.name for teacher in asker.teachers]
    if unknown := [name for name in names if name not in there]:
        listed = ", ".join(map(show_value, there[:10])) or "none"
        raise PipelineError(f"{where}: no teacher {show_value(unknown[0])} that is asked call by call; there are {listed}")


def demand_readers(asker: FollowUpAsker, count: int, where: str, *, writers: Collection[str] | None = None) -> None:
    """Raises PipelineError where a writer has fewer than `count` teachers of other models beside it."""
    for writer in asker.teachers:
        others = len([other for other in asker.teachers if other.model != writer.model])
        if others < count and (writers is None or writer.name in writers):
            raise PipelineError(
                f"{where}: {count} teacher{'s' * (count != 1)} of other models must read what {show_value(writer.name)} writes, "
                f"and there {'is' if others == 1 else 'are'} {others}; add a teacher of another model, or lower the number"
            )
