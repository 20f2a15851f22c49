"""What TRL's GRPO does not hand on, or marks wrongly, of the inputs of some families.

TRL 1.16 has no `batch_num_images` (LLaVA-OneVision) where it computes log-probabilities, and there has tokens of a completion be of type 0,
which PaliGemma reads as prompt, both ways.
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from peft import PeftModel

COUNTED = "batch_num_images"
"""Pictures of each row, as LLaVA-OneVision's processor calls them and its model takes them."""


def correct_inputs(named: Mapping[str, Any], *, said: int, said_type: int) -> dict[str, Any]:
    """Inputs by name, of rows whose last `said` tokens are of a completion, whose type is `said_type`; without what TRL does not take."""
    right = {name: value for name, value in named.items() if name != COUNTED}
    types = right.get("token_type_ids")
    if types is not None and said_type:
        right["token_type_ids"] = types.clone()
        right["token_type_ids"][:, -said:] = said_type
    return right


def type_of_completions(processor: Any) -> int:
    """The type that a processor gives to the tokens of a text without a prompt; 0 where it knows no types."""
    types = processor(text=["It is grey."], return_tensors="pt", add_special_tokens=False).get("token_type_ids")
    return 0 if types is None else int(types.max())


@contextmanager
def told_of_pictures(student: Any, counts: Sequence[int] | None, rows: int) -> Iterator[None]:
    """Have a student that takes `batch_num_images` get the counts of pictures, `rows` of them at each forward pass, in order."""
    model = student.get_base_model() if isinstance(student, PeftModel) else student
    if counts is None or COUNTED not in inspect.signature(model.forward).parameters:
        yield
        return
    parts = iter([list(counts[start : start + rows]) for start in range(0, len(counts), rows)])

    def tell(_: Any, given: Any, named: dict[str, Any]) -> Any:
        return given, named | {COUNTED: next(parts)}

    hook = model.register_forward_pre_hook(tell, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()
