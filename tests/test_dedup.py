"""Near-duplicate pictures and repeated texts: what is taken for a copy, and what is not."""

import random
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cotforge.dedup.found import Duplicate, FoundDuplicates
from cotforge.dedup.likeness import Viewed, compare
from cotforge.dedup.minhash import EarlierTexts
from cotforge.dedup.picture_index import PictureIndex
from cotforge.dedup.shared_words import SharedWords
from cotforge.dedup.spec import NEAR
from cotforge.dedup.thumbnail import make_thumbnail, read_thumbnail
from cotforge.dedup.words import hash_words
from tests.scenery import copies, form, jpeg, scene


@pytest.fixture
def index(tmp_path: Path) -> Iterator[PictureIndex]:
    (tmp_path / "cache").mkdir()
    opened = PictureIndex(tmp_path)
    yield opened
    opened.close()


def add(index: PictureIndex, data: bytes) -> bytes:
    digest = sha256(data).digest()
    index.add(digest, make_thumbnail(data))
    return digest


def near(index: PictureIndex, digest: bytes) -> set[bytes]:
    return {found.digest for found in index.near(digest) if found.similarity >= NEAR}


def test_every_copy_of_a_picture_is_near_it_and_no_other_picture_is(index: PictureIndex) -> None:
    originals = {seed: add(index, jpeg(scene(seed))) for seed in range(6)}
    for seed, original in originals.items():
        for name, data in copies(scene(seed)).items():
            found = near(index, add(index, data))
            assert original in found, name
            assert not found & {other for number, other in originals.items() if number != seed}


def test_a_mirror_image_is_told_from_a_copy(index: PictureIndex) -> None:
    original = add(index, jpeg(scene(1)))
    made = copies(scene(1))
    add(index, made["flip"])
    add(index, made["jpeg"])
    flipped = {found.digest: found.flipped for found in index.near(original)}
    assert flipped == {sha256(made["flip"]).digest(): True, sha256(made["jpeg"]).digest(): False}


def test_which_pictures_are_near_does_not_depend_on_their_order(tmp_path: Path) -> None:
    pictures = [data for seed in range(3) for data in (jpeg(scene(seed)), *copies(scene(seed)).values())]
    found = []
    for number, order in enumerate((pictures, pictures[::-1])):
        (tmp_path / str(number) / "cache").mkdir(parents=True)
        index = PictureIndex(tmp_path / str(number))
        digests = {add(index, data) for data in order}
        found.append({digest: {one.digest for one in index.near(digest) if one.similarity >= NEAR} for digest in digests})
        index.close()
    assert found[0] == found[1]


