"""What is left after a fault: the journal's own count of how attempts ended, and whether the dataset is the undisturbed one."""

import asyncio
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

from cotforge.budget import Budget, Purse
from cotforge.forge import Forge, Progress, TeacherCounts
from cotforge.forge.liveness import Patience
from cotforge.images import PictureStore, Sending
from cotforge.journal import NOT_SENT, Journal
from cotforge.pipeline import Loaded
from cotforge.sources import Counts, read_samples
from tests.project import files, ran, sees, summary
from tests.teacher import Teacher

RUN = "runs/feelings"


def rows(folder: Path, sql: str) -> list[tuple[object, ...]]:
    """What a query finds in the run's journal."""
    with closing(sqlite3.connect(folder / RUN / "journal.sqlite")) as journal:
        return journal.execute(sql).fetchall()


def ends(folder: Path) -> Counter[str]:
    """How the attempts that were made ended: an error's word, `answered`, or `unknown` where the journal holds no end."""
    ended = Counter(str(error or "answered") for (error,) in rows(folder, f"SELECT error FROM replies WHERE error IS NOT '{NOT_SENT}'"))
    ((unknown,),) = rows(folder, "SELECT count(*) FROM asked WHERE id NOT IN (SELECT id FROM replies)")
    return ended + Counter(unknown=int(str(unknown)))


def equals_the_undisturbed(folder: Path, *, calls: int = 0) -> bool:
    """Whether a rerun against sound servers asks so many Calls, and then has, byte for byte, the dataset of a run that met no fault."""
    with Teacher(sees) as sound:
        names = [str(name) for (name,) in rows(folder, "SELECT name FROM teachers ORDER BY id")]
        urls = [word for number in range(len(names)) for word in ("--set", f"teachers.{number}.url={sound.url}")]
        again = ran("build", "pipeline.yaml", *urls, cwd=folder)
        assert again.returncode == 0, again.stderr
        assert len(sound.ledger) == summary(folder / RUN)["calls"] == calls
        undisturbed = ran("build", "pipeline.yaml", *urls, "--out", "undisturbed", cwd=folder)
        assert undisturbed.returncode == 0, undisturbed.stderr
    return files(folder / RUN / "dataset/data") == files(folder / "undisturbed/dataset/data")


def forged(folder: Path, patience: Patience | None = None) -> tuple[Progress, list[str]]:
    """The counts of a forge that asks for all of the pipeline, and the lines it told; no server is looked at before."""
    loaded = Loaded.load(folder / "pipeline.yaml")
    progress, told = Progress({teacher.name: TeacherCounts() for teacher in loaded.pipeline.teachers}), list[str]()
    (folder / RUN).mkdir(parents=True, exist_ok=True)
    with closing(PictureStore(folder / RUN, loaded.pipeline.images)) as store, Journal(folder / RUN / "journal.sqlite") as journal:
        asking = Forge(
            loaded, journal, progress, sending=Sending(loaded.pipeline.images, folder / RUN), purse=Purse(Budget()), tell=told.append,
            patience=patience,
        )  # fmt: skip
        source, task = loaded.pipeline.source, loaded.pipeline.task
        asyncio.run(asking.run(lambda: read_samples(source, task, store, root=loaded.root, limit=None, counts=Counts())))
    return progress, told
