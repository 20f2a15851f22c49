"""What people say of a run's samples, as the viewer shows and saves it."""

from pathlib import Path
from threading import Lock

from cotforge.errors import CotforgeError, PipelineError
from cotforge.given_answers import FILE, REVIEWER, UNTOLD, GivenAnswer, GoldSheet
from cotforge.view.viewed_run import ViewedRun

LONGEST_NOTE = 2_000
"""Characters of a note."""


class RunReview:
    """The gold of a run, read again when its file changes. Safe to use from any thread."""

    def __init__(self, run: ViewedRun, *, person: str = REVIEWER) -> None:
        """`person`: whose answers are saved."""
        self.person = person
        self._run, self._lock = run, Lock()
        self._known: tuple[tuple[int, int], GoldSheet] = (0, 0), GoldSheet()

    def gold_file(self, seconds: float = 60) -> Path:
        """Where answers are kept.

        Raises CotforgeError where the pipeline cannot be read, TimeoutError where it is not read yet.
        """
        loaded = self._run.wait_for_pipeline(seconds)
        from cotforge.gold import gold_path  # not before the pipeline is there, which takes what this takes

        return gold_path(loaded, self._run.run)

    def read_answers(self) -> GoldSheet:
        """All that people have said so far.

        Nothing where the file cannot be read, which is told where an answer is saved.
        """
        path = self._early_path()
        with self._lock:
            try:
                found = path.stat()
                if self._known[0] != (stamp := (found.st_size, found.st_mtime_ns)):
                    from cotforge.gold.review import read_sheet

                    self._known = stamp, read_sheet(path)
            except (OSError, CotforgeError):
                self._known = (0, 0), GoldSheet()
            return self._known[1]

    def _early_path(self) -> Path:
        try:
            return self.gold_file(0)
        except (CotforgeError, TimeoutError):
            return self._run.run / FILE

    def is_newer_than(self, other: Path) -> bool:
        """Whether people have answered since a file was written."""
        try:
            return bool(self.read_answers().answers) and self._early_path().stat().st_mtime > other.stat().st_mtime
        except OSError:
            return False

    def keep_answer(self, id: str, answer: str, note: str, options: tuple[str, ...]) -> GivenAnswer:
        """Save what the person says of a sample; an empty `answer` keeps only the note.

        Raises PipelineError where it is no answer to the sample, or the file is wrong; JournalError where it cannot be kept.
        """
        from cotforge.gold.review import save_answer

        task = self._run.wait_for_pipeline().pipeline.task
        if answer and answer != UNTOLD:
            options = options or task.closed
            read = task.comparable(answer, options)
            if read is None:
                wanted = "choose one of its options" if options else f"the verifier {task.verifier!r} reads other forms"
                raise PipelineError(f"answer: {answer[:60]!r} is no answer to this sample; {wanted}")
            answer = read if options else answer
        given = GivenAnswer(self.person, answer, " ".join(note[:LONGEST_NOTE].split()))
        save_answer(self._run.run, self.gold_file(), id, given)
        return given

    def take_back(self, id: str) -> bool:
        """Take back what the person said of a sample; whether there was anything. Raises as `save`."""
        from cotforge.gold.review import withdraw_answer

        return withdraw_answer(self._run.run, self.gold_file(), id, self.person)
