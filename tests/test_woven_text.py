"""A text that is joined of sentences of several traces: what each sentence does in it, and that no phrase joins too many."""

from itertools import product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cotforge.followups import joining
from cotforge.followups.frame import VotedSample
from cotforge.followups.joining import Draw
from cotforge.followups.weave_sources import Namer, Source
from cotforge.followups.woven_parts import WovenWriting, failed_check
from cotforge.followups.woven_sentences import reads_english, sentences_of
from cotforge.followups.woven_text import weave_sentences
from cotforge.measures.leaks import leaks
from cotforge.records import SENTENCES, Sample, Trace, Verdict
from cotforge.tally.common_phrases import CommonPhrases

LABELS = ("amusement", "awe", "fear", "sadness")
SAMPLE = Sample("s1", (), "What does this picture evoke?", LABELS)
PATTERNS = {name: getattr(joining, name) for name in ("CANDIDATE", "RIVAL", "DOUBT", "CHECK", "CONCLUDE")}
MOST = 0.02
"""Share of texts that may have five words in a row in common."""
AWE_ONE = (
    "First, the ridge fills the upper half of the picture. A thin band of cloud lies below the peak. "
    "Two small figures stand at the edge of the path. The immense scale of the ridge speaks for awe. "
    "The figures are not crouching, and nothing hunts them, so fear does not fit. Therefore the vastness makes awe the answer."
)
AWE_TWO = (
    "However, the light on the snow is warm and even. The valley lies far below in blue haze. "
    "An open sky takes most of the space. Such height and light belong to awe. Fear would need a threat, and there is no threat in sight."
)
FEAR = (
    "The path is narrow and the drop beside it is steep. The dark wall on the left leans over the people. "
    "A steep drop next to small people suggests fear. The answer is fear."
)


def source(text: str, answer: str, teacher: str, *, right: bool = True) -> Source:
    return Source(Trace(f"key-{teacher}", teacher, f"model-{teacher}", 0, text, answer), answer, right, text)


SOURCES = [source(AWE_ONE, "awe", "ann"), source(FEAR, "fear", "cyd", right=False), source(AWE_TWO, "awe", "bob")]


def woven(sources: list[Source] = SOURCES, *, sample: Sample = SAMPLE, answer: str = "awe", index: int = 0) -> WovenWriting:
    found = weave_sentences(sample, sources, answer, index=index)
    assert found is not None
    return found


def part(written: WovenWriting, kind: str) -> str:
    return "\n".join(text for of, text in written.segments if of == kind)


def test_what_right_traces_saw_comes_first_and_a_wrong_answer_is_doubted_in_their_words() -> None:
    written = woven()
    kinds = [kind for kind, _ in written.segments]
    assert (kinds[0], kinds[-2:], kinds.count("candidate"), kinds.count("doubt")) == ("observe", ["check", "conclude"], 2, 1)
    assert "The ridge fills the upper half of the picture." in part(written, "observe") + part(written, "check")
    assert "A steep drop next to small people suggests fear." in part(written, "candidate")
    assert "speaks for awe" in part(written, "candidate") or "belong to awe" in part(written, "candidate")
    assert "fear does not fit" in part(written, "doubt") or "there is no threat" in part(written, "doubt")
    assert not any(text in part(written, "observe") for text in ("path is narrow", "dark wall"))  # only the wrong trace saw that
    assert "awe" in written.segments[-1][1].lower()


def test_it_passes_the_checks_of_a_text_that_somebody_wrote() -> None:
    assert [failed_check(woven(index=index), VotedSample(SAMPLE, Verdict("awe", 1.0, True), ()), SOURCES) for index in range(20)] == [
        ""
    ] * 20


def test_its_trace_says_that_nobody_wrote_it_and_names_the_teacher_of_the_last_right_sentence() -> None:
    trace = woven().trace
    assert (trace.read_as, trace.origin, trace.answer, trace.cost_usd, trace.output_tokens) == (SENTENCES, "woven", "awe", 0.0, 0)
    assert (trace.teacher, trace.model) in {("ann", "model-ann"), ("bob", "model-bob")}
    assert len(bytes.fromhex(trace.call)) == 32


def test_the_same_traces_in_any_order_of_asking_have_one_key_and_others_another() -> None:
    keys = {woven().trace.call, woven(index=1).trace.call, woven(SOURCES[:2]).trace.call}
    assert len(keys) == 3
    assert woven(SOURCES[::-1]).trace.call == woven().trace.call
    assert woven() == woven()


