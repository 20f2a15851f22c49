"""Answers given one at a time: in the format of gold, in the place of what the same person said before, and under a lock."""

import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cotforge.answers import Task
from cotforge.errors import JournalError, PipelineError
from cotforge.given_answers import GivenAnswer, GoldSheet
from cotforge.gold import read_gold
from cotforge.gold.review import locked_gold, read_sheet, save_answer, withdraw_answer

TASK = Task(kind="classify", question="?", labels=["awe", "fear"])


def save(run: Path, id: str, answer: str, person: str = "view", note: str = "") -> str:
    save_answer(run, run / "gold.csv", id, GivenAnswer(person, answer, note))
    return (run / "gold.csv").read_text()


def test_a_second_answer_of_a_person_takes_the_place_of_the_first_and_others_stay(tmp_path: Path) -> None:
    save(tmp_path, "1", "awe")
    save(tmp_path, "2", "fear", "ann")
    save(tmp_path, "1", "awe", "ann")
    assert save(tmp_path, "1", "fear") == "id,answer,person,drawn,note\n2,fear,ann,1,\n1,awe,ann,1,\n1,fear,view,1,\n"
    found = read_gold(tmp_path / "gold.csv", TASK)
    assert (found.answers, found.ambiguous) == ({"2": "fear"}, {"1"})
    sheet = read_sheet(tmp_path / "gold.csv")
    assert [sheet.state(id) for id in ("1", "2", "3")] == ["unsure", "checked", ""]
    assert withdraw_answer(tmp_path, tmp_path / "gold.csv", "1", "view")
    assert not withdraw_answer(tmp_path, tmp_path / "gold.csv", "1", "view")
    assert read_gold(tmp_path / "gold.csv", TASK).answers == {"1": "awe", "2": "fear"}


def test_a_file_that_people_made_keeps_its_columns_order_and_remarks(tmp_path: Path) -> None:
    (tmp_path / "gold.csv").write_text('remark;Answer;ID\n"keep; me";awe;1\n;;2\n')
    assert save(tmp_path, "3", "?", note="=too dark") == (
        'remark;Answer;ID;person;drawn;note\n"keep; me";awe;1\n;;2\n;?;3;view;1;\'=too dark\n'
    )
    assert read_gold(tmp_path / "gold.csv", TASK).ambiguous == {"3"}
    assert read_sheet(tmp_path / "gold.csv").answers["3"] == (GivenAnswer("view", "?", "=too dark"),)


def test_a_reviewed_sample_stands_for_no_other_unless_it_was_drawn_before(tmp_path: Path) -> None:
    (tmp_path / "gold.csv").write_text("id,answer,person,drawn\n1,awe,ann,0.2\n2,awe,ann,\n")
    for id in ("1", "2", "3"):
        save(tmp_path, id, "awe")
    assert read_gold(tmp_path / "gold.csv", TASK).drawn == {"1": 0.2, "3": 1.0}


def test_a_note_alone_is_no_answer(tmp_path: Path) -> None:
    save(tmp_path, "1", "", note="look again")
    assert read_gold(tmp_path / "gold.csv", TASK).checked == frozenset()
    assert read_sheet(tmp_path / "gold.csv").answers == {"1": (GivenAnswer("view", "", "look again"),)}
    assert save(tmp_path, "1", "awe").endswith("1,awe,view,1,\n")


SAID = st.tuples(st.sampled_from(["a", "=b", 'c "d", e']), st.sampled_from(["awe", "fear", "?"]), st.sampled_from(["x", "y"]))


@settings(max_examples=20)
@given(st.lists(SAID, max_size=6))
def test_the_last_answer_of_each_person_is_what_the_file_holds(
    tmp_path_factory: pytest.TempPathFactory, said: list[tuple[str, str, str]]
) -> None:
    run = tmp_path_factory.mktemp("gold")
    last: dict[tuple[str, str], str] = {}
    for id, answer, person in said:
        save(run, id, answer, person)
        last[id, person] = answer
    held = {(id, one.person): one.answer for id, told in read_sheet(run / "gold.csv").answers.items() for one in told}
    assert held == last


def test_no_answer_is_lost_where_several_are_saved_at_once(tmp_path: Path) -> None:
    threads = [threading.Thread(target=save, args=(tmp_path, str(number), "awe", f"p{number % 3}")) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(read_gold(tmp_path / "gold.csv", TASK).answers) == {str(number) for number in range(12)}


def test_whoever_holds_the_lock_is_waited_for(tmp_path: Path) -> None:
    with locked_gold(tmp_path):
        waiting = threading.Thread(target=save, args=(tmp_path, "1", "awe"))
        waiting.start()
        waiting.join(0.1)
        assert waiting.is_alive()
        assert not (tmp_path / "gold.csv").exists()
    waiting.join(20)
    assert (tmp_path / "gold.csv").exists()


def test_a_broken_file_or_a_link_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "gold.csv").write_text("name,age\nann,3\n")
    with pytest.raises(PipelineError, match="no column 'id'"):
        save(tmp_path, "1", "awe")
    assert (tmp_path / "gold.csv").read_text() == "name,age\nann,3\n"
    (tmp_path / "gold.lock").unlink()
    (tmp_path / "gold.lock").symlink_to("/etc/hostname")
    with pytest.raises(JournalError, match="is a link"):
        save(tmp_path, "1", "awe")
    assert GoldSheet().state("1") == ""
