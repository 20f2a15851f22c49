"""`cotforge train --launch`: each stage in processes of its own, as torchrun or accelerate starts them; here only the turns are taken."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from cotforge.errors import PipelineError
from cotforge.pipeline import Loaded
from cotforge.plan.branches import branch


def launch(
    launcher: str,
    pipeline: str,
    *,
    out: Path | None = None,
    sets: Sequence[str] = (),
    stage: str | None = None,
    first: str | None = None,
    smoke: bool = False,
    trust: bool = True,
    tell: Callable[[str], object] = print,
) -> str:
    """The stages in turn, `launcher -m cotforge train ... --stage NAME` for each; what the last one came to.

    Nothing of one stage is left on a device when the next one begins. Raises PipelineError where the launcher is not there or one of its
    runs fails, KeyboardInterrupt once SIGTERM or SIGINT was passed on and heeded.
    """
    loaded = Loaded.load(pipeline, sets, trust=trust, sends=False)
    if loaded.pipeline.train is None:
        raise PipelineError(f"{loaded.path}: train: is missing; it says which student is trained, and in what stages")
    words = [*shlex.split(launcher), "-m", "cotforge", "train", pipeline]
    words += [] if out is None else ["--out", str(out)]
    words += [word for given in sets for word in ("--set", given)]
    words += ["--trust"] if trust else []
    plan = loaded.pipeline.train
    for option, name in (("--stage", stage), ("--from", first)):
        plan.require(option, name)
    if smoke:
        return _run([*words, "--smoke", *([] if stage is None else ["--stage", stage])], "--smoke")
    again = branch(plan.expanded(), first) if first else frozenset()
    done = ""
    for each in plan.expanded():
        if stage in (None, each.name):
            tell(f"{each.name}: {launcher}")
            done = _run([*words, "--stage", each.name, *(["--from", each.name] if each.name in again else [])], each.name)
    return done


def _run(words: Sequence[str], what: str) -> str:
    """What a run says on stdout; it has a session of its own, so that a signal reaches it once."""
    with _Passing() as passing:
        try:
            passing.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True, env=_environment())
        except OSError as fault:
            raise PipelineError(f"--launch: {words[0]!r} cannot be run: {fault.strerror}; is it installed, and on the PATH?") from fault
        said = passing.over()
    if passing.told:
        raise KeyboardInterrupt
    if passing.process.returncode:
        raise PipelineError(f"{what}: {words[0]!r} ended with {passing.process.returncode}; what is wrong stands above")
    return said.strip().rpartition("\n")[2]


def _environment() -> dict[str, str]:
    """This one, where launchers are looked for beside this Python first."""
    return os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])}


class _Passing:
    """While it is entered, SIGTERM and SIGINT go to a process, also those that came before it was there."""

    process: "subprocess.Popen[str]"

    def __init__(self) -> None:
        self.told: list[int] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._send) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def over(self) -> str:
        """What the process said on stdout until its end."""
        for number in self.told:
            self.process.send_signal(number)
        return self.process.communicate()[0]

    def _send(self, number: int, frame: Any) -> None:
        self.told.append(number)
        if hasattr(self, "process"):
            self.process.send_signal(number)
