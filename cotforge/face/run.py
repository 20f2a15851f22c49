"""A run folder, seen from Python."""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from cotforge.errors import JournalError, PipelineError, printable_line
from cotforge.face.run_frames import TableName, read_metrics, scan_table
from cotforge.face.run_summary import RunSummary
from cotforge.face.sample_view import SampleView
from cotforge.face.typed_results import Evaluation

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from cotforge.formats import Written
    from cotforge.formats.row import Kind
    from cotforge.pipeline import Pipeline
    from cotforge.view.serving import RunViewer


class Run:
    """A run folder. Looking at it changes nothing and takes no lock, so a build may go on meanwhile."""

    def __init__(self, path: "str | Path") -> None:
        """Raises PipelineError where the folder is no run, JournalError where what it keeps cannot be read."""
        from cotforge.folder import name_in, no_run

        self.path = Path(path)
        name = name_in(self.path) if self.path.is_dir() else None
        if name is None:
            raise PipelineError(no_run(self.path))
        self.name = name

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def _repr_html_(self) -> str:
        try:
            figures = self.summary._repr_html_()
        except JournalError:
            figures = "no summary yet"
        return (
            f"<div><b>{escape(printable_line(self.name))}</b> in <code>{escape(printable_line(str(self.path)))}</code><br>{figures}</div>"
        )

    @property
    def pipeline(self) -> "Pipeline":
        """By its original file, as it is now; else as the folder keeps it. Raises PipelineError where it is wrong."""
        from cotforge.pipeline import Loaded

        return Loaded.of_run(self.path, trust=False, sends=False).pipeline

    @property
    def summary(self) -> RunSummary:
        """The counts. Raises JournalError where there are none yet."""
        import json

        from cotforge.folder import read_kept

        path = self.path / "summary.json"
        text = read_kept(path)
        try:
            values = None if text is None else json.loads(text)
        except ValueError as fault:
            raise JournalError(f"{path}: is not JSON; `cotforge curate {self.path}` writes it anew") from fault
        if not isinstance(values, dict):
            raise JournalError(f"{path}: there is no summary yet; `cotforge build` writes it")
        return RunSummary.of(values)

    @property
    def dataset(self) -> Path:
        """The folder that `datasets.load_dataset` reads and `push` sends."""
        return self.path / "dataset"

    @property
    def report(self) -> Path:
        """The page about the run."""
        return self.path / "report.html"

    @property
    def student(self) -> Path | None:
        """The trained student; None where there is none yet."""
        found = self.path / "train" / "student"
        return found if (found / "config.json").is_file() else None

    @property
    def evaluations(self) -> dict[str, Evaluation]:
        """What models came to on held-out labels, by the names of the files in `eval/`, in their order."""
        return {path.stem: Evaluation.read(path) for path in sorted((self.path / "eval").glob("*.json"))}

    # tables

    def lessons(self, *, images: bool = False) -> "pl.LazyFrame":
        """A row per lesson, with its split. `images` adds the column of pictures, which is most of the bytes.

        Raises PipelineError where the run has no dataset yet.
        """
        return scan_table(self.path, "lessons", images=images)

    def traces(self) -> "pl.LazyFrame":
        """A row per sample and call of the pipeline that has a reply, with its fate."""
        return scan_table(self.path, "traces")

    def preference(self, *, images: bool = False) -> "pl.LazyFrame":
        """A row per pair of a right and a wrong text about one sample."""
        return scan_table(self.path, "preference", images=images)

    def losses(self) -> "pl.LazyFrame":
        """A row for everything that did not make it: `id, teacher, call, stage, reason, detail`."""
        return scan_table(self.path, "losses")

    def verdicts(self) -> "pl.LazyFrame":
        """A row per sample, with a lesson or without: `id, label, answer, accepted, confidence, label_conflict`."""
        return scan_table(self.path, "verdicts")

    def metrics(self) -> "pl.DataFrame":
        """A row per optimizer step of every stage of the training: `stage`, `step`, and TRL's own metrics."""
        return read_metrics(self.path)

    def to_pandas(self, table: TableName = "lessons", *, columns: Sequence[str] | None = None) -> "pd.DataFrame":
        """A table without pictures as a pandas frame, all of it in memory; only these `columns`, where they are given."""
        frame = scan_table(self.path, table)
        return (frame if columns is None else frame.select(columns)).collect().to_pandas()

    # samples

    def sample(self, id: str) -> SampleView:
        """All that is known of one sample. One without a lesson is looked for in the source, which is read up to it.

        Raises PipelineError where neither the dataset nor the source has such a sample.
        """
        from cotforge.face.sample_reading import view_sample

        return view_sample(self.path, id)

    def samples(self, n: int = 20, *, seed: int = 0) -> Iterator[SampleView]:
        """Lessons drawn by chance, the same ones for the same seed."""
        import polars as pl

        ids = self.lessons().select(pl.col("id").unique(maintain_order=True)).collect()["id"]
        yield from map(self.sample, ids.sample(min(n, len(ids)), seed=seed))

    # what can be done with it

    def what_if(self, *, trust: bool = False) -> "pl.DataFrame":
        """What the run would have given and cost under every other rule, target and order of asking: a row for each.

        Asks nothing; leaves `what-if.csv` and `what-if.html` in the folder.
        """
        import polars as pl

        from cotforge.session import RunSession

        with RunSession.reopen(self.path, trust=trust) as session:
            session.what_if()
        return pl.read_csv(self.path / "what-if.csv", infer_schema_length=None)

    def export(
        self, to: str, *, kind: "Kind | None" = None, out: Path | None = None, newlines: bool = False, trust: bool = False
    ) -> "Written":
        """The lessons as rows of another trainer: `llamafactory`, `ms-swift`, `trl`, ...; see `cotforge export --help`."""
        from cotforge.formats import export_run

        return export_run(self.path, to, kind=kind, out=out, newlines=newlines, trust=trust)

    def view(self, *, port: int = 0, trust: bool = False) -> "RunViewer":
        """Serve the pages of `cotforge view` in a thread, at the `url` of what it returns, until its `stop()` or the end of the process.

        Port 0 takes a free one. In a notebook its value is a link. Raises JournalError where the port is taken.
        """
        from cotforge.view.serving import start_viewer

        return start_viewer(self.path, port=port, trust=trust)
