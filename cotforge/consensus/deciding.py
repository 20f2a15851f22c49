"""`decide`: a vote over a table of answers, for notebooks, benchmarks and what-if; nothing of a run is needed."""

from collections.abc import Mapping, Sequence
from math import inf
from numbers import Real
from typing import TYPE_CHECKING, Any, get_args

from cotforge.consensus.decider import LabelRole
from cotforge.consensus.decisions import AnswersError, Decisions
from cotforge.consensus.promise import Wish
from cotforge.consensus.rules import RULES, rule_named
from cotforge.consensus.sequential.terms import Objective, Wanted

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


def decide(
    answers: "pl.DataFrame | pd.DataFrame",
    *,
    classes: Sequence[str] | None = None,
    labels: Mapping[Any, str | None] | None = None,
    prices: Mapping[str, float] | None = None,
    gold: Mapping[Any, str | None] | None = None,
    drawn: Mapping[Any, float] | None = None,
    rule: str = "sequential",
    target: float = 0.9,
    objective: Objective | Mapping[str, float] = "balanced",
    label: LabelRole = "vote",
    features: Any = None,
    promise: tuple[float, float] | None = None,
    order: Sequence[str] | None = None,
    seed: int = 0,
) -> Decisions:
    """Decide every id of a table with columns `id`, `teacher`, `answer`: all that a full asking gave, in the order it may be asked.

    `sequential` reads only what it asks for: replacing every other answer leaves the Decisions as they are. A null answer is one that
    could not be read. A column `probability` (or `weight`), null where it is unknown, may tell how sure a teacher is of its answer: its
    ranks within a teacher count, whatever its scale; only `sequential` uses it. `classes` is the closed set; without it the set is taken
    from labels, gold and the warm-up where these are few, else answers are free. `labels` are raw and noisy, `gold` is what people found,
    `prices` are per call (default 1 each).
    A gold answer of None is one that people cannot tell. `drawn` is how likely each of them was drawn for people to check, where that was
    not alike: a claim weighs them by it. `label` is what the raw label does: see `consensus.label` of a pipeline file.
    `features` of the ids' pictures (a mapping of id to vector, a frame with `id`, or an array with a row for each id) let a classifier of
    them vote under `sequential`, at no price, where `gold` shows that it helps: see `Decisions.admission`.
    `objective` is `balanced`, `cheapest`, or `{"lessons": ..., "budget": ...}`. `promise` is (precision, confidence): only what gold shows
    to be so precise is accepted, from a posterior of `target` or more; the Decisions say what became of it. `order` is that of the teachers
    where they are asked in turn; without one `label_match` asks the most reliable, and `cascade` the cheapest first. Row order, and the
    names of ids, teachers and classes beside the draw of who is asked when, decide nothing. Raises AnswersError where the table cannot be
    used.
    """
    from cotforge.consensus.tabled import Tabled

    demand_sound(answers, classes=classes, prices=prices, rule=rule, targets=[target])
    wish = wish_of(promise)
    _demand_mappings(labels=labels, gold=gold, drawn=drawn)
    if wrong := [share for share in (drawn or {}).values() if not (isinstance(share, Real) and 0 < share <= 1)]:
        raise AnswersError(f"drawn: {wrong[0]!r} is no probability; a number above 0 and at most 1")
    if label not in get_args(LabelRole):
        raise AnswersError(f"label: {label!r} is none; vote, gate or ignore")
    wanted = objective if isinstance(objective, (str, Wanted)) else Wanted(**_objective_dict(objective))
    if isinstance(wanted, str) and wanted not in ("balanced", "cheapest"):
        raise AnswersError(f"objective: {wanted!r} is none; balanced, cheapest, or a mapping of lessons and budget")
    if features is not None and not (rule_named(rule).in_turn and rule_named(rule).targeted):
        raise AnswersError(f"features: rule {rule!r} does not hear pictures; rule='sequential' does")
    tabled = Tabled(answers, classes=classes, labels=labels or {}, gold=gold or {}, drawn=drawn, features=features, seed=seed)
    role: LabelRole = "ignore" if labels is None else label
    by = rule_named(rule)
    setting = tabled.setting(target=target, label=role, prices=prices or {}, objective=wanted, promise=wish)
    return tabled.decided(by, setting if not by.in_turn else tabled.ordered(by, setting, order))


def wish_of(promise: Any) -> Wish | None:
    """Raises AnswersError where it is no pair of probabilities."""
    if promise is None:
        return None
    parts = promise if isinstance(promise, Sequence) and not isinstance(promise, str) else ()
    if len(parts) != 2 or not all(isinstance(part, (int, float)) and 0 < part < 1 for part in parts):
        raise AnswersError(f"promise: {promise!r}; (precision, confidence), both between 0 and 1, like (0.95, 0.95)")
    return Wish(float(parts[0]), float(parts[1]))


def _objective_dict(objective: Mapping[str, float]) -> dict[str, Any]:
    unknown = set(objective) - {"lessons", "budget"}
    if unknown or not objective:
        raise AnswersError(f"objective: {sorted(unknown) or 'nothing'} in it; lessons, budget, or both")
    if wrong := [name for name, value in objective.items() if not value > 0]:
        raise AnswersError(f"objective: {wrong[0]} is {objective[wrong[0]]!r}; more than 0")
    return {name: int(value) if name == "lessons" else float(value) for name, value in objective.items()}


def _demand_mappings(**given: Any) -> None:
    faults = [
        f"{name}: is a {type(value).__name__}; a mapping of id to answer is needed, like dict(zip(frame['id'], frame['{name}']))"
        for name, value in given.items()
        if value is not None and not isinstance(value, Mapping)
    ]
    if faults:
        raise AnswersError(*faults)


def demand_sound(
    answers: Any, *, classes: Sequence[str] | None, prices: Mapping[str, float] | None, rule: str, targets: Sequence[float]
) -> None:
    """Raises AnswersError with all that is wrong, a line each."""
    faults = []
    if hasattr(answers, "collect"):
        raise AnswersError("answers: is a lazy frame; collect() it first")
    if prices is not None and not isinstance(prices, Mapping):
        raise AnswersError(f"prices: is a {type(prices).__name__}; a mapping of teacher to the price of a call is needed")
    columns = list(getattr(answers, "columns", ()))
    missing = [name for name in ("id", "teacher", "answer") if name not in columns]
    if missing:
        faults.append(f"answers: no column {', '.join(missing)}; a polars or pandas frame with id, teacher and answer is needed")
    elif not len(answers):
        faults.append("answers: there is no row in it; at least one answer is needed")
    names = [one.name for one in RULES]
    if rule not in names:
        faults.append(f"rule: {rule!r} is none; {', '.join(names)}")
    least = 0 if rule in names and rule_named(rule).in_turn else 0.5
    faults += [f"target: {target!r}; a probability between {least} and 1" for target in targets if not least < target < 1]
    if classes is not None and len(set(classes)) < 2:
        faults.append(f"classes: {len(set(classes))} of them; at least two different ones, or None for free answers")
    faults += [f"prices: {name!r} costs {price!r}; a number, 0 or more" for name, price in (prices or {}).items() if not 0 <= price < inf]
    if faults:
        raise AnswersError(*faults)
