"""Classes that the teachers do not see: told first, on the console, the card and the report, by people's answers or by labels."""

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.records import Ballot, CuratedSample, Fault, Gold, Sample, Verdict
from cotforge.tally.blindness import Blindness, Unseen
from tests.project import LABELS, ran, replay, said, write_pipeline, write_rows

CLASSES = ("normal", "local defect", "nominal")


def outcome(id: str, label: str | None, *answers: str, options: Sequence[str] = CLASSES, reason: str = "") -> CuratedSample:
    """A Sample of which teachers said these answers, the first one agreed on."""
    ballots = tuple(Ballot(f"t{place}", answer) for place, answer in enumerate(answers))
    verdict = Verdict(answers[0] if answers else None, 0.9, not reason and bool(answers), reason, ballots)  # type: ignore[arg-type]
    return CuratedSample(Sample(id, (), "Which?", tuple(options), label), verdict, ())


def found(outcomes: Iterable[CuratedSample | Fault], gold: Gold | None = None) -> list[Unseen]:
    watched = Blindness(gold or Gold())
    stream = list(outcomes)
    assert list(watched.watch(stream)) == stream
    return watched.unseen()


def labelled(labels: dict[str, int], seen: dict[str, str], *, flips: float = 0.0, seed: int = 0) -> list[CuratedSample]:
    """So many true samples of each class; `flips` of the labels are another one by chance; teachers say what `seen` has."""
    drawn, made = random.Random(seed), list[CuratedSample]()
    names = list(labels)
    for name, count in labels.items():
        for number in range(count):
            label = drawn.choice([other for other in names if other != name]) if drawn.random() < flips else name
            answer = seen.get(name, name)
            made.append(outcome(f"{name}-{number}", label, answer, answer, options=names))
    return made


# people say it


def test_a_class_that_people_find_called_something_else_is_named_with_its_counts() -> None:
    gold = Gold({f"x{number}": "local defect" for number in range(25)} | {f"y{number}": "normal" for number in range(30)})
    outcomes = [outcome(f"x{number}", "local defect", "nominal" if number < 5 else "normal", "normal") for number in range(25)]
    outcomes += [outcome(f"y{number}", "normal", "normal", "normal") for number in range(30)]
    (one,) = found(outcomes, gold)
    assert (one.name, one.checked, one.otherwise, one.of, one.called) == ("local defect", True, 25, 25, "normal")
    assert one.line() == (
        "the teachers do not see 'local defect': 25 of 25 checked ones were called something else, mostly 'normal'; "
        "ask other teachers, or take the class out"
    )


@pytest.mark.parametrize(
    ("otherwise", "of", "told"),
    [
        (3, 3, True),
        (2, 2, False),
        (3, 4, False),
        (4, 5, True),
        (8, 10, True),
        (5, 10, False),
        (13, 24, True),
        (11, 24, False),
        (0, 9, False),
    ],
)
def test_few_checked_samples_are_enough_only_where_nearly_all_were_called_something_else(otherwise: int, of: int, told: bool) -> None:
    gold = Gold({f"x{number}": "local defect" for number in range(of)})
    outcomes = [outcome(f"x{number}", None, "normal" if number < otherwise else "local defect") for number in range(of)]
    assert bool(found(outcomes, gold)) == told


def test_one_teacher_of_three_who_sees_the_class_does_not_hide_it_and_a_tie_is_no_other_answer() -> None:
    gold = Gold({f"x{number}": "local defect" for number in range(10)})
    assert found([outcome(f"x{number}", None, "normal", "normal", "local defect") for number in range(10)], gold)
    assert not found([outcome(f"x{number}", None, "normal", "local defect") for number in range(10)], gold)


def test_samples_without_answers_and_those_that_people_cannot_tell_say_nothing() -> None:
    gold = Gold({f"x{number}": "local defect" for number in range(10)}, frozenset({f"y{number}" for number in range(30)}))
    silent = [outcome(f"x{number}", "local defect") for number in range(10)]
    assert not found([*silent, *(outcome(f"y{number}", "local defect", "normal") for number in range(30))], gold)


# labels say it


def test_without_gold_labels_tell_it_and_the_line_says_that_they_may_be_wrong() -> None:
    seen = {"local defect": "normal"}
    (one,) = found(labelled(dict.fromkeys(CLASSES, 200), seen, flips=0.1))
    assert (one.name, one.checked, one.called) == ("local defect", False, "normal")
    assert one.line().startswith("the teachers do not see 'local defect', or its labels are wrong: ")
    assert f"{one.otherwise} of {one.of} samples labelled so" in one.line()
    assert "ask other teachers, or take the class out" in one.line()


@pytest.mark.parametrize("rare", [15, 40])
def test_a_rare_class_that_nobody_names_is_told_of(rare: int) -> None:
    (one,) = found(labelled({"clean": 1_000, "defect": rare}, {"defect": "clean"}))
    assert (one.name, one.otherwise, one.of) == ("defect", rare, rare)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("labels", "flips"),
    [
        (dict.fromkeys("abcdefgh", 200), 0.1),
        (dict.fromkeys("abcdefgh", 200), 0.4),
        (dict.fromkeys("abc", 200), 0.3),
        (dict.fromkeys("abc", 200), 0.6),
        ({"a": 2_000, "b": 800, "c": 320, "d": 80, "e": 40}, 0.1),
        ({"big": 2_000, "rare": 40}, 0.1),
        (dict.fromkeys("ab", 300), 0.0),
    ],
)
def test_wrong_labels_alone_are_not_taken_for_blindness(labels: dict[str, int], flips: float, seed: int) -> None:
    assert found(labelled(labels, {}, flips=flips, seed=seed)) == []


