"""Whether the decisions of `rule: sequential` stall the forge: the same number of calls beside it, in a fixed order. Prints two tables.

The first is of one server that works on so many requests of all teachers together, beside `majority`, which asks everybody at once. The
second is of teachers with as many places each: the busiest one, which a run waits for, beside that teacher alone.

python -m benchmarks.forge.sequential
python -m benchmarks.forge.sequential --smoke
"""

import argparse
import asyncio
import base64
import hashlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Self

import yaml
from aiohttp import web

from benchmarks.forge import data
from benchmarks.forge.data import LABELS, Rows
from benchmarks.forge.process import Spent, cotforge
from benchmarks.forge.table import print_table

IN_FLIGHT = 64
"""Requests that are worked on at a time, by one server or for each teacher."""
LATENCY, JITTER = 0.5, 0.5
"""Seconds that one takes, and the share by which that varies."""
TEACHERS = {"ann": 0.9, "bob": 0.85, "cyd": 0.8, "dee": 0.75, "eve": 0.7}
"""With their accuracies."""
WRONG = 0.1
"""Share of the labels that are wrong."""


@dataclass(frozen=True)
class Asked:
    """One build in a new run folder, its pictures validated before."""

    spent: Spent
    again: Spent
    """The same build with nothing left to ask."""
    curated: Spent
    """The votes, filters and files alone."""
    served: "Served"
    busiest: "Served"
    """Of the teacher that was asked most."""


@dataclass(frozen=True)
class Served:
    """Calls as the server saw them."""

    calls: int
    rate: float
    """Calls per second, from the first request to the 99th percentile of the answers: without the last stragglers."""
    quiet: float
    """Seconds in this time with less than half of `IN_FLIGHT` worked on."""

    @classmethod
    def of(cls, times: Sequence[tuple[float, float]]) -> Self:
        """From when work on each began and ended."""
        ends = sorted(end for _, end in times)
        first, most = min(begun for begun, _ in times), len(ends) * 99 // 100
        return cls(len(times), most / (ends[most] - first), quiet(times, first, ends[most]))


