"""Whether a student can learn a text, seen before the first step: what its template, tokenizer and processor make of it.

A fault of a single lesson leaves that lesson out. A fault that the chat template has with any lesson ends the stage before it begins.
"""

import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import pyarrow as pa
from PIL import Image

from cotforge.errors import PipelineError
from cotforge.teachers.local.engine import TAGS
from cotforge.train.students.loaded_student import Pupil
from cotforge.train.trl_seam import apply_chat_template, prepare_multimodal_messages

USUAL_SIDE, USUAL_RATIO = 64, 4
"""Pixels of the shorter side, and ratio of the sides, within which every processor takes a picture; others are tried on a blank one."""
SAID = 200
"""Characters of a library's error that are shown."""
_TAGS = re.compile(f"({'|'.join(TAGS)})", re.IGNORECASE)
_LAST_TAG = re.compile(r"<[^<>]+>$")
_ANY_TAG = re.compile(r"<[^<>]*>")
_ADDRESS = re.compile(r" <[^<>]* object at 0x[0-9a-f]+>")
_THOUGHT = re.compile(r"<think>(.*?)</think>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Learnable:
    """What one student can learn; it goes to the loader's workers."""

    processor: Any
    ends: frozenset[int]
    """Tokens that end a turn."""
    model: str
    """The student's name, for messages."""
    control: re.Pattern[str]
    """Matches a control token of the tokenizer, or a placeholder of the processor, in a text."""
    _sizes: dict[tuple[int, int], str] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, pupil: Pupil, *, meant: str = "") -> Self:
        """The control tokens that stand in `meant`, the source of the user's own templates, are no fault in a lesson.

        The ends of a turn and the placeholders of pictures always are.
        """
        words = pupil.processor.tokenizer
        special = {str(token) for token in words.added_tokens_decoder.values() if token.special} | {*words.all_special_tokens}
        tokens = (
            {token for token in special if token not in meant}
            | _placeholder_tokens(pupil)
            | {*words.convert_ids_to_tokens(sorted(pupil.ends))}
        )
        named = sorted({token for token in tokens if token and token.strip()} - {*TAGS}, key=lambda token: (-len(token), token))
        return cls(pupil.processor, pupil.ends, pupil.spec.named, re.compile("|".join(map(re.escape, named)) or r"(?!)"))

    @property
    def key(self) -> str:
        """Changes with what is checked."""
        return f"{sorted(self.ends)} {self.control.pattern}"

    def control_fault(self, name: str, text: str) -> str:
        """The fault of a text, called `name`, that holds a control token: it would end the turn, or stand for a picture.

        Such a lesson is left out: within a rendered chat no tokenizer of transformers can be told which control token is meant as text.
        """
        found = self.control.search(text)
        return f"its {name} holds {found.group()!r}, a control token of the student's tokenizer" if found else ""

    def prompt_fault(self, row: Mapping[str, Any]) -> str:
        """What is wrong with the prompt or the pictures of a row; empty where nothing is."""
        fault = self.control_fault("prompt", text_of(row["prompt"]))
        return fault or next(filter(None, map(self.picture_fault, row["images"])), "")

    def completion_fault(self, prompt: list[dict[str, Any]], wanted: str, *, name: str = "completion", pictures: int = 0) -> str:
        """What is wrong with a text, called `name`, that follows a prompt; empty where nothing is.

        Raises PipelineError where the chat template is the cause, and would be with any text.
        """
        if fault := self.control_fault(name, wanted):
            return fault
        try:
            fault = self._rendered_fault(prompt, wanted, pictures)
        except Exception as error:
            return processor_refusal(error)
        return self.lesson_fault(fault, wanted) if fault else ""

    def lesson_fault(self, fault: str, wanted: str) -> str:
        """A fault that `text_fault` found, as that of the lesson. Raises PipelineError where the chat template has it with any text."""
        self.check_template(wanted)
        return f"the student's chat template or tokenizer {fault}"

    def text_fault(self, wanted: str, prompt: str, tokens: Sequence[int]) -> str:
        """What is wrong with the tokens of a completion: they must give back the text `wanted`, once, and then end the turn, once.

        `prompt` is the rendered prompt before them, which may have opened the thought. White space and Unicode compatibility forms do
        not count. Empty where nothing is wrong.
        """
        end = next((place for place, token in enumerate(tokens) if token in self.ends), len(tokens))
        said, wish = self._squeezed_tokens(tokens[:end]), squeeze_text(wanted)
        if not wish:
            return "is given an empty text"
        opened = _LAST_TAG.search(squeeze_text(prompt[-SAID:]))
        if opened and wish.startswith(opened.group()):
            said = opened.group() + said
        if wish not in said:
            thought = squeeze_text("".join(_THOUGHT.findall(wanted)))
            if thought and thought not in said + self._squeezed_tokens(tokens[end:]):
                return "drops what stands in <think>"
            return "changes the text of an answer" if not self._squeezed_tokens(tokens[end + 1 :]) else "ends the turn too early"
        counts, before = Counter(_TAGS.findall(said)), Counter(_TAGS.findall(wish))
        if any(counts[tag] > count for tag, count in before.items()) or wish in _ANY_TAG.sub("", said.replace(wish, "", 1)):
            return "repeats the text of an answer"
        return self._end_fault(tokens[end:])

    def _end_fault(self, tail: Sequence[int]) -> str:
        """Control tokens that differ, as in `<|end|><|endoftext|>`, may follow the end: nothing is said after it.

        A student that never learns an end talks on to its limit: huggingface/trl#2059.
        """
        if not tail:
            return f"gives an answer no end of turn ({self._token_names(self.ends)})"
        token, count = Counter(token for token in tail if token in self.ends).most_common(1)[0]
        if count > 1:
            return f"ends an answer {count} times ({self._token_names([token])})"
        rest = self.processor.tokenizer.decode([token for token in tail if token not in self.ends], skip_special_tokens=True)
        return "says more after the end of turn" if rest.strip() else ""

    def check_template(self, text: str) -> None:
        """Raises PipelineError where the chat template does to plain words, in the tags of `text`, what a lesson must not suffer."""
        plain = "".join(part if place % 2 else _plain_words(part, place) for place, part in enumerate(_TAGS.split(text)))
        try:
            fault = self._rendered_fault([{"role": "user", "content": "Which?"}], plain, 0)
        except Exception:  # it needs a picture; that of a lesson said more
            return
        if fault:
            raise PipelineError(f"train.student: the chat template of {self.model!r} {fault}; {_fault_remedy(fault)}")

    def _rendered_fault(self, prompt: list[dict[str, Any]], wanted: str, pictures: int) -> str:
        spoken = {
            "prompt": prepare_multimodal_messages(prompt, images=[None] * pictures),
            "completion": prepare_multimodal_messages([{"role": "assistant", "content": wanted}]),
        }
        text = apply_chat_template(spoken, self.processor)
        said = self.processor(text=[text["completion"]], return_tensors="pt", add_special_tokens=False)
        return self.text_fault(wanted, text["prompt"], said["input_ids"][0].tolist())

    def picture_fault(self, cell: Mapping[str, Any]) -> str:
        """What is wrong with a picture as it stands in a row, by its header alone; empty where nothing is.

        Raises PipelineError where its file cannot be read.
        """
        try:
            with Image.open(io.BytesIO(cell["bytes"]) if cell["bytes"] is not None else cell["path"]) as picture:
                size = picture.size
        except Exception as fault:
            if isinstance(fault, OSError) and fault.errno is not None:
                raise PipelineError(f"a lesson's picture cannot be read: {fault}") from fault
            return processor_refusal(fault)
        if min(size) >= USUAL_SIDE and max(size) <= USUAL_RATIO * min(size):
            return ""
        if size not in self._sizes:
            self._sizes[size] = self._size_fault(size)
        return self._sizes[size]

    def _size_fault(self, size: tuple[int, int]) -> str:
        blank = Image.new("RGB", size)
        content = [{"type": "image", "image": blank}, {"type": "text", "text": "Which?"}]
        try:
            text = self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False)
            self.processor(images=[[blank]], text=[text], return_tensors="pt", add_special_tokens=False)
        except Exception as fault:
            return processor_refusal(fault)
        return ""

    def _squeezed_tokens(self, tokens: Sequence[int]) -> str:
        words = self.processor.tokenizer
        return squeeze_text(words.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False)) if tokens else ""

    def _token_names(self, tokens: Iterable[int]) -> str:
        return ", ".join(map(str, self.processor.tokenizer.convert_ids_to_tokens(sorted(tokens))))


