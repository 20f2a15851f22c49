import re
from collections import Counter
from dataclasses import replace

import pytest
import yaml
from datasets import Features
from hypothesis import given
from hypothesis import strategies as st
from outcomes import mixed

from cotforge.card import dataset_card, fenced_code, plain_markdown
from cotforge.card_keys import header_faults
from cotforge.consensus.claim import Claim, Count, Stratum, make_claim
from cotforge.consensus.promise import Promised, Wish
from cotforge.export import columns
from cotforge.pages import About, AboutTeacher, ExampleLesson, Exported, Shard
from cotforge.tally import Tally


def about(**others):
    known = {
        "name": "emotions",
        "version": "0.1.0",
        "task": "classify",
        "teachers": [AboutTeacher("t0", "org/t0", (0.2, 0.6), "apache-2.0"), AboutTeacher("t1", "org/t1")],
        "source": "table data.jsonl",
        "consensus": "majority",
        "filters": [("reasoning_words, at least 60", "filter:reasoning_words")],
        "prompts": {"solve": "Look.\n```\nnot the end\n```"},
        "pipeline": "name: emotions\nurl: http://user:hunter2@host/v1\nkey_env: ${TOKEN_NAME}\n",
        "command": "cotforge build emotions.yaml",
    }
    return About(**(known | others))


def made(shards=None, said=None, findings=None, origins=None, **others):
    tally = Tally(claim=said or Claim(), findings=findings or {})
    for outcome in mixed(20):
        tally.add(outcome)
    tally.origins.update(origins or {})
    shards = {"default": {"train": [Shard("data/train-00000-aa.parquet", 8, 100)]}} if shards is None else shards
    exported = Exported(shards, {"default": columns.hub_features(columns.lesson_columns(["measure_reasoning_words"]))})
    return dataset_card(about(**others), tally, exported)


def parts(text):
    _, header, body = text.split("---\n", 2)
    return yaml.safe_load(header), body


def test_the_header_lists_files_by_name_and_licences_of_source_and_teachers():
    header, _ = parts(made(license="cc-by-4.0"))
    assert header["license"] == "cc-by-4.0"
    assert [teacher["license"] for teacher in header["teachers"]] == ["apache-2.0", "unknown"]
    assert header["configs"] == [{"config_name": "default", "data_files": [{"split": "train", "path": ["data/train-00000-aa.parquet"]}]}]
    assert header["size_categories"] == ["n<1K"]
    assert {"chain-of-thought", "cotforge", "vision"} <= set(header["tags"])


def test_the_header_has_the_features_that_datasets_writes_itself():
    names = ["measure_reasoning_words"]
    for shape in (columns.lesson_columns(names), columns.trace_columns(names), columns.PREFERENCE):
        read = Features.from_arrow_schema(columns.arrow_schema(shape))
        assert read._to_yaml_list() == columns.hub_features(shape)


@pytest.mark.parametrize(("rows", "word"), [(999, "n<1K"), (1_000, "1K<n<10K"), (99_999, "10K<n<100K"), (10**9, "1B<n<10B")])
def test_the_size_is_the_hubs_word_for_it(rows, word):
    header, _ = parts(made({"default": {"train": [Shard("data/x.parquet", rows, 1)]}}))
    assert header["size_categories"] == [word]


def test_the_body_tells_funnel_agreement_classes_prompts_cost_and_limits():
    _, body = parts(made(calls=1234, cost_usd=12.5))
    assert "| samples | 20 |" in body
    assert "| t0 | - | 75.0% |" in body
    assert "| awe | 20 | 40.0% | 8 |" in body
    assert "1,234 calls" in body
    assert "12.50 USD" in body
    assert "Calls of earlier settings of this folder, and what was asked again, count too." in body
    assert "Uncalibrated" in body
    assert "licence of the images is unknown" in body
    assert "- reasoning\\_words, at least 60 (8 texts dropped)" in body


def test_a_calibrated_run_tells_its_claim_with_bound_and_strata():
    with_label, per_class = Stratum(0.991, 0.971, 240), {"awe": Stratum(0.95, 0.83, 40)}
    parts = {"with_label": with_label, "per_class": per_class, "counts": {"awe": Count(40, 38)}, "gold": 300}
    text = made(said=Claim(0.987, 0.964, True, 255, 251, count_with=Count(240, 238), count_against=Count(15, 13), **parts))
    assert "Uncalibrated" not in text
    assert "| all | 96.4% | 98.7% | 255 | 251 |" in text
    assert "| those that are the raw label | 97.1% | 99.1% | 240 | 238 |" in text
    assert "| those that are another one than the label | - | - | 15 | 13 |" in text
    assert "below 20 checked ones no precision is claimed" in text
    assert "| 40 | 38 | 83.0% | 95.0% |" in text


