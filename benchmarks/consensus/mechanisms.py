"""Worlds in which errors have a cause: tired raters, topics, domains, copies, scales, folders with a wrong name.

Each teacher has a skill and confusions of its own, drawn from Dirichlet distributions, and no item has a difficulty unless a world's cause
gives it one. They are made to be unlike the worlds of `worlds` and `item_response`, on which defaults were chosen: nothing is tuned here.

Shapes: N items, K teachers, C classes, G groups of items.
"""
# ruff: noqa: N803, N806
# Arrays end in their axes.

from collections.abc import Sequence

import numpy as np

from benchmarks.consensus.worlds import Classes, Floats, Maker, World, answered_once, drawn

SKILLS = (0.60, 0.68, 0.75, 0.82, 0.88)


def confusions(classes: int, random: np.random.Generator, *, even: float = 0.6) -> Floats:
    """What somebody names who errs about each class, [C, C]; the smaller `even`, the fewer classes it mistakes each one for."""
    wrong_CC = random.dirichlet(np.full(classes - 1, even), classes)
    full_CC = np.zeros((classes, classes))
    full_CC[~np.eye(classes, dtype=bool)] = wrong_CC.ravel()
    return full_CC


def answers(right_NK: Floats, truth_N: Classes, classes: int, random: np.random.Generator) -> Classes:
    """What teachers name who are right with these probabilities, and err each in its own way."""
    wrong_NK = np.stack([drawn(confusions(classes, random), truth_N, random) for _ in right_NK.T], axis=1)
    return np.where(random.random(right_NK.shape) < right_NK, truth_N[:, None], wrong_NK)


def noisy(truth_N: Classes, share: float | Floats, classes: int, random: np.random.Generator) -> Classes:
    """Labels of which such a share is wrong."""
    wrong_N = drawn(confusions(classes, random), truth_N, random)
    return np.where(random.random(len(truth_N)) < share, wrong_N, truth_N)


def even_skills(items: int, skills: Sequence[float] = SKILLS) -> Floats:
    """The same skill on every item, [N, K]."""
    return np.tile(np.array(skills), (items, 1))


def fatigue(items: int, random: np.random.Generator) -> World:
    """Sessions of 400 items, at whose end half of what a teacher or labeller says repeats what it said last."""
    truth_N = random.integers(0, 8, items)
    said = np.column_stack([answers(even_skills(items, (0.70, 0.76, 0.84, 0.90)), truth_N, 8, random), noisy(truth_N, 0.03, 8, random)])
    start_V = random.integers(0, 400, said.shape[1])
    for n in range(1, items):
        tired_V = random.random(said.shape[1]) < 0.5 * ((n + start_V) % 400) / 400
        said[n, tired_V] = said[n - 1, tired_V]
    return answered_once(8, truth_N, said[:, -1], said[:, :-1])


def topics(items: int, random: np.random.Generator) -> World:
    """12 topics, each with its own wrong class for every true one, to which weak teachers and some labels fall together."""
    truth_N, topic_N = random.integers(0, 6, items), random.integers(0, 12, items)
    lure_NK = np.repeat(((truth_N + 1 + random.integers(0, 5, (12, 6))[topic_N, truth_N]) % 6)[:, None], 5, axis=1)
    danger_G = random.beta(1, 3, 12)
    shared_N = random.random(items)
    fooled_NK = shared_N[:, None] < danger_G[topic_N, None] * np.array([1.5, 1.3, 1.0, 0.8, 0.6])
    own_NK = answers(even_skills(items, (0.80, 0.82, 0.86, 0.90, 0.93)), truth_N, 6, random)
    label_N = noisy(truth_N, 0.05, 6, random)
    mislabelled_N = random.random(items) < 0.3 * danger_G[topic_N]
    label_N[mislabelled_N] = lure_NK[mislabelled_N, 0]
    return answered_once(6, truth_N, label_N, np.where(fooled_NK, lure_NK, own_NK))


