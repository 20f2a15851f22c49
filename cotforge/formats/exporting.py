"""From a run folder and a format's name to an exported folder."""

import difflib
from pathlib import Path

from cotforge.errors import PipelineError
from cotforge.folder import name_in, no_run
from cotforge.formats.format import ExportTerms, Format
from cotforge.formats.known import FORMATS
from cotforge.formats.row import Kind
from cotforge.formats.writing import Written, write_export
from cotforge.pipeline import Loaded


def export_run(
    run: Path, to: str, *, kind: Kind | None = None, out: Path | None = None, newlines: bool = False, trust: bool = True
) -> Written:  # fmt: skip
    """Write the rows of a run's dataset for another trainer. The pipeline file is read again for rewards alone, which know its labels.

    Raises PipelineError where there is no such format or run, and as `writing.write_export` does.
    """
    form = _find_format(to)
    name = name_in(run) if run.is_dir() else None
    if name is None:
        raise PipelineError(no_run(run))
    kind = kind or form.kinds[0]
    if kind != "grpo":
        return write_export(run, form, ExportTerms(name, kind, {}, newlines=newlines), out=out)
    pipeline = Loaded.of_run(run, trust=trust, sends=False).pipeline
    names = pipeline.task.names if pipeline.task.kind == "classify" else {}
    return write_export(run, form, ExportTerms(name, kind, names, pipeline.images.max_pixels, newlines), out=out)


def _find_format(to: str) -> Format:
    if to in FORMATS:
        return FORMATS[to]
    near = difflib.get_close_matches(to, FORMATS, n=1)
    raise PipelineError(
        f"{to[:40]!r}: there is no such format; " + (f"did you mean {near[0]!r}?" if near else f"there are {', '.join(FORMATS)}")
    )
