"""Bodies that are meant to fill memory: what twelve of them at once take of a client. Prints the table of benchmarks/README.md.

    python -m benchmarks.replies.hostile
    python -m benchmarks.replies.hostile --smoke

The client is a process of its own (`tests.hostile`); what it holds is counted from the idle process on, by the kernel.
"""

import argparse
from collections.abc import Callable, Iterable
from functools import partial
from itertools import repeat

from benchmarks.forge.table import print_table
from tests.hostile import MB, bomb, chunked, client, endless, head, text_with_an_emoji, values, whole
from tests.stranger import Stranger

AT_ONCE = 12
BODIES: dict[str, Callable[[], Iterable[bytes]]] = {
    "a text of 32 MiB with one emoji": partial(whole, text_with_an_emoji(32 * MB)),
    "the same without a Content-Length": lambda: [head(), text_with_an_emoji(32 * MB)],
    "a text of 16 MiB with one emoji": partial(whole, text_with_an_emoji(16 * MB)),
    "a sound reply with 16 MiB in a field that nobody reads": partial(whole, text_with_an_emoji(16 * MB, field="padding")),
    "chunks without an end": partial(chunked, b"x" * 2**16),
    "300 MB of zeros, packed by gzip": partial(bomb, "gzip"),
    "11,000,000 empty objects": partial(values, b"{}", 11_000_000),
    "1,900,000 objects": partial(values, b'{"a":1}', 1_900_000),
    "390,000 objects": partial(values, b'{"a":1}', 390_000),
    "3,000,000 texts": partial(values, b'"ab"', 3_000_000),
    "an error without an end": partial(endless, b"x" * 2**16, status=403),
    "100 Continue without an end": lambda: repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
}


def main() -> None:
    """Prints markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="two of the bodies: only to see that it runs")
    bodies = list(BODIES.items())
    print_table(
        ["twelve at once", "MB above the idle process", "seconds", "ended in"],
        map(_line, bodies[:2] if parser.parse_args().smoke else bodies),
    )


def _line(named: tuple[str, Callable[[], Iterable[bytes]]]) -> list[str]:
    name, says = named
    with Stranger(lambda number, body: says()) as server:
        took = client(server.url, AT_ONCE)
    return [name, f"{took.mb:.0f}", f"{took.seconds:.1f}", ", ".join("a reply" if error == "None" else error for error in took.errors)]


if __name__ == "__main__":
    main()
