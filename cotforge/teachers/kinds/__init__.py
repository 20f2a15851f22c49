"""The kinds of teachers, a file each. A new one gets an entry in KINDS, and nothing else has to know of it."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import BeforeValidator, Field
from pydantic_core import to_jsonable_python

from cotforge.teachers.kind import TeacherKind
from cotforge.teachers.kinds.batch import BatchTeacher
from cotforge.teachers.kinds.openai import OpenAITeacher
from cotforge.teachers.kinds.replay import ReplayTeacher
from cotforge.teachers.kinds.transformers import TransformersTeacher
from cotforge.teachers.kinds.vllm import VllmTeacher

KINDS: tuple[type[TeacherKind], ...] = (OpenAITeacher, BatchTeacher, TransformersTeacher, VllmTeacher, ReplayTeacher)
"""Every kind there is; a teacher that names none is of the first."""


def _complete_section(given: Any) -> Any:
    """A teacher's section with its kind, and without what other kinds have and it leaves at its default.

    Run folders of earlier versions keep every key of every kind.
    """
    if not isinstance(given, Mapping):
        return given
    kind = given.get("kind", KINDS[0].model_fields["kind"].default)
    own = {name for each in KINDS if each.model_fields["kind"].default == kind for name in each.model_fields}
    return {"kind": kind} | {key: value for key, value in given.items() if not own or key in own or not _left_out(key, value, KINDS)}


def _left_out(key: Any, value: Any, kinds: Iterable[type[TeacherKind]]) -> bool:
    """Whether some kind has the key, with that value where the file does not say another."""
    fields = [kind.model_fields[key] for kind in kinds if key in kind.model_fields]
    defaults = [field.get_default(call_default_factory=True) for field in fields if not field.is_required()]
    return any(to_jsonable_python(default) == value for default in defaults)


if TYPE_CHECKING:
    AnyTeacher = TeacherKind
else:
    AnyTeacher = Annotated[Union[KINDS], Field(discriminator="kind"), BeforeValidator(_complete_section)]  # noqa: UP007
    """An entry of `teachers`, by its `kind`."""
