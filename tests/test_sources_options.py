"""A row's own options and its label: every form in which files hold them, and the rows of three benchmarks as they are published."""

import ast
import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from cotforge.answers.task import Task
from cotforge.errors import SourceError
from cotforge.images import Images, PictureStore
from cotforge.records import Fault, Sample
from cotforge.sources import Columns, Counts, Source, read_samples
from cotforge.sources.options import LONGEST, read_options
from cotforge.sources.values import clean_value
from tests.outcomes import png

np = pytest.importorskip("numpy")

CHOICE = Task(kind="answer", verifier="choice")
CLASSIFY = Task(kind="classify")


def read(
    folder: Path, path: str, *, task: Task = CHOICE, kind: str = "table", counts: Counts | None = None, **keys: Any
) -> list[Sample | Fault]:
    source: Any = TypeAdapter(Source).validate_python({"kind": kind, "path": path, **keys})
    store = PictureStore(folder / "run", Images())
    try:
        return list(read_samples(source, task, store, root=folder, counts=counts or Counts()))
    finally:
        store.close()


def sound(folder: Path, path: str, **keys: Any) -> list[Sample]:
    found = read(folder, path, **keys)
    assert [str(item) for item in found if isinstance(item, Fault)] == []
    return [item for item in found if isinstance(item, Sample)]


def parquet(path: Path, rows: Sequence[dict[str, Any]], **types: pa.DataType) -> None:
    table = pa.Table.from_pylist(list(rows))
    for name, kind in types.items():
        table = table.set_column(table.column_names.index(name), name, table[name].cast(kind))
    pq.write_table(table, path)


def image(number: int) -> dict[str, Any]:
    """An image as `datasets` writes it into parquet files."""
    return {"bytes": png(number), "path": None}


# Forms of a list


@pytest.mark.parametrize(("value", "options"), [
    (["a, b", "c"], ["a, b", "c"]),
    (("a", "b"), ["a", "b"]),
    ([1, 2.0, 2.5, " x "], ["1", "2", "2.5", "x"]),
    (np.array(["a", "b"]), ["a", "b"]),
    (np.array(["a", "b"], dtype=object), ["a", "b"]),
    (np.array([1, 2]), ["1", "2"]),
    ('["a, b", "c"]', ["a, b", "c"]),
    ('["a|b", "c"]', ["a|b", "c"]),
    ("['a', \"b's\"]", ["a", "b's"]),
    ("['P(A|B)', 'P(B)']", ["P(A|B)", "P(B)"]),
    ("['it\\'s', 'a \"b\"']", ["it's", 'a "b"']),
    ("[ 'a' ,\n 'b' , ]", ["a", "b"]),
    ("('a|b', 'c')", ["a|b", "c"]),
    ("[1, 2.5, '-3', True]", ["1", "2.5", "-3", "True"]),
    ("['a' 'b|c'\n 'd']", ["a", "b|c", "d"]),
    ("array(['a', 'b'], dtype='<U1')", ["a", "b"]),
    ("array(['a|b', 'c'], dtype=object)", ["a|b", "c"]),
    ("[np.str_('a'), np.str_('b|c')]", ["a", "b|c"]),
    (r"['$\\frac{1}{2}$', '$\\theta$']", [r"$\frac{1}{2}$", r"$\theta$"]),
    (r"['$\frac{1}{2}$', '$\theta$']", [r"$\frac{1}{2}$", r"$\theta$"]),
    (r'["$\frac{1}{2}$", "$\theta$"]', [r"$\frac{1}{2}$", r"$\theta$"]),
    (r'["\u4eba", "a\/b"]', ["人", "a/b"]),
    ("a, b | c", ["a, b", "c"]),
    ("(a) left|(b) right", ["(a) left", "(b) right"]),
    ("a) left | b) right |", ["a) left", "b) right"]),
    ("\ufeff['P(A|B)', 'P(B)']", ["P(A|B)", "P(B)"]),
    ("\u200b ['a|b', 'c']", ["a|b", "c"]),
    ("\"['P(A|B)', 'P(B)']\"", ["P(A|B)", "P(B)"]),
    (json.dumps(json.dumps(["a|b", "c"])), ["a|b", "c"]),
    ("np.array(['a|b', 'c'])", ["a|b", "c"]),
    (["a", "b", None, ""], ["a", "b"]),
    ("['a', 'b', None]", ["a", "b"]),
    ('["a", "b", null]', ["a", "b"]),
])  # fmt: skip
def test_a_list_of_options_is_read_in_every_form_in_which_files_hold_it(value: object, options: list[str]) -> None:
    assert read_options(value) == options


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "  ",
        "[]",
        " [ ] ",
        "()",
        [],
        np.array([]),
        float("nan"),
        [None, ""],
        "['', None]",
        "None",
        "nan",
        "null",
        "<NA>",
        "\ufeff",
    ],
)
def test_no_options_are_none_and_no_fault(value: object) -> None:
    assert read_options(value) is None