def test_no_sentence_stands_in_it_twice() -> None:
    for index in range(10):
        own = [one.text for each in SOURCES for one in sentences_of(each, Namer(SAMPLE, LABELS))]
        assert all(woven(index=index).trace.reasoning.count(text) <= 1 for text in own)


def test_where_no_right_trace_speaks_of_a_wrong_answer_what_it_saw_instead_stands_against_it() -> None:
    plain = AWE_TWO.partition(" Fear would")[0] + " A river runs through the middle of the valley."
    doubt = part(woven([source(plain, "awe", "ann"), SOURCES[1]]), "doubt")
    assert any(text in doubt for text in ("warm and even", "blue haze", "open sky", "river runs"))


@pytest.mark.parametrize(
    "sources",
    [
        [source("The sky is a wide band of blue. It is awe.", "awe", "ann"), SOURCES[1]],  # one sentence that observes
        [source("Awe it is. Awe indeed. So awe, and awe again, is the answer.", "awe", "ann"), SOURCES[1]],
        [SOURCES[0], source("The answer is fear, as the answer must be fear.", "fear", "cyd", right=False)],
        [source("Der Himmel ist weit und blau. Ein Berg steht im Hintergrund des Bildes. Das spricht für awe.", "awe", "ann"), SOURCES[0]],
    ],
)
def test_too_few_sentences_or_another_language_give_no_text(sources: list[Source]) -> None:
    if "Himmel" in sources[0].text:
        sources = [sources[0], source("Es ist ein dunkler Weg mit einem steilen Hang. Das ist fear.", "fear", "cyd", right=False)]
    assert weave_sentences(SAMPLE, sources, "awe") is None


def test_right_traces_alone_give_a_text_without_doubt() -> None:
    written = woven([SOURCES[0], SOURCES[2]])
    assert "doubt" not in [kind for kind, _ in written.segments]
    assert failed_check(written, VotedSample(SAMPLE, Verdict("awe", 1.0, True), ()), [SOURCES[0], SOURCES[2]]) == ""


FREE = Sample("s2", (), "What is the sum of the two numbers?")


def test_free_answers_are_weighed_by_their_numbers() -> None:
    right = source(
        "The upper number has two strokes that meet at the top. The lower number is a closed loop with a tail. "
        "The upper one reads 7 and the lower one reads 9. Adding them gives 16. It is not 14, since the loop is closed.",
        "16", "ann",
    )  # fmt: skip
    wrong = source(
        "The lower number is a plain hook. The upper one is a stroke with a bar. Adding them gives 14.", "14", "cyd", right=False
    )
    written = woven([right, wrong], sample=FREE, answer="16")
    assert "It is not 14" in part(written, "doubt")
    assert "16" in part(written, "conclude")
    assert failed_check(written, VotedSample(FREE, Verdict("16", 1.0, True), ()), [right, wrong]) == ""


SENTENCES_READ = [
    ("However, the sky is dark.", ["The sky is dark."]),
    ("So the sky is dark. But why not here.", ["The sky is dark."]),  # what cannot stand alone goes
    ("**Observation:** the sky is dark\n- A tree leans to the left", ["The sky is dark.", "A tree leans to the left."]),
    ("1. The sky is dark.\n2) A tree leans to it.", ["The sky is dark.", "A tree leans to it."]),
    ("It measures 3.5 cm, e.g. 4.5 units. On the left a tree leans.", ["It measures 3.5 cm, e.g. 4.5 units.", "On the left a tree leans."]),
    ("I was asked to choose. The user wants awe. The second option fits. The former is dark here.", []),
    ("Dark. Very dark.", []),  # too short
    ("<b>The sky is dark.</b> The tree is {dark}.", []),
]


@pytest.mark.parametrize(("text", "read"), SENTENCES_READ)
def test_sentences_are_taken_as_they_can_stand_in_another_text(text: str, read: list[str]) -> None:
    assert [one.text for one in sentences_of(source(text, "awe", "ann"), Namer(SAMPLE, ["awe"]))] == read


