import hashlib
import io
import random
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from markupsafe import Markup
from outcomes import OPTIONS, filtered, gone, lesson, mixed, sample, trace, undecided, verdict
from PIL import Image
from test_card import about

from cotforge.consensus.claim import Bin, Claim, Stratum
from cotforge.filters import Bound
from cotforge.pages import AboutTeacher, Spent
from cotforge.records import Ballot, CuratedSample, Fault, Judged, Picture, Sample
from cotforge.report import BEGIN, END, PageCollector, report_page, with_training
from cotforge.report.excerpts import text_excerpt, thumbnail_uris
from cotforge.report.exhibits import PICTURE_BYTES
from cotforge.report.gallery import Gallery
from cotforge.report.rendering import certified_bounds
from cotforge.tally import Tally
from cotforge.tally.quantiles import Spread

HOSTILE = "</div></style><script>alert(1)</script><img src=http://e.com/x onerror=alert(2)>\"'"


class Page(HTMLParser):
    """Tags, attributes and text of a page; fails on a tag that is not closed."""

    EMPTY = frozenset({"meta", "img", "link", "br", "input"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = [], [], "", []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def written(*outcomes, claim=None, bins=(), **others):
    tally, collected = Tally(claim=claim or Claim(), bins=bins), PageCollector()
    for outcome in collected.watch(outcomes):
        tally.add(outcome)
    return report_page(about(**others), tally, collected)


def page(*outcomes, **others):
    return Page(written(*outcomes, **others))


def chosen(outcomes):
    gallery = Gallery()
    for outcome in outcomes:
        gallery.add(outcome, hashlib.sha256(outcome.sample.id.encode()).digest()[:8])
    return gallery.chosen()


def test_the_page_is_self_contained_and_runs_its_own_script_alone():
    text = written(*mixed(40))
    made = Page(text)
    assert [value for tag, name, value in made.attributes if (tag, name) == ("script", "type")] == ["application/json"]
    assert made.tags.count("script") == 2
    assert not {"link", "iframe", "object", "base"} & {*made.tags}
    assert not [name for _, name, _ in made.attributes if name.startswith("on")]
    policy = next(value for tag, name, value in made.attributes if tag == "meta" and name == "content" and "default-src" in value)
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-")
    assert policy.endswith("='; base-uri 'none'; form-action 'none'")
    addresses = [value for _, name, value in made.attributes if name in ("src", "href")]
    assert all(value.startswith(("data:image/jpeg;base64,", "#")) for value in addresses)
    assert not re.search(r"https?:|@import|url\(", text)


def test_the_label_stands_beside_the_votes_and_says_whether_it_counts():
    made = page(undecided(1, label="joy"), label_votes=True)
    assert "joy the label, which counts in the vote" in " ".join(made.text.split())
    assert "joy the label, which" not in " ".join(page(undecided(1, label="joy")).text.split())


def test_no_cost_is_told_where_no_price_is_known():
    unpriced = [AboutTeacher("t0", "org/t0"), AboutTeacher("t1", "org/t1")]
    free = page(lesson(1), teachers=unpriced, spent=[Spent("t0", "org/t0", 3, 1, 1, 0.0, 1.0)])
    assert "no price given" in free.text
    assert "calls of earlier settings of this folder, and what was asked again, count too." in free.text
    assert "$0" not in free.text.replace("$0.5000", "")


@pytest.mark.parametrize(("accepted", "told"), [(0, []), (19, []), (52, [20, 50]), (120, [50, 100]), (900, [100, 300])])
def test_no_more_checked_answers_are_spoken_of_than_there_are(accepted, told):
    assert [checked for checked, _ in certified_bounds(accepted)] == told


def test_a_rehearsal_says_so_first():
    made = page(lesson(1), teachers=[AboutTeacher("t0", "org/t0", simulated=True), AboutTeacher("t1", "org/t1")])
    assert "This is a rehearsal: cotforge simulate answered for t0 of the teachers, not a real model." in made.text


def test_every_part_that_the_page_links_to_is_there():
    made = page(*mixed(40))
    ids = [value for _, name, value in made.attributes if name == "id"]
    assert len(ids) == len({*ids})
    assert {value[1:] for _, name, value in made.attributes if name == "href"} <= {*ids}
    labelled = [each for _, name, value in made.attributes if name in ("aria-labelledby", "for") for each in value.split()]
    assert {*labelled} <= {*ids}


def test_hostile_text_is_shown_as_text_wherever_it_comes_from():
    of = Sample(HOSTILE, sample(0).pictures, HOSTILE, (HOSTILE, "b"), HOSTILE)
    said = Judged(trace(0, HOSTILE, HOSTILE), "undecided")
    outcome = CuratedSample(of, verdict(HOSTILE), (said,), rejected=HOSTILE)
    spent = [Spent(HOSTILE, HOSTILE, 1, 1, 1, 1.0, 1.0)]
    made = page(outcome, name=HOSTILE, source=HOSTILE, consensus=HOSTILE, spent=spent, run=HOSTILE)
    assert made.tags.count("script") == 2
    assert made.tags.count("img") == 1
    assert made.text.count("<script>") >= 12


def test_a_page_stays_small_whatever_strangers_wrote():
    long = "\U000e0041<" * 100_000
    outcomes = []
    for number in range(90):
        of = Sample(f"{number}{long}", sample(number).pictures * 9, long, OPTIONS, "awe", where=long)
        said = tuple(Judged(trace(place, f"t{place}", long), "undecided", said=long) for place in range(9))
        outcomes.append(CuratedSample(of, verdict(long, long + "a", accepted=False, reason="tie"), said, rejected="vote:tie"))
    assert len(written(*outcomes)) < 5_000_000
    assert "characters more" in text_of(trace(0, "t0"), "x" * 9_000)


def test_four_pictures_of_noise_stay_within_the_bytes_of_a_sample():
    made = io.BytesIO()
    Image.frombytes("RGB", (420, 420), random.Random(0).randbytes(3 * 420 * 420)).save(made, "PNG")
    noise = Picture("d", "image/png", 420, 420, len(made.getvalue()), made.getvalue)
    for count in (1, 9):
        found = thumbnail_uris([noise] * count, PICTURE_BYTES)
        assert len(found) == min(count, 4)
        assert sum(map(len, found)) <= PICTURE_BYTES


def text_of(of, reasoning):
    said = Judged(of, "undecided")
    said = Judged(type(of)(**{name: getattr(of, name) for name in of.__slots__} | {"reasoning": reasoning}), "undecided")
    return page(CuratedSample(sample(0), verdict("awe", accepted=False, reason="tie"), (said,), rejected="vote:tie")).text


@pytest.mark.parametrize("text", ["plain", "<" * 400, "\u202e" * 400, "é" * 400, ""])
def test_an_excerpt_takes_no_more_bytes_than_it_may(text):
    made = text_excerpt(text, 300)
    assert text == made.text + text[len(made.text) :]
    assert made.left_out == len(text) - len(made.text)
    assert len(made.text) * {"<": 4, "\u202e": 6, "é": 2}.get(text[:1], 1) <= 300


def test_rescued_and_woven_samples_are_shown_the_woven_text_part_by_part():
    ours = {"rescue": lesson(1), "woven": lesson(2)}
    for origin, outcome in ours.items():
        judged = replace(outcome.lessons[0].judged, segments=(("observe", "A <b>dog</b>."), ("conclude", "So awe.")))
        judged = replace(judged, trace=replace(judged.trace, origin=origin, reasoning="A dog. So awe."))
        ours[origin] = replace(outcome, traces=(judged,), lessons=(replace(outcome.lessons[0], judged=judged),))
    assert {kind for kind, _ in chosen([*ours.values(), lesson(3)])} == {"rescued", "woven", "lesson"}
    text = written(*ours.values(), lesson(3))
    assert '<small class="tag">observe</small> A &lt;b&gt;dog&lt;/b&gt;.' in text
    assert "Where the texts of lessons come from" in text


def test_sixty_samples_are_shown_with_all_kinds_among_them():
    conflicts = [lesson(number, label="fear") for number in range(0, 200, 2)]
    found = chosen([*conflicts, *(lesson(number) for number in range(1, 200, 2)), *(undecided(number) for number in range(200, 300))])
    kinds = [kind for kind, _ in found]
    assert len(kinds) == 60
    assert {kind: kinds.count(kind) for kind in {*kinds}} == {"conflict": 38, "split": 14, "lesson": 8}


def test_the_same_samples_are_chosen_in_any_order():
    outcomes = mixed(300)
    forth, back = chosen(outcomes), chosen(outcomes[::-1])
    assert [one.outcome.sample.id for _, one in forth] == [one.outcome.sample.id for _, one in back]


def test_the_surest_conflicts_come_first_and_rare_pairs_before_repeated_ones():
    def conflict(number, confidence, answer):
        of = lesson(number, label="fear")
        found = verdict(answer, answer, conflict=True)
        said = type(found)(answer, confidence, True, "", (Ballot("t0", answer),), True)
        return type(of)(of.sample, said, of.traces, of.lessons, of.prompt)

    outcomes = [*(conflict(number, 0.9, "awe") for number in range(20)), conflict(90, 0.6, "joy"), conflict(91, 1.0, "awe")]
    found = [one.outcome for _, one in chosen(outcomes)]
    assert found[0].verdict.confidence == 1.0
    assert found[1].verdict.answer == "joy"


def test_a_kind_with_few_samples_leaves_its_places_to_the_others():
    assert len(chosen([*(lesson(number) for number in range(70)), filtered(99)])) == 60


def test_of_many_traces_those_that_differ_are_shown():
    said = tuple(Judged(trace(place, f"t{place}", "fear" if place == 19 else "awe"), "undecided") for place in range(20))
    ((_, found),) = chosen([CuratedSample(sample(0), verdict("awe", "fear", accepted=False), said, rejected="vote:tie")])
    assert (len(found.outcome.traces), found.traces) == (6, 20)
    assert found.outcome.traces[-1].trace.answer == "fear"


def test_faults_pass_through_the_collector_unchanged():
    stream = [lesson(0), Fault("image_missing")]
    assert list(PageCollector().watch(stream)) == stream


def test_a_picture_that_is_gone_is_said_to_be_gone():
    made = page(lesson(0, load=gone))
    assert "can no longer be read" in made.text
    assert "img" not in made.tags


@pytest.mark.parametrize("outcomes", [(), tuple(mixed(7))])
def test_the_page_tells_funnel_and_figures_of_any_run(outcomes):
    text = page(*outcomes).text
    assert "From raw rows to lessons" in text
    assert f"{len(outcomes)}samples" in text.replace("\n", "")
    assert "Uncalibrated" in text


def test_the_classes_and_corrections_stand_on_the_page():
    text = page(lesson(0, label="fear")).text
    assert "Where vote and label differ" in text
    assert all(name in text for name in OPTIONS[:2])


def test_where_no_share_of_a_class_changes_none_is_said_to_change_most():
    assert "Every class has the same share of the lessons as of the raw labels." in page(lesson(0), lesson(1)).text
    changed = page(lesson(0), lesson(1, label="fear")).text
    assert "Class awe changes most: 50.0% of the raw labels, 100.0% of the lessons." in changed


def test_a_calibrated_page_has_its_claim_and_a_point_for_every_bin():
    made = page(
        *mixed(7), claim=Claim(0.987, 0.964, True, 255, 251, Stratum(0.991, 0.97, 240)), bins=[Bin(0.7, 0.65, 30), Bin(0.98, 0.99, 220)]
    )
    assert "Uncalibrated" not in made.text
    assert all(share in made.text for share in ("98.7%", "96.4%", "99.1%", "251 of 255"))
    assert made.tags.count("circle") == 2 + 1  # a ring for the class


def test_measures_cost_and_time_are_plotted_with_their_numbers():
    tally, collected = Tally(), PageCollector([Bound("reasoning_words", lambda *_: 1.0, 4, None)])
    for outcome in collected.watch(mixed(40)):
        tally.add(outcome)
    tally.measures["reasoning_words"].add(9.0)
    tally.measures["well_formed"] = Spread()
    tally.measures["well_formed"].add(1.0)
    spent = [Spent("t0", "org/t0", 40, 4_000, 2_000, 3.0, 120.0), Spent("t1", "org/t1", 20, 2_000, 500, 1.0, 7_200.0)]
    made = Page(report_page(about(spent=spent, seconds=95.0), tally, collected))
    assert "In all $4.00 and 2.0 h of the servers' time; a lesson cost $0.2500." in made.text
    assert "2 minthis command" in made.text.replace("\n", "")
    assert "Its filter drops 16 of those with the agreed answer." in made.text
    assert "well_formed is 1 for all 1 traces." in made.text
    titles = [name for tag, name, _ in made.attributes if tag == "svg" and name == "aria-labelledby"]
    assert len(titles) == made.tags.count("desc") == 7


def test_what_the_page_told_of_a_training_stays_when_the_rest_is_written_anew():
    first = report_page(about(source=f"{BEGIN}{HOSTILE}{END}"), Tally(), PageCollector())
    told = with_training(first, Markup("<p>the curves</p>"), title="")
    again = report_page(about(), Tally(), PageCollector(), before=told)
    assert Page(again).text.count("the curves") == 1
    assert Page(again).tags.count("script") == 2
    assert with_training(again, Markup("<p>new curves</p>"), title="") == again.replace("the curves", "new curves")
    assert "Nothing was trained yet" in report_page(about(), Tally(), PageCollector())
    assert "Nothing was trained yet" not in again
