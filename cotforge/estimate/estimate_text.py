"""An estimate as `check` prints it."""

from collections.abc import Iterator

from cotforge.budget import format_usd
from cotforge.estimate.outlook import Range
from cotforge.estimate.plan import Estimate, Reach, Share
from cotforge.sources.sample_stream import count_rows


def estimate_text(found: Estimate) -> str:
    """Samples and faults, one or two lines per teacher, the whole, and what should give the reader pause."""
    width = max(map(len, found.shares))
    samples = "1 sample" if found.samples == 1 else f"{found.samples:,} samples"
    lines = [samples + "".join(f"; {count_rows(count)} {reason}" for reason, count in sorted(found.faults.items()))]
    for name, share in found.shares.items():
        lines += _teacher_lines(f"{name:<{width}}", share, at_most=found.forecast is not None and found.forecast.is_at_most(name))
    lines += [f"{reason}, the first: {found.first_faults[reason]}" for reason in sorted(found.first_faults)]
    return "\n".join([*lines, *_total_lines(found), *_follow_up_lines(found), *_warning_lines(found)])


def _teacher_lines(name: str, share: Share, *, at_most: bool) -> Iterator[str]:
    first = f"{name}  {_calls_text(share.least, share.calls)} to make, {share.done:,} in the journal{_later_text(share.following, at_most)}"
    about = _about(is_least=bool(share.open), following=share.following)
    if share.outlook is None:
        yield first
        return
    priced = share.teacher.price.given
    usd = f", {about} {format_usd(share.usd.about)}" if priced else ", no price given"
    yield f"{first}, {about} {share.inputs.about:,.0f} in + {share.outputs.about:,.0f} out tokens{usd}{_about_hours(share.hours, about)}"
    bounds = [f"still to ask: {share.tokens.low:,.0f} to {share.tokens.high:,.0f} tokens"]
    bounds += [f"{format_usd(share.usd.low)} to {format_usd(share.usd.high)}"] * priced
    bounds += [f"{_lasting_hours(share.hours.low)} to {_lasting_hours(share.hours.high)}"] if share.hours else []
    yield f"{'':<{len(name)}}  {', '.join(bounds)} ({share.outlook.why}){'' if share.hours else ', time unknown'}"
    if share.failed:
        yield f"{'':<{len(name)}}  {share.failed:,} probed calls failed, the last: {share.last_error}"


def _total_lines(found: Estimate) -> Iterator[str]:
    usd, about = "", _about(is_least=found.least < found.calls, following=found.following)
    at_most = found.forecast is not None and found.forecast.is_at_most()
    if any(share.teacher.price.given for share in found.shares.values()):
        usd = f", {about} {format_usd(found.usd.about)}"
        if found.calls or found.usd.high:
            usd += f" ({format_usd(found.usd.low)} to {format_usd(found.usd.high)})"
    which = ", as the answers decide" if found.least < found.calls else ""
    hours = _about_hours(found.hours, about) if found.calls or found.following else ""
    yield f"in all {_calls_text(found.least, found.calls)} to make{which}{_later_text(found.following, at_most)}{usd}{hours}"


def _about(*, is_least: bool, following: float) -> str:
    """How a likely sum is told: the Calls of the vote are counted at their least, those after it, where there are any, at their most."""
    return "at least about" if is_least and not following else "about"


def _follow_up_lines(found: Estimate) -> Iterator[str]:
    if (forecast := found.forecast) is None:
        return
    for name, section in forecast.sections.items():
        by_teacher = ", ".join(f"{teacher} {_rounded(calls)}" for teacher, calls in section.items())
        count = sum(section.values())
        bound = "at most about " if name in forecast.at_most else ""
        calls = f"{bound}{_rounded(count)} call{'s' * (_rounded(count) != '1')} after the vote ({by_teacher})"
        yield f"{name}: {calls if count else 'no call to make after the vote'}"
    if forecast.is_at_most():
        yield f"calls after the vote: counted as if {forecast.why}"


def _later_text(calls: float, at_most: bool) -> str:
    return f", {'at most about ' * at_most}{_rounded(calls)} more follow the vote" if calls else ""


def _rounded(calls: float) -> str:
    return f"{max(1, round(calls)):,}"


def _warning_lines(found: Estimate) -> Iterator[str]:
    for name, share in found.shares.items():
        if share.anew:
            yield changed_line(name, f"{share.anew:,} calls")
    if rough := [share for share in found.shares.values() if share.probed_with and share.outlook and share.outlook.seconds]:
        yield (
            f"the time is rough: in the probe a teacher had about {max(share.probed_with for share in rough):,} calls in flight, "
            f"in a build it has up to {max(share.slots for share in rough):,}; a larger --probe tells more"
        )
    if found.budget.usd is not None and (free := [name for name, share in found.shares.items() if _may_charge(share)]):
        yield f"budget: usd does not bound teachers without a price: {', '.join(free)}"
    if (found.calls or found.following) and (reach := found.short()) is not None:
        yield _short_budget(reach, found)


def _may_charge(share: Share) -> bool:
    """Whether somebody may charge for the Calls and we do not know how much."""
    return share.teacher.may_charge and not share.teacher.price.given


def changed_line(name: str, calls: str) -> str:
    """The line about Calls whose like is paid for already."""
    return f"teacher {name!r}: {calls} will be asked anew because what is asked (prompt, sampling or images) has changed"


def _short_budget(reach: Reach, found: Estimate) -> str:
    put = format_usd if reach.name == "usd" else "{:,.0f}".format
    what = f"budget: {reach.name} {reach.bound:,.10g}"
    spent = f"{put(reach.spent)} spent, " if reach.name != "minutes" else ""
    if reach.share >= 1:
        return f"{what} may not suffice: {spent}up to {put(reach.needed.high)} to come"
    reached = f"it reaches about {round(reach.share * (found.least + found.following)):,} calls"
    first = ", those of the vote first" if found.calls and found.following else ""
    return f"{what} does not suffice: {spent}about {put(reach.needed.about)} to come; {reached}{first}"


def _calls_text(least: int, most: int) -> str:
    return f"{least:,} to {most:,} calls" if least < most else f"{most:,} calls"


def _about_hours(hours: Range | None, about: str) -> str:
    return f", {about} {_lasting_hours(hours.about)}" if hours else ""


def _lasting_hours(hours: float) -> str:
    if hours < 10 / 3600:
        return f"{max(0.1, 3600 * hours):.1f} s"
    if hours < 1 / 60:
        return f"{round(3600 * hours)} s"
    return f"{60 * hours:.0f} min" if hours < 1.5 else f"{hours:,.1f} h"
