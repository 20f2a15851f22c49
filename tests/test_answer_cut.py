"""A reasoning with its answer cut out: what must go, what may stay, and that nothing of the answer is left."""

import re
from time import process_time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cotforge.followups.answer_cut import LEAST_WORDS, cut_answer
from cotforge.followups.answer_names import names_of_answer

FEELINGS = ("amusement", "anger", "awe", "contentment", "disgust", "excitement", "fear", "sadness")
DOGS = ("labrador", "poodle", "golden retriever")
NAMED = ("A. dog on the grass", "B. cat on the sofa", "C. bird in the tree")
SEEN = "Small figures stand under a wide and bright sky."
"""What may stay whatever the answer is."""
SUM = "The left digit has two bowls, and the right one is crossed."

GO: list[tuple[str, tuple[str, ...], str]] = [
    ("awe", FEELINGS, "This picture evokes awe."),
    ("awe", FEELINGS, "It could be AWE or fear."),
    ("awe", FEELINGS, "The mood is **awe**, nothing else."),
    ("awe", FEELINGS, "An awe-inspiring place, and an awesome light."),
    ("awe", FEELINGS, "So the answer must be the grandest of these feelings."),
    ("awe", FEELINGS, "I would go with the second option here."),
    ("awe", FEELINGS, "Option 3 fits best of all."),
    ("awe", FEELINGS, "Amusement, anger, contentment, disgust, excitement, fear and sadness are all ruled out."),
    ("awe", FEELINGS, "\\boxed{\\text{awe}}"),
    ("awe", FEELINGS, "<answer>awe</answer>"),
    ("awe", FEELINGS, "Ａｗｅ is what remains."),
    ("awe", FEELINGS, "a\u200bwe"),
    ("sadness", FEELINGS, "The scene is sad."),
    ("sadness", FEELINGS, "It saddens everybody who sees it."),
    ("anger", FEELINGS, "Her face is angry."),
    ("amusement", FEELINGS, "How amusing this is!"),
    ("excitement", FEELINGS, "Everybody looks excited."),
    ("contentment", FEELINGS, "He seems content with his cup of tea."),
    ("fear", FEELINGS, "They look fearful."),
    ("disgust", FEELINGS, "A disgusting sight."),
    ("golden retriever", DOGS, "This is a golden-retriever puppy."),
    ("golden retriever", DOGS, "Two Golden Retrievers play here."),
    ("golden retriever", DOGS, "Such a coat only a retriever has."),
    ("golden retriever", DOGS, "It must be a golden\nretriever, by its coat."),
    ("golden retriever", DOGS, "Neither a labrador nor a poodle has such a coat."),
    ("cat on the sofa", ("dog on the grass", "cat on the sofa"), "There is no dog on the grass."),
    ("B. cat on the sofa", NAMED, "A cat on the sofa is what I see."),
    ("B. cat on the sofa", NAMED, "Therefore (B)."),
    ("B. cat on the sofa", NAMED, "So it is option b, clearly."),
    ("yes", ("yes", "no"), "Yes, there is one behind the tree."),
    ("yes", ("yes", "no"), "One has to say yes."),
    ("yes", ("yes", "no"), 'A "no" would be wrong.'),
    ("7", tuple("0123456789"), "It looks like a seven."),
    ("7", tuple("0123456789"), "The digit is a 7."),
    ("2", tuple("0123456789"), "The two explains it best."),
    ("2", tuple("0123456789"), "Here 2 strokes meet."),
    ("B", (), "B holds, as the legs show."),
    ("B", (), "The choice is (b)."),
    ("A", (), "So it is A."),
    ("A", (), "A is the one."),
    ("7", (), "3 + 4 = 7"),
    ("7", (), "Together they make 7."),
    ("7", (), "That gives seven apples."),
    ("7", (), "7 = 3 + 4."),
    ("7", (), "**7**"),
    ("7", (), "#### 7"),
    ("7", (), "It measures 7cm."),
    ("7", (), "It measures 7.0 units."),
    ("-7", (), "So x is −7."),
    ("-7", (), "It is minus seven."),
    ("7", (), "One sees +7 at once."),
    ("3000", (), "It costs 3,000 in all."),
    ("3000", (), "It costs three thousand."),
    ("125", (), "One hundred and twenty-five birds sit there."),
    ("25%", (), "A quarter is left: 25 percent."),
    ("25%", (), "That is 0.25 of all."),
    ("1/2", (), "Exactly half is shaded."),
    ("1/2", (), "The share is \\frac{1}{2}."),
    ("5/2", (), "It takes 2 1/2 hours."),
    ("300000000", (), "Light takes 3 \\times 10^8 of them."),
    ("x**2 + 1", (), "So $f(x) = x^2+1$."),
    ("x**2 + 1", (), "It becomes 1 + x^2."),
    ("sqrt(2)/2", (), "That equals $\\frac{\\sqrt{2}}{2}$."),
    ("paris", (), "The tower stands in Paris."),
    ("the red car", (), "In front is the red car."),
    ("敬畏", ("敬畏", "恐惧", "悲伤"), "这张图片让人感到敬畏。"),
    ("awe", FEELINGS, "答案显然是第三个。"),
]

