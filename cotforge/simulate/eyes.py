"""The skill of simulated teachers: small classifiers of different kinds, each with its own look at the thumbnail.

A look takes the ink of N thumbnails, (N, 8, 8) in [0, 1], and gives what its classifier sees of them, (N, features).
"""

import csv
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cotforge.errors import PipelineError
from cotforge.images.limits import HARD_BYTES
from cotforge.regular_files import open_regular, read_regular
from cotforge.simulate.sight import Floats, Sight, see_picture
from cotforge.teachers.simulated import Simulated

_LIBRARIES = r"(sklearn|joblib|scipy|numpy|PIL)(\.|$)"
"""Whose warnings are about how a small classifier is trained, and no news to who rehearses."""


def silence_libraries() -> None:
    """Has this process say nothing of such warnings."""
    warnings.filterwarnings("ignore", module=_LIBRARIES)


def pixel_features(inks: Floats) -> Floats:
    """Every cell as it is: (N, 64)."""
    return inks.reshape(len(inks), -1)


def blurred_features(inks: Floats) -> Floats:
    """Every cell mixed with its neighbours (1 2 1 both ways): (N, 64)."""
    padded = np.pad(inks, ((0, 0), (1, 1), (1, 1)), mode="edge")
    across = (padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:]) / 4
    return pixel_features((across[:, :-2] + 2 * across[:, 1:-1] + across[:, 2:]) / 4)


def edge_features(inks: Floats) -> Floats:
    """Strength of the slope in each of eight directions, per quarter of the picture: (N, 32)."""
    padded = np.pad(inks, ((0, 0), (1, 1), (1, 1)), mode="edge")
    right = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    angle, strength = np.arctan2(down, right), np.hypot(down, right)
    directions = [np.maximum(0, np.cos(angle - turn * np.pi / 4)) ** 4 * strength for turn in range(8)]
    return np.concatenate([pixel_features(each.reshape(-1, 2, 4, 2, 4).sum((2, 4))) for each in directions], axis=1)


def stroke_features(inks: Floats) -> Floats:
    """Ink and number of strokes along every row and column: (N, 32)."""
    dark = inks > 0.4
    by_row = (dark[:, :, 1:] & ~dark[:, :, :-1]).sum(2) + dark[:, :, 0]
    by_column = (dark[:, 1:] & ~dark[:, :-1]).sum(1) + dark[:, 0]
    return np.concatenate([inks.sum(1) / 4, inks.sum(2) / 4, by_row, by_column], axis=1)


def ink_features(inks: Floats) -> Floats:
    """Ink in each of sixteen regions: (N, 16)."""
    return pixel_features(inks.reshape(-1, 4, 2, 4, 2).sum((2, 4)))


class Eye:
    """A teacher's judgement of a picture: scores over its labels, and how each label usually looks to it."""

    def __init__(
        self, judge: Callable[[Floats], Floats], labels: Sequence[str], usual: Mapping[str, Mapping[str, tuple[float, float]]]
    ) -> None:
        self._judge = judge
        self.labels = tuple(labels)
        self.usual = usual
        """By label and property, mean and deviation over what was learnt; empty for a teacher without skill."""

    def scores(self, sights: Sequence[Sight]) -> dict[str, float]:
        """Score of every label, in [0, 1], summing to 1: the mean over the pictures."""
        return self._named_scores(self._judge(np.stack([sight.ink for sight in sights])).mean(0))

    def scores_each(self, inks: Floats) -> list[dict[str, float]]:
        """The same for each of N thumbnails by itself, (N, 8, 8)."""
        return [self._named_scores(judged) for judged in self._judge(inks)]

    def _named_scores(self, judged: Floats) -> dict[str, float]:
        return dict(zip(self.labels, map(float, judged), strict=True))


def best_label(scores: Mapping[str, float]) -> str:
    """The label of the highest score."""
    return max(scores, key=scores.__getitem__)


def make_eye(simulated: Simulated, labels: Sequence[str], *, root: Path) -> Eye:
    """The eye of a teacher, trained where it has something to learn from.

    Raises PipelineError where its CSV or an image of it cannot be read, or scikit-learn is not installed.
    """
    if simulated.learn is None:
        weights = np.random.default_rng(simulated.seed).normal(size=(64, len(labels)))
        return Eye(lambda inks: _softmax_rows(pixel_features(inks) @ weights), labels, {})
    sights, answers = _read_lessons(root / simulated.learn, labels)
    look = LOOKS[simulated.look]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a small classifier on few lessons; nobody can act on them
        model = _make_classifier(simulated).fit(look(np.stack([sight.ink for sight in sights])), answers)

    scores = class_scores(model)
    return Eye(lambda inks: scores(look(inks)), [str(label) for label in model.classes_], _usual_values(sights, answers))


