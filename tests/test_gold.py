"""Gold: the samples people are asked about, the page they answer on, and their answers on the way back."""

import base64
import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from outcomes import gone, sample
from PIL import Image

from cotforge.answers import Task
from cotforge.errors import PipelineError
from cotforge.gold import Gold, find_gold, read_gold
from cotforge.gold.csv_cells import csv_text, guard_cell, unguard_cell
from cotforge.gold.page import gold_page
from cotforge.gold.pick import APART, pick_samples
from cotforge.order import sample_rank
from cotforge.pipeline import Loaded
from cotforge.records import Fault, Picture, Sample
from tests.browser import PROGRAM, chromium
from tests.project import LABELS, ran, replay, said, write_pipeline, write_rows

TASK = Task(kind="classify", question="What does it evoke?", labels={"awe": ("wonder",), "fear": (), "sadness": ()})
HOSTILE = "</script></style><script>alert(1)</script><img src=x onerror=alert(2)>\"'"


def file(folder: Path, text: str | bytes, name: str = "gold.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def faults(path: Path, task: Task = TASK) -> list[str]:
    with pytest.raises(PipelineError) as error:
        read_gold(path, task)
    return [fault.removeprefix(f"{path}:") for fault in error.value.faults]


# reading


def test_answers_are_read_as_labels_are(tmp_path: Path) -> None:
    path = file(tmp_path, "id,answer,person,remark\n1,Awe,ann,\n2, wonder. ,ann,unsure\n3,FEAR,ann,\n")
    assert read_gold(path, TASK) == Gold({"1": "awe", "2": "awe", "3": "fear"}, frozenset())


def test_free_answers_are_read_in_their_comparable_form(tmp_path: Path) -> None:
    task = Task(kind="answer", question="How many?", verifier="number")
    path = file(tmp_path, 'id,answer\n1,3.0\n2,"3,000"\n3,?\n')
    assert read_gold(path, task) == Gold({"1": "3", "2": "3000"}, frozenset({"3"}))
    assert faults(file(tmp_path, "id,answer\n1,many\n"), task) == ["2: answer: 'many' is no answer that the verifier 'number' can read"]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffid,answer\n1,awe\n",
        "id;answer;image\r\n1;awe;a,b,c\r\n",
        "ID\tAnswer \n1\tawe\n",
        'image,answer,id\n"a\nb",awe,1\n',
        "id,answer\n1,awe\n\n2,\n3\n",
    ],
)
def test_what_spreadsheets_make_of_a_csv_is_read(tmp_path: Path, text: str) -> None:
    assert read_gold(file(tmp_path, text), TASK).answers == {"1": "awe"}


def test_a_row_without_an_answer_is_not_checked_yet(tmp_path: Path) -> None:
    assert read_gold(file(tmp_path, "id,answer\n1,\n2, \n,\n"), TASK) == Gold()


def test_people_who_agree_are_one_answer_and_people_who_do_not_are_none(tmp_path: Path) -> None:
    path = file(tmp_path, "id,answer\n1,awe\n1,wonder\n2,awe\n2,fear\n3,?\n4,awe\n4,?\n")
    assert read_gold(path, TASK) == Gold({"1": "awe"}, frozenset({"2", "3", "4"}))


def test_every_answer_outside_the_set_has_a_line_with_what_would_be_right(tmp_path: Path) -> None:
    path = file(tmp_path, "id,answer\n1,awee\n2,fear\n3,wander\n4,42\n,awe\n")
    assert faults(path) == [
        "2: answer: 'awee' is not in the set; did you mean 'awe'?",
        "4: answer: 'wander' is not in the set; did you mean 'awe'?",
        "5: answer: '42' is not in the set; there are awe, fear, sadness, and ? for cannot tell",
        "6: id: is missing; it is that of the sample which the answer 'awe' belongs to",
    ]


def test_of_many_faults_twenty_are_told_and_the_others_counted(tmp_path: Path) -> None:
    told = faults(file(tmp_path, "id,answer\n" + "".join(f"{row},nonsense {row}\n" for row in range(1_500))))
    assert (len(told), told[-1]) == (21, "and 1,480 more faults of this kind")


