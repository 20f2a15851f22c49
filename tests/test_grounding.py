"""Whether an answer outlives its picture, which other picture is shown, and which things a text names."""

from dataclasses import replace
from pathlib import Path

import pytest

from cotforge.followups.grounding import blanked, survives, swapped
from cotforge.followups.seen import read_yes_no
from cotforge.followups.things import decoys_for, is_english, named_things
from cotforge.records import Reply
from tests.following import FEELINGS, FREE, said
from tests.outcomes import picture, sample

BLANK = "The image is completely blank, a uniform grey field."
LONG = "There is a small red boat on a calm lake in front of the mountains, and the sky above it is clear and very blue."


def survived(content: str, answer: str | None, *, field: str = "", own: str = "I see a bright valley.") -> bool | None:
    probed = said(1, "t0", content, answer)
    return survives(said(1, "t0", own), Reply("k", content, reasoning=field), probed, FEELINGS)


@pytest.mark.parametrize(
    ("content", "answer", "value"),
    [
        ("The valley is vast and bright.", "awe", True),
        ("It is dark.", "fear", False),
        (BLANK, "awe", False),
        ("I cannot see any image, so I guess.", "awe", False),
        ("There is no visible content in it.", None, False),
        ("A solid gray rectangle, nothing more.", "awe", False),
        ("The surface is almost blank, without any stroke.", "awe", False),
        ("I cannot determine the emotion.", None, False),
        ("None of the options fits.", None, False),
        ("I cannot tell whether it is dusk or dawn, but the valley is vast.", "awe", True),
        ("A man in a plain grey shirt stands there.", "awe", True),
        ("The valley is", None, None),
        ("", None, None),
    ],
)
def test_a_trace_survives_where_the_answer_stays_and_nobody_says_that_there_is_nothing_to_see(
    content: str, answer: str | None, value: bool | None
) -> None:
    assert survived(content, answer) is value


def test_what_is_said_in_a_field_of_its_own_counts_too() -> None:
    assert survived("", "awe", field=BLANK) is False


def test_a_picture_that_the_trace_itself_calls_blank_tells_nothing_by_being_blank() -> None:
    assert survived(BLANK, "awe", own="The picture is a blank image.") is True


def test_a_free_answer_in_other_words_is_the_same_where_the_reasoning_is() -> None:
    own = said(1, "t0", LONG, "boat")
    for content, value in ((LONG.replace("small", "little"), True), ("A red car drives along a road in the rain at night.", False)):
        probed = said(1, "t0", content, "a boat")
        assert survives(own, Reply("k", content), probed, FREE) is value


def test_a_blanked_sample_differs_in_its_pictures_alone() -> None:
    blank = blanked(sample(1))
    assert replace(blank, pictures=sample(1).pictures) == sample(1)
    assert [(one.width, one.height, one.mime) for one in blank.pictures] == [(8, 8, "image/png")]


def test_another_picture_is_of_another_label_and_drawn_by_the_pictures_alone() -> None:
    others = [sample(number, label=("awe", "fear", "joy", None)[number % 4]) for number in range(2, 30)]
    chosen = swapped(sample(1), "awe", tuple(others), {})
    assert chosen is not None
    assert chosen.id == "s1"
    assert chosen.question == sample(1).question
    assert chosen.pictures in {other.pictures for other in others if other.label != "awe"}
    assert chosen == swapped(sample(1), "awe", tuple(reversed(others)), {})
    drawn = {str(swapped(sample(number), "awe", tuple(others), {})) for number in range(100, 140)}
    assert len(drawn) > 10


def test_without_a_fitting_other_sample_there_is_no_swap() -> None:
    same = replace(sample(5, label="fear"), pictures=sample(1).pictures)
    two = replace(sample(6, label="fear"), pictures=(picture(7), picture(8)))
    said_by_people = sample(9, label="fear")
    assert swapped(sample(1), "awe", (sample(4, label="awe"), same, two, said_by_people), {"s9": "awe"}) is None
    assert swapped(sample(1), "awe", (said_by_people,), {}) is not None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1: yes\n2: no\n3: yes", {1: True, 2: False, 3: True}),
        ("1. a red hat - Yes\n2) No, I see none.\n**3:** yes", {1: True, 2: False, 3: True}),
        ("1: yes, 2: no, 3: YES", {1: True, 2: False, 3: True}),
        ('{"1": "yes", "2": "no"}', {1: True, 2: False}),
        ("| 1 | yes |\n| 2 | no |", {1: True, 2: False}),
        ("- [1] ✓\n- [2] ✗", {1: True, 2: False}),
        ("Yes\nno\nYes.", {1: True, 2: False, 3: True}),
        ("yes\nno", {}),
        ("1: maybe\n2: yes or no\n3: no", {3: False}),
        ("1: yes\n1: no\n2: yes", {2: True}),
        ("7: yes\n0: no\n2: no", {2: False}),
        ("I cannot help with that.", {}),
        ("1: <yes or no>", {}),
        ("1. two dogs\n2. a hat\n3. a cup", {}),
        ("", {}),
    ],
)
def test_a_list_of_yes_and_no_is_read_and_what_is_unclear_is_missing(text: str, found: "dict[int, bool]") -> None:
    assert read_yes_no(text, 3) == found


def table() -> list[tuple[str, str, set[str]]]:
    rows = [line.split("\t") for line in (Path(__file__).parent / "tables" / "things.tsv").read_text().splitlines()[1:]]
    return [(part, text, set(things.split("; "))) for part, text, things in rows]


@pytest.mark.parametrize(("part", "precision", "recall"), [("tuned", 0.99, 0.95), ("held", 0.92, 0.89)])
def test_things_are_found_as_well_as_measured(part: str, precision: float, recall: float) -> None:
    right = named = wanted = 0
    for _, text, things in (row for row in table() if row[0] == part):
        found = set(named_things(text))
        right, named, wanted = right + len(found & things), named + len(found), wanted + len(things)
    assert right / named >= precision
    assert right / wanted >= recall - 0.08  # one name may stand for several things of one head


@pytest.mark.parametrize(
    "text",
    [
        "There is no dog in the picture, and without a leash it would be a stray.",
        "If there were a knife, this could be a crime.",
        "On the other hand it is the 6 well ahead of the 7 that fits, and two fifths of the weight lie low.",
        "Der Mann steht vor einem alten Haus und hält eine rote Tasse in der Hand.",
        "El hombre lleva una chaqueta roja y está cerca de la ventana.",
        "画面中有一个男人和一只狗。",
        "",
    ],
)
def test_what_is_denied_supposed_measured_or_in_another_language_names_nothing(text: str) -> None:
    assert named_things(text) == []


def test_labels_are_no_things_and_a_list_has_an_end() -> None:
    text = "The valley is wide. The boat is red. There is a lamp."
    assert named_things(text, without=("boat", "Boat house", "")) == ["valley", "lamp"]
    many = " ".join(f"There is a thing{'abcdefghijklmnopqrstuvwxyz'[number]}er on it." for number in range(26))
    assert len(named_things(many)) == 12
    assert is_english(text)


def test_decoys_are_drawn_and_never_hold_a_word_that_was_said() -> None:
    drawn = {thing for mark in map(str, range(200)) for thing in decoys_for("A giraffe under a RED sky", mark)}
    assert len(drawn) > 20
    assert not any(word in thing for thing in drawn for word in ("giraffe", "red "))
    assert decoys_for("", "m") == decoys_for("", "m") != decoys_for("", "n")