@pytest.mark.parametrize(
    ("text", "does"),
    [
        ("The sky is dark and wide.", "observes"),
        ("I start with the sky of the picture.", ""),
        ("A wide sky speaks for awe.", "supports awe"),
        ("The answer is clearly awe.", "concludes awe"),
        ("Nothing is dark, so fear does not fit.", "opposes fear"),
        ("Nothing here speaks against fear.", ""),
        ("It could be fear, though awe has to be considered too.", ""),
        ("I see no feature that would rule out fear.", ""),
        ("The wide sky favours awe rather than fear.", "opposes fear, concludes awe"),
        ("Awe does not fit the dark wall.", "opposes awe"),
    ],
)
def test_what_a_sentence_does_is_told_by_its_words(text: str, does: str) -> None:
    (one,) = sentences_of(source(text, "awe", "ann"), Namer(SAMPLE, ["awe", "fear"]))
    found = ["observes"] if one.observes else []
    found += [f"opposes {answer}" for answer in ("awe", "fear") if one.opposes(answer, "awe")]
    found += [f"supports {answer}" for answer in ("awe", "fear") if one.supports(answer)]
    found += [f"concludes {answer}" for answer in ("awe",) if one.concludes(answer) and not one.supports(answer)]
    assert ", ".join(found) == does


@pytest.mark.parametrize(
    ("text", "english"),
    [
        (AWE_ONE, True),
        ("I can see two closed loops, and also a squat build.", True),
        ("El cielo es amplio y azul, y la montaña se alza sobre el valle en la distancia.", False),
        ("Der Berg ist hoch und das Tal liegt weit unten im Nebel, so dass man klein wirkt.", False),
        ("天空很暗。", False),
        ("", False),
    ],
)
def test_english_is_told_by_its_commonest_words(text: str, english: bool) -> None:
    assert reads_english([text]) is english


@pytest.mark.parametrize("name", PATTERNS)
def test_every_joining_sentence_is_one_plain_sentence_that_leaks_no_answer(name: str) -> None:
    for pattern in PATTERNS[name]:
        for parts in product(*pattern):
            text = Draw("").sentence([tuple((part,) for part in parts)], "very sad")
            assert text[0].isupper(), text
            assert text[-1] in ".?", text
            assert not any(wrong in text for wrong in ("  ", " ,", " .", " ?", ",,", "..", "{", "}")), text
            assert leaks(text, "very sad") is None, text
            assert ("very sad" in text.lower()) == any("{c}" in part for part in parts)


@given(st.text(max_size=20), st.integers(1, 9))
@settings(max_examples=50, deadline=None)
def test_a_draw_depends_on_its_seed_alone(seed: str, bound: int) -> None:
    drawn = [Draw(seed).below(bound) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert 0 <= drawn[0] < bound


def made_sources(rng: Random, number: int, right: str, wrong: str) -> list[Source]:
    """Two right traces and a wrong one of words that nothing else has, so that what texts have in common is what joins them."""

    def word() -> str:
        return "".join(rng.choices(("ba", "ce", "di", "fo", "gu", "ha", "ke", "li", "mo", "nu", "pa", "re", "si", "to"), k=3))

    def text(own: str, other: str) -> str:
        seen = [f"{word().title()} the {word()} of {word()} is {word()} in a {word()} and {word()}." for _ in range(5)]
        speaks = f"{word().title()} {word()} is the {word()} {own} {word()} {word()}."
        against = f"{word().title()} {word()} {word()} not {word()} {other} {word()} {word()}."
        return " ".join([*seen, speaks, against])

    texts = [("ann", right, wrong), ("bob", right, wrong), ("cyd", wrong, right)]
    return [source(text(own, other), own, f"{teacher}-{number}", right=own == right) for teacher, own, other in texts]


@pytest.mark.parametrize(("labels", "count"), [(LABELS, 2000), (("very sad", "quite glad"), 1000)])
def test_no_five_words_in_a_row_join_more_than_two_in_a_hundred_texts(labels: tuple[str, ...], count: int) -> None:
    rng, sample = Random(1), Sample("s", (), "Which?", labels)
    phrases = CommonPhrases(exact=count)
    for number in range(count):
        right, wrong = rng.sample(labels, 2)
        phrases.add(woven(made_sources(rng, number, right, wrong), sample=sample, answer=right).trace.reasoning)
    assert phrases.texts == count
    common = phrases.commonest()
    assert common is not None
    assert common.share <= MOST, common


def test_no_sentence_of_a_trace_keeps_the_connective_that_it_began_with() -> None:
    text = " ".join(f"{lead} the {thing} is in the picture." for lead, thing in zip(
        ("However,", "But", "So", "Then", "In addition,", "On the other hand,", "Thus,", "Next,", "Finally,", "And", "Also,"),
        ("sky", "sea", "tree", "wall", "path", "house", "bird", "stone", "lamp", "boat", "bridge"), strict=True,
    ))  # fmt: skip
    read = sentences_of(source(text, "awe", "ann"), Namer(SAMPLE, ["awe"]))
    assert len(read) == 11
    assert {one.text.split()[0] for one in read} == {"The"}
