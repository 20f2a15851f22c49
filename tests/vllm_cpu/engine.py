"""What the engine on `vllm.LLM` makes of some requests, as one line, FOUND and JSON: python -m tests.vllm_cpu.engine MODEL FOLDER"""

import hashlib
import io
import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict
from multiprocessing import active_children
from pathlib import Path
from typing import Any

from PIL import Image

from cotforge.records import Fault
from cotforge.teachers.kinds.vllm import VllmTeacher
from cotforge.teachers.local.engine import Asking, Generation, InferenceEngine, Unfit
from cotforge.teachers.local.vllm import load_model

TOKENS = 32
TEACHER = VllmTeacher(name="one", model="m", engine={"enforce_eager": True, "dtype": "float32"})


def jpeg(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (48, 32), colour).save(file, "JPEG")
    return file.getvalue()


def asking(id: int, text: str, *images: bytes | str, **fields: Any) -> Asking:
    """A greedy request that is answered with exactly TOKENS tokens, unless `fields` say otherwise."""
    named = {hashlib.sha256(image if isinstance(image, bytes) else Path(image).read_bytes()).hexdigest(): image for image in images}
    parts = [*({"type": "image", "digest": digest} for digest in named), {"type": "text", "text": text}]
    wanted = {"temperature": 0.0, "max_tokens": TOKENS, "body": {"ignore_eos": True}, **fields}
    return Asking(id, ({"role": "user", "content": parts},), named, **wanted)


def steps(engine: InferenceEngine, unfinished: int) -> Iterator[list[Generation]]:
    while unfinished:
        yield (said := engine.step())
        unfinished -= len(said)


def answers(engine: InferenceEngine, *askings: Asking) -> list[Generation]:
    for each in askings:
        engine.add(each)
    return sorted((said for step in steps(engine, len(askings)) for said in step), key=lambda said: said.id)


def refusal(engine: InferenceEngine, wanted: Asking) -> str:
    try:
        engine.add(wanted)
    except Fault as fault:
        return f"{fault.reason}: {fault.detail}"
    return "taken"


def unfit(model: Path) -> str:
    try:
        load_model(TEACHER, str(model))
    except Unfit as fault:
        return str(fault)
    return "fit"


def bare(model: Path, folder: Path, **config: Any) -> Path:
    """The model without its weights; `config`, where given, instead of its own."""
    folder.mkdir()
    for file in model.glob("*.json"):
        (folder / file.name).write_text(file.read_text())
    if config:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def main(model: Path, folder: Path) -> dict[str, Any]:
    engine = load_model(TEACHER, str(model))
    (folder / "red.jpg").write_bytes(jpeg("red"))
    (folder / "cut.jpg").write_bytes(jpeg("red")[:200])
    ended = {"body": {}, "max_tokens": 200}
    found: dict[str, Any] = {"alone": [asdict(said) for said in answers(engine, asking(0, "Which colour?", jpeg("red"), **ended))]}
    for number in range(8):
        engine.add(asking(number, "?" * number, jpeg("red" if number % 2 else "blue")))
    found["steps"] = [[said.output_tokens for said in step] for step in steps(engine, 8)]
    found["others"] = [
        asdict(said)
        for said in answers(
            engine,
            asking(0, "Which colour?", str(folder / "red.jpg"), **ended),
            asking(1, "Two?", jpeg("red"), jpeg("blue"), max_tokens=5),
            asking(2, "None?", body={"max_completion_tokens": 7, "ignore_eos": True}),
            asking(3, "Warm?", jpeg("red"), temperature=1.5, top_p=0.9, body={"seed": 5, "min_p": 0.1, "ignore_eos": True}),
            asking(4, "All?", jpeg("red"), max_tokens=None),
        )
    ]
    found["refused"] = [
        refusal(engine, asking(0, "many words " * 2000)),
        refusal(engine, asking(0, "x", max_tokens=5000)),
        refusal(engine, asking(0, "x", body={"top_k": -7})),
        refusal(engine, asking(0, "x", str(folder / "cut.jpg"))),
    ]
    engine.add(asking(0, "Dropped", max_tokens=900))
    engine.add(asking(1, "Kept", max_tokens=3))
    engine.drop(0)
    engine.drop(77)
    found["kept"] = [said.id for step in steps(engine, 1) for said in step]
    found["killed"] = killed(engine)
    engine.close()
    text = json.loads((model / "config.json").read_text())["text_config"] | {"architectures": ["Qwen2ForCausalLM"]}
    found["no_images"] = unfit(bare(model, folder / "no_images", **text))
    found["no_weights"] = unfit(bare(model, folder / "no_weights"))
    return found


def killed(engine: InferenceEngine) -> str:
    """What is said when vLLM's own process is killed, with a request in it and another on its way."""
    engine.add(asking(0, "Killed", max_tokens=900))
    for child in active_children():
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
    try:
        engine.add(asking(1, "Too late"))
        return str(list(steps(engine, 2)))
    except Unfit as fault:
        return str(fault)


if __name__ == "__main__":
    print("\nFOUND " + json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))), flush=True)
