"""`kind: openai`: any server that speaks OpenAI's chat protocol, at one URL or at several."""

from collections.abc import Callable
from typing import ClassVar, Literal

from cotforge.images import Urls
from cotforge.records import Call
from cotforge.replies.attempt import Attempt
from cotforge.teachers.kind import Opening, TeacherBackend
from cotforge.teachers.kinds.served import ServedTeacher
from cotforge.teachers.openai import Session


class OpenAITeacher(ServedTeacher):
    """A model behind a server with OpenAI's chat API."""

    sends_pictures: ClassVar[bool] = True
    playable: ClassVar[bool] = True

    kind: Literal["openai"] = "openai"
    """`openai`: any server with OpenAI's chat API; one request per call."""

    @property
    def connections(self) -> int:
        return self.concurrency * len(self.url)

    async def open(self, opening: Opening) -> TeacherBackend:
        return Servers(self, opening.session, share=opening.share)


class Servers(TeacherBackend):
    """Its servers."""

    adaptive = True

    def __init__(self, teacher: OpenAITeacher, session: Session, *, share: float) -> None:
        """`share`: of the connections it may have, those that this process can hold, in (0, 1]."""
        self.addresses, self.most = teacher.url, max(1, int(share * teacher.concurrency))
        self._teacher, self._session = teacher, session

    def prepare(self, images: Urls | None) -> None:
        if images is not None:
            images.encode()

    async def ask(self, call: Call, images: Urls | None, at: str, *, number: int, timeout: Callable[[], float]) -> Attempt:
        return await self._session.ask(call, self._teacher, at, images=images or {}, number=number, timeout=timeout)

    async def reached(self, at: str) -> bool:
        return await self._session.reached(self._teacher, at)

    async def queue(self, at: str) -> tuple[int, int] | None:
        return await self._session.queue(at, self._teacher.model)
