"""Whether a reasoning runs in circles: sentences, passages and phrases that come again and again, word for word or nearly."""

from collections import Counter
from collections.abc import Iterator, Sequence

from cotforge.measures.ngrams import count_ngrams
from cotforge.measures.texts import lower_case, sentences_of, words_of
from cotforge.measures.word_codes import read_words
from cotforge.records import Sample, Trace, Verdict

_FEWEST = 0.04
"""Share of 4-grams that came before, below which there is no loop to look for."""
_SHORTEST = 12
"""Characters of a sentence below which its coming again says nothing: "So awe.", "2 + 3 = 5"."""
_ALIKE = 4
"""Sentences that differ by a word from one before, from which on they are a loop: three boards of a shelf may be told in three of them."""
_FEWEST_WORDS = 5
"""Of a sentence that may be nearly another; of so short ones it takes one more."""
_LONGEST_PERIOD = 8
"""Words of the longest phrase that is looked for within a sentence."""
_TURNS = 5
"""Times that a phrase follows on itself, from which on it is a loop."""


def loops(sample: Sample, trace: Trace, verdict: Verdict | None) -> float | None:
    """Share of the reasoning, by characters, that only repeats what it said, in [0, 1); None without reasoning. Loops are above 0.1.

    Counted are: a sentence from its third time on, or its second where the sentence beside it comes again too; from the fourth on, those
    of six words or more that differ from one another by one word (by two of fourteen), and of five words from the fifth on; a phrase of
    up to eight words that follows on itself five times.
    """
    reasoning = trace.reasoning
    if not reasoning:
        return None
    total, distinct = count_ngrams(reasoning, 4)
    # Whatever comes again brings 4-grams that come again; a text that few spaces divide has none to tell by.
    if total - distinct < max(4, _FEWEST * total) and len(reasoning) < 12 * read_words(reasoning).total:
        return 0.0
    sentences = [sentence for sentence in sentences_of(lower_case(reasoning)) if len(sentence) >= _SHORTEST or not sentence.isascii()]
    repeated = sum(len(sentences[place]) for place in _repeated_sentences(sentences))
    return min(1.0, max(repeated, _longest_run(words_of(reasoning)) if distinct < 0.9 * total else 0) / len(reasoning))


def _repeated_sentences(sentences: Sequence[str]) -> set[int]:
    """The places of those that come again."""
    times = Counter(sentences)
    seen: set[str] = set()
    again = []
    for sentence in sentences:
        again.append(sentence in seen)
        seen.add(sentence)
    found = {
        place
        for place, sentence in enumerate(sentences)
        if again[place] and (times[sentence] > 2 or any(again[max(0, place - 1) : place]) or any(again[place + 1 : place + 2]))
    }
    for group in _groups_alike(sentences):
        if len(group) >= _ALIKE + (len(sentences[group[0]].split()) == _FEWEST_WORDS):
            found.update(group[1:])
    return found


def _groups_alike(sentences: Sequence[str]) -> Iterator[list[int]]:
    """The places of sentences that are the first of their group but for a word or two."""
    groups: dict[int, list[tuple[list[str], list[int]]]] = {}
    for place, sentence in enumerate(sentences):
        words = sentence.split()
        if len(words) < _FEWEST_WORDS:
            continue
        allowed = 1 + (len(words) >= 14)
        here = groups.setdefault(len(words), [])
        for first, places in here:
            if sum(map(str.__ne__, first, words)) <= allowed:
                places.append(place)
                break
        else:
            here.append((words, [place]))
    for of_length in groups.values():
        yield from (places for _, places in of_length)


def _longest_run(words: Sequence[str]) -> int:
    """Characters of the longest phrase that follows on itself at least `_TURNS` times, its first time left out; 0 where none does."""
    longest = 0
    for period in range(1, _LONGEST_PERIOD + 1):
        # A byte for each word: whether the word stood there one period before.
        again = bytes(map(str.__eq__, words[period:], words))
        fewest = (_TURNS - 1) * period
        at = again.find(b"\1" * fewest)
        while at >= 0:
            end = at + len(again[at:]) - len(again[at:].lstrip(b"\1"))
            longest = max(longest, sum(map(len, words[at + period : end + period])) + end - at)
            at = again.find(b"\1" * fewest, end)
    return longest
