"""Filters on marks that no text has: they let everything pass, and somebody must know."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from cotforge.filters import Bound
from cotforge.pipeline import Loaded
from cotforge.tally import Tally


def idle_filters(bounds: Iterable[Bound], marks: Mapping[str, Sequence[str]], tally: Tally, *, build: str) -> Iterator[str]:
    """A line for each bound on a mark that no text has, where a text could have had it.

    `marks`: what each section of the pipeline file that follows the vote marks; `build`: the command that asks its calls.
    """
    if not any(count for fate, count in tally.fates.items() if fate in ("lesson", "surplus") or fate.startswith("filter:")):
        return
    sections = {name: section for section, names in marks.items() for name in names}
    for bound in bounds:
        if (bound.min is None and bound.max is None) or bound.name not in sections or bound.name in tally.measures:
            continue
        section = sections[bound.name]
        if tally.unasked and not tally.follow_ups[section].calls:
            why = f"the calls of {section} are not asked yet; to ask them: {build}"
        else:
            why = f"no reply to {section} gave one; losses.parquet and the samples in `cotforge view` may say why"
        yield f"the filter on {bound.name} judged nothing and let every text pass: no text has this mark, because {why}"


def build_command(loaded: Loaded, run: Path) -> str:
    """The command that asks what this run lacks, by the same pipeline."""
    limit, _ = loaded.limit(run)
    words = ["cotforge", "build", str(loaded.path), "--out", str(run), *(word for given in loaded.sets for word in ("--set", given))]
    return shlex.join([*words, *(["--limit", str(limit)] if limit else [])])
