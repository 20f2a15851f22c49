"""What a simulated server answers: a chat completion, an error in OpenAI's form, or a web page."""

import json
import math
import time
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from cotforge.replies.fingerprints import FINGERPRINT
from cotforge.simulate.request import HttpRefusal, ParsedRequest
from cotforge.simulate.speaker import TOKEN, Spoken
from cotforge.teachers.simulated import Simulated

BUSY = frozenset({429, 503, 529})
"""Statuses that carry Retry-After."""
ABSURD = {"prompt_tokens": -1, "completion_tokens": 10**12, "total_tokens": 0.5}
PAGE = "<!DOCTYPE html>\n<html><head><title>{0}</title></head><body><h1>{0}</h1><hr>nginx</body></html>\n"


def completion_body(asked: ParsedRequest, choices: Sequence[Spoken], input_tokens: int, *, usage: str) -> bytes:
    """A `chat.read_completion` object as JSON; `usage` as in `simulate.usage`."""
    output_tokens = sum(choice.tokens for choice in choices)
    counted = {"prompt_tokens": input_tokens, "completion_tokens": output_tokens, "total_tokens": input_tokens + output_tokens}
    body = {
        "id": f"chatcmpl-{asked.digest.hex()[:24]}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": asked.model,
        "system_fingerprint": FINGERPRINT,
        "choices": [
            {"index": index, "message": _choice_message(choice), "finish_reason": choice.finish_reason, **_choice_logprobs(choice, asked)}
            for index, choice in enumerate(choices)
        ],
    }
    if usage != "missing":
        body["usage"] = counted if usage == "counted" else ABSURD
    return json.dumps(body).encode()


def _choice_message(choice: Spoken) -> dict[str, Any]:
    if choice.refusal:
        return {"role": "assistant", "content": None, "refusal": choice.refusal}
    return {"role": "assistant", "content": choice.text}


def _choice_logprobs(choice: Spoken, asked: ParsedRequest) -> dict[str, Any]:
    """Of every token, as vLLM and OpenAI give them; nothing where none were asked for, or none are given."""
    if choice.sure is None or not asked.logprobs:
        return {}
    place, first = 0, choice.text.rfind(choice.answer)
    content = []
    for token in TOKEN.findall(choice.text):
        place, begun = place + len(token), place
        logprob = math.log(choice.sure) if begun <= first < place else -0.001
        content.append({"token": token, "logprob": logprob, "bytes": list(token.encode()), "top_logprobs": []})
    return {"logprobs": {"content": content}}


def answer_response(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


def failure_response(simulated: Simulated) -> web.Response:
    """The answer to an attempt that `simulate.errors` strikes."""
    status = simulated.error_status
    if simulated.error_body == "html":
        page = PAGE.format("Welcome to nginx!" if status == 200 else f"{status} error")
        return web.Response(text=page, status=status, content_type="text/html", headers=_retry_header(status, simulated.retry_after))
    return refusal_response(HttpRefusal(status, "the simulated server failed", code="internal_error"), simulated.retry_after)


def refusal_response(refused: HttpRefusal, retry_after: float | None = None) -> web.Response:
    """A no in OpenAI's form."""
    return web.json_response(refused.body(), status=refused.status, headers=_retry_header(refused.status, retry_after))


def _retry_header(status: int, retry_after: float | None) -> dict[str, str]:
    return {} if retry_after is None or status not in BUSY else {"Retry-After": f"{retry_after:g}"}
