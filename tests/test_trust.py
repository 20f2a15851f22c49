"""What a pipeline from elsewhere would run, read or send is named, and wants a yes; one's own is only told of it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cotforge.errors import PipelineError
from cotforge.pipeline import Loaded
from cotforge.trust import trust_findings
from tests.project import LABELS, ran, replay, said, summary, teacher, write_pipeline, write_rows
from tests.teacher import Teacher

OWN = "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\ndef brevity(sample, trace, verdict):\n    return 1.0\n"
BREVITY = {"measure": "own.py:brevity", "min": 0}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The present folder, beside that of a stranger."""
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """A stranger's folder, with rows and Python."""
    write_rows(tmp_path / "there", 3)
    (tmp_path / "there/own.py").write_text(OWN)
    return tmp_path / "there"


def answered(folder: Path, **sections: Any) -> Path:
    """A pipeline that needs no server."""
    replies = {f"row-{number}": said("awe") for number in range(3)}
    return write_pipeline(folder, replay(folder, "one", dict(replies)), replay(folder, "two", dict(replies)), **sections)


def refused(*words: object, cwd: Path) -> list[str]:
    ended = ran(*words, cwd=cwd)
    assert (ended.returncode, ended.stdout) == (2, ""), ended
    assert "Traceback" not in ended.stderr
    return ended.stderr.splitlines()


def test_python_of_a_pipeline_from_elsewhere_runs_after_a_yes_alone(here: Path, there: Path) -> None:
    file = answered(there, filters=[BREVITY], train={"student": {"model": "m"}, "stages": [{"name": "a", "kind": "grpo", "steps": 1,
                    "rewards": [{"measure": "own.py:brevity"}]}]})  # fmt: skip
    both = [
        f"{file}: {where}.measure: runs Python: the function 'brevity' of 'own.py'; it comes from elsewhere: read it, then say --trust"
        for where in ("filters[0]", "train.stages[0].rewards[0]")
    ]
    for words in (("check", file), ("build", file), ("build", file, "--offline"), ("train", file), ("gold", file), ("eval", file),
                  ("simulate", file), ("train", file, "--launch", "env python")):  # fmt: skip
        assert refused(*words, cwd=here) == both
    assert not (there / "ran").exists()
    ended = ran("build", file, "--trust", cwd=here)
    assert ended.returncode == 0, ended.stderr
    assert (there / "ran").exists()


def test_ones_own_python_runs_without_a_word_and_check_tells_of_it(there: Path) -> None:
    answered(there, filters=[BREVITY])
    told = ran("check", "pipeline.yaml", cwd=there)
    assert told.returncode == 0, told.stderr
    assert "filters[0].measure: runs Python: the function 'brevity' of 'own.py'" in told.stdout
    assert ran("build", "pipeline.yaml", cwd=there.parent / "there").returncode == 0
    assert ran("curate", "runs/feelings", cwd=there).returncode == 0
    answered(there)
    assert "what the file does" not in ran("check", "pipeline.yaml", cwd=there).stdout


def test_a_run_folder_vouches_for_no_python_wherever_it_lies(there: Path) -> None:
    file = answered(there, filters=[BREVITY])
    assert ran("build", "pipeline.yaml", cwd=there).returncode == 0
    (there / "ran").unlink()
    file.rename(there / "moved.yaml")
    for words in (("curate", "runs/feelings"), ("gold", "runs/feelings"), ("curate", "runs/feelings", "--what-if"),
                  ("check", "runs/feelings/pipeline.yaml"), ("build", "runs/feelings/pipeline.yaml", "--offline")):  # fmt: skip
        (line,) = refused(*words, cwd=there)
        assert f"the function 'brevity' of '{there / 'own.py'}'" in line
    import sys

    for name in [name for name in sys.modules if name.startswith("cotforge_own_")]:
        del sys.modules[name]
    assert not (there / "ran").exists()
    assert ran("curate", "runs/feelings", "--trust", cwd=there).returncode == 0
    assert (there / "ran").exists()


