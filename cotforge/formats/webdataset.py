"""Tar files of pictures and texts. Source: webdataset/webdataset 1.0.2, and `packaged_modules/webdataset` of `datasets`."""

from collections.abc import Mapping
from typing import Any, ClassVar

from cotforge.formats.format import ExportTerms, Format
from cotforge.formats.row import ExportRow, make_message


class WebDatasetFormat(Format):
    """For each row its pictures, `KEY.0.jpg` and on, and `KEY.json`; keys are numbers, since a dot in an id would end it."""

    name: ClassVar[str] = "webdataset"
    suffix: ClassVar[str] = "tar"
    splits_apart: ClassVar[bool] = False

    def row(self, row: ExportRow, terms: ExportTerms) -> dict[str, Any]:
        """What stands in the JSON file."""
        return {
            "id": row.id,
            "prompt": [make_message("user", row.prompt)],
            "completion": [make_message("assistant", row.completion)],
            "answer": row.answer,
            "label": row.label,
        }

    def start(self, files: Mapping[str, str], terms: ExportTerms) -> str:
        """Python that reads them."""
        return 'load_dataset("webdataset", data_files={"train": "train-*.tar"})'
