"""Rollouts: which groups are drawn again, how long prompts are, who makes the completions and what that takes."""

import io
import json
import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cotforge.errors import PipelineError
from cotforge.plan import Grpo, Student
from cotforge.train.data.learnable import Learnable
from cotforge.train.data.lessons import find_lessons
from cotforge.train.rollouts import rollout_engine
from cotforge.train.rollouts.resample import flat_groups, other_rows, refill_groups
from cotforge.train.rollouts.rollout_engine import Needs, choose_engine, masked_share, pairing_fault
from cotforge.train.rollouts.rollout_prompts import RolloutPrompts, count_tokens
from cotforge.train.students import loaded_student, tiny
from cotforge.train.students.loaded_student import Pupil
from cotforge.train.students.rehearsal import MAKERS
from cotforge.train.trl_seam import Sampled, prepare_multimodal_messages
from cotforge.train.vllm_seam import short_prompts
from tests import squares

REWARDS = [{"measure": "correct"}]


def grpo(**keys: Any) -> Grpo:
    return Grpo.model_validate({"name": "reason", "kind": "grpo", "rewards": REWARDS, **keys})


@pytest.fixture(scope="module")
def pupil(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Pupil]:
    """A tiny student of a family; each is made once."""
    place, made = tmp_path_factory.mktemp("students"), dict[str, Pupil]()

    def of(family: str) -> Pupil:
        if family not in made:
            folder = MAKERS[family](place / family, squares.TEXTS, squares.SIZE)
            made[family] = loaded_student.load_pupil(Student(model=str(folder)), folder)
        return made[family]

    return of


# groups


@given(st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=3, max_size=3), min_size=1, max_size=6))
def test_a_group_is_flat_where_all_its_completions_got_the_same_reward(groups: list[list[float]]) -> None:
    rewards_NF = torch.tensor(groups).view(-1, 1)
    assert flat_groups(rewards_NF, torch.ones(1), 3).tolist() == [len(set(group)) == 1 for group in groups]


def test_rewards_are_summed_unless_each_counts_by_itself_and_one_that_does_not_apply_counts_nothing() -> None:
    nan = torch.nan
    rewards_NF = torch.tensor([[1.0, 0.0], [0.0, 1.0], [nan, nan], [nan, nan], [1.0, nan], [1.0, nan]])
    even, weights = torch.tensor([0.5, 0.5]), torch.tensor([0.8, 0.2])
    assert flat_groups(rewards_NF, even, 2).tolist() == [True, True, True]
    assert flat_groups(rewards_NF, weights, 2).tolist() == [False, True, True]
    assert flat_groups(rewards_NF, even, 2, summed=False).tolist() == [False, True, True]


def test_prompts_drawn_again_are_the_same_after_a_resume_and_others_at_another_step_or_process() -> None:
    def drawn(step: int, process: int = 0) -> list[int]:
        return list(islice(other_rows(40, seed=3, step=step, process=process, processes=2), 20))

    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)
    assert sorted(drawn(7) + drawn(7, 1)) == list(range(40))
    assert set(islice(other_rows(1, seed=0, step=0, process=3, processes=4), 5)) == {0}


@given(st.lists(st.integers(0, 20), unique=True), st.lists(st.booleans()))
def test_a_flat_group_is_replaced_by_one_that_is_not_as_far_as_there_are_any(flat: list[int], fresh: list[bool]) -> None:
    moved = refill_groups(flat, fresh)
    assert len(moved) == min(len(flat), sum(fresh))
    assert [to for to, _ in moved] == flat[: len(moved)]
    assert all(fresh[of] for _, of in moved)
    assert len({of for _, of in moved}) == len(moved)


def test_rows_of_a_sample_are_replaced_in_every_part_that_has_rows() -> None:
    here = Sampled([[1], [2]], [[3], [4]], None, ["a", "b"], None, {}, [["x"], []], [])
    there = Sampled([[5]], [[6]], None, ["c"], None, {}, None, [])
    found = here.replaced(there, [(1, 0)])
    assert found == Sampled([[1], [5]], [[3], [6]], None, ["a", "c"], None, {}, [["x"], None], [])


# prompts


