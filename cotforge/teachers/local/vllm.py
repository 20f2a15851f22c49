"""The engine on `vllm.LLM`: one continuous batch, which a request joins when it is added and leaves when it is done.

A request means here what it means to vLLM's own server: the server's type reads `body`, its renderer the chat, and what the model's makers
recommend holds where nothing is set. So a teacher may move between `openai` and `vllm` without a Call being asked again. Source: vLLM 0.20
to 0.32, `OpenAIServingChat`.
"""

import os
import re
import threading
from collections.abc import Mapping
from functools import lru_cache
from multiprocessing import active_children
from multiprocessing.connection import wait
from typing import Any, Final

from cotforge.errors import in_words
from cotforge.records import Fault
from cotforge.teachers.local.engine import TAGS, Asking, Generation, Unfit, open_picture
from cotforge.teachers.local.spec import LocalTeacher

KEPT = 4
"""Pictures (ours) that stay decoded, for the Calls about the same one that follow at once."""
LOOKED = ("config_format", "hf_overrides", "hf_token", "revision", "trust_remote_code")
"""Of vLLM's arguments, those that say where and how a model's settings are found."""
NOTHING: Final = [{"role": "user", "content": ""}]
"""In the request of which only the sampling is read."""


def load_model(teacher: LocalTeacher, model: str) -> "VllmEngine":
    """The model in vLLM, ready to be asked. Raises Unfit where it cannot be loaded, or sees no images."""
    # Spawned, not forked: a forked engine would hold this process's socket open, and its death would not be noticed.
    os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    import vllm

    # A context as long as the memory allows: a model's own 128,000 tokens do not fit on many cards, and vLLM would give up.
    options: dict[str, Any] = {"max_model_len": -1, **teacher.engine}
    try:
        looked = {name: options[name] for name in LOOKED if name in options}
        if not vllm.EngineArgs(model=model, **looked).create_model_config().is_multimodal_model:
            raise Unfit(f"{model} is no vision-language model")
        return VllmEngine(vllm.LLM(model=model, **options))
    except (OSError, RuntimeError, TypeError, ValueError) as fault:  # the files, the memory, or the arguments
        raise Unfit(_root_cause(fault)) from fault


class VllmEngine:
    """An `Engine` around a `vllm.LLM`, whose own process works on while requests are added here."""

    def __init__(self, llm: Any) -> None:
        self._llm, self._engine = llm, llm.llm_engine
        self._defaults = llm.model_config.get_diff_sampling_param()
        added = getattr(llm.get_tokenizer(), "added_tokens_decoder", {}).values()
        self._fields = {"skip_special_tokens": not any(token.special and token.content in TAGS for token in added)}
        self._inside: dict[int, str] = {}
        self._opened = lru_cache(KEPT)(open_picture)
        if children := active_children():
            threading.Thread(target=self._watch_processes, args=([child.sentinel for child in children],), daemon=True).start()

    def _watch_processes(self, sentinels: list[int]) -> None:
        """Wake `step` when vLLM's own process is gone: where that was killed, for its memory say, vLLM would wait for it forever."""
        wait(sentinels)
        self._engine.engine_core.outputs_queue.put_nowait(RuntimeError("vLLM's own process ended; its log has the root cause"))

    def add(self, asking: Asking) -> None:
        """Raises Fault where vLLM refuses the request, for example as too long, or a picture cannot be read."""
        from vllm import exceptions
        from vllm.v1.engine.exceptions import EngineDeadError

        messages = [self._vllm_message(message, asking.images) for message in asking.messages]
        try:
            self._inside[asking.id] = self._add_request(asking, messages)
        except EngineDeadError:
            pass  # the next `step` finds it dead as well, and that ends the worker
        except (ValueError, getattr(exceptions, "VLLMClientError", ValueError)) as fault:  # the second since 0.28 or so
            raise Fault("too_long" if getattr(fault, "parameter", "") == "input_tokens" else "refused", str(fault)) from fault

    def _add_request(self, asking: Asking, messages: list[dict[str, Any]]) -> str:
        """vLLM's own id of the request."""
        from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest

        limit = asking.body.get("max_completion_tokens", asking.max_tokens)
        given = {**self._fields, "temperature": asking.temperature, "top_p": asking.top_p, **asking.body, "max_completion_tokens": limit}
        given |= {} if asking.seed is None else {"seed": asking.seed}
        request = ChatCompletionRequest(messages=NOTHING, **given)
        config = self._llm.model_config
        extras = {"mm_processor_kwargs": request.mm_processor_kwargs} if request.mm_processor_kwargs else None
        chat, tokens = request.build_chat_params(self._llm.chat_template, "auto"), request.build_tok_params(config)
        _, (prompt,) = self._llm.renderer.render_chat([messages], chat, tokens, prompt_extras=extras)
        return str(self._engine.add_request(str(asking.id), prompt, request.to_sampling_params(limit, self._defaults)))

    def _vllm_message(self, message: Mapping[str, Any], images: Mapping[str, bytes | str]) -> dict[str, Any]:
        return {"role": message["role"], "content": [self._vllm_part(part, images) for part in message["content"]]}

    def _vllm_part(self, part: Mapping[str, Any], images: Mapping[str, bytes | str]) -> Mapping[str, Any]:
        """A picture is known to vLLM by its digest, so that its processor and encoder look at equal ones once."""
        if part["type"] != "image":
            return part
        digest = part["digest"]
        return {"type": "image_pil", "image_pil": self._opened(images[digest], digest), "uuid": digest}

    def drop(self, id: int) -> None:
        if (inside := self._inside.pop(id, None)) is not None:
            self._engine.abort_request([inside], internal=True)

    def step(self) -> list[Generation]:
        """What the batch's next step finished; waits for it. Raises Unfit where vLLM's own process failed."""
        try:
            return [self._read_output(output) for output in self._engine.step() if output.finished]
        except Exception as fault:
            raise Unfit(_root_cause(fault)) from fault

    def _read_output(self, output: Any) -> Generation:
        id, text = int(output.request_id), output.outputs[0]
        self._inside.pop(id, None)
        if text.finish_reason not in ("stop", "length"):
            return Generation(id, error="engine_error", detail=f"vLLM ended the request with {text.finish_reason!r}", passing=True)
        return Generation(id, text.text, text.finish_reason, len(output.prompt_token_ids), len(text.token_ids))

    def close(self) -> None:
        self._engine.engine_core.shutdown()


def _root_cause(fault: Exception) -> str:
    """Why vLLM failed, on one line. Its engine runs in a process of its own, which tells it on the stderr that it shares with this one."""
    said = in_words(fault)
    if "root cause" not in said:
        return said
    try:
        log = os.pread(2, 2**16, max(0, os.fstat(2).st_size - 2**16)).decode("utf-8", "replace")
    except OSError:  # stderr is no file
        return said
    causes = [cause for cause in re.findall(r" ERROR .*?\] [\w.]+(?:Error|Exception): (.+)", log) if "root cause" not in cause]
    return causes[-1] if causes else "vLLM's own process was killed; was there not enough memory?"
