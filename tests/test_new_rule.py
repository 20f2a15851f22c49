"""A new rule is one file and one entry, also one with a target: the package is copied, gets both, and every command knows it."""

import shutil
from pathlib import Path

import polars as pl
import pytest

import cotforge as package
from cotforge.sandbox import shipped_folder
from tests.project import LABELS, cotforge, environment, replay, said, summary, table, write_pipeline, write_rows

FILE = '''
"""`first_word`: the teacher whose name comes first is believed, as far as the others agree with it."""

from cotforge.consensus.poll import PollLead
from cotforge.consensus.polling import PollRule


def first_word(poll, model, target):
    """The share of the ballots that say what the first teacher says."""
    answer = poll.ballots[0].answer
    share = sum(ballot.answer == answer for ballot in poll.ballots) / len(poll.ballots)
    return PollLead(answer, share, "" if share >= target else "below_target")


FIRST_WORD = PollRule("first_word", first_word, posterior=True)
'''
ERRS = {"ann": 99, "bob": 3, "cyd": 2}
"""Each says awe of every so-manieth row."""
IMPORT, ENTRY = "from cotforge.consensus.first_word import FIRST_WORD\n", "FIRST_WORD"


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment in which the package has one rule more."""
    here = Path(package.__file__).parent
    there = tmp_path / "home" / "cotforge"
    shutil.copytree(here, there)  # what is compiled too, or all of it would be once more
    shutil.copytree(shipped_folder("prompts"), there / "shipped" / "prompts")
    (there / "consensus" / "first_word.py").write_text(FILE)
    entries = there / "consensus" / "rules.py"
    before, tuple_of, after = entries.read_text().partition("\nRULES: tuple[Rule, ...] = (")
    head, last, rest = after.partition(")\n")
    entries.write_text(f"{before}\n{IMPORT}{tuple_of}{head.rstrip().rstrip(',')}, {ENTRY}{last}{rest}")
    return environment({"PYTHONPATH": str(there.parent)})


def test_every_command_knows_a_rule_that_is_one_file_and_one_entry(tmp_path: Path, home: dict[str, str]) -> None:
    write_rows(tmp_path, 24)
    truth = [LABELS[row % 4] for row in range(24)]
    says = {name: [true if row % every else "awe" for row, true in enumerate(truth)] for name, every in ERRS.items()}
    teachers = [replay(tmp_path, name, {f"row-{row}": said(answer) for row, answer in enumerate(says[name])}) for name in says]
    write_pipeline(tmp_path, *teachers, consensus={"rule": "first_word", "target": 0.6, "label": "ignore"})
    for words in (["check", "pipeline.yaml"], ["build", "pipeline.yaml"], ["curate", "runs/feelings", "--what-if"]):
        ended = cotforge(*words, cwd=tmp_path, env=home)
        assert ended.returncode == 0, ended.stderr
    run = tmp_path / "runs/feelings"
    accepted = {f"row-{row}": heard[0] for row, heard in enumerate(zip(*says.values(), strict=True)) if heard.count(heard[0]) >= 2}
    assert 0 < len(accepted) < 24
    assert {row["id"]: row["answer"] for row in table(run, "data")} == accepted
    assert "label ignore, target 0.6" in (run / "dataset/README.md").read_text()
    rows = pl.read_csv(run / "what-if.csv", infer_schema_length=None).filter(pl.col("rule") == "first_word")
    (same,) = rows.filter(pl.col("target") == 0.6).to_dicts()
    assert len(rows) > 1
    assert same["accepted"] == summary(run)["accepted"] == len(accepted)
    wrong = cotforge("check", "pipeline.yaml", "--set", "consensus.rule=first_wort", cwd=tmp_path, env=home)
    assert wrong.returncode == 2
    assert "did you mean 'first_word'?" in wrong.stderr