def test_a_class_of_which_too_few_answers_are_checked_has_counts_and_no_share():
    text = made(said=Claim(0.987, 0.964, True, 255, 251, per_class={"awe": None}, counts={"awe": Count(7, 7)}))
    assert "| 7 | 7 | - | - |" in text
    assert "nothing is claimed of one class alone, below 20 checked answers: awe (7)" in text


def test_without_gold_no_number_is_given_for_precision():
    text = made(said=make_claim([]))
    assert "so no precision is claimed" in text
    assert "at least, with 95 %" not in text


def test_tables_have_no_blank_lines_and_equal_cells():
    for block in re.findall(r"(?:^\|.*\n)+", made(), re.M):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1
        assert block.count("\n") > 2


def test_a_password_in_a_url_is_left_out_and_a_variable_stays_unexpanded(monkeypatch):
    monkeypatch.setenv("TOKEN_NAME", "sk-secret")
    text = made()
    assert "hunter2" not in text
    assert "sk-secret" not in text
    assert "${TOKEN_NAME}" in text


@given(st.text(), st.text())
def test_no_name_can_break_the_header_or_a_table(name, model):
    text = made(name=f"a{name}\n---\nlicense: mit\n", teachers=[AboutTeacher(f"t|{name}", f"{model}\n# mine\n[x](http://e.com)")])
    header, body = parts(text)
    assert header["license"] == "unknown"
    assert "\n# mine" not in body
    assert not re.search(r"(?<!\\)\]\(http", body)


@given(st.text())
def test_plain_text_is_one_line_without_live_marks(text):
    line = plain_markdown(text)
    assert "\n" not in line
    assert not re.search(r"(?<!\\)(?:\\\\)*[|`\[\]<>*]", line)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x1b]", line)


@given(st.text(alphabet="`~a\n "), st.sampled_from(["", "yaml"]))
def test_nothing_in_a_code_block_can_end_it(text, language):
    lines = fenced_code(text, language).split("\n")
    fence = lines[-1]
    assert lines[0] == fence + language
    assert not any(line.strip().startswith(fence) for line in lines[1:-1])


EXAMPLE = ExampleLesson(
    question="Which emotion?",
    reasoning="A dog *runs*.\n\n# It is glad\n| a | <script>x</script>",
    answer="awe",
    label="fear",
    votes=[("t0", "awe"), ("t1", "fear")],
    teacher="t0 (org/t0)",
    picture="assets/lesson.jpg",
)


def test_one_lesson_is_shown_with_its_picture_reasoning_votes_and_the_label_it_contradicts():
    _, body = parts(made(examples=[EXAMPLE], funnel="assets/funnel.svg"))
    assert "](assets/lesson.jpg)" in body
    assert "](assets/funnel.svg)" in body
    assert "**Question:** Which emotion?\n\n> A dog \\*runs\\*.\n>\n> \\# It is glad\n>\n> \\| a \\| \\<script\\>x\\</script\\>\n\n" in body
    assert "**Answer:** awe (the raw label says fear)" in body
    assert "Votes: t0 says awe, t1 says fear." in body
    assert "One lesson" not in made()


FOUND = {
    "verify": {"t0": {"picture": {"yes": 9, "of": 10, "share": 0.9, "interval": (0.6, 0.98)}}},
    "probe": {"t|1": {"blank": {"yes": 0, "of": 4, "share": 0.0, "interval": (0.0, 0.5), "by_guessing": 0.25}}},
    "judge": {
        "dimensions": {
            "evidence": {
                "marks": 8,
                "mean": 3.5,
                "traces_with_two_judges": 4,
                "alpha_ordinal": 0.61,
                "alpha_interval": None,
                "people": None,
            }
        },
        "judges": {"t1": {"replies": 5, "unread": 1, "missing_marks": 1, "marks": 4, "flat": None}},
    },
}


def test_checks_of_the_reasoning_and_marks_stand_in_tables_and_origins_are_told_apart():
    _, body = parts(made(findings=FOUND, origins={"rescue": 2, "woven": 3}))
    asked = "its answer is found again from its text without the answer, with the picture"
    assert f"| t0 | {asked} | 9 | 10 | 90.0% | 60.0% to 98.0% | - |" in body
    assert "| t\\|1 | gives the same answer for a blank picture | 0 | 4 | 0.0% | 0.0% to 50.0% | 25.0% |" in body
    assert "| evidence | 8 | 3.5 | 4 | 0.61 | - |\n" in body
    assert "t1: 4 marks in 5 replies, 1 could not be read" in body
    assert "| rescue | explained by a teacher that was told the label, then derived again by others | 2 |" in body
    assert "Checks of the reasoning" not in made()
    assert "Where the texts come from" not in made()


