"""Teachers in processes of our own, with a real model that is small enough to be made here."""

import asyncio
import hashlib
import io
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import psutil
import pytest
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from cotforge.errors import TeacherError
from cotforge.records import Call, Fault, Picture, Reply, Sample
from cotforge.replies.attempt import Attempt
from cotforge.teachers.kinds import AnyTeacher
from cotforge.teachers.local import Local
from cotforge.teachers.local.engine import Asking, Generation, Unfit
from cotforge.teachers.local.spec import LocalTeacher
from cotforge.teachers.local.worker import Desk, Inbox
from tests.project import environment

SKIPPED = "a local teacher needs the extra 'transformers'"
COLOURS = ("red", "green", "blue", "white")
QUESTION = "What colour is this?"


def jpeg(colour: str, side: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(buffer, "JPEG")
    return buffer.getvalue()


def picture(data: bytes, file: str | None = None) -> Picture:
    return Picture(hashlib.sha256(data).hexdigest(), "image/jpeg", 40, 40, len(data), lambda: data, file)


def call(*pictures: Picture, text: str = QUESTION, index: int = 0) -> Call:
    content = [*({"type": "image", "digest": each.digest} for each in pictures), {"type": "text", "text": text}]
    return Call("00" * 32, Sample("1", pictures, text), "tiny", "tiny", index, ({"role": "user", "content": content},))


def teacher(model: Path | str, **fields: Any) -> LocalTeacher:
    given = {"name": "tiny", "model": str(model), "kind": "transformers", "temperature": 0, "max_tokens": 60, "gpus": [], **fields}
    made = TypeAdapter(AnyTeacher).validate_python(given)
    assert isinstance(made, LocalTeacher)
    return made


async def ask(local: Local, call: Call, timeout: float = 100.0) -> Attempt:
    return await local.ask(call, None, "cpu", number=7, timeout=lambda: timeout)


def reply(ended: Attempt) -> Reply:
    assert ended.error is None, ended
    return ended.reply


# the engine


@pytest.fixture(scope="module")
def engine(vlm: Path) -> Callable[..., Any]:
    """The engine in this process."""

    def loaded(**fields: Any) -> Any:
        from cotforge.teachers.local.transformers import load_model

        return load_model(teacher(vlm, **fields), str(vlm))

    return loaded


def asking(id: int, *images: bytes, text: str = QUESTION, **fields: Any) -> Asking:
    pictures = {hashlib.sha256(image).hexdigest(): image for image in images}
    content = [*({"type": "image", "digest": digest} for digest in pictures), {"type": "text", "text": text}]
    return Asking(id, ({"role": "user", "content": content},), pictures, **{"temperature": 0.0, "max_tokens": 60, **fields})


def answers(engine: Any, *askings: Asking) -> dict[int, Generation]:
    found: dict[int, Generation] = {}
    for each in askings:
        try:
            engine.add(each)
        except Fault as fault:
            found[each.id] = Generation(each.id, error=fault.reason)
    while len(found) < len(askings):
        found |= {said.id: said for said in engine.step()}
    return found


def alone(vlm: Path, asking: Asking) -> str:
    """What transformers says by itself."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor, model = AutoProcessor.from_pretrained(vlm), AutoModelForImageTextToText.from_pretrained(vlm, dtype="float32")
    pictures = [{"type": "image", "image": Image.open(io.BytesIO(image))} for image in asking.images.values() if isinstance(image, bytes)]
    chat = [{"role": "user", "content": [*pictures, asking.messages[0]["content"][-1]]}]
    inputs = processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt")
    tokens = model.generate(**inputs, max_new_tokens=asking.max_tokens, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    return str(processor.tokenizer.decode(tokens)).removesuffix("<|im_end|>")


LONG = "Look at the picture and tell what colour it has. " * 20


@pytest.fixture(scope="module")
def varied() -> list[Asking]:
    """Short and long prompts, and none, one and three pictures."""
    texts = ("Hi", QUESTION, LONG, "What do you see in the image?")
    one = [asking(number, jpeg(COLOURS[number % 4]), text=texts[number % 3]) for number in range(8)]
    return [*one, asking(8, *map(jpeg, COLOURS[:3])), asking(9, jpeg("white"), jpeg("red")), asking(10)]


def test_answers_are_those_that_transformers_gives_by_itself(engine: Callable[..., Any], vlm: Path, varied: list[Asking]) -> None:
    said = answers(engine(concurrency=4), *varied)
    assert {id: each.content for id, each in said.items()} == {each.id: alone(vlm, each) for each in varied}
    assert len({each.content for each in said.values()}) >= 4


def test_a_batch_gives_the_same_as_one_at_a_time(engine: Callable[..., Any], varied: list[Asking]) -> None:
    assert answers(engine(concurrency=32), *varied) == answers(engine(concurrency=1), *varied)


def test_tokens_are_counted_and_a_text_that_ended_by_itself_says_so(engine: Callable[..., Any]) -> None:
    from tests.tiny_vlm import SAYINGS

    loaded = engine()
    said = answers(loaded, asking(1, jpeg("red")))[1]
    assert (said.content, said.finish_reason) == (SAYINGS["red"], "stop")
    assert said.output_tokens == len(loaded.processor.tokenizer(SAYINGS["red"])["input_ids"]) + 1
    assert said.input_tokens == 4 + len(
        loaded.processor.tokenizer(f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n")["input_ids"]
    )


def test_a_text_cut_off_by_max_tokens_says_length(engine: Callable[..., Any]) -> None:
    said = answers(engine(), asking(1, jpeg("red"), max_tokens=3))[1]
    assert (said.finish_reason, said.output_tokens) == ("length", 3)


def test_no_max_tokens_is_the_room_that_the_model_has(engine: Callable[..., Any]) -> None:
    assert answers(engine(), asking(1, jpeg("white"), max_tokens=None))[1].content.endswith("<answer>white</answer>")


def test_a_stop_string_ends_a_text_and_is_no_part_of_it(engine: Callable[..., Any]) -> None:
    found = answers(engine(), *(asking(id, jpeg(colour), body={"stop": ["</think>"]}) for id, colour in enumerate(COLOURS)))
    assert {said.finish_reason for said in found.values()} == {"stop"}
    assert [said.content[:7] + said.content[-1] for said in found.values()] == ["<think>."] * 4


def test_what_is_drawn_by_a_seed_of_its_own_is_the_same_whatever_is_answered_beside_it(engine: Callable[..., Any]) -> None:
    many = [asking(id, jpeg(COLOURS[id % 2]), temperature=3.0, seed=id // 4) for id in range(12)]
    together = answers(engine(concurrency=12), *many)
    assert together == answers(engine(concurrency=5), *reversed(many))
    said = [together[id].content for id in range(12)]
    assert all(said[id] == said[id + 2] for id in range(12) if id % 4 < 2)  # of the same picture and seed
    assert len({*said}) >= 4


def test_a_temperature_draws_and_a_seed_draws_the_same(engine: Callable[..., Any]) -> None:
    many = [asking(id, jpeg("red"), temperature=5.0) for id in range(8)]
    first = answers(engine(body={"seed": 1}), *many)
    assert len({said.content for said in first.values()}) == 8
    assert first == answers(engine(body={"seed": 1}), *many)
    assert (
        len(
            {
                said.content
                for said in answers(engine(), *(asking(id, jpeg("red"), temperature=5.0, body={"top_k": 1}) for id in range(8))).values()
            }
        )
        == 1
    )


@pytest.mark.parametrize("broken", [b"", b"no picture", jpeg("red", 400)[:-900]])
def test_an_unreadable_picture_fails_its_request_alone(engine: Callable[..., Any], broken: bytes) -> None:
    found = answers(engine(), *(asking(id, broken if id == 2 else jpeg("red")) for id in range(5)))
    assert [found[id].error for id in range(5)] == ["", "", "image_unreadable", "", ""]


def test_a_request_that_the_model_cannot_take_fails_alone(engine: Callable[..., Any]) -> None:
    texts = {2: "a word that stands for a picture: <image>", 3: LONG * 10}
    found = answers(engine(), *(asking(id, jpeg("red"), text=texts.get(id, QUESTION)) for id in range(5)))
    assert [found[id].error for id in range(5)] == ["", "", "engine_error", "too_long", ""]
    assert not any(said.passing for said in found.values())


def test_a_batch_that_does_not_fit_is_halved_until_it_does(engine: Callable[..., Any]) -> None:
    import torch

    def small(module: object, args: object, inputs: dict[str, Any]) -> None:
        if inputs["input_ids"].shape[0] > 3:
            raise torch.OutOfMemoryError("too much")

    loaded = engine(concurrency=8)
    plain = answers(loaded, *(asking(id, jpeg(COLOURS[id % 4])) for id in range(16)))
    loaded.model.register_forward_pre_hook(small, with_kwargs=True)
    assert answers(loaded, *(asking(id, jpeg(COLOURS[id % 4])) for id in range(16))) == plain
    assert loaded.batch == 2


def test_what_fits_into_no_batch_is_told(engine: Callable[..., Any]) -> None:
    import torch

    def never(module: object, args: object, inputs: dict[str, Any]) -> None:
        if inputs["input_ids"].shape[1] > 100:
            raise torch.OutOfMemoryError("too much")

    loaded = engine(concurrency=4)
    loaded.model.register_forward_pre_hook(never, with_kwargs=True)
    found = answers(loaded, *(asking(id, jpeg("red"), text=LONG if id == 1 else QUESTION) for id in range(4)))
    assert [found[id].error for id in range(4)] == ["", "out_of_memory", "", ""]
    assert loaded.batch > 1


def test_a_dropped_request_is_forgotten(engine: Callable[..., Any]) -> None:
    loaded = engine()
    for id in range(3):
        loaded.add(asking(id, jpeg("red")))
    loaded.drop(1)
    loaded.drop(77)
    found: list[Generation] = []
    while len(found) < 2:
        found += loaded.step()
    assert sorted(said.id for said in found) == [0, 2]


# the worker


class Slow:
    """An engine that answers what waits one by one, oldest first, and cannot stand the number 1."""

    def __init__(self) -> None:
        self.waiting: list[Asking] = []

    def add(self, asking: Asking) -> None:
        if asking.id == 1:
            raise RuntimeError("one")
        if asking.images and not all(isinstance(image, bytes) for image in asking.images.values()):
            raise Fault("image_unreadable", "no bytes")
        self.waiting.append(asking)

    def drop(self, id: int) -> None:
        self.waiting = [each for each in self.waiting if each.id != id]

    def step(self) -> list[Generation]:
        each = self.waiting.pop(0)
        seed = "" if each.seed is None else f", seed {each.seed}"
        return [Generation(each.id, f"{len(each.images)} pictures at {each.temperature}{seed}")]

    def close(self) -> None:
        self.waiting.clear()


def test_a_worker_answers_all_but_what_was_dropped_and_a_request_that_fails_fails_alone() -> None:
    inbox: Inbox = SimpleQueue()
    told: list[Generation] = []

    def say(said: Generation) -> None:
        told.append(said)
        if len(told) == 5:
            inbox.put(None)

    def ask(id: int, *digests: str) -> None:
        inbox.put(("ask", id, ({"role": "user", "content": [{"type": "image", "digest": digest} for digest in digests]},)))

    inbox.put(("picture", "a", b"a"))
    inbox.put(("picture", "b", "/b"))
    ask(0, "a")
    ask(1)
    ask(2)
    ask(3, "b")
    inbox.put(("drop", 2))
    inbox.put(("forget", "a"))
    ask(4, "a")
    inbox.put(("ask", 5, ({"role": "user", "content": []},), 7))
    Desk(Slow(), teacher("x", temperature=0.5), say).serve(inbox)
    assert [(said.id, said.content or said.error) for said in sorted(told, key=lambda said: said.id)] == [
        (0, "1 pictures at 0.5"), (1, "engine_error"), (3, "image_unreadable"), (4, "engine_error"), (5, "0 pictures at 0.5, seed 7"),
    ]  # fmt: skip


# the processes


def family() -> list[psutil.Process]:
    """The processes that this one has started, and those that they have."""
    return psutil.Process().children(recursive=True)


@pytest.fixture(scope="module")
def local(vlm: Path) -> Iterator[Callable[..., Any]]:
    """One teacher, named by its folder beside the pipeline file; call it with what is to be awaited with it."""
    with asyncio.Runner() as runner:
        loaded = Local(teacher(vlm.name), vlm.parent)
        runner.run(loaded.__aenter__())
        yield lambda work: runner.run(work(loaded))
        runner.run(loaded.__aexit__())


def test_a_reply_is_kept_as_a_chat_completion(local: Callable[..., Any], vlm: Path) -> None:
    from tests.tiny_vlm import SAYINGS

    ended: Attempt = local(lambda loaded: ask(loaded, call(picture(jpeg("red")))))
    stored = ended
    assert reply(ended).content == SAYINGS["red"]
    assert json.loads(stored.body)["model"] == vlm.name
    assert (stored.number, stored.key, stored.status, stored.final, stored.max_tokens) == (7, bytes(32), 200, True, 60)
    assert (stored.finish_reason, stored.cost_usd, stored.detail) == ("stop", 0.0, "")
    assert stored.input_tokens > 10
    assert stored.output_tokens > 5


def test_a_picture_goes_by_reference_where_it_has_a_file_and_a_bad_one_fails_its_call_alone(
    local: Callable[..., Any], tmp_path: Path
) -> None:
    from tests.tiny_vlm import SAYINGS

    def never() -> bytes:
        raise AssertionError("a picture with a file is not loaded here")

    def by_reference(colour: str) -> Picture:
        (tmp_path / colour).write_bytes(jpeg(colour))
        return replace(picture(jpeg(colour), str(tmp_path / colour)), load=never)

    def gone() -> bytes:
        raise Fault("image_missing", "image: 'x.jpg': no such file")

    async def asked(loaded: Local) -> list[Attempt]:
        pictures = [*map(by_reference, COLOURS), picture(jpeg("blue")), picture(b"nothing"), replace(picture(b"gone"), load=gone)]
        (tmp_path / "white").write_bytes(jpeg("red", 50))
        return await asyncio.gather(*(ask(loaded, call(each, index=index)) for each in pictures for index in range(2)))

    ended: list[Attempt] = local(asked)
    for number, colour in ((0, "red"), (2, "green"), (4, "blue"), (8, "blue")):
        assert [reply(each).content for each in ended[number : number + 2]] == [SAYINGS[colour]] * 2
    lost = [(each.error, each.passing, each.outcome.retry, each.outcome.unreached) for each in (*ended[6:8], *ended[10:])]
    assert lost == [(error, False, False, False) for error in ("image_changed", "image_unreadable", "image_missing") for _ in range(2)]


def test_a_call_out_of_time_or_cancelled_leaves_the_others_alone(local: Callable[..., Any]) -> None:
    async def asked(loaded: Local) -> None:
        late = await ask(loaded, call(picture(jpeg("red")), text="late"), timeout=0.001)
        assert (late.error, late.outcome.retry, late.outcome.unreached) == ("timeout", True, False)
        both = [asyncio.create_task(ask(loaded, call(picture(jpeg("red")), index=index))) for index in range(2)]
        await asyncio.sleep(0)
        both[0].cancel()
        assert reply(await both[1]).content
        with pytest.raises(asyncio.CancelledError):
            await both[0]

    local(asked)


def test_memory_does_not_hold_the_pictures_that_were_asked_about(local: Callable[..., Any]) -> None:
    """64 pictures of a megabyte, each loaded when it is asked about, 4 at a time; nor does that of the worker."""
    loads = 0

    def weight() -> int:
        return max(worker.memory_info().rss for worker in family() if "cotforge.teachers.local.worker" in " ".join(worker.cmdline()))

    def fat(number: int) -> Picture:
        def load() -> bytes:
            nonlocal loads
            loads += 1
            return jpeg("red") + number.to_bytes(4, "big") * 2**18

        return Picture(hashlib.sha256(load()).hexdigest(), "image/jpeg", 40, 40, 2**20, load)

    async def asked(loaded: Local) -> tuple[int, int]:
        await ask(loaded, call(fat(0)))
        before = weight()
        tracemalloc.start()
        for start in range(1, 65, 4):
            calls = [call(each, index=index) for each in map(fat, range(start, start + 4)) for index in range(3)]
            await asyncio.gather(*(ask(loaded, each) for each in calls))
        assert weight() - before < 40 * 2**20
        return tracemalloc.get_traced_memory()

    try:
        held, peak = local(asked)
    finally:
        tracemalloc.stop()
    assert held < 2 * 2**20
    assert peak < 24 * 2**20
    assert loads == 2 * 65, "three Calls in flight about one picture share what was sent"


def test_a_worker_that_is_killed_is_started_again_once_and_leaves_no_process_behind(vlm: Path) -> None:
    others = family()

    async def killed(loaded: Local) -> list[Attempt]:
        """What became of four Calls whose worker was killed before it could answer."""
        (worker,) = (each for each in family() if each not in others)
        worker.suspend()
        asked = [asyncio.create_task(ask(loaded, call(picture(jpeg("red")), index=index))) for index in range(4)]
        await asyncio.sleep(0.2)
        worker.kill()
        return await asyncio.gather(*asked)

    async def run() -> None:
        async with Local(teacher(vlm), vlm) as loaded:
            for ended in await killed(loaded):
                assert (ended.error, ended.outcome.unreached, ended.outcome.retry, ended.outcome.closes) == ("engine", True, True, None)
                assert ended.detail == "its process was ended by SIGKILL; was there not enough memory?"
            again = await asyncio.gather(*(ask(loaded, call(picture(jpeg("red")), index=index)) for index in range(4)))
            assert all(reply(ended).content for ended in again)
            assert {ended.outcome.closes for ended in await killed(loaded)} == {None}
            after = await ask(loaded, call())
            assert (after.outcome.unreached, after.outcome.closes) == (True, "engine")

    asyncio.run(run())
    assert family() == others


OWNER = """
import asyncio, sys
from pathlib import Path
from cotforge.teachers.kinds.transformers import TransformersTeacher
from cotforge.teachers.local import Local

async def own():
    async with Local(TransformersTeacher(name="tiny", model=sys.argv[1], gpus=[]), Path("/")):
        print("ready", flush=True)
        await asyncio.sleep(1000)

asyncio.run(own())
"""


def test_a_worker_ends_when_its_owner_is_killed(vlm: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, str(vlm)], stdout=subprocess.PIPE, env=environment()) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        workers = psutil.Process(owner.pid).children(recursive=True)
        owner.kill()
    gone, alive = psutil.wait_procs(workers, timeout=30)
    assert (len(gone), alive) == (1, [])


# what cannot be


async def entered(teacher: LocalTeacher, root: Path) -> None:
    async with Local(teacher, root):
        pass


def refused(teacher: LocalTeacher, root: Path) -> str:
    """The one line that is told instead of a teacher; nothing is left behind."""
    others = family()
    with pytest.raises(TeacherError) as told:
        asyncio.run(entered(teacher, root))
    assert family() == others
    (line,) = told.value.faults
    assert "\n" not in line
    return line.replace(str(root), "ROOT")


def test_a_folder_that_holds_no_vision_language_model_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason=SKIPPED)
    from cotforge.teachers.local.transformers import load_model

    (tmp_path / "config.json").write_text('{"model_type": "qwen2"}')
    with pytest.raises(Unfit, match=r"/\S+ is no vision-language model; its config.json says 'qwen2'"):
        load_model(teacher("words"), str(tmp_path))


def test_a_folder_without_weights_is_no_model(vlm: Path, tmp_path: Path) -> None:
    from cotforge.teachers.local.transformers import load_model

    for file in vlm.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(Unfit, match=r"model: .* no file named model.safetensors"):
        load_model(teacher(tmp_path), str(tmp_path))


def test_a_gpu_that_torch_cannot_use_is_told_instead_of_the_cpu_being_used(
    engine: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU, and torch can use it")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(Unfit, match="torch cannot use the gpu"):
        engine()


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "../x", "models/of/mine"])
def test_a_missing_folder_is_told_without_starting_anything(tmp_path: Path, name: str) -> None:
    pytest.importorskip("torch", reason=SKIPPED)
    with pytest.raises(TeacherError, match="teacher 'tiny': model: no such model folder: "):
        teacher(name).look(tmp_path)


def test_a_folder_without_a_config_is_no_model(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason=SKIPPED)
    (tmp_path / "empty").mkdir()
    with pytest.raises(TeacherError, match=r"is no model folder; there is no config\.json in it"):
        teacher("empty").look(tmp_path)


def test_a_field_of_body_that_generate_does_not_know_is_refused(vlm: Path) -> None:
    with pytest.raises(TeacherError, match="teacher 'tiny': body: kind 'transformers' knows no 'frequency_penalty'; it knows "):
        teacher(vlm, body={"frequency_penalty": 1}).look(vlm)


def test_a_library_that_is_not_installed_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the worker, where torch is not to be found though it was looked for."""
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')")
    (tmp_path / "transformers.py").write_text("")
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "kind 'transformers' needs torch and transformers: pip install 'cotforge[transformers]'" in refused(teacher("."), tmp_path)


def test_a_models_own_code_is_trusted_in_plain_words_or_not_at_all() -> None:
    with pytest.raises(ValidationError, match=r"engine\.trust_remote_code runs the model's own code; write true, or leave it out"):
        teacher("x", engine={"trust_remote_code": "yes"})


@pytest.mark.parametrize(
    ("visible", "fields", "expected"),
    [
        ("0,1,2", {"gpus": "all"}, {"gpu:0": "0", "gpu:1": "1", "gpu:2": "2"}),
        ("5,GPU-ab", {"gpus": [1]}, {"gpu:1": "GPU-ab"}),
        ("0,1", {"gpus": []}, {"cpu": ""}),
        ("", {"gpus": "all"}, {"cpu": ""}),
        ("0,1,2,3", {"kind": "vllm", "gpus": "all", "engine": {"tensor_parallel_size": 2}}, {"gpu:0+1": "0,1", "gpu:2+3": "2,3"}),
        ("0,1,2", {"gpus": "all", "engine": {"device_map": "auto"}}, {"gpu:0+1+2": "0,1,2"}),
    ],
)
def test_every_visible_gpu_gets_a_worker_or_as_many_as_the_model_is_spread_over(
    monkeypatch: pytest.MonkeyPatch, visible: str, fields: dict[str, Any], expected: dict[str, str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert teacher("x", **fields).workers() == expected


def test_gpus_are_those_that_nvidia_smi_lists_where_nothing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "nvidia-smi").write_text(
        "#!/bin/sh\necho 'GPU 0: NVIDIA A (UUID: GPU-1)'\necho '  MIG 1g'\necho 'GPU 1: NVIDIA A (UUID: GPU-2)'"
    )
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert teacher("x", gpus="all").workers() == {"gpu:0": "0", "gpu:1": "1"}


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"gpus": [2]}, "teacher 'tiny': gpus: there is no gpu 2; 2 are visible"),
        ({"kind": "vllm", "gpus": "all", "engine": {"tensor_parallel_size": 4}}, "engine: spreads the model over 4 gpus, and has 2"),
    ],
)
def test_gpus_that_are_not_there_are_told(monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], line: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(TeacherError, match=line):
        teacher("x", **fields).workers()
