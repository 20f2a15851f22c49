"""A second model that reads the student's words: its right answers are rewarded, its failures move nothing, and nobody is asked twice."""

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cotforge.answers import Task
from cotforge.errors import TeacherError
from cotforge.plan import Grpo
from cotforge.plan.reader import Reader
from cotforge.train.rewards import PromptedSample, ReadCompletion
from cotforge.train.rollouts.caption_reader import CaptionReader, demand_reader, fill_neutral
from cotforge.train.students import tiny
from cotforge.trust import trust_findings
from tests import squares
from tests.teacher import Teacher
from tests.test_grpo import run, work

TASK = Task(kind="classify", question=squares.QUESTION, labels=tuple(squares.COLOURS))
GUESS = {thought: colour for colour, thought in squares.COLOURS.items()}


def spec(url: str, **keys: Any) -> Reader:
    return Reader.model_validate({"model": "m", "url": url, **keys})


def said(colour: str, thought: str) -> ReadCompletion:
    row = {"id": colour, "answer": colour, "question": squares.QUESTION, "options": list(squares.COLOURS), "prompt": squares.PROMPT}
    asked = PromptedSample.of(row, TASK)
    text = squares.said(colour, thought)
    return ReadCompletion(asked, asked.trace(text, TASK, finish="stop"), text)


def prompt(body: dict[str, Any]) -> str:
    return (
        "".join(part["text"] for part in body["messages"][0]["content"])
        if isinstance(body["messages"][0]["content"], list)
        else str(body["messages"][0]["content"])
    )


def reads(body: dict[str, Any]) -> str:
    """The colour of the thought that it is told, and red for any other."""
    text = prompt(body)
    return f"<think>So.</think><answer>{next((colour for thought, colour in GUESS.items() if thought in text), 'red')}</answer>"


def test_what_lets_the_second_model_answer_rightly_is_rewarded_and_what_states_an_answer_is_not_sent(tmp_path: Path) -> None:
    rollout = [
        said("green", squares.COLOURS["green"]),
        said("green", "Something or other."),
        said("green", "Leaves and grass. So the answer is green."),
        said("green", "It is \\boxed{green}."),
        said("green", squares.COLOURS["green"]),
    ]
    with Teacher(answer=reads) as server:
        reader = CaptionReader(spec(server.url), TASK, cache=tmp_path / "reader.jsonl")
        found = reader.read(rollout)
        assert (found.values, found.failed, found.leaked) == ([1.0, 0.0, 0.0, 0.0, 1.0], 0.0, 0.4)
        assert len(server.ledger) == 2, "the same words are sent once"
        assert not any(entry.images for entry in server.ledger)
        assert server.ledger[0].sampling["temperature"] == 0
        assert reader.read(rollout).values == found.values
        again = CaptionReader(spec(server.url), TASK, cache=tmp_path / "reader.jsonl")
        assert again.read(rollout).values == found.values
        assert len(server.ledger) == 2, "nor once more after the stage was resumed"
    named = CaptionReader(spec("http://127.0.0.1:9/v1", leak="named"), TASK)
    assert named.read([said("red", "A Red thing."), said("red", " ")]).values == [0.0, 0.0]


