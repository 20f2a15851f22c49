"""Which GPUs training uses: a pure choice from what is visible, what the environment says and what `--gpus` asks for."""

from pathlib import Path

import pytest

from cotforge.errors import PipelineError
from cotforge.train import devices
from tests.project import ran


@pytest.mark.parametrize(
    ("count", "environment", "asked", "chosen"),
    [
        (0, {}, None, None),
        (1, {}, None, None),
        (1, {}, "0", None),
        (2, {}, None, ("0", "1")),
        (8, {}, "all", tuple("01234567")),
        (4, {}, "0", ("0",)),
        (4, {}, "0, 2", ("0", "2")),
        (4, {}, "2,0", ("2", "0")),
        (2, {"CUDA_VISIBLE_DEVICES": "3,5"}, None, ("3", "5")),
        (2, {"CUDA_VISIBLE_DEVICES": "3,5"}, "1", ("5",)),
        (1, {"CUDA_VISIBLE_DEVICES": "3"}, None, None),
        (2, {"CUDA_VISIBLE_DEVICES": "GPU-8f2c, GPU-11aa"}, None, ("GPU-8f2c", "GPU-11aa")),
        (2, {"CUDA_VISIBLE_DEVICES": "0,1,-1,3"}, None, ("0", "1")),
        (8, {"LOCAL_RANK": "1", "WORLD_SIZE": "8"}, None, None),
        (8, {"WORLD_SIZE": "1"}, None, tuple("01234567")),
    ],
)
def test_several_visible_gpus_get_a_process_each(
    count: int, environment: dict[str, str], asked: str | None, chosen: tuple[str, ...] | None
) -> None:
    visible = devices.gpu_names(count, environment)
    assert devices.choose_gpus(visible, devices.parse_gpus(asked), environment) == chosen


@pytest.mark.parametrize(
    ("count", "environment", "asked", "line"),
    [
        (0, {}, "0", "--gpus: there is no GPU 0; torch sees none; leave --gpus out to train on the CPU"),
        (2, {}, "0,2", "--gpus: there is no GPU 2; torch sees 2, numbered from 0"),
        (2, {"CUDA_VISIBLE_DEVICES": "3,5"}, "3", "--gpus: there is no GPU 3; CUDA_VISIBLE_DEVICES=3,5 leaves 2, numbered from 0"),
        (8, {"LOCAL_RANK": "0"}, "0", "--gpus: the launcher that started this process has chosen its GPU; leave --gpus out"),
        (8, {}, "0,0", "--gpus: '0,0' names a GPU twice; write each number once"),
        *((8, {}, wrong, "is no list of GPU numbers; write 0, or 0,2") for wrong in ("", "a", "0,", "-1", "0 1;", "1.5", "٣", "9" * 99)),
    ],
)
def test_gpus_that_are_not_there_are_a_line(count: int, environment: dict[str, str], asked: str, line: str) -> None:
    with pytest.raises(PipelineError) as fault:
        devices.choose_gpus(devices.gpu_names(count, environment), devices.parse_gpus(asked), environment)
    (told,) = fault.value.faults
    assert told.endswith(line)


def test_no_gpu_is_looked_for_where_none_may_be_used_or_a_launcher_has_chosen() -> None:
    assert devices.visible_gpus({"CUDA_VISIBLE_DEVICES": ""}) == ()
    assert devices.visible_gpus({"CUDA_VISIBLE_DEVICES": "-1"}) == ()
    assert devices.visible_gpus({"LOCAL_RANK": "0"}) == ()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--gpus", "0", "--launch", "torchrun"], "cotforge: --launch starts the processes, and chooses their GPUs, as --gpus does"),
        (["--gpus", "7"], "--gpus: there is no GPU 7; "),
        (["--gpus", "first"], "--gpus: 'first' is no list of GPU numbers"),
    ],
)
def test_the_command_tells_of_wrong_gpus_in_one_line(words: list[str], line: str, tmp_path: Path) -> None:
    done = ran("train", "missing.yaml", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1
