"""How many traces a second one core judges by all text gates together, beside the least that reading a text takes at all."""

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from statistics import median

import yaml

from benchmarks.curation.reasonings import ENGLISH, make_text, sound_templates
from benchmarks.forge.table import print_table
from cotforge.filters import Bound, Filter, resolve_filters, take_measures
from cotforge.parallel import CHUNK
from cotforge.records import Sample, Trace, Verdict

WANTED = 20_000
"""Traces a second on one core, of all text gates together."""
WORDS = 200
ROUNDS = 5
PIPELINE = Path(__file__).parents[2] / "pipelines" / "emoset.yaml"
GATES = (
    {"measure": "leaked_label", "max": 0},
    {"measure": "residue", "max": 0},
    {"measure": "loops", "max": 0.1},
    {"measure": "cut_thought", "max": 0},
    {"measure": "contradicts_answer", "max": 0},
    {"measure": "code_switching", "max": 0},
)
SHIPPED_MEASURES = ("well_formed", "reasoning_words", "repeated_ngrams", "mentions_prompt", "mentions_label_first")
"""What the filters of the shipped pipeline measured before these gates were there."""
_WORD = re.compile(r"\w+")

Asked = tuple[Sample, Trace, Verdict]


def make_asked(count: int, seed: int) -> list[Asked]:
    """Sound English traces of about 200 words, no two alike and no sentence twice, each with the verdict that a vote would give."""
    random = Random(f"throughput {seed}")
    made = []
    for index in range(count):
        domain = ENGLISH[index % len(ENGLISH)]
        text = make_text(random, domain, "held out")
        before = [text.fill(template) for stage, template in sound_templates(domain) if stage != "conclude"]
        random.shuffle(before)
        while len(before) > 3 and sum(len(sentence.split()) for sentence in before) > WORDS:
            before.pop()
        # A number of its own, so that no text is met twice.
        sample, trace = text.with_sentences([*before, f"This is look {index}.", text.sentences[-1]]).asked()
        made.append((sample, trace, Verdict(trace.answer, 1.0, True)))
    return made


def find_bounds(wanted: Sequence[dict[str, object]]) -> list[Bound]:
    return resolve_filters([Filter.model_validate(one) for one in wanted], PIPELINE.parent)


def judge_all(bounds: Sequence[Bound], asked: Sequence[Asked]) -> None:
    """As curating does: every measure is taken, then every bound looked at."""
    for begin in range(0, len(asked), CHUNK):
        for values in take_measures(bounds, asked[begin : begin + CHUNK]):
            for bound in bounds:
                if not bound.holds(values[bound.name]):
                    break


def read_all(asked: Sequence[Asked]) -> None:
    """The floor: each text in lower case, and one pass of a regular expression."""
    for _, trace, _ in asked:
        _WORD.findall(trace.reasoning.lower())


def seconds_each(work: Callable[[Sequence[Asked]], None], asked: Sequence[Asked]) -> float:
    """Median of some rounds, each over all traces, in seconds of CPU a trace."""
    rounds = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        work(asked)
        rounds.append((time.process_time() - begun) / len(asked))
    return median(rounds)


def print_throughput(count: int, seed: int) -> None:
    """Prints markdown: each gate alone, and all together."""
    asked = make_asked(count, seed)
    shipped = [one for one in yaml.safe_load(PIPELINE.read_text(encoding="utf-8"))["filters"] if one["measure"] in SHIPPED_MEASURES]
    new = list(GATES)
    works: list[tuple[str, Callable[[Sequence[Asked]], None]]] = [
        ("str.lower() and one regular expression", read_all),
        *((one["measure"], _judging([one])) for one in (*shipped, *new)),
        ("filters of emoset before", _judging(shipped)),
        ("these gates", _judging(new)),
        (f"all together (wanted: {WANTED:,} a second)", _judging([*shipped, *new])),
    ]
    words = sum(len(trace.reasoning.split()) for _, trace, _ in asked) / len(asked)
    rows = []
    for name, work in works:
        each = seconds_each(work, asked)
        rows.append([name, f"{each * 1e6:.1f}", f"{1 / each:,.0f}"])
    print_table([f"{len(asked):,} traces of {words:.0f} words", "us a trace", "traces/s, one core"], rows)
    print()


def _judging(wanted: Sequence[dict[str, object]]) -> Callable[[Sequence[Asked]], None]:
    bounds = find_bounds(wanted)
    return lambda asked: judge_all(bounds, asked)