@pytest.mark.parametrize("origin", ["own", "shipped", "relative", "inside"])
def test_what_a_run_folder_changes_in_a_trusted_file_is_not_trusted(there: Path, origin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIGITS_DIR", str(there))
    answered(there)
    assert ran("build", "pipeline.yaml", cwd=there).returncode == 0
    kept = there / "runs/feelings/pipeline.yaml"
    (there / "runs/feelings/p.yaml").write_text(yaml.safe_dump(yaml.safe_load(kept.read_text()) | {"filters": [BREVITY]}))
    names = {
        "own": there / "pipeline.yaml",
        "shipped": Path(__file__).parents[1] / "pipelines/digits.yaml",
        "relative": "runs/feelings/p.yaml",
        "inside": there / "runs/feelings/p.yaml",
    }
    text = "\n".join(line for line in kept.read_text().splitlines() if not line.startswith("# from"))
    kept.write_text(f"# from: {names[origin]}\n# set: filters=[{{measure: '{there / 'own.py'}:brevity', min: 0}}]\n{text}\n")
    (line,) = refused("curate", "runs/feelings", cwd=there)
    assert "runs Python: the function 'brevity'" in line


def test_a_key_a_variable_and_a_file_that_would_be_sent_are_named_with_the_host(here: Path, there: Path, monkeypatch: Any) -> None:
    for name in ("MY_KEY", "HOME_TOWN", "SECRET"):
        monkeypatch.setenv(name, "x")
    (there.parent / "private").write_text("my diary")
    one = {
        "name": "one",
        "model": "m",
        "url": ["http://gpu:1/v1", "http://evil.example/v1"],
        "key_env": "MY_KEY",
        "body": {"user": "${SECRET}"},
    }
    file = write_pipeline(
        there, one, prompts={"solve": "../private"}, task={"kind": "classify", "question": "Of ${HOME_TOWN}?", "labels": LABELS}
    )
    ending = "; it comes from elsewhere: read it, then say --trust"
    reads = f"{file}: task.question: reads ${{HOME_TOWN}} into the dataset, and may send it to gpu:1, evil.example{ending}"
    for command in ("check", "build"):
        assert sorted(refused(command, file, cwd=here)) == [
            f"{file}: prompts.solve: sends what is in '../private' to gpu:1, evil.example{ending}",
            reads,
            f"{file}: teachers[0].body.user: reads ${{SECRET}}, and sends it to gpu:1, evil.example{ending}",
            f"{file}: teachers[0].key_env: sends the key in MY_KEY to gpu:1, evil.example{ending}",
        ]
    assert refused("build", file, "--offline", cwd=here) == [reads]
    (here / "link.yaml").symlink_to(file)
    assert len(refused("check", "link.yaml", cwd=here)) == 4


def test_a_variable_that_says_where_something_lies_wants_no_yes(here: Path, there: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("ROWS", "rows.jsonl")
    file = answered(there, source={"kind": "table", "path": "${ROWS}"})
    assert ran("build", file, cwd=here).returncode == 0


def test_a_yes_lets_a_pipeline_from_elsewhere_ask(here: Path, there: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("MY_KEY", "sk-1234567890")
    with Teacher(said("awe"), key="sk-1234567890") as server:
        file = write_pipeline(there, teacher(server, key_env="MY_KEY"))
        assert len(refused("build", file, cwd=here)) == 1
        assert not server.ledger
        ended = ran("build", file, "--trust", cwd=here)
        assert ended.returncode == 0, ended.stderr
    assert summary(here / "runs/feelings")["calls"] == 3


def test_what_the_user_sets_is_the_users_own(here: Path, there: Path) -> None:
    file = answered(there)
    assert ran("build", file, "--set", "filters=[{measure: 'own.py:brevity', min: 0}]", cwd=here).returncode == 0


def test_the_code_of_a_model_and_a_push_count_as_python(tmp_path: Path) -> None:
    values: dict[str, Any] = {"teachers": [{"kind": "vllm", "model": "m", "engine": {"trust_remote_code": True}}]}
    values["train"] = {"stages": [{"name": "a", "kind": "sft", "trl": {"push_to_hub": True}}]}
    assert [str(found) for found in trust_findings(values, values, tmp_path)] == [
        "teachers[0].engine.trust_remote_code: runs Python that comes with a model",
        "train.stages[0].trl.push_to_hub: pushes the student to the Hub with your token",
    ]


def test_python_callers_trust_what_they_load_unless_they_say_otherwise(there: Path) -> None:
    file = answered(there, filters=[BREVITY])
    assert Loaded.load(file).does[0].does == "runs"
    with pytest.raises(PipelineError, match="--trust"):
        Loaded.load(file, trust=False)
