"""A run to look at in tests of the viewer: made once by the command, with answers of every kind and a stranger's texts."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

from cotforge.view.serving import RunViewer, start_viewer
from tests.browser import Browser
from tests.project import LABELS, ran, replay, said, write_pipeline, write_rows

HOSTILE = "</div></script><script>document.title = 'hacked'</script><img src=x onerror=\"document.title = 'hacked'\">"
LONG = ("all work and no play " * 45_000).strip()
COUNT = 20


def make_run(folder: Path) -> Path:
    """20 samples by three teachers: lessons, ties, texts that are filtered out or cannot be read; pictures of every sample differ."""
    write_rows(folder, COUNT)
    replies: dict[str, dict[str, Any]] = {name: {} for name in ("glm", "intern", "qwen")}
    for number in range(COUNT):
        label = LABELS[number % 4]
        for place, name in enumerate(replies):
            replies[name][f"row-{number}"] = said(LABELS[(number + place) % 4] if number % 5 == 0 else label)
    for number in (3, 7):  # all agree, and too briefly
        for name in replies:
            replies[name][f"row-{number}"] = f"<think>It is.</think>\n<answer>{LABELS[number % 4]}</answer>"
    for name in replies:  # all agree on another answer than the label
        replies[name]["row-9"] = said("sadness")
    replies["qwen"]["row-4"] = "I cannot say."
    replies["glm"]["row-1"] = f"<think>{HOSTILE} {'and so on ' * 20}</think>\n<answer>awe</answer>"
    replies["intern"]["row-2"] = f"<think>{LONG}</think>\n<answer>fear</answer>"
    rows = folder / "rows.jsonl"
    rows.write_text(rows.read_text().replace(json.dumps("row-16"), json.dumps(HOSTILE)))
    for known in replies.values():
        known[HOSTILE] = known.pop("row-16")
    filters = [{"measure": "reasoning_words", "min": 5}, {"measure": "repeated_ngrams", "with": {"n": 4}, "max": 0.9}]
    teachers = [replay(folder, name, known) for name, known in replies.items()]
    write_pipeline(folder, *teachers, filters=filters, consensus={"rule": "majority", "label": "ignore"})
    built = ran("build", "pipeline.yaml", "--out", "run", cwd=folder)
    assert built.returncode == 0, built.stderr
    return folder / "run"


@contextmanager
def viewed(run: Path, **options: Any) -> Iterator[RunViewer]:
    """The run served as `cotforge view` serves it."""
    with start_viewer(run, **options) as viewer:
        yield viewer


def enter(person: Browser, viewer: RunViewer) -> str:
    """Open the address that is printed; the address of the list without the secret."""
    person.visit(viewer.url)
    return f"http://127.0.0.1:{viewer.port}/"


class Client:
    """A program that speaks to the viewer, with the cookie of a browser that was let in."""

    def __init__(self, viewer: RunViewer) -> None:
        self.base = f"http://127.0.0.1:{viewer.port}"
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar()))
        assert self.ask(viewer.url.removeprefix(self.base))[0] == 200

    def ask(
        self, path: str, *, data: object = None, headers: Mapping[str, str] | None = None, method: str | None = None
    ) -> tuple[int, str, dict[str, str]]:
        """(status, body, headers in lower case); what is not JSON yet becomes it."""
        body = None if data is None else data if isinstance(data, bytes) else json.dumps(data).encode()
        request = urllib.request.Request(self.base + path, data=body, headers=dict(headers or {}), method=method)
        try:
            with self._opener.open(request) as answer:
                return (
                    answer.status,
                    answer.read().decode("utf-8", "replace"),
                    {name.lower(): value for name, value in answer.headers.items()},
                )
        except urllib.error.HTTPError as refused:
            with refused:
                return (
                    refused.code,
                    refused.read().decode("utf-8", "replace"),
                    {name.lower(): value for name, value in refused.headers.items()},
                )
