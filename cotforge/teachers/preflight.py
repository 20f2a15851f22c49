"""Before anything paid: is every teacher there, is the key good, is the model served?"""

import asyncio
import socket
import ssl
import time
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

import aiohttp

from cotforge.endings import Closing
from cotforge.errors import TeacherError, show_value
from cotforge.records import Outcome
from cotforge.redaction import SHORTEST, is_weak, redact_text
from cotforge.teachers.kind import TeacherKind
from cotforge.teachers.openai import Session, said_by
from cotforge.teachers.teacher import Teacher

PATIENCE = 10.0
"""Seconds a server has to come up before it counts as dead."""


async def check_teachers(teachers: Iterable[TeacherKind]) -> list[str]:
    """Look at what every teacher needs elsewhere. Returns warnings: a replica that is dead while another of its teacher lives.

    Raises TeacherError with a line per teacher that is dead, refuses the key, or does not serve the model.
    """
    async with Session() as session:
        found = await asyncio.gather(*(teacher.preflight(session) for teacher in teachers))
    faults = [fault for faults, _ in found for fault in faults]
    if faults:
        raise TeacherError(*faults)
    return [warning for _, warnings in found for warning in warnings]


async def look_at(session: Session, teacher: Teacher, urls: Sequence[str]) -> tuple[list[str], list[str]]:
    """(faults, warnings) of servers that speak OpenAI's protocol; that some of them are dead is a warning."""
    try:
        weak = _weak_key(teacher)
    except KeyError:
        return [f"teacher {show_value(teacher.name)}: key_env: the environment has no variable {show_value(teacher.key_env)}"], []
    looked = await asyncio.gather(*(_look_at_server(session, teacher, url) for url in urls))
    dead = [fault for fault, alive in looked if fault and not alive]
    wrong = [fault for fault, alive in looked if fault and alive]
    if wrong or len(dead) == len(looked):
        return wrong or dead, []
    return [], [*weak, *(f"{fault}; going on with the other replicas" for fault in dead)]


def _weak_key(teacher: Teacher) -> list[str]:
    """A line about a key that cannot be told from words. Raises KeyError where its variable is not set."""
    key = teacher.key()
    if not key or not is_weak(key):
        return []
    short = f"the key in {teacher.key_env} has fewer than {SHORTEST} letters and digits"
    return [f"teacher {teacher.name!r}: {short}: it is cut out of replies only where it stands as a word of its own; take a longer one"]


async def _look_at_server(session: Session, teacher: Teacher, url: str) -> tuple[str, bool]:
    """(what is wrong, whether the server lives); a server may take PATIENCE to come up, but no certificate becomes another one."""
    begun = time.monotonic()
    where = f"teacher {show_value(teacher.name)}: {url}"
    while True:
        try:
            return (await _models_fault(session, teacher, url, where)) if teacher.listed else (await _connection_fault(url)), True
        except (aiohttp.ClientError, OSError) as fault:  # TimeoutError is an OSError
            seconds = time.monotonic() - begun
            if seconds > PATIENCE or isinstance(fault, ssl.SSLError | aiohttp.ClientSSLError):
                return f"{where}: {_why_unreached(fault, seconds)}", False
        await asyncio.sleep(0.25)


def _why_unreached(fault: Exception, seconds: float) -> str:
    """Why a server was not reached for so long, and what to look at: each has its own words."""
    inner = getattr(fault, "os_error", None) or fault
    if isinstance(fault, ssl.SSLError | aiohttp.ClientSSLError):
        plain = "WRONG_VERSION_NUMBER" in str(fault) or "record layer failure" in str(fault).casefold()
        if plain:
            return "does not speak TLS; if it is a plain server, write http:// instead of https://"
        error = getattr(fault, "certificate_error", None) or inner
        words = getattr(error, "verify_message", "") or getattr(error, "reason", "") or said_by(fault)
        return f"its TLS certificate or connection is not sound: {str(words).replace('_', ' ').lower()}; mend it, or write the right host"
    if isinstance(fault, aiohttp.ClientConnectorDNSError) or isinstance(inner, socket.gaierror):
        return f"no such host: {said_by(fault).lower()}; is the URL right?"
    if isinstance(inner, ConnectionRefusedError):
        return f"connection refused for {seconds:.0f} s: nothing listens there; is the server up?"
    if isinstance(fault, TimeoutError):
        return f"no answer within {seconds:.0f} s; is the server up?"
    return f"no answer for {seconds:.0f} s: {said_by(fault).lower()}; is the server up?"


async def _connection_fault(url: str) -> str:
    parts = urlsplit(url)
    _, writer = await asyncio.wait_for(
        asyncio.open_connection(parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)), timeout=PATIENCE
    )
    writer.close()
    return ""


async def _models_fault(session: Session, teacher: Teacher, url: str, where: str) -> str:
    status, models, refused, page = await session.models(teacher, url)
    if refused is not None and (why := _refusal_fault(teacher, status, refused)):
        return f"{where} said {status}: {why}"
    if status in (404, 405) and not url.endswith("/v1") and (await session.models(teacher, f"{url}/v1")).status == 200:
        return f"{where} has no API; did you mean {url}/v1?"
    if page is not None:
        words = f" {page!r}" if page else ""
        return f"{where} answered with a web page{words} instead of a list of models; is the URL right? if it is, set listed: false"
    if status != 200 or refused is not None or is_listed(teacher.model, models):
        return ""
    served = ", ".join(repr(redact_text(model)) for model in models[:5]) or "nothing"
    more = " and more" if len(models) > 5 else ""
    return (
        f"{where} does not serve {show_value(teacher.model)}; served there: {served}{more}; if it is served all the same, set listed: false"
    )


def _refusal_fault(teacher: Teacher, status: int, refused: Outcome) -> str:
    """Why a build would come to nothing, as the list of models was refused; empty where that says nothing of the teacher.

    A gateway without a list says 404, 405, 501 or whatever it pleases; one in trouble, 429 or 5xx, may be well by the first Call.
    """
    words = f": {refused.detail}" if refused.detail else ""
    if refused.closes is Closing.KEY or (status == 403 and refused.closes is None):
        key = f"the key in {teacher.key_env} is not accepted" if teacher.key_env else "it wants a key; name its variable with key_env"
        return key if status == 401 else key + words
    if refused.closes is Closing.QUOTA:
        return f"quota or credit is used up{words}"
    if refused.closes is Closing.ACCOUNT:
        return f"the account, or this machine's address, is shut out{words}"
    no_list = refused.closes is Closing.MODEL or "not found" in words.casefold()
    if status in (400, 402, 407, 422) or (status == 200 and not (no_list or refused.busy)):
        return f"it refuses to list its models{words}; if it answers all the same, set listed: false"
    return ""


def is_listed(model: str, models: Sequence[str]) -> bool:
    """Whether a list of models covers one: by its name, by the name before a variant's `:`, or by a pattern with `*`.

    Gemini lists `models/NAME`, Ollama `NAME:latest`; OpenRouter serves `NAME:nitro` and `NAME:floor` of every NAME it lists
    (openrouter.ai/docs, model variants); LiteLLM lists wildcards such as `openai/*` (docs.litellm.ai, wildcard routing).
    """
    plain = model.rpartition(":")[0] or model
    if not {model, f"models/{model}", f"{model}:latest", plain}.isdisjoint(models):
        return True
    return any(fnmatchcase(model, pattern) for pattern in models if "*" in pattern and "[" not in pattern)
