"""The sliders of a report in a real browser: what they count is what curating with these bounds makes, and the page is used by keys."""

import math
import random
import shlex
from array import array
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outcomes import filtered, judged, lesson, mixed, sample, trace, undecided, verdict
from test_card import about
from test_report import HOSTILE, written

from cotforge.filters import Bound
from cotforge.records import CuratedSample, Judged, Sample
from cotforge.report import PageCollector, report_page
from cotforge.report.recount import BYTES, NONE, REFUSED, RESCUED, UNWANTED, Recount, one_byte_code, slider_positions
from cotforge.tally import Tally
from tests.browser import PROGRAM, Browser, chromium
from tests.project import LABELS, ran, replay, summary, write_pipeline, write_rows
from tests.test_tally import rescued

needs_browser = pytest.mark.skipif(PROGRAM is None, reason="needs chromium on the PATH")
WORDS = Bound("reasoning_words", lambda *_: 1.0, 2, 30)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), st.lists(st.floats(-1e6, 1e6), max_size=4), st.data())
def test_a_code_compares_with_every_position_as_its_value_does(numbers: list[float], bounds: list[float], data: st.DataObject) -> None:
    axis = slider_positions(sorted(numbers), bounds)
    assert {*bounds} <= {*axis}
    assert axis[0] <= min(numbers) <= max(numbers) <= axis[-1]
    value = data.draw(st.sampled_from(numbers))
    assert 0 <= one_byte_code(value, axis) < NONE
    for place, bound in enumerate(axis):
        assert (one_byte_code(value, axis) >= 2 * place + 1) == (value >= bound)
        assert (one_byte_code(value, axis) <= 2 * place + 1) == (value <= bound)
    assert one_byte_code(math.nan, axis) == NONE


def rank(number: int) -> bytes:
    return random.Random(number).randbytes(8)


def test_of_a_large_run_the_same_even_part_stays_in_any_order() -> None:
    outcomes = list(enumerate(mixed(300)))
    forth, back, small = Recount([WORDS], samples=50), Recount([WORDS], samples=50), Recount([WORDS], size=100)
    for number, outcome in outcomes:
        forth.add(outcome, rank(number))
        small.add(outcome, rank(number))
    for number, outcome in reversed(outcomes):
        back.add(outcome, rank(number))
    assert forth.kept() == back.kept()
    assert (len(forth.kept()), forth.seen) == (50, 300)
    assert 10 < len(small.kept()) < 25
    assert small.kept() == forth.kept()[: len(small.kept())]


def test_what_the_page_gets_of_samples_is_their_state_and_the_measures_of_usable_traces() -> None:
    found = Recount([WORDS], target=0.9)
    for number, outcome in enumerate((lesson(0), undecided(1), filtered(2))):
        found.add(outcome, bytes(7) + bytes([number]))
    one, two, three = found.kept()
    assert (one.state, one.traces, one.repeats, list(array("d", one.values))) == (0, 2, 0, [3.0, 3.0])
    assert (two.state & 3, two.answer) == (2, "awe")
    assert (three.traces, three.state & 3) == (2, 0)
    data = found.page_data()
    assert [(slider["path"], slider["positions"][slider["at"]]) for slider in data["sliders"]] == [
        ("filters.0.min", 2),
        ("filters.0.max", 30),
    ]
    assert data["target"]["positions"][data["target"]["at"]] == 0.9
    assert (data["total"], data["kept"], data["classes"]) == (3, 3, ["awe"])
    assert len(data["codes"]) * 3 / 4 < BYTES


def test_a_bound_that_is_no_entry_of_filters_has_no_slider_and_the_others_keep_their_places() -> None:
    language = Bound("reasoning_language", lambda *_: 1.0, 1, None)
    found = Recount([language, WORDS], fixed=1)
    one = lesson(0)
    foreign = replace(one.traces[1], measures={"reasoning_language": 0.0})
    found.add(replace(one, traces=(one.traces[0], foreign)), bytes(8))
    assert [slider["path"] for slider in found.page_data()["sliders"]] == ["filters.0.min", "filters.0.max"]
    assert found.kept()[0].traces == 1, "no other bound brings back a text in another language"


