"""`what_if`: one table of answers under every rule, target and order of asking, so that they can be compared without a call."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from cotforge.consensus.decider import LabelRole, Rule, Setting
from cotforge.consensus.deciding import demand_sound, wish_of
from cotforge.consensus.decisions import AnswersError, Decisions
from cotforge.consensus.promise import Wish
from cotforge.consensus.rules import RULES
from cotforge.consensus.sequential.rule import SEQUENTIAL
from cotforge.consensus.sequential.terms import WIDEST, Objective
from cotforge.consensus.sequential.waves import Waves
from cotforge.consensus.until_label import CASCADE, LABEL_MATCH

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from cotforge.consensus.image.samples import SamplePictures
    from cotforge.consensus.tabled import Tabled

TARGETS = (0.8, 0.9, 0.95, 0.98)
OBJECTIVES: tuple[Literal["balanced", "cheapest"], ...] = ("balanced", "cheapest")
EVERYBODY, POLICY, CHEAP, BEST, ALONE, GIVEN = "everybody", "policy", "cheap to dear", "best to worst", "best alone", "as told"
"""Orders of asking."""
OF_CLASS = "coverage:"
"""Begins the name of a column with the coverage of one raw label."""

Row = dict[str, Any]


class RunContext(NamedTuple):
    """What a run knows beyond its answers, so that a row decides what the run would."""

    waves: Waves
    prices: Mapping[str, float]
    """Of a Call of each teacher, as the warm-up met it."""
    options: tuple[str, ...]
    """The closed set that all Samples share by the pipeline file; empty for none."""
    own: Mapping[Any, tuple[str, ...]]
    """The closed set of each id; empty where all share one."""
    pictures: "SamplePictures | None" = None
    """Features of the run's pictures, where these may vote."""


