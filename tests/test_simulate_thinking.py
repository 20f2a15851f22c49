"""What simulated teachers say to follow-ups about real handwritten digits: by what they see, and by their habits."""

import re
from collections.abc import Callable
from functools import cache
from statistics import fmean

import pytest

from cotforge.demo.digits import encode_png
from cotforge.simulate.cells import STYLES, work_out
from cotforge.simulate.hints import LEAKS
from cotforge.simulate.speaker import Speaker
from cotforge.simulate.thinking import NOTHING_SEEN
from cotforge.teachers.simulated import GridCells
from tests.shown import DIGITS, LEARNED, RUBRIC, SUM, digits, follow_up_request, grid_picture, make_speaker, said_to, write_learned

FORM = re.compile(r"<think>(.*)</think>\n<answer>(.*)</answer>", re.DOTALL)
TRIED = 25
BLANK = encode_png(0 * digits()[0].grey)
Make = Callable[..., Speaker]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    folder = tmp_path_factory.mktemp("shown")
    write_learned(folder)

    @cache
    def made(sums: bool, **simulate: object) -> Speaker:
        return make_speaker(folder, sums=sums, **simulate)

    return made


def parts(text: str) -> tuple[str, str]:
    """(reasoning, answer)."""
    found = FORM.fullmatch(text)
    assert found is not None, text
    return found[1], found[2]


def explained(speaker: Speaker, start: int, hint: str) -> tuple[str, str]:
    return parts(said_to(speaker, follow_up_request("explain", grid_picture(start)[0], label=hint)))


def true_sum(start: int) -> str:
    return str(sum(map(int, grid_picture(start)[1])))


def solved(speaker: Speaker, start: int) -> tuple[str, str]:
    return parts(said_to(speaker, follow_up_request("solve", grid_picture(start)[0])))


def test_a_hint_is_followed_by_steps_that_lead_there_or_left_for_what_is_seen(make: Make) -> None:
    credulous, stubborn = make(True, follows_hint=1.0, leaks_hint=0.0), make(True, follows_hint=0.0, leaks_hint=0.0)
    for start in range(8):
        wrong = str((int(true_sum(start)) + 9) % 37)
        reasoning, answer = explained(credulous, start, wrong)
        assert answer == re.findall(r"\d+", reasoning)[-1] == wrong
        assert explained(stubborn, start, "0") == solved(stubborn, start)


def test_the_truth_as_a_hint_mends_a_cell_that_was_nearly_read_right(make: Make) -> None:
    speaker = make(True, follows_hint=0.0, leaks_hint=0.0)
    alone = sum(solved(speaker, start)[1] == true_sum(start) for start in range(TRIED))
    hinted = sum(explained(speaker, start, true_sum(start))[1] == true_sum(start) for start in range(TRIED))
    assert alone < hinted


def test_a_hint_is_given_away_by_a_share_and_in_words(make: Make) -> None:
    speaker = make(True, follows_hint=1.0, leaks_hint=0.5)
    given_away = [any(leak.format(hint="12") in explained(speaker, start, "12")[0] for leak in LEAKS) for start in range(TRIED)]
    assert 5 < sum(given_away) < 20


def test_a_digit_is_explained_as_hinted_with_what_is_really_there(make: Make) -> None:
    speaker = make(False, follows_hint=1.0, leaks_hint=0.0)
    for digit in digits()[LEARNED : LEARNED + 5]:
        other = str((digit.label + 5) % 10)
        asked = follow_up_request("explain", encode_png(digit.grey), options=DIGITS, label=other)
        assert parts(said_to(speaker, asked))[1] == other


def verified(speaker: Speaker, start: int, reasoning: str, *, blind: bool = False) -> str:
    cut = re.sub(r"\d+\.$", "___", reasoning)
    return parts(said_to(speaker, follow_up_request("verify", None if blind else grid_picture(start)[0], reasoning=cut)))[1]


def test_a_reasoning_alone_leads_to_its_own_answer_and_with_the_picture_to_what_the_eye_makes_of_it(make: Make) -> None:
    writer, checker = make(True, follows_hint=1.0, leaks_hint=0.0), make(True, eye="nearest", look="pixels", seed=1)
    wrong = {start: explained(writer, start, str((int(true_sum(start)) + 9) % 37)) for start in range(TRIED)}
    right = {start: explained(writer, start, true_sum(start)) for start in range(TRIED)}
    for found in (wrong, right):
        assert all(verified(checker, start, reasoning, blind=True) == answer for start, (reasoning, answer) in found.items())
    confirmed_wrong = fmean(verified(checker, start, reasoning) == answer for start, (reasoning, answer) in wrong.items())
    confirmed_right = fmean(verified(checker, start, reasoning) == answer for start, (reasoning, answer) in right.items())
    assert confirmed_wrong < 0.2
    assert confirmed_right > 0.5


def test_who_trusts_a_text_says_what_it_says_and_who_does_not_looks_alone(make: Make) -> None:
    zeros = work_out(GridCells.model_validate(SUM), ["0"] * 4, style=STYLES[0])[0]
    reasoning = zeros.replace("shows 0 which makes 0.", "shows 0 which makes ___.")
    for start in range(5):
        assert verified(make(True, trusts_text=1.0), start, reasoning) == "0"
        assert verified(make(True, trusts_text=0.0), start, reasoning) == solved(make(True, trusts_text=0.0), start)[1]


