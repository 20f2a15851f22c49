"""Requests of follow-ups, made of the shipped prompts, and real handwritten digits with teachers that learned some of them."""

import base64
import csv
import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from cotforge.demo.digits import Digit, encode_png, shuffle_digits
from cotforge.prompts import Prompts, as_text, make_call
from cotforge.records import Picture, Sample
from cotforge.simulate.request import ParsedRequest, read_request
from cotforge.simulate.speaker import Speaker
from cotforge.teachers.simulated import Simulated

DIGITS = tuple("0123456789")
SUM = {"rows": 2, "columns": 2, "answer": "sum"}
QUESTION = "What do the four digits add up to?"
LEARNED = 60
RUBRIC = (
    {"name": "grounded", "low": 1, "high": 5, "anchors": {1: "speaks of what is not there", 5: "every claim can be seen"}},
    {"name": "checks", "low": 0, "high": 10, "anchors": {0: "none"}},
)


@cache
def digits() -> tuple[Digit, ...]:
    """All handwritten digits, those that are learned first."""
    return tuple(shuffle_digits(Random(0)))


def grid_picture(start: int) -> tuple[bytes, list[str]]:
    """A picture of four digits, two above two, and what they are; none of them was learned."""
    four = digits()[LEARNED + start * 4 : LEARNED + start * 4 + 4]
    grey = np.block([[digit.grey for digit in row] for row in (four[:2], four[2:])])
    return encode_png(grey), [str(digit.label) for digit in four]


def write_learned(folder: Path) -> None:
    """digits.csv, with the digits that teachers learn."""
    rows = [("image", "label")]
    for number, digit in enumerate(digits()[:LEARNED]):
        (folder / f"{number}.png").write_bytes(encode_png(digit.grey))
        rows.append((f"{number}.png", str(digit.label)))
    with (folder / "digits.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def make_speaker(folder: Path, *, sums: bool, **simulate: Any) -> Speaker:
    """A teacher of the sums of four digits, or of digits."""
    section = {"learn": "digits.csv", "eye": "svm", "look": "blurred", "cells": SUM if sums else None} | simulate
    return Speaker("model", Simulated.model_validate(section), () if sums else DIGITS, root=folder)


def follow_up_request(kind: str, data: bytes | None, *, options: tuple[str, ...] = (), **given: Any) -> ParsedRequest:
    """The request of a follow-up with its shipped prompt (`solve` for none); without `data` it has no picture."""
    shown = () if data is None else (Picture("0" * 64, "image/png", 128, 128, len(data), load=lambda: data),)
    prompt = getattr(Prompts().load(Path()), kind)
    sample = Sample("one", shown, "Which digit is it?" if options else QUESTION, options)
    call = make_call(sample, teacher="t", model="model", temperature=0.0, top_p=None, body={}, index=0, prompt=prompt, given=given or None)
    text = as_text(call).removeprefix("[image 128x128]\n")
    url = {"url": "data:image/png;base64," + base64.b64encode(data).decode()} if data else None
    parts = [*([{"type": "image_url", "image_url": url}] if url else []), {"type": "text", "text": text}]
    return read_request(json.dumps({"model": "model", "temperature": 0, "messages": [{"role": "user", "content": parts}]}).encode())


def said_to(speaker: Speaker, request: ParsedRequest) -> str:
    """The text of the first choice."""
    return speaker.reply(request)[0][0].text
