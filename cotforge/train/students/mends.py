"""Small mends of transformers' processors: classes that go before the stock one, and are saved under its name.

Each stands for a fault of transformers 5.23 that stops a family in training alone; what a mended processor makes of a picture and a text is
what the stock one makes, where that can.
"""

from functools import cache
from typing import Any

import torch
from transformers import ProcessorMixin


class _Mend:
    """What all have in common: an object whose class was made here goes to other processes as what that was made of."""

    kinds: tuple[Any, ...]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _again_kinds, (self.kinds, self.__dict__)


class ImagesOnly(_Mend):
    """A processor without its videos, whose part for them asks for torchvision."""

    videos: dict[str, Any] | None = None
    """What its folder says of videos: kept for those who load the whole of it."""

    @classmethod
    def get_attributes(cls) -> list[str]:
        """The parts that it is loaded, checked and saved with."""
        return [part for part in super().get_attributes() if part != "video_processor"]  # type: ignore[misc]

    @classmethod
    def from_args_and_dict(cls, args: Any, processor_dict: dict[str, Any], **keys: Any) -> Any:
        found = super().from_args_and_dict(args, processor_dict | {"video_processor": None}, **keys)  # type: ignore[misc]
        found.videos = processor_dict.get("video_processor")
        return found

    def apply_chat_template(self, *given: Any, **keys: Any) -> Any:
        """As all processors do it; where a stock class adds something (SmolVLM), it does so for videos."""
        return ProcessorMixin.apply_chat_template(self, *given, **keys)

    def to_dict(self) -> dict[str, Any]:
        """What is saved."""
        whole: dict[str, Any] = super().to_dict()  # type: ignore[misc]
        return whole if self.videos is None else whole | {"video_processor": self.videos}


class Ovis2(_Mend):
    """Takes the grids of tiles as lists too (transformers 5.23 calls `tolist` on them, and fails), and tells how many tiles there are."""

    @property
    def image_processor(self) -> Any:
        """The part for pictures."""
        return self.__dict__["image_processor"]

    @image_processor.setter
    def image_processor(self, part: Any) -> None:
        part.__class__ = _made_class(Tiles, part.__class__)
        self.__dict__["image_processor"] = part

    @property
    def unused_input_names(self) -> list[str]:
        """What is made for the text alone."""
        return ["grids", "num_patches"]

    def replace_image_token(self, image_inputs: Any, image_idx: int, **keys: Any) -> str:
        """The tokens that stand for a picture."""
        grids = [torch.as_tensor(grid) for grid in image_inputs["grids"]]
        text: str = super().replace_image_token({"grids": grids}, image_idx, **keys)  # type: ignore[misc]
        return text


class Tiles(_Mend):
    """Goes before Ovis2's part for pictures: says how many tiles a picture has by the name by which TRL asks for it."""

    def preprocess(self, images: Any, **keys: Any) -> Any:
        """The tiles of all pictures; two or more have a view of the whole with them."""
        made = super().preprocess(images, **keys)  # type: ignore[misc]
        tiles = [int(rows) * int(columns) for rows, columns in made["grids"]]
        counts = [count + (count > 1) for count in tiles]
        made["num_patches"] = torch.tensor(counts) if isinstance(made["pixel_values"], torch.Tensor) else counts
        return made


class PaliGemma(_Mend):
    """Takes a text without pictures as something that is said, where transformers 5.23 takes none, and adds no labels.

    The model reads tokens of type 0, the prompt, both ways, and those of type 1, what is said, as they come.
    """

    def __call__(self, images: Any = None, text: Any = None, **keys: Any) -> Any:
        """What the model reads."""
        if images is not None:  # the stock one adds labels of its own, and fails at prompts of unequal length
            return ProcessorMixin.__call__(self, images=images, text=text, return_token_type_ids=True, **keys)
        made = self.tokenizer(text, **keys)  # type: ignore[attr-defined]
        ids = made["input_ids"]
        made["token_type_ids"] = torch.ones_like(ids) if isinstance(ids, torch.Tensor) else [[1] * len(row) for row in ids]
        return made


MENDS: dict[str, type] = {"Ovis2Processor": Ovis2, "PaliGemmaProcessor": PaliGemma}
"""By the name of the stock class."""


@cache
def mended_class(stock: Any) -> Any:
    """A stock class of processor with its mend, and without its videos; itself where it needs neither."""
    before = [MENDS[stock.__name__]] if stock.__name__ in MENDS else []
    if "video_processor" in stock.get_attributes():
        before.append(ImagesOnly)
    return _made_class(*before, stock) if before else stock


@cache
def _made_class(*kinds: Any) -> Any:
    """A class of several, of the name of the last, which is stock."""
    return type(kinds[-1].__name__, kinds, {"kinds": kinds, "__doc__": kinds[-1].__doc__})


def _again_kinds(kinds: tuple[Any, ...], held: dict[str, Any]) -> Any:
    found = object.__new__(_made_class(*kinds))
    found.__dict__.update(held)
    return found
