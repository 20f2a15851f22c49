"""An expert's weights minus the student's: by whatever names, in pieces, once; and what cannot be compared is one line."""

import json
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM, Phi3Config, Phi3ForCausalLM

from cotforge.errors import PipelineError
from cotforge.plan import Student
from cotforge.plan.modules import choose_modules
from cotforge.train.students import loaded_student, tiny
from cotforge.train.weights.delta import Delta, make_delta
from cotforge.train.weights.names import decoder_weights, plain_name
from tests import experts, squares

BODY = choose_modules(["attn", "mlp"])
FAMILIES = {"llava": tiny.make_llava, "idefics3": tiny.make_idefics3, "qwen": tiny.make_qwen}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def vlm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_llava(tmp_path_factory.mktemp("vlm"), squares.TEXTS, squares.SIZE)


@pytest.fixture(scope="module")
def expert(tmp_path_factory: pytest.TempPathFactory, vlm: Path) -> Path:
    return experts.text_model(tmp_path_factory.mktemp("expert") / "e", vlm)


@pytest.fixture(scope="module")
def decoder(vlm: Path) -> dict[str, torch.Tensor]:
    return in_memory(vlm)


def in_memory(folder: Path, **spec: Any) -> dict[str, torch.Tensor]:
    return decoder_weights(loaded_student.load_pupil(Student(model=str(folder), **spec), folder).model)


def made(expert: Path, base: Path | Mapping[str, torch.Tensor], cache: Path, **more: Any) -> Delta:
    return make_delta(expert, base, cache=cache, **{"wanted": BODY, **more})


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("shard", "kind"), [("1GB", torch.float32), ("20KB", torch.bfloat16)])
def test_it_is_the_experts_weights_minus_the_students_in_memory_whatever_their_files_call_them(
    tmp_path: Path, family: str, shard: str, kind: torch.dtype
) -> None:
    folder = FAMILIES[family](tmp_path / "student", squares.TEXTS, squares.SIZE)
    bias = family != "idefics3"
    make = experts.text_model if bias else llama
    expert = make(tmp_path / "expert", folder, kind=kind, shard=shard)
    assert (len(list(expert.glob("*.safetensors"))) > 1) == (shard == "20KB")
    ours = in_memory(folder)
    found = made(expert, ours, tmp_path / "cache", student=folder)
    theirs = experts.weights(expert)
    assert found.matched == tuple(name for name in ours if BODY(name))
    assert len(found.matched) == 2 * (10 if bias else 7)
    assert (found.missing, found.mismatched, found.zeroed, found.skipped) == ((), (), (), ())
    for name in found.names:
        torch.testing.assert_close(found[name], theirs[name] - ours[name].detach(), rtol=0, atol=0)
        assert found.norms[name] == pytest.approx(float(found[name].norm()), rel=1e-5)


def llama(folder: Path, vlm: Path, *, kind: torch.dtype, shard: str) -> Path:
    like = AutoConfig.from_pretrained(vlm).get_text_config()
    config = LlamaConfig(**{name: getattr(like, name) for name in experts.SIZES})
    LlamaForCausalLM(config).to(kind).save_pretrained(folder, max_shard_size=shard)
    shutil.copyfile(vlm / "tokenizer.json", folder / "tokenizer.json")
    return folder


def test_names_in_memory_lose_what_peft_fsdp_and_compile_put_into_them(vlm: Path, decoder: dict[str, torch.Tensor]) -> None:
    assert set(in_memory(vlm, lora={})) == set(decoder)
    wrapped = "module.base_model.model._orig_mod.layers.0._fsdp_wrapped_module.self_attn.q_proj.base_layer.weight"
    assert plain_name(wrapped) == "layers.0.self_attn.q_proj.weight"


def test_the_difference_of_two_text_models_is_a_task_vector(
    tmp_path: Path, vlm: Path, expert: Path, decoder: dict[str, torch.Tensor]
) -> None:
    base = experts.text_model(tmp_path / "base", vlm, seed=2)
    shapes = {name: weight.shape for name, weight in decoder.items()}
    found = made(expert, base, tmp_path, like=shapes, student=vlm)
    theirs, before = experts.weights(expert), experts.weights(base)
    assert found.names == tuple(name for name in decoder if BODY(name))
    assert all(torch.equal(found[name], theirs[name] - before[name]) for name in found.names)


