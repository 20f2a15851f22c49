"""`what_if`: one table of answers under every rule, target and order of asking, so that they can be compared without a call."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from cotforge.consensus.decider import LabelRole
from cotforge.consensus.deciding import demand_sound
from cotforge.consensus.decisions import AnswersError, Decisions
from cotforge.consensus.rules import RULES
from cotforge.consensus.sequential.rule import SEQUENTIAL
from cotforge.consensus.sequential.terms import Objective
from cotforge.consensus.sequential.waves import Waves

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from cotforge.consensus.image.samples import SamplePictures
    from cotforge.consensus.tabled import Tabled

TARGETS = (0.8, 0.9, 0.95, 0.98)
OBJECTIVES: tuple[Literal["balanced", "cheapest"], ...] = ("balanced", "cheapest")
EVERYBODY, POLICY, CHEAP, BEST, ALONE = "everybody", "policy", "cheap to dear", "best to worst", "best alone"
"""Orders of asking."""
MATCH, CASCADE = "label match", "cascade"
"""Rules that only wait for a teacher to say the label."""

Row = dict[str, Any]


class Run(NamedTuple):
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
    targets: Sequence[float] = TARGETS,
    label: LabelRole = "vote",
    ordered_at: float | None = None,
    max_calls: int | None = None,
    seed: int = 0,
    run: Run | None = None,
) -> "pl.DataFrame":
    """Decide a table as `decide` takes it under every variant: a row for each, with its calls, cost, coverage and claimed precision.

    Columns: `rule`, `order` (who is asked when), `objective` and `target` (null where the rule has none), `accepted`, `coverage` (share of
    ids), `calls`, `calls_per_accepted`, `cost` and `cost_per_accepted` (in the unit of the prices), `precision` (as claimed, of accepted
    ids that nobody checked; null where nothing is claimed), `calibrated` (whether gold stands behind it), `low` (its lower bound),
    `checked` (accepted gold ids), `against_label` (share of the accepted; null without labels), `lacking` (share of the calls that the
    table does not hold: what was never asked cannot be replayed, and the row is a guess by so much).

    `label` and `max_calls` are as in a pipeline file. Fixed orders are tried at one target: `ordered_at`, else the middle one.
    `run`: what a run knows beyond its answers. Raises AnswersError where the table cannot be used.
    """
    import polars as pl  # only whoever has a table needs it

    from cotforge.consensus.tabled import Tabled

    demand_sound(answers, classes=classes, prices=prices, rule="sequential", targets=targets)
    if not targets:
        raise AnswersError("targets: there is none; at least one is needed")
    told: dict[str, Any] = {"labels": labels or {}, "gold": gold or {}}
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
    rows = list(variants.rows())
    return pl.DataFrame(rows, schema=_schema())


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

    def rows(self) -> Iterator[Row]:
        """Those that ask everybody first, the quick ones; then those that ask in turn."""
        for rule in RULES:
            for target in () if rule.in_turn else self.targets if rule.targeted else (None,):
                setting = self.tabled.setting(target=target or 0.9, prices=self.prices, label=self.label)
                yield self._row(self.tabled.decided(rule, setting), rule.name, EVERYBODY, target=target)
        reliable: Mapping[str, float] = {}
        for target in self.targets:
            decided: Decisions | None = None
            for objective in OBJECTIVES:
                if decided is None or len(set(self.prices.values())) > 1:  # by equal prices and by calls is the same
                    decided = self._in_turn(target, objective)
                if target == self.ordered_at and objective == "balanced":
                    reliable = _reliable(decided)
                yield self._row(decided, "sequential", POLICY, target=target, objective=objective)
        yield from self._ordered(reliable)

    def _ordered(self, reliable: Mapping[str, float]) -> Iterator[Row]:
        """Teachers in a fixed order; `reliable` are their accuracies as far as known."""
        cheap = sorted(self.tabled.teachers, key=lambda name: (self.prices[name], -reliable.get(name, 0.0), name))
        best = sorted(self.tabled.teachers, key=lambda name: (-reliable.get(name, 0.0), self.prices[name], name))
        if len(best) > 1:
            orders: list[tuple[str, Objective, list[str]]] = [(CHEAP, "cheapest", cheap), (BEST, "balanced", best)]
            for name, objective, order in orders:
                decided = self._in_turn(self.ordered_at, objective, tuple(order))
                yield self._row(decided, "sequential", name, target=self.ordered_at, objective=objective)
        if self.labelled:
            yield self._row(self.tabled.until_label(best[:1], prices=self.prices), MATCH, ALONE)
            yield self._row(self.tabled.until_label(cheap, prices=self.prices), CASCADE, CHEAP)

    def _in_turn(self, target: float, objective: Objective, order: tuple[str, ...] = ()) -> Decisions:
        setting = self.tabled.setting(
            target=target, label=self.label, prices=self.met, objective=objective, max_calls=self.max_calls, order=order
        )
        return self.tabled.decided(SEQUENTIAL, setting)

    def _row(self, decided: Decisions, rule: str, order: str, *, target: float | None = None, objective: Objective | None = None) -> Row:
        frame, claim = decided.frame, decided.claim
        accepted, calls = int(frame["accepted"].sum()), int(frame["calls"].sum())
        cost = float(sum(calls * self.prices[name] for name, calls in decided.teachers.select("teacher", "calls").iter_rows()))
        return {
            "rule": rule,
            "order": order,
            "objective": objective,
            "target": target,
            "accepted": accepted,
            "coverage": accepted / len(frame),
            "calls": calls,
            "calls_per_accepted": calls / accepted if accepted else None,
            "cost": cost,
            "cost_per_accepted": cost / accepted if accepted else None,
            "precision": claim.precision,
            "calibrated": claim.calibrated,
            "low": claim.low,
            "checked": claim.checked,
            "against_label": int(frame["against_label"].sum()) / accepted if accepted and self.labelled else None,
            "lacking": decided.lacking / (calls + decided.lacking) if decided.lacking else 0.0,
        }


def _reliable(decided: Decisions) -> dict[str, float]:
    """Each teacher's accuracy, as estimated; those of which nothing is known are left out."""
    return {name: share for name, share in decided.teachers.select("teacher", "accuracy").iter_rows() if share is not None}


def _schema() -> "dict[str, type[pl.DataType]]":
    import polars as pl

    texts, counts = ("rule", "order", "objective"), ("accepted", "calls", "checked")
    names = "rule order objective target accepted coverage calls calls_per_accepted cost cost_per_accepted precision calibrated low checked"
    kinds: dict[str, type[pl.DataType]] = {"calibrated": pl.Boolean} | dict.fromkeys(texts, pl.String) | dict.fromkeys(counts, pl.Int64)
    return {name: kinds.get(name, pl.Float64) for name in (*names.split(), "against_label", "lacking")}