def test_the_same_fault_in_many_rows_is_one_line(tmp_path: Path) -> None:
    told = faults(file(tmp_path, "id,answer\n" + "".join(f"{row},joy\n" for row in range(25)) + "25,awee\n"))
    assert [line.split(";")[0] for line in told] == ["2: answer: 'joy' is not in the set", "27: answer: 'awee' is not in the set"]
    assert told[0].endswith("; and 24 more of the same, at 3, 4, 5, 6, 7, ...")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("id,anwser\n1,awe\n", "1: no column 'answer'; did you mean 'anwser'?"),
        ("name,answer\n1,awe\n", "1: no column 'id'; there: 'name', 'answer'"),
        ("", "1: no column 'id'; there: none"),
        ("id,answer,answer\n1,awe,fear\n", "1: column 'answer' stands twice; what several people answered stands in several rows"),
        ("id,answer\n1,awe,fear\n", "2: 3 cells; the header has 2: put a text with ',' in quotes"),
        ('id,answer\n1,"awe\n', "2: not CSV: unexpected end of data; save it as CSV anew"),
        (
            "id,answer\n1,\N{LATIN SMALL LETTER E WITH ACUTE}\n".encode("latin-1"),
            "2: not UTF-8 from byte 2; save the file as UTF-8 (it may be in cp1252)",
        ),
        (
            "id,answer\n1," + "a" * (1 << 18) + "\n",
            f"2: answer: {'a' * 60!r} is not in the set; there are awe, fear, sadness, and ? for cannot tell",
        ),
        ("id,answer\n1," + "a" * (17 << 20) + "\n2,awe\n", "2: more than 16,777,216 bytes in one line"),
    ],
)
def test_a_broken_file_says_where_and_what_would_be_right(tmp_path: Path, text: str | bytes, told: str) -> None:
    assert faults(file(tmp_path, text))[0] == told


def test_a_file_that_is_not_there_or_is_none_or_is_huge_is_a_fault(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path, Path("/dev/zero")):
        with pytest.raises(PipelineError, match="a CSV with the columns id and answer is wanted"):
            read_gold(path, TASK)
    with (tmp_path / "huge.csv").open("wb") as huge:
        huge.truncate(1 << 40)
    with pytest.raises(PipelineError, match="at most 67,108,864 are read"):
        read_gold(tmp_path / "huge.csv", TASK)


def test_rows_with_options_of_their_own_are_read_by_these_or_stand_as_they_are(tmp_path: Path) -> None:
    path, open_task = file(tmp_path, "id,answer\n1,Blue  sky\n"), Task(kind="classify", question="?")
    assert read_gold(path, open_task).answers == {"1": "Blue sky"}
    assert read_gold(path, open_task, options={"1": ("blue sky", "sea")}).answers == {"1": "blue sky"}
    assert read_gold(path, TASK, strict=False).answers == {"1": "Blue sky"}
    with pytest.raises(PipelineError, match="there are awe, fear, sadness"):
        read_gold(path, TASK)


@given(st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(["=1+1", "'=x", "''-", "-3", "@x", "\tx", "-x'", "+1.5%"]))
def test_a_guarded_cell_is_no_formula_and_comes_back_as_it_was(cell: str) -> None:
    safe = guard_cell(cell)
    assert unguard_cell(safe) == cell
    assert safe[:1] not in {"=", "@", "\t", "\r"}
    assert safe[:1] not in {"+", "-"} or re.fullmatch(r"[+-][0-9][0-9.,]*%?", safe)
    assert next(csv.reader(io.StringIO(csv_text([(cell, "x")]), newline=""))) == [safe, "x"]


def test_the_gold_of_a_run_is_what_the_pipeline_names_else_that_in_its_folder_else_none(tmp_path: Path) -> None:
    write_rows(tmp_path, 2)
    run = tmp_path / "run"
    run.mkdir()
    path = write_pipeline(tmp_path, replay(tmp_path, "one", {}))
    assert find_gold(Loaded.load(path), run) == Gold()
    file(run, "id,answer\nrow-0,awe\n")
    assert find_gold(Loaded.load(path), run).answers == {"row-0": "awe"}
    path = write_pipeline(tmp_path, replay(tmp_path, "one", {}), gold="checked.csv")
    with pytest.raises(PipelineError, match=r"^gold: .*checked\.csv is not there"):
        find_gold(Loaded.load(path), run)
    file(tmp_path, "id,answer\nrow-1,fear\n", "checked.csv")
    assert find_gold(Loaded.load(path), run).answers == {"row-1": "fear"}
    assert yaml.safe_load(Loaded.load(path).text())["gold"] == str(tmp_path / "checked.csv")


