"""After a stage: what was saved is compared with what was trained; a finished stage is never lost."""

from pathlib import Path

import pytest
import torch

from cotforge.errors import PipelineError
from cotforge.train.data.lessons import Lessons, find_lessons
from cotforge.train.students import loaded_student, reload, tiny
from tests.squares import SIZE, TEXTS, write
from tests.test_train_sft import learn, work


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_llava(tmp_path_factory.mktemp("models") / "llava", TEXTS, SIZE)


@pytest.fixture(scope="module")
def lessons(tmp_path_factory: pytest.TempPathFactory) -> Lessons:
    folder = tmp_path_factory.mktemp("lessons")
    return find_lessons(write(folder / "dataset", 16), cache=folder / "cache")


@pytest.mark.parametrize(
    "keys",
    [
        {"trl": {"bf16": True}, "student": {"dtype": "float32"}},
        {"trl": {"bf16": True}, "student": {"freeze": ["vision"]}},
        {"trl": {"bf16": True}, "student": {"lora": {"rank": 2}}},
        {"student": {"dtype": "bfloat16"}},
    ],
)
def test_a_stage_of_any_numbers_ends_well_and_its_checkpoints_go(
    tmp_path: Path, model: Path, lessons: Lessons, keys: dict[str, dict[str, object]], capsys: pytest.CaptureFixture[str]
) -> None:
    given = work(tmp_path, model, lessons, steps=3, learning_rate=1e-2, **keys)
    learn(given)
    assert "once loaded" not in capsys.readouterr().err
    assert not (given.out / "checkpoints").exists()
    assert given.weights.exists()


def damage(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.seek(-7, 2)
        byte = opened.read(1)
        opened.seek(-7, 2)
        opened.write(bytes([byte[0] ^ 1]))


def test_weights_that_differ_are_kept_with_their_checkpoint_and_not_trained_again(tmp_path: Path, model: Path, lessons: Lessons) -> None:
    given = work(tmp_path, model, lessons, steps=3, learning_rate=1e-2)
    pupil = loaded_student.load_pupil(given.plan.student, model)
    pupil.save(given.weights)
    (given.out / "checkpoints" / "checkpoint-3").mkdir(parents=True)
    damage(given.weights / "model.safetensors")
    with pytest.raises(PipelineError, match=r"the weight '.*' \(1 of \d+\) is another once it is loaded .*--from inject trains"):
        reload.check_saved(pupil, given, lessons)
    assert (given.out / "checkpoints" / "checkpoint-3").exists()
    assert (given.weights / "model.safetensors").exists()
    pupil.save(given.weights)
    reload.check_saved(pupil, given, lessons)
    assert not (given.out / "checkpoints").exists()


def test_a_processor_that_was_changed_is_told_and_ends_nothing(
    tmp_path: Path, model: Path, lessons: Lessons, capsys: pytest.CaptureFixture[str]
) -> None:
    given = work(tmp_path, model, lessons, steps=3)
    pupil = loaded_student.load_pupil(given.plan.student, model)
    pupil.save(given.weights)
    file = given.weights / "processor_config.json"
    file.write_text(file.read_text().replace('"do_normalize": true', '"do_normalize": false'))
    assert file.read_text() != (model / "processor_config.json").read_text()
    reload.check_saved(pupil, given, lessons)
    assert "once loaded, its logits differ by" in " ".join(capsys.readouterr().err.split())


def test_digests_see_one_bit_and_not_the_type_that_holds_it() -> None:
    one = {"w": torch.tensor([1.0, -0.0, 3.5], dtype=torch.bfloat16)}
    assert loaded_student.weight_digests(one) == loaded_student.weight_digests({"w": one["w"].float()})
    assert reload.differing_weights(
        loaded_student.weight_digests(one), loaded_student.weight_digests({"w": torch.tensor([1.0, 0.0, 3.5])})
    ) == ["w"]
    assert reload.differing_weights({"a": "1"}, {"a": "1", "b": "2"}) == ["b"]