def processor_refusal(fault: Exception) -> str:
    """What a processor, or the reader of a picture, raised, in a line. Raises it again where the machine or the file is at fault."""
    if isinstance(fault, MemoryError | pa.ArrowException) or (isinstance(fault, OSError) and fault.errno is not None):
        raise fault
    said = (_ADDRESS.sub("", str(fault)).strip().splitlines() or [type(fault).__name__])[-1][:SAID]
    return f"the student's processor cannot take it: {said}"


def text_of(messages: Iterable[Mapping[str, Any]]) -> str:
    """The texts of some messages."""
    return "\n".join(str(message["content"] or "") for message in messages)


def squeeze_text(text: str) -> str:
    """A text without white space, in Unicode's compatibility form: what templates and tokenizers may change."""
    return "".join(unicodedata.normalize("NFKC", text).split())


def _placeholder_tokens(pupil: Pupil) -> set[str]:
    """What stands for pictures, videos and sounds in a text."""
    words, processor = pupil.processor.tokenizer, pupil.processor
    ids = {getattr(pupil.model.config, f"{kind}_token_id", None) for kind in ("image", "video", "audio")}
    found = {str(token) for token in words.convert_ids_to_tokens([number for number in ids if isinstance(number, int)]) if token}
    named = (getattr(processor, f"{kind}_token", None) for kind in ("image", "video", "audio"))
    return found | {str(token) for token in named if token}


def _plain_words(part: str, place: int) -> str:
    """Plain words in the place of a text, which keep the white space around it."""
    inside = part.strip()
    return part.replace(inside, f"Some words {place}.") if inside else part


def _fault_remedy(fault: str) -> str:
    if fault.startswith("gives an answer no end"):
        return "in a copy of its folder, have chat_template.jinja end the assistant's turn with {{ eos_token }}"
    if "end of turn" in fault or fault.startswith("ends"):
        return "in a copy of its folder, have chat_template.jinja end the assistant's turn once, behind its whole text"
    return "write another prompts.completion, or, in a copy of its folder, a chat_template.jinja that keeps the assistant's text as it is"