def test_labels_of_one_class_that_are_wrong_more_often_than_others_are_not_either() -> None:
    outcomes = labelled(dict.fromkeys("abcdefgh", 200), {}, flips=0.03)
    outcomes += [outcome(f"4-{number}", "b", "a", "a", options=tuple("abcdefgh")) for number in range(130)]  # a -> b
    assert found(outcomes) == []


def test_what_people_found_stands_above_labels() -> None:
    outcomes = labelled(dict.fromkeys(CLASSES, 100), {"local defect": "normal"})
    said_so = Gold({f"local defect-{number}": "local defect" for number in range(12)})
    assert [one.checked for one in found(outcomes, said_so)] == [True]
    # Twelve checked ones that were named rightly: the labels are what is wrong.
    right = [outcome(f"p{number}", "local defect", "local defect") for number in range(12)]
    assert found([*outcomes, *right], Gold({f"p{number}": "local defect" for number in range(12)})) == []


def test_an_answer_that_the_label_gate_kept_out_counts_as_agreed_and_other_rejected_ones_do_not() -> None:
    plain = labelled({"normal": 100, "nominal": 100}, {})
    gated = [outcome(f"g{number}", "local defect", "normal", "normal", reason="label_gate") for number in range(50)]
    assert [one.name for one in found([*plain, *gated])] == ["local defect"]
    unsure = [outcome(f"g{number}", "local defect", "normal", "normal", reason="below_target") for number in range(50)]
    assert found([*plain, *unsure]) == []


def test_free_answers_have_no_classes() -> None:
    assert found([outcome(str(number), "7", "8", options=()) for number in range(50)]) == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc"), st.booleans()), max_size=60), st.randoms(use_true_random=False))
def test_the_order_of_samples_decides_nothing(rows: list[tuple[str, str, bool]], order: random.Random) -> None:
    gold = Gold({str(number): label for number, (label, _, checked) in enumerate(rows) if checked})
    outcomes = [outcome(str(number), label, answer, options="abc") for number, (label, answer, _) in enumerate(rows)]
    once = found(outcomes, gold)
    order.shuffle(outcomes)
    assert found(outcomes, gold) == once


def test_a_long_name_leaves_the_line_whole_on_a_card() -> None:
    name = "x" * 500
    gold = Gold({str(number): name for number in range(5)})
    (one,) = found([outcome(str(number), None, "y" * 500, options=(name, "y" * 500)) for number in range(5)], gold)
    assert len(one.line()) < 300
    assert len(Unseen(name, False, 1_000, 1_000, name).line()) < 300


# a run


def blind_run(folder: Path, count: int = 80, *, gold: bool) -> None:
    """Two teachers who call every picture labelled 'fear' sadness, and name all others rightly."""
    write_rows(folder, count)
    told = {f"row-{number}": said("sadness" if LABELS[number % 4] == "fear" else LABELS[number % 4]) for number in range(count)}
    sections = {"gold": "mine.csv"} if gold else {}
    write_pipeline(folder, replay(folder, "one", told), replay(folder, "two", told), **sections)
    rows = "".join(f"row-{number},{LABELS[number % 4]}\n" for number in range(count // 2))
    (folder / "mine.csv").write_text(f"id,answer\n{rows}")


@pytest.mark.parametrize("gold", [False, True])
def test_console_card_and_report_say_it_first(tmp_path: Path, gold: bool) -> None:
    blind_run(tmp_path, gold=gold)
    built = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    first = built.stdout.splitlines()[0]
    share = "10 of 10 checked ones" if gold else "20 of 20 samples labelled so"
    assert first.startswith("the teachers do not see 'fear'")
    assert share in first
    assert "called something else, mostly 'sadness'" in first
    run = tmp_path / "runs/feelings"
    card = (run / "dataset/README.md").read_text().split("---\n", 2)[2]
    assert card.split("\n\n")[1].startswith("> **the teachers do not see 'fear'")
    body = (run / "report.html").read_text().partition("</h1>")[2]
    assert body.lstrip().startswith('<p class="first" role="alert">the teachers do not see')
    (told,) = json.loads((run / "summary.json").read_text())["unseen"]
    assert (told["name"], told["checked"], told["called"]) == ("fear", gold, "sadness")


def test_a_run_whose_teachers_see_all_classes_says_nothing(tmp_path: Path) -> None:
    write_rows(tmp_path, 40)
    told = {f"row-{number}": said(LABELS[number % 4]) for number in range(40)}
    write_pipeline(tmp_path, replay(tmp_path, "one", told), replay(tmp_path, "two", told))
    built = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert "do not see" not in built.stdout
    assert json.loads((tmp_path / "runs/feelings/summary.json").read_text()).get("unseen") is None