def test_it_is_made_once_and_anew_where_either_side_or_the_choice_is_another(
    tmp_path: Path, vlm: Path, expert: Path, decoder: dict[str, torch.Tensor]
) -> None:
    with ThreadPoolExecutor(4) as several:
        found = [each.result() for each in [several.submit(made, expert, decoder, tmp_path) for _ in range(4)]]
    (folder,) = {each.folder for each in found}
    written = (folder / "delta.safetensors").stat()
    assert made(expert, decoder, tmp_path).folder == folder
    again = (folder / "delta.safetensors").stat()
    assert (again.st_ino, again.st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    other = experts.changed(expert, tmp_path / "other", layers__0__mlp__up_proj__weight=torch.zeros(64, 32))
    moved = decoder | {"layers.1.mlp.up_proj.weight": decoder["layers.1.mlp.up_proj.weight"] + 1}
    folders = {
        made(other, decoder, tmp_path).folder,
        made(expert, moved, tmp_path).folder,
        made(expert, decoder, tmp_path, wanted=choose_modules(["attn"])).folder,
        made(expert, decoder, tmp_path, bias=False).folder,
        made(expert, decoder, tmp_path, known_as="by its fingerprint").folder,
    }
    assert len(folders | {folder}) == 6
    assert made(expert, moved, tmp_path, known_as="by its fingerprint").folder in folders


def test_one_that_was_cut_short_is_made_anew(tmp_path: Path, expert: Path, decoder: dict[str, torch.Tensor]) -> None:
    whole = made(expert, decoder, tmp_path)
    kept = whole["layers.0.self_attn.q_proj.weight"].clone()
    whole.folder.rename(passing := whole.folder.with_name(f".{whole.folder.name}.new"))
    (passing / "delta.safetensors").write_bytes(b"cut")
    assert torch.equal(made(expert, decoder, tmp_path)["layers.0.self_attn.q_proj.weight"], kept)


def test_it_is_mapped_from_the_disk(tmp_path: Path, expert: Path, decoder: dict[str, torch.Tensor]) -> None:
    found = made(expert, decoder, tmp_path)
    address = found["layers.1.mlp.down_proj.weight"].data_ptr()
    spans = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    files = [part[-1] for part in spans if int(part[0].partition("-")[0], 16) <= address < int(part[0].partition("-")[2], 16)]
    assert files == [str(found.folder / "delta.safetensors")]


def test_differences_of_zero_and_such_as_are_not_finite_are_left_out_and_counted(
    tmp_path: Path, expert: Path, decoder: dict[str, torch.Tensor]
) -> None:
    same, broken = "layers.0.self_attn.q_proj.weight", "layers.1.mlp.gate_proj.weight"
    infinite = torch.full((64, 32), float("inf"))
    other = experts.changed(
        expert, tmp_path / "other", layers__0__self_attn__q_proj__weight=decoder[same].detach(), layers__1__mlp__gate_proj__weight=infinite
    )
    found = made(other, decoder, tmp_path)
    assert found.skipped == (same, broken)
    assert same not in found
    assert broken not in found
    assert len(found) == 18
    last = found.names[-1]
    assert torch.equal(found[last], experts.weights(other)[last] - decoder[last].detach())
    assert found.line().startswith(f"20 weights matched, 2 without a difference (0, or not finite) (such as {same}); distance ")


def test_a_bias_that_the_expert_lacks_counts_as_zero_where_biases_are_wanted(
    tmp_path: Path, vlm: Path, expert: Path, decoder: dict[str, torch.Tensor]
) -> None:
    name = "layers.0.self_attn.q_proj.bias"
    other = experts.changed(expert, tmp_path / "other", layers__0__self_attn__q_proj__bias=None)
    ours = decoder | {name: torch.full_like(decoder[name], 0.5)}
    found = made(other, ours, tmp_path)
    assert found.zeroed == (name,)
    assert torch.equal(found[name], torch.full((32,), -0.5))
    assert not any(each.endswith(".bias") for each in made(other, ours, tmp_path, bias=False).names)


def test_a_tied_head_is_the_embedding_and_one_of_other_words_is_left_out(
    tmp_path: Path, vlm: Path, decoder: dict[str, torch.Tensor]
) -> None:
    tied = experts.text_model(tmp_path / "tied", vlm, tie_word_embeddings=True)
    assert "lm_head.weight" not in experts.weights(tied)
    words = choose_modules(["embed", "head"])
    head = torch.ones_like(decoder["embed_tokens.weight"])
    found = made(tied, decoder | {"lm_head.weight": head}, tmp_path, wanted=words)
    assert torch.equal(found["lm_head.weight"], experts.weights(tied)["embed_tokens.weight"] - head)
    more = made(tied, decoder | {"lm_head.weight": torch.ones(7, 32)}, tmp_path, wanted=words)
    assert (more.names, more.mismatched) == (("embed_tokens.weight",), ("lm_head.weight",))


def fused(folder: Path, vlm: Path) -> Path:
    like = AutoConfig.from_pretrained(vlm).get_text_config()
    config = Phi3Config(**{name: getattr(like, name) for name in experts.SIZES} | {"pad_token_id": 0})
    Phi3ForCausalLM(config).save_pretrained(folder)
    return folder


def strange(folder: Path, vlm: Path) -> Path:
    config = GPTNeoXConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, vocab_size=100)
    GPTNeoXForCausalLM(config).save_pretrained(folder)
    return folder


