"""Small mends of transformers' processors: classes that go before the stock one, and are saved under its name.

Each stands for a fault of transformers 5.23 that stops a family in training alone; what a mended processor makes of a picture and a text is
what the stock one makes, where that can.
"""

from functools import cache
from typing import Any

import torch
from transformers import ProcessorMixin


class _Mend:
    """What all have in common: a processor whose class was made here goes to other processes as what it was made from."""

    stock: type

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _again, (self.stock, self.__dict__)


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
    """Takes the grids of tiles as lists too: transformers 5.23 calls `tolist` on them, and fails."""

    def replace_image_token(self, image_inputs: Any, image_idx: int, **keys: Any) -> str:
        """The tokens that stand for a picture."""
        grids = [torch.as_tensor(grid) for grid in image_inputs["grids"]]
        text: str = super().replace_image_token({"grids": grids}, image_idx, **keys)  # type: ignore[misc]
        return text


MENDS: dict[str, type] = {"Ovis2Processor": Ovis2}
"""By the name of the stock class."""


@cache
def mended(stock: Any) -> Any:
    """A stock class of processor with its mend, and without its videos; itself where it needs neither."""
    before = [MENDS[stock.__name__]] if stock.__name__ in MENDS else []
    if "video_processor" in stock.get_attributes():
        before.append(ImagesOnly)
    return type(stock.__name__, (*before, stock), {"stock": stock, "__doc__": stock.__doc__}) if before else stock


def _again(stock: Any, held: dict[str, Any]) -> Any:
    found = object.__new__(mended(stock))
    found.__dict__.update(held)
    return found
