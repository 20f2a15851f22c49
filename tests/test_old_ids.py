"""Run folders from before an imagefolder's ids were its paths: they keep theirs, and nothing is asked anew."""

import re
from pathlib import Path

import pytest
import yaml

from tests.project import LABELS, ran, sees, table
from tests.teacher import Teacher
from tests.test_sources import photo

RUN = Path("runs/feelings")


def write(folder: Path, server: Teacher, **sections: object) -> None:
    for place in range(6):
        path = folder / "photos" / LABELS[place % 2] / f"{place}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(place))
    pipeline = {
        "name": "feelings",
        "source": {"kind": "imagefolder", "path": "photos"},
        "task": {"kind": "classify", "question": "?", "labels": LABELS},
        "teachers": [{"name": "one", "model": "m", "url": server.url}],
        "consensus": {"label": "ignore"},
        **sections,
    }
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(pipeline))


def ids(folder: Path) -> set[str]:
    return {row["id"] for row in table(folder / RUN, "data")}


def command(folder: Path, *words: object) -> None:
    ended = ran(*words, cwd=folder)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_an_old_run_folder_keeps_its_ids_under_every_command_and_a_new_one_has_paths(tmp_path: Path) -> None:
    old_place, new = tmp_path / "old", tmp_path / "new"
    with Teacher(sees) as server:
        write(old_place, server)
        command(old_place, "build", "pipeline.yaml", "--set", "source.ids=content")
        old = ids(old_place)
        assert all(re.fullmatch("[0-9a-f]{32}", id) for id in old)
        kept = old_place / RUN / "pipeline.yaml"
        text = kept.read_text().replace("  ids: content\n", "").replace("# set: source.ids=content\n", "")
        assert "ids" not in text
        for words in (["build", "pipeline.yaml"], ["build", "pipeline.yaml", "--offline"], ["curate", RUN], ["build", "pipeline.yaml"]):
            kept.write_text(text)
            command(old_place, *words)
            command(old_place, *words)
            assert ids(old_place) == old, words
        assert len(server.ledger) == 6
        command(old_place, "build", "pipeline.yaml", "--set", "source.ids=path")
        paths = {f"{LABELS[place % 2]}/{place}.jpg" for place in range(6)}
        assert ids(old_place) == paths, "who wants paths there gets them"
        assert len(server.ledger) == 6
        (old_place / "pipeline.yaml").rename(old_place / "gone.yaml")
        command(old_place, "curate", RUN)
        assert ids(old_place) == paths, "where the file is gone, the folder says so"
    with Teacher(sees) as server:
        write(new, server)
        command(new, "build", "pipeline.yaml")
        assert ids(new) == paths


@pytest.mark.parametrize("named", [True, False])
def test_gold_that_names_samples_by_content_is_still_gold_in_a_new_run(tmp_path: Path, named: bool) -> None:
    with Teacher(sees) as server:
        write(tmp_path, server)
        command(tmp_path, "build", "pipeline.yaml", "--set", "source.ids=content", "--out", "first")
        rows = table(tmp_path / "first", "data")
        gold = tmp_path / ("gold.csv" if named else RUN / "gold.csv")
        gold.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        gold.write_text("id,answer\n" + "".join(f"{row['id']},{row['answer']}\n" for row in rows[:3]))
        if named:
            write(tmp_path, server, gold="gold.csv")
        command(tmp_path, "build", "pipeline.yaml", "--limit", 5)
        found = ids(tmp_path)
        assert found < {row["id"] for row in rows}
        assert len(found) == 5
