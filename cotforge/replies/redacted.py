"""A chat completion without credentials: as it is read, and as it is kept."""

import json
from dataclasses import replace

from cotforge.redaction import holds_credential, redact_text
from cotforge.replies.chat import Completion
from cotforge.replies.stream import is_in_pieces, stream_texts
from cotforge.replies.text import LOOKED_AT


def redact_completion(read: Completion) -> Completion:
    """The same without credentials: the very same object where it holds none."""
    outcome = read.outcome
    if outcome.error is not None or outcome.detail:
        outcome = replace(outcome, error=outcome.error and redact_text(outcome.error), detail=redact_text(outcome.detail))
    content, reasoning, reason = redact_text(read.content), redact_text(read.reasoning), redact_text(read.finish_reason)
    if (content, reasoning, reason, outcome) == (read.content, read.reasoning, read.finish_reason, read.outcome):
        return read
    return replace(read, outcome=outcome, content=content, reasoning=reasoning, finish_reason=reason)


def without_credentials(read: Completion, body: str) -> tuple[Completion, str]:
    """(what a body says, what is kept of it): both as they were where they hold no credential.

    Else the body is put together anew from texts and counts alone: a credential may lie in pieces in anything else that it holds, such as
    the chunks of a stream, the parts of a content or the tokens of `logprobs`.
    """
    safe, kept = redact_completion(read), redact_text(body)
    is_kept_whole = safe.outcome.has_text or bool(safe.finish_reason)
    looked_at = body if is_kept_whole else body[:LOOKED_AT]  # of any other the beginning is kept, and it may be too dense to be read
    if safe is read and kept == body and not (is_in_pieces(looked_at) and any(map(holds_credential, stream_texts(looked_at)))):
        return read, body
    return (safe, _completion_body(safe)) if is_kept_whole else (safe, kept)


def _completion_body(read: Completion) -> str:
    """As a chat completion, the form in which the journal keeps every reply."""
    message = {"role": "assistant", "content": read.content} | ({"reasoning_content": read.reasoning} if read.reasoning else {})
    choice = {"index": 0, "message": message, "finish_reason": read.finish_reason or None}
    details = {"completion_tokens_details": {"reasoning_tokens": read.reasoning_tokens}} if read.reasoning_tokens else {}
    usage = {"prompt_tokens": read.input_tokens, "completion_tokens": read.output_tokens} | details
    return json.dumps({"object": "chat.completion", "choices": [choice], "usage": usage})
