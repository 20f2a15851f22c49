"""What did the teachers disagree about? Reads a finished run with pyarrow alone.

python examples/read_dataset.py runs/shapes
"""

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyarrow import parquet


def rows(folder: Path, *columns: str) -> Iterator[dict[str, Any]]:
    """These columns of every shard, in order; the images stay on the disk."""
    for shard in sorted(folder.glob("*.parquet")):
        yield from parquet.read_table(shard, columns=list(columns)).to_pylist()


def disagreements(run: Path) -> Iterator[str]:
    """A line per label that was voted down, then one per sample that became a lesson or not against somebody's answer."""
    lessons = {row["id"]: row for row in rows(run / "dataset" / "data", "id", "label", "answer", "label_conflict", "confidence")}
    for id, lesson in lessons.items():
        if lesson["label_conflict"]:
            yield f"{id}: labelled {lesson['label']}, agreed on {lesson['answer']} with confidence {lesson['confidence']:.2f}"
    said: dict[str, dict[str, str]] = defaultdict(dict)
    for trace in rows(run / "dataset" / "traces", "id", "teacher", "ballot"):
        if trace["ballot"] is not None:
            said[trace["id"]][trace["teacher"]] = trace["ballot"]
    for id, answers in said.items():
        if len(set(answers.values())) > 1:
            voices = ", ".join(f"{teacher} said {answer}" for teacher, answer in answers.items())
            yield f"{id}: {voices}; {'lesson: ' + lessons[id]['answer'] if id in lessons else 'no lesson'}"


if __name__ == "__main__":
    for line in disagreements(Path(sys.argv[1])):
        print(line)
