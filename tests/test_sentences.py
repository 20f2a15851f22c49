"""The README can be read by somebody in a hurry: it is short, and so is each of its sentences."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
LARGEST = 10_000
"""Bytes of the README."""
LONGEST = 30
"""A sentence has fewer words than this."""
PAGES = [README, *sorted(path for path in (ROOT / "docs").rglob("*.md") if "reference" not in path.parts)]
"""The reference is made from the program's own docstrings."""


def blocks_of_text(text: str) -> list[str]:
    """Paragraphs, list items, headings and table cells, without code and without the addresses of links."""
    text = re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^(?: {4}.*\n)+", "\n", text, flags=re.MULTILINE)
    text = re.sub(r"`[^`]*`|<img[^>]*>", "code", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"^(?:\* |\d+\. |#+ )", "\n\n", text, flags=re.MULTILINE)
    text = re.sub(r"^\|(.*)\|$", lambda row: "\n\n" + row[1].replace("|", "\n\n"), text, flags=re.MULTILINE)
    return [" ".join(block.split()) for block in re.split(r"\n\s*\n", text) if block.strip()]


def sentences(text: str) -> list[str]:
    return [sentence for block in blocks_of_text(text) for sentence in re.split(r"(?<=[.!?])\**\s+", block)]


def count_words(sentence: str) -> int:
    return len(re.findall(r"\w[\w'./:-]*", sentence))


def test_the_readme_is_at_most_10_kilobytes() -> None:
    assert len(README.read_bytes()) <= LARGEST


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_sentence_is_long(page: Path) -> None:
    long = [sentence for sentence in sentences(page.read_text(encoding="utf-8")) if count_words(sentence) >= LONGEST]
    assert long == []


def test_sentences_are_told_apart_and_code_counts_as_a_word() -> None:
    text = "One `a b c` sentence, with [a link](https://a.b/c). Another one!\n\n| cell of a table | other |\n\n```sh\nnot a sentence\n```\n"
    assert sentences(text) == ["One code sentence, with a link.", "Another one!", "cell of a table", "other"]
    assert [count_words(sentence) for sentence in sentences(text)] == [6, 2, 4, 1]
