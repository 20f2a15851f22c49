"""What people's answers correct in a posterior, and how often they cannot tell."""

import numpy as np
import pytest

from cotforge.consensus.sequential.calibration import Calibration, with_none


def leading(shares: list[float]) -> np.ndarray:
    """Posteriors over three classes, the first leading."""
    best = np.array(shares)
    return np.column_stack([best, (1 - best) / 2, (1 - best) / 2])


def test_where_people_can_always_tell_one_of_the_classes_is_right() -> None:
    calibration = Calibration(np.array([1.0, 0.0]))
    assert calibration.some(leading([0.4, 0.9, 1.0])).tolist() == [1, 1, 1]
    assert calibration.some_at_all == 1


def test_where_people_cannot_tell_it_is_where_teachers_are_unsure() -> None:
    unsure, sure = leading([0.5] * 100), leading([0.99] * 100)
    told = np.array([True] * 60 + [False] * 40 + [True] * 99 + [False])
    found = with_none(Calibration(np.array([1.0, 0.0])), np.concatenate([unsure, sure]), told, np.ones(200))
    at_unsure, at_sure = found.some(leading([0.5, 0.99]))
    assert at_unsure == pytest.approx(0.6, abs=0.08)
    assert at_sure == pytest.approx(0.99, abs=0.03)
    assert found.some_at_all == pytest.approx(1 - 41 / 200, abs=0.01)
    assert found.weights_F is not None


def test_one_sample_that_nobody_can_tell_says_how_often_and_not_where() -> None:
    told = np.array([True] * 99 + [False])
    found = with_none(Calibration(np.array([1.0, 0.0])), leading([0.5, 0.9] * 50), told, np.ones(100))
    assert np.abs(found.some(leading([0.5, 0.9, 0.999])) - 0.985).max() < 0.015
