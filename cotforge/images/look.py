"""One image looked at: is it sound, may its stream stay, and if not, the stream that takes its place. The home of Pillow."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from math import sqrt

from PIL import Image, ImageStat, UnidentifiedImageError
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from cotforge.errors import in_words
from cotforge.images.cut import CutShortError, UntidyError, cut_metadata
from cotforge.images.effort import Bounded, EffortError, demand_few_scans
from cotforge.images.limits import HARD_PIXELS, Images
from cotforge.images.signatures import LONGEST, begins_undecoded
from cotforge.records import Fault

warnings.filterwarnings("ignore", module=r"PIL(\.|$)")  # a stranger's EXIF can have thousands of them said
FORMATS = tuple(str(kind.format) for kind in (JpegImageFile, PngImageFile, WebPImageFile, GifImageFile, BmpImageFile))
"""All that Pillow is allowed to try: its rarer parsers are where the holes were found."""

_ORIENTATION = 0x0112
_QUALITY = 95
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation. Source: EXIF 2.32, tag 274."""


@dataclass(frozen=True, slots=True)
class SoundImage:
    """A sound image, as it will be sent."""

    data: bytes
    mime: str
    width: int
    height: int
    recoded: bool
    """False where `data` is the source's own stream, without metadata."""
    shown_otherwise: bool = False
    """Whether it would have become one colour, and was scaled by its own range or put on black instead."""


def look_at(data: bytes, spec: Images) -> SoundImage:
    """As it will be sent. Raises Fault `image_empty`, `_not_an_image`, `_too_many_pixels`, `_too_slow`, `_truncated`, `_broken`."""
    if not data:
        raise Fault("image_empty", "has 0 bytes")
    try:
        return _decode_and_look(data, spec)
    except Fault:
        raise
    except UnidentifiedImageError as err:
        known = "a TIFF, AVIF or HEIC image, which is not decoded: convert it to PNG or JPEG"
        what = known if begins_undecoded(data[:LONGEST]) else "not an image of a known kind"
        raise Fault("image_not_an_image", f"is {what}; {len(data):,} bytes") from err
    except CutShortError as err:
        raise Fault("image_truncated", f"is cut short; it ends after {len(data):,} bytes") from err
    except EffortError as err:
        raise Fault("image_too_slow", f"would take too long to decode: it has {err}; save it anew") from err
    except Image.DecompressionBombError as err:
        raise Fault("image_too_many_pixels", f"has more than {HARD_PIXELS:,} pixels") from err
    except Exception as err:  # Pillow's parsers raise nearly anything on hostile bytes; all of it means this
        reason = "image_truncated" if "truncated" in str(err).lower() else "image_broken"
        raise Fault(reason, f"cannot be decoded; {in_words(err)}; {len(data):,} bytes") from err


def without_decoding(data: bytes, spec: Images) -> bytes | None:
    """What `look_at` will send of an image if it can be decoded; None where only decoding tells, or it is not sound. Takes 0.1 ms."""
    try:
        image = _open_image(data)
        if image.format not in ("JPEG", "PNG") or image.width * image.height > min(HARD_PIXELS, spec.max_pixels):
            return None
        mime = Image.MIME[image.format]
        if not _is_plain(image, data, mime):
            return None
        kept = cut_metadata(data, mime)
        upright = _exif_orientation(image) == 1 if image.format == "JPEG" else kept is data  # a PNG may tell it behind its pixels
    except Exception:  # as in `look_at`, which tells what it is
        return None
    return kept if upright and len(kept) <= spec.max_bytes else None


def _decode_and_look(data: bytes, spec: Images) -> SoundImage:
    image = _open_image(data)
    width, height = image.size
    if width * height > HARD_PIXELS:
        raise Fault("image_too_many_pixels", f"has {width} x {height} pixels; at most {HARD_PIXELS:,} are decoded")
    mime = Image.MIME["JPEG" if image.format == "MPO" else str(image.format)]
    kept = _keep_stream(image, data, mime, spec)
    if kept is not None:
        return SoundImage(kept, mime, width, height, recoded=False)
    return _recode_image(_open_image(data), spec, jpeg=mime == "image/jpeg")  # opened anew: the probe decodes at a smaller scale


def _open_image(data: bytes) -> Image.Image:
    """The image, not decoded yet. Raises EffortError where that would take too long, now or while it is decoded."""
    demand_few_scans(data)
    bounded = Bounded(data)
    image = Image.open(bounded, formats=FORMATS)
    bounded.opening = False
    return image