@pytest.mark.parametrize("value", [
    "['a', 'b'", "[a|b]", "[0, 1] | [1, 2]", "['a' 'b', 'c']", "['a''b']", "['a', open('x')]", "['a', f'{b}']", "['a', b'c']",
    "[['a', 'b'], 'c']", "[{'a': 1}, 'b']", '[["a"], "b"]', "['a' * 9, 'b']", "[" * 50_000, "[" + "'a'," * 400_000 + "]",
    '{"A": "x|y", "B": "z"}', {"A": "x", "B": "y"}, 7, True, b"a|b", np.array([["a"], ["b"]]), np.array(7), ["a", None, "b"],
    "['a', '', 'b']", ["a", ["b"]], ["a", b"b"], [{"a": "b"}, "c"],
    "{'A': 'P(x|y)', 'B': 'z'}", "{'a|b', 'c'}", "list(['a|b', 'c'])", "P(A|B) | P(B)", "P(A|B)|P(B)", "a | b|c", "$|x|<2$ | $|x|>2$",
])  # fmt: skip
def test_what_cannot_be_read_as_a_list_is_a_fault_and_never_cut_at_a_bar(value: object) -> None:
    with pytest.raises(Fault, match=r"^options: ") as caught:
        read_options(value)
    assert caught.value.reason == "options_broken"
    assert len(str(caught.value)) < 300


