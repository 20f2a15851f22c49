"""`consensus.image` from end to end: made pictures that show their class, real servers, the command as typed."""

import base64
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.crowd import IN_TURN, Crowd, drawn, late
from tests.project import LABELS, files, ran, summary, table

ROWS = 300
RUN = Path("runs/feelings")
PIXELS = {**IN_TURN, "image": "pixels"}
COLOURS = dict(zip(LABELS, ((200, 60, 60), (60, 200, 60), (60, 60, 200), (180, 180, 60)), strict=True))


def shown(folder: Path, *, gold: int = 70, blurred: float = 40.0) -> Crowd:
    """Pictures of about the colour of their class, of which no two are alike, and `gold.csv` of some."""
    crowd, chance = Crowd.of(folder, ROWS), random.Random(1)
    crowd._ids.clear()
    for number, (id, true) in enumerate(crowd.truth.items()):
        colour = [round(min(255, max(0, chance.gauss(part, blurred)))) for part in COLOURS[true]]
        path = folder / "images" / f"{number}.png"
        image = Image.new("RGB", (32, 32), tuple(colour))  # type: ignore[arg-type]
        image.putpixel((0, 0), (number % 256, number // 256, 7))
        image.save(path)
        crowd._ids[base64.b64encode(path.read_bytes()).decode()] = id
    if gold:
        crowd.gold([f"row-{number}" for number in range(gold)])
    return crowd


def build(crowd: Crowd, consensus: Any = PIXELS, out: str = "", **sections: Any) -> dict[str, Any]:
    """The summary of a build with a gold file, where there is one."""
    gold = {"gold": "gold.csv"} if (crowd.folder / "gold.csv").exists() else {}
    with crowd.servers() as servers:
        crowd.pipeline(servers, consensus=consensus, **gold, **sections)
        ended = ran("build", "pipeline.yaml", *(["--out", out] if out else []), cwd=crowd.folder)
    assert ended.returncode == 0, ended.stderr
    return summary(crowd.folder / (out or RUN)) | {"told": ended.stdout}


def verdicts(run: Path) -> dict[str, Any]:
    told = summary(run)
    lessons = {row["id"]: (row["answer"], row["confidence"]) for row in table(run, "data")}
    return {"lessons": lessons, **{key: told.get(key) for key in ("samples", "rejected", "claim", "image", "calls_missing")}}


def test_pictures_save_calls_and_the_card_says_why_they_were_heard(tmp_path: Path) -> None:
    crowd = shown(tmp_path / "it")
    told = build(crowd)
    with_pictures = crowd.asked.total()
    assert told["image"]["admitted"]
    assert (told["calls"], told["calls_missing"]) == (with_pictures, 0)
    assert crowd.right(table(crowd.folder / RUN, "data")) > 0.97
    card = (crowd.folder / RUN / "dataset/README.md").read_text()
    assert "| (picture) | pixels |" in card
    assert "The picture (pixels) votes: on 70 checked samples" in card
    assert "The picture (pixels) votes" in (crowd.folder / RUN / "report.html").read_text()
    assert "the picture (pixels) votes: on 70 checked samples" in told["told"]
    assert (crowd.folder / RUN / "cache/features.sqlite").exists()
    crowd.asked.clear()
    plain = build(crowd, IN_TURN, "plain")
    assert "image" not in plain
    assert with_pictures < 0.97 * crowd.asked.total()


def test_a_second_build_asks_nothing_and_curating_again_finds_the_same(tmp_path: Path) -> None:
    crowd = shown(tmp_path / "it")
    build(crowd)
    before, dataset = verdicts(crowd.folder / RUN), files(crowd.folder / RUN / "dataset")
    assert "in all 0 calls to make" in ran("check", "pipeline.yaml", cwd=crowd.folder).stdout
    assert build(crowd)["calls"] == 0
    for words in (["build", "pipeline.yaml", "--offline"], ["curate", RUN]):
        ended = ran(*words, cwd=crowd.folder)
        assert ended.returncode == 0, ended.stderr
        assert verdicts(crowd.folder / RUN) == before
    (crowd.folder / RUN / "cache/features.sqlite").unlink()
    assert ran("curate", RUN, cwd=crowd.folder).returncode == 0
    assert verdicts(crowd.folder / RUN) == before
    assert dataset.keys() == files(crowd.folder / RUN / "dataset").keys()


def test_whatever_the_order_of_arrival_the_same_is_asked_and_found(tmp_path: Path) -> None:
    crowd, found = shown(tmp_path / "it"), list[Any]()
    for number in range(2):
        with crowd.servers() as servers:
            crowd.pipeline(servers, concurrency=(2, 21)[number], consensus=PIXELS, gold="gold.csv")
            late(servers, number, most=(0.0, 0.03)[number])
            assert ran("build", "pipeline.yaml", "--out", f"run-{number}", cwd=crowd.folder).returncode == 0
        found.append((crowd.asked.copy(), verdicts(crowd.folder / f"run-{number}")))
        crowd.asked.clear()
    assert found[0] == found[1]


@pytest.mark.parametrize("why", ["no gold", "noise"])
def test_pictures_that_are_not_heard_ask_and_find_what_a_run_without_them_does(tmp_path: Path, why: str) -> None:
    crowd = shown(tmp_path / "it", gold=0 if why == "no gold" else 70)
    noise = [[drawn("noise", id, axis) for axis in range(8)] for id in crowd.truth]
    pq.write_table(pa.table({"id": list(crowd.truth), "embedding": noise}), crowd.folder / "e.parquet")
    told = build(crowd, PIXELS if why == "no gold" else {**IN_TURN, "image": {"embeddings": "e.parquet"}}, "refused")
    asked = crowd.asked.copy()
    crowd.asked.clear()
    plain = build(crowd, IN_TURN, "plain")
    assert asked == crowd.asked
    assert not told["image"]["admitted"]
    assert told["claim"] == plain["claim"]
    assert {**verdicts(crowd.folder / "refused"), "image": None} == verdicts(crowd.folder / "plain")
    assert "has no vote" in (crowd.folder / "refused/dataset/README.md").read_text()
    assert (crowd.folder / "refused/cache/features.sqlite").exists() is False


def test_the_users_own_embeddings_are_found_by_id(tmp_path: Path) -> None:
    crowd = shown(tmp_path / "it")
    random_ = np.random.default_rng(0)
    vectors = [(np.eye(4)[LABELS.index(true)] * 4 + random_.normal(size=4)).tolist() for true in crowd.truth.values()]
    pq.write_table(pa.table({"id": list(crowd.truth), "embedding": vectors}), crowd.folder / "e.parquet")
    told = build(crowd, {**IN_TURN, "image": {"embeddings": "e.parquet"}})
    assert told["image"]["admitted"]
    assert ran("curate", RUN, cwd=crowd.folder).returncode == 0, "the folder knows where the file lies"


@pytest.mark.parametrize(
    ("consensus", "words"),
    [
        ({"rule": "majority", "image": "pixels"}, "consensus.image: has no vote under rule 'majority'"),
        ({**IN_TURN, "image": "pixel"}, "consensus.image: 'pixel' is none; write pixels, {model: ID} or {embeddings: FILE}"),
        ({**IN_TURN, "image": {"embeddings": "none.parquet"}}, "none.parquet: cannot be read as parquet"),
        ({**IN_TURN, "image": {"model": "./none"}}, "consensus.image.model"),
    ],
)
def test_what_cannot_be_is_one_line_before_anybody_is_asked(tmp_path: Path, consensus: Any, words: str) -> None:
    crowd = shown(tmp_path / "it")
    with crowd.servers() as servers:
        crowd.pipeline(servers, consensus=consensus, gold="gold.csv")
        ended = ran("build", "pipeline.yaml", cwd=crowd.folder)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert not crowd.asked
