"""The Python face in a real Jupyter kernel: a build that is interrupted and resumed, and what cells show."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any

import pytest

from tests.project import environment, sees, teacher, write_pipeline, write_rows
from tests.teacher import Teacher

jupyter_client = pytest.importorskip("jupyter_client", reason="a notebook needs a kernel: the extra 'dev'")
zmq = pytest.importorskip("zmq", reason="a notebook needs a kernel: the extra 'dev'")
pytest.importorskip("ipykernel", reason="a notebook needs a kernel: the extra 'dev'")


class Notebook:
    """Cells for a kernel, one after another."""

    def __init__(self, folder: Path) -> None:
        self._sockets = zmq.Context()
        self.manager = jupyter_client.KernelManager(kernel_name="python3", context=self._sockets)
        places = {"IPYTHONDIR": str(folder), "JUPYTER_RUNTIME_DIR": str(folder), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self.manager.start_kernel(cwd=str(folder), env=environment(places))
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self._sockets.destroy(linger=0)

    def run(self, cell: str, *, interrupts: Any = None) -> dict[str, str]:
        """What the cell shows, by kind: `text/plain`, `text/html`, `stdout`, `stderr`, or `error`, the name of an exception.

        `interrupts`: the kernel is interrupted once this holds.
        """
        asked, shown = self.client.execute(cell), dict[str, str]()
        while True:
            if interrupts is not None and interrupts():
                self.manager.interrupt_kernel()
                interrupts = None
            try:
                message = self.client.get_iopub_msg(timeout=0.05 if interrupts else 60)
            except Empty:
                assert interrupts, shown
                continue
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != asked:
                continue
            if kind == "status" and content["execution_state"] == "idle":
                return shown
            if kind == "stream":
                shown[content["name"]] = shown.get(content["name"], "") + content["text"]
            if kind == "execute_result":
                shown |= content["data"]
            if kind == "error":
                shown["error"] = content["ename"]


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[Notebook]:
    kernel = Notebook(tmp_path)
    try:
        yield kernel
    finally:
        kernel.close()


def test_a_build_in_a_notebook_is_interrupted_resumed_and_shown(tmp_path: Path, notebook: Notebook) -> None:
    write_rows(tmp_path, 30)
    with Teacher(sees, latency=0.05) as server:
        write_pipeline(tmp_path, teacher(server, concurrency=1), consensus={"label": "ignore"})
        stopped = notebook.run("import cotforge\nrun = cotforge.build('pipeline.yaml')", interrupts=lambda: len(server.ledger) >= 4)
        assert stopped == {"error": "KeyboardInterrupt"}
        assert len(server.ledger) < 30
        server.latency = 0
        assert notebook.run("run = cotforge.build('pipeline.yaml')\nrun.summary.calls_total") == {"text/plain": "30"}
        assert len(server.ledger) == 30
        assert notebook.run("await cotforge.build_async('pipeline.yaml')")["text/plain"] == "Run('runs/feelings')"
        assert len(server.ledger) == 30
    assert 'src="data:image/jpeg;base64,' in notebook.run("run.sample('row-1')")["text/html"]
    assert "accepted 30" in notebook.run("run")["text/html"]
    assert notebook.run("import signal; signal.getsignal(signal.SIGINT) is signal.default_int_handler") == {"text/plain": "True"}