def test_a_lesson_of_each_origin_is_shown_a_woven_one_part_by_part():
    woven = replace(EXAMPLE, origin="woven", segments=(("observe", "A <b>dog</b>."), ("conclude", "So awe.")))
    _, body = parts(made(examples=[EXAMPLE, replace(EXAMPLE, origin="rescue"), woven]))
    assert [line for line in body.splitlines() if line.startswith("## ") and "esson" in line] == [
        *("## One lesson", "## A rescued lesson", "## A woven lesson", "## From raw rows to lessons"),
    ]
    assert "*observe*\n\n> A \\<b\\>dog\\</b\\>.\n\n*conclude*\n\n> So awe." in body
    assert "Explained by t0 (org/t0), which was told the label." in body


def test_what_is_not_folded_away_is_read_in_two_minutes():
    _, body = parts(made(examples=[EXAMPLE], citation="@misc{a}", calls=1234))
    shown = re.sub(r"<details>.*?</details>|```.*?```|^\|.*$", "", body, flags=re.S | re.M)
    assert len(shown.split()) < 2 * 230
    assert body.count("<details>") == body.count("</details>") == 5


def test_the_dataset_is_licensed_by_source_and_teachers_and_names_where_it_comes_from():
    text = made(license="mit", card_license="cc-by-nc-4.0", license_notes=["org/t1 may not be used commercially"], lineage=["org/raw"])
    header, body = parts(text)
    assert (header["license"], header["source_datasets"]) == ("cc-by-nc-4.0", ["org/raw"])
    assert "- org/t1 may not be used commercially.\n" in body
    assert parts(made(card_license="other", license_name="house-rules"))[0]["license_link"] == "LICENSE"


@given(st.text(), st.sampled_from(["classify", "answer"]), st.sampled_from([None, "cc-by-4.0"]))
def test_the_hub_has_nothing_against_any_header(name, task, licence):
    teachers = [AboutTeacher(f"t{name}", name, license=name)]
    header, _ = parts(made(name=f"a{name}", task=task, license=licence, teachers=teachers))
    assert header_faults(header, "dataset") == []


def test_without_lessons_the_card_says_why_and_names_no_file():
    tally = Tally()
    header, body = parts(dataset_card(about(), tally, Exported(note="no lessons: 3 of 3 rows ended as vote:tie")))
    assert "configs" not in header
    assert "no lessons: 3 of 3 rows ended as vote:tie" in body
    assert "load\\_dataset" not in body
    assert "load_dataset" not in body


def test_without_lessons_the_traces_are_no_default_and_the_snippet_loads_them_by_their_name():
    traces = {"traces": {"train": [Shard("traces/traces-00000-aa.parquet", 3, 100)]}}
    exported = Exported(
        traces, {"traces": columns.hub_features(columns.trace_columns([]))}, note="no lessons: 3 of 3 rows ended as vote:tie"
    )
    header, body = parts(dataset_card(about(), Tally(), exported))
    assert [config["config_name"] for config in header["configs"]] == ["traces", "default"]
    assert header_faults(header, "dataset") == []
    assert [line for line in body.splitlines() if "load_dataset(" in line] == [
        'traces = load_dataset("PATH_OR_REPO", "traces", split="train")'
    ]


def test_what_a_promise_leaves_out_is_told_as_that_and_what_is_unsure_anyway_beside_it():
    wish = Wish(0.95, 0.95)
    tally = Tally(promise=Promised(wish, None, 0.9, Count(41, 41)), rejected=Counter({"vote:below_target": 3}))
    assert tally.reason_in_words("vote:below_target", 3) == "less sure than consensus.target"
    for unpromised, words in (
        (3, "left out by consensus.promise"),
        (2, "left out by consensus.promise (2) or less sure than consensus.target (1)"),
    ):
        tally.unpromised = unpromised
        assert tally.reason_in_words("vote:below_target", 3) == words
        _, body = parts(dataset_card(about(), tally, Exported(note="no lessons")))
        assert plain_markdown(words) in body
        assert f"leaves out {unpromised} answers that the rule accepts: it needs 18 more checked answers, if all of them are right" in body
