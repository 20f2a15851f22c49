"""The least that making the calls can cost: read a picture, encode it, POST it, read the reply; nothing is kept.

Usage: python -m benchmarks.forge.bare rows.jsonl http://127.0.0.1:8000/v1 64
"""

import asyncio
import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp

PROMPT = "Look at the image.\n" * 64
"""As long as the shipped prompt."""


async def main(table: Path, url: str, in_flight: int) -> None:
    """All rows of the table, `in_flight` at a time."""
    with table.open() as lines:
        pictures = (table.parent / json.loads(line)["image"] for line in lines)
        connector = aiohttp.TCPConnector(limit=in_flight)
        async with aiohttp.ClientSession(connector=connector) as session:
            await asyncio.gather(*(_ask(session, f"{url}/chat/completions", pictures) for _ in range(in_flight)))


async def _ask(session: aiohttp.ClientSession, url: str, pictures: Iterator[Path]) -> None:
    for picture in pictures:
        image = "data:image/jpeg;base64," + base64.b64encode(picture.read_bytes()).decode()
        content = [{"type": "image_url", "image_url": {"url": image}}, {"type": "text", "text": PROMPT}]
        body = {"model": "bare", "messages": [{"role": "user", "content": content}], "temperature": 0.7, "max_tokens": 2048}
        async with session.post(url, json=body) as reply:
            reply.raise_for_status()
            (await reply.json())["choices"][0]["message"]["content"]


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
