"""What a training run leaves in its folder, without training."""

import json
from pathlib import Path
from typing import Any

REWARDED = {"reward": 0.5, "rewards/well_formed/mean": 0.25, "rewards/correct/mean": 0.75, "accuracy": 0.5, "entropy": 1.0, "loss": 9.0}


def figures(key: str, accuracy: float, **others: Any) -> dict[str, Any]:
    """As `eval/*.json` has them, of the weights that a manifest knows by `key`."""
    return {
        "key": f"{key} and more", "n": 40, "accuracy": accuracy, "accuracy_interval": [accuracy - 0.1, accuracy + 0.1],
        "macro_recall": accuracy, "macro_recall_interval": None, "format_rate": 1.0, "truncated_rate": 0.0, "reasoning_words": 12.5,
        "recall": {"red": accuracy, "blue": accuracy}, "support": {"red": 30, "blue": 10}, "held_out": "h1", "dtype": "bfloat16",
    } | others  # fmt: skip


def stage(run: Path, name: str, key: str, begin: str, rows: list[dict[str, Any]], *, finished: bool = True) -> Path:
    """A stage's folder, with its manifest and metrics."""
    folder = run / "train" / name
    folder.mkdir(parents=True)
    manifest = {"finished": finished, "key": key, "inputs": {"begin": begin}, "versions": {"torch": "2.13.0", "trl": "1.16.0"}}
    (folder / "manifest.json").write_text(json.dumps(manifest | ({"seconds": 4000.0, "last": rows[-1]} if finished else {})))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def tried(run: Path, name: str, found: dict[str, Any]) -> None:
    """A file of `eval/`."""
    (run / "eval").mkdir(exist_ok=True)
    (run / "eval" / f"{name}.json").write_text(json.dumps(found))
