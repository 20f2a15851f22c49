import json
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.errors import PipelineError
from cotforge.prompts import Prompt, Prompts, key_of, make_call, option_order, shipped_folder
from cotforge.records import Call, Fault, Picture, Sample
from cotforge.sandbox import ASKING, FOLLOWING, LEARNING, MOST_CHARACTERS

EMOTIONS = ("amusement", "awe", "contentment", "excitement", "anger", "disgust", "fear", "sadness")
GIVEN = {
    **{"label": "awe", "answer": "awe", "reasoning": "It is wide.", "things": ("a hat",)},
    "traces": ({"answer": "awe", "reasoning": "It is wide."}, {"answer": "fear", "reasoning": "It is dark."}),
    "rubric": ({"name": "clear", "low": 1, "high": 5, "anchors": {1: "not at all", 5: "wholly"}},),
}
"""What follow-ups give their prompts."""
WORDS = st.text(st.characters(codec="utf-8"), max_size=40)


def picture(number: int) -> Picture:
    return Picture(f"{number:064x}", "image/jpeg", 640, 480, 1000, lambda: b"")


def sample(**values: object) -> Sample:
    return replace(Sample("a", (picture(1),), "Which emotion?", EMOTIONS, label="awe", where="rows.jsonl:7"), **values)


def written(folder: Path, text: str) -> Prompt:
    (folder / "mine.jinja").write_text(text, encoding="utf-8")
    return Prompt.load("mine.jinja", folder)


def asked(about: Sample, prompt: Prompt, **values: object) -> Call:
    how = {"teacher": "qwen", "model": "org/m-7b", "temperature": 0.7, "top_p": None, "body": {}, "index": 0}
    return make_call(about, prompt=prompt, **{**how, **values})


def text_of(asked: Call) -> str:
    return asked.messages[0]["content"][-1]["text"]


@pytest.fixture(scope="module")
def solve() -> Prompt:
    return Prompt.load("long_cot/solve", Path("nowhere"))


def test_the_shipped_prompt_names_every_option_once_without_letters_or_numbers(solve: Prompt) -> None:
    lines = solve.render(sample()).splitlines()
    assert [line for line in lines if line.startswith("- ")] == [f"- {option}" for option in EMOTIONS]


def test_the_shipped_prompt_asks_a_free_question_without_a_list(solve: Prompt) -> None:
    text = solve.render(sample(options=(), pictures=(picture(1), picture(2))))
    assert "- " not in text
    assert "images" in text
    assert "as short as it can be" in text


def test_a_completion_is_what_the_student_learns_to_say() -> None:
    family = Prompts().load(Path("nowhere"))
    assert family.completion.complete("It is wide.", "awe") == "<think>It is wide.</think>\n<answer>awe</answer>"
    bare = Prompt.load("label_only/completion", Path("nowhere"), LEARNING)
    assert bare.complete("It is wide.", "awe") == "<answer>awe</answer>"


def test_a_file_beside_the_pipeline_wins_over_a_shipped_name(tmp_path: Path) -> None:
    (tmp_path / "student").write_text("{{ question }}?\n")
    assert Prompt.load("student", tmp_path).render(sample()) == "Which emotion??"
    relative = tmp_path / "pipelines"
    relative.mkdir()
    assert Prompt.load("../student", relative).render(sample()) == "Which emotion??"


