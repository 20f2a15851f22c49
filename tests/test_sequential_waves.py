"""Which samples are asked when: a warm-up, then waves that grow, each of which needs waves long over."""

import pytest

from cotforge.consensus.sequential import Waves
from cotforge.consensus.sequential.waves import LEAST, WARM, warm_up

TOTALS = (0, 1, 50, 200, 5_000, 1_000_000)


@pytest.mark.parametrize("total", TOTALS)
def test_a_wave_needs_an_earlier_one_and_never_less_than_the_one_before(total: int) -> None:
    waves = Waves(total)
    needs = [waves.needs(wave) for wave in range(waves.count)]
    assert needs[0] == -1
    assert all(0 <= need < wave for wave, need in enumerate(needs) if wave)
    assert needs == sorted(needs)


@pytest.mark.parametrize(
    ("total", "ends"),
    [
        (1, [1]),
        (50, [50]),
        (100, [100]),
        (105, [100, 105]),
        (200, [100, 140, 200]),
        (5_000, [100, 1_100, 1_500, 2_500, 5_000]),
        (1_000_000, [400, 1_400, 1_500, 2_500, 5_000, 6_000, 15_000, 16_800, 45_000, 50_400, 1_000_000]),
    ],
)
def test_waves_end_where_they_are_asked_to(total: int, ends: list[int]) -> None:
    waves = Waves(total, seed=7)
    of = [waves.wave(f"sample {place}") for place in range(min(total, 100_000))]
    share = len(of) / total
    for wave, end in enumerate(ends):
        expected = end * share
        assert abs(sum(one <= wave for one in of) - expected) <= 4.5 * (expected * (1 - end / total)) ** 0.5
    assert max(of) == len(ends) - 1


def test_a_filler_shares_what_the_wave_before_it_needs() -> None:
    waves = Waves(1_000_000)
    assert [waves.needs(wave) for wave in range(waves.count)] == [-1, 0, 0, 0, 2, 2, 4, 4, 6, 6, 8]


@pytest.mark.parametrize("total", TOTALS)
def test_only_the_first_wave_behind_the_warm_up_goes_by_a_policy_made_in_haste(total: int) -> None:
    waves = Waves(total)
    assert [waves.hasty(wave) for wave in range(waves.count)] == [wave == 1 for wave in range(waves.count)]


@pytest.mark.parametrize(("total", "size"), [(0, 0), (1, 1), (50, 50), (200, LEAST), (10_000, 200), (20_000, WARM), (1_000_000, WARM)])
def test_the_warm_up_is_a_small_share_between_two_bounds(total: int, size: int) -> None:
    assert warm_up(total) == size


@pytest.mark.parametrize("total", TOTALS)
def test_gold_is_the_warm_up_and_everybody_is_asked_about_it(total: int) -> None:
    gold = {f"sample {place}" for place in range(min(total, 500))}
    waves = Waves(total, gold)
    assert {waves.wave(id) for id in gold} <= {0}
    assert all(waves.everybody(id) for id in gold)
    if total == 1_000_000:
        assert not any(waves.wave(f"other {place}") == 0 for place in range(10_000))


def test_gold_takes_the_place_of_others_in_the_warm_up() -> None:
    waves = Waves(5_000, {f"sample {place}" for place in range(60)}, seed=3)
    warm = sum(waves.wave(f"sample {place}") == 0 for place in range(5_000))
    assert abs(warm - 100) < 30


def test_everybody_is_asked_in_the_warm_up_and_about_one_in_a_hundred_of_the_rest() -> None:
    waves = Waves(50_000)
    rest = [waves.everybody(id) for id in map(str, range(50_000)) if waves.wave(id)]
    assert abs(sum(rest) / len(rest) - 0.01) < 4.5 * (0.01 * 0.99 / len(rest)) ** 0.5
    assert all(waves.everybody(id) for id in map(str, range(5_000)) if waves.wave(id) == 0)


@pytest.mark.parametrize(("total", "audits"), [(200, False), (1_200, False), (3_500, False), (3_501, True), (20_000, True)])
def test_a_run_that_learns_its_policy_only_once_audits_nothing(total: int, audits: bool) -> None:
    waves = Waves(total, {"checked"})
    assert (len({waves.needs(wave) for wave in range(1, waves.count)}) > 1) == audits
    ids = [f"sample {place}" for place in range(3_000)]
    assert any(waves.everybody(id) for id in ids if waves.wave(id)) == audits
    assert waves.whole == warm_up(total) + audits * round(0.01 * (total - warm_up(total)))


@pytest.mark.parametrize("total", TOTALS)
def test_a_sample_has_the_same_wave_at_every_run_and_another_with_another_seed(total: int) -> None:
    one, again, other = Waves(total), Waves(total), Waves(total, seed=1)
    ids = [f"sample {place}" for place in range(300)]
    assert [one.wave(id) for id in ids] == [again.wave(id) for id in ids]
    assert all(0 <= one.wave(id) < one.count for id in ids)
    if total > 1000:
        assert [one.wave(id) for id in ids] != [other.wave(id) for id in ids]
