"""Files that a case lays beside its pipeline: pictures, texts, parquet and links."""

import base64
import random
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from pydantic import BaseModel, ConfigDict


class File(BaseModel):
    """One of: a picture, a text, rows of a parquet file, or a symbolic link."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    picture: int | None = None
    """A number for each picture of its own."""
    text: str | None = None
    """`<<base64 3>>` stands for picture 3, `<<noise 3>>` for one whose base64 has more than 131,072 characters."""
    encoding: str = "utf-8"
    parquet: tuple[dict[str, Any], ...] = ()
    link: str | None = None
    """Its target, as a link has it."""

    def write(self, path: Path) -> None:
        """Lays it there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.link is not None:
            path.symlink_to(self.link)
        elif self.picture is not None:
            path.write_bytes(_jpeg(self.picture, (64, 48)))
        elif self.text is not None:
            path.write_bytes(re.sub(r"<<(base64|noise) (\d+)>>", _coded, self.text).encode(self.encoding))
        else:
            pq.write_table(pa.Table.from_pylist(list(self.parquet)), path)


def _coded(found: re.Match[str]) -> str:
    return base64.b64encode(_jpeg(int(found[2]), (64, 48) if found[1] == "base64" else (500, 400))).decode()


def _jpeg(number: int, size: tuple[int, int]) -> bytes:
    out, count = BytesIO(), size[0] * size[1] * 3
    noise = random.Random(number).randbytes(count)
    Image.frombytes("RGB", size, noise).save(out, "JPEG", quality=90)
    return out.getvalue()
