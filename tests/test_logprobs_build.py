"""A run whose servers tell how sure their models are: what is learned while asking is what the journal tells afterwards."""

from collections import Counter
from pathlib import Path
from typing import Any

from tests.crowd import Crowd, late
from tests.project import files, ran, summary
from tests.test_sequential_build import RUN, build, lessons, verdicts

ROWS = 240


def test_whatever_the_order_of_arrival_the_same_is_asked_and_found(tmp_path: Path) -> None:
    crowd, found = Crowd.of(tmp_path / "it", ROWS), list[dict[str, Any]]()
    crowd.sure = True
    sets = list[Counter[tuple[str, str, bool]]]()
    for number in range(3):
        with crowd.servers() as servers:
            crowd.pipeline(servers, concurrency=(1, 8, 21)[number])
            late(servers, number, most=(0.0, 0.02, 0.05)[number])
            build(crowd, "--out", f"run-{number}")
        found.append(verdicts(crowd.folder / f"run-{number}"))
        sets.append(crowd.asked.copy())
        crowd.asked.clear()
    assert sets[0] == sets[1] == sets[2]
    assert found[0] == found[1] == found[2]


def test_less_is_asked_than_without_and_a_second_build_asks_nothing(tmp_path: Path) -> None:
    crowd = Crowd.of(tmp_path / "it", ROWS)
    crowd.sure = True
    with crowd.servers() as servers:
        crowd.pipeline(servers)
        told = build(crowd)
        calls = crowd.asked.total()
        assert build(crowd)["calls"] == 0
        before = files(crowd.folder / RUN / "dataset")
        for words in (["build", "pipeline.yaml", "--offline"], ["curate", RUN]):
            assert ran(*words, cwd=crowd.folder).returncode == 0
            assert files(crowd.folder / RUN / "dataset") == before
        crowd.asked.clear()
        crowd.sure = False
        build(crowd, "--out", "plain")
    assert told["calls"] == calls <= crowd.asked.total()
    assert told["calls_missing"] == 0
    assert all(told["teachers"][name]["with_probability"] > 0 for name in servers)
    sure, plain = lessons(crowd), lessons(crowd, Path("plain"))
    assert crowd.right(list(sure.values())) >= crowd.right(list(plain.values())) - 0.01
    assert any(sure[id]["confidence"] != plain[id]["confidence"] for id in sure.keys() & plain.keys())


def test_short_votes_have_their_probabilities_too(tmp_path: Path) -> None:
    crowd = Crowd.of(tmp_path / "it", ROWS)
    crowd.sure = True
    with crowd.servers() as servers:
        crowd.pipeline(servers, consensus={"rule": "sequential", "votes": "short"})
        build(crowd)
        before = files(crowd.folder / RUN / "dataset")
        assert build(crowd)["calls"] == 0
    assert files(crowd.folder / RUN / "dataset") == before
    assert summary(crowd.folder / RUN)["calls_missing"] == 0