def test_a_text_is_read_up_to_a_bound() -> None:
    read_options("a|" * (LONGEST // 2))
    with pytest.raises(Fault, match="1,000,001 characters"):
        read_options("a" * (LONGEST + 1))


TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(clean_value), min_size=1, max_size=6)


@given(TEXTS)
def test_what_python_json_or_numpy_wrote_is_read_as_it_was(texts: list[str]) -> None:
    kept = [clean_value(text) for text in texts]
    assert read_options(repr(texts)) == read_options(repr(tuple(texts)) if len(texts) > 1 else repr(texts)) == kept
    assert read_options(texts) == read_options(np.array(texts, dtype=object)) == kept
    assume("\b" not in "".join(texts) and "\f" not in "".join(texts))  # JSON's \b and \f are LaTeX's \beta and \frac
    assert read_options(json.dumps(texts)) == read_options(json.dumps(texts, ensure_ascii=False)) == kept


@given(st.text("[]()'\"\\,| ab1.\n", max_size=30) | st.text(max_size=30))
def test_any_text_is_options_or_none_or_a_fault_and_the_same_list_that_python_reads(text: str) -> None:
    try:
        options = read_options("[" + text)
    except Fault:
        return
    try:
        read = ast.literal_eval("[" + text) if "\\" not in text else None
    except (ValueError, SyntaxError, TypeError):
        return  # numpy's form
    if isinstance(read, list) and options is not None and len(read) == len(options):
        assert options == [clean_value(str(item)) for item in read]


# Labels beside them


@pytest.mark.parametrize(("options", "label", "meant"), [
    (["cat", "dog"], "Dog", "dog"), (["cat", "dog"], 1, "dog"), (["cat", "dog"], 1.0, "dog"), (["cat", "dog"], "1", "dog"),
    (["cat", "dog"], "B", "dog"), (["cat", "dog"], "(b)", "dog"), (["cat", "dog"], "B.", "dog"),
    (["cat", "dog"], 2, None), (["cat", "dog"], "C", None), (["cat", "dog"], -1, None), (["cat", "dog"], True, None),
    (["B", "A"], "A", "A"), (["B", "cat"], "A", "B"), (["vitamin A", "C"], "B", "C"),
    (["3", "5", "1"], "1", "1"), (["3", "5", "1"], "5", "5"), (["3", "5", "1"], 5, "5"), (["3", "5", "1"], 7, None), (["7", "8"], 0, None),
    (["3", "5", "1"], 1, None), (["0", "1", "2"], 1, "1"), ([3, 5, 1], 1, "1"), ([3, 5, 1], 7, None),
])  # fmt: skip
@pytest.mark.parametrize("task", [CLASSIFY, CHOICE], ids=["classify", "choice"])
def test_a_label_is_an_option_by_its_text_or_by_a_place_that_can_mean_nothing_else(
    tmp_path: Path, task: Task, options: list[Any], label: Any, meant: str | None
) -> None:
    (tmp_path / "a.png").write_bytes(png(1))
    (tmp_path / "b.png").write_bytes(png(2))
    rows = [{"image": "a.png", "options": options, "label": label}, {"image": "b.png", "options": ["x", "y"], "label": "x"}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    counts = Counts()
    one, _ = sound(tmp_path, "rows.jsonl", task=task.model_copy(update={"question": "Which?"}), counts=counts)
    assert one.label == meant
    assert (counts.labels_unknown, counts.labels_missing) == (int(meant is None), 0)


@pytest.mark.parametrize(("place", "meant", "unknown", "missing"), [
    (0, "3", 0, 0), (1, "5", 0, 0), ("2", "1", 0, 0), (2.0, "1", 0, 0), (3, None, 1, 0), ("x", None, 1, 0), (-7, None, 1, 0),
    (None, None, 0, 1), (-1, None, 0, 1),
])  # fmt: skip
def test_label_index_is_always_the_place_of_an_option_whatever_the_options_are(
    tmp_path: Path, place: Any, meant: str | None, unknown: int, missing: int
) -> None:
    (tmp_path / "a.png").write_bytes(png(1))
    (tmp_path / "b.png").write_bytes(png(2))
    rows = [{"image": "a.png", "options": ["3", "5", "1"], "at": place, "label": "5"}, {"image": "b.png", "options": ["3", "5"], "at": 0}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    counts = Counts()
    task = Task(kind="classify", question="How many?")
    one, two = sound(tmp_path, "rows.jsonl", task=task, columns={"label_index": "at"}, counts=counts)
    assert (one.label, two.label) == (meant, "3")
    assert (counts.labels_unknown, counts.labels_missing) == (unknown, missing)


def test_a_letter_or_place_names_none_of_the_labels_of_the_file() -> None:
    task = Task(kind="classify", labels=("cat", "dog"))
    assert [task.label(raw, task.options()) for raw in ("A", 0, "0", "dog")] == [None, None, None, "dog"]


RAW = (
    st.none() | st.booleans() | st.integers(-3, 9) | st.floats() | st.text("abcABC01 ().", max_size=4) | st.lists(st.integers(), max_size=2)
)


@given(RAW, st.lists(st.text("abcAB012 ().", min_size=1, max_size=3), min_size=2, max_size=4))
def test_whatever_a_label_is_it_names_one_of_the_row_s_options_or_none(raw: Any, texts: list[str]) -> None:
    for task in (CLASSIFY, CHOICE):
        try:
            options = task.options(texts)
        except Fault:
            return
        assert task.label(raw, options) in (*options, None)


def test_images_and_the_question_may_stand_in_several_columns(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(png(number))
    rows = [
        {"left": "0.png", "right": "1.png", "context": "Two days apart.", "ask": "Which came first?"},
        {"left": "2.png", "right": None, "context": None, "ask": "Which came first?"},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    columns = {"images": ["left", "right"], "question": ["context", "ask"]}
    one, two = sound(tmp_path, "rows.jsonl", columns=columns)
    assert [[picture.load() for picture in sample.pictures] for sample in (one, two)] == [[png(0), png(1)], [png(2)]]
    assert (one.question, two.question) == ("Two days apart.\n\nWhich came first?", "Which came first?")
    with pytest.raises(SourceError, match="no column 'rihgt'; did you mean 'right'"):
        read(tmp_path, "rows.jsonl", columns=columns | {"images": ["left", "rihgt"]})


def test_label_and_label_index_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="label and label_index: give one of them"):
        Columns(label="a", label_index="b")


# Three benchmarks, row by row as they are published

MMMU = {"images": [f"image_{number}" for number in range(1, 8)], "label": "answer", "meta": ["subfield"]}


def mmmu(number: int, question: str, options: str, answer: str, images: int = 1) -> dict[str, Any]:
    return {
        "id": f"validation_Art_{number}", "question": question, "options": options, "explanation": "",
        **{f"image_{place}": image(10 * number + place) if place <= images else None for place in range(1, 8)},
        "img_type": "['Paintings']", "answer": answer, "topic_difficulty": "Easy",
        "question_type": "open" if options == "[]" else "multiple-choice", "subfield": "Drawing",
    }  # fmt: skip


MMMU_ROWS = [
    mmmu(1, "What is shown in <image 1>?", "['a fox', \"a wolf's den\", 'a dog']", "B"),
    mmmu(2, "Compare <image 1> with <image 2>.", r"['$|x| < 2$', '$\\frac{|x|}{2} > 2$', 'P(A|B)']", "C", images=2),
    mmmu(3, "How many are in <image 1>?", "[]", "24"),
    mmmu(4, "Which one is <image 1>?", "['a fox', 'a dog", "A"),
]
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def test_mmmu_is_read_as_it_is_published(tmp_path: Path) -> None:
    parquet(tmp_path / "mmmu.parquet", MMMU_ROWS, **{f"image_{place}": IMAGE for place in range(1, 8)})
    counts = Counts()
    one, two, three, broken = read(tmp_path, "mmmu.parquet", columns=MMMU, counts=counts)
    assert isinstance(one, Sample)
    assert isinstance(two, Sample)
    assert isinstance(three, Sample)
    assert isinstance(broken, Fault)
    assert (one.id, one.options, one.label) == ("validation_Art_1", ("a fox", "a wolf's den", "a dog"), "a wolf's den")
    assert (one.question, one.meta) == ("What is shown in <image 1>?", {"subfield": "Drawing"})
    assert (two.options, two.label) == (("$|x| < 2$", r"$\frac{|x|}{2} > 2$", "P(A|B)"), "P(A|B)")
    assert [picture.load() for picture in two.pictures] == [png(21), png(22)], "image 1 is the first picture, image 2 the second"
    assert (three.options, three.label, counts.labels_unknown) == ((), None, 1), "an open question is asked freely; 24 is no choice"
    assert (broken.reason, broken.where, broken.id) == ("options_broken", "mmmu.parquet:4", "validation_Art_4")


def test_the_open_questions_of_mmmu_keep_their_answers_under_a_verifier_for_numbers(tmp_path: Path) -> None:
    parquet(tmp_path / "mmmu.parquet", MMMU_ROWS[2:3], **{f"image_{place}": IMAGE for place in range(1, 8)})
    (sample,) = sound(tmp_path, "mmmu.parquet", columns=MMMU, task=Task(kind="answer", verifier="number"))
    assert (sample.options, sample.label) == ((), "24")


SCIENCE = {"question": ["hint", "question"], "options": "choices", "label_index": "answer", "meta": ["lecture"]}


def science(number: int, choices: list[str], answer: int, *, hint: str = "", pictured: bool = True) -> dict[str, Any]:
    return {
        "image": image(number) if pictured else None, "question": f"Question {number}?", "choices": choices, "answer": answer,
        "hint": hint, "task": "closed choice", "grade": "grade5", "subject": "natural science", "topic": "physics",
        "category": "Magnets", "skill": "Compare", "lecture": "Magnets pull.", "solution": "It pulls.",
    }  # fmt: skip


SCIENCE_ROWS = [
    science(1, ["It repels.", "It attracts."], 0, hint="Two magnets lie side by side."),
    science(2, ["3", "0", "1"], 1),
    science(3, ["yes", "no"], 1, pictured=False),
    science(4, ["yes", "no"], 1),
]


@pytest.mark.parametrize("kind", ["table", "hf"])
@pytest.mark.parametrize("task", [Task(kind="classify"), CHOICE], ids=["classify", "choice"])
def test_science_qa_is_read_as_it_is_published(tmp_path: Path, kind: str, task: Task) -> None:
    if kind == "hf":
        pytest.importorskip("datasets")
    (tmp_path / "data").mkdir()
    parquet(tmp_path / "data" / "train-00000-of-00001.parquet", SCIENCE_ROWS, image=IMAGE, answer=pa.int8())
    one, two, none, four = read(tmp_path, "data", kind=kind, columns=SCIENCE, task=task)
    assert isinstance(one, Sample)
    assert isinstance(two, Sample)
    assert isinstance(none, Fault)
    assert isinstance(four, Sample)
    assert (one.question, one.label) == ("Two magnets lie side by side.\n\nQuestion 1?", "It repels.")
    assert (two.question, two.options, two.label) == ("Question 2?", ("3", "0", "1"), "0"), "the place 1, not the option 1"
    assert (none.reason, four.label, one.meta) == ("no_image", "no", {"lecture": "Magnets pull."})


OKVQA = {"id": "question_id", "options": "choices", "label_index": "correct_choice_idx", "meta": ["direct_answers"]}
OKVQA_ROWS = [
    {"image": 1, "question_id": "q1", "question": "How many?", "choices": ["2", "4", "1", "3"], "correct_choice_idx": 2,
     "direct_answers": "['one', '1', 'one']", "difficult_direct_answer": False, "rationales": ["There is one."]},
    {"image": 2, "question_id": "q2", "question": "What is it?", "choices": ["a|b", "toothpick", "food"], "correct_choice_idx": 1,
     "direct_answers": "['toothpick']", "difficult_direct_answer": False, "rationales": ["It is thin."]},
    {"image": 3, "question_id": "q3", "question": "Where?", "choices": ["here", "there"], "correct_choice_idx": None,
     "direct_answers": None, "difficult_direct_answer": True, "rationales": []},
]  # fmt: skip


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv"])
def test_a_okvqa_is_read_as_it_is_published_and_from_what_pandas_makes_of_it(tmp_path: Path, form: str) -> None:
    if form == "parquet":
        parquet(tmp_path / "rows.parquet", [row | {"image": image(row["image"])} for row in OKVQA_ROWS], correct_choice_idx=pa.int8())
    else:
        rows = [row | {"image": f"{row['image']}.png"} for row in OKVQA_ROWS]
        for row in OKVQA_ROWS:
            (tmp_path / f"{row['image']}.png").write_bytes(png(row["image"]))
        with (tmp_path / f"rows.{form}").open("w", newline="") as file:
            if form == "csv":  # a column of integers with a gap becomes floats, a list its repr
                table = csv.DictWriter(file, list(rows[0]))
                table.writeheader()
                at = "correct_choice_idx"
                table.writerows({**row, at: "" if row[at] is None else float(row[at])} for row in rows)
            else:
                file.writelines(json.dumps(row) + "\n" for row in rows)
    counts = Counts()
    one, two, three = sound(tmp_path, f"rows.{form}", columns=OKVQA, task=Task(kind="classify"), counts=counts)
    assert (one.id, one.options, one.label) == ("q1", ("2", "4", "1", "3"), "1")
    assert (two.options, two.label, three.label) == (("a|b", "toothpick", "food"), "toothpick", None)
    assert (one.meta, three.meta) == ({"direct_answers": "['one', '1', 'one']"}, {"direct_answers": None})
    assert (counts.labels_missing, counts.labels_unknown) == (1, 0)
