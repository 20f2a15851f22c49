"""`kind: hf`: folders that `datasets` reads."""

import json
import random
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

datasets = pytest.importorskip("datasets")

from PIL import Image  # noqa: E402

from cotforge.answers.task import Task  # noqa: E402
from cotforge.errors import SourceError  # noqa: E402
from cotforge.images import Images, PictureStore  # noqa: E402
from cotforge.records import Fault, Sample  # noqa: E402
from cotforge.sources import Counts, HuggingFace, read_samples  # noqa: E402

TASK = Task(kind="classify", question="Which?", labels=("cat", "dog"))


def photo(seed: int) -> bytes:
    out = BytesIO()
    Image.frombytes("RGB", (4, 4), random.Random(seed).randbytes(48)).resize((32, 24)).save(out, "JPEG")
    return out.getvalue()


def read(folder: Path, counts: Counts | None = None, task: Task = TASK, **keys: Any) -> list[Sample | Fault]:
    store = PictureStore(folder / "run", Images())
    try:
        return list(read_samples(HuggingFace(**{"path": "data", **keys}), task, store, root=folder, counts=counts))
    finally:
        store.close()


def write(folder: Path, split: str, columns: dict[str, list[Any]], features: dict[str, Any]) -> None:
    (folder / "data").mkdir(exist_ok=True)
    table = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
    table.to_parquet(str(folder / "data" / f"{split}-00000-of-00001.parquet"))


FEATURES = {"photo": datasets.Image(), "label": datasets.ClassLabel(names=["dog", "cat"]), "n": datasets.Value("int64")}


def test_bytes_labels_and_splits_of_a_local_dataset(tmp_path: Path) -> None:
    for split, seeds in (("train", [0, 1]), ("test", [2])):
        cells = [{"bytes": photo(seed), "path": f"{seed}.jpg"} for seed in seeds]
        write(tmp_path, split, {"photo": cells, "label": [seed % 2 for seed in seeds], "n": seeds}, FEATURES)
    found = read(tmp_path, columns={"meta": ["n"]})
    assert all(isinstance(sample, Sample) for sample in found)
    assert [(s.pictures[0].load(), s.label, s.meta, s.where) for s in found if isinstance(s, Sample)] == [
        (photo(0), "dog", {"n": 0}, "data[train]:1"), (photo(1), "cat", {"n": 1}, "data[train]:2"),
    ]  # fmt: skip
    assert [sample.split for sample in read(tmp_path, split="test") if isinstance(sample, Sample)] == ["test"]
    with pytest.raises(SourceError, match=r"no split 'validation'; there: .*'test'"):
        read(tmp_path, split="validation")
    with pytest.raises(SourceError, match="did you mean 'photo'"):
        read(tmp_path, columns={"image": "photos"})


def test_several_images_and_broken_ones(tmp_path: Path) -> None:
    cells = [[{"bytes": photo(n), "path": None} for n in range(2)], [], [{"bytes": b"no image", "path": None}]]
    write(tmp_path, "train", {"shots": cells, "label": [0, 0, 1]}, {"shots": datasets.List(datasets.Image()), "label": FEATURES["label"]})
    found = read(tmp_path)
    assert [item.reason if isinstance(item, Fault) else [p.load() for p in item.pictures] for item in found] == [
        [photo(0), photo(1)], "no_image", "image_not_an_image",
    ]  # fmt: skip


def test_files_of_a_folder_are_read_where_they_lie(tmp_path: Path) -> None:
    for n, name in enumerate(("dog/a.jpg", "cat/b.jpg")):
        (tmp_path / "data" / name).parent.mkdir(parents=True)
        (tmp_path / "data" / name).write_bytes(photo(n))
    found = read(tmp_path)
    assert sorted((s.label or "", s.pictures[0].load()) for s in found if isinstance(s, Sample)) == [("cat", photo(1)), ("dog", photo(0))]
    assert not list((tmp_path / "run" / "cache" / "spool").iterdir())


def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(photo(0))
    paths = [str(tmp_path / "secret.jpg"), "http://127.0.0.1:1/a.jpg"]
    cells = [{"bytes": photo(1), "path": None}, *({"bytes": None, "path": path} for path in paths)]
    import pyarrow as pa
    import pyarrow.parquet as pq

    told = {"info": {"features": {"image": {"_type": "Image"}, "label": {"names": ["dog", "cat"], "_type": "ClassLabel"}}}}
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(cells, kind), "label": [0, 1, 1]}).replace_schema_metadata({"huggingface": json.dumps(told)})
    (tmp_path / "data").mkdir()
    pq.write_table(table, tmp_path / "data" / "train.parquet")
    assert [item.reason if isinstance(item, Fault) else "ok" for item in read(tmp_path)] == ["ok", "path_outside", "image_url"]


def test_what_cannot_be_loaded_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(SourceError, match="'data' cannot be loaded") as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)
