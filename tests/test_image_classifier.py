"""The classifier of pictures: principal components, logistic regression with soft targets, and what it says of Samples it has not seen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cotforge.consensus.image import classifier
from cotforge.consensus.image.classifier import fit_classifier, predict_classes
from cotforge.consensus.image.gathered import gather_pictures
from cotforge.consensus.image.projection import Moments
from cotforge.consensus.image.voter import FOLDS, Pictures, picture_votes
from cotforge.consensus.sequential.answer_table import NONE
from cotforge.order import sample_rank


def blobs(items: int, classes: int, *, apart: float = 3.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(points around one middle for each class, their classes)."""
    random = np.random.default_rng(seed)
    true_N = random.integers(0, classes, items)
    return (np.eye(classes)[true_N] * apart + random.normal(size=(items, classes))).astype(np.float32), true_N


def pictures_of(vectors_ND: np.ndarray, *, without: int = 0) -> Pictures:
    """Pictures of Samples 0, 1, ..., the last of which have no features."""
    ids = [str(place) for place in range(len(vectors_ND))]
    places = list(range(len(ids) - without))
    return gather_pictures(ids, lambda: iter([(places, vectors_ND[places])]), fold=sample_rank)


def softmax_loss(weights_QC: np.ndarray, inputs_NQ: np.ndarray, targets_NC: np.ndarray, ridge: float) -> float:
    scores_NC = inputs_NQ @ weights_QC
    logs_NC = (
        scores_NC - np.log(np.exp(scores_NC - scores_NC.max(1, keepdims=True)).sum(1, keepdims=True)) - scores_NC.max(1, keepdims=True)
    )
    return float(-(targets_NC * logs_NC).sum() + ridge / 2 * (weights_QC[:-1] ** 2).sum())


def test_the_fit_is_the_minimum_of_the_penalised_loss() -> None:
    """As scipy's optimizer, which shares nothing with it, finds it."""
    minimize = pytest.importorskip("scipy.optimize", reason="benchmarks need the extra 'dev'").minimize
    features_NP, true_N = blobs(200, 3)
    targets_NC = 0.8 * np.eye(3)[true_N] + 0.2 / 3
    inputs_NQ = np.column_stack([features_NP, np.ones(200)])
    wanted = minimize(lambda flat: softmax_loss(flat.reshape(4, 3), inputs_NQ, targets_NC, 0.1), np.zeros(12), method="BFGS")
    found = fit_classifier(features_NP, targets_NC, np.ones(200), ridge=0.1)
    assert softmax_loss(found, inputs_NQ, targets_NC, 0.1) < wanted.fun + 0.01
    assert classifier.ROUNDS >= 50


def test_a_weight_of_two_is_the_same_as_being_there_twice() -> None:
    features_NP, true_N = blobs(60, 2)
    targets_NC, weight_N = np.eye(2)[true_N], np.where(np.arange(60) < 20, 2.0, 1.0)
    twice = np.concatenate([np.arange(60), np.arange(20)])
    one = fit_classifier(features_NP, targets_NC, weight_N, ridge=0.1)
    other = fit_classifier(features_NP[twice], targets_NC[twice], np.ones(80), ridge=0.1)
    assert np.allclose(predict_classes(features_NP, one), predict_classes(features_NP, other), atol=2e-3)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 40), st.integers(1, 5), st.integers(0, 9))
def test_components_keep_the_distances_of_points_whatever_the_batches(count: int, length: int, seed: int) -> None:
    vectors_ND = np.random.default_rng(seed).normal(3, 2, (count, length)).astype(np.float32)
    whole, parts = Moments(length), Moments(length)
    whole.add(vectors_ND)
    for at in range(0, count, 7):
        parts.add(vectors_ND[at : at + 7])
    one_NP, other_NP = whole.projection()(vectors_ND), parts.projection()(vectors_ND)
    assert np.isclose((one_NP**2).sum(1).mean(), 1.0, atol=1e-3)
    scale = np.sqrt(((vectors_ND - vectors_ND.mean(0)) ** 2).sum(1).mean())
    between_NN = np.linalg.norm(vectors_ND[:, None] - vectors_ND, axis=2) / scale
    for found_NP in (one_NP, other_NP):
        assert np.allclose(np.linalg.norm(found_NP[:, None] - found_NP, axis=2), between_NN, atol=1e-3)


