"""How often the raw label is right where a vote accepts nothing, but its leading answer is the label: what `rescue.trust` goes by.

    python -m benchmarks.consensus.trusted_labels

A line for each world, number of teachers and rule: samples without agreement, and of those whose label leads with at least 0.5 and 0.8,
how many there are and the share that is right.
"""

from collections.abc import Iterator

import numpy as np

from benchmarks.consensus.worlds import ACCURACIES, KINDS, Recipe, World
from cotforge.consensus.decider import Heard, Setting
from cotforge.consensus.rules import rule_named
from cotforge.consensus.sequential import Terms, Voter
from cotforge.records import Sample

CLASSES = tuple(f"c{place}" for place in range(8))
RULES = (("majority", 0.9), ("dawid_skene", 0.95))
"""With the target that each has."""


def heard_of(world: World, names: list[str]) -> Iterator[tuple[Sample, list[Heard], str]]:
    """(Sample, what its teachers said, the truth) of each item."""
    for item in range(world.items):
        label, truth = (CLASSES[int(place[item])] if place[item] >= 0 else None for place in (world.label_N, world.truth_N))
        said = [
            Heard(name, CLASSES[int(place)] if place >= 0 else None)
            for name, place in zip(names, world.answer_NKS[item, :, 0], strict=True)
        ]
        yield Sample(f"s{item}", (), "Which?", CLASSES, label), said, str(truth)


def led_by_label(kind: str, teachers: int, rule: str, target: float) -> tuple[int, list[tuple[float, bool]]]:
    """Samples without agreement, and of those that the label leads (confidence, whether the label is right)."""
    accuracies = ACCURACIES[:teachers]
    world = Recipe(kind, 3_000, len(CLASSES), accuracies, (1.0,) * teachers, 1).world(np.random.default_rng(1))
    names = [f"t{place}" for place in range(teachers)]
    found = rule_named(rule)
    rows = found.rows(Setting(Terms(tuple(map(Voter, names)), CLASSES, target=target), label="vote"))
    items = list(heard_of(world, names))
    for sample, said, _ in items:
        rows.add(sample, said)
    decider = found.learn(rows)
    verdicts = [(decider.verdict(sample, said)[0], sample.label, truth) for sample, said, truth in items]
    lost = [one for one in verdicts if not one[0].accepted]
    return len(lost), [(verdict.confidence, label == truth) for verdict, label, truth in lost if verdict.answer == label]


def main() -> None:
    """Print the table."""
    print("| world | teachers | rule | without agreement | label leads, 0.5 or more | right | 0.8 or more | right |")
    print("|---" * 8 + "|")
    for kind in KINDS:
        for teachers in (3, 5):
            for rule, target in RULES:
                lost, led = led_by_label(kind, teachers, rule, target)
                cells = []
                for trust in (0.5, 0.8):
                    right = [is_right for confidence, is_right in led if confidence >= trust]
                    cells += [str(len(right)), f"{np.mean(right):.3f}" if right else ""]
                print(f"| {kind} | {teachers} | {rule} | {lost} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