def what_if(
    answers: "pl.DataFrame | pd.DataFrame",
    *,
    classes: Sequence[str] | None = None,
    labels: Mapping[Any, str | None] | None = None,
    prices: Mapping[str, float] | None = None,
    gold: Mapping[Any, str | None] | None = None,
    drawn: Mapping[Any, float] | None = None,
    targets: Sequence[float] = TARGETS,
    label: LabelRole = "vote",
    ordered_at: float | None = None,
    max_calls: int | None = None,
    promise: tuple[float, float] | None = None,
    order: Sequence[str] | None = None,
    seed: int = 0,
    run: RunContext | None = None,
) -> "pl.DataFrame":
    """Decide a table as `decide` takes it under every variant: a row for each, with its calls, cost, coverage and claimed precision.

    Columns: `rule`, `order` (who is asked when), `teachers` (that order as a JSON list; null where any teacher may be next), `label` (what
    the raw label does), `objective` and `target` (null where the rule has none), `accepted` (ids, those that people answered among them),
    `coverage` (share of ids that the rule accepts, as if people had answered none), `calls` (all that the rule needs), `cost` (of these, in
    the unit of the prices), `calls_per_accepted` and `cost_per_accepted` (of ids as `coverage` counts them), `precision` (as claimed, of
    accepted ids that nobody checked; null where nothing is claimed), `calibrated` (whether gold stands behind it), `low` (its lower bound),
    `checked` (accepted gold ids), `against_label` (share of the accepted; null without labels), `lacking` (share of the calls that the
    table does not hold: they count in `calls`, under a rule that asks in turn the next one alone, and are no votes, so that `coverage` is
    mostly too low), `promised` (the target from which a promise is kept; null where it is not, or none is wanted), and for each raw label
    `coverage:<label>` (the same of its ids).

    `label`, `max_calls`, `promise` and `order` are as in `decide` and a pipeline file; rows with that order stand beside
    the others. Fixed orders are tried at one target: `ordered_at`, else the middle one.
    `run`: what a run knows beyond its answers. Raises AnswersError where the table cannot be used.
    """
    import polars as pl  # only whoever has a table needs it

    from cotforge.consensus.tabled import Tabled

    demand_sound(answers, classes=classes, prices=prices, rule="sequential", targets=targets)
    if not targets:
        raise AnswersError("targets: there is none; at least one is needed")
    told: dict[str, Any] = {"labels": labels or {}, "gold": gold or {}, "drawn": drawn}
    if run is None:
        tabled = Tabled(answers, classes=classes, seed=seed, **told)
    else:
        tabled = Tabled(answers, classes=run.options, own=run.own, waves=run.waves, pictures=run.pictures, **told)
    role: LabelRole = "ignore" if labels is None else label
    labelled = any(label is not None for label in (labels or {}).values())
    ordered_at = sorted(targets)[len(targets) // 2] if ordered_at is None else ordered_at
    variants = _Variants(tabled, prices or {}, tuple(dict.fromkeys((*targets, ordered_at))), role, ordered_at, labelled)
    variants.max_calls = max_calls
    variants.met = dict(run.prices) if run is not None else variants.prices
    variants.wish = wish_of(promise)
    variants.given = tuple(name for name in order or () if name in tabled.teachers)
    rows = list(variants.rows())
    return pl.DataFrame(rows, schema=_frame_schema(variants.classes))


class _Variants:
    """Every way of deciding one table."""

    def __init__(
        self, tabled: "Tabled", prices: Mapping[str, float], targets: Sequence[float], label: LabelRole, ordered_at: float, labelled: bool
    ) -> None:
        self.tabled, self.targets, self.label, self.ordered_at, self.labelled = tabled, targets, label, ordered_at, labelled
        self.prices = {teacher: float(prices.get(teacher, 1.0)) for teacher in tabled.teachers}
        self.met = self.prices
        """By which teachers are chosen."""
        self.max_calls: int | None = None
        self.wish: Wish | None = None
        self.given: tuple[str, ...] = ()
        """An order that is tried beside the usual ones."""
        met = {label for label in tabled.labels if label is not None} if 0 < len(tabled.options) <= WIDEST else ()
        self.classes = sorted(met)
        """Raw labels whose coverage is told."""

    def rows(self) -> Iterator[Row]:
        """Those that ask everybody first, the quick ones; then those that ask in turn."""
        for rule in RULES:
            for target in () if rule.in_turn else self.targets if rule.targeted else (None,):
                setting = self.tabled.setting(target=target or 0.9, prices=self.prices, label=self.label, promise=self.wish)
                yield self._variant_row(self.tabled.decided(rule, setting), rule.name, EVERYBODY, setting, target=target)
        for target in self.targets:
            decided: tuple[Decisions, str, str, Setting] | None = None
            for objective in OBJECTIVES:
                if decided is None or len(set(self.prices.values())) > 1:  # by equal prices and by calls is the same
                    decided = self._in_turn(SEQUENTIAL, target, objective)
                yield self._variant_row(*decided, target=target, objective=objective)
        yield from self._ordered_rows()

    def _ordered_rows(self) -> Iterator[Row]:
        """Teachers in a fixed order: by price, by reliability, and as told."""
        known, at = self.tabled.reliability, self.ordered_at
        cheap = sorted(self.tabled.teachers, key=lambda name: (self.prices[name], -known[name], name))
        best = sorted(self.tabled.teachers, key=lambda name: (-known[name], self.prices[name], name))
        orders: list[tuple[str, Objective, Sequence[str]]] = [(CHEAP, "cheapest", cheap), (BEST, "balanced", best)]
        if set(self.given) == set(best) and self.given not in (tuple(cheap), tuple(best)):
            orders.append((GIVEN, "balanced", self.given))
        for name, objective, order in orders if len(best) > 1 else ():
            yield self._variant_row(*self._in_turn(SEQUENTIAL, at, objective, name, order), target=at, objective=objective)
        if self.labelled:
            waits: list[tuple[Rule, str, Sequence[str]]] = [(LABEL_MATCH, ALONE, best[:1]), (CASCADE, CHEAP, cheap)]
            if self.given:
                waits += [(LABEL_MATCH, GIVEN, self.given[:1])] if self.given[0] != best[0] else []
                waits += [(CASCADE, GIVEN, self.given)] if self.given != tuple(cheap) else []
            for rule, name, order in waits:
                yield self._variant_row(*self._in_turn(rule, at, "balanced", name, order))

    def _in_turn(
        self, rule: Rule, target: float, objective: Objective, name: str = POLICY, order: Sequence[str] = ()
    ) -> tuple[Decisions, str, str, Setting]:
        """What is decided, the rule's and the order's name, and by what setting."""
        setting = self.tabled.setting(
            target=target,
            label=self.label,
            prices=self.met,
            objective=objective,
            max_calls=self.max_calls,
            order=tuple(order),
            promise=self.wish,
        )
        return self.tabled.decided(rule, setting), rule.name, name, setting

    def _variant_row(
        self,
        decided: Decisions,
        rule: str,
        order: str,
        setting: Setting,
        *,
        target: float | None = None,
        objective: Objective | None = None,
    ) -> Row:
        frame, claim = decided.frame, decided.claim
        accepted, calls = int(frame["accepted"].sum()), int(frame["calls"].sum()) + decided.lacking
        asked = Counter(dict(decided.teachers.select("teacher", "calls").iter_rows())) + Counter(decided.lacking_by)
        cost = float(sum(count * self.prices[name] for name, count in asked.items()))
        own = [decided.by_rule.get(str(id), accepts) for id, accepts in frame.select("id", "accepted").iter_rows()]
        kept = sum(own)
        return {
            "rule": rule,
            "order": order,
            "teachers": json.dumps(setting.terms.order, ensure_ascii=False) if setting.terms.order else None,
            "label": setting.label,
            "objective": objective,
            "target": target,
            "accepted": accepted,
            "coverage": kept / len(frame),
            "calls": calls,
            "calls_per_accepted": calls / kept if kept else None,
            "cost": cost,
            "cost_per_accepted": cost / kept if kept else None,
            "precision": claim.precision,
            "calibrated": claim.calibrated,
            "low": claim.low,
            "checked": claim.checked,
            "against_label": int(frame["against_label"].sum()) / accepted if accepted and self.labelled else None,
            "lacking": decided.lacking / calls if decided.lacking else 0.0,
            "promised": decided.promise.target if decided.promise is not None else None,
            **self._by_class(own),
        }

    def _by_class(self, accepted: Sequence[bool]) -> dict[str, float]:
        """The coverage of each raw label."""
        met, kept = Counter(self.tabled.labels), Counter(compress(self.tabled.labels, accepted))
        return {f"{OF_CLASS}{label}": kept[label] / met[label] for label in self.classes}


def _frame_schema(classes: Sequence[str]) -> "dict[str, type[pl.DataType]]":
    import polars as pl

    texts, counts = ("rule", "order", "teachers", "label", "objective"), ("accepted", "calls", "checked")
    names = (
        "rule order teachers label objective target accepted coverage calls calls_per_accepted cost cost_per_accepted "
        "precision calibrated low checked against_label lacking promised"
    )
    kinds: dict[str, type[pl.DataType]] = {"calibrated": pl.Boolean} | dict.fromkeys(texts, pl.String) | dict.fromkeys(counts, pl.Int64)
    columns = (*names.split(), *(f"{OF_CLASS}{label}" for label in classes))
    return {name: kinds.get(name, pl.Float64) for name in columns}
