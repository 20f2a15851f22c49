"""What written answers are: a table per verifier, from the answer formats of public benchmarks, and laws over all others."""

import re
import time
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cotforge.answers.verifiers import VERIFIERS, choice_form, exact_form, math_form, number_form

TABLES = Path(__file__).parent / "tables"
LEAST_ROWS = 300
SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
WIDE = {ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789"}
OPTIONS = ("cat", "dog", "red bird", "fish")
AROUND = (
    "{}",
    "  {}\n",
    "**{}**",
    '"{}"',
    "{}.",
    "The answer is {}.",
    "The final answer is: {}",
    "So the answer is **{}**.",
    "Answer: {}",
    "**Answer:** {}",
    "#### {}",
    "答案：{}",
    r"\boxed{{{}}}",
    r"$\boxed{{{}}}$.",
    r"The answer is $\boxed{{{}}}$.",
    r"\text{{{}}}",
    r"\({}\)",
)
"""What may stand around an answer and is no part of it."""
BETWEEN = (" or ", " and ", ", ", "; ", " / ", "-", "–", " to ", "~", "\n", " vs ", " & ", ", not ", " (not ", "? ")
"""What stands between two answers."""


def rows(verifier: str) -> list[tuple[str, tuple[str, ...], str, str | None]]:
    """(benchmark, options, written, read) for each line of a verifier's table."""
    found = []
    for line in (TABLES / f"{verifier}.tsv").read_text(encoding="utf-8").split("\n"):
        if line and not line.startswith("# "):
            benchmark, *options, written, read = line.split("\t")
            unseen = re.sub(r"<U\+([0-9A-F]{4})>", lambda code: chr(int(code[1], 16)), written)
            found.append((benchmark, tuple(options[0].split(" | ")) if options and options[0] else (), unseen, read or None))
    return found


@pytest.mark.parametrize("verifier", VERIFIERS)
def test_every_answer_of_the_table_is_read_as_a_person_reads_it(verifier: str) -> None:
    table = rows(verifier)
    assert len({row[1:3] for row in table}) == len(table) >= LEAST_ROWS
    wrong = [(*row, got) for row in table if (got := VERIFIERS[verifier](row[2], row[1])) != row[3]]
    assert wrong == []


@pytest.mark.parametrize("verifier", VERIFIERS)
def test_the_tables_have_answers_of_all_the_benchmarks_their_verifier_is_for(verifier: str) -> None:
    named = {row[0] for row in rows(verifier)}
    assert named == {"GSM8K", "MATH", "MMMU", "MathVista", "AI2D", "ChartQA", "ScienceQA", "MMStar", "VQA"}


@given(st.sampled_from([row for row in rows("number") if row[3] is not None]), st.sampled_from(AROUND))
def test_a_number_of_the_table_is_read_the_same_whatever_stands_around_it(row: tuple[str, tuple[str, ...], str, str], around: str) -> None:
    bare = number_form(row[2], ())
    assert number_form(around.format(bare), ()) == bare == row[3]


def grouped(value: int, gap: str) -> str:
    return f"{value:,}".replace(",", gap)


WHOLE = st.integers(-(10**12), 10**12)
GAPS = ("", ",", "\u2009", "\u202f", "\u00a0", r"\,", r"\;", "{,}", r",\!", "'", "\u2007")


@given(WHOLE, st.sampled_from(GAPS), st.sampled_from(AROUND), st.sampled_from(["", ".0", ".00"]), st.booleans())
def test_a_whole_number_in_another_accepted_form_is_the_same_number(value: int, gap: str, around: str, end: str, true_minus: bool) -> None:
    written = grouped(value, gap) + end
    written = around.format(written.replace("-", "\N{MINUS SIGN}") if true_minus else written)
    assert number_form(written, ()) == math_form(written, ()) == str(value)


@given(st.integers(0, 10**9), st.sampled_from(["${}", r"\${}", "{} dollars", "USD {}", "x = {}", "= {}", "{}e0", "+{}", "00{}"]))
def test_dollars_a_named_unknown_and_leading_zeros_do_not_change_a_number(value: int, form: str) -> None:
    assert number_form(form.format(value), ()) == number_form(form.format(value).translate(WIDE), ()) == str(value)


@given(
    st.integers(1, 99), st.integers(0, 20), st.sampled_from(["{}×10{s}", r"{} \times 10^{{{p}}}", "{} x 10^{p}", "{}e{p}", "{}*10**{p}"])
)
def test_a_power_of_ten_is_worked_out(factor: int, power: int, form: str) -> None:
    written = form.format(factor, p=power, s=str(power).translate(SUPERSCRIPTS))
    assert number_form(written, ()) == math_form(written, ()) == str(factor * 10**power)


@settings(deadline=None)
@given(st.integers(1, 999), st.integers(0, 9))
def test_a_superscript_is_never_a_digit(base: int, power: int) -> None:
    written = f"{base}{str(power).translate(SUPERSCRIPTS)}"
    assert number_form(written, ()) in (None, str(base**power))
    assert math_form(written, ()) == str(base**power)
    assert exact_form(written, ()) == f"{base}^{power}"


@given(WHOLE, WHOLE, st.sampled_from(BETWEEN), st.sampled_from(AROUND))
def test_two_numbers_are_none(one: int, other: int, between: str, around: str) -> None:
    assert number_form(around.format(f"{one}{between}{other}"), ()) is None


@given(
    WHOLE,
    st.sampled_from(["not {}", "{} cm", "{}kg", "about {}", "~{}", "<{}", "{}+", "{}?", "{} or so", "€{}", "{} m²", "{} million", "{}°"]),
)
def test_a_measure_a_bound_or_a_denied_number_is_none(value: int, form: str) -> None:
    assert number_form(form.format(value), ()) is None


@settings(deadline=None, max_examples=50)
@given(st.integers(-999, 999), st.integers(1, 99), st.sampled_from([around for around in AROUND if "text" not in around]))
def test_a_fraction_has_one_text_in_mathematics(above: int, below: int, around: str) -> None:
    value = str(Fraction(above, below))
    for form in (f"{above}/{below}", rf"\frac{{{above}}}{{{below}}}", rf"\dfrac{{{2 * above}}}{{{2 * below}}}"):
        assert math_form(around.format(form), ()) == value


@settings(deadline=None)
@given(st.integers(-99, 99), st.integers(1, 30), st.integers(1, 30), st.sampled_from([" or ", r" \text{ or } ", "或", ", or "]))
def test_one_fraction_or_another_is_no_answer(above: int, below: int, other: int, between: str) -> None:
    assert math_form(f"{above}/{below}{between}{above + 1}/{other}", ()) is None


LETTER = st.sampled_from("ABCD")
LETTERED = (
    "{}",
    "({})",
    "{})",
    "[{}]",
    "Option {}",
    "option ({})",
    "（{}）",
    "选项{}",
    "{} is correct",
    "{} is the correct answer",
    r"\textbf{{({})}}",
)


@given(LETTER, st.sampled_from(LETTERED), st.sampled_from(AROUND))
def test_a_letter_in_another_accepted_form_is_the_same_letter(letter: str, form: str, around: str) -> None:
    written = form.format(letter)
    written = written if r"\textbf" in written and r"\text{" in around else around.format(written)
    assert choice_form(written, OPTIONS) == OPTIONS[ord(letter) - ord("A")]
    assert choice_form(written, ()) == letter


@given(
    LETTER,
    LETTER,
    st.sampled_from(["{}. {}", "({}) {}", "{}) {}", "{}: {}", "Option {}: {}", "{} - {}", "（{}）{}"]),
    st.sampled_from(AROUND),
)
def test_a_letter_with_a_text_counts_only_where_they_agree(letter: str, other: str, form: str, around: str) -> None:
    named = OPTIONS[ord(other) - ord("A")]
    assert choice_form(around.format(form.format(letter, named)), OPTIONS) == (named if letter == other else None)


@given(LETTER, LETTER, st.sampled_from(BETWEEN), st.sampled_from(LETTERED[:4]), st.sampled_from(AROUND))
def test_two_letters_are_none(one: str, other: str, between: str, form: str, around: str) -> None:
    written = around.format(f"{form.format(one)}{between}{form.format(other)}")
    assert choice_form(written, OPTIONS) is None
    assert choice_form(written, ()) is None


DENIED = (
    "not {}",
    "{} is wrong",
    "{} is incorrect",
    "{} is not correct",
    "{} isn't right",
    "anything but {}",
    "the wrong answer is {}",
    "{}?",
)


@given(LETTER, st.sampled_from(DENIED), st.sampled_from(LETTERED[:2]))
def test_a_letter_that_is_denied_or_doubted_is_none(letter: str, form: str, lettered: str) -> None:
    written = form.format(lettered.format(letter))
    assert choice_form(written, OPTIONS) is None
    assert choice_form(written, ()) is None


@given(st.sampled_from("ABCD"), st.sampled_from("ABCD"))
def test_of_a_denied_and_an_accepted_letter_the_denied_one_never_wins(denied: str, accepted: str) -> None:
    for written in (f"({denied}) is incorrect; ({accepted}) is correct", f"{accepted}, not {denied}", f"{denied} is wrong. {accepted}"):
        assert choice_form(written, OPTIONS) in (None, OPTIONS[ord(accepted) - ord("A")])
        assert choice_form(written, ()) in (None, accepted)


@given(st.sampled_from(OPTIONS), st.sampled_from(AROUND))
def test_an_option_is_its_text_whatever_stands_around_it(option: str, around: str) -> None:
    assert choice_form(around.format(option), OPTIONS) == option
    assert choice_form(around.format(option), OPTIONS[::-1]) == option


PIECES = (
    *"0123456789.,%$^_{}()[]+-*/=<>|&;:!?'\" \n~\\xyzABCDIaei²⁻₂½③√×−±∞°（，选或Ⅰ𝐁🅱Ｂ\u2009\u200b\u2062\ud800\x00",
    *(r"\frac", r"\sqrt", r"\,", r"\text{", r"\boxed{", r"\times", r"\pi", r"\log", r"\begin{pmatrix}", r"\end{pmatrix}", r"\\"),
    *("答案", "The answer is ", "not ", " or ", "Option ", " is correct", "10^", "e9"),
)


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=14).map("".join)))
def test_any_text_is_read_or_none(text: str) -> None:
    for verifier in VERIFIERS.values():
        for options in ((), OPTIONS):
            read = verifier(text, options)
            assert read is None or read
    assert choice_form(text, OPTIONS) in (None, *OPTIONS)
    read = number_form(text, ())
    assert read is None or re.fullmatch(r"-?[0-9]+(\.[0-9]+)?%?", read)
    assert number_form(str(read), ()) == read


LONG = (
    *(sign * 300 for sign in "(9$²½𝟏e-√"),
    *("1," * 150, "1'000" * 60, "**" * 150, "A or " * 60, "a " * 150, "1 " * 150, "the answer is " * 21, "答案" * 140, "B. " + "not " * 70),
    *(r"\boxed{" * 40, r"\text{" * 40 + "}" * 40, r"\sqrt{" * 17 + "2" + "}" * 17, "{" * 120, "\u200b" * 1_900),
    *("9^" * 20 + "9", "2^{" * 30 + "2" + "}" * 30, "x^" * 60, "x+" * 58 + "x", "(x+1)" * 24, r"(3)/(i)^0.5^\pi"),
)


@pytest.mark.parametrize("text", LONG, ids=range(len(LONG)))
def test_a_text_made_to_stall_a_verifier_takes_no_time(text: str) -> None:
    math_form(r"\frac{x}{2}", ())  # the grammar is loaded
    began = time.process_time()
    for verifier in VERIFIERS.values():
        verifier(text, OPTIONS)
        verifier(text * 50, OPTIONS)
    assert time.process_time() - began < 2