def test_text_of_the_data_is_never_read_as_a_template(solve: Prompt) -> None:
    assert "{{ 7 * 7 }} {% endif %}" in solve.render(sample(question="{{ 7 * 7 }} {% endif %}"))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("fine\n{{ question", ":2: unexpected end"),
        ("{% if options %}", ":1: Unexpected end of template"),
        ("one\ntwo {{ questoin }}", ":2: no input named 'questoin'; there are images, meta, options, question"),
        ("{{ label }}", ":1: no input named 'label'; the label is never shown to a teacher that votes"),
        ("\n\n{% include 'secret.txt' %}", ":3: a prompt is one file"),
        ("{% import 'os' as os %}", ":1: a prompt is one file"),
        ("{% extends question %}", ":1: a prompt is one file"),
        ("{{ options|random }}", ":1: No filter named 'random'"),
        ("{{ lipsum() }}", ":1: no input named 'lipsum'"),
        ("{{ " + "(" * 50_000 + "1" + ")" * 50_000 + " }}", ": is nested too deep"),
    ],
)
def test_a_wrong_template_is_one_line_that_names_file_and_place(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(PipelineError) as caught:
        written(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'mine.jinja'}{fault}")


def test_all_faults_of_all_templates_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.jinja").write_text("{{ x }} {{ y }}")
    (tmp_path / "b.jinja").write_text("{{ question }}")
    with pytest.raises(PipelineError) as caught:
        Prompts(solve="a.jinja", student="long_cot/slove", completion="b.jinja").load(tmp_path)
    assert len(caught.value.faults) == 4
    assert "did you mean 'long_cot/solve'" in caught.value.faults[2]
    assert "no input named 'question'" in caught.value.faults[3]


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_bytes(b"ab\xff")
    with pytest.raises(PipelineError, match=r"mine\.jinja: is not UTF-8 text at byte 2"):
        Prompt.load("mine.jinja", tmp_path)


@pytest.mark.parametrize(
    "escape",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ question.__init__.__globals__ }}",
        "{{ ''|attr('__class__')|string }}",
        "{{ '{0.__class__}'.format(question) }}",
        "{{ '{x.__class__}'.format_map({'x': question}) }}",
        "{{ cycler.__init__.__globals__['os'].environ }}",
        "{{ self._TemplateReference__context }}",
        "{{ options.append }}{{ options.__add__ }}",
        "{{ meta.update({'a': 1}) }}",
        "{{ 'a' * 10000000000 }}",
        "{{ '%9999999999d' % 1 }}",
        "{{ 9 ** 9 }}",
        "{{ range }}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
    ],
)
def test_a_template_cannot_leave_its_sandbox(tmp_path: Path, escape: str) -> None:
    prompt = written(tmp_path, escape)
    with pytest.raises((PipelineError, Fault)) as caught:
        prompt.render(sample(meta={"a": 0}))
    assert str(tmp_path / "mine.jinja") in str(caught.value)


def test_a_row_that_lacks_what_the_template_uses_is_a_fault_of_the_row(tmp_path: Path) -> None:
    prompt = written(tmp_path, "{{ meta.scene }} {{ question }}")
    assert prompt.render(sample(meta={"scene": "beach"})) == "beach Which emotion?"
    for meta in ({}, {"scene": None}):
        with pytest.raises(Fault) as caught:
            prompt.render(sample(meta=meta))
        assert (caught.value.reason, caught.value.where, caught.value.id) == ("prompt_input", "rows.jsonl:7", "a")


def test_a_value_of_the_row_is_not_hidden_by_a_method_of_its_mapping(tmp_path: Path) -> None:
    assert written(tmp_path, "{{ meta.items }}").render(sample(meta={"items": "two cups"})) == "two cups"


def test_a_row_that_would_fill_memory_or_cannot_be_sent_is_a_fault_of_the_row(solve: Prompt) -> None:
    for question in ("long " * MOST_CHARACTERS, "half a pair: \ud83d"):
        with pytest.raises(Fault) as caught:
            asked(sample(question=question), solve)
        assert caught.value.reason == "prompt_input"


def test_a_reasoning_of_any_length_and_with_half_a_surrogate_pair_can_be_learnt() -> None:
    completion = Prompts().load(Path("nowhere")).completion
    assert len(completion.complete("x" * 2 * MOST_CHARACTERS, "awe")) > 2 * MOST_CHARACTERS
    assert completion.complete("\ud83d", "awe") == "<think>?</think>\n<answer>awe</answer>"


def test_a_completion_that_fails_is_an_error_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_text("{{ reasoning.length }}")
    with pytest.raises(PipelineError, match=r"mine\.jinja: .*no attribute 'length'"):
        Prompt.load("mine.jinja", tmp_path, LEARNING).complete("a", "b")


