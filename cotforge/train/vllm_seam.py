"""What the trainers' seam to TRL (`trl_seam`) has vLLM be given and gives back: prompts, pictures, tokens and the names of weights.

Nothing here is promised from one release to the next either; it has its tests in `tests/test_trl_seam.py`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from transformers.core_model_loading import WeightConverter, apply_converters, revert_weight_conversion

from cotforge.errors import PipelineError


def short_prompts(processor: Any, prompts: Sequence[Any]) -> list[list[int]]:
    """Token ids of prompts as the chat template writes them, with one placeholder for each picture: what vLLM starts from."""
    words, shorts = processor.tokenizer, []
    for text in processor.apply_chat_template(list(prompts), add_generation_prompt=True, tokenize=False):
        begun = words.bos_token is not None and text.startswith(words.bos_token)  # as transformers' processors see it
        shorts.append(list(words(text, add_special_tokens=not begun)["input_ids"]))
    return shorts


def placed_alike(place: Any, features: Any, prompt_ids: list[int]) -> Any:
    """Pictures of a prompt in their places there. Raises PipelineError where the server makes other numbers of tokens of them."""
    found = place(features, prompt_ids)
    if found is not None:
        ours, theirs = ([each["length"] for each in of["mm_placeholders"]["image"]] for of in (found, features))
        if ours != theirs:
            raise PipelineError(
                f"rollouts: vllm: the server makes {theirs} tokens of a prompt's pictures, and the student's processor makes {ours}; "
                "start it on a folder whose processor is the student's, or with its size of pictures (--mm-processor-kwargs)"
            )
    return found


def tokens_named(post: Any, url: str, **named: Any) -> Any:
    """A reply of vLLM's server whose tokens have the names that TRL 1.16 reads; from vLLM 0.32 on they come as numbers."""
    reply = post(url, **named)
    for choice in reply.get("choices", ()):
        logprobs = choice.get("logprobs")
        for entry in logprobs.get("content") or () if isinstance(logprobs, dict) else ():
            for token in (entry, *entry["top_logprobs"]):
                if "token" not in token:
                    token["token"] = f"token_id:{token['token_id']}"
    return reply


def named_as_saved(model: Any, weights: Iterable[tuple[str, torch.Tensor]]) -> Iterator[tuple[str, torch.Tensor]]:
    """Weights under the names that they have in the student's files, which are those that vLLM knows.

    TRL 1.16 sends them under their names in memory. Those of a LLaVA's vision tower are others since transformers 5, and vLLM refuses them.
    """
    reversed_ = [each.reverse_transform() for each in getattr(model, "_weight_conversions", None) or ()]
    joining = [each for each in reversed_ if isinstance(each, WeightConverter) and len(each.source_patterns) > 1]
    waiting: dict[str, torch.Tensor] = {}
    for name, weight in weights:
        if joining and apply_converters(name, joining)[1] is not None:
            waiting[name] = weight  # one of several that are one in the file
        else:
            yield from revert_weight_conversion(model, {name: weight}).items()
    yield from revert_weight_conversion(model, waiting).items()
