"""A real Chromium for tests of pages, driven over the DevTools protocol: keys are pressed and files downloaded as by a person."""

import asyncio
import base64
import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import aiohttp

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0", "--window-size=1280,900"),
    *("--no-first-run", "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PROGRAM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
"""None where there is no such browser."""
START_S = ANSWER_S = 120.0
"""After so long a browser is not slow, it hangs."""
READY = """new Promise(done => {
    const there = () => [...document.images].every(one => one.complete || one.loading === "lazy");
    const painted = () => performance.getEntriesByName("first-contentful-paint").length && there();
    const look = () => painted() ? requestAnimationFrame(() => requestAnimationFrame(() => done(true))) : setTimeout(look, 10);
    look();
})"""
"""Until then a page has no place for each of its parts, and what is pressed before anything is painted the browser throws away."""


class Tab:
    """One page in the browser."""

    def __init__(self, address: str) -> None:
        self._loop, self._address, self._last = asyncio.new_event_loop(), address, 0
        self.events: list[dict[str, Any]] = []
        """What came unasked since the last page was opened."""
        self._loop.run_until_complete(self._connect())

    async def _connect(self) -> None:
        self._session = aiohttp.ClientSession()
        self._socket = await self._session.ws_connect(self._address, max_msg_size=0)

    def send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        return self._loop.run_until_complete(asyncio.wait_for(self._send(method, session, params), ANSWER_S))

    async def _send(self, method: str, session: str | None, params: dict[str, Any]) -> dict[str, Any]:
        self._last += 1
        await self._socket.send_json({"id": self._last, "method": method, "params": params} | ({"sessionId": session} if session else {}))
        while True:
            told = await self._socket.receive_json()
            if told.get("id") == self._last:
                assert "error" not in told, (method, told)
                return dict(told["result"])
            self.events.append(told)

    def loaded(self, document: str) -> None:
        """Waits until the document that a navigation named is there whole."""
        self._loop.run_until_complete(asyncio.wait_for(self._loaded(document), ANSWER_S))

    async def _loaded(self, document: str) -> None:
        while not any(_tells_load(told, document) for told in self.events):
            self.events.append(await self._socket.receive_json())
        self.events.clear()

    def close(self) -> None:
        self._loop.run_until_complete(self._socket.close())
        self._loop.run_until_complete(self._session.close())
        self._loop.close()


def _tells_load(told: dict[str, Any], document: str) -> bool:
    params = told.get("params", {})
    return told.get("method") == "Page.lifecycleEvent" and (params["name"], params["loaderId"]) == ("load", document)


class Browser:
    """A browser with one page open, and what a person does with it."""

    def __init__(self, tab: Tab, downloads: Path) -> None:
        self._tab, self.downloads = tab, downloads
        tab.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
        target = tab.send("Target.createTarget", url="about:blank")["targetId"]
        self._page = tab.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.do("Page.enable")
        self.do("Page.setLifecycleEventsEnabled", enabled=True)

    def do(self, method: str, **params: Any) -> dict[str, Any]:
        return self._tab.send(method, self._page, **params)

    def open(self, path: Path) -> Self:
        """A page that is loaded and painted; also where it is the one that was open before."""
        self._tab.loaded(self.do("Page.navigate", url=path.absolute().as_uri())["loaderId"])
        self.ask(READY)
        return self

    def visit(self, url: str) -> Self:
        """A page of a server that is loaded and painted, or the one that it leads on to."""
        self._tab.loaded(self.do("Page.navigate", url=url)["loaderId"])
        self.settle("document.readyState === 'complete' && document.querySelector('meta[http-equiv=refresh]') === null")
        self.settle(READY)
        return self

    def settle(self, expression: str) -> Any:
        """What an expression in the page comes to be, once that is true; pages may follow one another meanwhile."""
        end = time.monotonic() + ANSWER_S
        while True:
            with contextlib.suppress(AssertionError):  # the page was left while it was asked
                if found := self.ask(expression):
                    return found
            assert time.monotonic() < end, expression
            time.sleep(0.01)

    def ask(self, expression: str) -> Any:
        """What an expression is in the page, or comes to be."""
        found = self.do("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, *keys: str) -> None:
        """Keys, one after another, by the names that the browser gives them."""
        for key in keys:
            text = {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
            self.do("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
            self.do("Input.dispatchKeyEvent", type="keyUp", key=key)

    def click(self, selector: str) -> None:
        """The mouse on the middle of an element, once everything is in its place."""
        self.ask(READY)
        box = self.ask(
            f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView({{block: 'center'}});"
            "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.do("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def text(self, selector: str) -> str:
        return str(self.ask(f"document.querySelector({selector!r}).innerText"))

    def downloaded(self, name: str) -> Path:
        """The file, once it is whole."""
        path, end = self.downloads / name, time.monotonic() + ANSWER_S
        while not path.exists() or any(self.downloads.glob("*.crdownload")):
            assert time.monotonic() < end, name
            time.sleep(0.02)
        return path

    def picture(self, path: Path, width: int, height: int, *, dark: bool = False, scale: float = 1) -> None:
        """A screenshot, for a person who looks at it."""
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=width < 600)
        self.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        time.sleep(0.3)
        path.write_bytes(base64.b64decode(self.do("Page.captureScreenshot")["data"]))


@contextlib.contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """A browser of its own, whose profile and downloads lie in the folder."""
    assert PROGRAM is not None
    profile, downloads = folder / "profile", folder / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    with (folder / "browser.log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, *FLAGS, f"--user-data-dir={profile}", "about:blank"], stdout=log, stderr=log)
    try:
        tab = Tab(_address(process, profile / "DevToolsActivePort"))
        try:
            yield Browser(tab, downloads)
        finally:
            with contextlib.suppress(Exception):  # it hangs up while it ends
                tab.send("Browser.close")
            tab.close()
    finally:
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes], port: Path) -> str:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        if port.exists() and len(lines := port.read_text().splitlines()) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.05)
    raise AssertionError("the browser did not come up")