@pytest.mark.parametrize("vectors", [np.zeros((0, 3)), np.ones((1, 3)), np.ones((5, 3))])
def test_of_nothing_and_of_equal_vectors_there_is_no_component(vectors: np.ndarray) -> None:
    moments = Moments(3)
    moments.add(vectors)
    assert moments.projection()(vectors).shape == (len(vectors), 0)


def test_what_a_picture_says_is_right_and_surest_where_its_bin_is_the_last() -> None:
    vectors_ND, true_N = blobs(1500, 4, apart=2.2)
    code_N = picture_votes(pictures_of(vectors_ND), np.eye(4)[true_N], np.ones(1500, bool), np.ones(1500, bool))
    bin_N, right_N = code_N // 4, code_N % 4 == true_N
    assert set(bin_N) == {1, 2, 3}
    assert [round(float((bin_N == bin).mean()), 2) for bin in (1, 2, 3)] == [0.25, 0.25, 0.5]
    shares = [right_N[bin_N == bin].mean() for bin in (1, 2, 3)]
    assert shares[0] < shares[1] < shares[2]
    assert right_N.mean() > 0.75


def test_a_picture_does_not_repeat_its_own_wrong_label() -> None:
    """Features that tell nothing: whoever saw the label in training would say it again more often than by chance."""
    random = np.random.default_rng(0)
    label_N = random.integers(0, 5, 400)
    code_N = picture_votes(
        pictures_of(random.normal(size=(400, 60)).astype(np.float32)), np.eye(5)[label_N], np.ones(400, bool), np.ones(400, bool)
    )
    assert (code_N % 5 == label_N).mean() < 0.3


def test_the_wrong_labels_of_others_are_outvoted() -> None:
    vectors_ND, true_N = blobs(1000, 4, apart=5.0)
    wrong_N = np.random.default_rng(1).random(1000) < 0.2
    label_N = np.where(wrong_N, (true_N + 1) % 4, true_N)
    targets_NC = 0.8 * np.eye(4)[label_N] + 0.05
    code_N = picture_votes(pictures_of(vectors_ND), targets_NC, np.ones(1000, bool), np.zeros(1000, bool))
    assert (code_N % 4 == true_N)[wrong_N].mean() > 0.95


def test_without_features_or_enough_samples_nothing_is_said() -> None:
    vectors_ND, true_N = blobs(100, 3)
    all_N, targets_NC = np.ones(100, bool), np.eye(3)[true_N]
    some = picture_votes(pictures_of(vectors_ND, without=30), targets_NC, all_N, all_N)
    assert (some[:70] >= 0).all()
    assert (some[70:] == NONE).all()
    assert (picture_votes(pictures_of(vectors_ND), targets_NC, np.arange(100) < FOLDS - 1, all_N) == NONE).all()
    assert (picture_votes(pictures_of(np.ones((100, 3), np.float32)), targets_NC, all_N, all_N) == NONE).all()


def test_a_picture_says_the_same_whatever_stands_beside_it_in_the_table() -> None:
    vectors_ND, true_N = blobs(300, 3)
    found = pictures_of(vectors_ND)
    mixed = np.random.default_rng(5).permutation(300)
    moved = Pictures(found.features_NP[mixed], found.there_N[mixed], found.rank_N[mixed], found.fold_N[mixed])
    all_N = np.ones(300, bool)
    before, after = (picture_votes(one, np.eye(3)[true], all_N, all_N) for one, true in ((found, true_N), (moved, true_N[mixed])))
    assert (before[mixed] == after).mean() > 0.99  # but for sums whose last digit differs