def _keep_stream(image: Image.Image, data: bytes, mime: str, spec: Images) -> bytes | None:
    """The source's own stream without metadata, its soundness proved by decoding; None where it has to be recoded."""
    if image.width * image.height > spec.max_pixels or not _is_plain(image, data, mime):
        return None
    try:
        kept = cut_metadata(data, mime)
    except UntidyError:
        return None
    if len(kept) > spec.max_bytes:
        return None
    # Entropy decoding reads the whole stream whatever the scale: the smallest is half the price, and finds the same faults.
    image.draft("L", (max(1, image.width // 8), max(1, image.height // 8)))
    image.load()
    return kept if _exif_orientation(image) == 1 else None  # asked after loading: a PNG may tell it behind its pixels


def _is_plain(image: Image.Image, data: bytes, mime: str) -> bool:
    """Whether it is a still 8-bit RGB or grey picture without transparency, of a format that every teacher reads."""
    if mime not in ("image/jpeg", "image/png", "image/webp") or image.mode not in ("RGB", "L") or "transparency" in image.info:
        return False
    if mime == "image/png" and data[24] != 8:  # bit depth in IHDR: Pillow reads 16-bit RGB as if it were 8-bit
        return False
    return mime == "image/jpeg" or not getattr(image, "is_animated", False)


def _exif_orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 where none is told."""
    if not image.info.keys() & {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}:
        return 1
    try:
        turn = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # EXIF that cannot be read (Pillow raises anything) tells no orientation, and is cut out
        return 1
    return turn if isinstance(turn, int) and 1 <= turn <= 8 else 1


def _recode_image(image: Image.Image, spec: Images, *, jpeg: bool) -> SoundImage:
    image.draft(None, _fit_size(image.size, spec))  # lets the JPEG decoder skip most of a huge image
    image.load()
    turn, profile = _exif_orientation(image), _colour_profile(image, spec)
    flat, shown_otherwise = _flatten_image(image)
    if flat.width * flat.height > spec.max_pixels:
        flat = flat.resize(_fit_size(flat.size, spec), Image.Resampling.LANCZOS)
    flat = flat.transpose(_UPRIGHT[turn]) if turn != 1 else flat
    for data, mime, size in _smaller_encodings(flat, profile, jpeg=jpeg):
        if len(data) <= spec.max_bytes:
            return SoundImage(data, mime, *size, recoded=True, shown_otherwise=shown_otherwise)
    raise AssertionError("one pixel is smaller than the smallest allowed max_bytes")


def _fit_size(size: tuple[int, int], spec: Images) -> tuple[int, int]:
    return _scale_size(size, min(1.0, sqrt(spec.max_pixels / (size[0] * size[1]))))


def _scale_size(size: tuple[int, int], factor: float) -> tuple[int, int]:
    return max(1, int(size[0] * factor)), max(1, int(size[1] * factor))


def _colour_profile(image: Image.Image, spec: Images) -> bytes | None:
    """The colour profile, where it is small beside `max_bytes` and speaks of the colours that are kept."""
    profile: bytes = image.info.get("icc_profile") or b""
    colours = {"RGB": b"RGB ", "RGBA": b"RGB ", "P": b"RGB ", "L": b"GRAY"}.get(image.mode)
    return profile if len(profile) <= spec.max_bytes // 8 and profile[16:20] == colours else None


def _flatten_image(image: Image.Image) -> tuple[Image.Image, bool]:
    """(8-bit RGB or grey, whether shown otherwise than usual). What is transparent lies on white, 16 bits are scaled by 257.

    Where only one colour would come of that, what is transparent lies on black, and 16 bits are scaled by the image's own range.
    """
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        seen = image.convert("RGBA")
        usual = _lay_on_colour(seen, "white")
        other = _lay_on_colour(seen, "black") if _is_one_colour(usual) else usual
    elif image.mode.startswith("I"):  # 16-bit grey: a plain convert would clip instead of scaling
        values = image.convert("I")
        usual = values.point(lambda value: value * (1 / 257)).convert("L")
        other = _stretch_values(values) if _is_one_colour(usual) else usual
    else:
        return image.convert("L" if image.mode in ("1", "L") else "RGB"), False
    return (usual, False) if other is usual or _is_one_colour(other) else (other, True)


def _lay_on_colour(image: Image.Image, colour: str) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", image.size, colour), image).convert("RGB")


def _stretch_values(values: Image.Image) -> Image.Image:
    """32-bit values brought from their own range to 0 to 255."""
    low, high = (float(value) for value in values.getextrema() if isinstance(value, int | float))
    scale = 255 / (high - low) if high > low else 0.0
    return values.point(lambda value: value * scale + -low * scale).convert("L")


def _is_one_colour(image: Image.Image) -> bool:
    return all(low == high for low, high in ImageStat.Stat(image).extrema)


def _smaller_encodings(image: Image.Image, profile: bytes | None, *, jpeg: bool) -> Iterator[tuple[bytes, str, tuple[int, int]]]:
    """(bytes, mime, size in pixels), ever smaller: PNG unless `jpeg`, then JPEG, then JPEGs of fewer and fewer pixels."""
    if not jpeg:
        yield _encode_image(image, "PNG", icc_profile=profile), "image/png", image.size
    while True:
        yield _encode_image(image, "JPEG", quality=_QUALITY, subsampling=0, icc_profile=profile), "image/jpeg", image.size
        if image.size == (1, 1):
            return
        image = image.resize(_scale_size(image.size, 0.8), Image.Resampling.LANCZOS)


def _encode_image(image: Image.Image, kind: str, **options: object) -> bytes:
    out = BytesIO()
    image.info = {}  # Pillow would write comments and text back
    image.save(out, kind, **options)
    return out.getvalue()