STAY: list[tuple[str, tuple[str, ...], str]] = [
    ("awe", FEELINGS, "Nothing threatens anyone, so fear is unlikely."),
    ("awe", FEELINGS, "Fear and sadness would need darker colours."),
    ("awe", FEELINGS, "The awning over the shop is awry."),
    ("fear", FEELINGS, "A dark staircase leads down."),
    ("yes", ("yes", "no", "maybe"), "There is no cloud in the sky, and no bird."),
    ("7", (), "3 + 7 - 3 has to be worked out first."),
    ("7", (), "The curve is x^7 near the origin."),
    ("7", (), "Step 7 adds the two of them up."),
    ("7", (), "There are 17 chairs, 70 plates and 0.7 litres."),
    ("2", (), "First 2x has to be brought to the left."),
    ("1", (), "This one is wider than the other one."),
    ("A", (), "A circle touches a line."),
    ("B", (), "The letters AB and b-flat stand there."),
    ("2", tuple("0123456789"), "I see two strokes and two-sided curves near the foot."),
    ("2", tuple("0123456789"), "Seventy-two parts of the ink lie above the middle."),
    ("paris", (), "The tower stands by a river."),
]


@pytest.mark.parametrize(("answer", "options", "sentence"), GO)
def test_a_sentence_that_gives_the_answer_away_goes(answer: str, options: tuple[str, ...], sentence: str) -> None:
    cut = cut_answer(f"{SEEN}\n{sentence}\n{SUM}", answer, options)
    assert cut == f"{SEEN}\n\n{SUM}"


@pytest.mark.parametrize(("answer", "options", "sentence"), STAY)
def test_a_sentence_that_does_not_stays(answer: str, options: tuple[str, ...], sentence: str) -> None:
    assert cut_answer(f"{SEEN} {sentence}", answer, options) == f"{SEEN} {sentence}"


def test_the_beginning_of_a_sentence_stays_where_only_its_end_concludes() -> None:
    assert cut_answer(f"{SEEN} The light breaks through the clouds, which evokes awe.", "awe", FEELINGS) == (
        f"{SEEN} The light breaks through the clouds."
    )
    assert cut_answer(f"{SEEN} The light is warm: awe.", "awe", FEELINGS) == f"{SEEN} The light is warm."
    assert cut_answer(f"{SEEN} Light, so awe.", "awe", FEELINGS) == SEEN


COUNTED = "There are 20 jars above and 22 below"


@pytest.mark.parametrize(
    "end",
    [
        ", for a total of 42.",
        " for a grand total of 42 jars.",
        ", and that makes 42.",
        " and this gives 42 in all.",
        ", which gives 42 in all.",
        ", that is 42 in total.",
        ", and together they are 42.",
        ", bringing the total to 42.",
        ", adding up to 42.",
        ", totalling forty-two.",
        ", and we get 42.",
        ", 42 in all.",
    ],
)
def test_the_parts_of_a_total_stay_where_only_the_total_is_the_answer(end: str) -> None:
    assert cut_answer(f"{SEEN} {COUNTED}{end}", "42") == f"{SEEN} {COUNTED}."


def test_a_synonym_of_the_answer_goes_and_one_of_another_label_stays() -> None:
    names = (("awe", ("wonder", "reverence")), ("fear", ("dread",)))
    assert cut_answer(f"{SEEN} One feels wonder. One feels dread.", "awe", FEELINGS, names) == f"{SEEN}\n One feels dread.".replace(
        "\n", ""
    )


def test_a_text_in_a_script_without_spaces_is_worth_reading_too() -> None:
    seen = "小さな人々が広い空の下に立っている。光が雲を破っている。"
    assert cut_answer(f"{seen}これは畏敬の念を起こさせる。", "畏敬", ("畏敬", "恐怖", "喜び")) == seen


@pytest.mark.parametrize("text", ["", "awe", "The answer is awe.", "Awe. Awe! Awe?", "A wide sky.", "1 2 3 4 5 6 7 8 9 10 11 12"])
def test_a_text_in_which_nothing_is_left_to_read_is_none(text: str) -> None:
    assert cut_answer(text, "awe", FEELINGS) is None


