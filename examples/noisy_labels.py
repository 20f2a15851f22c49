"""Votes over a table of answers: which labels are wrong, how sure is that, and what does it cost? No run folder is needed.

The answers are made up here: three annotators or models of known skill, and labels of which one in five is wrong.
    python examples/noisy_labels.py
"""

# %% 300 things of three kinds, what three teachers say of them, and noisy labels
import random

import polars as pl

import cotforge

CLASSES = ["cat", "dog", "fox"]
SKILL = {"large": 0.92, "medium": 0.85, "small": 0.75}
PRICES = {"large": 5.0, "medium": 2.0, "small": 1.0}
chance = random.Random(7)


def said(truth: str, skill: float) -> str:
    """The truth, with the probability `skill`; else one of the other classes."""
    return truth if chance.random() < skill else chance.choice([name for name in CLASSES if name != truth])


truth = {f"thing-{number}": chance.choice(CLASSES) for number in range(300)}
labels = {id: said(kind, 0.8) for id, kind in truth.items()}
answers = pl.DataFrame(
    [{"id": id, "teacher": teacher, "answer": said(kind, skill)} for id, kind in truth.items() for teacher, skill in SKILL.items()]
)

# %% One rule: teachers are asked in turn, as long as it is worth the price; 60 answers were checked by a person
gold = {id: truth[id] for id in list(truth)[:60]}
decided = cotforge.decide(answers, classes=CLASSES, labels=labels, prices=PRICES, gold=gold, rule="sequential", target=0.95)
accepted = decided.frame.filter("accepted")
right = sum(truth[id] == answer for id, answer in accepted.select("id", "answer").iter_rows())
print(f"accepted {accepted.height} of {len(truth)}, of which {right / accepted.height:.0%} are right; cost {decided.cost:,.0f}")
print(decided.teachers.select("teacher", "accuracy"))

# %% Labels that the teachers contradict
print(decided.frame.filter("against_label").select("id", "answer", "confidence").sort("confidence", descending=True).head(5))

# %% Every rule and target over the same answers
table = cotforge.what_if(answers, classes=CLASSES, labels=labels, prices=PRICES, gold=gold)
print(table.select("rule", "target", "accepted", "cost").head(8))
