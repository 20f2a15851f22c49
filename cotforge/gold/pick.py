"""Which samples a person is asked about: chosen by chance, and the same ones at every run."""

from bisect import insort
from collections.abc import Iterable

from cotforge.order import sample_rank
from cotforge.records import Fault, Sample

LEAST, MOST = 100, 300
"""Samples that are picked: enough for a bound, and no more than an afternoon."""
APART, WARM = 14, 0
"""Seeds of the order by which they are picked. `APART`: another than that of a trial, whose samples somebody has looked at while making
prompts. `WARM`: that of `rule: sequential`, so that they are of its warm-up, in which everybody is asked, and are asked about no more."""


def pick_samples(samples: Iterable[Sample | Fault], count: int | None = None, *, seed: int = APART) -> tuple[list[Sample], int]:
    """(those of least rank, in that order; how many Samples there are), holding at most `MOST` of them.

    `count` left out is a tenth of the Samples, between `LEAST` and `MOST`. One picture is asked about once, whatever the ids.
    """
    most = count or MOST
    held: list[tuple[int, str, Sample]] = []
    by_picture: dict[str, tuple[int, str, Sample]] = {}
    met = 0
    for sample in samples:
        if isinstance(sample, Fault):
            continue
        met += 1
        entry, picture = (sample_rank(sample.id, seed), sample.id, sample), picture_of(sample)
        twin = by_picture.get(picture)
        beaten = twin or (held[-1] if len(held) == most else None)
        if beaten is not None and entry[:2] >= beaten[:2]:
            continue
        if beaten is not None:
            held.remove(beaten)
            del by_picture[picture_of(beaten[2])]
        insort(held, entry, key=lambda one: one[:2])
        by_picture[picture] = entry
    chosen = count or min(MOST, max(LEAST, met // 10))
    return [sample for _, _, sample in held[:chosen]], met


def picture_of(sample: Sample) -> str:
    """The picture that a Sample is about; of one without, something of its own."""
    return sample.pictures[0].digest if sample.pictures else f"\0{sample.id}"