def quantised(folder: Path, vlm: Path) -> Path:
    experts.text_model(folder, vlm)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "gptq"}}))
    return folder


def in_bytes(folder: Path, vlm: Path) -> Path:
    whole = experts.text_model(folder.with_name("whole"), vlm)
    return experts.changed(whole, folder, layers__0__mlp__up_proj__weight=torch.zeros(64, 32, dtype=torch.int8))


def of_other_words(folder: Path, vlm: Path) -> Path:
    experts.text_model(folder, vlm)
    held = json.loads((folder / "tokenizer.json").read_text())
    turned = {word: len(held["model"]["vocab"]) - number for word, number in held["model"]["vocab"].items()}
    held["model"]["vocab"] = turned
    (folder / "tokenizer.json").write_text(json.dumps(held))
    return folder


def cut_short(folder: Path, vlm: Path) -> Path:
    file = experts.text_model(folder, vlm) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-50])
    return folder


def equal(folder: Path, vlm: Path) -> Path:
    text = experts.text_model(folder.with_name("text"), vlm)
    own = {name.replace(".", "__"): weight for name, weight in experts.weights(vlm).items()}
    return experts.changed(text, folder, **own)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (fused, "it keeps q, k and v in one matrix ('layers.0.self_attn.qkv_proj.weight'), and the student apart"),
        (strange, "it keeps q, k and v in one matrix ('layers.0.attention.query_key_value.weight'), and the student apart"),
        (quantised, "is quantised; take the model that it was made of"),
        (in_bytes, "the weight 'model.layers.0.mlp.up_proj.weight' is of type 'I8'; weights of BF16, F16, F32, F64 can be read"),
        (cut_short, "are broken: a tensor lies outside of it; fetch them again"),
        (equal, "has no weight that differs from those it is compared with; take another expert"),
    ],
)  # fmt: skip
def test_an_expert_that_cannot_be_compared_is_refused_with_a_line(
    tmp_path: Path, vlm: Path, decoder: dict[str, torch.Tensor], make: Any, said: str
) -> None:
    expert = make(tmp_path / "expert", vlm)
    with pytest.raises(PipelineError) as told:
        made(expert, decoder, tmp_path, key="train.stages[0].prior.expert")
    assert str(told.value).startswith("train.stages[0].prior.expert: ")
    assert said in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"hidden_size": 64}, "hidden_size 64 where the student has 32"),
        ({"num_key_value_heads": 2}, "num_key_value_heads 2 where the student has 1"),
        ({"num_attention_heads": 4}, "head_dim 8 where the student has 16, num_attention_heads 4 where the student has 2"),
        ({"num_hidden_layers": 1}, "num_hidden_layers 1 where the student has 2"),
    ],
)
def test_one_of_another_shape_or_head_layout_is_told_by_its_configuration(
    tmp_path: Path, vlm: Path, decoder: dict[str, torch.Tensor], changed: dict[str, int], said: str
) -> None:
    expert = experts.text_model(tmp_path / "expert", vlm, **changed)
    with pytest.raises(PipelineError, match="is not of the shape of the student's language model") as told:
        made(expert, decoder, tmp_path, student=vlm)
    assert said in str(told.value)


def test_one_of_another_vocabulary_is_refused_by_its_tokenizer(tmp_path: Path, vlm: Path, decoder: dict[str, torch.Tensor]) -> None:
    expert = of_other_words(tmp_path / "expert", vlm)
    with pytest.raises(PipelineError, match=r"its vocabulary is another: [0-9]+ of [0-9]+ words have the same number in the student's"):
        made(expert, decoder, tmp_path, student=vlm)
    (expert / "tokenizer.json").unlink()
    assert made(expert, decoder, tmp_path, student=vlm)
    other = experts.text_model(tmp_path / "longer", vlm, vocab_size=500)
    assert made(other, decoder, tmp_path, student=vlm), "the same words, and room for more"
    (other / "tokenizer.json").unlink()
    with pytest.raises(PipelineError, match=r"its vocabulary is of another size, and no tokenizer.json tells"):
        made(other, decoder, tmp_path, student=vlm)


def test_a_model_without_the_students_names_and_a_choice_of_nothing_are_told(
    tmp_path: Path, vlm: Path, decoder: dict[str, torch.Tensor], expert: Path
) -> None:
    with pytest.raises(PipelineError, match="no weight of the student's language model is chosen; look at modules and layers"):
        made(expert, decoder, tmp_path, wanted=choose_modules(["mlp"], layers=[9]))
    renamed = {name.replace("layers.", "stack."): weight for name, weight in decoder.items()}
    with pytest.raises(PipelineError, match=r"none of the student's 14 weights, such as 'stack.0.self_attn.q_proj.weight', is in "):
        made(expert, renamed, tmp_path)
