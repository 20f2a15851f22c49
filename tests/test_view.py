"""The viewer as a person uses it, in a real browser: loading, filtering, opening, reviewing by keys, and hostile text."""

import os
import re
import shutil
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE

import pytest

from cotforge.errors import JournalError, PipelineError
from cotforge.folder import RunFolder
from cotforge.gold import find_gold
from cotforge.pipeline import Loaded
from cotforge.view.serving import start_viewer
from tests.browser import PROGRAM, READY, Browser, chromium
from tests.project import Running, command, environment, ran, replay, said, summary, table, write_pipeline, write_rows
from tests.viewing import COUNT, HOSTILE, LONG, Client, enter, make_run, viewed

browser = pytest.mark.skipif(PROGRAM is None, reason="needs chromium on the PATH")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run, which no test changes."""
    return make_run(tmp_path_factory.mktemp("viewed"))


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy to change; its pipeline file lies beside it."""
    shutil.copytree(made.parent, tmp_path / "copy")
    kept = tmp_path / "copy/run/pipeline.yaml"
    kept.write_text(kept.read_text().replace(str(made.parent), str(tmp_path / "copy")))
    return tmp_path / "copy/run"


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if PROGRAM is None:
        pytest.skip("needs chromium on the PATH")
    with chromium(tmp_path_factory.mktemp("browser")) as found:
        yield found


def press(person: Browser, key: str, then: str) -> None:
    """A key, and the page that it leads to."""
    person.press(key)
    person.settle(then)
    person.settle(READY)


def at(id: str) -> str:
    """Whether the page of this sample is open."""
    return f"document.querySelector('.where')?.innerText === {id!r}"


@browser
def test_a_person_filters_opens_and_reviews_by_keys_and_the_answers_become_evidence(run: Path, person: Browser) -> None:
    with viewed(run) as viewer:
        base = enter(person, viewer)
        assert person.text("h1") == f"{COUNT} samples"
        assert person.ask("document.querySelectorAll('.card').length") == COUNT
        person.settle("[...document.querySelectorAll('.card img')].slice(0, 8).every(each => each.naturalWidth === 48 && !each.hidden)")
        person.click("#facet-verdict a:nth-of-type(2)")
        person.settle("document.querySelector('.chips a')?.innerText.startsWith('Outcome: No agreement')")
        assert person.text("h1") == "4 samples"
        press(person, "ArrowRight", "document.activeElement.matches('.card')")
        press(person, "Enter", at("row-0"))
        assert person.text(".beside .number") == "1 of 4"
        assert person.ask("[...document.querySelectorAll('.ballots th')].map(each => each.innerText)") == ["amusement label", "awe", "fear"]
        assert person.ask("document.querySelector('.stage img').naturalWidth") == 48
        press(person, "l", at("row-5"))  # the label is right, and the next one comes
        press(person, "4", at("row-10"))  # another answer is right: sadness
        press(person, "d", at("row-15"))
        person.press("n")
        person.do("Input.insertText", text="=hard, to tell")
        person.press("Enter")
        person.settle("document.querySelector('#mine').innerText === 'The note is saved.'")
        press(person, "u", "document.querySelector('#note').value === '' && document.querySelector('#mine.none') !== null")
        press(person, "ArrowLeft", at("row-10"))
        assert person.text("#mine") == "You said: cannot be told"
        press(person, "u", "document.querySelector('#mine.none') !== null")
        press(person, "Escape", "document.querySelector('.cards') !== null")
        person.visit(f"{base}?checked=checked")
        assert person.text("h1") == "2 samples"
    assert (run / "gold.csv").read_text() == "id,answer,person,drawn,note\nrow-0,amusement,view,1,\nrow-5,sadness,view,1,\n"
    assert find_gold(Loaded.of_run(run), run).answers == {"row-0": "amusement", "row-5": "sadness"}
    before = summary(run)["accepted"]
    assert ran("curate", "run", cwd=run.parent).returncode == 0
    lessons = {row["id"]: row["answer"] for row in table(run, "data")}
    assert (lessons["row-0"], lessons["row-5"], summary(run)["accepted"]) == ("amusement", "sadness", before + 2)


