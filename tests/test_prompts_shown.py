"""A prompt as it is rendered, for a person to read; and what a template of one's own most likely lacks."""

from pathlib import Path

from tests.project import ran, replay, said, write_pipeline, write_rows

OWN = "Look.\n{{ question }}\n{% for option in options %}* {{ option }}\n{% endfor %}\n<answer>your answer</answer>"


def build(folder: Path, template: str, **sections: object) -> Path:
    write_rows(folder, 3)
    (folder / "own.jinja").write_text(template)
    teachers = replay(folder, "one", {f"row-{number}": said("awe") for number in range(3)})
    return write_pipeline(folder, teachers, prompts={"solve": "own.jinja"}, consensus={"label": "ignore"}, **sections)


def test_the_prompt_of_the_nth_sample_is_shown_as_it_is_asked_with_its_picture_in_its_place(tmp_path: Path) -> None:
    build(tmp_path, OWN)
    ended = ran("check", "pipeline.yaml", "--show-prompt", "2", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    head, image, look, question, *options, answer = ended.stdout.split("\n\n3 samples")[0].strip().splitlines()
    assert head == "sample 2, 'row-1' (rows.jsonl:2), solve, teacher 'one':"
    assert (image, look, question, answer) == (
        "[image 48x32]", "Look.", "What does this picture evoke?", "<answer>your answer</answer>",
    )  # fmt: skip
    assert sorted(options) == ["* amusement", "* awe", "* fear", "* sadness"]


def test_a_number_beyond_the_source_is_one_line(tmp_path: Path) -> None:
    build(tmp_path, OWN)
    ended = ran("check", "pipeline.yaml", "--show-prompt", "4", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (2, "--show-prompt 4: the source has only 3 samples; give the number of one, from 1\n")


def test_the_card_shows_what_the_teacher_of_the_first_lesson_was_asked_but_no_meta(tmp_path: Path) -> None:
    build(tmp_path, OWN)
    assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    card = (tmp_path / "runs/feelings/dataset/README.md").read_text()
    shown = card.partition("### As one teacher was asked for the first lesson")[2]
    assert "```\n[image 48x32]\nLook.\nWhat does this picture evoke?\n* " in shown
    build(tmp_path, OWN + "{{ meta.who | default('nobody') }}", source={"kind": "table", "path": "rows.jsonl", "limit": 2})
    assert ran("build", "pipeline.yaml", "--replace", cwd=tmp_path).returncode == 0
    assert "As one teacher was asked" not in (tmp_path / "runs/feelings/dataset/README.md").read_text()


def test_a_template_without_question_options_or_answer_tags_is_warned_of_by_check(tmp_path: Path) -> None:
    build(tmp_path, "What do you see?")
    ended = ran("check", "pipeline.yaml", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    told = [line for line in ended.stderr.splitlines() if "own.jinja: does not" in line]
    assert [line.partition("does not ")[2].split(",")[0].split(";")[0] for line in told] == [
        "use 'question'", "use 'options'", "ask for <answer>...</answer>",
    ]  # fmt: skip


def test_shipped_templates_lack_nothing(tmp_path: Path) -> None:
    write_rows(tmp_path, 1)
    for solve in ("long_cot/solve", "short_cot/solve", "label_only/solve"):
        for student, completion in (("student", "completion"), ("label_only/student", "label_only/completion")):
            prompts = {"solve": solve, "student": student, "completion": completion}
            write_pipeline(tmp_path, replay(tmp_path, "one", {"row-0": said("awe")}), prompts=prompts)
            assert "does not" not in ran("check", "pipeline.yaml", cwd=tmp_path).stderr
