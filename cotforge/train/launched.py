"""`cotforge train` in processes of its own for each stage: one on each GPU, or what `--launch` starts. Here only the turns are taken."""

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cotforge.errors import Interrupted, PipelineError
from cotforge.pipeline import Loaded
from cotforge.plan.branches import stage_branch
from cotforge.train import command, devices, processes, sharding


@dataclass(frozen=True)
class Launcher:
    """How the processes of a stage are started: by a command of the user's, or one on each GPU by us."""

    command: str = ""
    """As given by `--launch`."""
    gpus: tuple[str, ...] = ()
    """As CUDA_VISIBLE_DEVICES names them, where there is no command."""

    @property
    def words(self) -> list[str]:
        """The command line that `-m cotforge train ...` is put behind."""
        return shlex.split(self.command) or [sys.executable]

    @contextmanager
    def environments(self) -> Iterator[list[dict[str, str]]]:
        """The environment of each process that is started here, while a port is open on which they meet."""
        if self.command:
            path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
            yield [os.environ | {"PATH": path}]  # launchers are looked for beside this Python first
        elif len(self.gpus) == 1:
            yield process_environments(self.gpus, port=0, given=os.environ)
        else:
            from torch.distributed import TCPStore

            store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
            yield process_environments(self.gpus, port=store.port, given=os.environ)


def process_environments(gpus: Sequence[str], *, port: int, given: Mapping[str, str]) -> list[dict[str, str]]:
    """The environment of a process on each GPU; they meet at a port of this machine. A single one is no member of a group.

    What torchrun sets: https://docs.pytorch.org/docs/stable/elastic/run.html#environment-variables
    """
    common = {**given, devices.VISIBLE: ",".join(gpus), processes.PARENT: "1"}
    if len(gpus) == 1:
        return [common]
    count, threads = str(len(gpus)), str(max(1, (os.cpu_count() or 1) // len(gpus)))
    common = {"OMP_NUM_THREADS": threads, **common, sharding.CHOOSE: "1"}
    common |= {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    common |= {"TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "0"}  # nobody of them opens the port
    return [common | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(len(gpus))]


def train_launched(
    pipeline: str, *, launcher: str | None = None, gpus: str | None = None, tell: Callable[[str], object] = print, **options: Any
) -> str:
    """Train as `command.run_training` does: in this process, in a process on each of several GPUs, or in those that `launcher` starts.

    `gpus` is what `--gpus` says, and `options` are those of `command.run_training`. Raises CotforgeError where something is wrong.
    """
    if launcher is not None:
        return launch_stages(Launcher(launcher), pipeline, tell=tell, **options)
    asked = devices.parse_gpus(gpus)
    if command.missing_library():
        return command.run_training(pipeline, tell=tell, **options)  # which says so
    chosen = devices.choose_gpus(devices.visible_gpus(os.environ), asked, os.environ)
    if chosen is None:
        return command.run_training(pipeline, tell=tell, **options)
    return launch_stages(Launcher(gpus=chosen), pipeline, tell=tell, **options)


def launch_stages(
    launcher: Launcher,
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
    """The stages in turn, `-m cotforge train ... --stage NAME` in processes of its own for each; what the last one came to.

    Nothing of one stage is left on a device when the next one begins. Raises PipelineError where the launcher is not there or one of its
    runs fails, KeyboardInterrupt once SIGTERM or SIGINT was passed on and heeded.
    """
    loaded = Loaded.load(pipeline, sets, trust=trust, sends=False)
    if loaded.pipeline.train is None:
        raise PipelineError(f"{loaded.path}: train: is missing; it says which student is trained, and in what stages")
    plan = loaded.pipeline.train
    for option, name in (("--stage", stage), ("--from", first)):
        plan.require(option, name)
    words = ["-m", "cotforge", "train", pipeline]
    words += [] if out is None else ["--out", str(out)]
    words += [word for given in sets for word in ("--set", given)]
    words += ["--trust"] if trust else []
    if len(launcher.gpus) > 1:
        tell(
            f"{len(launcher.gpus)} GPUs ({', '.join(launcher.gpus)}): a process trains on each, and batch is that of one process; "
            "--gpus 0 uses one alone"
        )
    if smoke:
        return _run_processes(launcher, [*words, "--smoke", *([] if stage is None else ["--stage", stage])], "--smoke")
    again = stage_branch(plan.expanded(), first) if first else frozenset()
    done = ""
    for each in plan.expanded():
        if stage in (None, each.name):
            if launcher.command:
                tell(f"{each.name}: {launcher.command}")
            try:
                done = _run_processes(
                    launcher, [*words, "--stage", each.name, *(["--from", each.name] if each.name in again else [])], each.name
                )
            except KeyboardInterrupt as end:
                if first is None:
                    raise
                told = f"what was trained is kept; to go on, run the same command without --from, or with that of a stage below {each.name}"
                raise Interrupted(told) from end
    return done


def _run_processes(launcher: Launcher, words: Sequence[str], what: str) -> str:
    """The last line that the first process says on stdout."""
    with launcher.environments() as given:
        try:
            ended = processes.run_processes([*launcher.words, *words], given)
        except OSError as fault:
            where = f"--launch: {launcher.words[0]!r}" if launcher.command else sys.executable
            raise PipelineError(f"{where} cannot be run: {fault.strerror}; is it installed, and on the PATH?") from fault
    if ended.told:
        raise KeyboardInterrupt
    if ended.code == processes.FAULT and not launcher.command:
        raise PipelineError  # the process has told of it, in a line
    if ended.code:
        who = repr(launcher.words[0]) if launcher.command else f"the process on GPU {launcher.gpus[ended.rank]}"
        raise PipelineError(f"{what}: {who} ended with {ended.code}; what is wrong stands above")
    return ended.said.strip().rpartition("\n")[2]
