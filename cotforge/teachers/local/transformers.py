"""Small models by transformers: batches of requests of about the same length, as large as fit."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING, AutoConfig, AutoModelForImageTextToText, AutoProcessor, LogitsProcessorList

from cotforge.errors import in_words
from cotforge.records import Fault
from cotforge.teachers.local.engine import TAGS, Asking, Generation, Unfit, open_picture, size_of
from cotforge.teachers.local.entropy import Entropies
from cotforge.teachers.local.seeded_draws import SeededDraws
from cotforge.teachers.local.spec import SAMPLING, LocalTeacher

GATHER_S = 0.05
"""Seconds (ours) without a new request after which a batch that is not full begins."""
LONGEST = 8192
"""Tokens at most (ours) of an answer where `max_tokens` is null."""
FROM = ("cache_dir", "revision", "subfolder", "token", "trust_remote_code")
"""Arguments of `from_pretrained` that say where to look: for the processor too."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    asking: Asking
    length: int
    """About its tokens."""


@dataclass(frozen=True, slots=True)
class _Row:
    asking: Asking
    chat: list[dict[str, Any]]
    """Its messages with their pictures decoded, in the form of chat templates."""


def load_model(teacher: LocalTeacher, model: str) -> "Transformers":
    """The engine on the one device that is visible: bf16 on a GPU, float32 on the CPU, where `engine` does not say otherwise."""
    arguments = {"trust_remote_code": False, "use_safetensors": True, **teacher.engine}
    where = {name: arguments[name] for name in FROM if name in arguments}
    try:
        config = AutoConfig.from_pretrained(model, **where)
        if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING and "AutoModelForImageTextToText" not in getattr(
            config, "auto_map", {}
        ):
            raise Unfit(f"{model} is no vision-language model; its config.json says {config.model_type!r}")
        processor = AutoProcessor.from_pretrained(model, **where)
        if not getattr(processor, "chat_template", None):
            raise Unfit(f"{model} has no chat template")
        loaded = _on_device(model, arguments)
    except OSError as fault:  # a file is missing, or the Hub has none of that name
        raise Unfit(f"model: {model!r}: {fault}") from fault
    except torch.OutOfMemoryError as fault:
        raise Unfit(f"does not fit: {fault}") from fault
    if (seed := teacher.body.get("seed")) is not None:
        torch.manual_seed(seed)
    return Transformers(loaded, processor, batch=teacher.concurrency)


def _on_device(model: str, arguments: Mapping[str, Any]) -> Any:
    gpu = torch.cuda.is_available()
    if os.environ.get("CUDA_VISIBLE_DEVICES") and not gpu:
        raise Unfit("torch cannot use the gpu; is it built for the CPU, or the driver too old for it?")
    loaded = AutoModelForImageTextToText.from_pretrained(model, **{"dtype": torch.bfloat16 if gpu else torch.float32, **arguments})
    return (loaded if "device_map" in arguments or not gpu else loaded.to("cuda")).eval()


