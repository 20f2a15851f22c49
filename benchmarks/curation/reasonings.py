"""Reasonings put together from templates: sound ones of several styles and languages, into which a fault is planted or not."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

from benchmarks.curation.frame import Half, half_of
from cotforge.records import Sample, Trace

FOLDER = Path(__file__).parent / "templates"
STAGES = {"observe": (4, 6), "weigh": (3, 4), "check": (1, 2)}
"""How many sentences of each stage a reasoning takes, from and to; and one conclusion."""


class Domain(NamedTuple):
    """What is asked, and in which language."""

    question: str
    answers: tuple[str, ...]
    task: str = "answer"
    """The word for what is asked, in a planted sentence."""
    closed: bool = True
    language: str = "en"


DOMAINS = {
    "emotion": Domain(
        "Which emotion does this image evoke most?",
        ("amusement", "awe", "contentment", "excitement", "anger", "disgust", "fear", "sadness"),
        "emotion",
    ),
    "animal": Domain("Which animal is in this image?", ("dog", "cat", "fox", "wolf", "goat", "horse"), "animal"),
    "count": Domain("How many jars stand on the shelf?", tuple(map(str, range(11, 24))), "number", closed=False),
    "math": Domain("What is the value of x?", ("24", "48", "30", "35", "72", "96", "54", "66"), "value", closed=False),
    "sign": Domain("Which word is on the sign?", ("BAKERY", "LIBRARY", "HARBOUR", "STATION", "PHARMACY"), "word", closed=False),
    "german": Domain("Welches Gefühl löst dieses Bild am ehesten aus?", ("Ehrfurcht", "Furcht", "Freude", "Zorn"), language="de"),
    "french": Domain("Quelle émotion cette image évoque-t-elle le plus ?", ("émerveillement", "peur", "joie", "colère"), language="fr"),
    "spanish": Domain("¿Qué emoción evoca más esta imagen?", ("asombro", "miedo", "alegría", "enojo"), language="es"),
    "chinese": Domain("这张图片最能唤起哪种情绪?", ("敬畏", "恐惧", "喜悦", "愤怒"), language="zh"),
    "russian": Domain("Какую эмоцию вызывает это изображение?", ("восхищение", "страх", "радость", "гнев"), language="ru"),
}
ENGLISH = tuple(name for name, domain in DOMAINS.items() if domain.language == "en")


class Text(NamedTuple):
    """A reasoning in its sentences, with what is asked."""

    domain: str
    sentences: tuple[str, ...]
    sources: tuple[str, ...]
    """The template of each sentence."""
    names: dict[str, str]
    """answer, other, third, task."""

    def with_sentences(self, sentences: Sequence[str]) -> "Text":
        return self._replace(sentences=tuple(sentences))

    @property
    def reasoning(self) -> str:
        return re.sub(r" *\n *", "\n", ("" if self.domain == "chinese" else " ").join(self.sentences))

    def fill(self, template: str) -> str:
        """A sentence with this text's names, its first letter large."""
        filled = template.format(**self.names).replace("||", "\n")
        return filled[:1].upper() + filled[1:]

    def asked(self) -> tuple[Sample, Trace]:
        domain = DOMAINS[self.domain]
        sample = Sample("s", (), domain.question, domain.answers if domain.closed else (), self.names["answer"])
        return sample, Trace("k", "a", "m", 0, self.reasoning, self.names["answer"], well_formed=True)


@cache
def read_templates(file: str) -> dict[str, list[str]]:
    """The templates of a file by the heading they stand under; lines that begin with `# ` before the first heading are comments."""
    found: dict[str, list[str]] = {}
    here: list[str] | None = None
    for line in (FOLDER / f"{file}.txt").read_text(encoding="utf-8").splitlines():
        if (heading := re.fullmatch(r"\[([a-z_]+(?: [a-z]+)?)\]", line)) and heading[1] not in found:
            here = found.setdefault(heading[1], [])
        elif line and here is not None:
            here.append(line)
    return found


def sound_templates(domain: str) -> Iterator[tuple[str, str]]:
    """(stage, template) of all sentences of a domain."""
    for stage in (*STAGES, "conclude"):
        yield from ((stage, template) for template in read_templates("clean")[f"{domain} {stage}"])


def make_text(random: Random, domain: str, half: Half, *, around: tuple[str, str] | None = None) -> Text:
    """A sound reasoning of some 150 to 200 words, of templates of one half; `around`: (stage, template) that it has to hold."""
    asked = DOMAINS[domain]
    answer, other, third = random.sample(asked.answers, 3)
    text = Text(domain, (), (), {"answer": answer, "other": other, "third": third, "task": asked.task})
    sources: list[str] = []
    for stage, (fewest, most) in {**STAGES, "conclude": (1, 1)}.items():
        pool = read_templates("clean")[f"{domain} {stage}"]
        mine = [template for template in pool if half_of(template) == half] or pool
        chosen = random.sample(mine, min(len(mine), random.randint(fewest, most)))
        if around is not None and around[0] == stage and around[1] not in chosen:
            chosen[random.randrange(len(chosen))] = around[1]
        sources += chosen
    return text._replace(sentences=tuple(map(text.fill, sources)), sources=tuple(sources))


def inserted(random: Random, text: Text, sentence: str, *, at: int | None = None, own_line: bool = False) -> Text:
    """With one sentence more, behind the first and before the last where `at` does not say where."""
    place = random.randint(1, len(text.sentences) - 1) if at is None else at
    added = f"\n{sentence}\n" if own_line else sentence
    return text.with_sentences([*text.sentences[:place], added, *text.sentences[place:]])
