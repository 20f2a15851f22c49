"""The names of TRL and transformers that are nowhere promised and that cotforge uses: each is there, and does what is relied on."""

import ast
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from json import dumps, loads
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any, Self
from urllib.request import Request, urlopen

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, PreTrainedConfig, Trainer
from transformers.core_model_loading import Chunk, WeightConverter
from trl import DPOTrainer, GRPOTrainer, SFTTrainer
from trl.generation.vllm_client import VLLMClient, parse_logprobs
from trl.generation.vllm_generation import VLLMGeneration

import cotforge
from cotforge.errors import PipelineError
from cotforge.train import trl_seam, versions, vllm_seam
from cotforge.train.students import tiny
from cotforge.train.trl_seam import GrpoHooks, Resuming, Sampled, SftHooks
from tests import squares

TRAIN = Path(cotforge.__file__).parent / "train"
TRAINERS = (SFTTrainer, DPOTrainer, GRPOTrainer)

METHODS = {
    (Trainer, "_load_from_checkpoint"): ["self", "resume_from_checkpoint", "model"],
    (Trainer, "_load_rng_state"): ["self", "checkpoint"],
    (Trainer, "_get_train_sampler"): ["self", "train_dataset"],
    (Trainer, "create_optimizer"): ["self", "model"],
    (Trainer, "training_step"): ["self", "model", "inputs", "num_items_in_batch"],
    (SFTTrainer, "training_step"): ["self", "args", "kwargs"],
    (Trainer, "get_batch_samples"): ["self", "epoch_iterator", "num_batches", "device"],
    (GRPOTrainer, "_get_train_sampler"): ["self", "dataset"],
    (GRPOTrainer, "_generate_and_score_completions"): ["self", "inputs"],
    (GRPOTrainer, "_generate"): ["self", "prompts"],
    (GRPOTrainer, "_calculate_rewards"): ["self", "inputs", "prompts", "completions", "completion_ids_list"],
    (GRPOTrainer, "_tokenize_prompts"): ["self", "prompts"],
    (GRPOTrainer, "_generate_single_turn"): [
        "self",
        "prompt_ids",
        "images",
        "multimodal_fields",
        "num_generations",
        "has_tool_images",
    ],
    (VLLMGeneration, "generate"): ["self", "prompts", "images", "num_generations", "profiler"],
    (VLLMGeneration, "_place_features"): ["self", "features", "prompt_ids"],
    (GRPOTrainer, "_compute_loss"): ["self", "model", "inputs"],
    (GRPOTrainer, "create_model_card"): ["self", "model_name", "dataset_name", "tags"],
}
"""Of whom which method is overridden or called, and its parameters."""

ATTRIBUTES = {
    "_total_train_tokens": (SFTTrainer, DPOTrainer),
    "_train_batch_size": (Trainer,),
    "is_fsdp_enabled": (Trainer,),
    "_metrics": TRAINERS,
    "_logs": (GRPOTrainer,),
    "_pending_extra_logs": (GRPOTrainer,),
    "_pending_metrics": (GRPOTrainer,),
    "use_vllm": (GRPOTrainer,),
    "vllm_mode": (GRPOTrainer,),
    "vllm_generation": (GRPOTrainer,),
}
"""Which attribute is read, and whose constructor makes it."""


def said(token: int, logprob: float) -> dict[str, Any]:
    return {"token": f"token_id:{token}", "logprob": logprob, "top_logprobs": []}


class Session:
    """As much of a session of `requests` (which only trl[vllm] brings) as the client needs; that makes JSON in the same way."""

    def post(self, url: str, json: Any) -> Any:
        request = Request(url, dumps(json).encode(), {"Content-Type": "application/json"})
        with urlopen(request, timeout=60) as response:
            text = response.read()
        return SimpleNamespace(status_code=200, json=lambda: loads(text))


