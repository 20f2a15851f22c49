"""What is asked: the prompts of a pipeline, the order in which options are named, and the Call that comes of both."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from cotforge.errors import PipelineError
from cotforge.records import Call, Origin, Sample
from cotforge.sandbox import ASKING, FOLLOWING, LEARNING, REMEMBERED, Prompt, shipped_folder
from cotforge.spec import PathText, Spec

__all__ = ["Family", "Prompt", "Prompts", "as_text", "key_of", "make_call", "option_order", "shipped_folder"]

_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


@dataclass(frozen=True)
class Family:
    """The templates of one pipeline, compiled."""

    solve: Prompt
    vote: Prompt
    student: Prompt
    completion: Prompt
    explain: Prompt
    verify: Prompt
    weave: Prompt
    judge: Prompt
    seen: Prompt

    @property
    def needs_reasoning(self) -> bool:
        """Whether what the student learns holds a reasoning."""
        return "reasoning" in self.completion.inputs

    def in_language(self, language: str) -> "Family":
        """The same, with the templates that ask for a reasoning told its language, by its English name."""
        told = {name: replace(getattr(self, name), language=language) for name in ("solve", "explain", "weave")}
        return replace(self, **told)

    def lacking(self, *, closed: bool, short_votes: bool, sections: Collection[str] = ()) -> Iterator[str]:
        """A line for everything that a template most likely should hold and does not.

        `closed`: there is a set of answers; `sections`: those of the pipeline file that ask what follows the vote.
        """
        wanted = {"question": "what is asked about each sample"} | ({"options": "the answers that there are"} if closed else {})
        asking = [self.solve, *([self.vote] if short_votes else [])]
        for prompt in (*asking, self.student):
            for name, what in wanted.items():
                if name not in prompt.inputs:
                    yield f"{prompt.path}: does not use {name!r}, {what}; write {{{{ {name} }}}} unless the text says it itself"
        if self.solve.language is not None and "reasoning_language" not in self.solve.inputs:
            yield f"{self.solve.path}: does not use 'reasoning_language', the language that is wanted of a reasoning; say it in the text"
        for prompt in asking:
            if not _ANSWER_FORM.search(prompt.text):
                yield f"{prompt.path}: does not ask for <answer>...</answer>; replies in other forms may not be read"
        for key in dict.fromkeys(key for section in sections for key in _ASKED_BY.get(section, ())):
            prompt = getattr(self, key)
            for name, what in _PARTS[key].items():
                if name not in prompt.inputs:
                    yield f"{prompt.path}: does not use {name!r}, {what}; no teacher that is asked by prompts.{key} sees that"
        if "answer" not in self.completion.inputs:
            yield f"{self.completion.path}: does not use 'answer'; what the student learns to say has none"


_ASKED_BY = {"rescue": ("explain", "verify"), "verify": ("verify",), "weave": ("weave", "verify"), "probe": ("seen",), "judge": ("judge",)}
"""The templates that each section asks by."""
_PARTS = {
    "explain": {"question": "what is asked about each sample", "label": "the answer to explain"},
    "verify": {"question": "what is asked about each sample", "reasoning": "the text without its answer"},
    "weave": {"traces": "the texts to make one of", "answer": "the answer to end in"},
    "judge": {"reasoning": "the text to judge", "rubric": "what marks are given for"},
    "seen": {"things": "what to look for in the picture"},
}
"""What each of them most likely should hold."""
_ANSWER_FORM = re.compile(r"<\s*answer\b|\\boxed", re.IGNORECASE)


class Prompts(Spec):
    """The `prompts:` section: each a path relative to the pipeline file, or a shipped `family/name`."""

    solve: PathText = "long_cot/solve"
    """Template of the teachers' prompt for reasoning and answer; it never contains the label.
    Shipped: `long_cot/solve`, `short_cot/solve`, `label_only/solve`."""
    vote: PathText = "label_only/solve"
    """Template of the teachers' prompt for a short answer, used under `consensus.votes: short`.
    Shipped: `label_only/solve`."""
    student: PathText = "student"
    """Template of the student's prompt, in training and in evaluation. Shipped: `student`,
    `label_only/student`."""
    completion: PathText = "completion"
    """Template of the text that the student learns to write. Shipped: `completion`,
    `label_only/completion`."""

    explain: PathText = "long_cot/explain"
    """Template that gives a teacher the answer as `label` and asks for the reasoning, for `rescue`."""
    verify: PathText = "long_cot/verify"
    """Template that shows a `reasoning` without its answer and asks for the answer, for `verify` and
    `rescue`."""
    weave: PathText = "long_cot/weave"
    """Template that asks for one text out of several `traces` that ends in `answer`, for `weave`."""
    judge: PathText = "long_cot/judge"
    """Template that asks for marks by a `rubric` for a `reasoning` with its `answer`, for `judge`."""
    seen: PathText = "long_cot/seen"
    """Template that asks which of some `things` are in the picture, for `probe.mentions`."""

    def load(self, root: Path, language: str | None = None) -> Family:
        """All templates, each tried once; those that ask for a reasoning are told its language, by its English name.

        Raises PipelineError with the faults of all of them.
        """
        prompts: list[Prompt] = []
        faults: list[str] = []
        own = {"solve": ASKING, "vote": ASKING, "student": ASKING, "completion": LEARNING}
        for key, inputs in (own | dict(FOLLOWING)).items():
            try:
                prompts.append(Prompt.load(getattr(self, key), root, inputs))
                prompts[-1].try_once()
            except PipelineError as error:
                faults += [fault if fault.startswith("/") else f"prompts.{key}: {fault}" for fault in error.faults]
        if faults:
            raise PipelineError(*faults)
        family = Family(*prompts)
        return family if language is None else family.in_language(language)


def option_order(options: Sequence[str], *, digests: Sequence[str], question: str, model: str, index: int) -> tuple[str, ...]:
    """The options in the order in which this Call names them; it depends on what is given here alone, not on the file's order.

    It is a row of a Williams design: over all rows each option stands equally often in each place, and equally often right after
    each other option, so neither can tilt the votes. C options have C such orders (2C where C is odd), so texts repeat and are
    rendered once. Neighbouring indexes of one sample get different rows (unless C is 1).

    Source: Williams 1949, "Experimental designs balanced for the estimation of residual effects of treatments".
    """
    if not options:
        return ()
    start = sha256("\n".join((*digests, model, question)).encode(errors="surrogatepass")).digest()
    rows = len(options) * (1 + len(options) % 2)
    return _latin_square_row(tuple(options), (int.from_bytes(start[:8], "big") + index) % rows)


def make_call(
    sample: Sample,
    *,
    teacher: str,
    model: str,
    temperature: float | None,
    top_p: float | None,
    body: Mapping[str, Any],
    index: int,
    prompt: Prompt,
    origin: Origin = "solve",
    given: Mapping[str, Any] | None = None,
) -> Call:
    """What `teacher` is asked about `sample`: one user message, its images before its text; `given` are further inputs of the prompt.

    It does not depend on the sample's id, label, split or place in the file. Raises as `Prompt.render`.
    """
    digests = [picture.digest for picture in sample.pictures]
    options = option_order(sample.options, digests=digests, question=sample.question, model=model, index=index)
    text = prompt.render(sample, options, given)
    content: list[dict[str, str]] = [{"type": "image", "digest": digest} for digest in digests]
    content.append({"type": "text", "text": text})
    images = "".join([f'{{"digest":"{digest}","type":"image"}},' for digest in digests])
    written = f'[{{"content":[{images}{{"text":{_json_text(text)},"type":"text"}}],"role":"user"}}]'
    key = _call_key(written, model=model, temperature=temperature, top_p=top_p, body=body, index=index)
    return Call(key, sample, teacher, model, index, ({"role": "user", "content": content},), origin)


def as_text(call: Call) -> str:
    """What is asked, for a person to read; a picture is `[image 640x480]`, in its place."""
    pictures = {picture.digest: picture for picture in call.sample.pictures}
    parts = []
    for part in (part for message in call.messages for part in message["content"]):
        picture = pictures.get(part.get("digest", ""))
        parts.append(part["text"] if picture is None else f"[image {picture.width}x{picture.height}]")
    return "\n".join(parts)


def key_of(
    messages: Sequence[Mapping[str, Any]],
    *,
    model: str,
    temperature: float | None,
    top_p: float | None,
    body: Mapping[str, Any],
    index: int,
) -> str:
    """The Call's key: sha256, hex, of the canonical JSON (keys sorted, no blanks, UTF-8) of all that can change a reply."""
    return _call_key(_canonical(messages), model=model, temperature=temperature, top_p=top_p, body=body, index=index)


def _call_key(messages: str, *, model: str, temperature: float | None, top_p: float | None, body: Mapping[str, Any], index: int) -> str:
    # Written out, with its long text escaped once: 6 us a call where a plain dump takes 13, and `curate` makes 200,000.
    asked = (
        f'{{"body":{_canonical(body) if body else "{}"},"index":{index},"messages":{messages},"model":{_json_text(model)},'
        f'"temperature":{_json_number(temperature)},"top_p":{_json_number(top_p)},"v":1}}'
    )
    return sha256(asked.encode()).hexdigest()


def _json_number(value: float | None) -> str:
    return "null" if value is None else repr(float(value))


@lru_cache(maxsize=REMEMBERED)
def _json_text(text: str) -> str:
    return _canonical(text)


@lru_cache(maxsize=REMEMBERED)
def _latin_square_row(options: tuple[str, ...], row: int) -> tuple[str, ...]:
    count = len(options)
    turn, shift = divmod(row, count)
    zigzag = [(place + 1) // 2 if place % 2 else -(place // 2) for place in range(count)]  # 0, 1, -1, 2, -2, ...
    named = sorted(options)
    places = [named[(step + shift) % count] for step in zigzag]
    return tuple(reversed(places) if turn else places)
