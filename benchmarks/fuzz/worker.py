"""One process that runs the command on inputs, one after another, and says what came of each."""

import contextlib
import io
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.fuzz.kinds import KINDS, FileKind, renewed, whole_journal, write_project
from cotforge.cli import main

LONGEST_LINE = 1_000
"""Characters of one line of an error."""
_MACHINE_BYTES = 12 * 1024**3
"""Address space at most, so that an input cannot bring the machine down before the parent process sees it."""


@dataclass(frozen=True)
class Answer:
    """What became of one input."""

    code: int
    """Exit status; 1 where the command raised."""
    said: str
    """Of a traceback its last line, of a line that is too long or not printable that line, else empty."""
    seconds: float
    """Of CPU."""
    error: str
    """The beginning of what stood on stderr."""


def serve(pipe: Connection, kind_index: int) -> None:
    """Answers (seed, index) with an `Answer` until None comes."""
    resource.setrlimit(resource.RLIMIT_AS, (_MACHINE_BYTES, _MACHINE_BYTES))
    kind = KINDS[kind_index]
    with tempfile.TemporaryDirectory(prefix="cotforge-fuzz-") as place:
        sound, project = Path(place) / "sound", Path(place) / "project"
        project.mkdir()
        os.environ.update(HOME=place, HF_HUB_OFFLINE="1", NO_COLOR="1")
        _prepare(project, kind)
        os.chdir(place)
        project.rename(sound)
        pipe.send(None)
        while (asked := pipe.recv()) is not None:
            os.chdir(place)
            renewed(sound, project)
            os.chdir(project)
            kind.write_input(project, random.Random(f"{kind.name}:{asked}"))
            pipe.send(_run(kind.command))


def _prepare(project: Path, kind: FileKind) -> None:
    """A sound project, where it will lie while inputs are tried: a run folder holds the path of its pipeline file."""
    write_project(project, kind)
    os.chdir(project)
    for command in (("build", "pipeline.yaml"), kind.command) if kind.built else (kind.command,):
        if (answer := _run(command)).code:
            raise SystemExit(f"the sound project of {kind.name!r} is refused: {answer.said or answer.error}")
    if kind.built:
        whole_journal(project / "runs" / "fuzz")
    else:
        shutil.rmtree(project / "runs", ignore_errors=True)


def _run(command: tuple[str, ...]) -> Answer:
    out, err = io.StringIO(), io.StringIO()
    begun = time.process_time()
    said = ""
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(command)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException as fault:
        code, said = 1, f"{type(fault).__name__}: {str(fault)[:500]} at {_place(fault)}"
    if code == 2 and not said:
        bad = [line for line in err.getvalue().splitlines() if len(line) > LONGEST_LINE or not line.isprintable()]
        said = f"{len(bad[0]):,} characters: {bad[0][:300]!r}" if bad else "" if err.getvalue().strip() else "exit 2 without a word"
    return Answer(code, said, time.process_time() - begun, err.getvalue()[:2_000])


def _place(fault: BaseException) -> str:
    """File and line of the innermost frame, and of the innermost one of the package."""
    frames = []
    trace = fault.__traceback__
    while trace is not None:
        frames.append(f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}")
        trace = trace.tb_next
    ours = [frame for frame in frames if "/cotforge/" in frame]
    return " in ".join(dict.fromkeys([*frames[-1:], *ours[-1:]]))


if __name__ == "__main__":
    sys.exit("started by python -m benchmarks.fuzz")
