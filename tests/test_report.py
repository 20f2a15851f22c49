from html.parser import HTMLParser

import pytest
from markupsafe import Markup
from outcomes import OPTIONS, filtered, gone, lesson, mixed, sample, trace, undecided, verdict
from test_card import about

from cotforge.consensus.claim import Bin, Claim, Stratum
from cotforge.records import CuratedSample, Fault, Judged, Sample
from cotforge.report import BEGIN, END, Gallery, report_page, with_training
from cotforge.tally import Tally

HOSTILE = "</div></style><script>alert(1)</script><img src=http://e.com/x onerror=alert(2)>\"'"


class Page(HTMLParser):
    """Tags, attributes and text of a page; fails on a tag that is not closed."""

    EMPTY = frozenset({"meta", "img", "link", "br"})

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


def page(*outcomes, claim=None, bins=(), **others):
    tally, gallery = Tally(claim=claim or Claim(), bins=bins), Gallery()
    for outcome in gallery.watch(outcomes):
        tally.add(outcome)
    return Page(report_page(about(**others), tally, gallery))


def test_the_page_is_self_contained_and_has_no_script():
    made = page(*mixed(40))
    assert "script" not in made.tags
    assert "link" not in made.tags
    assert not [name for _, name, _ in made.attributes if name.startswith("on")]
    policy = next(value for tag, name, value in made.attributes if tag == "meta" and name == "content" and "default-src" in value)
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    addresses = [value for _, name, value in made.attributes if name in ("src", "href")]
    assert addresses
    assert all(value.startswith("data:image/jpeg;base64,") for value in addresses)


def test_hostile_text_is_shown_as_text_wherever_it_comes_from():
    of = Sample(HOSTILE, sample(0).pictures, HOSTILE, (HOSTILE, "b"), HOSTILE)
    said = Judged(trace(0, HOSTILE, HOSTILE), "surplus")
    made = page(CuratedSample(of, verdict(HOSTILE), (said,), rejected=HOSTILE), name=HOSTILE, source=HOSTILE, consensus=HOSTILE)
    assert "script" not in made.tags
    assert made.tags.count("img") == 1
    assert made.text.count(HOSTILE) >= 8


def test_twenty_samples_are_shown_conflicts_and_rejected_ones_first():
    gallery = Gallery()
    conflicts = [lesson(number, label="fear") for number in range(0, 200, 2)]
    for outcome in [*conflicts, *(lesson(number) for number in range(1, 200, 2)), *(undecided(number) for number in range(200, 300))]:
        gallery.add(outcome)
    chosen = gallery.chosen()
    kinds = [("conflict" if one.verdict.label_conflict else "lesson") if one.lessons else "rejected" for one in chosen]
    assert kinds == ["conflict"] * 8 + ["rejected"] * 6 + ["lesson"] * 6


def test_the_same_samples_are_chosen_in_any_order():
    outcomes = mixed(300)
    forth, back = Gallery(), Gallery()
    for one, other in zip(outcomes, reversed(outcomes), strict=True):
        forth.add(one)
        back.add(other)
    assert [one.sample.id for one in forth.chosen()] == [one.sample.id for one in back.chosen()]


def test_a_kind_with_few_samples_leaves_its_places_to_the_others():
    gallery = Gallery()
    for number in range(50):
        gallery.add(lesson(number))
    gallery.add(filtered(99))
    assert len(gallery.chosen()) == 20


def test_faults_pass_through_the_gallery_unchanged():
    stream = [lesson(0), Fault("image_missing")]
    assert list(Gallery().watch(stream)) == stream


def test_a_picture_that_is_gone_is_said_to_be_gone():
    made = page(lesson(0, load=gone))
    assert "can no longer be read" in made.text
    assert "img" not in made.tags


@pytest.mark.parametrize("outcomes", [(), tuple(mixed(7))])
def test_the_page_tells_funnel_and_figures_of_any_run(outcomes):
    text = page(*outcomes).text
    assert "From raw rows to lessons" in text
    assert f"{len(outcomes)}samples" in text
    assert "Uncalibrated" in text


def test_the_classes_and_corrections_stand_on_the_page():
    text = page(lesson(0, label="fear")).text
    assert "Where vote and label differ most often" in text
    assert all(name in text for name in OPTIONS[:2])


def test_a_calibrated_page_has_its_claim_and_a_point_for_every_bin():
    made = page(
        *mixed(7), claim=Claim(0.987, 0.964, True, 255, 251, Stratum(0.991, 0.97, 240)), bins=[Bin(0.7, 0.65, 30), Bin(0.98, 0.99, 220)]
    )
    assert "Uncalibrated" not in made.text
    assert all(share in made.text for share in ("98.7%", "96.4%", "99.1%", "251 of 255"))
    assert made.tags.count("circle") == 2


def test_what_the_page_told_of_a_training_stays_when_the_rest_is_written_anew():
    first = report_page(about(source=f"{BEGIN}{HOSTILE}{END}"), Tally(), Gallery())
    told = with_training(first, Markup("<p>the curves</p>"), title="")
    again = report_page(about(), Tally(), Gallery(), before=told)
    assert Page(again).text.count("the curves") == 1
    assert "script" not in Page(again).tags
    assert with_training(again, Markup("<p>new curves</p>"), title="") == again.replace("the curves", "new curves")
    assert report_page(about(), Tally(), Gallery()) == again.replace("<p>the curves</p>", "")
