"""Pictures that differ, and copies of them, for tests of near-duplicates."""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps


def scene(seed: int) -> Image.Image:
    """Coloured shapes on a gradient."""
    random = np.random.default_rng(seed)
    top, bottom = random.integers(0, 256, (2, 3))
    slope = np.linspace(0, 1, 220)[:, None, None]
    image = Image.fromarray(np.uint8(np.broadcast_to(top * (1 - slope) + bottom * slope, (220, 300, 3))))
    draw = ImageDraw.Draw(image)
    for _ in range(9):
        colour = tuple(int(value) for value in random.integers(0, 256, 3))
        x, y, across, down = (int(random.integers(low, high)) for low, high in ((0, 300), (0, 220), (15, 80), (15, 60)))
        (draw.ellipse if random.random() < 0.5 else draw.rectangle)((x - across, y - down, x + across, y + down), fill=colour)
    return image


def form(text: str) -> Image.Image:
    """A form with a text in it: forms differ in that alone."""
    image = Image.new("RGB", (300, 200), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 300, 50), fill="navy")
    draw.line((20, 150, 280, 150), fill="black", width=2)
    draw.text((40, 90), text, fill="black", font=ImageFont.load_default(size=44))
    return image


def jpeg(image: Image.Image, quality: int = 92) -> bytes:
    """The bytes of a JPEG."""
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=quality)
    return out.getvalue()


def copies(image: Image.Image) -> dict[str, bytes]:
    """Copies of a picture by what was done to it."""
    width, height = image.size
    return {
        "crop": jpeg(image.crop((round(0.06 * width), round(0.12 * height), round(0.9 * width), round(0.93 * height)))),
        "jpeg": jpeg(image, 35),
        "resize": jpeg(image.resize((width * 3 // 5, height * 3 // 5))),
        "flip": jpeg(ImageOps.mirror(image)),
        "brightness": jpeg(ImageEnhance.Brightness(image).enhance(1.15)),
        "contrast": jpeg(ImageEnhance.Contrast(image).enhance(0.75)),
    }
