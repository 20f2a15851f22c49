"""What a run's vote makes of every Sample: how sure it is of its answer, and of the raw label."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from cotforge.consensus import Heard
from cotforge.curation import Curation
from cotforge.errors import PipelineError
from cotforge.export.conflicts import votes_text
from cotforge.folder import RunFolder
from cotforge.gold import command
from cotforge.gold.drawing import Doubt
from cotforge.gold.gold_file import gold_path
from cotforge.pipeline import Loaded
from cotforge.records import Ballot, Sample, Verdict


def ask_person(
    loaded: Loaded,
    folder: RunFolder,
    samples: command.Samples,
    curation: Callable[[], Curation] | None,
    *,
    count: int | None = None,
    audit: bool = False,
) -> str:
    """Samples drawn for a person to check, or with `audit` the likeliest wrong labels; what the command prints.

    `curation`: None where nobody was asked yet. Raises PipelineError where there is nothing to audit.
    """
    unmade = loaded.pipeline.gold is not None and not gold_path(loaded, folder.path).exists()  # the file is what this is for
    if curation is None or (unmade and not audit):
        if audit:
            raise PipelineError(f"{folder.journal}: holds no reply to audit labels by; cotforge build asks the teachers")
        return command.ask_people(loaded, folder, samples, count=count)
    found = partial(doubtful_samples, curation())
    return (
        command.audit_labels(loaded, folder, found, count=count)
        if audit
        else command.ask_people(loaded, folder, samples, count=count, doubts=found)
    )


def doubtful_samples(curation: Curation) -> Iterator[tuple[Sample, Doubt]]:
    """Every sound Sample with its Doubt, whatever people said of it, in the source's order. Reads the source twice."""
    decider = curation.decided()
    for sample, heard in curation.heard():
        shares = decider.posterior(sample, heard)
        said = _readable_ballots(heard)
        given = [(shares[ballot.answer], ballot.answer) for ballot in said if ballot.answer in shares]
        if not given:
            yield sample, Doubt()
            continue
        posterior, answer = min(given, key=lambda one: (-one[0], one[1]))
        label = _clip_share(shares[sample.label]) if sample.label is not None and sample.label in shares else None
        contradicts = label is not None and answer != sample.label
        yield sample, Doubt(answer, _clip_share(posterior), label, contradicts, votes_text(Verdict(None, 0.0, False, ballots=said)))


def _readable_ballots(heard: Sequence[Heard]) -> tuple[Ballot, ...]:
    return tuple(Ballot(one.voter, one.answer) for one in heard if one.answer is not None)


def _clip_share(probability: float) -> float:
    """Sums of floats may end beyond 0 or 1."""
    return min(max(probability, 0.0), 1.0)