class Nearest:
    """The three nearest neighbours, weighted by 1 / distance.

    The scores are those of scikit-learn's KNeighborsClassifier, which takes 20 times as long for one picture: it starts threads for it.
    """

    classes_: NDArray[np.str_]
    """The labels, sorted."""

    def fit(self, seen: Floats, answers: Sequence[str]) -> Self:
        """Keeps what it is shown."""
        from sklearn.neighbors import KDTree

        self.classes_, places = np.unique(answers, return_inverse=True)
        self._answered = np.eye(len(self.classes_))[places]
        self._tree = KDTree(seen)
        return self

    def predict_proba(self, seen: Floats) -> Floats:
        """Scores (M, labels), each row summing to 1; what equals a picture it knows is judged by such pictures alone."""
        distance, place = self._tree.query(seen, k=min(3, len(self._answered)))
        equal = distance == 0
        weight = np.where(equal.any(1, keepdims=True), equal, 1 / np.maximum(distance, np.finfo(float).tiny))
        score = (weight[:, :, None] * self._answered[place]).sum(1)
        return np.asarray(score / score.sum(1, keepdims=True))


def class_scores(model: Any) -> Callable[[Floats], Floats]:
    """How a trained classifier scores what is seen of N thumbnails: (N, labels), each row summing to 1.

    Logistic regression and naive Bayes are worked out here: scikit-learn takes ten times as long for one picture, to look at its input.
    """
    if hasattr(model, "coef_") and hasattr(model, "predict_proba"):
        weights, bias = model.coef_, model.intercept_
        if len(weights) == 1:  # two labels have one margin
            weights, bias = np.concatenate([0 * weights, weights]), np.append(0.0, bias)
        return lambda seen: _softmax_rows(seen @ weights.T + bias)
    if hasattr(model, "theta_"):
        means, spreads = model.theta_, model.var_
        fixed = np.log(model.class_prior_) - np.log(2 * np.pi * spreads).sum(1) / 2
        return lambda seen: _softmax_rows(fixed - ((seen[:, None] - means) ** 2 / spreads).sum(2) / 2)
    if hasattr(model, "predict_proba"):
        return lambda seen: np.asarray(model.predict_proba(seen))
    return lambda seen: _margin_scores(model.decision_function(seen))


def _make_classifier(simulated: Simulated) -> Any:
    """An untrained scikit-learn classifier of the wanted kind."""
    try:
        from sklearn import ensemble, linear_model, naive_bayes, svm, tree
    except ImportError as error:
        raise PipelineError("simulate.learn needs scikit-learn: pip install 'cotforge[demo]'") from error
    seed = simulated.seed
    kinds: dict[str, Callable[[], Any]] = {
        "nearest": Nearest,
        "logistic": lambda: linear_model.LogisticRegression(max_iter=2000),
        "bayes": lambda: naive_bayes.GaussianNB(var_smoothing=0.03),
        "tree": lambda: tree.DecisionTreeClassifier(random_state=seed),
        "forest": lambda: ensemble.ExtraTreesClassifier(30, random_state=seed),
        "svm": lambda: svm.SVC(C=4.0, decision_function_shape="ovr"),
    }
    return kinds[simulated.eye]()


def _read_lessons(path: Path, labels: Sequence[str]) -> tuple[list[Sight], list[str]]:
    """Pictures and labels of a CSV, at least two different labels."""
    try:
        with open(open_regular(os.path.realpath(path)), newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        sights = [see_picture(read_regular(os.path.realpath(path.parent / row["image"]), most=HARD_BYTES)) for row in rows]
        answers = [row["label"] for row in rows]
    except KeyError as error:
        raise PipelineError(f"{path}: no column {error}; its columns are image and label, whatever source.columns says") from error
    except (OSError, ValueError) as error:
        raise PipelineError(f"{path}: cannot be learnt from: {error}") from error
    strange = sorted(set(answers) - set(labels)) if labels else []
    if strange or len(set(answers)) < 2:
        raise PipelineError(f"{path}: labels must be of the task's, at least two; found {strange or sorted(set(answers))!r}")
    return sights, answers


def _usual_values(sights: Sequence[Sight], answers: Sequence[str]) -> dict[str, dict[str, tuple[float, float]]]:
    usual: dict[str, dict[str, tuple[float, float]]] = {}
    for label in sorted(set(answers)):
        own = [sight.measured for sight, answer in zip(sights, answers, strict=True) if answer == label]
        names = sorted({name for measured in own for name in measured})
        values = {name: [measured[name] for measured in own if name in measured] for name in names}
        usual[label] = {name: (float(np.mean(each)), float(np.std(each))) for name, each in values.items() if len(each) > len(own) / 2}
    return usual


def _margin_scores(margins: Floats) -> Floats:
    """Scores (N, labels) from a classifier's margins, of which scikit-learn gives only one (N,) where there are two labels."""
    return _softmax_rows(margins if margins.ndim == 2 else np.stack([-margins, margins], axis=1))


def _softmax_rows(scores: Floats) -> Floats:
    raised = np.exp(scores - scores.max(1, keepdims=True))
    return np.asarray(raised / raised.sum(1, keepdims=True))


LOOKS: dict[str, Callable[[Floats], Floats]] = {
    "pixels": pixel_features,
    "blurred": blurred_features,
    "edges": edge_features,
    "strokes": stroke_features,
    "ink": ink_features,
}
