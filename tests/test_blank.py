"""The blank picture that a probe shows."""

import io
import pickle
from hashlib import sha256

import pytest
from PIL import Image

from cotforge.images.blank import blank_picture
from cotforge.images.limits import Images
from cotforge.images.look import look_at
from cotforge.records import Picture


@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 3), (640, 480)])
def test_it_is_a_grey_png_of_the_same_size_whose_bytes_can_be_made_anew_anywhere(width: int, height: int) -> None:
    blank = blank_picture(Picture("d", "image/jpeg", width, height, 9, bytes))
    data = pickle.loads(pickle.dumps(blank)).load()
    assert (sha256(data).hexdigest(), len(data), blank.mime) == (blank.digest, blank.size, "image/png")
    with Image.open(io.BytesIO(data)) as image:
        assert (image.size, image.getextrema()) == ((width, height), (128, 128))
    assert not look_at(data, Images()).recoded
    assert blank.place == f"blank {width}x{height}"


def test_its_bytes_are_these() -> None:
    """They are part of a Call's key: other bytes would be asked again."""
    blank = blank_picture(Picture("d", "image/png", 32, 32, 9, bytes))
    assert blank.digest == "882ab12586c7a0917581aa1ba016cc1df5d7266b65eb4810ff57534803a1fe74"
