"""What the kinds behind URLs have in common."""

import re
from ipaddress import IPv6Address
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, model_validator

from cotforge.errors import show_value
from cotforge.spec import AutoOrOff
from cotforge.teachers.kind import TeacherKind
from cotforge.teachers.openai import Session
from cotforge.teachers.preflight import look_at
from cotforge.teachers.wire import LOGPROBS


def server_url(url: str) -> str:
    """The URL of a server, without blanks and slashes around it.

    Raises ValueError where no server can be reached by it; a password in it is not told.
    """
    url = url.strip()
    if "@" in url.partition("//")[2].partition("/")[0]:
        raise ValueError("a URL must not hold a password; name an environment variable with key_env")
    if (why := _why_unreachable(url)) is not None:
        told = "this" if "@" in url else show_value(url)
        raise ValueError(f"{told} is not a URL of a server{why}; write it like 'http://localhost:8000/v1'")
    return url.rstrip("/")


def _why_unreachable(url: str) -> str | None:
    """What is wrong with a URL, as `: why`, empty where that is plain to see; None where nothing is."""
    if not url.isprintable() or any(c in url for c in ' \\"<>^`{|}'):
        return ": it holds a character that a URL has not"
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return ""
        if parts.port is not None and not 1 <= parts.port <= 65535:
            return ": a port is 1 to 65535"
    except ValueError as fault:
        return ": a port is 1 to 65535" if "ort " in str(fault) else ": its host is none"
    if parts.query or parts.fragment:
        return ": paths are added to it, so it has no '?' and no '#'"
    return None if _host_is_sound(parts.hostname, bracketed="[" in parts.netloc) else ": its host is none"


def _host_is_sound(host: str, *, bracketed: bool) -> bool:
    try:
        if bracketed:
            return bool(IPv6Address(host))
        ascii = host.encode("idna").decode()
    except ValueError:
        return False
    return re.fullmatch(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_.])?", ascii) is not None and len(ascii) <= 253


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class ServedTeacher(TeacherKind):
    """A model behind one URL or several, in OpenAI's form."""

    may_charge: ClassVar[bool] = True

    url: Annotated[
        tuple[Annotated[str, AfterValidator(server_url)], ...], BeforeValidator(_as_list, json_schema_input_type=str | tuple[str, ...])
    ] = ()
    """Base URL, or a list of replicas of the same model. Required; `batch` takes one."""
    logprobs: AutoOrOff = "auto"
    """`auto`: the tokens' log probabilities are requested, if `consensus.logprobs` is `auto` and
    the server accepts the field. `off`: they are not. A field of this name in `body` takes
    precedence. Never part of a call's key."""

    @model_validator(mode="after")
    def _has_a_url(self) -> Self:
        if not self.url:
            raise ValueError("url is missing; write it like 'http://localhost:8000/v1'")
        return self

    @property
    def asks_logprobs(self) -> bool:
        return self.logprobs == "auto" and LOGPROBS not in self.body

    @property
    def urls(self) -> tuple[str, ...]:
        return self.url

    async def preflight(self, session: Session) -> tuple[list[str], list[str]]:
        return await look_at(session, self, self.url)