@pytest.mark.parametrize("count", [1, 2, 3, 8, 9])
def test_over_all_orders_places_and_neighbours_are_balanced(count: int) -> None:
    options = [f"option {number}" for number in range(count)]
    rows = count if count % 2 == 0 else 2 * count
    orders = [option_order(options, digests=["d"], question="q", model="m", index=index) for index in range(rows)]
    places = Counter((place, option) for row in orders for place, option in enumerate(row))
    neighbours = Counter(pair for row in orders for pair in pairwise(row))
    assert set(places.values()) == {rows // count}
    assert len(places) == count * count
    assert len(neighbours) == count * (count - 1)
    assert len(set(neighbours.values())) <= 1
    assert all(one != other for one, other in pairwise(orders)) or count == 1


def test_the_order_of_options_does_not_follow_the_file() -> None:
    fixed = {"digests": ["d"], "question": "q", "model": "m", "index": 3}
    assert option_order(EMOTIONS, **fixed) == option_order(EMOTIONS[::-1], **fixed)
    assert option_order((), **fixed) == ()


def test_samples_meet_every_order() -> None:
    seen = Counter(option_order(EMOTIONS, digests=[f"{number:064x}"], question="q", model="m", index=0) for number in range(800))
    assert len(seen) == 8
    assert min(seen.values()) > 60


def test_a_call_depends_on_nothing_but_what_is_asked(solve: Prompt) -> None:
    first = asked(sample(), solve)
    same = asked(sample(id="b", label=None, split="test", where="other:1", meta={"x": 1}), solve, teacher="renamed")
    assert (same.key, same.messages) == (first.key, first.messages)
    others = [
        asked(sample(pictures=(picture(2),)), solve),
        asked(sample(question="What is it?"), solve),
        asked(sample(options=EMOTIONS[:4]), solve),
        *(
            asked(sample(), solve, **change)
            for change in ({"model": "x"}, {"temperature": None}, {"top_p": 0.9}, {"body": {"a": 1}}, {"index": 1})
        ),
    ]
    assert len({first.key, *(other.key for other in others)}) == 9


def test_a_call_holds_its_images_then_its_text(solve: Prompt) -> None:
    made = asked(sample(pictures=(picture(1), picture(2))), solve)
    (message,) = made.messages
    assert message["role"] == "user"
    assert [part["type"] for part in message["content"]] == ["image", "image", "text"]
    assert message["content"][1]["digest"] == picture(2).digest


def test_three_keys_stay_what_they_are_for_ever(tmp_path: Path) -> None:
    prompt = written(tmp_path, "{{ question }}\n{% for option in options %}\n- {{ option }}\n{% endfor %}\n")
    one = asked(sample(options=("cat", "dog")), prompt)
    two = asked(sample(pictures=(picture(1), picture(2)), question="Wie groß?", options=()), prompt, temperature=None, top_p=0.9, index=2)
    three = asked(sample(), prompt, temperature=0, body={"seed": 7, "chat_template_kwargs": {"enable_thinking": True}}, index=1)
    assert [one.key, two.key, three.key] == [
        "0ae46d71641cc9b527e5ba549231be712e7ab0f42d77258b6a3d2ea5b853a029",
        "19124350e6e68f9c6b101d8d5fd1ea2fb05c2ce60d5d475644de42f713c22619",
        "e6d00617f358bd5963d78c255fa65e7a4391e8ddb884467efd085b96673ed4bb",
    ]


@given(question=WORDS, options=st.lists(WORDS, unique=True, max_size=5), index=st.integers(0, 99), temperature=st.floats(0, 2))
def test_a_key_is_the_hash_of_canonical_json(question: str, options: list[str], index: int, temperature: float) -> None:
    prompt = Prompt.load("student", Path("nowhere"))
    body = {"z": question, "a": [1, 2.5, None]}
    about = Sample("a", (picture(1), picture(2)), question, tuple(options))
    made = asked(about, prompt, index=index, temperature=temperature, body=body)
    whole = {
        "v": 1,
        "messages": made.messages,
        "model": "org/m-7b",
        "temperature": temperature,
        "top_p": None,
        "body": body,
        "index": index,
    }
    canonical = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert made.key == sha256(canonical.encode()).hexdigest()
    how = {"model": "org/m-7b", "temperature": temperature, "top_p": None, "body": body, "index": index}
    assert key_of(made.messages, **how) == made.key


@pytest.mark.parametrize(
    "path", sorted(shipped_folder("prompts").rglob("*.jinja")), ids=lambda path: path.relative_to(shipped_folder("prompts")).as_posix()
)
def test_every_shipped_prompt_compiles_and_renders(path: Path) -> None:
    if path.stem == "completion":
        assert Prompt.load(str(path), Path("nowhere"), LEARNING).complete("Seen.", "awe").endswith("<answer>awe</answer>")
        return
    prompt = Prompt.load(str(path), Path("nowhere"), FOLLOWING.get(path.stem, ASKING))
    for about in (sample(), sample(options=()), sample(pictures=(picture(1), picture(2)))):
        text = prompt.render(about, given=GIVEN if path.stem in FOLLOWING else None)
        assert "\n\n\n" not in text
        if path.stem != "seen":
            assert about.question in text
        if path.stem not in ("judge", "seen"):  # these ask for marks, and for yes or no
            assert all(f"- {option}\n" in text for option in about.options)
            assert "<answer>" in text


@pytest.mark.parametrize("images", [(), (picture(1),)])
def test_a_reader_is_told_whether_it_sees_the_picture_and_never_the_answer(images: tuple[Picture, ...]) -> None:
    prompt = Prompt.load("long_cot/verify", Path("nowhere"), FOLLOWING["verify"])
    text = prompt.render(sample(pictures=images), given={"reasoning": "It is wide."})
    assert ("cannot see" in text) == (not images)
    assert "<reasoning>\nIt is wide.\n</reasoning>" in text
    assert "label" not in prompt.inputs


def test_no_shipped_prompt_numbers_its_options() -> None:
    for path in shipped_folder("prompts").rglob("*.jinja"):
        assert path.stem == "seen" or "loop.index" not in path.read_text()
