"""Tiny models with a gap between them: a text expert that reasons, and a VLM that sees, whose decoders began with the same weights.

As published pairs came about: a text model reads and answers; the expert is that model after lessons in words, with reasoning; the VLM is
that model after its tower has learned to see and all of it to answer about pictures, without reasoning.
"""

import json
import math
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from benchmarks.pretrained import lessons
from benchmarks.pretrained.student import pixels, teach_to_see
from benchmarks.priors import task
from benchmarks.priors.task import Turn
from cotforge.train.students import processors, tiny

SHAPE = tiny.TinySize(layers=4, heads=4, side=16, patch=8, vocabulary=800, context=128, scaled=True)
"""Of the VLM; the text models have its decoder's. A patch is a digit, so a picture is as many tokens as its digits are words."""
PATCHES = (SHAPE.side // SHAPE.patch) ** 2
UNTRAINED, TEXT, EXPERT, VLM = "untrained", "text", "expert", "vlm"
"""Folders of a seed's models."""
ANSWER = re.compile(r"<answer>(\d+)</answer>")
ADDITION = re.compile(r"(\d+) plus (\d+) is (\d+)")
ASKED = 100
"""Questions at a time."""
LONGEST = 64
"""Tokens of an answer, at most: the longest reasoned one has 53."""


@dataclass(frozen=True)
class Making:
    """How long the models learn."""

    text: int
    """Optimizer steps of the text model, on turns in words without reasoning."""
    expert: int
    """Of the expert, on turns in words with reasoning."""
    tower: int
    """Of the vision tower and the projector, towards the decoder's own embeddings of the digits' words."""
    vlm: int
    """Of all of the VLM, on turns about pictures without reasoning."""
    pictures: int
    batch: int = 32
    rate: float = 2e-3
    """The highest learning rate: it rises for a tenth of the steps and falls to 0 along a cosine."""
    vlm_rate: float = 5e-4
    tried: int = 200
    """Held-out sums on which each model is tried."""


def make(folder: Path, seed: int, making: Making, tell: Callable[[str], object]) -> None:
    """The three models of a seed in `folder`, each unless it is there already."""
    first = folder / UNTRAINED
    _once(first, lambda new: {"weights": _untrained(new, seed)}, tell)
    _once(folder / TEXT, lambda new: _text(first, new, seed, making), tell)
    _once(folder / EXPERT, lambda new: _expert(first, folder / TEXT, new, seed, making), tell)
    _once(folder / VLM, lambda new: _vlm(first, folder / TEXT, new, seed, making), tell)


def _once(folder: Path, fill: Callable[[Path], dict[str, Any]], tell: Callable[[str], object]) -> None:
    """Have a folder be filled under another name, and appear whole; what `fill` found is written down beside it."""
    if folder.exists():
        return
    passing = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(passing, ignore_errors=True)
    passing.mkdir(parents=True)
    found = fill(passing)
    folder.with_suffix(".json").write_text(json.dumps(found), encoding="utf-8")
    passing.rename(folder)
    tell(f"{folder}: {found}")


def _untrained(folder: Path, seed: int) -> int:
    """The first weights of a seed: a VLM of which everything else is made; how many they are."""
    tiny.make_llava(folder, task.texts(), tiny.TinySize(**vars(SHAPE) | {"seed": seed}))
    return sum(weight.numel() for weight in _vlm_of(folder).parameters())


def _text(first: Path, folder: Path, seed: int, making: Making) -> dict[str, Any]:
    whole = _vlm_of(first)
    model = AutoModelForCausalLM.from_config(whole.config.text_config)
    model.model.load_state_dict(whole.model.language_model.state_dict())
    model.lm_head.load_state_dict(whole.lm_head.state_dict())
    words = processors.load_processor(first).tokenizer
    learn(model, _in_words(words, task.short(Random(seed)), making.batch), making.text, making.rate)
    return _saved(model, words, folder, making)


def _expert(first: Path, begin: Path, folder: Path, seed: int, making: Making) -> dict[str, Any]:
    model = AutoModelForCausalLM.from_pretrained(begin)
    words = processors.load_processor(first).tokenizer  # AutoTokenizer would take Qwen2's own, which splits numbers into digits
    learn(model, _in_words(words, task.long(Random(seed)), making.batch), making.expert, making.rate)
    return _saved(model, words, folder, making)


def _saved(model: Any, words: Any, folder: Path, making: Making) -> dict[str, Any]:
    """The share of sums in words that a text model gets right."""
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    sums = lessons.draw("test", making.tried)
    said = answers(model, words, [Turn(task.in_words(one.digits), task.ADD, "") for one in sums])
    return {"right": _share(said, sums)}


def _vlm(first: Path, text: Path, folder: Path, seed: int, making: Making) -> dict[str, Any]:
    model, processor = _vlm_of(first), processors.load_processor(first)
    core = AutoModelForCausalLM.from_pretrained(text)
    model.model.language_model.load_state_dict(core.model.state_dict())
    model.lm_head.load_state_dict(core.lm_head.state_dict())
    torch.manual_seed(seed)  # of the tower, which is drawn anew
    sums = lessons.draw("train", making.pictures, seed=seed)
    shown = pixels(sums, processor)
    read = teach_to_see(model, processor, making.tower, words=[f" {word}" for word in task.WORDS], shown=(sums, shown))
    drawn = task.seen(Random(seed), sums)

    def batches() -> Iterator[dict[str, Any]]:
        while True:
            places, turns = zip(*islice(drawn, making.batch), strict=True)
            yield encoded(processor.tokenizer, list(turns)) | {"pixel_values": shown[list(places)]}

    learn(model, batches(), making.vlm, making.vlm_rate)
    model.save_pretrained(folder)
    tiny.publish_names(folder)
    processor.save_pretrained(folder)
    return {"digits": read, **_tried(model, processor, making)}


def _tried(model: Any, processor: Any, making: Making) -> dict[str, Any]:
    """The shares of held-out pictures whose four digits a VLM reads rightly, and whose sum it says rightly."""
    sums = lessons.draw("test", making.tried)
    shown = pixels(sums, processor)
    read = answers(model, processor.tokenizer, [Turn("", task.READ, "")] * len(sums), shown)
    added = answers(model, processor.tokenizer, [Turn("", task.ADD, "")] * len(sums), shown)
    whole = [task.reading(one.digits) == said for one, said in zip(sums, read, strict=True)]
    return {"read": sum(whole) / len(whole), "right": _share(added, sums)}


def _share(said: list[str], sums: list[lessons.Sum]) -> float:
    found = [ANSWER.search(text) for text in said]
    return sum(one.answer == (match and match[1]) for one, match in zip(sums, found, strict=True)) / len(sums)


def _vlm_of(folder: Path) -> Any:
    return AutoModelForImageTextToText.from_pretrained(folder)


def _in_words(words: Any, turns: Iterator[Turn], batch: int) -> Iterator[dict[str, Any]]:
    while True:
        yield encoded(words, list(islice(turns, batch)))


def learn(model: Any, batches: Iterator[dict[str, Any]], steps: int, rate: float) -> None:
    """AdamW on so many batches; what is not trained has no `requires_grad`."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=steps, pct_start=0.1)
    model.train()
    for batch in islice(batches, steps):
        loss = model(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
    model.eval()


def prompt(turn: Turn) -> str:
    """As the student's chat template renders it, its picture's tokens included."""
    shown = turn.shown or tiny.IMAGE * PATCHES
    return f"{tiny.START}user\n{shown}\n{turn.question}{tiny.END}\n{tiny.START}assistant\n"


def encoded(words: Any, turns: list[Turn]) -> dict[str, Any]:
    """Turns as a batch, padded on the right; the loss is that of the answers alone."""
    asked = words([prompt(turn) for turn in turns], add_special_tokens=False)["input_ids"]
    said = words([f"{turn.answer}{tiny.END}" for turn in turns], add_special_tokens=False)["input_ids"]
    longest = max(len(before) + len(after) for before, after in zip(asked, said, strict=True))
    whole = [(before + after, [-100] * len(before) + after) for before, after in zip(asked, said, strict=True)]
    padded = [(longest - len(tokens), tokens, labels) for tokens, labels in whole]
    return {
        "input_ids": torch.tensor([tokens + [words.pad_token_id] * short for short, tokens, _ in padded]),
        "labels": torch.tensor([labels + [-100] * short for short, _, labels in padded]),
        "attention_mask": torch.tensor([[1] * len(tokens) + [0] * short for short, tokens, _ in padded]),
    }


@torch.no_grad()  # type: ignore[untyped-decorator]
def answers(model: Any, words: Any, turns: list[Turn], shown: Any = None) -> list[str]:
    """What a model says, greedily; `shown` (turns, ...) are the pictures of a VLM. Prompts of one call are equally long."""
    model.eval()
    said: list[str] = []
    for start in range(0, len(turns), ASKED):
        tokens = torch.tensor(words([prompt(turn) for turn in turns[start : start + ASKED]], add_special_tokens=False)["input_ids"])
        seen = {} if shown is None else {"pixel_values": shown[start : start + ASKED]}
        whole = model.generate(
            input_ids=tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=LONGEST, do_sample=False,
            eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id, **seen,
        )  # fmt: skip
        said += words.batch_decode(whole[:, tokens.shape[1] :], skip_special_tokens=True)
    return said


def made(folder: Path) -> dict[str, Any]:
    """What was found of a model in a folder when it was made: shares of held-out sums or pictures."""
    found: dict[str, Any] = json.loads(folder.with_suffix(".json").read_text(encoding="utf-8"))
    return found


def traced(folder: Path, count: int) -> dict[str, float | None]:
    """Where a student's reasoning about held-out pictures is right: in reading all `digits`, in its `additions`; None without reasoning."""
    model, processor = _vlm_of(folder), processors.load_processor(folder)
    sums = lessons.draw("test", count)
    said = answers(model, processor.tokenizer, [Turn("", task.ADD, "")] * count, pixels(sums, processor))
    additions = [int(one) + int(other) == int(both) for text in said for one, other, both in ADDITION.findall(text)]
    digits = [task.reading(one.digits) in text for one, text in zip(sums, said, strict=True)]
    return {
        "digits": sum(digits) / count if additions else None,
        "additions": sum(additions) / len(additions) if additions else None,
    }


def distance(model: Path, expert: Path) -> float:
    """Euclidean, over the weights of the decoders' attention and MLP."""
    ours, theirs = (_projections(kind, folder) for kind, folder in ((AutoModelForImageTextToText, model), (AutoModelForCausalLM, expert)))
    assert ours.keys() == theirs.keys()
    return math.sqrt(math.fsum(float((ours[name] - theirs[name]).square().sum()) for name in ours))


def _projections(kind: Any, folder: Path) -> dict[str, Any]:
    """Weights by their names below the decoder."""
    decoder = kind.from_pretrained(folder).get_decoder()
    return {name: weight.detach() for name, weight in decoder.named_parameters() if name.endswith("_proj.weight")}
