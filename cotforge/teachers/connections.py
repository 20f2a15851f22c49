"""The HTTP client that every teacher behind a URL is asked with."""

import asyncio
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

MOST_INFORMATIONAL = 1000
"""Informational answers (100 Continue, 102 Processing, 103 Early Hints; RFC 9110, 15.2) before one that counts (default chosen by us)."""


class _Connection(ResponseHandler):
    """One connection. aiohttp passes over informational answers without end, and a flood of them would keep the event loop busy."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._informational = 0

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Take one answer's head; called by the parser."""
        code = data[0].code
        self._informational = self._informational + 1 if 100 <= code < 200 and code != 101 else 0
        if self._informational <= MOST_INFORMATIONAL:
            super().feed_data(data, size)
        elif self._informational == MOST_INFORMATIONAL + 1:
            said = f"the server said {code} more than {MOST_INFORMATIONAL:,} times and then nothing that counts"
            self.set_exception(aiohttp.ClientPayloadError(said))
            if self.transport is not None:
                self.transport.abort()


def http_client() -> aiohttp.ClientSession:
    """A pool of connections without a limit, cookies or a name. To be made, and used as a context, in a running event loop."""
    connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=300)
    connector._factory = partial(_Connection, loop=asyncio.get_running_loop())  # type: ignore[assignment]  # one of its subclasses
    return aiohttp.ClientSession(
        connector=connector,
        auto_decompress=True,
        skip_auto_headers=("User-Agent",),
        read_bufsize=2**18,
        cookie_jar=aiohttp.DummyCookieJar(),
    )
