"""Real pictures with made teachers: the demo's digits, and the photos of textile in PyPI's `conformal-clip-data` (MIT licence).

Shapes: N pictures, C classes.
"""
# ruff: noqa: N803, N806

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from PIL import Image

from cotforge.consensus.image.pixels import pixel_vector
from cotforge.demo.digits import PORT, rows_of, write_digits, write_pipeline
from cotforge.pipeline import Loaded
from cotforge.simulate.eyes import best_label, make_eye
from cotforge.simulate.sight import see_picture

Floats = npt.NDArray[np.float64]

VLMS = {"large": 2.2, "middle": 1.4, "small": 0.8}
"""Made teachers of the textile photos: log odds of being right about a picture of middling difficulty."""
FLIPPED = 0.1
"""Share of the textile labels that are wrong."""
DISTRACTED = 0.6
"""Share of a made teacher's errors that name what the picture resembles most."""
NEEDS = "the photos of textile are in a package of the dev extra: pip install conformal-clip-data scikit-learn"


@dataclass(frozen=True)
class Photos:
    """Pictures whose truth is known, noisy labels, and what each teacher says of each."""

    answers: pl.DataFrame
    """id, teacher, answer, and `probability`, the teacher's own of its answer."""
    labels: Mapping[str, str]
    truth: Mapping[str, str]
    pixels: Mapping[str, Sequence[float]]
    """Features of each picture."""

    @property
    def classes(self) -> list[str]:
        return sorted(set(self.truth.values()))

    def gold(self, count: int, random: np.random.Generator) -> dict[str, str]:
        """The truth about so many of them, drawn by chance."""
        ids = sorted(self.truth)
        return {ids[place]: self.truth[ids[place]] for place in random.choice(len(ids), min(count, len(ids)), replace=False)}


def digits(seed: int) -> Photos:
    """The training pool of `cotforge demo`: 1,200 handwritten digits, 8 % of the labels flipped, five small classifiers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_digits(folder, seed=seed)
        loaded = Loaded.load(write_pipeline(folder, "digits.yaml", short=False, port=PORT))
        rows = [row for row in rows_of(folder / "pool.csv") if row["split"] == "train"]
        truth = {row["id"]: row["label"] for row in rows_of(folder / "truth.csv")}
        data = [(folder / row["image"]).read_bytes() for row in rows]
        ink = np.stack([see_picture(picture).ink for picture in data])
        said = []
        for teacher in loaded.pipeline.teachers:
            simulated = getattr(teacher, "simulate")  # noqa: B009 - of kinds that can be simulated
            judge = make_eye(simulated, loaded.pipeline.task.options(), root=loaded.root)
            for row, scores in zip(rows, judge.scores_each(ink), strict=True):
                answer = best_label(scores)
                said.append((row["id"], teacher.name, answer, scores[answer]))
    ids = [row["id"] for row in rows]
    labels = {row["id"]: row["label"] for row in rows}
    return Photos(_frame(said), labels, {id: truth[id] for id in ids}, dict(zip(ids, map(_pixels, data), strict=True)))


def textile(seed: int) -> Photos:
    """2,000 photos of three classes. Teachers see less of a picture that another classifier finds hard, and err towards its next guess.

    Raises SystemExit where the photos are not installed.
    """
    files = textile_files()
    random = np.random.default_rng([seed, 20])
    truth_N = np.array([path.parent.name for path in files])
    classes, class_N = np.unique(truth_N, return_inverse=True)
    share_NC = _seen(files, class_N)
    ease_N = _log_odds(share_NC[np.arange(len(files)), class_N])
    other_NC = np.where(np.eye(len(classes), dtype=bool)[class_N], -1.0, share_NC)
    next_N = other_NC.argmax(axis=1)
    said = []
    for teacher, skill in VLMS.items():
        chance_N = 1 / (1 + np.exp(-(skill + 0.6 * (ease_N - np.median(ease_N)))))
        right_N = random.random(len(files)) < chance_N
        astray_N = (class_N + random.integers(1, len(classes), len(files))) % len(classes)
        wrong_N = np.where(random.random(len(files)) < DISTRACTED, next_N, astray_N)
        answer_N = np.where(right_N, class_N, wrong_N)
        felt_N = _log_odds(chance_N) + random.normal(0, 1, len(files)) - np.where(right_N, 0, 1)
        said += [
            (_id(path), teacher, str(classes[answer]), float(1 / (1 + np.exp(-2 * felt))))
            for path, answer, felt in zip(files, answer_N, felt_N, strict=True)
        ]
    flipped_N = random.random(len(files)) < FLIPPED
    label_N = np.where(flipped_N, (class_N + random.integers(1, len(classes), len(files))) % len(classes), class_N)
    return Photos(
        _frame(said),
        {_id(path): str(classes[label]) for path, label in zip(files, label_N, strict=True)},
        {_id(path): path.parent.name for path in files},
        {_id(path): _pixels(path.read_bytes()) for path in files},
    )


WORLDS: dict[str, Callable[[int], Photos]] = {"digits": digits, "textile": textile}
"""By name; each takes a seed."""


def textile_files() -> list[Path]:
    """The photos of textile, sorted. Raises SystemExit where they are not installed."""
    found = find_spec("conformal_clip_data")
    if found is None or not found.submodule_search_locations:
        raise SystemExit(NEEDS)
    folder = Path(found.submodule_search_locations[0]) / "data" / "textile_images" / "simulated"
    return sorted(folder.glob("*/*.jpg"))


def _seen(files: Sequence[Path], class_N: npt.NDArray[np.int64]) -> Floats:
    """Probability of each class by a forest of texture features that has not seen the picture, [N, C]."""
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.model_selection import cross_val_predict

    looks = np.stack([_texture(path) for path in files])
    found = cross_val_predict(ExtraTreesClassifier(200, random_state=0, n_jobs=1), looks, class_N, cv=5, method="predict_proba")
    return np.asarray(found)


def _texture(path: Path) -> Floats:
    """Mean and deviation of the grey in each of 8 x 8 parts."""
    with Image.open(path) as image:
        grey = np.asarray(image.convert("L").resize((128, 128), Image.Resampling.BOX), float) / 255
    parts = grey.reshape(8, 16, 8, 16).transpose(0, 2, 1, 3).reshape(64, -1)
    return np.concatenate([parts.mean(axis=1), parts.std(axis=1)])


def _log_odds(share_N: Floats) -> Floats:
    bounded = np.clip(share_N, 0.02, 0.98)
    return np.asarray(np.log(bounded / (1 - bounded)))


def _id(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def _pixels(data: bytes) -> Sequence[float]:
    found = pixel_vector(data)
    assert found is not None, "every picture here can be read"
    return [float(number) for number in found]


def _frame(said: Sequence[tuple[str, str, str, float]]) -> pl.DataFrame:
    return pl.DataFrame(list(said), schema=["id", "teacher", "answer", "probability"], orient="row")
