"""`cotforge simulate`: a pipeline's teachers, each where the pipeline expects it, or at one port with the flags that lead there."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from cotforge.pipeline import Loaded
from cotforge.simulate.eyes import silence_libraries
from cotforge.simulate.ledger import Ledger
from cotforge.simulate.server import serve_teachers
from cotforge.simulate.simulated_teacher import Role
from cotforge.simulate.skill import SkillTrial

HERE = frozenset({"127.0.0.1", "localhost", "::1"})


def simulate_teachers(pipeline: str, *, sets: Sequence[str], port: int, trust: bool = True, tell: Callable[[str], object]) -> None:
    """Serves until interrupted; `tell` gets a line per teacher once all listen, and one with what became of its requests at the end.

    Raises PipelineError where the pipeline is wrong or a teacher cannot be trained, TeacherError where a port is taken.
    """
    loaded = Loaded.load(pipeline, sets, trust=trust, sends=False)
    silence_libraries()
    ports: dict[int, list[Role]] = {}
    trial = SkillTrial(loaded)
    lines: list[str] = []
    for number, teacher in enumerate(loaded.pipeline.teachers):
        if not teacher.playable:
            continue
        there = sorted({_url_port(url) for url in teacher.urls if urlsplit(url).hostname in HERE})
        role = Role.of(teacher)
        for at in there or [port]:
            ports.setdefault(at, []).append(role)
        moved = "" if there else f"; build with --set teachers.{number}.url=http://127.0.0.1:{port}/v1"
        where = ", ".join(f"http://127.0.0.1:{at}/v1" for at in there or [port])
        skill = trial.words(role.simulated)
        lines.append(f"{teacher.name}: {teacher.model} at {where}{skill and f', {skill}'}{moved}")
    ledgers: dict[str, Ledger] = {}
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does, ledgers and all
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve_ports(loaded, ports, ledgers, lambda: [tell(line) for line in (*lines, "ready; Ctrl-C ends it")]))
    for ledger in ledgers.values():
        tell(ledger.line())


def _url_port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


async def _serve_ports(loaded: Loaded, ports: dict[int, list[Role]], ledgers: dict[str, Ledger], ready: Callable[[], object]) -> None:
    waiting = set(ports)

    def listens(at: int) -> None:
        waiting.discard(at)
        if not waiting:
            ready()

    labels = loaded.pipeline.task.options()
    await asyncio.gather(
        *(
            serve_teachers(roles, labels, port=at, root=loaded.root, ready=lambda _, at=at: listens(at), ledgers=ledgers)  # type: ignore[misc]
            for at, roles in ports.items()
        )
    )
