"""Where features come from: a picture's own pixels, a parquet file, a model of transformers, a notebook; and the store that keeps them."""

import hashlib
import io
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cotforge.consensus import AnswersError
from cotforge.consensus.image import pixels
from cotforge.consensus.image.embeddings import Embeddings
from cotforge.consensus.image.feature_store import FeatureStore
from cotforge.consensus.image.features import Features
from cotforge.consensus.image.given import of_table
from cotforge.consensus.image.spec import ImageEmbeddings, ImageModel
from cotforge.errors import PipelineError
from cotforge.order import sample_rank
from cotforge.records import Fault, Picture, Sample

IDS = ["a", "b", "c", "d"]


def png(colour: tuple[int, int, int], size: tuple[int, int] = (40, 20)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def sample(id: str, *data: bytes, label: str | None = None) -> Sample:
    shown = [Picture(hashlib.sha256(one).hexdigest(), "image/png", 1, 1, len(one), lambda one=one: one) for one in data]  # type: ignore[misc]
    return Sample(id, tuple(shown), "", ("x", "y"), label)


def gone() -> bytes:
    raise Fault("image_changed")


# pixels


def test_pixels_are_the_mean_colours_of_the_cells() -> None:
    image = Image.new("RGB", (320, 160), (0, 0, 255))
    image.paste((255, 0, 0), (0, 0, 160, 160))
    file = io.BytesIO()
    image.save(file, "PNG")
    cells = pixels.pixel_vector(file.getvalue()).reshape(pixels.SIDE, pixels.SIDE, 3)  # type: ignore[union-attr]
    assert np.allclose(cells[:, : pixels.SIDE // 2], (1, 0, 0))
    assert np.allclose(cells[:, pixels.SIDE // 2 :], (0, 0, 1))


@pytest.mark.parametrize("data", [b"", b"not a picture", png((1, 2, 3))[:60], b"GIF89a"])
def test_what_is_no_picture_has_no_pixels(data: bytes) -> None:
    assert pixels.pixel_vector(data) is None


# the store


def test_what_is_kept_is_read_again_in_two_bytes_a_number(tmp_path: Path) -> None:
    path, vectors = tmp_path / "features.sqlite", np.linspace(-1, 1, 3 * 768, dtype=np.float32).reshape(3, 768)
    store = FeatureStore(path, "one")
    store.keep([b"1", b"2", b"3"], vectors)
    assert b"2" in store
    assert b"4" not in store
    [(places, read)] = list(store.read([b"3", b"4", b"1"]))
    assert places == [0, 2]
    assert np.allclose(read, vectors[[2, 0]], atol=1e-3)
    store.close()
    other = FeatureStore(path, "another recipe")
    assert b"2" not in other
    other.close()


def test_vectors_of_another_length_and_broken_ones_are_left_out(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features.sqlite", "one")
    store.keep([b"1", b"2"], np.ones((2, 8), np.float32))
    store.keep([b"3"], np.ones((1, 5), np.float32))
    store.keep([b"4"], np.full((1, 8), np.nan, np.float32))
    with sqlite3.connect(tmp_path / "features.sqlite") as db:
        db.execute("INSERT INTO features VALUES ('one', ?, ?)", (b"5", "text"))
        db.execute("INSERT INTO features VALUES ('one', ?, ?)", (b"6", b"odd"))
    db.close()
    assert [places for places, _ in store.read([b"1", b"2", b"3", b"4", b"5", b"6"])] == [[0, 1]]
    store.close()


def test_a_store_that_is_broken_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "features.sqlite"
    path.write_bytes(b"this is no database at all, but it is longer than its header")
    store = FeatureStore(path, "one")
    store.keep([b"1"], np.ones((1, 8), np.float32))
    assert b"1" in store
    store.close()


# of a run


def read(tmp_path: Path, image: Any, samples: list[Sample | Fault], told: list[Any] | None = None) -> Any:
    (tmp_path / "cache").mkdir(exist_ok=True)
    from cotforge.consensus.sequential import Terms, Voter

    features = Features(image, tmp_path, tmp_path, lambda: iter(samples), (told if told is not None else []).append)
    return features(Terms((Voter("a"),), ("x", "y")), sample_rank)


def coloured(count: int) -> list[Sample | Fault]:
    return [sample(f"s{place}", png((place, 2 * place % 256, 7)), label="xy"[place % 2]) for place in range(count)]


def test_every_picture_is_computed_once_and_read_from_the_cache_after_that(tmp_path: Path) -> None:
    samples = coloured(50)
    first = read(tmp_path, "pixels", samples)
    assert first.pictures.there_N.all()
    assert first.places["s7"] == 7
    assert first.label_N.tolist() == [place % 2 for place in range(50)]
    lost = [Sample(one.id, tuple(Picture(p.digest, p.mime, 1, 1, 1, gone) for p in one.pictures), "", ("x", "y"), one.label) for one in samples if isinstance(one, Sample)]  # fmt: skip # noqa: E501
    again = read(tmp_path, "pixels", [*lost])
    assert np.array_equal(first.pictures.features_NP, again.pictures.features_NP)


def test_a_sample_has_the_mean_of_its_pictures_and_one_that_cannot_be_read_has_none(tmp_path: Path) -> None:
    black, white = png((0, 0, 0)), png((255, 255, 255))
    changed = Sample("changed", (Picture("ab" * 32, "image/png", 1, 1, 1, gone),), "", ("x", "y"))
    found = read(
        tmp_path,
        "pixels",
        [sample("black", black), sample("both", black, white), sample("white", white), Fault("odd"), changed, sample("none")],
    )
    features_NP = found.pictures.features_NP
    assert found.pictures.there_N.tolist() == [True, True, True, False, False]
    assert np.allclose(features_NP[1], (features_NP[0] + features_NP[2]) / 2, atol=1e-5)
    assert found.label_N.tolist() == [-1] * 5


# embeddings


def written(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float64()), pa.large_list(pa.float16()), pa.list_(pa.float32(), 2), pa.list_(pa.int64())])  # fmt: skip # noqa: E501
def test_embeddings_of_any_kind_of_list_are_found_by_id(tmp_path: Path, kind: pa.DataType) -> None:
    vectors = [[1, 2], [3, 4], [5, 6]]
    if kind == pa.large_list(pa.float16()):
        vectors = [[np.float16(number) for number in vector] for vector in vectors]  # type: ignore[misc]
    path = written(tmp_path / "e.parquet", id=["s2", "s0", "other"], features=pa.array(vectors, kind))
    [(places, found)] = list(Embeddings(path).read({"s0": 0, "s1": 1, "s2": 2}))
    assert (places, found.tolist()) == ([2, 0], [[1, 2], [3, 4]])
    pictured = read(tmp_path, ImageEmbeddings(embeddings="e.parquet"), coloured(3))
    assert pictured.pictures.there_N.tolist() == [True, False, True]


def test_numbers_as_ids_and_rows_that_are_not_like_the_first_are_taken_as_they_are(tmp_path: Path) -> None:
    vectors = pa.array([[1.0, 2.0], [1.0], None, [float("nan"), 1.0], [None, 1.0], [], [9.0, 9.0], [3.0, 4.0]], pa.list_(pa.float64()))
    path = written(tmp_path / "e.parquet", id=[0, 1, 2, 3, 4, 5, 0, 7], embedding=vectors)
    [(places, found)] = list(Embeddings(path).read({str(place): place for place in range(8)}))
    assert (places, found.tolist()) == ([0, 7], [[1, 2], [3, 4]])


def test_a_file_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("id,embedding")
    written(tmp_path / "nameless.parquet", key=["a"], embedding=[[1.0]])
    written(tmp_path / "flat.parquet", id=["a"], embedding=[1.0])
    written(tmp_path / "two.parquet", id=["a"], one=[[1.0]], other=[[1.0]])
    written(tmp_path / "long.parquet", id=["s0"], embedding=[[1.0] * 5000])
    for name, words in {
        "missing.parquet": "cannot be read as parquet",
        "text.parquet": "cannot be read as parquet",
        "nameless.parquet": "no column 'id'",
        "flat.parquet": "0 columns of lists of numbers",
        "two.parquet": "2 columns of lists of numbers",
        "long.parquet": "5,000 numbers; at most 4,096",
    }.items():
        with pytest.raises(PipelineError, match=words) as fault:
            read(tmp_path, ImageEmbeddings(embeddings=name), coloured(2))
        assert str(fault.value).startswith(str(tmp_path / name))
        assert "\n" not in str(fault.value)


# a model


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny image models with random weights: CLIP, DINOv2 and a convolutional one."""
    folder = tmp_path_factory.mktemp("encoders")
    torch = pytest.importorskip("torch")
    from transformers import (
        CLIPConfig,
        CLIPImageProcessorPil,
        CLIPModel,
        ConvNextConfig,
        ConvNextModel,
        Dinov2Config,
        Dinov2Model,
    )

    torch.manual_seed(0)
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    clip = CLIPConfig(
        text_config={**small, "vocab_size": 32}, vision_config={**small, "image_size": 16, "patch_size": 8}, projection_dim=12
    )
    models = {
        "clip": CLIPModel(clip),
        "dino": Dinov2Model(Dinov2Config(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=16, patch_size=8)),
        "convnext": ConvNextModel(ConvNextConfig(depths=[1, 1], hidden_sizes=[8, 16], num_stages=2)),
    }
    for name, model in models.items():
        model.save_pretrained(folder / name)
        size = {"height": 16, "width": 16}
        CLIPImageProcessorPil(size=size, crop_size=size, do_center_crop=False).save_pretrained(folder / name)
    return folder


@pytest.mark.parametrize("name", ["clip", "dino", "convnext"])
def test_a_model_of_transformers_gives_each_picture_a_vector_of_its_own(tmp_path: Path, encoders: Path, name: str) -> None:
    found = read(tmp_path, ImageModel(model=str(encoders / name)), coloured(5))
    assert found.pictures.there_N.all()
    assert len(np.unique(found.pictures.features_NP.round(4), axis=0)) == 5
    with sqlite3.connect(tmp_path / "cache/features.sqlite") as db:
        lengths = {len(vector) // 2 for (vector,) in db.execute("SELECT vector FROM features")}
    db.close()
    assert lengths == {12 if name == "clip" else 16}


def test_a_model_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "empty").mkdir()
    for name, words in {"empty": "there is no config.json in it", "./missing/one": "no such model folder"}.items():
        with pytest.raises(PipelineError, match=words):
            read(tmp_path, ImageModel(model=name), coloured(2))
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "config.json").write_text('{"model_type": "no-such-type"}')
    with pytest.raises(PipelineError, match="cannot be loaded") as fault:
        read(tmp_path, ImageModel(model="odd"), coloured(2))
    assert "\n" not in str(fault.value)


# handed to decide


def test_features_may_come_in_any_form_a_notebook_has() -> None:
    vectors = np.random.default_rng(0).normal(size=(4, 3))
    forms = [
        dict(zip(IDS, vectors, strict=True)),
        dict(zip(IDS, vectors.tolist(), strict=True)),
        vectors,
        vectors.tolist(),
        pl.DataFrame({"id": IDS, "vector": vectors.tolist()}),
        pl.DataFrame({"id": IDS, "x": vectors[:, 0], "y": vectors[:, 1], "z": vectors[:, 2]}),
        pd.DataFrame({"id": IDS[::-1], "vector": vectors.tolist()[::-1]}),
        pd.DataFrame({"id": IDS, "x": vectors[:, 0], "y": vectors[:, 1], "z": vectors[:, 2]}),
    ]
    for form in forms:
        found = of_table(form, IDS, fold=sample_rank)
        assert found.there_N.all()
        distance_NN = np.linalg.norm(found.features_NP[:, None] - found.features_NP, axis=2)
        wanted_NN = np.linalg.norm(vectors[:, None] - vectors, axis=2)
        assert np.allclose(distance_NN / distance_NN[0, 1], wanted_NN / wanted_NN[0, 1], atol=1e-3)


def test_ids_without_a_finite_vector_have_no_features() -> None:
    form: dict[str, Any] = {"a": [1.0, 2.0], "b": [np.nan, 1.0], "c": None, "e": [1.0, 2.0]}
    assert of_table(form, IDS, fold=sample_rank).there_N.tolist() == [True, False, False, False]
    assert not of_table({}, IDS, fold=sample_rank).there_N.any()


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ("pixels", "is a str"),
        (7, "is a int"),
        (np.zeros((3, 2)), "3 rows for 4 ids"),
        ({"a": [1.0], "b": [1.0, 2.0]}, "another length"),
        ({"a": ["x"]}, "no numbers"),
        ({"a": np.zeros(5000)}, "at most 4,096"),
        (pl.DataFrame({"key": IDS, "vector": [[1.0]] * 4}), "columns key, vector"),
    ],
)
def test_features_that_are_none_are_one_line(features: Any, words: str) -> None:
    with pytest.raises(AnswersError, match=words) as fault:
        of_table(features, IDS, fold=sample_rank)
    assert "\n" not in str(fault.value)
