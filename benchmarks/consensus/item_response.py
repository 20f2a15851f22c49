"""Worlds by item response theory: difficulty is continuous, and errors follow from how alike the classes are.

A teacher of ability a is right about an item of difficulty b with probability expit(1.5 (a - b)). Else it names the wrong class that
scores best by its likeness to the true one, by what all teachers see in this item, and by chance. So errors are shared without any one
distractor, and no level of difficulty is met twice. 10 % of the labels are wrong, towards similar classes, unless a world says otherwise.

Source: Birnbaum's two-parameter model (Lord and Novick 1968, chapter 17).
Shapes: N items, K teachers, C classes.
"""
# ruff: noqa: N806, N815
# Arrays end in their axes.

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from benchmarks.consensus.worlds import Classes, Floats, Maker, World, answered_once, item_ids
from cotforge.order import sample_rank

ABILITIES = (0.3, 0.6, 1.0, 1.5, 2.2)
_SLOPE = 1.5
_SPREAD = 1.3
"""Standard deviation of difficulties."""
_LIKENESS, _APPEAL = 0.7, 1.2
"""Weights of what the classes, and what the item itself, suggest to everybody; a teacher's own chance weighs 1."""
_DIMENSIONS = 4
"""Of the space in which classes lie, normal; likeness falls with the squared distance."""


@dataclass
class Draft:
    """A world in the making: what a world of this style changes."""

    alike_CC: Floats
    """Log odds by which a class is taken for another; -inf for itself."""
    truth_N: Classes
    difficulty_N: Floats
    appeal_NC: Floats
    """What all teachers see in an item beside its class."""
    label_N: Classes
    answer_NK: Classes

    @property
    def classes(self) -> int:
        return len(self.alike_CC)

    @property
    def items(self) -> int:
        return len(self.truth_N)

    def wrong(self, random: np.random.Generator) -> Classes:
        """What somebody names who errs about each item."""
        score_NC = _LIKENESS * self.alike_CC[self.truth_N] + self.appeal_NC + random.gumbel(0, 1, self.appeal_NC.shape)
        return np.asarray(score_NC.argmax(1))

    def answers(self, ability: float, random: np.random.Generator) -> Classes:
        """What somebody of this ability names."""
        right_N = random.random(self.items) < expit(_SLOPE * (ability - self.difficulty_N))
        return np.where(right_N, self.truth_N, self.wrong(random))

    def world(self) -> World:
        return answered_once(self.classes, self.truth_N, self.label_N, self.answer_NK)


def draft(
    items: int,
    random: np.random.Generator,
    *,
    abilities: Sequence[float] = ABILITIES,
    classes: int = 8,
    shares: Sequence[float] | None = None,
    noise: float = 0.10,
    pairs: float = 0.0,
) -> Draft:
    """The plain world; `shares`: of the classes, equal by default; `pairs`: likeness of each even class to the next one, added."""
    place_CD = random.normal(0, 1, (classes, _DIMENSIONS))
    alike_CC = -((place_CD[:, None] - place_CD[None]) ** 2).sum(-1)
    even = np.arange(0, classes - 1, 2)
    alike_CC[even, even + 1] += pairs
    alike_CC[even + 1, even] += pairs
    np.fill_diagonal(alike_CC, -np.inf)
    share_C = np.full(classes, 1.0) if shares is None else np.array(shares, float)
    truth_N = random.choice(classes, items, p=share_C / share_C.sum())
    difficulty_N = random.normal(0, _SPREAD, items)
    appeal_NC = _APPEAL * random.gumbel(0, 1, (items, classes))
    near_N = (alike_CC[truth_N] + random.gumbel(0, 1, (items, classes))).argmax(1)
    label_N = np.where(random.random(items) < noise, near_N, truth_N)
    made = Draft(alike_CC, truth_N, difficulty_N, appeal_NC, label_N, np.zeros((items, 0), np.int64))
    made.answer_NK = np.stack([made.answers(ability, random) for ability in abilities], axis=1)
    return made


def plain(items: int, random: np.random.Generator) -> World:
    """8 classes, 5 teachers."""
    return draft(items, random).world()


def no_labels(items: int, random: np.random.Generator) -> World:
    """The plain one without labels."""
    made = draft(items, random)
    made.label_N = np.full(items, -1)
    return made.world()


def one_way_labels(items: int, random: np.random.Generator) -> World:
    """40 % of one class are labelled as another, 5 % of all others wrong."""
    made = draft(items, random, noise=0.05)
    made.label_N[(made.truth_N == 0) & (random.random(items) < 0.4)] = 1
    return made.world()


def fine_tunes(items: int, random: np.random.Generator) -> World:
    """The two best teachers share a base: three in four of the one's errors are the other's too."""
    made = draft(items, random, abilities=(0.3, 0.8, 1.6, 1.9))
    repeats_N = (made.answer_NK[:, 2] != made.truth_N) & (random.random(items) < 0.75)
    made.answer_NK[repeats_N, 3] = made.answer_NK[repeats_N, 2]
    return made.world()