def test_the_longest_prompt_is_found_by_its_pictures_where_all_texts_are_one(tmp_path: Path, pupil: Callable[[str], Pupil]) -> None:
    """The largest picture stands in the last of 80 rows, where no look at the letters would find it."""
    qwen, dataset = pupil("qwen"), squares.write(tmp_path / "dataset", 80)
    lessons = find_lessons(dataset, cache=tmp_path / "cache")
    rows = [row | {"images": [{"bytes": squares.square("red", size=(8, 8)), "path": None}]} for row in lessons.rows(["id", "prompt"])]
    rows[79]["images"] = [{"bytes": squares.square("red", size=(64, 64)), "path": None}] * 2
    rows[50]["images"] = [{"bytes": squares.square("red", size=(64, 4)), "path": None}]
    prompts = RolloutPrompts(Learnable.of(qwen))
    assert [fault for _, fault in prompts.faults(rows) if fault] == []
    longest = prompts.longest(Decoded(rows))
    assert longest.found == count_tokens(Decoded(rows)[79], qwen.processor)
    assert longest.found > count_tokens(Decoded(rows)[0], qwen.processor)
    assert longest.bound >= longest.found


class Decoded(list[dict[str, Any]]):
    """Rows as `datasets` gives them."""

    def __getitem__(self, row: Any) -> Any:
        found = super().__getitem__(row)
        sizes = [Image.open(io.BytesIO(cell["bytes"])).size for cell in found["images"]]
        return found | {"images": [Image.new("RGB", size, "red") for size in sizes]}

    def select(self, rows: list[int]) -> list[dict[str, Any]]:
        return [self[row] for row in rows]


# engines


@pytest.mark.parametrize("family", ["llava", "qwen", "idefics3"])
def test_a_student_with_one_run_of_image_tokens_for_each_picture_can_be_given_to_vllm(family: str, pupil: Callable[[str], Pupil]) -> None:
    assert pairing_fault(pupil(family), 1) == ""
    if family != "llava":
        assert pairing_fault(pupil(family)) == ""


def test_pictures_that_a_template_puts_side_by_side_are_one_run(pupil: Callable[[str], Pupil]) -> None:
    assert pairing_fault(pupil("llava"), 2) == "its processor makes 1 runs of image tokens of two pictures, and vLLM wants one for each"


def test_pictures_that_are_split_into_tiles_with_other_tokens_between_cannot(tmp_path: Path) -> None:
    folder = tiny.make_idefics3(tmp_path / "model", squares.TEXTS, squares.SIZE)
    file = folder / "processor_config.json"
    said = json.loads(file.read_text())
    said["image_processor"] |= {"do_image_splitting": True, "size": {"longest_edge": 32}}
    file.write_text(json.dumps(said))
    fault = pairing_fault(loaded_student.load_pupil(Student(model=str(folder)), folder))
    assert re.fullmatch(r"its processor makes \d+ runs of image tokens of a picture, and vLLM wants one for each", fault)


def test_a_processor_that_names_another_token_or_none_cannot(tmp_path: Path) -> None:
    """As Gemma 3's: the token it names stands once before the picture's own."""
    folder = tiny.make_llava(tmp_path / "model", squares.TEXTS, squares.SIZE)
    found = loaded_student.load_pupil(Student(model=str(folder)), folder)
    words = found.processor.tokenizer
    found.processor.image_token_id = words.convert_tokens_to_ids("<|im_start|>")
    assert pairing_fault(found)
    found.processor.image_token_id = None
    assert pairing_fault(found) == "the processor of a llava names no image token"
    found.processor.image_token_id = words.convert_tokens_to_ids("<image>")
    found.model.get_image_features = lambda **_: torch.zeros(1, 3, 8)
    assert pairing_fault(found) == "its processor makes 4 image tokens of a picture that has 3 vision features"
    found.processor.apply_chat_template = None
    assert "cannot be tried" in pairing_fault(found)


def test_completions_are_made_by_transformers_where_there_is_no_gpu(pupil: Callable[[str], Pupil]) -> None:
    for stage in (grpo(), grpo(rollouts="transformers"), grpo(trl={"use_vllm": False})):
        assert choose_engine(stage, pupil("llava"), gpu=False) == rollout_engine.RolloutEngine()


def test_where_vllm_lacks_auto_says_so_and_goes_on_and_a_wish_for_it_is_a_line(pupil: Callable[[str], Pupil]) -> None:
    lacks = "it needs vllm, also to talk to its server: pip install --no-deps vllm, and what it lacks (it names an older transformers)"
    unused = choose_engine(grpo(vllm={}), pupil("llava"), gpu=False)
    assert unused == rollout_engine.RolloutEngine(line="rollouts by transformers, and `vllm` is not used: there is no GPU here")
    found = choose_engine(grpo(), pupil("llava"), gpu=True)
    assert (found.vllm, found.line) == (False, f"rollouts by transformers, which takes longer than vLLM: {lacks}")
    for stage in (grpo(rollouts="vllm"), grpo(trl={"use_vllm": True}), grpo(vllm={"url": "http://gpu2:8000"}, rollouts="vllm")):
        with pytest.raises(PipelineError, match="rollouts: vllm: it needs vllm, also to talk to its server") as fault:
            choose_engine(stage, pupil("llava"), gpu=True)
        assert len(fault.value.faults) == 1