def test_forms_with_other_text_plain_pictures_and_other_colours_are_no_copies(index: PictureIndex) -> None:
    gradients = [Image.linear_gradient("L").resize((300, 220)).point(lambda value, dark=dark: value // dark) for dark in (1, 2)]
    red = scene(1)
    channels = red.split()
    different = [form("48213"), form("90576"), *gradients, Image.new("RGB", (300, 220), "tan"), Image.new("RGB", (300, 220), "tan")]
    different += [red, Image.merge("RGB", (channels[2], channels[1], channels[0]))]
    for image in different:
        assert near(index, add(index, jpeg(image))) == set()


def test_bytes_that_are_no_picture_have_no_thumbnail_and_no_neighbours(index: PictureIndex) -> None:
    assert make_thumbnail(b"no picture") is None
    assert near(index, add(index, b"no picture")) == set()


def test_a_picture_is_known_in_the_next_run(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    for round_ in range(2):
        index = PictureIndex(tmp_path)
        digest = sha256(jpeg(scene(1))).digest()
        assert (digest in index) == bool(round_)
        add(index, jpeg(scene(1)))
        index.close()


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_likeness_is_the_same_from_both_sides_and_full_for_a_picture_itself(one: int, other: int) -> None:
    left, right = (Viewed.of(read_thumbnail(make_thumbnail(jpeg(scene(seed))) or b"")) for seed in (one, other))
    assert compare(left, left).similarity > 0.99
    assert (compare(left, right).similarity >= NEAR) == (compare(right, left).similarity >= NEAR) == (one == other)


WORDS = [f"word{number}" for number in range(400)]


def reasoning(seed: int, words: int = 150) -> list[str]:
    return random.Random(seed).choices(WORDS, k=words)


def test_a_reasoning_with_a_few_other_words_repeats_an_earlier_one_of_its_label() -> None:
    earlier = EarlierTexts(0.6)
    for seed in range(50):
        found, signature = earlier.find(f"call {seed}", "awe", " ".join(reasoning(seed)))
        assert found is None
        assert signature is not None
        earlier.keep(f"row-{seed}", f"call {seed}", "awe", signature)
    for seed in range(0, 50, 5):
        changed = reasoning(seed)
        for place in (10, 60, 110):
            changed[place] = "other"
        text = " ".join(changed).upper().replace(" ", ",\n")
        found, _ = earlier.find("new", "awe", text)
        assert found is not None
        assert (found.id, round(found.similarity, 1) in (0.8, 0.9, 1.0)) == (f"row-{seed}", True)
        assert earlier.find("new", "fear", text)[0] is None, "of another label"
        assert earlier.find(f"call {seed}", "awe", text)[0] is None, "of the same Call"


@given(st.lists(st.sampled_from(WORDS[:30]), min_size=12, max_size=40), st.lists(st.sampled_from(WORDS[:30]), min_size=12, max_size=40))
@settings(max_examples=60, deadline=None)
def test_the_share_of_equal_values_is_near_the_jaccard_similarity(one: list[str], other: list[str]) -> None:
    earlier = EarlierTexts(0.8)
    left, right = earlier.signature(" ".join(one)), earlier.signature(" ".join(other))
    sets = [{tuple(words[place : place + 3]) for place in range(len(words) - 2)} for words in (one, other)]
    assert left is not None
    assert right is not None
    assert abs(float((left == right).mean()) - len(sets[0] & sets[1]) / len(sets[0] | sets[1])) < 0.25


def test_a_text_of_two_words_repeats_nothing() -> None:
    assert EarlierTexts(0.8).find("call", "awe", "very short") == (None, None)


def test_words_are_the_same_whatever_their_case_and_signs_of_chinese_are_words() -> None:
    assert list(hash_words("The Cat, sat!")) == list(hash_words("the cat sat"))
    assert len(hash_words("一只猫坐着")) == 5


def test_thirteen_words_in_a_row_are_found_and_twelve_are_not() -> None:
    known = SharedWords()
    text = " ".join(WORDS[:40])
    assert known.add([("bench:1", text), ("bench:2", "too short to be compared")]) == 1
    assert known.find(f"so: {' '.join(WORDS[5:18])}; no more") == "bench:1"
    assert known.find(" ".join(WORDS[5:17])) is None
    assert known.find("") is None


def test_words_that_many_texts_of_a_benchmark_share_are_its_template() -> None:
    hint = "please answer the question below and give the letter of the right option at the end of your reply"
    known = SharedWords()
    known.add([(f"bench:{number}", f"{hint} {' '.join(reasoning(number, 20))}") for number in range(12)])
    assert known.find(hint) is None
    assert known.find(" ".join(reasoning(3, 20))) == "bench:3"


def test_duplicates_are_counted_with_their_unit() -> None:
    samples, texts = FoundDuplicates("sample"), FoundDuplicates("text")
    for number in range(2):
        samples.add(Duplicate(str(number), "a", "exact", "picture", 1.0, "dropped", "", "", "rows:1"))
    texts.add(Duplicate("b", "a", "reasoning", "reasoning", 0.8, "dropped", "", "", "rows:1"))
    assert samples.notes() == ["dedup: 2 samples dropped: their picture and question are those of an earlier sample"]
    assert texts.notes() == ["dedup: 1 text dropped: their reasoning repeats an earlier lesson"]
