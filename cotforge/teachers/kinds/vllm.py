"""`kind: vllm`: models on this machine, all Calls in one continuous batch per GPU, without a server."""

from typing import ClassVar, Literal

from cotforge.teachers.kind import Opening, TeacherBackend
from cotforge.teachers.local import Local
from cotforge.teachers.local.spec import LocalTeacher


class VllmTeacher(LocalTeacher):
    """A model that vLLM runs in processes on this machine."""

    libraries: ClassVar[tuple[str, ...]] = ("vllm",)
    loader: ClassVar[str] = "cotforge.teachers.local.vllm"

    kind: Literal["vllm"] = "vllm"
    """`vllm`: the model runs on this machine, by vLLM."""

    async def open(self, opening: Opening) -> TeacherBackend:
        return await opening.stack.enter_async_context(Local(self, opening.root))
