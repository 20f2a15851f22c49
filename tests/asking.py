"""A person who asks a simulated teacher over HTTP, with pictures that are easily told apart."""

import base64
import io
import json
import urllib.error
import urllib.request
from email.message import Message
from typing import Any

from PIL import Image, ImageDraw

LABELS = ("standing", "lying")


def picture(draw_on: str, *, shift: int = 0, form: str = "PNG", size: int = 64) -> bytes:
    """White shapes on black: a standing or lying bar, rings (`o`, `8`), a pair of bars, or nothing."""
    image = Image.new("L", (64, 64))
    draw = ImageDraw.Draw(image)
    if draw_on == "standing":
        draw.rectangle((26 + shift, 4, 36 + shift, 60), fill=255)
    elif draw_on == "lying":
        draw.rectangle((4, 26 + shift, 60, 36 + shift), fill=255)
    elif draw_on == "pair":
        draw.rectangle((4, 4, 14, 60), fill=255)
        draw.rectangle((46, 4, 56, 60), fill=255)
    for top in {"o": (16,), "8": (2, 34)}.get(draw_on, ()):
        draw.ellipse((18, top, 46, top + 27), outline=255, width=7)
    file = io.BytesIO()
    image.resize((size, size)).save(file, form, **({"quality": 90} if form == "JPEG" else {}))
    return file.getvalue()


def request_body(model: str, data: bytes, text: str = "Which is it?\n- lying\n- standing", **more: Any) -> dict[str, Any]:
    url = "data:image/png;base64," + base64.b64encode(data).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": text}]
    return {"model": model, "temperature": 0, "messages": [{"role": "user", "content": content}], **more}


def bars(model: str, **more: Any) -> list[dict[str, Any]]:
    """Sixteen requests that all differ."""
    return [request_body(model, picture(label, shift=shift), **more) for label in LABELS for shift in range(-12, 20, 4)]


def ask(url: str, body: object, *, key: str = "", timeout: float = 10) -> tuple[int, Any, Message]:
    """Status, parsed body and headers of a chat completion."""
    status, text, headers = ask_raw(url, body, key=key, timeout=timeout)
    return status, json.loads(text), headers


def ask_raw(url: str, body: object, *, key: str = "", timeout: float = 10) -> tuple[int, bytes, Message]:
    """The same with the body as it came."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    return _got(urllib.request.Request(f"{url}/chat/completions", data, headers), timeout)


def get(url: str, path: str, *, key: str = "") -> tuple[int, bytes, Message]:
    """Status, body and headers of a page beside the API, or under it: `/ledger`, `/v1/models`."""
    root = url.removesuffix("/v1")
    return _got(urllib.request.Request(f"{root}{path}", headers={"Authorization": f"Bearer {key}"}), 10)


def _got(request: urllib.request.Request, timeout: float) -> tuple[int, bytes, Message]:
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return response.status, response.read(), response.headers
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read(), refused.headers


def ledger(url: str, model: str) -> dict[str, Any]:
    """What the server says became of the requests for one model."""
    shown: dict[str, Any] = json.loads(get(url, "/ledger")[1])[model]
    return shown


def text_of(reply: tuple[int, Any, Any]) -> str:
    assert reply[0] == 200, reply
    return str(reply[1]["choices"][0]["message"]["content"])
