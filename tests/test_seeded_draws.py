"""Tokens drawn by a seed for each row: as often as their probability says, and whatever the other rows are."""

import torch

from cotforge.teachers.local.seeded_draws import SeededDraws

LOGITS = torch.tensor([2.0, 1.0, 0.0, -1.0, -torch.inf])
NONE = torch.empty(0)


def drawn(seeds: list[int], temperature: float, tokens: int = 1) -> list[list[int]]:
    """Of each row, its tokens."""
    draws = SeededDraws(seeds, temperature=temperature)
    found = [draws(NONE, LOGITS.expand(len(seeds), -1).clone()).argmax(-1) for _ in range(tokens)]
    return torch.stack(found, 1).tolist()  # type: ignore[no-any-return]


def test_tokens_come_as_often_as_the_softmax_of_the_logits_over_the_temperature_says() -> None:
    for temperature in (0.5, 1.0, 3.0):
        counts = torch.bincount(torch.tensor(drawn(list(range(4000)), temperature)).flatten(), minlength=5)
        expected = torch.softmax(LOGITS / temperature, 0)
        assert (counts / 4000 - expected).abs().max() < 0.03
        assert counts[4] == 0


def test_a_row_draws_the_same_whatever_rows_are_beside_it_and_other_tokens_at_each_step() -> None:
    together, apart = drawn([5, 6, 5, 7], 2.0, 20), drawn([7, 5], 2.0, 20)
    assert together[0] == together[2] == apart[1]
    assert together[3] == apart[0]
    assert together[0] != together[1]
    assert len({*together[0]}) > 1
