"""What TRL's GRPO does not hand on, or marks wrongly, of the inputs of some families; put right where it computes log-probabilities.

TRL 1.16, `GRPOTrainer._get_per_token_logps_and_entropies`: it knows no `batch_num_images` (LLaVA-OneVision), and has tokens of a
completion be of type 0, which PaliGemma reads as prompt, both ways.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from peft import PeftModel


class Inputs:
    """Goes before TRL's trainer."""

    said_type: int = 0
    """The type of a completion's tokens."""

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Any, attention_mask: Any, logits_to_keep: int, batch_size: int | None = None, **named: Any
    ) -> Any:
        named.pop("batch_num_images", None)
        types = named.get("token_type_ids")
        if types is not None and self.said_type:
            types[:, -logits_to_keep:] = self.said_type
        whole = self.accelerator.unwrap_model(model)  # type: ignore[attr-defined]
        with _counted(whole, named.get("num_images"), batch_size or len(input_ids)):
            return super()._get_per_token_logps_and_entropies(  # type: ignore[misc]
                model, input_ids, attention_mask, logits_to_keep, batch_size, **named
            )


def said_type(processor: Any) -> int:
    """The type that a processor gives to the tokens of a text that is said; 0 where it knows no types."""
    made = processor(text=["It is grey."], return_tensors="pt", add_special_tokens=False)
    types = made.get("token_type_ids")
    return 0 if types is None else int(types.max())


@contextmanager
def _counted(whole: Any, counts: list[int] | None, batch: int) -> Iterator[None]:
    """Have a model that wants to know how many pictures each row has be told, `batch` rows at each call."""
    model = whole.get_base_model() if isinstance(whole, PeftModel) else whole
    if counts is None or "batch_num_images" not in inspect.signature(model.forward).parameters:
        yield
        return
    parts = iter([counts[start : start + batch] for start in range(0, len(counts), batch)])

    def tell(module: Any, given: Any, named: dict[str, Any]) -> Any:
        return given, named | {"batch_num_images": next(parts)}

    hook = model.register_forward_pre_hook(tell, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()
