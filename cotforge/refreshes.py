"""Which teachers are being asked anew (`--refresh`), until all of it is done: an interrupted refresh is resumed by the next build."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cotforge.errors import PipelineError
from cotforge.folder import RunFolder


@dataclass(frozen=True, slots=True)
class RefreshMarks:
    """`refresh.json`: for each teacher that is asked anew, the number of the last attempt in the journal before that."""

    folder: RunFolder
    teachers: Sequence[str]
    """The names of all teachers of the pipeline."""

    @property
    def _marks_path(self) -> Path:
        return self.folder.path / "refresh.json"

    def unfinished(self) -> dict[str, int]:
        """The marks of teachers whose refresh was begun and has not ended."""
        return {name: mark for name, mark in self.folder.marks().items() if name in self.teachers}

    def begin(self, names: Sequence[str], latest: int) -> dict[str, int]:
        """All marks, after those of `names` are set to the attempt `latest`. Raises PipelineError where there is no such teacher."""
        if unknown := [name for name in names if name not in self.teachers]:
            raise PipelineError(f"--refresh {unknown[0]}: no teacher of that name; there are {', '.join(self.teachers)}")
        marks = dict.fromkeys(names, latest) | self.unfinished()
        if marks:
            self.folder.write(self._marks_path.name, json.dumps(marks))
        return marks

    def settle(self, left: Mapping[str, int]) -> None:
        """All that was to be asked anew has been, but for these: a build under a limit ends no refresh that was begun without one."""
        if left:
            self.folder.write(self._marks_path.name, json.dumps(left))
        else:
            self._marks_path.unlink(missing_ok=True)
