"""What the kinds behind URLs have in common."""

from typing import Annotated, Any, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, model_validator

from cotforge.teachers.kind import TeacherKind
from cotforge.teachers.openai import Session
from cotforge.teachers.preflight import look_at


def _url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is not a URL of a server; write it like 'http://localhost:8000/v1'")
    if parts.username or parts.password:
        raise ValueError("a URL must not hold a password; name an environment variable with key_env")
    return url.rstrip("/")


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class ServedTeacher(TeacherKind):
    """A model behind one URL or several, in OpenAI's form."""

    may_charge: ClassVar[bool] = True

    url: Annotated[tuple[Annotated[str, AfterValidator(_url)], ...], BeforeValidator(_listed)] = ()
    """Base URL, or one per replica of the same model."""

    @model_validator(mode="after")
    def _has_a_url(self) -> Self:
        if not self.url:
            raise ValueError("url is missing; write it like 'http://localhost:8000/v1'")
        return self

    @property
    def urls(self) -> tuple[str, ...]:
        return self.url

    async def preflight(self, session: Session) -> tuple[list[str], list[str]]:
        return await look_at(session, self, self.url)
