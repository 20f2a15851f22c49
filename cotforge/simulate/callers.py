"""Who may speak to a server on this machine: programs here, and no page that a browser here has open."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from cotforge.simulate.reply import refusal_response
from cotforge.simulate.request import HttpRefusal

NAMES = ("127.0.0.1", "localhost", "[::1]")
"""Of this machine, as they stand in a Host header."""
ELSEWHERE = frozenset({"cross-site", "same-site"})
"""What a browser says in Sec-Fetch-Site of a page that is not this server's; other ports of this machine are the same site."""


@web.middleware
async def from_here_only(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    """Answers 400 to another name than this machine's (DNS rebinding), 403 to another page's script; everything else is passed on."""
    transport = request.transport
    port = transport.get_extra_info("sockname")[1] if transport is not None else 0
    hosts = {f"{name}:{port}" for name in NAMES}
    if [host.casefold() for host in request.headers.getall("Host", [])] not in [[host] for host in (*hosts, *NAMES)]:
        return refusal_response(HttpRefusal(400, "this server is asked by the name of this machine only, such as 127.0.0.1 with its port"))
    origins = request.headers.getall("Origin", [])
    if any(origin.casefold() not in {f"http://{host}" for host in hosts} for origin in origins) or len(origins) > 1:
        return refusal_response(HttpRefusal(403, "this server answers no page of another origin"))
    if request.headers.get("Sec-Fetch-Site", "").casefold() in ELSEWHERE:
        return refusal_response(HttpRefusal(403, "this server answers no page of another site"))
    return await handler(request)
