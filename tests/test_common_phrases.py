"""The words in a row that most texts have in common, counted in bounded memory."""

from random import Random

from cotforge.tally.common_phrases import CommonPhrase, CommonPhrases


def test_a_phrase_counts_once_for_each_text_whatever_its_case_and_marks() -> None:
    phrases = CommonPhrases()
    for text in ("I'd look at it again. I'd look at it again!", "\u201cI\u2019d look: at IT, again\u201d", "Nothing of the kind is here."):
        phrases.add(text)
    assert phrases.commonest() == CommonPhrase("i'd look at it again", 2, 2 / 3)


def test_texts_shorter_than_a_phrase_have_none() -> None:
    phrases = CommonPhrases()
    phrases.add("Too short a text.")
    assert phrases.commonest() is None


def test_beyond_the_exact_ones_rare_phrases_are_forgotten_and_a_common_one_is_found_nearly_whole() -> None:
    rng, phrases = Random(3), CommonPhrases(exact=100)
    true = 0
    for _ in range(5_000):
        has = rng.random() < 0.05
        true += has
        words = [str(rng.randrange(10**9)) for _ in range(12)]
        phrases.add(" ".join([*words[:6], *(["a", "set", "phrase", "of", "five"] if has else []), *words[6:]]))
    common = phrases.commonest()
    assert common is not None
    assert common.words == "a set phrase of five"
    assert 0 <= true / 5_000 - common.share <= 1 / 100
    assert len(phrases._counts) <= 100 * 13