def drift(items: int, random: np.random.Generator) -> World:
    """The best teacher becomes the worst one after 15 % of the items, in the order in which they are asked about."""
    made = draft(items, random)
    worse_N = made.answers(-0.3, random)
    late_N = np.array([sample_rank(id) >= 0.15 * 2.0**64 for id in item_ids(made.world())])
    made.answer_NK[late_N, -1] = worse_N[late_N]
    return made.world()


def open_set(items: int, random: np.random.Generator) -> World:
    """12 % of the items belong to no class of the list; labels and teachers name one all the same, often the same."""
    made = draft(items, random)
    outside_N = random.random(items) < 0.12
    for column in (made.label_N, *made.answer_NK.T):
        score_NC = 1.5 * made.appeal_NC + random.gumbel(0, 1, made.appeal_NC.shape)
        column[outside_N] = score_NC[outside_N].argmax(1)
    made.truth_N = np.where(outside_N, -1, made.truth_N)
    return made.world()


def imbalance(items: int, random: np.random.Generator) -> World:
    """5 classes at 50:20:8:2:1, 4 teachers that lean to the commonest one."""
    made = draft(items, random, abilities=(0.6, 1.0, 1.4, 1.9), classes=5, shares=(50, 20, 8, 2, 1))
    for column in made.answer_NK.T:
        column[(made.truth_N >= 3) & (random.random(items) < 0.3)] = 0
        column[(made.truth_N == 0) & (random.random(items) < 0.02)] = 4
    return made.world()


def rare(items: int, random: np.random.Generator) -> World:
    """2 classes at 50:1, 4 teachers that err about the common one a tenth as often as elsewhere."""
    made = draft(items, random, abilities=(0.6, 1.0, 1.4, 1.9), classes=2, shares=(50, 1), noise=0.02)
    for column in made.answer_NK.T:
        column[(made.truth_N == 0) & (random.random(items) < 0.9)] = 0
    return made.world()


def two_teachers(items: int, random: np.random.Generator) -> World:
    """8 classes, 2 teachers."""
    return draft(items, random, abilities=(1.0, 1.7)).world()


def nine_teachers(items: int, random: np.random.Generator) -> World:
    """10 classes, 9 teachers."""
    return draft(items, random, abilities=np.linspace(0.2, 2.0, 9).tolist(), classes=10).world()


def three_classes(items: int, random: np.random.Generator) -> World:
    """3 classes, 5 teachers."""
    return draft(items, random, classes=3).world()


def sixty_classes(items: int, random: np.random.Generator) -> World:
    """60 classes, 5 teachers."""
    return draft(items, random, classes=60).world()


def sixty_in_pairs(items: int, random: np.random.Generator) -> World:
    """60 classes of which every two are taken for one another."""
    return draft(items, random, classes=60, pairs=6.0).world()


def relatives_labels(items: int, random: np.random.Generator) -> World:
    """Labels were made by a relative of the best teacher: three in five of its errors are the label's too."""
    made = draft(items, random)
    best_N, own_N = made.answer_NK[:, -1], made.answers(2.0, random)
    made.label_N = np.where((best_N != made.truth_N) & (random.random(items) < 0.6), best_N, own_N)
    return made.world()


def blind_spot(items: int, random: np.random.Generator) -> World:
    """6 % of the items deceive every teacher 19 times in 20, and all towards the same class; labels are as elsewhere."""
    made = draft(items, random)
    spot_N = random.random(items) < 0.06
    seen_N = (_LIKENESS * made.alike_CC[made.truth_N] + made.appeal_NC).argmax(1)
    for column in made.answer_NK.T:
        deceived_N = spot_N & (random.random(items) < 0.95)
        column[deceived_N] = seen_N[deceived_N]
    return made.world()


def hard_labels(items: int, random: np.random.Generator) -> World:
    """20 % of the labels are wrong, those of difficult items, and by what the teachers see in them too."""
    made = draft(items, random, noise=0.0)
    chance_N = expit(_SLOPE * made.difficulty_N - 1.5)
    wrong_N = random.random(items) < np.minimum(0.2 * chance_N / chance_N.mean(), 0.95)
    made.label_N = np.where(wrong_N, made.wrong(random), made.truth_N)
    return made.world()


def useless_teachers(items: int, random: np.random.Generator) -> World:
    """Of four teachers one guesses and one says nearly always the same class."""
    made = draft(items, random, abilities=(0.0, 0.0, 1.2, 2.0))
    made.answer_NK[:, 0] = random.integers(0, made.classes, items)
    made.answer_NK[:, 1] = np.where(random.random(items) < 0.8, 3, random.integers(0, made.classes, items))
    return made.world()


WORLDS: dict[str, Maker] = {
    maker.__name__.replace("_", " "): maker
    for maker in (
        plain,
        no_labels,
        one_way_labels,
        fine_tunes,
        drift,
        open_set,
        imbalance,
        rare,
        two_teachers,
        nine_teachers,
        three_classes,
        sixty_classes,
        sixty_in_pairs,
        relatives_labels,
        blind_spot,
        hard_labels,
        useless_teachers,
    )
}
