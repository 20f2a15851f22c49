"""The keys of a card's YAML header that the Hub documents, and a check of a header against them, without asking the Hub.

The Hub itself checks a card only once it is pushed. Sources: github.com/huggingface/hub-docs, `datasetcard.md`, `modelcard.md` and
`docs/hub/repositories-licenses.md` of 2026-08; github.com/huggingface/huggingface.js, `packages/tasks/src/pipelines.ts`.
Keys that are not documented are accepted, as the Hub accepts them.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from cotforge.errors import show_value

# Identifiers of the Hub are data, one list each: easier to compare with its documentation as lines of words.
LICENCES = frozenset(
    """apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m afl-3.0
    artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0
    cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0
    cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0
    eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc h-research intel-research lppl-1.3c ms-pl apple-ascl
    apple-amlr mpl-2.0 odc-by odbl openmdw-1.0 openmdw-1.1 openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr
    deepfloyd-if-license fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 grok2-community gemma
    unknown other""".split()  # noqa: SIM905
)
"""What `license` may be."""
SIZES = (
    "n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B", "10B<n<100B", "100B<n<1T", "n>1T",
)  # fmt: skip
"""What `size_categories` may hold, by powers of ten from 1,000 on."""
TASKS = frozenset(
    """biology text-classification text2text-generation token-classification table-question-answering question-answering
    zero-shot-classification translation summarization feature-extraction text-generation fill-mask sentence-similarity text-to-speech
    text-to-audio automatic-speech-recognition audio-to-audio audio-classification audio-text-to-text voice-activity-detection
    depth-estimation image-classification object-detection image-segmentation text-to-image image-to-text image-to-image image-to-video
    unconditional-image-generation video-classification reinforcement-learning robotics tabular-classification tabular-regression
    tabular-to-text table-to-text multiple-choice text-ranking text-retrieval time-series-forecasting text-to-video image-text-to-text
    image-text-to-image image-text-to-video visual-question-answering document-question-answering zero-shot-image-classification
    graph-ml mask-generation zero-shot-object-detection text-to-3d image-to-3d image-feature-extraction video-text-to-text
    keypoint-detection visual-document-retrieval any-to-any video-to-video other""".split()  # noqa: SIM905
)
"""What `task_categories` may hold, and `pipeline_tag` be."""
ANNOTATORS = frozenset({"found", "crowdsourced", "expert-generated", "machine-generated", "no-annotation", "other"})
WRITERS = frozenset({"found", "crowdsourced", "expert-generated", "machine-generated", "other"})
MULTILINGUALITY = frozenset({"monolingual", "multilingual", "translation", "other"})
RELATIONS = frozenset({"adapter", "merge", "quantized", "finetune"})
"""What `base_model_relation` may be."""
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
"""An owner and a name: how the Hub names a repository."""
_ID = re.compile(rf"(?:{HUB_ID.pattern}|[\w.-]+)\Z")
_LINEAGE = re.compile(rf"(?:original|extended(?:\|\S+)?|{_ID.pattern})\Z")
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}\Z|code\Z|multilingual\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}\Z")

CardKind = Literal["dataset", "model"]
KeyRule = Callable[[Any, str], Iterator[str]]


def size_category(rows: int) -> str:
    """The Hub's words for a number of rows."""
    return SIZES[min(max(0, len(str(rows)) - 3), len(SIZES) - 1)]


def header_faults(header: Mapping[str, Any], kind: CardKind) -> list[str]:
    """What is wrong with a card's header by the Hub's documentation, a line each as `key: what is wrong; what would be right`."""
    rules = {**_OF_BOTH, **(_OF_DATASETS if kind == "dataset" else _OF_MODELS)}
    faults = [fault for name, rule in rules.items() if name in header for fault in rule(header[name], name)]
    return [*faults, *_named_licence(header)]


def _named_licence(header: Mapping[str, Any]) -> Iterator[str]:
    if header.get("license") != "other":
        return
    for name, example in (("license_name", "my-licence"), ("license_link", "LICENSE or a URL")):
        if not isinstance(header.get(name), str) or not header[name]:
            yield f"{name}: is missing; license 'other' needs one, such as {example}"


def _one_of(words: frozenset[str] | Sequence[str], *, many: bool = True) -> KeyRule:
    """A word of these, or with `many` a list of them."""

    def faults(value: Any, where: str) -> Iterator[str]:
        for one in value if many and isinstance(value, list) else [value]:
            if not isinstance(one, str) or one not in words:
                near = f"one of {', '.join(sorted(words))}" if len(words) < 12 else "an identifier of the Hub's documentation"
                yield f"{where}: {show_value(one)} is not known to the Hub; take {near}"

    return faults