@browser
def test_hostile_text_is_shown_as_text_and_a_long_one_is_one_click_away(made: Path, person: Browser) -> None:
    with viewed(made) as viewer:
        base = enter(person, viewer)
        person.visit(f"{base}?text=onerror")
        assert person.text("h1") == "2 samples"
        person.click(".card")
        person.settle(at("row-1"))
        person.settle(READY)
        assert person.text(".trace .text").startswith(HOSTILE)
        assert person.ask("document.title") == "row-1 · feelings · cotforge"
        assert person.ask("[document.scripts.length, document.querySelectorAll('img').length]") == [1, 1]
        person.visit(f"{base}?text=onerror%3D%22document.title")
        person.click(".cards li:nth-child(2) .card")
        person.settle("document.querySelector('.where') !== null && !document.title.startsWith('row-1 ')")
        assert person.text(".where") == HOSTILE
        assert person.ask("[document.scripts.length, document.querySelectorAll('img').length]") == [1, 1]
        person.visit(f"{base}?text=all+work+and+no")
        person.click(".card")
        person.settle(at("row-2"))
        assert person.ask("document.documentElement.outerHTML.length") < 100_000
        link = person.ask("document.querySelector('.trace .small a').href")
        assert person.ask(f"fetch({link!r}).then(answer => answer.text()).then(text => text.length)") == len(LONG)
        assert person.ask(f"fetch({link!r}).then(answer => answer.headers.get('Content-Type'))") == "text/plain; charset=utf-8"


@browser
def test_a_measure_narrows_by_its_histogram_and_nothing_is_loaded_from_elsewhere(made: Path, person: Browser) -> None:
    with viewed(made) as viewer:
        base = enter(person, viewer)
        person.visit(base)
        person.ask(
            "(() => { const m = document.querySelector('#measure'); m.value = 'reasoning_words'; m.dispatchEvent(new Event('change')) })()"
        )
        person.settle("document.querySelector('.histogram') !== null")
        person.settle(READY)
        person.click(".histogram a:first-child .area")
        person.settle("document.querySelectorAll('.chips a').length === 1")
        assert person.text(".chips a").startswith("reasoning_words from 2 to ")
        loaded = person.ask("performance.getEntriesByType('resource').map(each => new URL(each.name).host)")
        assert set(loaded) == {f"127.0.0.1:{viewer.port}"}
        person.press("?")
        assert person.ask("document.querySelector('#help').open")


@browser
def test_a_run_without_a_dataset_shows_what_teachers_said_so_far(run: Path, person: Browser) -> None:
    for name in ("dataset", "losses.parquet", "summary.json", "report.html"):
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with viewed(run) as viewer, RunFolder(run):  # held, as by a build
        base = enter(person, viewer)
        person.settle(f"document.querySelector('h1')?.innerText === '{COUNT} samples' || (location.reload(), false)")
        assert "There is no dataset yet" in person.text(".notice")
        person.visit(f"{base}?text=cannot+say")
        person.click(".card")
        person.settle(at("row-4"))
        assert person.ask("[...document.querySelectorAll('.trace .said')].map(each => each.innerText)") == [
            "amusement",
            "amusement",
            "no answer",
        ]
        assert person.ask("document.querySelector('.stage img').naturalWidth") == 48
        person.press("v")
        person.settle("document.querySelector('#mine').innerText.startsWith('Saved: amusement')")
    assert find_gold(Loaded.of_run(run), run).answers == {"row-4": "amusement"}


# without a browser


def test_a_dataset_that_is_written_anew_is_read_anew(run: Path) -> None:
    with viewed(run) as viewer:
        client = Client(viewer)
        assert '<span id="left">4</span>' in client.ask("/?verdict=disagreed")[1]
        assert ran("curate", "run", "--set", "consensus.rule=unanimous", cwd=run.parent).returncode == 0
        assert '<span id="left">4</span>' in client.ask("/?verdict=disagreed")[1]
        assert ran("curate", "run", "--set", "consensus.label=gate", cwd=run.parent).returncode == 0
        assert '<span id="left">5</span>' in client.ask("/?verdict=disagreed")[1]


def test_pictures_come_by_their_digest_out_of_the_dataset_or_the_source(made: Path) -> None:
    with viewed(made) as viewer:
        client = Client(viewer)
        while "first-picture" in (page := client.ask("/")[1]):  # the source is read beside
            pass
        links = [link.replace("&amp;", "&") for link in re.findall(r'src="\.(/picture/[^"]+)"', page)]
        assert len(set(links)) == COUNT
        for link in links:
            status, _, headers = client.ask(link)
            assert (status, headers["content-type"]) == (200, "image/jpeg")
            assert client.ask(link.replace("&small=1", ""))[0] == 200
        digest, key = re.fullmatch(r"/picture/([0-9a-f]{64})\?at=(\w+)&small=1", links[0]).groups()  # type: ignore[union-attr]
        other = re.search(r"at=(\w+)", links[1])[1]  # type: ignore[index]
        assert client.ask(f"/picture/{digest}?at={other}")[0] == 404
        assert client.ask(f"/picture/{'0' * 64}?at={key}")[0] == 404
        assert client.ask("/picture/../pipeline.yaml")[0] == 404
        assert client.ask("/static/../guard.py")[0] == 404


