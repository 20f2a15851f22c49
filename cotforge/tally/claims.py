"""A claim in words: the same sentences for the console, the card and the report. The bound comes first."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from cotforge.consensus import Consensus
from cotforge.consensus.claim import FEW, SURE, Claim, Count, Stratum, certifiable_bound, fewest_checked, upper_bound
from cotforge.consensus.drawn import even_part
from cotforge.consensus.promise import needed_checks
from cotforge.consensus.simpler import Simpler, SimplerTrial
from cotforge.records import Gold
from cotforge.tally import Tally

NAMED = 6
"""Classes that a line names one by one, those with the fewest checked answers."""
WORSE = 0.99
"""How sure it must be that a class is worse than what is claimed of all before it is named for that."""
LONGEST = 30
"""Characters of a class that a line shows."""

_SURE = f"with {100 * SURE:g} % confidence"


class ClaimRow(NamedTuple):
    """A line of the table of what is claimed."""

    name: str
    stratum: Stratum | None
    counted: Count


def claim_rows(claim: Claim) -> list[ClaimRow]:
    """All accepted answers, those that are the raw label, and those that are another one."""
    whole = None if claim.precision is None or claim.low is None else Stratum(claim.precision, claim.low, claim.checked)
    return [
        ClaimRow("all", whole, Count(claim.checked, claim.right)),
        ClaimRow("those that are the raw label", claim.with_label, claim.count_with),
        ClaimRow("those that are another one than the label", claim.against_label, claim.count_against),
    ]


def claim_headline(claim: Claim) -> str:
    """What is claimed of all accepted answers, in one sentence; the bound comes first."""
    if not claim.calibrated and 0 < claim.chosen == claim.gold:
        return f"precision: uncalibrated, none of the {claim.gold:,} checked samples was drawn by chance; cotforge gold draws some"
    if not claim.calibrated:
        return f"precision: uncalibrated, {uncalibrated_reason(claim)}; cotforge gold picks {'more' if claim.gold else 'some'} to check"
    if claim.low is None:
        return f"precision: no bound, for the rule accepts an answer to none of the {claim.gold:,} checked samples"
    about = "" if claim.precision is None else f", about {claim.precision:.3f}"
    nothing = "" if claim.precision is not None else "; no answer that nobody checked is accepted yet"
    return f"precision: at least {claim.low:.3f} {_SURE}{about}: {_right_text(Count(claim.checked, claim.right))}{nothing}"


def uncalibrated_reason(claim: Claim) -> str:
    """Why nothing is claimed, though people may have checked many samples."""
    if not claim.gold:
        return "nobody checked enough answers"
    even = ", and that are as if drawn by chance alone" if claim.unequal or claim.chosen else ""
    return f"only {claim.checked:,} of {claim.gold:,} checked samples count, and it takes {FEW}: those whose answer the rule accepts{even}"


def claim_sentences(tally: Tally) -> list[str]:
    """The sentence about all of them, and what else must be known."""
    return [claim_headline(tally.claim), *claim_notes(tally.claim, tally.answers())]


def claim_notes(claim: Claim, accepted: Mapping[str, int]) -> Iterator[str]:
    """What else must be known of it, a sentence each; `accepted` counts the accepted answers of each class."""
    if claim.ambiguous:
        share = f" ({claim.ambiguous_share:.1%} of those that nobody checked, as estimated)" if claim.ambiguous_share is not None else ""
        yield (
            f"people could not tell {claim.ambiguous:,} of {claim.gold:,} checked samples{share}; where the rule accepts an answer to one, "
            "it counts as wrong"
        )
    if not claim.calibrated:
        return
    if claim.unequal:
        yield (
            f"some of the {claim.gold:,} checked samples were likelier to be drawn: shares are weighted by that, "
            "and counts and bounds are of those that are as if drawn by chance alone. They are chosen separately for all samples, for each "
            "part and for each class. So the counts of the parts do not add up to the count of all"
        )
    if claim.with_label is not None:
        yield f"with their label: {_part_text(claim.with_label, claim.count_with)}"
    if claim.against_label is not None:
        yield f"against their label: {_part_text(claim.against_label, claim.count_against)}"
    elif claim.count_with.checked or claim.count_against.checked:
        yield f"against their label: {_right_text(claim.count_against)}; below {FEW} checked ones no precision is claimed"
    yield from _worse_classes(claim)
    yield from _unvouched_lines(claim, accepted)


def find_simpler(tally: Tally, trial: SimplerTrial) -> Simpler | None:
    """A rule that only waits for the label and does better on checked answers than the one in force; None where there is none.

    Nor is there one where replies are missing, as after another way of asking: then the figures of the rule in force are not its own.
    """
    return trial.best(tally.figures()) if tally.claim.calibrated and not tally.missing else None


def does_better(run: str) -> str:
    """The sentence about such a rule: `curate --what-if` compares all of them, and is the one place that names one."""
    return (
        "on the checked samples a simpler rule asks less and does no worse: "
        f"cotforge curate {shlex.quote(run)} --what-if compares all rules on these replies, and names the cheapest that reaches the target"
    )


def best_case_of(people: Gold, consensus: Consensus) -> str:
    """What checked samples can certify at best, and why where not all of them count."""
    even, checked = len(even_part(people.checked, people.drawn)), len(people.checked)
    return told_even(even, checked, consensus)


def told_even(even: int, checked: int, consensus: Consensus) -> str:
    """The same, where `even` of the checked samples are as if drawn by chance alone."""
    if not even and checked:
        return f"none of the {checked:,} checked samples was drawn by chance, so they certify nothing; cotforge gold draws some"
    told = best_case(even, consensus)
    why = "as one that was likelier to be drawn counts less often"
    return told if even >= checked else f"{even:,} of {checked:,} samples count for a bound, {why}: {told}"


def best_case(checked: int, consensus: Consensus) -> str:
    """What so many checked samples can certify at best, and how many the target of the file takes."""
    target = consensus.target if consensus.make_rule.targeted else None
    if not checked and consensus.promise is not None:
        needed = needed_checks(consensus.promise.wish)
        return f"nobody has checked a sample; consensus.promise takes {needed:,}, and until then accepts nothing"
    if not checked:
        bound = certifiable_bound(100)
        return f"nobody has checked a sample, so no precision will be claimed; 100 checked without an error certify {bound:.3f}"
    least_shown = f"a precision of at least {certifiable_bound(checked):.3f} {_SURE}"
    told = f"{checked:,} checked without an error certify {least_shown}, if the rule accepts an answer to each"
    if consensus.promise is not None and checked < (least := needed_checks(consensus.promise.wish)):
        return f"{told}; consensus.promise takes {least:,} whose answer is accepted, and until then accepts nothing"
    if target is not None and certifiable_bound(checked) < target:
        return f"{told}; {target:g} takes {fewest_checked(target):,}"
    return told


def before_paying(people: Gold, consensus: Consensus) -> list[str]:
    """What somebody should know before a build pays: keys without effect, and a promise that so few checked samples cannot keep."""
    checked = len(even_part(people.checked, people.drawn))
    short = consensus.promise is not None and checked < needed_checks(consensus.promise.wish)
    return [*consensus.idle_keys(), *([f"gold: {best_case_of(people, consensus)}"] if short else [])]


def unvouched_classes(claim: Claim, accepted: Mapping[str, int]) -> list[str]:
    """Classes with accepted answers of which too few are checked to claim a precision, those with the fewest first."""
    return sorted(
        (name for name, count in accepted.items() if count and claim.per_class.get(name) is None),
        key=lambda name: (claim.counts.get(name, Count()).checked, name),
    )


def _part_text(part: Stratum, count: Count) -> str:
    return f"at least {part.low:.3f}, about {part:.3f} ({_right_text(count)})"


def _right_text(count: Count) -> str:
    return f"{count.right:,} of {count.checked:,} checked answers are right" if count.checked else "no checked answer"


def _worse_classes(claim: Claim) -> Iterator[str]:
    """Classes whose checked answers are right less often than what is claimed of all."""
    for name, count in claim.counts.items():
        if claim.precision is not None and upper_bound(count.right, count.checked, sure=WORSE) < claim.precision:
            yield f"class {_short_text(name)!r} is worse than that: {_right_text(count)}"


def _unvouched_lines(claim: Claim, accepted: Mapping[str, int]) -> Iterator[str]:
    names: Sequence[str] = unvouched_classes(claim, accepted)
    if not names:
        return
    some = ", ".join(f"{_short_text(name)} ({claim.counts.get(name, Count()).checked:,})" for name in names[:NAMED])
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    which = "any class" if len(names) == len([name for name, count in accepted.items() if count]) else f"{len(names):,} classes"
    yield f"nothing is claimed of {which if len(names) > 1 else 'one class'} alone, below {FEW} checked answers: {some}{more}"


def _short_text(given: str) -> str:
    """One line, cut where it is long."""
    given = " ".join(given.split())
    return given if len(given) <= LONGEST else f"{given[: LONGEST - 3]}..."