def _matches(pattern: re.Pattern[str], example: str, *, many: bool = True) -> KeyRule:
    """A text like this, or with `many` a list of them."""

    def faults(value: Any, where: str) -> Iterator[str]:
        for one in value if many and isinstance(value, list) else [value]:
            if not isinstance(one, str) or not pattern.match(one):
                yield f"{where}: {show_value(one)} is not like {example}"

    return faults


def _is(kind: type, words: str) -> KeyRule:
    def faults(value: Any, where: str) -> Iterator[str]:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            yield f"{where}: {show_value(value)} is not {words}"

    return faults


def _texts(value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        yield f"{where}: {show_value(value)} is not a list of texts"


def _records(required: Mapping[str, KeyRule], *, single: bool = False) -> KeyRule:
    """A list of mappings with these keys; with `single` one mapping too."""

    def faults(value: Any, where: str) -> Iterator[str]:
        if single and isinstance(value, dict):
            value = [value]
        if not isinstance(value, list):
            yield f"{where}: {show_value(value)} is not a list"
            return
        for place, record in enumerate(value):
            if not isinstance(record, dict):
                yield f"{where}[{place}]: {show_value(record)} is not a mapping"
                continue
            for name, rule in required.items():
                if name not in record:
                    yield f"{where}[{place}]: has no {name}"
                else:
                    yield from rule(record[name], f"{where}[{place}].{name}")

    return faults


def _data_files(value: Any, where: str) -> Iterator[str]:
    """A path, a list of paths, or a list of splits with their paths."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        yield from _records({"split": _is(str, "a text"), "path": _paths})(value, where)
    else:
        yield from _paths(value, where)


def _paths(value: Any, where: str) -> Iterator[str]:
    for path in value if isinstance(value, list) else [value]:
        if not isinstance(path, str) or not path or path.startswith("/") or ".." in path.split("/"):
            yield f"{where}: {show_value(path)} is not a path within the repository"


def _mapping_of(required: Mapping[str, KeyRule]) -> KeyRule:
    rule = _records(required)

    def faults(value: Any, where: str) -> Iterator[str]:
        yield from (fault.replace(f"{where}[0]", where, 1) for fault in rule([value], where))

    return faults


_TEXT = _is(str, "a text")
_SPLIT = {"name": _TEXT, "num_bytes": _is(int, "a whole number"), "num_examples": _is(int, "a whole number")}
_METRIC = {"type": _TEXT, "value": _is(object, "a value")}
_RESULT = {
    "task": _mapping_of({"type": _TEXT}),
    "dataset": _mapping_of({"type": _TEXT, "name": _TEXT}),
    "metrics": _records(_METRIC),
}
_OF_BOTH: Mapping[str, KeyRule] = {
    "license": _one_of(LICENCES),
    "license_name": _matches(_NAME, "my-licence", many=False),
    "license_link": _matches(re.compile(r"LICENSE(?:\.md)?\Z|https?://\S+\Z"), "LICENSE, LICENSE.md or a URL", many=False),
    "language": _matches(_LANGUAGE, "'en' (a code of ISO 639)"),
    "tags": _texts,
    "thumbnail": _TEXT,
}
_OF_DATASETS: Mapping[str, KeyRule] = {
    "pretty_name": _TEXT,
    "annotations_creators": _one_of(ANNOTATORS),
    "language_creators": _one_of(WRITERS),
    "multilinguality": _one_of(MULTILINGUALITY),
    "size_categories": _one_of(SIZES),
    "source_datasets": _matches(_LINEAGE, "'original', 'extended' or an id such as owner/name"),
    "task_categories": _one_of(TASKS),
    "task_ids": _texts,
    "viewer": _is(bool, "true or false"),
    "configs": _records({"config_name": _TEXT, "data_files": _data_files}),
    "dataset_info": _records({"features": _is(list, "a list"), "splits": _records(_SPLIT)}, single=True),
}
_OF_MODELS: Mapping[str, KeyRule] = {
    "base_model": _matches(_ID, "an id such as owner/name"),
    "base_model_relation": _one_of(RELATIONS, many=False),
    "new_version": _matches(_ID, "an id such as owner/name", many=False),
    "datasets": _matches(_ID, "an id such as owner/name"),
    "pipeline_tag": _one_of(TASKS, many=False),
    "library_name": _TEXT,
    "metrics": _texts,
    "model-index": _records({"name": _TEXT, "results": _records(_RESULT)}),
}
