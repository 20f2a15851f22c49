"""What a pipeline file from elsewhere may not do before its user has said yes."""

import re
from dataclasses import dataclass
from pathlib import Path

from cotforge import tree
from cotforge.errors import PipelineError
from cotforge.prompts import shipped_folder
from cotforge.trust import TrustFinding, is_near, trust_findings


@dataclass(frozen=True)
class TrustDemand:
    """What a file may not do before the user has said yes."""

    sends: bool
    """Whether the command sends anything to a teacher."""
    vouched: bool
    """Whether the file is the user's own or shipped, so that only what a run folder changes in it is a stranger's."""
    near: bool
    """Whether all lies under the present folder or is shipped; what a run folder says there may still have come from anywhere."""

    def demand(self, path: Path, written: tree.Tree, kept: tree.Tree) -> None:
        """Raises PipelineError with a line for each thing; `kept` is the file with what a run folder says was set."""
        known = set(_trust_findings(written, path.parent)) if self.vouched else set()
        asked = [found for found in _trust_findings(kept, path.parent) if found not in known and (found.does == "runs" or not self.near)]
        if lines := [str(found) for found in asked if self.sends or found.does != "sends"]:
            raise PipelineError(*(f"{path}: {line}; it comes from elsewhere: read it, then say --trust" for line in lines))


def _trust_findings(raw: tree.Tree, root: Path) -> list[TrustFinding]:
    return trust_findings(raw, tree.expand_variables(raw, missing=lambda where, variable: None), root)


def is_vouched(path: Path) -> bool:
    """Whether the file is under the present folder, or comes with cotforge: a shipped pipeline, or an example of a checkout."""
    ours = shipped_folder("pipelines").resolve()
    return is_near(path) or any(path.resolve().is_relative_to(folder) for folder in (ours, ours.parent / "examples"))


def read_origin(text: str) -> tuple[Path | None, list[str]]:
    """(the pipeline file that a run folder's own text comes from, what `--set` changed in it); None and nothing of any other text."""
    path = re.search(r"^# from: (.+)$", text, re.MULTILINE)
    return (Path(path.group(1)) if path else None), re.findall(r"^# set: (.+)$", text, re.MULTILINE)