@pytest.mark.parametrize(
    ("keys", "fields"),
    [
        ({}, {"use_vllm": True, "vllm_mode": "colocate", "vllm_enable_sleep_mode": True}),
        ({"vllm": {"memory": 0.4}}, {"use_vllm": True, "vllm_mode": "colocate", "vllm_enable_sleep_mode": True}),
        (
            {"vllm": {"url": "http://gpu2:8000"}},
            {"use_vllm": True, "vllm_mode": "server", "vllm_server_base_url": "http://gpu2:8000"},
        ),
        ({"rollouts": "auto", "trl": {"use_vllm": True, "vllm_mode": "server"}}, {"use_vllm": True, "vllm_mode": "server"}),
        ({"trl": {"vllm_server_host": "gpu2"}}, {"use_vllm": True, "vllm_mode": "server"}),
    ],
)
def test_vllm_is_set_up_in_this_process_or_at_a_server(keys: dict[str, Any], fields: dict[str, Any]) -> None:
    assert rollout_engine.fields_of(grpo(**{"rollouts": "vllm", **keys})) == fields


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"rollouts": "transformers", "vllm": {}}, "vllm: completions are made by transformers"),
        ({"rollouts": "transformers", "trl": {"use_vllm": True}}, "rollouts: transformers contradicts trl.use_vllm"),
        ({"rollouts": "vllm", "trl": {"use_vllm": False}}, "rollouts: vllm contradicts trl.use_vllm"),
        ({"vllm": {"url": "gpu2:8000"}}, "url"),
        ({"loss_type": "sapo", "clip": "cliplow-upper", "updates_per_rollout": 2}, "the loss 'sapo' has no clip of two bounds"),
        ({"token_budget": 100, "loss_type": "grpo"}, "token_budget: the loss 'grpo' is divided by something else; take cispo, dapo, vespo"),
        ({"token_budget": 100, "trl": {"loss_type": "bnpo"}}, "token_budget: the loss 'bnpo' is divided by something else"),
        ({"token_budget": 100, "trl": {"steps_per_generation": 2}}, "token_budget: .* leave steps_per_generation out of trl"),
        ({"token_budget": 0}, "token_budget"),
        ({"variant": "c3po"}, "token_budget: is missing; variant c3po needs one"),
        ({"variant": "gspo", "updates_per_rollout": 1}, "clip: cannot act while every completion is used for one step only"),
    ],
)
def test_keys_that_contradict_one_another_are_told_of(keys: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        grpo(**keys)


GB = 10**9


def test_vllms_share_of_a_gpu_is_what_it_needs_and_never_what_the_training_has() -> None:
    needs = Needs(weights=2 * GB, token=30_000, trainer=16 * GB)
    few, many, most = (needs.share(length=2_000, sequences=count, total=80 * GB) for count in (1, 100, 10_000))
    assert few == pytest.approx((2 * GB + 30_000 * 2_000 + rollout_engine.BESIDE) / (80 * GB), abs=2e-3)
    assert few < many < most
    assert most * 80 * GB <= 80 * GB * (1 - rollout_engine.SPARE) - needs.trainer
    with pytest.raises(
        PipelineError, match=r"beside the training, which takes about 60 of the GPU's 64 GB, vLLM has no room for the 4\.\d GB"
    ):
        Needs(2 * GB, 30_000, 60 * GB).share(length=2_000, sequences=1, total=64 * GB)


def test_what_the_training_holds_is_counted_by_what_is_trained(pupil: Callable[[str], Pupil]) -> None:
    found = pupil("llava")
    count = sum(weight.numel() for weight in found.model.parameters())
    whole = Needs.of(found, reference=False)
    assert (whole.weights, whole.trainer) == (2 * count, 16 * count)  # float32: weights, gradients, two moments
    assert Needs.of(found, reference=True).trainer == 20 * count
    text = found.model.config.get_text_config()
    assert whole.token == 2 * 2 * text.num_hidden_layers * text.num_key_value_heads * (text.hidden_size // text.num_attention_heads)


def test_length_and_share_are_set_where_the_file_does_not_and_only_in_this_process(pupil: Callable[[str], Pupil]) -> None:
    found = pupil("llava")

    def fitted(stage: Grpo, mode: str = "colocate", longest: int = 100) -> tuple[Any, Any]:
        config = SimpleNamespace(
            use_vllm=True, vllm_mode=mode, vllm_max_model_length=None, vllm_gpu_memory_utilization=0.3, max_completion_length=64,
            per_device_train_batch_size=8, steps_per_generation=2, beta=0.0,
        )  # fmt: skip
        for name, value in stage.trl.items():
            setattr(config, name, value)
        rollout_engine.fit_vllm(config, stage, found, longest=longest, total=80 * GB)
        return config.vllm_max_model_length, config.vllm_gpu_memory_utilization

    length, share = fitted(grpo())
    assert length == 164
    assert 0 < share < 0.05
    assert fitted(grpo(), longest=500)[0] == found.positions == 512
    assert fitted(grpo(vllm={"memory": 0.4})) == (164, 0.4)
    assert fitted(grpo(trl={"vllm_max_model_length": 300, "vllm_gpu_memory_utilization": 0.5})) == (300, 0.5)
    assert fitted(grpo(), mode="server") == (None, 0.3)


def test_a_bound_on_pixels_is_in_the_processor_that_vllm_reads_and_not_in_the_one_it_was_copied_from(tmp_path: Path) -> None:
    folder = tiny.make_qwen(tmp_path / "model", squares.TEXTS, squares.SIZE)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    found = loaded_student.load_pupil(Student(model=str(folder), max_pixels=256), folder)
    for _ in range(2):  # as after a resume
        rollout_engine.bound_copy(found, tmp_path / "vllm")
    rollout_engine.read_from(found, tmp_path / "vllm")
    assert found.model.name_or_path == str(tmp_path / "vllm")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    again = loaded_student.load_pupil(Student(model="m"), tmp_path / "vllm")
    assert again.processor.image_processor.size["longest_edge"] == 256
    assert (tmp_path / "vllm" / "model.safetensors").is_symlink()
    assert '--mm-processor-kwargs \'{"size": {"shortest_edge"' in rollout_engine.server_line(found)


def test_prompts_for_vllm_in_this_process_have_one_placeholder_for_each_picture(pupil: Callable[[str], Pupil]) -> None:
    processor = pupil("llava").processor
    picture = Image.new("RGB", (24, 24), "red")
    prompts = [prepare_multimodal_messages([{"role": "user", "content": "Which?"}], images=[picture] * count) for count in (0, 1, 2)]
    whole = processor.apply_chat_template(prompts, add_generation_prompt=True, tokenize=True, return_dict=True)["input_ids"]
    shorts = short_prompts(processor, prompts)
    token = processor.image_token_id
    assert [ids.count(token) for ids in shorts] == [0, 1, 2]
    assert [ids.count(token) for ids in whole] == [0, 4, 8]
    expanded = [[each for found in ids for each in ([found] * 4 if found == token else [found])] for ids in shorts]
    assert expanded == whole  # what vLLM makes of them


@pytest.mark.parametrize(("shape", "share"), [((4, 1), 0.25), ((4, 3), 2 / 8)])
def test_the_share_that_the_correction_masks_counts_completions_or_their_tokens(shape: tuple[int, int], share: float) -> None:
    ratio, mask_BT = torch.ones(shape), torch.tensor([[1, 1, 0], [1, 1, 1], [1, 1, 0], [1, 0, 0]])
    ratio[0] = 0
    assert masked_share(ratio, mask_BT).item() == pytest.approx(share)
    assert masked_share(torch.ones(2, 2), torch.zeros(2, 2)).item() == 0


def test_what_trl_says_of_fields_and_servers_is_a_line_and_a_bug_is_none(pupil: Callable[[str], Pupil]) -> None:
    config = SimpleNamespace(use_vllm=True, vllm_server_base_url="http://gpu2:8000", vllm_server_host="0.0.0.0", vllm_server_port=8000)
    for raised, line in (
        (ConnectionError("no"), r"'reason': vllm.url: nobody answers at http://gpu2:8000; there: VLLM_SERVER_DEV_MODE=1 vllm serve /"),
        (RuntimeError("The vLLM server has no\nweight-transfer engine."), "'reason': vllm: The vLLM server has no weight-transfer engine."),
        (ValueError("VESPO loss requires"), "'reason': trl: VESPO loss requires"),
    ):
        with pytest.raises(PipelineError, match=line), rollout_engine.explain_starting("reason", config, pupil("llava")):
            raise raised
    with pytest.raises(torch.OutOfMemoryError), rollout_engine.explain_starting("reason", config, pupil("llava")):
        raise torch.OutOfMemoryError("of CUDA")
    config.use_vllm = False
    with pytest.raises(RuntimeError), rollout_engine.explain_starting("reason", config, pupil("llava")):
        raise RuntimeError("a bug")
