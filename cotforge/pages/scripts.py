"""A page's own script and data, such that nothing else can run or end there."""

import base64
import json
from hashlib import sha256
from pathlib import Path
from typing import Any


def page_file(name: str) -> str:
    """The text of a file of this folder, such as a script or a style."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def safe_json(value: Any) -> str:
    """JSON that cannot end the element it stands in. Raises ValueError for numbers that JSON has not."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def script_hash(script: str) -> str:
    """What a Content-Security-Policy calls this one script, so that no other runs."""
    return f"sha256-{base64.b64encode(sha256(script.encode()).digest()).decode()}"
