"""Processes that are started together: all of them end, whichever fails, and whoever started them."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cotforge.train import processes


def run(script: str, count: int = 2, **more: str) -> processes.Ended:
    environments = [{**os.environ, "N": str(rank), **more} for rank in range(count)]
    return processes.run_processes([sys.executable, "-c", script], environments, grace_s=(0.1, 10))


def test_what_the_first_process_says_is_returned_and_the_others_are_silent(capfd: pytest.CaptureFixture[str]) -> None:
    script = "import os, sys; print('I am', os.environ['N']); print('note', os.environ['N'], file=sys.stderr)"
    ended = run(script, 3)
    assert ended == processes.Ended(0, 0, "I am 0\n", False)
    assert capfd.readouterr().err == "note 0\n"


def test_where_one_fails_the_others_are_ended_and_its_last_lines_are_shown(capfd: pytest.CaptureFixture[str]) -> None:
    script = "import os, sys, time\nif os.environ['N'] == '1': sys.exit('out of memory')\ntime.sleep(600)"
    ended = run(script, 3)
    assert (ended.code, ended.rank, ended.told) == (1, 1, False)
    assert capfd.readouterr().err == "out of memory\n"


def test_a_signal_reaches_every_process_and_all_may_finish(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys, time\n"
        "from pathlib import Path\n"
        "me = Path(os.environ['PLACE']) / os.environ['N']\n"
        "def end(*_):\n    me.with_suffix('.saved').touch()\n    sys.exit(130)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "me.touch()\n"
        "time.sleep(600)"
    )

    def tell() -> None:
        while not all((tmp_path / name).exists() for name in "01"):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    teller = threading.Thread(target=tell)
    teller.start()
    ended = run(script, PLACE=str(tmp_path))
    teller.join()
    assert (ended.code, ended.told) == (130, True)
    assert sorted(path.name for path in tmp_path.glob("*.saved")) == ["0.saved", "1.saved"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_process_ends_when_the_one_that_started_it_is_killed(tmp_path: Path) -> None:
    child = (
        "import time\n"
        "from pathlib import Path\n"
        "from cotforge.train import processes\n"
        "processes.end_with_parent()\n"
        f"Path({str(tmp_path / 'begun')!r}).touch()\n"
        "time.sleep(600)"
    )
    parent = (
        "import os, sys\n"
        "from cotforge.train import processes\n"
        f"processes.run_processes([sys.executable, '-c', {child!r}], [os.environ | {{processes.PARENT: '1'}}])"
    )
    started = subprocess.Popen([sys.executable, "-c", parent], cwd=Path(__file__).parents[1])
    while not (tmp_path / "begun").exists():
        assert started.poll() is None
        time.sleep(0.01)
    (only,) = (Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text()).split()
    started.kill()
    started.wait()
    while Path(f"/proc/{only}").exists() and "Z" not in Path(f"/proc/{only}/stat").read_text().rpartition(")")[2][:3]:
        time.sleep(0.01)
