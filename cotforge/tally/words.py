"""The last lines of a run: which rule was in force, what was accepted per class, and what was lost and why."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby

from cotforge.pipeline import Loaded
from cotforge.reasons import counted_reason
from cotforge.tally import OF_ROWS, Tally

CLASSES = 8
"""Classes that a line names one by one; of more, those of which the smallest share was accepted."""
REASONS = 4
"""Reasons that a line names one by one, the most frequent ones."""
CHECKS = 3
"""Checks that a line names one by one, those that failed most often."""
FEW = 10
"""Woven texts from which on it is told that most failed at their readers."""
LONGEST = 60
"""Characters of a `--set`, or of a class, that a line shows."""


def vanished_classes(loaded: Loaded, tally: Tally) -> Iterator[str]:
    """A line where whole classes of the closed set are not among what was accepted, though the data has them."""
    names = loaded.pipeline.task.closed
    counts = {name: tally.classes[name] for name in names if name in tally.classes}
    labelled = any(one.labels for one in counts.values())
    gone = [name for name in names if (counts[name].labels if name in counts else not labelled) and not tally.accepted_as(name)]
    if not tally.accepted or not counts or not gone:
        return
    some = [f"{_short_line(name)!r}" + (f" (label: {counts[name].labels:,})" if labelled else "") for name in gone[:CLASSES]]
    more = f" and {len(gone) - CLASSES:,} more" if len(gone) > CLASSES else ""
    yield f"no sample was accepted as {', '.join(some)}{more}: the dataset has no lesson of {'them' if len(gone) > 1 else 'this class'}"


def per_class(loaded: Loaded, tally: Tally) -> Iterator[str]:
    """A line with what was accepted of each class of the closed set, beside how many have it as their label."""
    counts = [(name, tally.classes[name]) for name in loaded.pipeline.task.closed if name in tally.classes]
    if not tally.accepted or not counts:
        return
    shown = counts
    if len(counts) > CLASSES:
        shown = sorted(counts, key=lambda one: (one[1].answers / max(1, one[1].labels), one[0]))[:CLASSES]
    labelled = any(one.labels for _, one in counts)
    words = iter([f"label: {shown[0][1].labels:,}"])  # the others in the same place, without the words
    parts = [f"{_short_line(name)} {one.answers:,}" + (f" ({next(words, f'{one.labels:,}')})" if labelled else "") for name, one in shown]
    more = f", and {len(counts) - CLASSES:,} classes more: see report.html" if len(counts) > CLASSES else ""
    yield f"accepted per class: {', '.join(parts)}{more}"


def origin_lines(tally: Tally) -> Iterator[str]:
    """Where the texts of lessons come from, and how many of those that follow-ups made failed a check; none without follow-ups."""
    made = {origin: count for origin, count in tally.origins.items() if origin != "solve" and count}
    failed = Counter({word: count for word, count in tally.fates.items() if word.startswith("gate:") and count})
    if made:
        told = ", ".join(f"{count:,} {ORIGIN_WORDS[origin]}" for origin, count in sorted(made.items()))
        yield f"texts of lessons: {tally.origins['solve']:,} from the vote, {told}"
    if failed:
        named = failed.most_common(CHECKS)
        others = failed.total() - sum(count for _, count in named)
        most = ", ".join(f"{count:,} {word.partition(':')[2]}" for word, count in named)
        most += f" and {others:,} other{'s' * (others != 1)}" if others else ""
        yield f"rescued or woven texts that failed a check: {failed.total():,} ({most}); losses.parquet has each"


def weave_lines(loaded: Loaded, tally: Tally) -> Iterator[str]:
    """A line where most woven texts failed because no reader, or too few, came to their answer."""
    weave, total = loaded.pipeline.weave, tally.woven.total()
    elsewhere, silent = tally.woven["gate:unverified"], tally.woven["gate:unchecked"]
    if weave is None or not weave.verify or tally.missing or total < FEW or 2 * (elsewhere + silent) <= total:
        return
    remedy = "weave.verify: 0 asks no reader" if weave.verify == 1 else f"a weave.verify below {weave.verify} asks fewer readers"
    yield (
        f"{elsewhere + silent:,} of {total:,} woven texts failed at their readers ({elsewhere:,} unverified, {silent:,} unchecked); "
        f"look at some, and if they are good, {remedy}"
    )


ORIGIN_WORDS = {"rescue": "rescued", "woven": "woven"}
"""As they follow a number of lessons."""


def loss_lines(rejected: Mapping[str, int], *, words: Callable[[str, int], str] = counted_reason) -> Iterator[str]:
    """A line with why rows are no Samples, and one with why Samples gave no Lesson, the most frequent reasons first.

    `words`: what a reason means, as it follows a number of samples.
    """
    of_rows = {word: count for word, count in rejected.items() if word.startswith(OF_ROWS)}
    others = {word: count for word, count in rejected.items() if word not in of_rows}
    if total := sum(of_rows.values()):
        yield f"{'1 row is no sample' if total == 1 else f'{total:,} rows are no samples'}: {_ranked_reasons(of_rows, words)}"
    if total := sum(others.values()):
        yield f"{total:,} sample{'s' * (total != 1)} gave no lesson: {_ranked_reasons(others, words)}"


def _ranked_reasons(counts: Mapping[str, int], words: Callable[[str, int], str]) -> str:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    parts = [f"{count:,} {words(word, count)} ({word})" for word, count in ranked[:REASONS] if count]
    more = sum(count for _, count in ranked[REASONS:])
    return ", ".join(parts) + (f", {more:,} for other reasons" if more else "")


def rule_line(loaded: Loaded) -> str:
    """The line about the rule in force, and where each part of it comes from."""
    consensus = loaded.pipeline.consensus
    keys = ["rule", *(["target"] if consensus.make_rule.targeted else []), *(["promise"] if consensus.promise else []), "label"]
    values = {"rule": consensus.rule, "target": f"target {consensus.target:g}", "label": f"label {consensus.label}"}
    if consensus.promise is not None:
        values["promise"] = f"promise of precision {consensus.promise.precision:g} with confidence {consensus.promise.confidence:g}"
    same = groupby(keys, key=lambda key: loaded.origin("consensus", key))
    told = ", ".join(f"{', '.join(values[key] for key in some)} ({origin})" for origin, some in same)
    others = [given for given in loaded.earlier if not given.startswith("consensus.")]
    kept = f"; also from the --set of an earlier build: {', '.join(map(_short_line, others))}" if others else ""
    return f"rule in force: {told}{kept}"


def _short_line(given: str) -> str:
    """One line of what a person wrote, cut where it is long."""
    given = " ".join(given.split())
    return given if len(given) <= LONGEST else f"{given[: LONGEST - 3]}..."