def hierarchy(items: int, random: np.random.Generator) -> World:
    """12 classes in 4 families: the family is nearly always seen, the member often not; labels err within the family."""
    truth_N = random.integers(0, 12, items)

    def named(family: float, member: float) -> Classes:
        other_N = (truth_N // 3 + random.integers(1, 4, items)) % 4 * 3 + random.integers(0, 3, items)
        sibling_N = truth_N // 3 * 3 + (truth_N + random.integers(1, 3, items)) % 3
        near_N = np.where(random.random(items) < member, truth_N, sibling_N)
        return np.where(random.random(items) < family, near_N, other_N)

    said = [named(family, member) for family, member in ((0.90, 0.62), (0.94, 0.70), (0.96, 0.80), (0.97, 0.88))]
    return answered_once(12, truth_N, named(0.99, 0.86), np.stack(said, axis=1))


def experts(items: int, random: np.random.Generator) -> World:
    """4 domains that nobody names; each of 5 teachers is an expert of one or two and little use elsewhere."""
    truth_N, domain_N = random.integers(0, 8, items), random.choice(4, items, p=(0.4, 0.3, 0.2, 0.1))
    skill_KG = np.array(
        [[0.95, 0.50, 0.55, 0.45], [0.55, 0.94, 0.50, 0.50], [0.60, 0.60, 0.95, 0.60], [0.80, 0.78, 0.55, 0.92], [0.72, 0.74, 0.70, 0.70]]
    )
    return answered_once(8, truth_N, noisy(truth_N, 0.12, 8, random), answers(skill_KG.T[domain_N], truth_N, 8, random))


def adversary(items: int, random: np.random.Generator) -> World:
    """Somebody renamed 45 % of one class; of all other labels 1 % are wrong."""
    truth_N = random.integers(0, 7, items)
    label_N = noisy(truth_N, 0.01, 7, random)
    label_N[(truth_N == 2) & (random.random(items) < 0.45)] = 5
    return answered_once(7, truth_N, label_N, answers(even_skills(items), truth_N, 7, random))


def copies(items: int, random: np.random.Generator) -> World:
    """Two of 6 teachers copy another one's answer half of the time, whatever it is, and misread one in twenty copies."""
    truth_N = random.integers(0, 8, items)
    said_NK = answers(even_skills(items, (0.62, 0.70, 0.78, 0.84, 0.70, 0.75)), truth_N, 8, random)
    for copier, source in ((4, 2), (5, 3)):
        copied_N = random.random(items) < 0.5
        read_N = np.where(random.random(items) < 0.95, said_NK[:, source], random.integers(0, 8, items))
        said_NK[copied_N, copier] = read_N[copied_N]
    return answered_once(8, truth_N, noisy(truth_N, 0.10, 8, random), said_NK)


def reticence(items: int, random: np.random.Generator) -> World:
    """Teachers decline to answer, about some classes up to every other time, and more often where they would be wrong."""
    truth_N = random.integers(0, 8, items)
    said_NK = answers(even_skills(items), truth_N, 8, random)
    declines_NK = random.uniform(0.0, 0.5, (8, 5))[truth_N] * np.where(said_NK == truth_N[:, None], 0.7, 1.6)
    label_N = noisy(truth_N, 0.10, 8, random)
    return answered_once(8, truth_N, label_N, np.where(random.random(said_NK.shape) < declines_NK, -1, said_NK))


def folders(items: int, random: np.random.Generator) -> World:
    """200 folders of pictures that are alike: 12 % of them bear a wrong name, and every folder is hard for some of the teachers."""
    folder_N, class_G = random.integers(0, 200, items), random.integers(0, 8, 200)
    truth_N = class_G[folder_N]
    name_G = noisy(class_G, 0.12, 8, random)
    skill_GK = 1 - random.beta(0.6, 0.6 * np.array(SKILLS) / (1 - np.array(SKILLS)), (200, 5))
    mistaken_GK = np.stack([drawn(confusions(8, random), class_G, random) for _ in SKILLS], axis=1)
    right_NK = random.random((items, 5)) < skill_GK[folder_N]
    return answered_once(8, truth_N, name_G[folder_N], np.where(right_NK, truth_N[:, None], mistaken_GK[folder_N]))


def two_that_decline(items: int, random: np.random.Generator) -> World:
    """2 teachers, each of which gives no answer to every fifth item."""
    truth_N = random.integers(0, 6, items)
    said_NK = answers(even_skills(items, (0.74, 0.86)), truth_N, 6, random)
    said_NK[random.random(said_NK.shape) < 0.2] = -1
    return answered_once(6, truth_N, noisy(truth_N, 0.12, 6, random), said_NK)


def scale(items: int, random: np.random.Generator) -> World:
    """6 grades of one quantity: everybody reads it with a bias and a spread of its own, and an item's lighting deceives all alike."""
    value_N = random.uniform(-0.5, 5.5, items)
    lighting_N = random.normal(0, 0.3, items)

    def graded(bias: float, spread: float) -> Classes:
        read_N = value_N + lighting_N + bias + spread * random.normal(0, 1, items)
        return np.clip(np.rint(read_N), 0, 5).astype(np.int64)

    truth_N = np.clip(np.rint(value_N), 0, 5).astype(np.int64)
    said = [graded(bias, spread) for bias, spread in ((0.3, 0.6), (-0.25, 0.45), (0.1, 0.35), (0.0, 0.2))]
    return answered_once(6, truth_N, graded(0.0, 0.25), np.stack(said, axis=1))


def two_meanings(items: int, random: np.random.Generator) -> World:
    """Every third item can be read in two ways; the truth is what most people see in it, teachers and label see either."""
    truth_N = random.integers(0, 8, items)
    second_N = drawn(confusions(8, random, even=1.0), truth_N, random)
    share_N = np.where(random.random(items) < 1 / 3, random.uniform(0.0, 0.5, items), 0.0)
    own_NK = answers(even_skills(items, (0.72, 0.80, 0.88, 0.94)), truth_N, 8, random)
    said_NK = np.where(random.random(own_NK.shape) < share_N[:, None], second_N[:, None], own_NK)
    label_N = np.where(random.random(items) < share_N, second_N, noisy(truth_N, 0.04, 8, random))
    return answered_once(8, truth_N, label_N, said_NK)


def unreadable(items: int, random: np.random.Generator) -> World:
    """10 % of the pictures show nothing that could be recognised: all guess, and by habits that they share; labels know the truth."""
    truth_N = random.integers(0, 8, items)
    habit_C = random.dirichlet(np.full(8, 0.8))
    blank_N = random.random(items) < 0.10
    said_NK = answers(even_skills(items, (0.66, 0.74, 0.82, 0.90)), truth_N, 8, random)
    said_NK[blank_N] = random.choice(8, (int(blank_N.sum()), 4), p=habit_C)
    return answered_once(8, truth_N, noisy(truth_N, 0.08, 8, random), said_NK)


def favourite(items: int, random: np.random.Generator) -> World:
    """Whoever is unsure names class 0, all teachers alike; the labels' errors do not."""
    truth_N = random.integers(0, 8, items)
    said_NK = answers(even_skills(items), truth_N, 8, random)
    gives_up_NK = (said_NK != truth_N[:, None]) & (random.random(said_NK.shape) < 0.6)
    return answered_once(8, truth_N, noisy(truth_N, 0.10, 8, random), np.where(gives_up_NK, 0, said_NK))


def long_tail(items: int, random: np.random.Generator) -> World:
    """100 classes by Zipf's law; teachers know the frequent ones, and call rare ones by a frequent one's name."""
    share_C = 1 / np.arange(1, 101)
    share_C /= share_C.sum()
    truth_N = random.choice(100, items, p=share_C)
    known_C = 1 - 0.5 * np.arange(100) / 100
    right_NK = known_C[truth_N, None] * np.array([0.75, 0.82, 0.90, 0.95])
    common_NK = random.choice(100, right_NK.shape, p=share_C)
    said_NK = np.where(random.random(right_NK.shape) < right_NK, truth_N[:, None], common_NK)
    label_N = np.where(random.random(items) < 0.08, random.choice(100, items, p=share_C), truth_N)
    return answered_once(100, truth_N, label_N, said_NK)


def half_labelled(items: int, random: np.random.Generator) -> World:
    """Only what was easy to label has a label: 80 % of some classes, 20 % of others."""
    truth_N = random.integers(0, 8, items)
    label_N = noisy(truth_N, 0.06, 8, random)
    label_N[random.random(items) >= np.linspace(0.2, 0.8, 8)[truth_N]] = -1
    right_NK = even_skills(items) - 0.12 * (label_N < 0)[:, None]
    return answered_once(8, truth_N, label_N, answers(right_NK, truth_N, 8, random))


WORLDS: dict[str, Maker] = {
    maker.__name__.replace("_", " "): maker
    for maker in (
        fatigue,
        topics,
        hierarchy,
        experts,
        adversary,
        copies,
        reticence,
        folders,
        two_that_decline,
        scale,
        two_meanings,
        unreadable,
        favourite,
        long_tail,
        half_labelled,
    )
}