class Server:
    """Answers as vLLM's `/inference/v1/generate` does, and keeps what it was asked."""

    def __enter__(self) -> Self:
        asked = self.asked = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked.append((self.path, loads(self.rfile.read(int(self.headers["Content-Length"])))))
                choices = [{"token_ids": [token, 2], "logprobs": {"content": [said(token, -0.5), said(2, -0.25)]}} for token in (5, 6)]
                body = dumps({"choices": choices}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@cache
def source(of: Any) -> str:
    """All of a class as it is written, with those it stands on up to transformers' own."""
    return "\n".join(inspect.getsource(each) for each in of.__mro__ if each.__module__.partition(".")[0] in ("trl", "transformers"))


@pytest.mark.parametrize(("owner", "name"), METHODS, ids=[f"{owner.__name__}.{name}" for owner, name in METHODS])
def test_a_method_that_is_overridden_has_the_parameters_that_it_is_given(owner: type, name: str) -> None:
    assert [*inspect.signature(getattr(owner, name)).parameters] == METHODS[owner, name]


def test_log_probabilities_come_first_of_what_the_forward_pass_gives() -> None:
    """`after_loss` is given the first of them; the parameters are handed on as they come."""
    found = inspect.getsource(GRPOTrainer._get_per_token_logps_and_entropies)
    assert "return logps, entropies, aux_loss" in found
    assert "self._get_per_token_logps_and_entropies(" in inspect.getsource(GRPOTrainer._compute_loss)


def test_the_batches_of_a_step_are_taken_in_one_call_and_the_fused_head_gives_what_losses_of_rows_are_made_of() -> None:
    """`chosen` stands in for the loader's batches; `after_losses` is told of log-probabilities that are 0 where nothing is learned."""
    assert "self.get_batch_samples(epoch_iterator, num_batches, self.args.device)" in inspect.getsource(Trainer)
    assert "next(epoch_iterator)" in inspect.getsource(Trainer.get_batch_samples)
    loss = inspect.getsource(SFTTrainer.compute_loss)
    assert "-outputs.log_probs  # zero on ignored positions" in loss
    assert "outputs.label_mask.sum()" in loss


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_an_attribute_that_is_read_is_made_by_its_trainer(name: str) -> None:
    for owner in ATTRIBUTES[name]:
        assert f"self.{name} = " in source(owner) or f"self.{name}: " in source(owner), owner


@pytest.mark.parametrize("owner", TRAINERS)
def test_a_checkpoint_is_resumed_by_the_methods_that_are_overridden(owner: Any) -> None:
    text = source(owner)
    assert "self._load_from_checkpoint(resume_from_checkpoint" in text
    assert "self._load_rng_state(resume_from_checkpoint)" in text
    assert "self.create_model_card(" in text


def test_columns_of_a_rollout_stand_where_they_are_looked_for() -> None:
    text = source(GRPOTrainer)
    for column in ("extra", "rewards", "advantages"):
        assert f'self._logs["{column}"]' in text
    assert 'self._metrics[mode]["frac_reward_zero_std"].append(' in text


def test_what_is_generated_has_the_parts_that_are_named() -> None:
    """A rollout takes completions that are made already, and rewards are asked about them by place."""
    parts = ", ".join(Sampled._fields)
    assert f"return {parts}\n" in inspect.getsource(GRPOTrainer._generate)
    whole = inspect.getsource(GRPOTrainer._generate_and_score_completions)
    assert ") = self._generate(prompts)" in whole
    assert "self._calculate_rewards(inputs, prompts, completions, completion_ids_list)" in whole
    assert "rewards_per_func = gather(rewards_per_func)" in inspect.getsource(GRPOTrainer._calculate_rewards)
    assert 'self._metrics[mode]["num_tokens"] = [' in inspect.getsource(GRPOTrainer._generate)


def test_vllm_is_asked_by_name_and_what_it_made_of_the_prompts_comes_first() -> None:
    words = "".join(inspect.getsource(GRPOTrainer._generate_single_turn).split())
    assert "_,completion_ids,logprobs,_=self.vllm_generation.generate(prompts=prompt_ids,images=images,num_generations=" in words
    assert "return prompt_ids, completion_ids, logprobs, logprob_token_ids" in inspect.getsource(VLLMGeneration.generate)
    assert "self._place_features(prompt_features, prompt_ids)" in inspect.getsource(VLLMGeneration.generate)


def test_a_server_that_makes_other_numbers_of_tokens_of_a_picture_is_told_of() -> None:
    features = {"mm_placeholders": {"image": [{"offset": 1, "length": 2}, {"offset": 9, "length": 3}]}}
    there = type("Place", (), {"processing_class": type("Words", (), {"image_token_id": 7})})()

    def place(features: Any, prompt_ids: list[int]) -> Any:
        return VLLMGeneration._place_features(there, features, prompt_ids)

    found = vllm_seam.placed_alike(place, features, [1, 7, 7, 2, 7, 7, 7, 3])
    assert found["mm_placeholders"]["image"] == [{"offset": 1, "length": 2}, {"offset": 4, "length": 3}]
    assert vllm_seam.placed_alike(place, None, [1]) is None
    with pytest.raises(
        PipelineError, match=r"the server makes \[2, 3\] tokens of a prompt's pictures, and the student's processor makes \[2, 2\]"
    ):
        vllm_seam.placed_alike(place, features, [1, 7, 7, 2, 7, 7, 3])


@pytest.mark.parametrize("make", [tiny.make_llava, tiny.make_idefics3, tiny.make_qwen])
def test_weights_go_to_vllm_under_the_names_of_the_students_files(make: Callable[..., Path], tmp_path: Path) -> None:
    assert inspect.getsource(VLLMGeneration.sync_weights).count("self._iter_named_params()") == 4  # all that is sent goes through it
    folder = make(tmp_path, squares.TEXTS, squares.SIZE)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    assert hasattr(model, "_weight_conversions")
    in_files = load_file(folder / "model.safetensors")
    sent = dict(vllm_seam.named_as_saved(model, model.named_parameters()))
    assert sent.keys() == in_files.keys()
    assert all(weight.equal(in_files[name]) for name, weight in sent.items())


def test_weights_that_are_one_in_the_file_are_sent_as_one() -> None:
    class Model(torch.nn.Module):
        config = None
        _weight_conversions = (WeightConverter("whole", ["first", "second"], [Chunk(dim=0)]),)

    one, other = torch.ones(2, 3), torch.zeros(2, 3)
    sent = dict(vllm_seam.named_as_saved(Model(), [("first", one), ("beside", other), ("second", other)]))
    assert sent["whole"].equal(torch.cat([one, other]))
    assert sent.keys() == {"whole", "beside"}


def test_tokens_of_a_reply_get_the_names_that_trl_reads() -> None:
    assert "self._post(" in inspect.getsource(VLLMClient.generate)
    newer = {"token_id": 5, "logprob": -0.5, "top_logprobs": [{"token_id": 6, "logprob": -0.7}]}
    reply = {"choices": [{"token_ids": [5], "logprobs": {"content": [newer]}}, {"token_ids": [5], "logprobs": None}]}
    named = vllm_seam.tokens_named(lambda url, json: reply, "http://127.0.0.1", json={})
    logprobs, tokens = parse_logprobs([named["choices"][0]["logprobs"]])
    assert (logprobs, tokens) == ([[[-0.5, -0.7]]], [[[5, 6]]])


def test_muted_tokens_arrive_at_a_server_of_vllms_as_numbers() -> None:
    """JSON knows texts as keys alone: TRL's client sends them over a real socket, and they are read as vLLM's SamplingParams reads them."""
    with Server() as server:
        client = VLLMClient.__new__(VLLMClient)  # its constructor wants vllm to be installed
        client.session, client.base_url, client.model = Session(), server.url, "student"
        made = client.generate(
            [[1, 7, 7]], features=[{"mm_placeholders": {}}], n=2, logprobs=0, generation_kwargs={"logit_bias": {7: -100.0, 11: -100.0}}
        )
    (path, body) = server.asked[0]
    assert path == "/inference/v1/generate"
    assert {int(token): bias for token, bias in body["sampling_params"]["logit_bias"].items()} == {7: -100.0, 11: -100.0}
    assert (body["token_ids"], body["sampling_params"]["n"]) == ([1, 7, 7], 2)
    assert (made["completion_ids"], made["logprobs"]) == ([[5, 2], [6, 2]], [[[-0.5], [-0.25]]] * 2)


def test_a_rollout_is_made_by_the_method_that_is_overridden_and_only_there() -> None:
    assert inspect.getsource(GRPOTrainer._prepare_inputs).count("self._generate_and_score_completions(") == 2  # to train, and to evaluate
    assert "self._tokenize_prompts(prompts)" in inspect.getsource(GRPOTrainer._generate)


def test_a_loss_is_computed_from_log_probabilities_and_tokens_are_counted_by_the_mask() -> None:
    assert "outputs = model(**inputs, fused_lm_head=True)" in inspect.getsource(SFTTrainer.compute_loss)
    assert "outputs.log_probs" in inspect.getsource(SFTTrainer.compute_loss)
    assert 'inputs["attention_mask"].sum()' in inspect.getsource(SFTTrainer.compute_loss)
    assert "self._prepare_inputs(inputs)" in inspect.getsource(Trainer.training_step)
    assert PreTrainedConfig(attn_implementation="sdpa")._attn_implementation == "sdpa"


def test_the_gradient_of_a_step_is_whole_after_its_last_pass_and_clipped_after_that() -> None:
    text = inspect.getsource(Trainer)
    places = [
        text.index(line)
        for line in (
            "self.accelerator.gradient_state._set_sync_gradients(do_sync_step)",
            "tr_loss_step = self.training_step(model, inputs, num_items_in_batch)",
            "grad_norm = self._clip_grad_norm(model)",
            "self.callback_handler.on_pre_optimizer_step(",
            "self.optimizer.step()",
        )
    ]
    assert places == sorted(places)
    assert "sum(val) / len(val) for key, val in self._metrics[mode].items()" in inspect.getsource(SFTTrainer.log)


def test_functions_and_tables_are_there() -> None:
    assert list(inspect.signature(trl_seam.prepare_multimodal_messages).parameters) == ["messages", "images"]
    assert [*inspect.signature(trl_seam.apply_chat_template).parameters][:2] == ["example", "processing_class"]
    assert {"tensorboard", "wandb"} <= trl_seam.INTEGRATION_TO_CALLBACK.keys()


@pytest.mark.parametrize(("hooks", "owner"), [(Resuming, DPOTrainer), (SftHooks, SFTTrainer), (GrpoHooks, GRPOTrainer)])
def test_our_own_names_are_not_taken_by_a_trainer(hooks: type, owner: type) -> None:
    ours = {name for each in hooks.__mro__[:-1] for name, value in vars(each).items() if callable(value) and name[0] != "_"}
    meant = {"create_model_card", "create_optimizer", "compute_loss", "get_batch_samples", "training_step"}
    assert {name for name in ours if hasattr(owner, name) or f"self.{name} =" in source(owner)} <= meant
    assert "self.masked" not in source(owner)
    made = (
        "_logps_BT",
        "_waiting",
        "_short",
        "_newest_prompts",
        "at_once",
        "_generate_short",
        "_row_losses",
        "wants_losses",
        "chooses_rows",
    )
    assert [name for name in made if name in source(owner)] == []


def private_names(file: Path) -> Iterator[tuple[int, str]]:
    """Private attributes in a module that it defines nowhere itself."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            own.add(node.target.id)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            own.add(node.attr)
    for node in ast.walk(tree):
        private = isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
        if private and node.attr not in own and ast.unparse(node) != "os._exit":  # documented, its name notwithstanding
            yield node.lineno, node.attr


def methods(file: Path) -> Iterator[str]:
    return (node.name for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef))


def test_no_other_module_uses_a_private_name_of_a_library() -> None:
    others = [file for file in TRAIN.rglob("*.py") if file.name not in ("trl_seam.py", "vllm_seam.py")]
    assert len(others) > 30
    used = [f"{file.relative_to(TRAIN)}:{line}: {name}" for file in others for line, name in private_names(file)]
    assert used == []
    theirs = {name for owner in TRAINERS for name in dir(owner) if name.startswith("_") and not name.startswith("__")}
    assert [f"{file.relative_to(TRAIN)}: {name}" for file in others for name in methods(file) if name in theirs] == []


def test_every_private_name_that_the_seam_uses_is_tested_here() -> None:
    text = "\n".join(Path(str(seam.__file__)).read_text(encoding="utf-8") for seam in (trl_seam, vllm_seam))
    nodes = list(ast.walk(ast.parse(text)))
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute) and node.attr.startswith("_")} - {"__init__", "_replace"}
    used |= {node.name for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("_")}
    here = Path(__file__).read_text(encoding="utf-8")
    assert {name for name in used if name not in here} == set()


def test_a_library_out_of_range_is_one_line_with_what_to_install() -> None:
    wanted = ["accelerate>=1.15", "transformers>=5.23,<5.24", "trl>=1.16,<1.17"]
    there = {"transformers": "5.23.4", "trl": "1.16.0", "accelerate": "1.0"}
    assert versions.out_of_range(wanted, there.__getitem__) == []
    there["trl"] = "1.17.0"
    (line,) = versions.out_of_range([*wanted, "trl<1.17,>=1.16"], there.__getitem__)
    assert line == "trl 1.17.0 is installed; cotforge is made for trl<1.17,>=1.16: pip install 'trl<1.17,>=1.16'"


def test_a_library_that_is_not_installed_is_no_fault() -> None:
    assert versions.out_of_range(["trl>=99"], lambda name: (_ for _ in ()).throw(versions.PackageNotFoundError(name))) == []


def test_what_is_installed_here_is_in_range() -> None:
    done = subprocess.run([sys.executable, "-m", "cotforge.train.versions"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(any(line.startswith(name) and "<" in line for line in versions.wanted_releases()) for name in versions.BOUND)
