"""`kind: transformers`: small models on this machine, batch by batch."""

from typing import ClassVar, Literal

from cotforge.teachers.kind import Opening, TeacherBackend
from cotforge.teachers.local import Local
from cotforge.teachers.local.spec import SAMPLING, LocalTeacher


class TransformersTeacher(LocalTeacher):
    """A model that transformers runs in processes on this machine."""

    libraries: ClassVar[tuple[str, ...]] = ("torch", "transformers")
    loader: ClassVar[str] = "cotforge.teachers.local.transformers"
    body_keys: ClassVar[tuple[str, ...] | None] = (*SAMPLING, "chat_template_kwargs", "seed", "stop")
    ahead: ClassVar[int] = 2

    kind: Literal["transformers"] = "transformers"
    """`transformers`: the model runs on this machine, by transformers."""

    async def open(self, opening: Opening) -> TeacherBackend:
        return await opening.stack.enter_async_context(Local(self, opening.root))
