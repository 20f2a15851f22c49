"""Repeated reasonings: texts with changed words among sound ones of the same label, and what a million rows take."""

import resource
import time
from collections.abc import Iterator, Sequence
from random import Random

from benchmarks.curation.frame import HALVES, Case, Half, Verdict, half_of
from benchmarks.curation.reasonings import DOMAINS, make_text, sound_templates
from cotforge.dedup.minhash import EarlierTexts

LEAST = 0.6
"""`dedup.reasoning` of the table: the value that the docs name."""
CHANGED = {"2 % of words": 0.02, "5 % of words": 0.05, "two sentences swapped": 0.0, "a sentence left out": 0.0}
"""What is done to a text, and the share of its words that are others then."""
WORDS = 60
"""Least words of a text: a shorter one has no room for changed words."""

Judged = tuple[str, list[Verdict], bool]


def judge_repeats(size: int, seed: int) -> Judged:
    """Reasonings under one label, each with copies whose words were changed."""
    random = Random(f"repeats {seed}")
    return "repeated reasonings", [verdict for half in HALVES for verdict in _judge_half(half, size, random)], True


def _judge_half(half: Half, size: int, random: Random) -> Iterator[Verdict]:
    """All of a half under one label, in one stream: originals, then copies. A copy that is not stopped becomes an earlier text too."""
    earlier = EarlierTexts(LEAST)
    originals = [(template, text) for template, text in _texts(half, size, random) if len(text.split()) >= WORDS]
    for number, (template, text) in enumerate(originals):
        yield _judge(earlier, number, Case(template, "", text))
    for number, (template, text) in enumerate(originals):
        for kind in CHANGED:
            yield _judge(earlier, -number, Case(template, kind, _changed(text, kind, random)))


def _judge(earlier: EarlierTexts, number: int, case: Case) -> Verdict:
    found, signature = earlier.find(f"{case.kind} {number}", "one label", case.item)
    if found is None and signature is not None and not case.kind:
        earlier.keep(str(number), f"{case.kind} {number}", "one label", signature)
    return Verdict(case, case.kind or "repeated" if found is not None else "")


def _texts(half: Half, size: int, random: Random) -> Iterator[tuple[str, str]]:
    """Texts of sentences about four subjects in some order: two of them share sentences, as those of one teacher do."""
    for domain in DOMAINS:
        for stage, template in sound_templates(domain):
            name = f"{domain}: {template}"
            if half_of(name) == half:
                for _ in range(max(1, size // 4)):
                    parts = [make_text(random, domain, half, around=(stage, template))]
                    parts += [make_text(random, other, half) for other in random.sample(list(DOMAINS), 3)]
                    random.shuffle(parts)
                    yield name, " ".join(sentence for part in parts for sentence in part.sentences)


def _changed(text: str, kind: str, random: Random) -> str:
    sentences = text.split(". ")
    if kind == "two sentences swapped" and len(sentences) > 2:
        place = random.randrange(len(sentences) - 1)
        sentences[place], sentences[place + 1] = sentences[place + 1], sentences[place]
    elif kind == "a sentence left out" and len(sentences) > 6:
        del sentences[random.randrange(len(sentences))]
    words = ". ".join(sentences).split()
    for place in random.sample(range(len(words)), round(CHANGED[kind] * len(words))):
        words[place] = random.choice(("rather", "perhaps", "clearly", "quite", "seemingly", "here"))
    return " ".join(words)


def print_rows(rows: int, seed: int) -> None:
    """Seconds and memory of so many reasonings of about 150 words, a tenth of them repeated."""
    random = Random(seed)
    vocabulary = [f"word{number}" for number in range(8_000)]
    earlier, found, kept = EarlierTexts(LEAST), 0, list[Sequence[str]]()
    begun, spent = time.monotonic(), time.process_time()
    for number in range(rows):
        words = random.choices(vocabulary, k=150) if number % 10 or not kept else [*random.choice(kept)]
        repeated, signature = earlier.find(str(number), str(number % 8), " ".join(words))
        found += repeated is not None
        if repeated is None and signature is not None:
            earlier.keep(str(number), str(number), str(number % 8), signature)
            if number % 8 == 0 and len(kept) < 1_000:
                kept.append(words)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds, cpu = time.monotonic() - begun, time.process_time() - spent
    print(f"{rows:,} reasonings: {seconds:,.0f} s ({cpu:,.0f} s of CPU), {most:,.0f} MiB at most, {found:,} repeated")