def test_tags_and_tokens_of_prompts_are_no_part_of_what_is_shown() -> None:
    text = f"<think>{SEEN}</reasoning> <answer>7</answer><|im_end|> <hint>{SUM}</hint>"
    cut = cut_answer(text, "7")
    assert cut is not None
    assert "<" not in cut
    assert "7" not in cut
    assert "Small figures" in cut


EVIDENCE = (
    SEEN, SUM, "Light breaks through the clouds.", "Nobody is in danger.", "Fear would need a threat.", "There are 4 chairs.",
    "x + 12 is odd.", "Nothing else bears on the question.", "Look again at the left side, near the border.",
)  # fmt: skip
STATED = (
    "{0}", "The answer is {0}.", "So it is {0}", "{0}, clearly.", "This can only be {0}!", "I conclude {0}.", "**{0}**", "({0})",
    'It is "{0}".', "Hence: {0}", "One sees {0} at once, which settles it.", "\\boxed{{{0}}}", "is it {0}?", "= {0}", "{0}...",
    "Not fear but {0}; nothing else.",
)  # fmt: skip
WRITTEN = {
    ("awe", FEELINGS): ("awe", "Awe", "AWE", "awe", "a\u00adwe"),
    ("sadness", FEELINGS): ("sadness", "sad", "Saddening", "SADNESS"),
    ("golden retriever", DOGS): ("golden retriever", "Golden Retriever", "golden  retrievers", "golden-retriever"),
    ("37", ()): ("37", "37.0", "thirty-seven", "Thirty seven", "37 units", "$37"),
    ("1/4", ()): ("1/4", "0.25", "25%", "\\frac{1}{4}", "a quarter"),
}
TRACE = {
    "awe": re.compile(r"\ba.?we\b", re.IGNORECASE),
    "sadness": re.compile(r"\bsad", re.IGNORECASE),
    "golden retriever": re.compile(r"golden\W+retriever", re.IGNORECASE),
    "37": re.compile(r"37|thirty.seven", re.IGNORECASE),
    "1/4": re.compile(r"1/4|0\.25|25\s*%|\{1\}\{4\}|quarter"),
}

texts = st.lists(
    st.one_of(st.sampled_from(EVIDENCE), st.tuples(st.sampled_from(STATED), st.integers(0, 5))), min_size=1, max_size=12
)  # fmt: skip


@given(st.sampled_from(sorted(WRITTEN)), texts, st.sampled_from([" ", "\n", "\n\n", "  "]))
@example(("awe", FEELINGS), [SEEN, SUM], " ")
def test_no_statement_of_the_answer_is_left_nothing_is_added_and_cutting_again_changes_nothing(
    about: tuple[str, tuple[str, ...]], parts: list[str | tuple[str, int]], between: str
) -> None:
    answer, options = about
    written = WRITTEN[about]
    text = between.join(part if isinstance(part, str) else part[0].format(written[part[1] % len(written)]) for part in parts)
    cut = cut_answer(text, answer, options)
    if cut is None:  # on lines of their own sentences stay whatever stands beside them
        kept = [part for part in parts if isinstance(part, str) and part[0].isupper() and len(part.split()) >= LEAST_WORDS]
        assert "\n" not in between or not kept
        return
    assert TRACE[answer].search(cut) is None
    assert set(re.findall(r"\w+", cut)) <= set(re.findall(r"\w+", text))
    assert cut_answer(cut, answer, options) == cut


@given(st.text(max_size=300), st.sampled_from([("awe", FEELINGS), ("7", ()), ("B", ()), ("x**2", ()), ("敬畏", ())]))
def test_any_text_can_be_cut_and_what_is_left_names_no_answer(text: str, about: tuple[str, tuple[str, ...]]) -> None:
    cut = cut_answer(text, *about)
    assert cut is None or not any(names_of_answer(*about).is_named(line) for line in cut.splitlines())


@pytest.mark.parametrize("part", ["one ", "1 ", "x, so ", " ", "It is awe. ", "= ", "\\frac{1}{", "$", "a\n", "...", "1,234"])
def test_a_long_text_of_one_part_over_and_over_takes_no_time_worth_counting(part: str) -> None:
    text = (part * 20_000)[:20_000]
    before = process_time()
    for answer, options in (("awe", FEELINGS), ("7", ())):
        cut_answer(text, answer, options)
    assert process_time() - before < 3  # 0.1 s; what grows with the square of the length takes 10


def test_a_text_that_nobody_would_read_to_its_end_is_none() -> None:
    assert cut_answer(f"{SEEN} " * 2_000, "awe", FEELINGS) is None
