"""The licence of a dataset never allows more than that of its source and of the models that wrote for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.card_keys import LICENCES
from cotforge.hub.licence import NO_COMMERCE, choose_licence

FREE = {"org/a": "apache-2.0", "org/b": "mit"}


@pytest.mark.parametrize(
    ("source", "teachers", "identifier", "name"),
    [
        ("cc-by-4.0", FREE, "cc-by-4.0", None),
        ("CC BY-SA 4.0", FREE, "cc-by-sa-4.0", None),
        ("Apache License 2.0", {}, "apache-2.0", None),
        (None, FREE, "unknown", None),
        ("unknown", FREE, "unknown", None),
        ("mit", {"org/a": "qwen-research"}, "cc-by-nc-4.0", None),
        ("cc-by-nc-sa-4.0", {"org/a": "cc-by-nc-4.0"}, "cc-by-nc-sa-4.0", None),
        ("cc-by-sa-4.0", {"org/a": "cc-by-nc-4.0"}, "other", "cc-by-sa-4.0-and-non-commercial"),
        ("llama3.2", {"org/a": "cc-by-nc-4.0"}, "other", "llama3.2-and-non-commercial"),
        ("EmoSet terms of use", FREE, "other", "emoset-terms-of-use"),
    ],
)
def test_the_licence_follows_from_source_and_teachers(
    source: str | None, teachers: dict[str, str | None], identifier: str, name: str | None
) -> None:
    chosen = choose_licence(source, teachers)
    assert (chosen.identifier, chosen.name) == (identifier, name)


@pytest.mark.parametrize(
    ("source", "teachers", "question"),
    [
        (None, FREE, "the licence of the images is not stated"),
        ("mit", {"org/a": None}, "the licence of org/a is not stated"),
        ("mit", {"org/a": None, "org/b": None}, "the licences of org/a, org/b are not stated"),
        ("cc-by-nd-4.0", FREE, "cc-by-nd-4.0 allows no changed copies of the images"),
        ("house rules", FREE, "'house rules' is no licence that the Hub knows"),
        ("mit", {"org/a": "llama3"}, "org/a forbids using its output to improve other language models"),
        ("mit", {"gpt": "OpenAI terms"}, "gpt may forbid training on its output"),
    ],
)
def test_what_a_person_should_settle_first_is_asked(source: str | None, teachers: dict[str, str | None], question: str) -> None:
    assert any(line.startswith(question) for line in choose_licence(source, teachers).questions)


def test_nothing_is_asked_where_all_is_free_and_stated() -> None:
    chosen = choose_licence("cc-by-4.0", FREE)
    assert (list(chosen.questions), list(chosen.reasons)) == ([], [])
    assert "Built with Llama" in choose_licence("mit", {"org/a": "llama3.1"}).reasons[0]


@pytest.mark.parametrize(
    ("source", "teachers", "stated"),
    [
        ("cc-by-nc-4.0", FREE, "mit"),
        ("mit", {"org/a": "qwen-research"}, "apache-2.0"),
        ("cc-by-nd-4.0", FREE, "cc-by-4.0"),
        ("cc-by-sa-4.0", FREE, "cc-by-4.0"),
        ("cc-by-4.0", FREE, "cc0-1.0"),
        (None, FREE, "mit"),
        ("cc-by-nc-4.0", FREE, ["cc-by-nc-4.0", "mit"]),
    ],
)
def test_a_card_that_allows_more_contradicts_it(source: str | None, teachers: dict[str, str | None], stated: object) -> None:
    assert len(choose_licence(source, teachers).contradictions(stated)) == 1


@pytest.mark.parametrize(
    ("source", "stated"),
    [("cc-by-4.0", "cc-by-nc-4.0"), ("cc-by-sa-3.0", "cc-by-sa-4.0"), ("mit", "mit"), ("mit", None), ("mit", "unknown"), ("mit", "other")],
)
def test_a_card_that_allows_less_or_says_nothing_does_not(source: str, stated: str | None) -> None:
    assert choose_licence(source, FREE).contradictions(stated) == []


licences = st.one_of(st.none(), st.sampled_from(sorted(LICENCES)), st.text(max_size=20))


@given(licences, st.dictionaries(st.text(max_size=8), licences, max_size=3))
def test_the_card_may_always_say_what_was_chosen_and_that_is_a_word_of_the_hub(source: str | None, teachers: dict[str, str | None]) -> None:
    chosen = choose_licence(source, teachers)
    assert chosen.identifier in LICENCES
    assert (chosen.name is not None) == (chosen.identifier == "other")
    assert chosen.contradictions(chosen.identifier) == []
    if any(NO_COMMERCE.match(one or "") for one in teachers.values()) and chosen.identifier not in ("unknown", "other"):
        assert NO_COMMERCE.match(chosen.identifier)
