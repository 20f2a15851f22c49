"""From pictures to a trained student and its figures, on a laptop: coloured squares, two teachers, a student of random weights.

It shows the calls, not a result: so few steps teach nothing. Needs `pip install 'cotforge[train]'`.
    python examples/train_a_student.py [FOLDER]
"""

# %% Pictures, labels, and what two teachers said of them
import json
import sys
from pathlib import Path

import yaml
from PIL import Image

import cotforge

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/squares")
COLOURS = {"red": "It is warm as fire.", "green": "It is like leaves and grass.", "blue": "It is like the sea, and the sky above it."}
(FOLDER / "images").mkdir(parents=True, exist_ok=True)
rows = []
for number in range(24):
    colour = list(COLOURS)[number % 3]
    Image.new("RGB", (20 + number, 24), colour).save(FOLDER / "images" / f"{number}.png")
    split = "test" if number >= 18 else "train"
    rows.append({"id": f"square-{number}", "image": f"images/{number}.png", "label": colour, "split": split})
replies = [{"id": row["id"], "content": f"<think>{COLOURS[row['label']]}</think>\n<answer>{row['label']}</answer>"} for row in rows]
(FOLDER / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
(FOLDER / "replies.jsonl").write_text("".join(json.dumps(reply) + "\n" for reply in replies))

# %% The pipeline
teachers = [{"name": name, "model": f"by-hand/{name}", "kind": "replay", "path": "replies.jsonl"} for name in ("first", "second")]
pipeline = {
    "name": "squares",
    "source": {"kind": "table", "path": "rows.jsonl"},
    "task": {"kind": "classify", "question": "Which colour is this?", "labels": list(COLOURS)},
    "teachers": teachers,
    "train": {"student": {"tiny": "llava"}, "stages": [{"name": "inject", "kind": "sft", "steps": 3, "batch": 4}]},
    "eval": {"split": "test", "when": "end"},
}
file = FOLDER / "squares.yaml"
file.write_text(yaml.safe_dump(pipeline, sort_keys=False))

# %% Lessons
run = cotforge.build(file, out=FOLDER / "run")
print(f"{run.summary.lessons} lessons of {run.summary.samples} samples")

# %% The student, stage by stage; what is done is skipped when this is run again
trained = cotforge.train(file, out=run.path)
print(trained.student)
print(run.metrics().select("stage", "step", "loss"))

# %% Its figures on the six squares that were held out
figures = cotforge.evaluate(file, out=run.path, max_tokens=8)
print(f"accuracy {figures.accuracy:.2f}, interval {figures.interval}, {figures.n} samples")
print({name: found.accuracy for name, found in run.evaluations.items()})
