"""What the viewer answers to each address: pages, pictures and texts to read, and answers of people to save."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web
from jinja2 import Environment, FileSystemLoader

from cotforge.errors import CotforgeError, printable_line
from cotforge.given_answers import UNTOLD
from cotforge.pages import page_environment
from cotforge.view.guard import ViewGuard
from cotforge.view.list_page import list_page
from cotforge.view.reviewing import RunReview
from cotforge.view.sample_filter import Narrowed, SampleFilter, narrow_samples
from cotforge.view.sample_page import SampleAsked, sample_page
from cotforge.view.sample_texts import traces_of
from cotforge.view.shown_pictures import ShownPictures
from cotforge.view.text_searches import TextSearches
from cotforge.view.viewed_run import OpenedDataset, ViewedRun
from cotforge.visible import show_invisible

HERE = Path(__file__).parent
MOST_BYTES = 64 << 10
"""Of a request's body."""
SEARCH_S = 0.2
"""Seconds after which a page tells what a search has found so far."""
THREADS = 4

T = TypeVar("T")


@dataclass(slots=True)
class RunPages:
    """The pages of one run."""

    run: ViewedRun
    review: RunReview
    pictures: ShownPictures = field(init=False)
    searches: TextSearches = field(init=False)
    _pool: ThreadPoolExecutor = field(init=False)
    _templates: Environment = field(init=False)

    def __post_init__(self) -> None:
        self.pictures, self.searches = ShownPictures(self.run), TextSearches(self.run)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="pages")
        self._templates = page_environment(autoescape=True).overlay(loader=FileSystemLoader(HERE / "templates"))

    def application(self, guard: ViewGuard) -> web.Application:
        """All routes behind the guard."""
        made = web.Application(client_max_size=MOST_BYTES, middlewares=[guard.middleware])
        made.add_routes(
            [
                web.get("/", self._page_handler(self._list_samples)),
                web.get("/sample", self._page_handler(self._show_sample)),
                web.get("/text", self._page_handler(self._whole_text)),
                web.get("/picture/{digest:[0-9a-f]{64}}", self._page_handler(self._send_picture)),
                web.get("/first-picture", self._page_handler(self._lead_to_picture)),
                web.get(r"/static/{name:view\.(?:css|js)}", self._page_handler(_static_file)),
                web.post("/answer", self._take_answer),
            ]
        )
        return made

    def close(self) -> None:
        """Let go of threads and files."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.searches.stop()
        self.run.close()

    def _page_handler(self, make: Callable[[web.Request], web.Response]) -> Callable[[web.Request], Awaitable[web.Response]]:
        """A handler that makes its response in a thread; what is wrong with the run is a page that says so."""

        async def answer(request: web.Request) -> web.Response:
            try:
                return await self._in_thread(partial(make, request))
            except CotforgeError as fault:
                page = self._render_page("fault.html", faults=[printable_line(line) for line in fault.faults])
                return web.Response(text=page, content_type="text/html", status=503)

        return answer

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _render_page(self, template: str, **values: Any) -> str:
        return self._templates.get_template(template).render(name=self.run.name, folder=str(self.run.run), **values)

    def _apply_filter(self, opened: OpenedDataset, wanted: SampleFilter) -> tuple[Narrowed, float]:
        """(the samples that are left, the share of the traces that were searched)."""
        found, searched = self.searches.find_text(opened, wanted.text, SEARCH_S) if wanted.text else (None, 1.0)
        return narrow_samples(opened.index, wanted, sheet=self.review.read_answers(), found=found), searched

    def _list_samples(self, request: web.Request) -> web.Response:
        opened, wanted = self.run.open_dataset(), SampleFilter.of_query(request.query)
        found, searched = self._apply_filter(opened, wanted)
        page = list_page(
            opened,
            wanted,
            found,
            after=request.query.get("after", ""),
            pictures=self.pictures,
            sheet=self.review.read_answers(),
            searched=searched,
        )
        text = self._render_page("list.html", page=page, notices=self._run_notices(opened), checked=len(self.review.read_answers().answers))
        self.run.first_page_is_out()
        return _html_page(text)

    def _run_notices(self, opened: OpenedDataset) -> list[str]:
        """What a person should know of the state of the run."""
        count, whole, fault = self.run.progress
        lines = [f"The source cannot be read: {printable_line(fault)}"] if fault else []
        if opened.index.is_live:
            lines.append("There is no dataset yet: this is what the teachers have said so far. Nothing is voted on or filtered.")
            if not whole and not fault:
                lines.append(f"The source is still being read: {count:,} samples so far.")
        elif self.review.is_newer_than(self.run.run / "summary.json"):
            lines.append(f"Answers were given after this dataset was written. cotforge curate {self.run.run} uses them.")
        elif self.run.replies_since():
            lines.append(
                "Replies came in after this dataset was written: a build is running, or was stopped. cotforge curate includes them."
            )
        return lines

    def _show_sample(self, request: web.Request) -> web.Response:
        opened, wanted = self.run.open_dataset(), SampleFilter.of_query(request.query)
        number = opened.index.number_of(request.query.get("key", ""))
        if number is None:
            return _html_page(self._render_page("fault.html", faults=["There is no such sample in this run any more."]), status=404)
        found, _ = self._apply_filter(opened, wanted)
        asked = SampleAsked(number, wanted, found)
        page = sample_page(self.run, opened, asked, pictures=self.pictures, sheet=self.review.read_answers(), person=self.review.person)
        return _html_page(self._render_page("sample.html", page=page, wanted=wanted))

    def _whole_text(self, request: web.Request) -> web.Response:
        """The whole text of one trace, as plain text."""
        opened = self.run.open_dataset()
        number, place = opened.index.number_of(request.query.get("at", "")), request.query.get("trace", "")
        traces = traces_of(self.run, opened, number) if number is not None else []
        if not place.isdecimal() or int(place) >= len(traces):
            return web.Response(status=404, text="there is no such trace")
        return web.Response(text=show_invisible(traces[int(place)]["reasoning"] or ""), content_type="text/plain", charset="utf-8")

    def _send_picture(self, request: web.Request) -> web.Response:
        digest, key = request.match_info["digest"], request.query.get("at", "")
        found = self.pictures.load_picture(digest, key, small="small" in request.query)
        if found is None:
            return web.Response(status=404, text="there is no such picture")
        # The address holds the hash of the bytes, so it never means others.
        return web.Response(body=found[0], content_type=found[1], headers={"Cache-Control": "private, max-age=31536000, immutable"})

    def _lead_to_picture(self, request: web.Request) -> web.Response:
        """To the first picture of a sample, once the source is read that far; 404 until then."""
        opened, key = self.run.open_dataset(), request.query.get("at", "")
        number = opened.index.number_of(key)
        digests = self.pictures.picture_digests(opened, [number]).get(number, []) if number is not None else []
        if not digests:
            return web.Response(status=404, text="this picture is not known yet")
        return web.Response(status=302, headers={"Location": f"./picture/{digests[0]}?at={key}&small=1"})

    async def _take_answer(self, request: web.Request) -> web.Response:
        """Save or take back what the person says of a sample."""
        try:
            said = await request.json()
            assert isinstance(said, dict)
        except (ValueError, AssertionError):
            return web.json_response({"fault": "a JSON object is wanted"}, status=400)
        try:
            return web.json_response(await self._in_thread(partial(self._save_answer, said)))
        except CotforgeError as fault:
            return web.json_response({"fault": printable_line(fault.faults[0])}, status=409)

    def _save_answer(self, said: dict[str, Any]) -> dict[str, Any]:
        opened = self.run.open_dataset()
        number, does, note = opened.index.number_of(str(said.get("key"))), said.get("does"), said.get("note", "")
        if number is None or not isinstance(note, str) or not (row := opened.index.row(number))["id"]:
            return {"fault": "there is no such sample in this run any more"}
        sample = self.run.source_sample(row["id"]) if row["lesson"] is None else None
        if does == "undo":
            return {"undone": self.review.take_back(row["id"])}
        label = sample.label if sample is not None else row["label"]
        answers = {"vote": row["answer"], "label": label, "drop": UNTOLD, "note": "", "option": said.get("option")}
        answer = answers.get(str(does))
        if not isinstance(answer, str):
            return {"fault": f"there is no {does} to accept"}
        options = tuple(sample.options) if sample is not None else self._lesson_options(opened, number)
        return {"saved": show_invisible(self.review.keep_answer(row["id"], answer, note, options).answer)}

    def _lesson_options(self, opened: OpenedDataset, number: int) -> tuple[str, ...]:
        from cotforge.view.sample_texts import lesson_of

        return tuple(lesson_of(opened, number).get("options") or ())


def _html_page(text: str, *, status: int = 200) -> web.Response:
    return web.Response(text=text, content_type="text/html", status=status)


def _static_file(request: web.Request) -> web.Response:
    path = HERE / "static" / request.match_info["name"]
    kind = "text/css" if path.suffix == ".css" else "text/javascript"
    return web.Response(text=path.read_text(encoding="utf-8"), content_type=kind)
