"""`train.preset`: stages by name, of the papers' recipes and of what these compare with."""

from typing import Any

_FORMAT: dict[str, Any] = {"measure": "well_formed"}
_RIGHT: dict[str, Any] = {"measure": "correct"}
_BOTH = ({"measure": "well_formed", "weight": 0.2}, _RIGHT)

PRESETS: dict[str, tuple[dict[str, Any], ...]] = {
    "clgrpo": (
        {"name": "inject", "kind": "sft", "epochs": 1},
        {"name": "format", "kind": "grpo", "steps": 100, "rewards": (_FORMAT,)},
        {"name": "reason", "kind": "grpo", "steps": 800, "rewards": _BOTH},
        {"name": "clip", "kind": "grpo", "steps": 400, "clip": "cliplow-upper", "updates_per_rollout": 4, "rewards": _BOTH},
    ),
    "long-cot": (
        {"name": "long-cot", "kind": "sft", "epochs": 3, "learning_rate": 2e-5, "accumulate": 8, "trl": {"warmup_steps": 0.05}},
        {
            "name": "reason",
            "kind": "grpo",
            "epochs": 1,
            "rewards": (_RIGHT,),
            "learning_rate": 1e-6,
            "group": 4,
            "clip": {"low": 0.2, "high": 0.28},
            "updates_per_rollout": 4,
            "beta": 2e-3,
            "max_completion": 8192,
            "trl": {"top_p": 0.95, "top_k": 50, "warmup_steps": 0.01, "mask_truncated_completions": True},
        },
    ),
    "label-only": ({"name": "labels", "kind": "sft", "data": "source", "epochs": 1},),
    "answer-rl": ({"name": "answers", "kind": "grpo", "steps": 1200, "rewards": (_RIGHT,), "max_completion": 64},),
}
"""Stages by name. The order of those of `clgrpo` is its paper's (arXiv 2506.18048), its numbers are ours; `long-cot` has those of the
code of arXiv 2509.03321 where that gives them; `label-only` and `answer-rl` are what the papers compare with."""
