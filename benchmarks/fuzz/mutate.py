"""Mutations of text: cut, doubled, spliced, and sown with what has hurt readers before."""

import random
from collections.abc import Sequence

ODD = (0, 9, 10, 27, 0x85, 0xA0, 0x202E, 0xFEFF, 0x1F600)
"""Characters that readers take for something else."""
GROWN = 2**16
"""Characters that a mutated text has at most."""


def mutated(text: str, rng: random.Random, *, seeds: Sequence[str], others: Sequence[str]) -> str:
    """`text` after one to six changes. `seeds` are put in at random places, parts of `others` are spliced in."""
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        start = rng.randrange(len(text) + 1)
        end = min(len(text), start + rng.choice((1, 3, 10, 40, 200)))
        match rng.randrange(7):
            case 0:
                text = text[:start] + text[end:]
            case 1:
                text = text[:end] + text[start:end] * rng.choice((1, 2, 50, 1000)) + text[end:]
            case 2 | 3:
                text = text[:start] + rng.choice(seeds) * rng.choice((1, 1, 1, 30)) + text[start:]
            case 4:
                text = text[:start] + rng.choice(seeds) + text[end:]
            case 5:
                text = text[:start] + chr(rng.choice((*ODD, rng.randrange(0x3000)))) + text[end:]
            case _:
                other = rng.choice(others)
                at = rng.randrange(len(other) + 1)
                text = text[:start] + other[at : at + 200] + text[end:]
        text = text[:GROWN]
    return text
