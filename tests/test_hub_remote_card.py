"""A card that was pushed before: what people wrote stays, once and for all; what cotforge wrote is replaced."""

from hypothesis import given
from hypothesis import strategies as st

from cotforge.hub.remote_card import BEGIN, END, CardParts, merge_cards

LINES = st.sampled_from(["# Top", "## Teachers", "## Thanks", "some words", "", "```", "## in a fence", "---", END, BEGIN.format("0" * 64)])
BODIES = st.lists(LINES, max_size=12).map("\n".join)
HEADERS = st.dictionaries(st.sampled_from(["license", "tags", "configs", "extra", "language"]), st.sampled_from(["unknown", "mit", ["a"]]))
CARDS = st.builds(CardParts, HEADERS, BODIES)
OURS = CardParts({"license": "mit", "tags": ["cotforge"]}, "# Name\n\nWords.\n\n## Teachers\n\nTwo.")


@given(HEADERS, st.lists(LINES.filter(lambda line: not line.startswith("<!--")), max_size=12).map("\n".join), CARDS)
def test_merging_again_changes_nothing(header: dict[str, object], body: str, theirs: CardParts) -> None:
    once = merge_cards(CardParts(header, body), theirs)
    again = merge_cards(CardParts(header, body), CardParts.of(once.text()))
    assert again.text() == once.text()


def test_a_line_in_our_part_that_looks_like_its_end_is_not_taken_for_it() -> None:
    ours = CardParts({}, f"# Name\n\n```\n{END}\n```\n\n## Teachers")
    once = merge_cards(ours, None)
    assert merge_cards(ours, CardParts.of(once.text())).text() == once.text()


def test_text_before_and_after_our_part_stays() -> None:
    card = merge_cards(OURS, None)
    edited = CardParts(card.header, f"Hello.\n\n{card.body}\n\nGoodbye.")
    body = merge_cards(CardParts({}, "# New"), edited).body
    assert body.startswith("Hello.")
    assert body.endswith("Goodbye.")
    assert "Two." not in body
    assert "# New" in body


def test_a_section_added_to_our_part_moves_below_it_and_one_that_cotforge_no_longer_writes_goes() -> None:
    card = merge_cards(OURS, None)
    shorter = CardParts({}, "# Name\n\nWords.")
    assert "Two." not in merge_cards(shorter, card).body
    edited = CardParts(card.header, card.body.replace("## Teachers", "## Thanks\n\nTo all.\n\n## Teachers"))
    body = merge_cards(OURS, edited).body
    assert body.count("To all.") == body.count("Two.") == 1
    assert body.index("Two.") < body.index(END) < body.index("To all.")


def test_a_licence_that_somebody_stated_on_the_hub_holds_where_we_know_none() -> None:
    assert merge_cards(CardParts({"license": "unknown"}, ""), CardParts({"license": "mit"}, "")).header["license"] == "mit"
    assert merge_cards(CardParts({"license": "cc-by-4.0"}, ""), CardParts({"license": "mit"}, "")).header["license"] == "cc-by-4.0"


def test_a_key_that_cotforge_no_longer_writes_goes_and_one_of_peoples_stays() -> None:
    theirs = CardParts({"configs": [], "extra_gated_prompt": "Who are you?", "tags": ["mine", "cotforge"]}, "")
    assert merge_cards(OURS, theirs).header == {"license": "mit", "tags": ["cotforge", "mine"], "extra_gated_prompt": "Who are you?"}