def test_answers_are_kept_to_what_can_be_an_answer(run: Path) -> None:
    with viewed(run, person="ann") as viewer:
        client = Client(viewer)
        key = re.findall(r"key=(\w+)", client.ask("/?verdict=lesson")[1])[0]
        headers = {"Content-Type": "application/json", "X-Cotforge": "1"}
        for said, status, told in (
            ({"key": key, "does": "option", "option": "joy"}, 409, "is no answer to this sample; choose one of its options"),
            ({"key": "0", "does": "vote"}, 200, "no such sample"),
            ({"key": key, "does": "dance"}, 200, "no dance"),
            ([], 400, "a JSON object"),
            ({"key": key, "does": "option", "option": "AWE", "note": "=1\u202e"}, 200, '"saved": "awe"'),
        ):
            answer = client.ask("/answer", data=said, headers=headers)
            assert (answer[0], told in answer[1]) == (status, True), answer
        assert 'value="=1\\u202e"' in client.ask(f"/sample?key={key}")[1]
    assert (run / "gold.csv").read_text() == "id,answer,person,drawn,note\nrow-1,awe,ann,1,'=1\\u202e\n"


def test_a_run_whose_pipeline_cannot_be_read_is_shown_without_answers(run: Path) -> None:
    kept = run / "pipeline.yaml"
    kept.write_text(re.sub("^# from: .*\n", "", kept.read_text(), flags=re.MULTILINE).replace("feelings", "feelings\nnonsense: 1"))
    with viewed(run) as viewer:
        client = Client(viewer)
        page = client.ask("/")[1]
        assert f'<span id="left">{COUNT}</span>' in page
        key = re.findall(r"key=(\w+)", client.ask("/?verdict=lesson")[1])[0]
        assert "Answers cannot be saved" in client.ask(f"/sample?key={key}")[1]
        answer = client.ask("/answer", data={"key": key, "does": "vote"}, headers={"Content-Type": "application/json", "X-Cotforge": "1"})
        assert (answer[0], "nonsense" in answer[1]) == (409, True)
    assert not (run / "gold.csv").exists()


def test_a_run_that_is_built_meanwhile_is_followed_from_its_first_reply_to_its_dataset(tmp_path: Path) -> None:
    write_rows(tmp_path, 3)
    replies = {f"row-{number}": said("awe") for number in range(3)}
    write_pipeline(tmp_path, *(replay(tmp_path, name, dict(replies)) for name in ("one", "two")))
    assert ran("gold", "pipeline.yaml", "--out", "run", cwd=tmp_path).returncode == 0  # a run folder of which nobody was asked yet
    with viewed(tmp_path / "run") as viewer:
        client = Client(viewer)
        while '<span id="left">3</span>' not in (page := client.ask("/")[1]):
            pass  # the source is read beside
        assert "not asked" in page
        assert ran("build", "pipeline.yaml", "--out", "run", cwd=tmp_path).returncode == 0
        page = client.ask("/?verdict=lesson")[1]
        assert '<span id="left">3</span>' in page
        assert "There is no dataset yet" not in page


def test_a_damaged_dataset_is_a_page_that_says_so(run: Path) -> None:
    shard = next((run / "dataset/traces").iterdir())
    shard.write_bytes(b"PAR1 and nothing")
    with viewed(run) as viewer:
        status, page, _ = Client(viewer).ask("/")
        assert (status, "its dataset cannot be read" in page, "cotforge curate" in page) == (503, True, True)
        shard.unlink()
        assert "is named by the card and missing" in Client(viewer).ask("/")[1]


def test_the_command_tells_an_address_serves_and_ends_with_0_on_an_interrupt(made: Path) -> None:
    with Running(command("view", made), cwd=made, env=environment(), stdout=PIPE, stderr=PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{43}", url)
        with urllib.request.urlopen(url) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        said, told = process.communicate(timeout=60)
    assert (process.returncode, said, told) == (0, "", "")


def test_answers_given_after_the_dataset_are_told_of(run: Path) -> None:
    os.utime(run / "summary.json", (1, 1))
    (run / "gold.csv").write_text("id,answer\nrow-1,awe\n")
    with viewed(run) as viewer:
        assert "Answers were given after this dataset was written" in Client(viewer).ask("/")[1]


def test_what_is_no_run_or_a_port_that_is_taken_ends_with_2(made: Path, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="is not a run folder"):
        start_viewer(tmp_path)
    ended = ran("view", tmp_path / "nothing", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    with viewed(made) as viewer, pytest.raises(JournalError, match="cannot be listened on"):
        start_viewer(made, port=viewer.port)
    with pytest.raises(PipelineError, match="is no origin"):
        start_viewer(made, trusted_origins=["hub.example.org"])
