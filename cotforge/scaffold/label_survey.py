"""What the rows of a source hold: how many, which labels, whether they bring questions and options of their own."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import TypeAdapter

from cotforge.answers import Task
from cotforge.answers.text import normal_form
from cotforge.errors import SourceError
from cotforge.images import Images, PictureStore
from cotforge.records import Fault
from cotforge.scaffold.data_layout import METADATA
from cotforge.sources import Counts, RawRow, Source, read_samples

MOST_ROWS, MOST_LISTED = 20_000, 1_000_000
"""Rows that are read of a table, and of a folder, whose rows are files that only have to be listed. Default chosen by us."""
MOST_CLASSES = 100
"""Different labels that are taken for a closed set. Default chosen by us."""
TRIED = 8
"""Samples whose pictures are opened."""


@dataclass(slots=True)
class LabelSurvey:
    """Counts of the rows that were read."""

    split: str
    rows: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    questions: int = 0
    options: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    met: Counts = field(default_factory=Counts)
    """With the files that are not used."""
    whole: bool = True
    """Whether all rows were read."""
    first_fault: str = ""
    folders: bool = False
    """Whether the labels are names of folders: classes, however few images each has."""

    @property
    def spelled(self) -> Counter[str]:
        """The labels with their counts, spellings of one label together under the most frequent."""
        first: dict[str, str] = {}
        together: Counter[str] = Counter()
        for label, count in self.labels.most_common():
            together[first.setdefault(normal_form(label), label)] += count
        return together

    @property
    def classes(self) -> list[str]:
        """The labels as a closed set, in order; empty where they are no such set. Of spellings of one label the most frequent stays."""
        spelled = self.spelled
        repeated = self.folders or 2 * len(spelled) <= self.labels.total()
        closed = repeated and 2 <= len(spelled) <= MOST_CLASSES and all(map(normal_form, spelled))
        return sorted(spelled) if closed else []

    @property
    def numbers(self) -> bool:
        """Whether every label is a number."""
        return bool(self.labels) and all(_is_number(label) for label in self.labels)

    def task(self) -> dict[str, Any]:
        """The `task:` section that goes with it, but for the question."""
        if 2 * self.options > self.rows:
            return {"kind": "classify"}
        if classes := self.classes:
            return {"kind": "classify", "labels": classes}
        return {"kind": "answer", "verifier": "number" if self.numbers else "exact"}


def survey_labels(section: Mapping[str, Any], root: Path) -> LabelSurvey:
    """Read the source of a pipeline file in `root`: its train split, else another one. Raises SourceError where no row can be read."""
    first: SourceError | None = None
    for split in ("train", "validation", "test"):
        try:
            found = _survey_split({**section, "split": split}, root)
        except SourceError as fault:
            first = first or fault
            continue
        if found.rows:
            return found
        first = first or SourceError(f"{section['path']}: has no sound row; the first fault: {found.first_fault or 'it is empty'}")
    assert first is not None
    raise first


def _survey_split(section: Mapping[str, Any], root: Path) -> LabelSurvey:
    source: Any = TypeAdapter(Source).validate_python(section)
    found = LabelSurvey(section["split"], folders=_has_class_folders(section, root))
    most = MOST_LISTED if source.kind in ("imagefolder", "emoset") else MOST_ROWS
    with TemporaryDirectory(prefix="cotforge-") as place, closing(PictureStore(Path(place), Images())) as store:
        rows = found.met.used(source.rows(root, store.spool))
        for row in islice(rows, most):
            if isinstance(row, RawRow):
                _count_row(row, found)
            elif isinstance(row, Fault):
                _count_fault(row, found)
        found.whole = next(rows, None) is None
        _try_pictures(read_samples(source, _any_task(found), store, root=root), found)
    return found


def _has_class_folders(section: Mapping[str, Any], root: Path) -> bool:
    folder = root / section["path"]
    return section["kind"] == "imagefolder" and not any(next(folder.glob(f"**/{name}"), None) for name in METADATA)


def _try_pictures(read: Iterator[Any], survey: LabelSurvey) -> None:
    for sample in islice(read, TRIED):
        if isinstance(sample, Fault):
            _count_fault(sample, survey)


def _any_task(survey: LabelSurvey) -> Task:
    return Task.model_validate({"question": "?", **survey.task()})


def _count_row(row: RawRow, survey: LabelSurvey) -> None:
    survey.rows += 1
    survey.questions += row.question is not None
    survey.options += row.options is not None
    if row.label is not None and (text := " ".join(str(row.label).split())):
        survey.labels[text] += 1


def _count_fault(fault: Fault, survey: LabelSurvey) -> None:
    survey.faults[fault.reason] += 1
    survey.first_fault = survey.first_fault or str(fault)


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", ""))
    except ValueError:
        return False
    return True
