"""Who may speak to the viewer: the browser of the person who started it, and no other user, site or program.

Other users of a machine reach its loopback address, and any page that is open in a browser can send requests there. So a request needs the
name of this machine in `Host` (against DNS rebinding), no other site behind it, and the secret of this start. What changes something also
needs a header that no form can send. Source: the policies of Jupyter and of inspect_ai's viewer.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from multidict import CIMultiDictProxy

from cotforge.errors import PipelineError, show_value

NAMES = ("127.0.0.1", "localhost", "[::1]")
"""Of this machine, as they stand in a Host header."""
MARK = "X-Cotforge"
"""The header of every request that changes something."""
TOKEN = "token"
"""The parameter of the address that is printed."""
_ELSEWHERE = frozenset({"cross-site", "same-site"})
_POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors {}"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@dataclass(slots=True)
class ViewGuard:
    """The secrets of one start of the viewer, and who else is let in."""

    trusted: Sequence[str] = ()
    """Origins, such as that of a notebook's proxy, whose pages may show the viewer."""
    port: int = 0
    """Where the viewer listens; 0 until it does."""
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    def __post_init__(self) -> None:
        """Raises PipelineError where a trusted origin is none."""
        for origin in self.trusted:
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or not parts.netloc or origin != f"{parts.scheme}://{parts.netloc}":
                raise PipelineError(f"--trusted-origin {show_value(origin)}: is no origin; it looks like https://hub.example.org")

    @property
    def url(self) -> str:
        """The address for the person who started the viewer. It holds the secret."""
        return f"http://127.0.0.1:{self.port}/?{TOKEN}={self.token}"

    @property
    def cookie(self) -> str:
        """The name of the cookie; browsers share cookies between ports, so it holds the port."""
        return f"cotforge-{self.port}"

    @property
    def middleware(self) -> Middleware:
        """What every request passes first."""

        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                response = self._refuse_request(request) or await handler(request)
            except web.HTTPException as fault:  # 404, 405, 413
                response = web.Response(status=fault.status, text=fault.reason)
            response.headers.update(_HEADERS)
            response.headers["Content-Security-Policy"] = _POLICY.format(" ".join(self.trusted) or "'none'")
            response.headers.setdefault("Cache-Control", "no-store")
            return response

        return guarded

    def _refuse_request(self, request: web.Request) -> web.Response | None:
        """Why a request is not answered.

        For a request with the token it is the page that lets the browser in. None where a request may pass.
        """
        if not self._names_us(request.headers):
            return web.Response(status=400, text="ask this server by the name of this machine, such as 127.0.0.1 with its port")
        if fault := self._other_site(request):
            return web.Response(status=403, text=fault)
        if TOKEN in request.query:
            return self._let_in(request)
        if not secrets.compare_digest(request.cookies.get(self.cookie, "").encode(), self.session.encode()):
            return web.Response(status=403, text="open the address that `cotforge view` has printed: it holds this start's token")
        if request.method not in ("GET", "HEAD") and not _is_ours(request):
            return web.Response(status=403, text=f"a change is JSON with the header {MARK}: 1")
        return None

    def _names_us(self, headers: CIMultiDictProxy[str]) -> bool:
        hosts = [host.casefold() for host in headers.getall("Host", [])]
        known = {f"{name}:{self.port}" for name in NAMES} | {urlsplit(origin).netloc.casefold() for origin in self.trusted}
        return len(hosts) == 1 and hosts[0] in known

    def _other_site(self, request: web.Request) -> str:
        """What is wrong with where a request comes from; empty where nothing is."""
        origins, sites = request.headers.getall("Origin", []), request.headers.getall("Sec-Fetch-Site", [])
        known = {f"http://{name}:{self.port}" for name in NAMES} | {origin.casefold() for origin in self.trusted}
        if len(origins) > 1 or len(sites) > 1 or any(origin.casefold() not in known for origin in origins):
            return "this server answers no page of another origin"
        opens = request.headers.get("Sec-Fetch-Mode") == "navigate" and request.headers.get("Sec-Fetch-Dest") in ("document", "iframe")
        may_open = request.method == "GET" and request.path == "/" and opens
        if sites and sites[0].casefold() in _ELSEWHERE and not may_open and not self.trusted:
            return "this server answers no page of another site"
        return ""

    def _let_in(self, request: web.Request) -> web.Response:
        """Sets the cookie, and leads to the same address without the token.

        By a page rather than a redirect: a browser that comes from another site would not send the new cookie along with a redirect.
        """
        if not secrets.compare_digest(request.query.get(TOKEN, "").encode(), self.token.encode()):
            return web.Response(status=403, text="this token is of another start; open the address that `cotforge view` has printed last")
        without = f".{request.rel_url.without_query_params(TOKEN)}"  # relative: a proxy may have a path of its own before it
        page = f'<!doctype html><meta http-equiv="refresh" content="0; url={escape(without)}"><title>cotforge view</title>'
        response = web.Response(text=page, content_type="text/html")
        response.set_cookie(self.cookie, self.session, httponly=True, samesite="Strict", path="/")
        return response


def _is_ours(request: web.Request) -> bool:
    """Whether a change comes from a script of ours: no form can send this header, or this kind of body."""
    return request.headers.get(MARK) == "1" and request.content_type == "application/json"