class Transformers:
    """An `Engine`: what waits is answered batch by batch.

    A batch that does not fit into memory is halved until it does; the largest part that did is the size of the next ones.
    """

    def __init__(self, model: Any, processor: Any, *, batch: int) -> None:
        self.model, self.processor, self.batch = model, processor, batch
        self._waiting: list[_Waiting] = []
        self._came = 0.0
        self._short, self._most = False, 1
        self._words = getattr(processor, "tokenizer", processor)
        if self._words.pad_token is None:
            self._words.pad_token = self._words.eos_token
        ends = model.generation_config.eos_token_id
        self._ends = set(ends if isinstance(ends, list) else [self._words.eos_token_id if ends is None else ends])
        self._mute = {*self._words.all_special_ids} - {*self._words.convert_tokens_to_ids(list(TAGS))}
        self._context: int = getattr(model.config.get_text_config(), "max_position_embeddings", None) or 2**31

    def add(self, asking: Asking) -> None:
        letters = sum(len(part["text"]) for message in asking.messages for part in message["content"] if part["type"] == "text")
        pixels = sum(width * height for width, height in map(size_of, asking.images.values()))
        self._waiting.append(_Waiting(asking, letters // 4 + pixels // 28**2))
        self._came = time.monotonic()

    def drop(self, id: int) -> None:
        self._waiting = [row for row in self._waiting if row.asking.id != id]

    def close(self) -> None:
        self._waiting.clear()

    def step(self) -> list[Generation]:
        if len(self._waiting) < self.batch and time.monotonic() - self._came < GATHER_S:
            time.sleep(GATHER_S / 5)
            return []
        return self._answer_batch(self._next_batch())

    def _next_batch(self) -> list[Asking]:
        """The oldest that waits, with those nearest to it in length: they are padded the least."""
        if not self._waiting:
            return []
        oldest = self._waiting[0].length
        taken = sorted(range(len(self._waiting)), key=lambda place: (place > 0, abs(self._waiting[place].length - oldest)))[: self.batch]
        rows = [self._waiting[place].asking for place in taken]
        self._waiting = [row for place, row in enumerate(self._waiting) if place not in taken]
        return rows

    def _answer_batch(self, batch: Sequence[Asking]) -> list[Generation]:
        """What the model says to each, whose pictures can be read."""
        said, rows = [], []
        for asking in batch:
            try:
                rows.append(_Row(asking, self._chat_messages(asking)))
            except Fault as fault:
                said.append(Generation(asking.id, error=fault.reason, detail=fault.detail))
        self._short, self._most = False, 1
        if rows:
            said += self._try_rows(rows)
        if self._short:
            self.batch = self._most
        return said

    def _try_rows(self, rows: Sequence[_Row]) -> list[Generation]:
        """What fails together is tried by halves, so that one request is the end of itself only. Raises where the device is broken."""
        try:
            said = self._generate_rows(rows)
        except torch.OutOfMemoryError as fault:
            error, detail = "out_of_memory", str(fault)
            self._short = True
        except Fault as fault:
            error, detail = fault.reason, fault.detail
        except Exception as fault:  # a model's own, for what it was given
            error, detail = "engine_error", in_words(fault)
        else:
            self._most = max(self._most, len(rows))
            return said
        if torch.cuda.is_available():
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
        if len(rows) == 1:
            return [Generation(rows[0].asking.id, error=error, detail=detail)]
        half = len(rows) // 2
        return self._try_rows(rows[:half]) + self._try_rows(rows[half:])

    def _chat_messages(self, asking: Asking) -> list[dict[str, Any]]:
        def part(given: Mapping[str, Any]) -> Mapping[str, Any]:
            if given["type"] != "image":
                return given
            return {"type": "image", "image": open_picture(asking.images[given["digest"]], given["digest"])}

        return [{"role": message["role"], "content": [part(given) for given in message["content"]]} for message in asking.messages]

    def _generate_rows(self, rows: Sequence[_Row]) -> list[Generation]:
        asking = rows[0].asking  # all are sampled alike: they are one teacher's
        inputs = self._model_inputs(rows, asking.body.get("chat_template_kwargs", {}))
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        if (room := self._context - max(lengths)) < 1:
            raise Fault("too_long", f"a prompt of {max(lengths):,} tokens; the model reads {self._context:,}")
        inputs = inputs.to(self.model.device, dtype=self.model.dtype)
        entropies, draws = Entropies() if asking.entropy else None, _row_draws(rows)
        processors = [each for each in (entropies, draws) if each is not None]
        with torch.inference_mode():
            tokens = self.model.generate(
                **inputs, max_new_tokens=min(asking.max_tokens or LONGEST, room), pad_token_id=self._words.pad_token_id,
                logits_processor=LogitsProcessorList(processors), **self._sampling_arguments(asking),
            )[:, inputs["input_ids"].shape[1] :].tolist()  # fmt: skip
        said = [self._decode_answer(row.asking, length, new) for row, length, new in zip(rows, lengths, tokens, strict=True)]
        if entropies is None:
            return said
        return [replace(one, entropy=entropies.mean(row, tokens=one.output_tokens)) for row, one in enumerate(said)]

    def _model_inputs(self, rows: Sequence[_Row], template: Mapping[str, Any]) -> Any:
        """The batch as the model reads it. Where chats end with the assistant's message (all do, or none), that is gone on with."""
        padded = {"padding": True, "padding_side": "left", "return_tensors": "pt"}
        if rows[0].chat[-1]["role"] != "assistant":
            del padded["return_tensors"]
            return self.processor.apply_chat_template(
                [row.chat for row in rows], add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt",
                processor_kwargs=padded, **template,
            )  # fmt: skip
        # Written out, because templates of reasoning models leave the thought of an earlier message out.
        asked = self.processor.apply_chat_template([row.chat[:-1] for row in rows], add_generation_prompt=True, tokenize=False, **template)
        begun = ["".join(part["text"] for part in row.chat[-1]["content"]) for row in rows]
        shown = [[part["image"] for message in row.chat for part in message["content"] if part["type"] == "image"] for row in rows]
        texts = [before + text for before, text in zip(asked, begun, strict=True)]
        return self.processor(text=texts, images=shown if any(shown) else None, add_special_tokens=False, **padded)

    def _sampling_arguments(self, asking: Asking) -> dict[str, Any]:
        """Arguments of `generate`; the 50 likeliest tokens, its own default, are nobody's wish."""
        own = {name: asking.body[name] for name in SAMPLING if name in asking.body}
        if stops := _stop_texts(asking):
            own |= {"stop_strings": stops, "tokenizer": self._words}
        if not asking.temperature:
            return {**own, "do_sample": False}
        if asking.seed is not None:  # the greatest logit with noise is the draw
            return {"repetition_penalty": 1.0, **own, "do_sample": False}
        drawn = {"do_sample": True, "temperature": asking.temperature, "top_k": self.model.generation_config.top_k or 0}
        return drawn | ({} if asking.top_p is None else {"top_p": asking.top_p}) | own

    def _decode_answer(self, asking: Asking, length: int, tokens: list[int]) -> Generation:
        """One answer, up to its end: the token that ends it is counted, and not part of the text."""
        end = next((place for place, token in enumerate(tokens) if token in self._ends), None)
        tokens = tokens[:end]
        while end is None and tokens and tokens[-1] == self._words.pad_token_id:  # ended by a stop string, sooner than others
            tokens.pop()
        spoken = [token for token in tokens if token not in self._mute]
        text: str = self._words.decode(spoken, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        stopped = min((text.index(stop) for stop in _stop_texts(asking) if stop in text), default=None)
        cut = end is None and stopped is None
        return Generation(asking.id, text[:stopped], "length" if cut else "stop", length, len(tokens) + (end is not None))


def _row_draws(rows: Sequence[_Row]) -> SeededDraws | None:
    """What draws for each row by its own seed, from all tokens; all of a batch have one, or none has."""
    seeds = [row.asking.seed for row in rows if row.asking.seed is not None]
    temperature = rows[0].asking.temperature
    return SeededDraws(seeds, temperature=temperature) if seeds and temperature else None


def _stop_texts(asking: Asking) -> list[str]:
    stop = asking.body.get("stop") or []
    return [stop] if isinstance(stop, str) else list(stop)
