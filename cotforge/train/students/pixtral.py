"""The processor of Pixtral and Mistral3 without torchvision, which transformers 5.23 imports for it and does not need."""

from typing import Any

from transformers import ProcessorMixin


class PixtralProcessor(ProcessorMixin):  # type: ignore[misc]
    """Does what transformers' class of that name does, and is saved as it; prompts become tensors only when asked to.

    A line of patches ends with a token of its own, and so does the picture: transformers, `models/pixtral/processing_pixtral.py`.
    """

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        patch_size: int = 16,
        spatial_merge_size: int = 1,
        chat_template: str | None = None,
        image_token: str = "[IMG]",
        image_break_token: str = "[IMG_BREAK]",
        image_end_token: str = "[IMG_END]",
        **_: Any,
    ) -> None:
        super().__init__(image_processor, tokenizer, chat_template=chat_template)
        self.patch_size, self.spatial_merge_size = patch_size, spatial_merge_size
        self.image_token, self.image_break_token, self.image_end_token = image_token, image_break_token, image_end_token
        self.image_token_id = tokenizer.convert_tokens_to_ids(image_token)

    @property
    def image_token_ids(self) -> list[int]:
        """Of all that stands for a picture."""
        ids: list[int] = self.tokenizer.convert_tokens_to_ids([self.image_token, self.image_break_token, self.image_end_token])
        return ids

    @property
    def model_input_names(self) -> list[str]:
        """What is made for the model."""
        return [*self.tokenizer.model_input_names, *self.image_processor.model_input_names]

    def _process_images(self, images: Any, **keys: Any) -> Any:
        return super()._process_images(images, **keys | {"patch_size": self._side, "return_tensors": "pt"})

    def replace_image_token(self, image_inputs: Any, image_idx: int, **_: Any) -> str:
        """The tokens that stand for a picture."""
        height, width = (int(pixels) // self._side for pixels in image_inputs["image_sizes"][image_idx])
        return (self.image_token * width + self.image_break_token) * (height - 1) + self.image_token * width + self.image_end_token

    @property
    def _side(self) -> int:
        """Pixels of the side of what one token stands for."""
        return self.patch_size * self.spatial_merge_size