def main() -> None:
    """Measures and prints markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=6000)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--latency", type=float, default=LATENCY)
    parser.add_argument("--folder", type=Path, default=Path("runs"), help="where files may lie for a while (default: runs)")
    parser.add_argument("--smoke", action="store_true", help="300 rows, once, quickly: only to see that it runs")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--shared", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.serve, options.latency, shared=options.shared))
        return
    if options.smoke:
        options.rows, options.repeats, options.latency = 300, 1, 0.05
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=options.folder.absolute()) as folder:
        rows = labelled(data.rows(Path(folder) / "rows", options.rows, side=(208, 156), size=2048))
        together, alone = [], []
        for _ in range(options.repeats):
            in_turn = asked(Path(folder), rows, "sequential", options.latency, shared=True)
            limit = round(in_turn.served.calls / len(TEACHERS))
            together.append((in_turn, asked(Path(folder), rows, "majority", options.latency, shared=True, limit=limit)))
            in_turn = asked(Path(folder), rows, "sequential", options.latency)
            limit = in_turn.busiest.calls
            alone.append((in_turn, asked(Path(folder), rows, "majority", options.latency, names=["ann"], limit=limit)))
        print_shared(together, options.rows, options.latency)
        print_each(alone, options.rows, options.latency)


def asked(
    folder: Path,
    rows: Rows,
    rule: str,
    latency: float,
    *,
    shared: bool = False,
    names: Sequence[str] = tuple(TEACHERS),
    limit: int | None = None,
) -> Asked:
    """Has teachers asked by a rule about the rows, or the first so many."""
    run, ledger = folder / "run", folder / "served.jsonl"
    with server(ledger, latency, shared=shared) as url:
        teachers = [{"name": name, "model": name, "url": url, "concurrency": IN_FLIGHT, "listed": False} for name in names]
        file = data.pipeline(folder / "pipeline.yaml", rows.table, teachers)
        spec = yaml.safe_load(file.read_text()) | {"consensus": {"rule": rule}}
        file.write_text(yaml.safe_dump(spec, sort_keys=False))
        where = (file, "--out", run, *(("--limit", str(limit)) if limit else ()))
        cotforge("check", *where)
        spent = cotforge("build", *where)
        again, curated = cotforge("build", *where), cotforge("curate", run)
    served = [json.loads(line) for line in ledger.read_text().splitlines()]
    summary = json.loads((run / "summary.json").read_text())
    if summary["calls_total"] != len(served) or summary["calls_failed"] or summary["calls"]:
        raise RuntimeError(f"{rule}: {len(served):,} served, {summary['calls_total']:,} in the journal")
    shutil.rmtree(run)
    ledger.unlink()
    busiest = Counter(name for name, _, _ in served).most_common(1)[0][0]
    times = [(begun, end) for _, begun, end in served]
    return Asked(spent, again, curated, Served.of(times), Served.of([(begun, end) for name, begun, end in served if name == busiest]))


def quiet(times: Sequence[tuple[float, float]], first: float, last: float) -> float:
    """Seconds between `first` and `last` with less than half of `IN_FLIGHT` in flight."""
    steps = sorted([(begun, 1) for begun, _ in times] + [(end, -1) for _, end in times])
    total, count, at = 0.0, 0, first
    for moment, step in steps:
        moment = min(max(moment, first), last)
        total += (moment - at) * (count < IN_FLIGHT / 2)
        count, at = count + step, moment
    return total


def print_shared(pairs: Sequence[tuple[Asked, Asked]], rows: int, latency: float) -> None:
    """Medians of asking by turns beside `majority`."""
    lines = [
        ("calls", *both(pairs, lambda one: one.served.calls), ""),
        ("calls/s, window", *both(pairs, lambda one: one.served.rate, 1), f"ideal {IN_FLIGHT / latency:,.0f}"),
        ("share of those in the fixed order", "", ratio(pairs, lambda one: one.served.rate), "at least 0.9"),
        ("seconds in which less than half of the places were taken", *both(pairs, lambda one: one.served.quiet, 1), ""),
        *costs(pairs),
    ]
    print(f"\n{rows:,} rows, {len(TEACHERS)} teachers, {IN_FLIGHT} in flight in all, {latency:g} s; median of {len(pairs)}\n")
    print_table(("", "fixed order", "sequential", "wanted"), lines)


def print_each(pairs: Sequence[tuple[Asked, Asked]], rows: int, latency: float) -> None:
    """Medians of the busiest teacher beside the same alone."""
    lines = [
        ("calls", *both(pairs, lambda one: one.served.calls), ""),
        ("of the busiest teacher", *both(pairs, lambda one: one.busiest.calls), ""),
        ("its calls/s, window", *both(pairs, lambda one: one.busiest.rate, 1), f"ideal {IN_FLIGHT / latency:,.0f}"),
        ("share of those of that teacher alone", "", ratio(pairs, lambda one: one.busiest.rate), "at least 0.9"),
        ("seconds in which less than half of its places were taken", *both(pairs, lambda one: one.busiest.quiet, 1), ""),
        *costs(pairs),
    ]
    print(f"\n{rows:,} rows, {len(TEACHERS)} teachers, {IN_FLIGHT} in flight at each, {latency:g} s; median of {len(pairs)}\n")
    print_table(("", "one teacher", "sequential", "wanted"), lines)


def costs(pairs: Sequence[tuple[Asked, Asked]]) -> list[tuple[str, ...]]:
    """What both took."""
    return [
        ("CPU, ms a call: the whole build", *both(pairs, lambda one: 1000 * one.spent.cpu / one.served.calls, 2), ""),
        ("CPU, ms a call: asking alone", *both(pairs, lambda one: 1000 * (one.spent.cpu - one.curated.cpu) / one.served.calls, 2), ""),
        ("build again with no calls, s", *both(pairs, lambda one: one.again.seconds, 1), ""),
        ("build again with no calls, CPU s", *both(pairs, lambda one: one.again.cpu, 1), ""),
    ]


def both(pairs: Sequence[tuple[Asked, Asked]], figure: Callable[[Asked], float], digits: int = 0) -> tuple[str, str]:
    """Medians of a figure: (in the fixed order, by turns)."""
    in_turn, fixed = zip(*pairs, strict=True)
    return f"{median(map(figure, fixed)):,.{digits}f}", f"{median(map(figure, in_turn)):,.{digits}f}"


def ratio(pairs: Sequence[tuple[Asked, Asked]], figure: Callable[[Asked], float]) -> str:
    """The median, with the least and greatest, of by turns over the fixed order."""
    found = [figure(in_turn) / figure(fixed) for in_turn, fixed in pairs]
    return f"{median(found):.2f}" + (f" ({min(found):.2f} to {max(found):.2f})" if len(found) > 1 else "")


def labelled(rows: Rows) -> Rows:
    """The same with the labels that the teachers know, some of them wrong."""
    lines = [json.loads(line) for line in rows.table.read_text().splitlines()]
    for line, picture in zip(lines, rows.pictures, strict=True):
        line["label"] = said("label", hashlib.sha256(picture.read_bytes()).hexdigest(), 1 - WRONG)
    rows.table.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return rows


def said(name: str, digest: str, accuracy: float) -> str:
    """What somebody with this accuracy says of a picture, whenever it is asked."""
    chance, true = random.Random(f"{name} {digest}"), int(digest, 16) % len(LABELS)
    return LABELS[true if chance.random() < accuracy else (true + chance.randrange(1, len(LABELS))) % len(LABELS)]


@contextmanager
def server(ledger: Path, latency: float, *, shared: bool) -> Iterator[str]:
    """The URL of all teachers, in a process of their own."""
    command = [sys.executable, "-m", "benchmarks.forge.sequential", "--serve", str(ledger), "--latency", str(latency)]
    command += ["--shared"] if shared else []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        try:
            yield program.stdout.readline().strip()
        finally:
            program.kill()


async def serve(ledger: Path, latency: float, *, shared: bool) -> None:
    """Serve until killed; every request leaves a line with its model and the times at which work on it began and ended.

    Of each teacher `IN_FLIGHT` are worked on at a time, or of all together where that is `shared`; what is above waits.
    """
    chance, one = random.Random(0), asyncio.Semaphore(IN_FLIGHT)
    places = {name: one if shared else asyncio.Semaphore(IN_FLIGHT) for name in TEACHERS}

    async def complete(request: web.Request) -> web.Response:
        body = await request.json()
        url = next(part["image_url"]["url"] for part in body["messages"][0]["content"] if part["type"] == "image_url")
        digest = hashlib.sha256(base64.b64decode(url.partition(",")[2])).hexdigest()
        async with places[body["model"]]:
            begun = time.time()
            await asyncio.sleep(latency * chance.uniform(1 - JITTER, 1 + JITTER))
            with ledger.open("a") as lines:
                lines.write(json.dumps([body["model"], begun, time.time()]) + "\n")
        text = data.reply(random.Random(digest), said(body["model"], digest, TEACHERS[body["model"]]))
        message = {"role": "assistant", "content": text}
        usage = {"prompt_tokens": 700, "completion_tokens": 210, "total_tokens": 910}
        return web.json_response({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage})

    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/v1/chat/completions", complete)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
    await site.start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()
