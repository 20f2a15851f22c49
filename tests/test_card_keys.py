"""A card's header is checked against the Hub's documented keys, without asking the Hub."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.card_keys import SIZES, header_faults, size_category

DATASET: dict[str, Any] = {
    "license": "cc-by-4.0",
    "language": ["en", "zh-Hant", "gsw"],
    "annotations_creators": ["machine-generated"],
    "size_categories": ["10K<n<100K"],
    "source_datasets": ["org/raw", "extended|other-squad", "original"],
    "task_categories": ["image-classification", "image-text-to-text"],
    "tags": ["synthetic"],
    "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": ["data/a.parquet"]}]}],
    "dataset_info": [
        {"config_name": "default", "features": [], "splits": [{"name": "train", "num_bytes": 1, "num_examples": 1}], "download_size": 1}
    ],
    "teachers": [{"name": "of no documented key"}],
}
MODEL: dict[str, Any] = {
    "license": "other",
    "license_name": "house-rules",
    "license_link": "LICENSE",
    "base_model": ["org/a", "gpt2"],
    "base_model_relation": "merge",
    "datasets": ["org/lessons"],
    "pipeline_tag": "image-text-to-text",
    "library_name": "transformers",
    "metrics": ["accuracy"],
    "model-index": [
        {
            "name": "emotions",
            "results": [
                {
                    "task": {"type": "image-classification"},
                    "dataset": {"type": "org/raw", "name": "raw", "split": "test"},
                    "metrics": [{"type": "accuracy", "value": 0.5}],
                }
            ],
        }
    ],
}


def test_headers_as_documented_have_no_fault() -> None:
    assert header_faults(DATASET, "dataset") == []
    assert header_faults(MODEL, "model") == []


@pytest.mark.parametrize(
    ("kind", "changed", "fault"),
    [
        ("dataset", {"license": "MIT License"}, "license: 'MIT License' is not known to the Hub"),
        ("dataset", {"license": ["mit", "foo"]}, "license: 'foo' is not known"),
        ("dataset", {"license": "other"}, "license_name: is missing"),
        ("dataset", {"language": "English"}, "language: 'English' is not like 'en'"),
        ("dataset", {"size_categories": ["n>100M"]}, "size_categories: 'n>100M' is not known"),
        ("dataset", {"annotations_creators": ["robots"]}, "annotations_creators: 'robots' is not known to the Hub; take one of"),
        ("dataset", {"source_datasets": ["my data"]}, "source_datasets: 'my data' is not like"),
        ("dataset", {"task_categories": "seeing"}, "task_categories: 'seeing' is not known"),
        ("dataset", {"tags": "synthetic"}, "tags: 'synthetic' is not a list of texts"),
        ("dataset", {"configs": [{"data_files": "a.parquet"}]}, "configs[0]: has no config_name"),
        ("dataset", {"configs": [{"config_name": "a", "data_files": "../b"}]}, "configs[0].data_files: '../b' is not a path within"),
        ("dataset", {"configs": [{"config_name": "a", "data_files": [{"path": "b"}]}]}, "configs[0].data_files[0]: has no split"),
        ("dataset", {"dataset_info": {"features": [], "splits": [{"name": "a", "num_bytes": "1", "num_examples": 1}]}},
         "dataset_info[0].splits[0].num_bytes: '1' is not a whole number"),
        ("model", {"base_model": "a/b/c"}, "base_model: 'a/b/c' is not like an id"),
        ("model", {"base_model_relation": "child"}, "base_model_relation: 'child' is not known"),
        ("model", {"datasets": ["/home/x"]}, "datasets: '/home/x' is not like an id"),
        ("model", {"license_name": None}, "license_name: None is not like"),
        ("model", {"model-index": [{"name": "a", "results": [{"task": {}, "dataset": {"type": "a", "name": "b"}, "metrics": []}]}]},
         "model-index[0].results[0].task: has no type"),
    ],
)  # fmt: skip
def test_what_the_hub_would_refuse_is_named_by_its_key(kind: Any, changed: dict[str, Any], fault: str) -> None:
    faults = header_faults((DATASET if kind == "dataset" else MODEL) | changed, kind)
    assert any(line.startswith(fault) for line in faults), faults


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*DATASET, *MODEL]), values), st.sampled_from(["dataset", "model"]))
def test_any_header_is_checked_without_an_error_and_every_fault_begins_with_a_key(header: dict[str, Any], kind: Any) -> None:
    for fault in header_faults(header, kind):
        assert fault.partition(":")[0].split("[")[0].split(".")[0] in header.keys() | {"license_name", "license_link"}


@given(st.integers(0, 10**15))
def test_a_number_of_rows_lies_within_its_words(rows: int) -> None:
    word = size_category(rows)
    scale = {"n": 0, "1K": 10**3, "10K": 10**4, "100K": 10**5, "1M": 10**6, "10M": 10**7, "100M": 10**8, "1B": 10**9, "10B": 10**10,
             "100B": 10**11, "1T": 10**12}  # fmt: skip
    assert word in SIZES
    low, _, high = word.replace("n>1T", "1T<n<").partition("<n<") if word != "n<1K" else ("n", "", "1K")
    assert scale[low] <= rows < (scale[high] if high else 10**16)