# picking


def of(id: str, picture: str = "") -> Sample:
    return Sample(id, (Picture(picture or id, "image/png", 1, 1, 1, gone),), "What?", ("a", "b"))


def test_the_rank_of_a_sample_is_the_same_for_ever() -> None:
    assert sample_rank("row-1") == 4223523070676580152
    assert sample_rank("row-1", 1) != sample_rank("row-1") != sample_rank("row-2")
    assert sample_rank("\ud800") >= 0


@given(st.lists(st.tuples(st.text(max_size=3), st.integers(0, 40)), max_size=80), st.integers(1, 30), st.randoms())
def test_those_of_least_rank_are_picked_each_picture_once_in_whatever_order_they_come(rows, count, random) -> None:  # type: ignore[no-untyped-def]
    samples = [of(id, f"picture {number}") for id, number in dict(rows).items()]
    first: dict[str, Sample] = {}
    for one in sorted(samples, key=lambda one: (sample_rank(one.id, APART), one.id)):
        first.setdefault(one.pictures[0].digest, one)
    wanted = list(first.values())[:count]
    random.shuffle(samples)
    assert pick_samples([Fault("image_missing"), *samples], count) == (wanted, len(samples))


def test_the_samples_of_a_trial_are_no_likelier_to_be_picked_than_others() -> None:
    trial = set(sorted((f"row-{number}" for number in range(1_000)), key=sample_rank)[:100])
    picked, _ = pick_samples(of(f"row-{number}") for number in range(1_000))
    assert len(picked) == 100
    assert 3 <= len(trial & {one.id for one in picked}) <= 20, "ten by chance; prompts were made with the trial in view"


@pytest.mark.parametrize(("samples", "picked"), [(7, 7), (100, 100), (999, 100), (2_000, 200), (4_000, 300)])
def test_a_tenth_of_the_samples_is_picked_within_bounds(samples: int, picked: int) -> None:
    assert len(pick_samples(of(f"row-{number}") for number in range(samples))[0]) == picked


# the page


