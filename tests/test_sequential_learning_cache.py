"""What was learned is found again by its content, from memory or from the run folder, and a folder that is no good costs only time."""

import os
from pathlib import Path

import pytest

from cotforge.consensus.sequential import learning_cache
from cotforge.consensus.sequential.learning_cache import FILES, FOLDER, LATEST, LearningCache, key_of
from cotforge.consensus.sequential.stored import policy_bytes
from tests.test_sequential_stored import KINDS, alike, policy_about

TERMS = KINDS["classes"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder."""
    (tmp_path / "cache").mkdir()
    return tmp_path


def test_without_a_folder_the_latest_policies_are_kept_in_memory() -> None:
    memory, policy = LearningCache(), policy_about(TERMS)
    for number in range(LATEST + 1):
        memory.keep_policy(str(number), policy)
    assert memory.policy("0", TERMS) is None
    assert memory.policy("1", TERMS) is policy
    memory.keep_belief("b", policy.belief)
    assert memory.belief("b", TERMS) is None
    assert not memory.lasts


def test_another_process_finds_in_the_folder_what_was_kept(run: Path) -> None:
    policy = policy_about(TERMS)
    LearningCache(run).keep_policy("p", policy)
    LearningCache(run).keep_belief("b", policy.belief)
    memory = LearningCache(run)
    found, belief = memory.policy("p", TERMS), memory.belief("b", TERMS)
    alike(found, policy)
    alike(belief, policy.belief)
    assert memory.policy("p", TERMS) is found, "read once"
    assert memory.policy("q", TERMS) is None
    assert memory.belief("p", TERMS) is None
    memory.keep_number("n", 0.9)
    assert (memory.number("n"), LearningCache(run).number("n"), LearningCache(run).number("p")) == (0.9, 0.9, None)
    assert {path.stat().st_mode & 0o777 for path in (run / FOLDER,)} == {0o700}


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "folder", "link", "pipe"])
def test_what_is_damaged_is_as_if_it_were_not_there_and_is_replaced(run: Path, damage: str) -> None:
    policy, memory = policy_about(TERMS), LearningCache(run)
    memory.keep_policy("p", policy)
    path = run / FOLDER / "p"
    data = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage == "link":
        (run / "elsewhere").write_bytes(data)
        path.symlink_to(run / "elsewhere")
    elif damage == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes({"cut": data[:-1], "changed": data[:-1] + bytes([data[-1] ^ 1]), "empty": b""}[damage])
    memory = LearningCache(run)
    assert memory.policy("p", TERMS) is None
    memory.keep_policy("p", policy)
    assert memory.policy("p", TERMS) is policy
    if damage != "folder":
        assert path.read_bytes() == policy_bytes(policy)
        assert not path.is_symlink()


def test_a_folder_that_cannot_be_made_or_written_raises_nothing(tmp_path: Path) -> None:
    policy = policy_about(TERMS)
    nowhere = LearningCache(tmp_path / "nowhere")
    nowhere.keep_policy("p", policy)
    assert nowhere.policy("p", TERMS) is policy
    (tmp_path / "cache").write_text("a file")
    LearningCache(tmp_path).keep_belief("b", policy.belief)
    assert LearningCache(tmp_path).belief("b", TERMS) is None


def test_of_too_many_files_those_go_that_were_used_longest_ago(run: Path) -> None:
    belief, memory = policy_about(TERMS).belief, LearningCache(run)
    for number in range(FILES):
        memory.keep_belief(f"b{number}", belief)
        os.utime(run / FOLDER / f"b{number}", (number, number))
    assert memory.belief("b0", TERMS) is not None, "used just now"
    memory.keep_belief("one more", belief)
    names = {path.name for path in (run / FOLDER).iterdir()}
    assert len(names) == FILES
    assert names >= {"b0", "one more"}
    assert "b1" not in names


def test_a_key_follows_from_all_parts_and_their_bounds() -> None:
    keys = {key_of("a", "b"), key_of("ab"), key_of("a", b"b"), key_of("ab", ""), key_of("b", "a"), key_of(TERMS), key_of(KINDS["no label"])}
    assert len(keys) == 7
    assert key_of("a", TERMS) == key_of("a", TERMS)
    assert len(learning_cache._code_hash()) == 32