def test_a_call_that_fails_is_neither_right_nor_wrong(tmp_path: Path) -> None:
    def fails(body: dict[str, Any]) -> Any:
        return "hang" if "Lost" in prompt(body) else 400 if "Refused" in prompt(body) else None

    def answers(body: dict[str, Any]) -> str:
        return "Who knows?" if "Unread" in prompt(body) else reads(body)

    with Teacher(answer=answers, fail=fails) as server:
        reader = CaptionReader(spec(server.url, timeout=0.5), TASK, cache=tmp_path / "reader.jsonl")
        found = reader.read(
            [*(said("green", text) for text in ("Leaves and grass.", "Hm.", "Lost.", "Refused.", "Unread.")), said("red", "Lost.")]
        )
        assert found.values == [1.0, 0.0, 0.5, 0.5, 0.5, None]
        assert found.failed == pytest.approx(4 / 6)
        lines: list[str] = []
        reader = CaptionReader(spec(server.url, timeout=0.5), TASK, tell=lines.append)
        told = dict[str, float]()
        for _ in range(2):
            reader([said("green", "Lost."), said("red", "The answer is red.")], told.__setitem__)
        assert told == {"reader/failed": 0.5, "reader/leaked": 0.5}
        assert [line.partition(" of ")[0] for line in lines] == ["guard: reader: 50%", "guard: reader: 50%"], "each once"
    kept = [json.loads(line)["answer"] for line in (tmp_path / "reader.jsonl").read_text().splitlines()]
    assert sorted(map(str, kept)) == ["None", "green", "red"], "a failure is asked again"


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0, None]), st.integers(0, 3)), max_size=30))
def test_a_missing_value_leaves_the_mean_of_its_group_as_it_is(rows: list[tuple[float | None, int]]) -> None:
    values, groups = [value for value, _ in rows], [group for _, group in rows]
    found = fill_neutral(values, groups)
    for group in set(groups):
        known = [value for value, of in rows if of == group and value is not None]
        made = [value for value, of in zip(found, groups, strict=True) if of == group]
        if known:
            assert fmean(value for value in made if value is not None) == pytest.approx(fmean(known))
            assert None not in made
        else:
            assert set(made) == {None}
    assert [new for new, old in zip(found, values, strict=True) if old is not None] == [value for value in values if value is not None]


def test_a_stage_is_rewarded_by_what_another_model_reads(tmp_path: Path) -> None:
    """With no other reward; the words of a random student are read, and the weights of all rewards add up to 1."""
    begin = tiny.make_llava(tmp_path / "student", squares.TEXTS, squares.SIZE)
    dataset = squares.write(tmp_path / "lessons" / "dataset", 8)
    with Teacher(answer=lambda body: f"<answer>{['red', 'green'][len(prompt(body)) % 2]}</answer>") as server:
        keys = {"model": "m", "url": server.url}
        job = work(tmp_path / "stage", begin, dataset, {"steps": 2, "rewards": [], "reader": keys, "max_completion": 8})
        rows = run(job)
    assert {"rewards/reader/mean", "reader/failed", "reader/leaked", "accuracy"} <= rows[0].keys()
    assert {"reader", "advantage", "said"} <= set(pq.read_schema(next((job.out / "completions").glob("*.parquet"))).names)
    both = Grpo.model_validate({"name": "a", "kind": "grpo", "rewards": [{"measure": "correct", "weight": 0.5}], "reader": keys})
    assert "0.333 correct + 0.667 read by m" in both.words()


def test_servers_are_looked_at_before_anything_is_trained() -> None:
    def stage(url: str, **keys: Any) -> Grpo:
        return Grpo.model_validate({"name": "a", "kind": "grpo", "rewards": [], "reader": {"model": "m", "url": url, **keys}})

    with Teacher(models=["other"]) as server:
        with pytest.raises(TeacherError, match="'m'"):
            demand_reader(stage(server.url))
        demand_reader(stage(server.url).model_copy(update={"reader": None}))
    for wrong in ({"rewards": []}, {"rewards": [], "reader": {"model": "m", "url": "nowhere"}}):
        with pytest.raises(ValidationError):
            Grpo.model_validate({"name": "a", "kind": "grpo", **wrong})


def test_where_it_is_asked_is_no_part_of_the_stages_key_and_a_stranger_has_to_be_trusted() -> None:
    def key(**keys: Any) -> dict[str, Any]:
        reader = {"model": "m", "url": "http://a/v1", **keys}
        return Grpo.model_validate({"name": "a", "kind": "grpo", "rewards": [], "reader": reader}).key_fields()

    assert key() == key(url="http://b/v1", timeout=1, concurrency=2, key_env="KEY")
    assert key() != key(leak="named")
    tree = {"train": {"stages": [{"reader": {"url": "http://far/v1", "key_env": "KEY"}}]}}
    (found,) = trust_findings(tree, tree, Path())
    assert (found.does, str(found)) == (
        "runs", "train.stages[0].reader: sends what the student says to far with the key in KEY in training",
    )  # fmt: skip
