"""`variant` of a stage of kind `grpo`: a paper's objective as the keys that make it. Keys that the stage gives itself win.

Only what belongs to the objective is set. Sizes (learning rate, batch, group, lengths) are those of the papers' hardware, and stay ours.
"""

from collections.abc import Mapping
from typing import Any, Literal

Variant = Literal["dr_grpo", "dapo", "gspo", "c3po"]

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "dr_grpo": {"loss_type": "dr_grpo", "scale_rewards": "none", "beta": 0.0},
    "dapo": {
        "loss_type": "dapo",
        "clip": {"low": 0.2, "high": 0.28},
        "updates_per_rollout": 2,
        "beta": 0.0,
        "resample": 9,
        "trl": {"mask_truncated_completions": True},
    },
    "gspo": {
        "loss_type": "grpo",
        "clip": {"low": 3e-4, "high": 4e-4},
        "updates_per_rollout": 4,
        "beta": 0.0,
        "trl": {"importance_sampling_level": "sequence"},
    },
    "c3po": {"loss_type": "dapo", "beta": 1e-3, "use_bias_correction_kl": False, "trl": {"entropy_coef": 5e-4}},
}
"""By name, a stage's keys and fields of TRL's configuration.

`dr_grpo`, arXiv 2503.20783, section 3.2: no division by a completion's length (TRL divides by `max_completion`, as the authors' code does)
    or by the standard deviation of the rewards; no KL.
`dapo`, arXiv 2503.14476: Clip-Higher (3.1), dynamic sampling (3.2), the loss of all tokens of a rollout (3.3), overlong filtering (3.4), no
    KL (2.3). `resample: 9` is ten draws at most, as `max_num_gen_batches=10` of verl's recipe for it. Its soft overlong punishment is a
    reward: `{measure: overlong, weight: -0.5}`. The paper makes 16 updates, each on a sixteenth of a rollout; two on all of it are ours.
`gspo`, arXiv 2507.18071: one ratio for a completion, the geometric mean of its tokens' (4.1), bounds of 3e-4 and 4e-4 (5.1), no KL (as
    its authors say in volcengine/verl#2775). At a ratio of 1 it is plain GRPO, so it needs several updates on a rollout: the paper makes
    four, each on a quarter of it; here four go over all of it.
`c3po`, Ring-lite, arXiv 2506.14731, equations 2, 3 and 6: `token_budget`, which depends on the data and has to be given (409,600 there,
    of 512 prompts with 16 completions each), an entropy bonus of 5e-4, a KL of 1e-3 that is not weighed by the ratio, and a clip of 0.2.
"""


def expand_variant(given: Mapping[str, Any]) -> dict[str, Any]:
    """A stage's keys with those of its variant; of `trl` both, where the stage's own win too. An unknown variant adds nothing."""
    name, own = given.get("variant"), given.get("trl", {})
    fields = VARIANTS.get(name, {}) if isinstance(name, str) else {}
    whole = dict(fields) | dict(given)
    if "trl" in fields and isinstance(own, Mapping):
        whole["trl"] = {**fields["trl"], **own}
    return whole


FORM = ("variant", "loss_type", "scale_rewards", "beta", "resample", "token_budget")
"""Keys of a stage that say what its loss is, beside its clip."""
_SHOWN = frozenset({*FORM, *(name for fields in VARIANTS.values() for name in fields.get("trl", {}))})


def loss_form(fields: Mapping[str, Any]) -> list[str]:
    """What a stage's loss is, in words: of its keys that are not at their default and its fields of TRL's, those that a variant may set."""
    return [f"{name} {_plain_number(value)}" for name, value in fields.items() if name in _SHOWN]


def _plain_number(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)
