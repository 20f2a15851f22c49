"""Samples that `eval.share` holds out: `--limit` does not count them, and commands say how many they are."""

from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from cotforge.answers.task import Task
from cotforge.images import Images, PictureStore
from cotforge.plan import Eval
from cotforge.records import Sample
from cotforge.sources import Index, TableSource, read_samples
from cotforge.sources.sample_stream import Counts
from tests.outcomes import png
from tests.project import ran, replay, said, summary, write_pipeline, write_rows

TASK = Task(kind="classify", question="?", labels=["cat", "dog", "owl"])
HELD = Eval(share=0.4)


@pytest.fixture
def source(tmp_path: Path) -> TableSource:
    """30 rows of three classes, each with a picture of its own."""
    lines = ["id,image,label"]
    for number in range(30):
        (tmp_path / f"{number}.png").write_bytes(png(number))
        lines.append(f"{number},{number}.png,{TASK.closed[number // 10]}")
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    return TableSource(path="rows.csv")


@pytest.mark.parametrize(("limit", "wanted"), [(1, [1]), (3, [1, 1, 1]), (7, [2, 2, 3])])
def test_a_limit_counts_the_samples_that_are_asked_about_of_every_class_alike(
    tmp_path: Path, source: TableSource, limit: int, wanted: list[int]
) -> None:
    counts = Counts()
    with closing(PictureStore(tmp_path / "run", Images())) as store:
        found = list(
            read_samples(source, TASK, store, root=tmp_path, limit=limit, spreads=True, held_out=HELD, counts=counts),
        )
        index = Index(source, TASK, store, root=tmp_path, wave=lambda id: int(id) % 2, limit=limit, spreads=True, held_out=HELD)
        with closing(index):
            waves = [item for wave in range(2) for item in index.of_wave(wave)]
            assert index.counts.held_out == counts.held_out
    samples = [item for item in found if isinstance(item, Sample)]
    assert sorted(Counter(sample.label for sample in samples).values()) == wanted
    assert not any(HELD.holds(sample) for sample in samples)
    assert {item.id for item in waves if isinstance(item, Sample)} == {sample.id for sample in samples}


def test_without_a_limit_all_are_read_and_those_held_out_are_counted(tmp_path: Path, source: TableSource) -> None:
    counts = Counts()
    with closing(PictureStore(tmp_path / "run", Images())) as store:
        whole = [item for item in read_samples(source, TASK, store, root=tmp_path) if isinstance(item, Sample)]
        asked = list(read_samples(source, TASK, store, root=tmp_path, held_out=HELD, counts=counts))
        index = Index(source, TASK, store, root=tmp_path, wave=lambda id: int(id) % 2, held_out=HELD)
        with closing(index):
            waves = [item for wave in range(2) for item in index.of_wave(wave)]
            assert index.counts.held_out == counts.held_out
    assert asked == [sample for sample in whole if not HELD.holds(sample)]
    assert len(waves) == len(asked)
    assert (counts.rows, counts.held_out) == (30, 30 - len(asked))
    assert 0 < counts.held_out < 30


def test_check_build_summary_and_card_say_how_many_are_held_out(tmp_path: Path) -> None:
    write_rows(tmp_path, 20)
    replies = {f"row-{number}": said("awe") for number in range(20)}
    write_pipeline(tmp_path, replay(tmp_path, "one", dict(replies)), replay(tmp_path, "two", dict(replies)), eval={"share": 0.3})
    checked = ran("check", "pipeline.yaml", "--offline", cwd=tmp_path)
    built = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    told, run = summary(tmp_path / "runs/feelings"), tmp_path / "runs/feelings"
    held = told["held_out"]
    assert told["samples"] + held == 20
    line = f"{held} of 20 rows held out by eval.share: no teacher is asked about them"
    assert line in checked.stderr
    assert line in built.stdout
    assert f"Held out by `eval.share`, so that no teacher was asked about them: {held}." in (run / "dataset/README.md").read_text()
    assert "| rows read | 20 |" in (run / "dataset/README.md").read_text()
    assert f"lost: {held} held out by eval.share" in (run / "report.html").read_text()
