"""From replies to lessons: what becomes of every trace, and what each section of the file changes about it."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup

from cotforge.answers import reads_well
from cotforge.curation import Curation
from cotforge.records import CuratedSample, Sample
from cotforge.report import with_training
from cotforge.sequence import Guide
from cotforge.session import RunSession
from tests.project import LABELS, files, ran, replay, said, summary, table, write_pipeline, write_rows

BARE = "<answer>awe</answer>"
Said = Mapping[str, str | Mapping[str, Any]]


def build(folder: Path, said_by: Mapping[str, Said], *, rows: int | None = None, **sections: Any) -> Path:
    """The run folder of a build whose teachers say just this of row-0, row-1, ...: those that are there, else new ones."""
    if not (folder / "rows.jsonl").exists():
        write_rows(folder, rows or max(map(len, said_by.values())))
    teachers = [replay(folder, name, dict(replies)) for name, replies in said_by.items()]
    write_pipeline(folder, *teachers, **{"max_failures": 1, **sections})
    built = ran("build", "pipeline.yaml", cwd=folder)
    assert built.returncode == 0, built.stderr
    return folder / "runs/feelings"


def again(folder: Path, *sets: str) -> dict[str, Any]:
    """The summary after curating with other values."""
    curated = ran("curate", "runs/feelings", *(word for given in sets for word in ("--set", given)), cwd=folder)
    assert curated.returncode == 0, curated.stderr
    return summary(folder / "runs/feelings")


def fates(run: Path, row: str) -> dict[str, str]:
    return {trace["teacher"]: trace["fate"] for trace in table(run, "traces") if trace["id"] == row}


def whole(answers: str) -> dict[str, str]:
    """Full replies to row-0, row-1, ...: the answers, parted by blanks."""
    return {f"row-{number}": said(answer) for number, answer in enumerate(answers.split())}


def test_every_trace_has_the_fate_it_deserves_and_every_row_its_reason(tmp_path: Path) -> None:
    wordy = "<think>Wide and bright, " + "and on, " * 200 + "so it is awe.</think><answer>awe</answer>"
    cut = {"content": "<think>It is wide and", "finish_reason": "length"}
    run = build(
        tmp_path,
        {
            "one": {
                "row-0": said("awe"),
                "row-1": said("awe"),
                "row-2": wordy,
                "row-3": said("awe"),
                "row-4": BARE,
                "row-5": "I cannot tell.",
            },
            "two": {"row-0": said("awe"), "row-1": said("fear"), "row-2": wordy, "row-3": said("awe"), "row-4": BARE, "row-5": cut},
            "six": {"row-0": said("fear"), "row-1": said("sadness"), "row-2": wordy, "row-3": said("joy"), "row-4": BARE, "row-5": ""},
        },
        rows=7,
        consensus={"label": "ignore"},
        filters=[{"measure": "reasoning_words", "max": 100}],
    )
    assert Counter(fates(run, "row-0").values()) == {"lesson": 1, "surplus": 1, "wrong": 1}
    assert fates(run, "row-0")["six"] == "wrong"
    assert set(fates(run, "row-1").values()) == {"undecided"}
    assert set(fates(run, "row-2").values()) == {"filter:reasoning_words"}
    assert fates(run, "row-3")["six"] == "unread:not_an_option"
    assert set(fates(run, "row-4").values()) == {"unread:no_reasoning"}
    assert fates(run, "row-5") == {"one": "unread:no_answer", "two": "unread:truncated", "six": "unread:empty"}
    assert fates(run, "row-6") == {}
    assert summary(run)["rejected"] == {
        "filter:reasoning_words": 1,
        "unread:no_reasoning": 1,
        "vote:no_ballots": 1,
        "vote:no_replies": 1,
        "vote:tie": 1,
    }
    assert summary(run)["accepted"] == len(table(run, "data")) == 2


def test_a_dropped_trace_keeps_the_value_that_dropped_it_and_every_loss_is_listed(tmp_path: Path) -> None:
    short = "<think>So wide.</think><answer>awe</answer>"
    run = build(
        tmp_path,
        {"one": {"row-0": short, "row-1": "?"}, "two": {"row-0": short, "row-1": said("awe")}},
        filters=[{"measure": "reasoning_words", "min": 5}],
        consensus={"label": "ignore"},
    )
    traces = {(trace["id"], trace["teacher"]): trace for trace in table(run, "traces")}
    assert (traces["row-0", "one"]["fate_value"], traces["row-0", "one"]["measure_reasoning_words"]) == (2.0, 2.0)
    assert traces["row-1", "one"]["fate_value"] is None
    assert [(loss["id"], loss["teacher"], loss["stage"], loss["reason"]) for loss in table(run, "losses")] == [
        ("row-0", "one", "filter", "reasoning_words"),
        ("row-0", "two", "filter", "reasoning_words"),
        ("row-1", "one", "read", "no_answer"),
        ("row-1", None, "vote", "one_teacher"),
    ]
    assert "reasoning_words=2.0" in table(run, "losses")[0]["detail"]
    assert table(run, "losses")[-1]["detail"].endswith("; only one teacher gave this answer, and two must, however high the confidence")


def test_a_text_that_fails_a_filter_still_votes(tmp_path: Path) -> None:
    short = "<think>So wide.</think><answer>awe</answer>"
    run = build(
        tmp_path,
        {"one": {"row-0": short}, "two": {"row-0": short}, "six": whole("awe"), "ten": whole("fear")},
        filters=[{"measure": "reasoning_words", "min": 5}],
        consensus={"label": "ignore"},
    )
    (lesson,) = table(run, "data")
    assert (lesson["teacher"], lesson["answer"], lesson["confidence"]) == ("six", "awe", 0.75)
    assert len(lesson["votes"]) == 4


def test_per_sample_takes_the_traces_nearest_to_the_median_length(tmp_path: Path) -> None:
    lengths = {"one": 10, "two": 30, "six": 32, "ten": 90}
    replies = {name: {"row-0": f"<think>{'wide ' * words}</think><answer>awe</answer>"} for name, words in lengths.items()}
    run = build(tmp_path, replies, consensus={"label": "ignore"}, select={"per_sample": 2})
    assert {lesson["teacher"] for lesson in table(run, "data")} == {"two", "six"}
    assert (summary(run)["accepted"], summary(run)["lessons"]) == (1, 2)
    assert again(tmp_path, "select.per_sample=9")["lessons"] == 4
    assert again(tmp_path, "select.per_sample=1")["lessons"] == 1


def test_a_right_and_a_wrong_trace_of_one_sample_are_a_pair(tmp_path: Path) -> None:
    run = build(
        tmp_path,
        {"one": whole("awe awe"), "two": whole("awe awe"), "six": {"row-0": said("fear"), "row-1": "<answer>fear</answer>"}},
        consensus={"label": "ignore"},
    )
    (pair,) = table(run, "preference")
    assert (pair["id"], pair["rejected"][0]["content"]) == ("row-0", said("fear")), "what is not well formed teaches nothing by its answer"
    assert pair["chosen"] == next(lesson["completion"] for lesson in table(run, "data") if lesson["id"] == "row-0")
    assert pair["prompt"] == table(run, "data")[0]["prompt"]
    assert summary(run)["preference"] == 1


def test_the_label_votes_gates_or_is_only_reported(tmp_path: Path) -> None:
    """The labels are amusement, awe, fear and sadness: of the first all are sure, and of another answer at the second."""
    run = build(
        tmp_path,
        {
            "one": whole("amusement sadness fear awe"),
            "two": whole("amusement sadness fear awe"),
            "six": whole("amusement sadness awe fear"),
            "ten": whole("amusement sadness awe sadness"),
        },
    )

    def figures(told: dict[str, Any]) -> tuple[int, int, dict[str, int]]:
        return told["accepted"], told["label_conflicts"], told["rejected"]

    assert figures(summary(run)) == (3, 1, {"vote:tie": 1})
    assert figures(again(tmp_path, "consensus.label=ignore")) == (2, 1, {"vote:no_majority": 1, "vote:tie": 1})
    assert figures(again(tmp_path, "consensus.label=gate")) == (1, 0, {"vote:label_gate": 1, "vote:no_majority": 1, "vote:tie": 1})


def test_a_vote_of_the_label_alone_accepts_nothing(tmp_path: Path) -> None:
    run = build(tmp_path, {"one": {"row-0": said("amusement")}, "two": {"row-0": "?"}})
    assert summary(run)["rejected"] == {"vote:one_teacher": 1}


@pytest.mark.parametrize("rule", ["weighted", "dawid_skene"])
def test_a_rule_that_learns_believes_those_who_were_right_before(tmp_path: Path, rule: str) -> None:
    """Three teachers agree forty times while two always say awe; then two of the three meet the two."""
    labels = ["amusement", "awe", "fear", "sadness"]
    good = {f"row-{number}": said(labels[number % 4]) for number in range(40)}
    stuck = {row: said("awe") for row in (*good, "row-40")}
    contested = {"row-40": said("fear")}
    replies = {"one": good | contested, "two": good | contested, "six": good, "ten": stuck, "ton": stuck}
    run = build(tmp_path, replies, consensus={"rule": rule, "label": "ignore"})
    lesson = next(lesson for lesson in table(run, "data") if lesson["id"] == "row-40")
    assert lesson["answer"] == "fear", "a plain majority would have been a tie"
    told = summary(run)["teachers"]
    assert min(told[name]["estimated_accuracy"] for name in ("one", "two", "six")) > max(
        told[name]["estimated_accuracy"] for name in ("ten", "ton")
    )
    assert again(tmp_path, "consensus.rule=majority")["accepted"] == 40
    assert "row-40" not in {lesson["id"] for lesson in table(run, "data")}


def test_a_measure_of_the_users_own_filters_and_has_a_column(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "def mentions(sample, trace, verdict, *, word: str):\n    return float(trace.reasoning.lower().count(word))\n"
    )
    own = {"measure": "own.py:mentions", "with": {"word": "tone"}, "min": 1}
    run = build(tmp_path, {"one": whole("awe"), "two": {"row-0": "<think>Wide.</think><answer>awe</answer>"}}, filters=[own])
    assert fates(run, "row-0") == {"one": "lesson", "two": "filter:mentions"}
    assert [trace["measure_mentions"] for trace in table(run, "traces")] == [1.0, 0.0]
    assert table(run, "data")[0]["measure_mentions"] == 1.0


def test_a_measure_of_the_users_own_that_fails_is_one_line_and_the_old_dataset_stays(tmp_path: Path) -> None:
    run = build(tmp_path, {"one": whole("awe awe"), "two": whole("awe awe")})
    before = files(run / "dataset")
    (tmp_path / "own.py").write_text("def broken(sample, trace, verdict):\n    return 1 / 0\n")
    curated = ran("curate", "runs/feelings", "--set", "filters=[{measure: 'own.py:broken', min: 0}]", cwd=tmp_path)
    assert (curated.returncode, curated.stdout, curated.stderr.count("\n")) == (2, "", 1)
    assert "own.py:broken" in curated.stderr
    assert "ZeroDivisionError" in curated.stderr
    assert files(run / "dataset") == before


def test_a_completion_without_reasoning_needs_none(tmp_path: Path) -> None:
    family = {"solve": "label_only/solve", "student": "label_only/student", "completion": "label_only/completion"}
    run = build(tmp_path, {"one": {"row-0": BARE}, "two": {"row-0": "awe"}}, prompts=family, consensus={"label": "ignore"})
    (lesson,) = table(run, "data")
    assert lesson["completion"] == [{"role": "assistant", "content": "<answer>awe</answer>"}]
    assert summary(run)["read_as"] == {"bare": 1, "tags": 1}


def test_the_students_prompt_names_all_labels_in_the_files_order_and_is_the_same_for_every_row(tmp_path: Path) -> None:
    run = build(tmp_path, {"one": whole("awe " * 8), "two": whole("awe " * 8)}, consensus={"label": "ignore"})
    prompts = {lesson["prompt"][0]["content"] for lesson in table(run, "data")}
    assert len(prompts) == 1
    places = [prompts.copy().pop().index(label) for label in ("amusement", "awe", "fear", "sadness")]
    assert places == sorted(places)


def test_a_free_answer_is_agreed_on_in_whatever_form_it_was_written(tmp_path: Path) -> None:
    write_rows(tmp_path, 1)
    rows = tmp_path / "rows.jsonl"
    rows.write_text(rows.read_text().replace('"amusement"', '"1024"'))
    answers = {"one": "1,024", "two": "1024.0"}
    run = build(
        tmp_path,
        {name: {"row-0": f"<think>Counting them all.</think><answer>{answer}</answer>"} for name, answer in answers.items()},
        task={"kind": "answer", "question": "How many?", "verifier": "number"},
    )
    (lesson,) = table(run, "data")
    assert (lesson["answer"], lesson["label"], lesson["confidence"]) == ("1024", "1024", 1.0)


def test_a_text_that_no_file_could_keep_is_kept_without_what_is_wrong_with_it(tmp_path: Path) -> None:
    text = "<think>Half \ud800 a pair, a \x1b[31mcommand, a \x00 and a \u202e.</think><answer>awe</answer>"
    run = build(tmp_path, {"one": {"row-0": text}, "two": {"row-0": text}}, consensus={"label": "ignore"})
    completion = table(run, "data")[0]["completion"][0]["content"]
    assert all(character.isprintable() or character == "\n" for character in completion)
    assert completion.startswith("<think>Half ")


def test_a_lesson_has_one_reasoning_and_one_answer_without_tags_or_tokens_and_says_what_was_mended(tmp_path: Path) -> None:
    replies = {
        "row-0": "<think>The sky is wide.<|im_end|>And dark, as in the <image> before.</think><answer>awe</answer><|im_end|>",
        "row-1": "<think>It may be <answer>fear</answer>, but [THINK]no.</think></think><answer>awe</answer>",
        "row-2": said("awe"),
        "row-3": {"content": "<answer>awe</answer>", "reasoning": "<think><|endoftext|></think>"},
    }
    wrong = {
        row: f"<think>All<|im_end|> is still.</think><answer>{answer}</answer>" for row, answer in (("row-0", "fear"), ("row-2", "fear"))
    }
    run = build(tmp_path, {"one": replies, "two": replies, "six": wrong}, consensus={"label": "ignore"})
    lessons = {lesson["id"]: lesson for lesson in table(run, "data")}
    assert {row: lesson["mended"] for row, lesson in lessons.items()} == {
        "row-0": "control_tokens+image_tokens",
        "row-1": "answer_tags+think_tags",
        "row-2": None,
    }
    learned = "<think>The sky is wide. And dark, as in the image before.</think>\n<answer>awe</answer>"
    assert lessons["row-0"]["completion"][0]["content"] == learned
    assert lessons["row-1"]["completion"][0]["content"] == "<think>It may be fear, but no.</think>\n<answer>awe</answer>"
    assert all(reads_well(lesson["completion"][0]["content"]) for lesson in lessons.values())
    assert summary(run)["mended"] == {"answer_tags": 1, "control_tokens": 1, "image_tokens": 1, "think_tags": 1}
    assert set(fates(run, "row-3").values()) == {"unread:no_reasoning"}
    pairs = {pair["id"]: (pair["chosen"][0]["content"], pair["rejected"][0]["content"]) for pair in table(run, "preference")}
    assert pairs["row-0"] == (learned, "<think>All is still.</think>\n<answer>fear</answer>")
    assert "<|im_end|>" in next(trace["reasoning"] for trace in table(run, "traces") if trace["id"] == "row-0"), (
        "a trace says what was said"
    )


def test_two_teachers_that_copy_the_form_they_were_shown_make_no_lesson(tmp_path: Path) -> None:
    copied = {"row-0": "<think>your reasoning</think>\n<answer>your answer</answer>"}
    run = build(
        tmp_path, {"one": copied, "two": copied}, task={"kind": "answer", "question": "What is this?"}, consensus={"label": "ignore"}
    )
    assert table(run, "data") == []
    assert set(fates(run, "row-0").values()) == {"unread:placeholder"}
    assert {loss["reason"] for loss in table(run, "losses") if loss["stage"] == "read"} == {"placeholder"}


def test_curating_again_gives_the_same_bytes_asks_nothing_and_keeps_what_the_report_tells_of_a_training(tmp_path: Path) -> None:
    run = build(tmp_path, {"one": whole("awe awe fear"), "two": whole("awe fear fear"), "six": whole("awe awe awe")})
    before = files(run / "dataset") | {"losses": files(run)["losses.parquet"]}
    page = run / "report.html"
    page.write_text(with_training(page.read_text(), Markup("<p>curves</p>"), title=""))
    told = again(tmp_path)
    assert page.read_text().count("<p>curves</p>") == 1
    assert (told["calls"], told["attempts"]) == (0, 0)
    assert files(run / "dataset") | {"losses": files(run)["losses.parquet"]} == before


def test_curating_what_is_no_run_folder_is_one_line_and_makes_none(tmp_path: Path) -> None:
    curated = ran("curate", "nowhere", cwd=tmp_path)
    assert (curated.returncode, curated.stdout, curated.stderr.count("\n")) == (2, "", 1)
    assert "nowhere" in curated.stderr
    assert not (tmp_path / "nowhere").exists()


def test_the_loss_of_a_reply_that_was_not_read_shows_its_beginning_on_one_line(tmp_path: Path) -> None:
    hostile = "I\n\x1b[31mcannot tell. " + "So many words. " * 50
    run = build(tmp_path, {"one": {"row-0": hostile, "row-1": said("awe")}, "two": {"row-0": said("awe"), "row-1": {"content": " "}}})
    details = {(row["id"], row["teacher"]): row["detail"] for row in table(run, "losses") if row["stage"] == "read"}
    shown = ("I [31mcannot tell. " + "So many words. " * 50)[:200]
    assert details["row-0", "one"].endswith(f"finish_reason=stop: {shown}")
    assert details["row-1", "two"].endswith("finish_reason=stop")


def test_a_row_that_comes_while_a_run_is_curated_is_told_and_no_bug(tmp_path: Path) -> None:
    write_rows(tmp_path, 8)
    answers = {f"row-{row}": said(LABELS[row % 4]) for row in range(8)}
    teachers = [replay(tmp_path, name, dict(answers)) for name in ("one", "two")]
    path = write_pipeline(tmp_path, *teachers, consensus={"rule": "sequential"})
    with RunSession.open(path, out=tmp_path / "run") as run:
        run.build()
        whole = [sample for sample in run.samples() if isinstance(sample, Sample)]
        readings = iter([[sample for sample in whole if sample.label != LABELS[3]], whole])
        curation = Curation(run.loaded, run.journal, lambda: iter(next(readings)), guide=Guide.of(run.loaded, tmp_path, lambda: 8))
        found = {one.sample.id: one.rejected for one in curation.outcomes() if isinstance(one, CuratedSample)}
    assert len(found) == 8
    assert {id for id, rejected in found.items() if rejected == "vote:not_asked"} == {"row-3", "row-7"}


def test_curating_without_the_journal_says_first_that_it_is_gone(tmp_path: Path) -> None:
    run = build(tmp_path, {"one": whole("awe fear")}, consensus={"label": "ignore"})
    (run / "journal.sqlite").unlink()
    for _ in range(2):  # the dataset stays, and so does what is told
        told = ran("curate", run, cwd=tmp_path).stderr.splitlines()
        assert told[0].startswith(f"{run}/journal.sqlite: holds no reply, though summary.json tells of 2 calls: the journal was removed")


def test_unknown_keys_in_the_copy_that_a_run_folder_keeps_are_told_and_which_file_is_read(tmp_path: Path) -> None:
    run = build(tmp_path, {"one": whole("awe fear")}, consensus={"label": "ignore", "target": 0.8})
    assert ran("curate", run, cwd=tmp_path).stderr == ""
    kept = run / "pipeline.yaml"
    changed = kept.read_text().replace("consensus:\n", "foo: 1\nconsensus:\n  objectiv: cheapest\n")
    kept.write_text(changed)
    (told,) = ran("curate", run, cwd=tmp_path).stderr.splitlines()
    assert told.startswith(f"{kept}: ")
    assert "no key named 'objectiv'; did you mean" in told
    assert "no key named 'foo'" in told
    assert told.endswith(f"this file is a copy that is not read: change {tmp_path}/pipeline.yaml, or use --set")
    (tmp_path / "pipeline.yaml").unlink()
    kept.write_text(changed)
    ended = ran("curate", run, cwd=tmp_path)
    assert (ended.returncode, "no key named 'foo'" in ended.stderr) == (2, True), "where it is read, they are faults"
