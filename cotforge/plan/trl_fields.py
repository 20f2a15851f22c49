"""Fields of TRL's trainers that a stage does not take under `trl:`, each with what to do instead: known before anything is trained."""

from collections.abc import Callable, Mapping
from typing import Any

from cotforge.errors import show_value

Refused = tuple[Callable[[Any], bool], str]


def _is_set(value: Any) -> bool:
    return value is not None


def _others_than(*allowed: Any) -> Callable[[Any], bool]:
    return lambda value: value not in allowed


OURS = "is set by cotforge itself; leave it out"
TRIED = "eval: of the pipeline file says what the student is tried on, and eval.best chooses a checkpoint; leave it out"
LOADED = "the student is loaded by cotforge; attention of the stage and dtype of train.student say how"
LAUNCHED = "comes from accelerate's own configuration; start with --launch 'accelerate launch --config_file FILE'"
PUBLISHED = "a stage publishes nothing; upload train/student when it is done (hf upload)"
SHAPED = "batches of pictures cannot be packed; lessons of about one length share a batch already; leave it out"

REFUSED: Mapping[str, Refused] = {
    **dict.fromkeys(("output_dir", "max_length", "remove_unused_columns", "dataset_kwargs", "run_name"), (lambda value: True, OURS)),
    **dict.fromkeys(("packing", "padding_free", "eval_packing"), (bool, SHAPED)),
    "eval_strategy": (_others_than("no", None), TRIED),
    **dict.fromkeys(("do_eval", "eval_on_start", "load_best_model_at_end"), (bool, TRIED)),
    "save_strategy": (lambda value: value == "best", TRIED),
    "save_only_model": (bool, "a stage could not be resumed from such a checkpoint; leave it out"),
    "auto_find_batch_size": (bool, "would change the batch without a word; set batch and accumulate"),
    "assistant_only_loss": (bool, "the completion alone is learned already; leave it out"),
    "completion_only_loss": (_others_than(True, None), "the completion alone is learned; leave it out"),
    **dict.fromkeys(
        ("chat_template_path", "eos_token", "pad_token", "dataset_text_field"), (_is_set, "the student's own makes the lessons")
    ),
    **dict.fromkeys(("model_init_kwargs", "trust_remote_code"), (bool, LOADED)),
    **dict.fromkeys(("push_to_hub",), (bool, PUBLISHED)),
    **dict.fromkeys(("fsdp", "deepspeed"), (bool, LAUNCHED)),
    **dict.fromkeys(("torch_compile",), (bool, "batches differ in length, and each would be compiled anew; leave it out")),
    **dict.fromkeys(("torch_compile_backend", "torch_compile_mode"), (_is_set, "turns torch_compile on; leave it out")),
    "resume_from_checkpoint": (_is_set, "a stage resumes from its own checkpoints; leave it out"),
}  # fmt: skip
"""By field: whether a value is refused, and why."""


def refused_field(fields: Mapping[str, Any]) -> str | None:
    """What is wrong with the first field that is refused; None where there is none."""
    for name, value in fields.items():
        if name in REFUSED and REFUSED[name][0](value):
            return f"{show_value(name)}: {REFUSED[name][1]}" if REFUSED[name][1] != OURS else f"{show_value(name)} {OURS}"
    return None
