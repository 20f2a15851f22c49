"""Samples that nobody was asked about are counted as their Calls would be, without making each."""

from pathlib import Path
from typing import Any

import pytest

from cotforge.estimate import Estimator
from cotforge.forge import missing_work
from cotforge.session import RunSession
from tests.project import teacher, write_pipeline, write_rows

PROMPTS = {
    "plain": "Look. {{ question }} {{ options | join(', ') }}",
    "meta": "Look. {{ question }} {{ meta.hint }}",
    "failing": "{{ question }} {{ '' if 'hint 2' in meta.hint else 1 / 0 }}",
}


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("consensus", [{"rule": "majority"}, {"rule": "sequential", "votes": "short"}])
def test_both_ways_of_counting_give_the_same_figures(tmp_path: Path, prompt: str, consensus: dict[str, Any]) -> None:
    write_rows(tmp_path, 30)
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    hints = (f'{line[:-1]}, "hint": "{"long " * (row % 5)}hint {row}"}}\n' for row, line in enumerate(lines))
    (tmp_path / "rows.jsonl").write_text("".join(hints) + "broken\n")
    (tmp_path / "solve.jinja").write_text(PROMPTS[prompt])
    near = [teacher("http://localhost:1/v1", name, samples=2) for name in ("one", "two")]
    source = {"kind": "table", "path": "rows.jsonl", "columns": {"meta": ["hint"]}}
    path = write_pipeline(tmp_path, *near, prompts={"solve": "solve.jinja"}, consensus=consensus, source=source)
    everybody = (lambda id: id.endswith("3")) if consensus["rule"] == "sequential" else None
    with RunSession.open(path, out=tmp_path / "run") as run:
        slow, quick = (Estimator(run.loaded, run.journal, everybody=everybody) for _ in range(2))
        slow.read(missing_work(run.loaded, run.samples(), run.journal), draw=4)
        quick.read_unasked(run.samples(), draw=4)
    assert quick.text() == slow.text()
    assert quick.drawn == slow.drawn
    assert quick.found == slow.found
