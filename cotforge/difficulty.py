"""`difficulty.parquet` of a run folder: how often a student answers each sample rightly, as it was written back after training."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cotforge.atomic import replace_file
from cotforge.errors import JournalError, in_words
from cotforge.plain_record import Record
from cotforge.regular_files import demand_regular, open_new, open_regular

FILE = "difficulty.parquet"
COLUMNS = ("id", "pass_rate", "tries", "model")


@dataclass(frozen=True, slots=True)
class Rated(Record):
    """What a student did with one sample."""

    pass_rate: float
    """Share of its answers that were right, in [0, 1]."""
    tries: int
    """Answers."""
    model: str


def read_rated(run: Path) -> dict[str, Rated]:
    """By the samples' ids; empty where the run folder has no such file. Raises JournalError where it is damaged, or no such table."""
    import pyarrow as pa  # not needed where no pass rate is asked for
    import pyarrow.parquet as pq

    path = run / FILE
    try:
        with open(open_regular(path), "rb") as file:
            rows = pq.read_table(file, columns=list(COLUMNS)).to_pylist()
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, pa.ArrowException) as fault:
        raise JournalError(
            f"{path}: cannot be read: {in_words(fault)}; move it away, and write it with cotforge eval --write-back"
        ) from fault
    found = {}
    for number, row in enumerate(rows):
        rate = row["pass_rate"]
        if not isinstance(row["id"], str) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
            raise JournalError(f"{path}: row {number}: needs an id, and a pass_rate from 0 to 1; its columns are {', '.join(COLUMNS)}")
        found[row["id"]] = Rated(float(rate), int(row["tries"] or 0), str(row["model"] or ""))
    return found


def pass_rates(run: Path) -> dict[str, float]:
    """The shares alone. Raises as `read_rated`."""
    return {id: rated.pass_rate for id, rated in read_rated(run).items()}


def write_rated(run: Path, rated: Mapping[str, Rated]) -> Path:
    """Put these in place of what is known of the same samples, by rename; others stay. Raises JournalError on a full disk."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole = sorted((read_rated(run) | dict(rated)).items())
    path = run / FILE
    columns = {
        "id": pa.array([id for id, _ in whole], pa.string()),
        "pass_rate": pa.array([each.pass_rate for _, each in whole], pa.float64()),
        "tries": pa.array([each.tries for _, each in whole], pa.int64()),
        "model": pa.array([each.model for _, each in whole], pa.string()),
    }
    try:
        demand_regular(path)
        with replace_file(path) as passing, open(open_new(passing), "wb") as file:
            pq.write_table(pa.table(columns), file, compression="zstd")
        return path
    except OSError as fault:
        raise JournalError(f"{path}: {fault.strerror}; make room, then run the same command again") from fault
