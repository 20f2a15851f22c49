"""Trains a tiny student by `cotforge train`, as a user does, for a server to serve: python -m tests.vllm_cpu.student FOLDER

FOLDER is a project then: `pipeline.yaml`, its pictures, and `run/train/student`. It has learned squares of one colour, and is tried on
pictures of two, so that it says this and that, and is not always right.
"""

import json
import sys
from itertools import product
from pathlib import Path

from PIL import Image

from cotforge.cli import main
from cotforge.train.students import tiny
from tests import squares
from tests.project import write_pipeline

SERVED = Path("run") / "train" / "student"
"""What a server is given, of the project."""


def write(folder: Path) -> Path:
    """The project, its student not trained yet; the pipeline's file."""
    tiny.make_llava(folder / "begin", squares.TEXTS)
    squares.write(folder / "run" / "dataset")
    (folder / "student.jinja").write_text(squares.PROMPT.replace("Which colour is this?", "{{ question }}"))
    colours = list(squares.COLOURS)
    with (folder / "rows.jsonl").open("w") as rows:
        for left, right in product(colours, colours):
            picture = Image.new("RGB", (40, 30), left)
            picture.paste(right, (20, 0, 40, 30))
            picture.save(folder / f"{left}-{right}.png")
            row = {"id": f"{left}-{right}", "image": f"{left}-{right}.png", "label": left, "split": "test"}
            rows.write(json.dumps(row) + "\n")
    return write_pipeline(
        folder,
        {"name": "one", "model": "m", "url": "http://127.0.0.1:9/v1"},
        task={"kind": "classify", "question": "Which colour is this?", "labels": colours},
        prompts={"student": "student.jinja"},
        eval={"split": "test"},
        train={
            "student": {"model": "begin"},
            "stages": [
                {"name": "inject", "kind": "sft", "steps": 120, "batch": 8, "learning_rate": 4e-3, "trl": {"warmup_steps": 12}},
                {
                    "name": "reason",
                    "kind": "grpo",
                    "steps": 2,
                    "batch": 8,
                    "accumulate": 1,
                    "max_completion": 96,
                    "rewards": [{"measure": "correct"}],
                },
            ],
        },
    )


if __name__ == "__main__":
    place = Path(sys.argv[1])
    main(["train", str(write(place)), "--out", str(place / "run")])