def test_texts_that_repeat_a_lesson_come_last_and_of_a_rescued_sample_only_what_explains_its_label_counts() -> None:
    found = Recount([WORDS])
    again = replace(lesson(0), lessons=(), rejected="filter:duplicate")
    again = replace(again, traces=(judged(trace(0, "t0"), "filter:duplicate", 0.9), judged(trace(0, "t1"), "surplus")))
    for number, outcome in enumerate((again, rescued(1), replace(rescued(2), lessons=(), rejected="select:per_class"))):
        found.add(outcome, bytes(7) + bytes([number]))
    one, two, three = found.kept()
    assert (one.state, one.traces, one.repeats) == (0, 2, 1)
    assert (two.state, two.answer, two.traces) == (RESCUED | REFUSED, "awe", 1)
    assert three.state == RESCUED | REFUSED | UNWANTED


def replies(seed: int) -> dict[str, str]:
    """Answers that are right three times in four, with reasonings of 1 to 40 words, some of which repeat themselves."""
    chance = random.Random(seed)
    made = {}
    for number in range(60):
        answer = LABELS[number % 4] if chance.random() < 0.75 else chance.choice(LABELS)
        words = ["so"] * chance.randrange(3) + [f"w{chance.randrange(90)}" for _ in range(chance.randrange(1, 40))]
        made[f"row-{number}"] = f"<think>{' '.join(words)}</think>\n<answer>{answer}</answer>"
    return made


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 60 samples and three teachers with two filters and a target."""
    folder = tmp_path_factory.mktemp("run")
    write_rows(folder, 60)
    teachers = [replay(folder, name, replies(seed)) for seed, name in enumerate(("one", "two", "six"))]
    filters = [{"measure": "reasoning_words", "min": 12, "max": 35}, {"measure": "compression", "max": 0.9}]
    write_pipeline(folder, *teachers, consensus={"rule": "dawid_skene", "target": 0.9}, filters=filters, select={"per_sample": 2})
    assert ran("build", "pipeline.yaml", cwd=folder).returncode == 0
    return folder / "runs" / "feelings"


@pytest.fixture(scope="module")
def person(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


def move(person: Browser, place: int, steps: int) -> None:
    """A slider by arrow keys."""
    person.ask(f"document.getElementById('slider-{place}').focus()")
    for _ in range(abs(steps)):
        key = "ArrowRight" if steps > 0 else "ArrowLeft"
        person.do("Input.dispatchKeyEvent", type="rawKeyDown", key=key, code=key, windowsVirtualKeyCode=39 if steps > 0 else 37)
        person.do("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=39 if steps > 0 else 37)


def shown(person: Browser) -> dict[str, int]:
    told = {name: person.ask(f"document.getElementById('step-{step}-text').textContent") for name, step in SHOWN.items()}
    return {name: int(text.partition(" ")[0].replace(",", "")) for name, text in told.items()}


SHOWN = {"agreed": "agreed", "filters": "filters", "accepted": "select"}
"""Bars, by the step of the funnel."""


@needs_browser
@pytest.mark.parametrize("moves", [{1: 4}, {2: -6}, {3: -5}, {0: 3}, {0: -3, 1: -20, 2: 20, 3: 40}, {0: 1, 1: 2, 2: -3, 3: -4}])
def test_a_moved_bound_counts_what_curating_with_it_makes(person: Browser, run: Path, moves: dict[int, int]) -> None:
    person.open(run / "report.html")
    before = summary(run)
    assert shown(person) == {name: before["funnel"][step] for name, step in SHOWN.items()}
    assert not person.ask("!document.getElementById('how').hidden")
    for place, steps in moves.items():
        move(person, place, steps)
    told, lessons = shown(person), person.text("#now")
    assert (told["accepted"], lessons) != (before["accepted"], f"{before['lessons']:,} lessons")
    words = shlex.split(person.text("#command"))
    assert words[:2] == ["cotforge", "curate"]
    try:
        assert ran(*words[1:], "--replace", cwd=run.parents[1]).returncode == 0
        after: dict[str, Any] = summary(run)
        assert (told["filters"], told["accepted"], lessons) == (
            after["funnel"]["filters"],
            after["accepted"],
            f"{after['lessons']:,} lessons",
        )
    finally:
        assert ran("curate", words[2], "--replace", cwd=run.parents[1]).returncode == 0
    assert summary(run)["accepted"] == before["accepted"]


@needs_browser
def test_the_bounds_go_back_samples_are_filtered_and_walked_by_keys_and_nothing_fails(person: Browser, run: Path) -> None:
    person.open(run / "report.html")
    first = shown(person)
    move(person, 1, 9)
    assert shown(person) != first
    person.click("#back")
    person.ask("new Promise(done => setTimeout(done, 20))")
    assert shown(person) == first
    assert person.ask("document.getElementById('command').offsetParent === null")
    kinds = person.ask("[...document.querySelectorAll('.sample')].map(one => one.dataset.kind)")
    assert len(kinds) == 60
    kind = max({*kinds}, key=kinds.count)
    person.click(f"#kinds [data-kind={kind}]")
    visible = person.ask("[...document.querySelectorAll('.sample')].filter(one => !one.hidden).map(one => one.dataset.kind)")
    assert visible == [kind] * kinds.count(kind) != kinds
    person.ask("window.scrollTo(0, document.getElementById('samples').offsetTop)")
    walked = []
    for key in "jjk":
        person.press(key)
        walked.append(person.ask("document.activeElement.id"))
    assert walked[0] == walked[2] != walked[1]
    assert all(each.startswith("sample-") for each in walked)


@needs_browser
def test_hostile_names_and_texts_are_text_in_a_browser(person: Browser, tmp_path: Path) -> None:
    of = Sample(HOSTILE, sample(0).pictures, HOSTILE, (HOSTILE, "b"), HOSTILE)
    said = Judged(trace(0, HOSTILE, HOSTILE), "surplus")
    path = tmp_path / "report.html"
    path.write_text(written(CuratedSample(of, verdict(HOSTILE, HOSTILE), (said,), rejected=HOSTILE), lesson(1), name=HOSTILE, run=HOSTILE))
    person.open(path)
    assert person.text("h1") == HOSTILE
    assert person.ask("document.title") == HOSTILE
    assert person.ask("document.scripts.length") == 2
    assert person.ask("[...document.images].every(one => one.src.startsWith('data:image/jpeg'))")
    assert person.text("#now") == "1 lesson"


@needs_browser
def test_of_a_large_run_the_page_says_that_it_estimates_and_begins_with_the_exact_counts(person: Browser, tmp_path: Path) -> None:
    tally, collected = Tally(), PageCollector([WORDS])
    collected.recount = Recount([WORDS], samples=60)
    for outcome in collected.watch(mixed(300)):
        tally.add(outcome)
    path = tmp_path / "report.html"
    path.write_text(report_page(about(), tally, collected))
    person.open(path)
    assert person.text("#sampled") == "Estimated from 60 of 300 samples, drawn evenly."
    assert shown(person) == {"agreed": tally.agreed, "filters": tally.accepted, "accepted": tally.accepted}
    move(person, 1, 2)  # above the three words that every text has
    assert shown(person) == {"agreed": tally.agreed, "filters": 0, "accepted": 0}


@needs_browser
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_fits_a_phone_and_a_screen(person: Browser, run: Path, width: int) -> None:
    person.do("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 600)
    person.open(run / "report.html")
    assert person.ask("document.documentElement.scrollWidth") <= width
    small = "[...document.querySelectorAll('.drawing text')].filter(e => e.getBoundingClientRect().height < 8).length"
    assert person.ask(small) == 0
    person.do("Emulation.clearDeviceMetricsOverride")
