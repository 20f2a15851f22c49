"""Before anything paid: is every teacher there, is the key good, is the model served?"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

import aiohttp

from cotforge.errors import TeacherError, shown
from cotforge.records import Closing, Outcome
from cotforge.teachers.kind import TeacherKind
from cotforge.teachers.openai import Session, said_by
from cotforge.teachers.teacher import Teacher

PATIENCE = 10.0
"""Seconds a server has to come up before it counts as dead."""


async def preflight(teachers: Iterable[TeacherKind]) -> list[str]:
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
        teacher.key()
    except KeyError:
        return [f"teacher {shown(teacher.name)}: key_env: the environment has no variable {shown(teacher.key_env)}"], []
    looked = await asyncio.gather(*(_look(session, teacher, url) for url in urls))
    dead = [fault for fault, alive in looked if fault and not alive]
    wrong = [fault for fault, alive in looked if fault and alive]
    if wrong or len(dead) == len(looked):
        return wrong or dead, []
    return [], [f"{fault}; going on with the other replicas" for fault in dead]


async def _look(session: Session, teacher: Teacher, url: str) -> tuple[str, bool]:
    """(what is wrong, whether the server lives)"""
    until = time.monotonic() + PATIENCE
    where = f"teacher {shown(teacher.name)}: {url}"
    while True:
        try:
            return (await _listed(session, teacher, url, where)) if teacher.listed else (await _connects(url)), True
        except (aiohttp.ClientError, OSError) as fault:  # TimeoutError is an OSError
            if time.monotonic() > until:
                return f"{where}: no answer within {PATIENCE:g} s: {said_by(fault).lower()}; is the server up?", False
        await asyncio.sleep(0.25)


async def _connects(url: str) -> str:
    parts = urlsplit(url)
    _, writer = await asyncio.wait_for(
        asyncio.open_connection(parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)), timeout=PATIENCE
    )
    writer.close()
    return ""


async def _listed(session: Session, teacher: Teacher, url: str, where: str) -> str:
    status, models, refused = await session.models(teacher, url)
    if refused is not None and (why := _refused(teacher, status, refused)):
        return f"{where} said {status}: {why}"
    if status in (404, 405) and not url.endswith("/v1") and (await session.models(teacher, f"{url}/v1")).status == 200:
        return f"{where} has no API; did you mean {url}/v1?"
    if status != 200 or refused is not None or is_listed(teacher.model, models):
        return ""
    served = ", ".join(repr(model) for model in models[:5]) or "nothing"
    more = " and more" if len(models) > 5 else ""
    return f"{where} does not serve {shown(teacher.model)}; served there: {served}{more}; if it is served all the same, set listed: false"


def _refused(teacher: Teacher, status: int, refused: Outcome) -> str:
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