def test_a_digit_is_told_from_its_description_more_often_than_by_chance(make: Make) -> None:
    writer, checker = make(False), make(False, eye="bayes", look="edges", seed=1)
    right = 0
    for digit in digits()[LEARNED : LEARNED + TRIED]:
        thought, answer = parts(said_to(writer, follow_up_request("solve", encode_png(digit.grey), options=DIGITS)))
        observed = " ".join(each for each in re.split(r"(?<=[.!?])\s+", thought) if not re.search(r"\d", each))
        right += parts(said_to(checker, follow_up_request("verify", None, options=DIGITS, reasoning=observed)))[1] == answer
    assert right >= TRIED // 4


@pytest.mark.parametrize("sums", [False, True])
def test_a_woven_text_has_its_five_parts_and_ends_in_the_right_answer(make: Make, sums: bool) -> None:
    writer, other = make(sums), make(sums, eye="tree", seed=3)
    for start in range(5):
        data = grid_picture(start)[0] if sums else encode_png(digits()[LEARNED + start].grey)
        options = () if sums else DIGITS
        told = [parts(said_to(each, follow_up_request("solve", data, options=options))) for each in (writer, other)]
        traces = tuple({"answer": answer, "reasoning": thought} for thought, answer in told)
        text = said_to(writer, follow_up_request("weave", data, options=options, answer=told[0][1], traces=traces))
        kinds = re.findall(r"<(\w+)>", text)
        assert list(dict.fromkeys(kinds)) == [
            "observe", "candidate", *(["doubt"] if "doubt" in kinds else []), "check", "conclude", "answer"
        ]  # fmt: skip
        assert "doubt" in kinds or told[0][1] == told[1][1]
        assert text.endswith(f"<answer>{told[0][1]}</answer>")


def marks(speaker: Speaker, start: int, reasoning: str, answer: str) -> list[int]:
    asked = follow_up_request("judge", grid_picture(start)[0], reasoning=reasoning, answer=answer, rubric=RUBRIC)
    found = re.fullmatch(r"grounded: (\d+)\nchecks: (\d+)", said_to(speaker, asked))
    assert found is not None
    return [int(each) for each in found.groups()]


def test_a_judge_marks_what_its_eye_confirms_higher_and_a_flatterer_everything_highest(make: Make) -> None:
    writer, judge = make(True, follows_hint=1.0, leaks_hint=0.0), make(True, eye="nearest", look="pixels", seed=1)
    good = [marks(judge, start, *solved(writer, start)) for start in range(TRIED)]
    bad = [marks(judge, start, *explained(writer, start, str((int(true_sum(start)) + 17) % 37))) for start in range(TRIED)]
    assert {each for each, _ in good} <= set(range(1, 6))
    assert fmean(each for each, _ in good) > fmean(each for each, _ in bad) + 0.5
    assert good[0] == marks(judge, 0, *solved(writer, 0))
    assert marks(make(True, flatters=1.0), 0, "No.", "99") == [5, 10]
    careful = "It is 3. Let me check that again. On a second look, however, it is 5 rather than 3."
    assert fmean(marks(judge, start, careful, "5")[1] for start in range(TRIED)) > 1 + fmean(
        marks(judge, start, "It is 3.", "5")[1] for start in range(TRIED)
    )


def test_things_are_confirmed_by_what_the_eye_sees_and_nothing_is_on_a_blank_picture(make: Make) -> None:
    speaker = make(True)
    read = re.findall(r"(?:shows|is|reads|has|holds) (\d)", solved(speaker, 0)[0])
    absent = next(digit for digit in DIGITS if digit not in read)
    things = (f"a {read[0]}", f"the digit {absent}", "99", "ink at the top left")
    assert said_to(speaker, follow_up_request("seen", grid_picture(0)[0], things=things)) == "1: yes\n2: no\n3: no\n4: yes"
    assert said_to(speaker, follow_up_request("seen", BLANK, things=things)) == "1: no\n2: no\n3: no\n4: no"
    ring = next(digit for digit in digits()[LEARNED:] if digit.label == 0)
    one = said_to(make(False), follow_up_request("seen", encode_png(ring.grey), things=("one closed loop", "a hole", "the colour red")))
    assert one == "1: yes\n2: yes\n3: no"


@pytest.mark.parametrize("sums", [False, True])
def test_of_a_blank_picture_a_teacher_says_so_by_a_share_or_guesses_always_the_same(make: Make, sums: bool) -> None:
    asked = follow_up_request("solve", BLANK, options=() if sums else DIGITS)
    assert NOTHING_SEEN in said_to(make(sums, admits_blank=1.0), asked)
    reasoning, answer = parts(said_to(make(sums), asked))
    assert answer.isdigit()
    assert NOTHING_SEEN not in reasoning
    assert NOTHING_SEEN not in said_to(make(True, admits_blank=1.0), follow_up_request("solve", grid_picture(0)[0]))


def test_the_same_request_gets_the_same_reply_whatever_is_shown(make: Make) -> None:
    asked = follow_up_request("explain", grid_picture(3)[0], label="12")
    assert said_to(make(True), asked) == said_to(make(True), asked)
