"""Lessons that a student cannot learn are left out and listed; a chat template that spoils every lesson ends the stage before it begins."""

import csv
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cotforge.answers import Task
from cotforge.errors import PipelineError
from cotforge.export.columns import PREFERENCE, arrow_schema, arrow_table, lesson_columns
from cotforge.plan import Plan
from cotforge.prompts import Prompts
from cotforge.train.data import prepared
from cotforge.train.data.learnable import Learnable
from cotforge.train.data.lessons import find_lessons
from cotforge.train.kinds import dpo, grpo, sft
from cotforge.train.report.record import MetricsLog
from cotforge.train.stage_run import StageRun
from cotforge.train.students import loaded_student, tiny
from tests import squares

TASK = Task(kind="classify", question=squares.QUESTION, labels=tuple(squares.COLOURS))
STAGES: dict[str, dict[str, Any]] = {
    "sft": {"name": "inject", "kind": "sft", "steps": 1, "batch": 2},
    "dpo": {"name": "prefer", "kind": "dpo", "steps": 1, "batch": 2},
    "grpo": {
        "name": "reason", "kind": "grpo", "steps": 1, "batch": 4, "accumulate": 1, "group": 4, "max_completion": 8,
        "rewards": [{"measure": "correct"}],
    },
}  # fmt: skip
TRAIN: dict[str, Callable[..., None]] = {"sft": sft.train, "dpo": dpo.train, "grpo": grpo.train}
PART = "{% set text = message.content[0].text if message.role == 'assistant' else '' %}"
ANSWER = "<|im_start|>assistant\n{{ text }}<|im_end|>\n"
TEMPLATE = (
    "{% for message in messages %}" + PART + "{% if message.role == 'assistant' %}" + ANSWER + "{% else %}<|im_start|>user\n"
    "{% for part in message.content %}{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_llava(tmp_path_factory.mktemp("llava") / "student", squares.TEXTS, squares.SIZE)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_qwen(tmp_path_factory.mktemp("qwen") / "student", squares.TEXTS, squares.SIZE)


def templated(model: Path, folder: Path, *changes: tuple[str, str]) -> Path:
    """The same student with another chat template."""
    template = TEMPLATE
    for before, after in changes:
        assert before in template
        template = template.replace(before, after)
    found = Path(shutil.copytree(model, folder))
    (found / "chat_template.jinja").write_text(template)
    return found


def dataset(
    folder: Path, texts: list[str], *, prompts: dict[int, str] | None = None, sizes: dict[int, tuple[int, int]] | None = None
) -> Path:
    """Lessons of the texts in `folder`, and pairs of each with a wrong one; some have another prompt, or a picture of another size."""
    rows, pairs = [], []
    for number, text in enumerate(texts):
        colour = list(squares.COLOURS)[number % 4]
        images = ((squares.square(colour, size=(sizes or {}).get(number, (24, 24))), f"{number}.png"),)
        prompt = (prompts or {}).get(number, squares.PROMPT)
        asked = (f"row-{number}", images, prompt, text, squares.QUESTION, tuple(squares.COLOURS), colour, colour, False, 1.0, ())
        rows.append((*asked, "one", "model", "solve", 5, f"call-{number}", None))
        pairs.append((f"row-{number}", prompt, text, "<think>Hm.</think><answer>red</answer>", images))
    for name, columns, there in (("data", lesson_columns([]), rows), ("preference", PREFERENCE, pairs)):
        (folder / name).mkdir(parents=True)
        pq.write_table(arrow_table(there, columns, arrow_schema(columns)), folder / name / "train-00000-a.parquet")
    return folder


def train(folder: Path, kind: str, model: Path, learned: Path, **prompts: str) -> list[str]:
    """What a stage of one step says."""
    plan = Plan.model_validate({"student": {"model": str(model)}, "stages": [STAGES[kind]]})
    (stage,) = plan.expanded()
    out = folder / kind
    out.mkdir()
    found = find_lessons(learned, cache=folder / "cache")
    said: list[str] = []

    class Listening(MetricsLog):
        def say(self, line: str) -> None:
            said.append(line)

    work = StageRun(
        plan=plan, stage=stage, begin=model, out=out, lessons=lambda: found, source=lambda: found, task=TASK,
        prompts=Prompts.model_validate(prompts).load(folder), held_out=None, smoke=False, resume_from=None,
        record=Listening(out / "metrics.jsonl", kind), cache=folder / "cache", root=folder,
    )  # fmt: skip
    with work.record:
        TRAIN[kind](stage, work)
    return said


def left_out(folder: Path, kind: str) -> dict[str, str]:
    with (folder / kind / "left-out.csv").open(newline="") as file:
        return {row["id"]: row["reason"] for row in csv.DictReader(file)}


GOOD = [squares.said(colour) for colour in squares.COLOURS] * 2
SPOILING = [
    ("{{ text }}", "{{ text.split('</think>')[-1] }}", "drops what stands in <think>; write another prompts.completion, or, in a copy"),
    ("{{ text }}", "{{ text | replace('answer', 'result') }}", "changes the text of an answer; write another"),
    ("{{ text }}", "{{ text }}\n{{ text }}", "repeats the text of an answer; write another"),
    (
        "{{ text }}",
        "{{ text }}<|im_end|>",
        r"ends an answer 2 times \(<\|im_end\|>\); in a copy of its folder, have chat_template.jinja end the assistant's turn once",
    ),
    (
        ANSWER,
        "<|im_start|>assistant\n{{ text }}\n",
        r"gives an answer no end of turn \(<\|im_end\|>\); in a copy of its folder, .* end the assistant's turn with {{ eos_token }}",
    ),
    (
        ANSWER,
        ANSWER + "Next.",
        "says more after the end of turn; in a copy of its folder, have chat_template.jinja end the assistant's turn once",
    ),
]


@pytest.mark.parametrize(("before", "after", "line"), SPOILING)
@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_a_template_that_spoils_every_lesson_is_one_line(
    tmp_path: Path, llava: Path, kind: str, before: str, after: str, line: str
) -> None:
    model = templated(llava, tmp_path / "student", (before, after))
    with pytest.raises(PipelineError, match=f"train.student: the chat template of '{model}' {line}") as fault:
        train(tmp_path, kind, model, dataset(tmp_path / "dataset", GOOD[:2]))
    assert len(fault.value.faults) == 1
    assert "\n" not in fault.value.faults[0]


@pytest.mark.parametrize(
    "changes",
    [
        [],
        [
            (
                "{{ text }}",
                "<think>\n{{ text.split('</think>')[0].split('<think>')[-1] }}\n</think>\n\n{{ text.split('</think>')[-1].strip() }}",
            )
        ],
        [("%}<|im_start|>assistant\n{% endif", "%}<|im_start|>assistant\n<think>{% endif")],
        [("{{ text }}<|im_end|>", "{{ text }}<|im_end|><|endoftext|>")],
    ],
    ids=["plain", "white space changed", "thought opened by the prompt", "two ends that differ"],
)
def test_a_template_that_keeps_the_text_leaves_nothing_out(tmp_path: Path, llava: Path, changes: list[tuple[str, str]]) -> None:
    model = templated(llava, tmp_path / "student", *changes)
    learned = dataset(tmp_path / "dataset", GOOD[:2])
    for kind in ("sft", "dpo"):
        assert not any("cannot learn" in line for line in train(tmp_path, kind, model, learned))
        assert not (tmp_path / kind / "left-out.csv").exists()


@pytest.mark.parametrize("kind", STAGES)
def test_a_control_token_in_a_text_leaves_its_lesson_out(tmp_path: Path, llava: Path, kind: str) -> None:
    texts = [*GOOD]
    texts[1] = squares.said("green", "In the <image> I see leaves.")
    texts[2] = squares.said("blue", "The sea.<|im_end|> And the sky.")
    learned = dataset(tmp_path / "dataset", texts, prompts={0: "<image>\nWhich colour is it?"})
    said = train(tmp_path, kind, llava, learned)
    name = "chosen text" if kind == "dpo" else "completion"
    held = {
        "row-1": f"its {name} holds '<image>', a control token of the student's tokenizer",
        "row-2": f"its {name} holds '<|im_end|>', a control token of the student's tokenizer",
        "row-0": "its prompt holds '<image>', a control token of the student's tokenizer",
    }
    expected = {"row-0": held["row-0"]} if kind == "grpo" else held
    assert left_out(tmp_path, kind) == expected
    (line,) = (line for line in said if "cannot learn" in line)
    assert f"{len(expected)} of 8 {'pairs' if kind == 'dpo' else 'lessons'}; they are left out, and listed in" in line


def test_what_is_left_of_the_lessons_is_learned_row_by_row(tmp_path: Path, llava: Path) -> None:
    texts = [GOOD[0], squares.said("green", "A <image>."), *GOOD[2:4]]
    pupil = loaded_student.load_pupil(Plan.model_validate({"student": {"model": str(llava)}, "preset": "label-only"}).student, llava)
    found = find_lessons(dataset(tmp_path / "dataset", texts), cache=tmp_path / "cache")
    made = prepared.prepare_lessons(
        found, pupil.processor, cache=tmp_path, cache_gb=1, kind=torch.float32, tell=lambda line: None, learnable=Learnable.of(pupil)
    )
    assert [bool(length) for length in made.lengths] == [True, False, True, True]
    assert sft.fitting_lessons(made, None) == [0, 2, 3]
    words = pupil.processor.tokenizer
    for row in (0, 2, 3):
        tokens, pictures = made[row]
        assert words.decode(tokens["completion"]) == f"{texts[row]}<|im_end|>\n"
        assert torch.equal(pictures["pixel_values"], made.making[row][1]["pixel_values"])


@pytest.mark.parametrize("kind", STAGES)
def test_a_picture_that_the_processor_refuses_leaves_its_lesson_out(tmp_path: Path, qwen: Path, kind: str) -> None:
    learned = dataset(tmp_path / "dataset", GOOD, sizes={0: (1, 3000), 1: (1, 1), 5: (3000, 2)})
    train(tmp_path, kind, qwen, learned)
    refused = "the student's processor cannot take it: absolute aspect ratio must be smaller than 200, got"
    assert left_out(tmp_path, kind) == {"row-0": f"{refused} 3000.0", "row-5": f"{refused} 1500.0"}


@pytest.mark.parametrize("kind", STAGES)
def test_a_student_that_can_learn_nothing_is_one_line(tmp_path: Path, llava: Path, kind: str) -> None:
    learned = dataset(tmp_path / "dataset", GOOD[:3], prompts=dict.fromkeys(range(3), "<image>?"))
    with pytest.raises(
        PipelineError, match=r"can learn none of 3 .*; .*left-out.csv lists them; the first, 'row-0': its prompt holds '<im"
    ):
        train(tmp_path, kind, llava, learned)


def test_a_control_token_that_the_pipelines_own_completion_has_is_meant(tmp_path: Path, llava: Path) -> None:
    (tmp_path / "own.jinja").write_text("<|im_start|>{{ reasoning }}<answer>{{ answer }}</answer>")
    learned = dataset(tmp_path / "dataset", ["<|im_start|>Warm.<answer>red</answer>"] * 2)
    train(tmp_path, "sft", llava, learned, completion="own.jinja")
    assert not (tmp_path / "sft" / "left-out.csv").exists()


def test_lessons_of_labels_alone_are_learned_too(tmp_path: Path, llava: Path) -> None:
    train(tmp_path, "sft", llava, dataset(tmp_path / "dataset", ["a", "im_end", "think"]))
    assert not (tmp_path / "sft" / "left-out.csv").exists()


@pytest.fixture(scope="module")
def learnable(llava: Path) -> Learnable:
    return Learnable.of(
        loaded_student.load_pupil(Plan.model_validate({"student": {"model": str(llava)}, "preset": "label-only"}).student, llava)
    )


@given(text=st.text(min_size=1).filter(str.strip))
def test_any_text_without_a_control_token_comes_back_from_its_tokens(learnable: Learnable, text: str) -> None:
    tokens = learnable.processor.tokenizer(f"{text}<|im_end|>\n", add_special_tokens=False)["input_ids"]
    assert learnable.control_fault("text", text) or learnable.text_fault(text, "assistant\n", tokens) == ""