class Page(HTMLParser):
    """Tags, attributes, and what stands in scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, list[str]] = {}
        self.scripts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value or "")
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] += data


def test_the_page_is_one_file_that_loads_nothing_and_runs_only_its_own_script() -> None:
    text = gold_page("feelings", [sample(number) for number in range(3)], then="cotforge gold runs/feelings --read gold.csv")
    made = Page(text)
    assert (made.tags.count("script"), made.tags.count("style")) == (2, 1)
    assert not {"link", "iframe", "img", "object", "base"} & set(made.tags)
    assert not [name for name in made.attributes if name in ("src", "href", "style", "action") or name.startswith("on")]
    assert not re.search(r"https?:|@import|url\(|fetch\(|XMLHttp|innerHTML|eval\(", text)
    (policy,) = [value for value in made.attributes["content"] if "default-src" in value]
    assert re.fullmatch(
        r"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-\S{44}'; base-uri 'none'; form-action 'none'",
        policy,
    )
    assert "not shown, so that nobody is led" in " ".join(text.split())
    data = json.loads(made.scripts[0])
    assert all(picture.startswith("data:image/jpeg;base64,") for one in data["samples"] for picture in one["pictures"])


def test_hostile_text_stays_text() -> None:
    one = Sample(HOSTILE, sample(0).pictures, HOSTILE, (HOSTILE, "b"))
    made = Page(gold_page(HOSTILE, [one], then=HOSTILE))
    assert (made.tags.count("script"), made.tags.count("img")) == (2, 0)
    data = json.loads(made.scripts[0])
    assert (data["name"], data["then"], data["questions"], data["sets"]) == (HOSTILE, HOSTILE, [HOSTILE], [[HOSTILE, "b"]])


def test_a_picture_that_is_gone_leaves_its_place_and_no_fault() -> None:
    assert json.loads(Page(gold_page("x", [of("1")], then="")).scripts[0])["samples"][0]["pictures"] == [""]


def test_a_picture_comes_to_the_page_small_and_without_its_comment(tmp_path: Path) -> None:
    comment, path = b"taken at home", tmp_path / "wide.jpg"
    Image.new("RGB", (2_000, 900), "teal").save(path, comment=comment)
    picture = Picture("0", "image/jpeg", 2_000, 900, path.stat().st_size, path.read_bytes)
    (uri,) = json.loads(Page(gold_page("x", [Sample("1", (picture,), "?")], then="")).scripts[0])["samples"][0]["pictures"]
    shown = base64.b64decode(uri.partition(",")[2])
    assert comment in path.read_bytes()
    assert comment not in shown
    assert Image.open(io.BytesIO(shown)).size == (768, 346)


# the command


def write(folder: Path, count: int = 5, **sections: object) -> None:
    write_rows(folder, count)
    write_pipeline(folder, replay(folder, "one", {}), **sections)


def asked(run: Path) -> list[dict[str, str]]:
    with (run / "gold-to-fill.csv").open(newline="") as sheet:
        return list(csv.DictReader(sheet))


def test_a_run_is_asked_about_before_it_is_built_and_its_answers_are_read_back(tmp_path: Path) -> None:
    write(tmp_path)
    done = ran("gold", "pipeline.yaml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "5 of 5 samples picked: all that nobody checked, each picture once",
        "runs/feelings/gold.html: open it in a browser, answer, and save gold.csv",
        "runs/feelings/gold-to-fill.csv: the same for a spreadsheet",
        "then: cotforge gold runs/feelings --read gold.csv",
        "5 checked without an error certify a precision of at least 0.549 with 95 % confidence, if the rule accepts an answer to each",
    ]
    rows = asked(tmp_path / "runs/feelings")
    assert [row["id"] for row in rows] == sorted((f"row-{number}" for number in range(5)), key=lambda id: sample_rank(id, APART))
    assert all(Path(row["image"]).is_file() and not row["answer"] for row in rows)
    file(tmp_path, "id,answer\nrow-0,AWE\nrow-1,fear\nrow-2,?\nrow-3,\n", "back.csv")
    back = ran("gold", "runs/feelings", "--read", "back.csv", cwd=tmp_path)
    assert (back.returncode, back.stderr) == (0, "")
    assert back.stdout.splitlines() == [
        "back.csv: 3 answers to 3 samples",
        "runs/feelings/gold.csv: 3 rows added; 2 samples have an answer, 1 is ambiguous",
        "ambiguous, as people disagree or cannot tell: 'row-2'; settle them in runs/feelings/gold.csv if you can",
        "3 checked without an error certify a precision of at least 0.368 with 95 % confidence, if the rule accepts an answer to each",
        "next: cotforge curate runs/feelings",
    ]
    assert (tmp_path / "runs/feelings/gold.csv").read_text() == "id,answer\nrow-0,awe\nrow-1,fear\nrow-2,?\n"


def test_page_and_sheet_are_the_same_whatever_the_labels_say(tmp_path: Path) -> None:
    made = []
    for shift in (0, 1):
        folder = tmp_path / str(shift)
        folder.mkdir()
        write(folder)
        lines = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
        moved = [line | {"label": LABELS[(number + shift) % 4]} for number, line in enumerate(lines)]
        (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in moved))
        assert ran("gold", "pipeline.yaml", cwd=folder).returncode == 0
        run = folder / "runs/feelings"
        made.append((run / "gold.html").read_text() + (run / "gold-to-fill.csv").read_text().replace(str(folder), ""))
    assert made[0] == made[1]


def test_answers_are_put_to_those_that_are_there_person_by_person(tmp_path: Path) -> None:
    write(tmp_path, gold="mine.csv")
    mine = file(tmp_path, "remark,answer,id,person\nkeep me,awe,row-0,ann", "mine.csv")
    assert ran("gold", "pipeline.yaml", cwd=tmp_path).returncode == 0
    for text, added in (
        ("id,answer,person\nrow-0,wonderful,ann\n", None),
        ("id,answer,person\nrow-0,awe,ann\nrow-0,awe,ben\nrow-1,fear,ben\nrow-1,fear,ben\n", "2 rows added"),
        ("id,answer\nrow-1,sadness\n", "1 row added; 1 sample has an answer, 1 is ambiguous"),
        ("id,answer\nrow-1,sadness\n", "0 rows added"),
        ("id,answer\nrow-1,sadness\n", "back.csv: 1 answer to 1 sample\n"),
    ):
        file(tmp_path, text, "back.csv")
        back = ran("gold", "runs/feelings", "--read", "back.csv", cwd=tmp_path)
        assert back.returncode == (2 if added is None else 0), back
        assert added is None or added in back.stdout
    assert mine.read_text() == ("remark,answer,id,person\nkeep me,awe,row-0,ann\n,awe,row-0,ben\n,fear,row-1,ben\n,sadness,row-1,\n")
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("id,answer\nrow-0,42\n", "back.csv:2: answer: '42' is not in the set; there are amusement, awe"),
        ("id,answer\nrow-0,awe\nnobody,awe\n", "back.csv: id: 'nobody' is not in the source; ids stay as gold-to-fill.csv has them"),
        ("id,answer\n" + "".join(f"n{n},awe\n" for n in range(8)), "id: 'n0', 'n1', 'n2', 'n3', 'n4' and 3 more are not in the source"),
        ("id,answer\nrow-0,\n", "back.csv: holds no answer yet; fill in the column 'answer'"),
    ],
)
def test_wrong_answers_end_with_2_and_change_nothing(tmp_path: Path, text: str, told: str) -> None:
    write(tmp_path)
    assert ran("gold", "pipeline.yaml", cwd=tmp_path).returncode == 0
    file(tmp_path, text, "back.csv")
    ended = ran("gold", "runs/feelings", "--read", "back.csv", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert told in ended.stderr
    assert not (tmp_path / "runs/feelings/gold.csv").exists()


def test_a_sheet_with_answers_in_it_is_never_overwritten(tmp_path: Path) -> None:
    write(tmp_path)
    assert ran("gold", "pipeline.yaml", cwd=tmp_path).returncode == 0
    sheet = tmp_path / "runs/feelings/gold-to-fill.csv"
    for text in ("id,image,answer\nrow-0,,awe\n", "\x00 broken by an editor"):
        sheet.write_text(text)
        again = ran("gold", "runs/feelings", cwd=tmp_path)
        assert "has answers in it, and is left as it was" in again.stdout
        assert sheet.read_text() == text
    sheet.write_text("id,image,answer\nrow-0,,\n")
    assert ran("gold", "runs/feelings", cwd=tmp_path).returncode == 0
    assert len(asked(tmp_path / "runs/feelings")) == 5


def test_ids_that_look_like_formulas_are_safe_in_the_sheet_and_read_back(tmp_path: Path) -> None:
    write(tmp_path, 3)
    rows = (tmp_path / "rows.jsonl").read_text()
    (tmp_path / "rows.jsonl").write_text(
        rows.replace("row-0", "=cmd|' /C calc'!A0").replace("row-1", "-7").replace("row-2", "@sum, \\u00e9")
    )
    assert ran("gold", "pipeline.yaml", cwd=tmp_path).returncode == 0
    run = tmp_path / "runs/feelings"
    assert {row["id"] for row in asked(run)} == {"'=cmd|' /C calc'!A0", "-7", "'@sum, é"}
    (run / "gold-to-fill.csv").write_text((run / "gold-to-fill.csv").read_text().replace(",\n", ",awe\n"))
    assert ran("gold", "runs/feelings", "--read", "runs/feelings/gold-to-fill.csv", cwd=tmp_path).returncode == 0
    assert set(find_gold(Loaded.of_run(run), run).answers) == {"=cmd|' /C calc'!A0", "-7", "@sum, é"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["runs/feelings", "--out", "elsewhere"], "--out and --limit belong to a pipeline file"),
        (["runs/feelings", "--count", "99"], "99 is out of range; 100 to 300, and of a run with fewer samples all are picked"),
        (["runs/feelings", "--count", "100", "--read", "x.csv"], "give one of them"),
        (["runs/feelings", "--read", "x.csv"], "x.csv: no such file or directory; a CSV with the columns id and answer is wanted"),
        (["images"], "images: is not a run folder"),
        (["nothing.yaml"], "nothing.yaml: no such file"),
    ],
)
def test_a_wrong_word_ends_with_2(tmp_path: Path, words: list[str], told: str) -> None:
    write(tmp_path)
    assert ran("gold", "pipeline.yaml", cwd=tmp_path).returncode == 0
    ended = ran("gold", *words, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert told in ended.stderr


def test_a_run_of_few_samples_stays_one(tmp_path: Path) -> None:
    write(tmp_path, 6)
    assert "2 of 2 samples" in ran("gold", "pipeline.yaml", "--limit", "2", cwd=tmp_path).stdout
    told = ran("gold", "runs/feelings", "--count", "100", cwd=tmp_path).stdout
    assert told.startswith("2 of 2 samples picked: all that nobody checked, each picture once\n")
    assert {row["drawn"] for row in asked(tmp_path / "runs/feelings")} == {""}, "each was certain"


# a person at a browser

browser = pytest.mark.skipif(PROGRAM is None, reason="needs chromium on the PATH")


@browser
def test_a_person_answers_by_key_and_mouse_closes_the_tab_comes_back_and_saves(tmp_path: Path) -> None:
    ids = ["=1+1", 'a "b", c', HOSTILE, "-5", "é\u2028", "six"]
    samples = [Sample(id, sample(number).pictures, HOSTILE, (HOSTILE, "awe", "fear")) for number, id in enumerate(ids)]
    path = file(tmp_path, gold_page("feelings", samples, then="cotforge gold run --read gold.csv"), "gold.html")
    with chromium(tmp_path) as person:
        person.open(path)
        assert person.text("#progress") == "1 of 6 · 0 answered"
        assert person.text("#question") == HOSTILE
        person.press("1", "2")
        person.click("#options button:nth-child(3)")
        person.press("?", "x", "9")
        assert person.text("#progress") == "5 of 6 · 4 answered"
        person.press("ArrowLeft", "Backspace", "2")
        person.open(path)  # as after a closed tab: it goes on where it stopped
        assert person.text("#progress") == "5 of 6 · 4 answered"
        assert person.text("#said") == ""
        person.press("2", "ArrowRight")
        assert person.text("#sum") == "1 of 6 are still open"
        person.click("#saveend")
        saved = person.downloaded("gold.csv")
    task = Task(kind="classify", question="?", labels=(HOSTILE, "awe", "fear"))
    wanted = {ids[0]: HOSTILE, ids[1]: "awe", ids[2]: "fear", ids[3]: "awe", ids[4]: "awe"}
    assert read_gold(saved, task) == Gold(wanted, frozenset())
    assert saved.read_bytes().startswith(b"id,answer\r\n'=1+1,")


@browser
def test_long_lists_are_searched_and_free_answers_typed(tmp_path: Path) -> None:
    labels = tuple(f"kind {number}" for number in range(60))
    long = [Sample(str(number), sample(number).pictures, "Which?", labels) for number in range(2)]
    free = [Sample(str(number), sample(number).pictures, "How many?") for number in range(2)]
    with chromium(tmp_path) as person:
        person.open(file(tmp_path, gold_page("long", long, then=""), "long.html"))
        person.press("/", *"KIND 57", "Enter")
        assert person.text("#progress") == "2 of 2 · 1 answered"
        assert person.ask("answers.get('0')") == "kind 57"
        person.open(file(tmp_path, gold_page("free", free, then=""), "free.html"))
        person.click("#text")
        person.press(*"-1,5?", "Enter")
        person.press(*"=x", "Enter")
        person.click("#saveend")
        saved = person.downloaded("gold.csv")
    assert read_gold(saved, Task(kind="answer", question="?")).answers == {"0": "-1,5?", "1": "=x"}


def test_answers_to_samples_that_a_trial_left_out_are_taken(tmp_path: Path) -> None:
    write_rows(tmp_path, 6)
    replies = {f"row-{number}": said(LABELS[number % 4]) for number in range(6)}
    write_pipeline(tmp_path, replay(tmp_path, "one", replies), replay(tmp_path, "two", replies))
    assert ran("gold", "pipeline.yaml", cwd=tmp_path).returncode == 0
    (tmp_path / "gold.csv").write_text("id,answer\n" + "".join(f"row-{number},{LABELS[number % 4]}\n" for number in range(6)))
    assert ran("build", "pipeline.yaml", "--limit", "2", cwd=tmp_path).returncode == 0
    taken = ran("gold", "runs/feelings", "--read", "gold.csv", cwd=tmp_path)
    assert (taken.returncode, "6 samples have an answer" in taken.stdout) == (0, True), taken.stderr
    assert ran("curate", "runs/feelings", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("sections", [{}, {"consensus": {"rule": "sequential"}, "dedup": {"pictures": "exact"}}])
def test_ids_that_are_not_in_the_source_are_told_by_whoever_reads_all_of_it(tmp_path: Path, sections: dict[str, object]) -> None:
    write_rows(tmp_path, 4)
    rows = (tmp_path / "rows.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "rows.jsonl").write_text("".join(rows) + rows[0].replace("row-0", "twin"))
    replies = {id: said(LABELS[number % 4]) for number, id in enumerate(("row-0", "row-1", "row-2", "row-3", "twin"))}
    write_pipeline(tmp_path, replay(tmp_path, "one", replies), replay(tmp_path, "two", replies), gold="gold.csv", **sections)
    told = f"{tmp_path}/gold.csv: 2 of 5 ids are not among the samples of the source, the first: 'deadbeef'"

    def lines(*words: str) -> list[str]:
        ended = ran(*words, cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr
        return [line for line in ended.stderr.splitlines() if "gold.csv" in line]

    file(tmp_path, "id,answer\nrow-0,amusement\ndeadbeef,awe\ntwin,?\nrow-3,fear\n1E+05,?\nunchecked,\n")
    assert lines("check", "pipeline.yaml", "--limit", "2", "--offline") == [], "a part of the source does not tell"
    for words in (("check", "pipeline.yaml"), ("build", "pipeline.yaml"), ("build", "pipeline.yaml"), ("check", "pipeline.yaml")):
        assert lines(*words) == [told], words
    assert lines("curate", "runs/feelings") == [told]
    assert lines("curate", "runs/feelings", "--set", "eval={share: 0.01}") == [f"{told}; eval.share may hold them out"]
    file(tmp_path, "id,answer\nrow-0,amusement\ntwin,?\n")
    assert lines("curate", "runs/feelings") == []


def test_a_build_says_before_it_pays_that_a_promise_cannot_be_kept(tmp_path: Path) -> None:
    write_rows(tmp_path, 2)
    replies = {f"row-{number}": said(LABELS[number]) for number in range(2)}
    known = replay(tmp_path, "one", replies), replay(tmp_path, "two", replies)
    write_pipeline(tmp_path, *known, consensus={"rule": "sequential", "promise": {"precision": 0.98, "confidence": 0.95}})
    built = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    assert "gold: nobody has checked a sample; consensus.promise takes 149, and until then accepts nothing\n" in built.stderr


@pytest.mark.parametrize(
    ("consensus", "idle"),
    [
        ({"rule": "majority", "max_calls": 1, "votes": "full"}, ["max_calls", "votes"]),
        ({"rule": "label_match", "max_calls": 1, "objective": "cheapest"}, ["objective"]),
        ({"rule": "sequential", "max_calls": 1, "objective": "cheapest", "votes": "short"}, []),
        ({"target": 0.95}, []),
    ],
)
def test_keys_without_effect_under_the_rule_are_told(tmp_path: Path, consensus: dict[str, object], idle: list[str]) -> None:
    write_rows(tmp_path, 1)
    write_pipeline(tmp_path, replay(tmp_path, "one", {"row-0": said(LABELS[0])}), replay(tmp_path, "two", {}), consensus=consensus)
    checked = ran("check", "pipeline.yaml", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    rule = consensus.get("rule", "majority")
    assert [line for line in checked.stderr.splitlines() if "no effect" in line] == [
        f"consensus.{name}: has no effect under rule {rule!r}" for name in idle
    ]
