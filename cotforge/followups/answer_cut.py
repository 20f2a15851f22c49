"""A reasoning without every sentence that gives its answer away: what another teacher is shown to see whether it leads there."""

import re
from collections.abc import Iterator

from cotforge.answers import clean_reasoning
from cotforge.answers.task import Synonyms
from cotforge.followups.answer_names import UNSPACED, AnswerNames, names_of_answer

LEAST_WORDS = 8
"""Words that must be left to be worth reading (default chosen by us)."""
LONGEST = 50_000
"""Characters of a reasoning that another teacher is shown (default chosen by us)."""
_LONGEST_SENTENCE = 1_000
"""Characters of a sentence whose beginning may stay."""
_LEAST_OF_SENTENCE = 4
"""Words of the beginning of a sentence that may stay where its end is cut off."""

_WRAP = r"(?<=[\w,;])\n(?=[a-z])"
"""A line break within a sentence, as of a text that is set in lines of one width."""
_SENTENCE = re.compile(
    rf"(?:[^\n]|{_WRAP})+?(?:[.!?…]{{1,8}}[\"'”’)\]*_]{{0,8}}(?=\s|\Z)|[。！？]{{1,8}}|(?!{_WRAP})(?=\n)|\Z)|\n", re.DOTALL
)
_CLAUSE = re.compile(
    r"\s{0,3}(?:;|:(?=\s)|\s[-–—]\s|—|,(?=\s\S{1,20}(?:\s\S{1,20}){0,2}\s(?:in\s(?:all|total)|altogether)\b)"
    r"|,?\s{1,3}(?:so|and\ so|thus|hence|therefore|which|making|meaning|giving|suggesting|pointing|evoking|leading"
    r"|bringing|leaving|yielding|totall?ing|amounting|adding\ up|resulting|coming\ to|summing|altogether|in\ all|in\ total|all\ in\ all"
    r"|(?:for|to|with)\ (?:a|an|the)\ (?:\w{1,12}\ )?(?:total|sum|count|result)"
    r"|(?:and|or|but)?,?\s?(?:that|this|it|these|those|together\ they|they|together|we|i)\ (?:all\ |then\ |would\ |thus\ |together\ ){0,2}"
    r"(?:makes?|gives?|leaves?|comes?\ (?:out\ )?(?:to|at)|adds?\ up\ to|brings?|yields?|equals?|totals?|means?|sums?|amounts?|is|are"
    r"|get))\b)"
)
"""Where the end of a sentence may be cut off."""
_CONCLUDES = re.compile(
    r"""\\(?:boxed|fbox)\b | <\s*/?\s*answer\b | \#{4}
      | \b(?:answer|choice|verdict|conclusion|pick)s?\b [^.!?\n]{0,60}?
        (?: \b(?:is|are|was|be|must|seems?|remains?|becomes?|follows?|stands?|comes?)\b | [:=] )
      | \b(?:answer|verdict|conclusion)\s*[:=]?\s*$
      | \b(?:i|we|i'd|i'll|we'd|let\ me|let's)\ (?:\w+\ ){0,3}?
        (?:conclude|choose|pick|select|settle|decide|answer|opt|vote|commit|go\ with|going\ with|lean|leaning)\b
      | \bin\ conclusion\b | 答案 | 정답 | 答え | \b(?:respuesta|réponse|antwort|resposta|risposta|ответ)\b""",
    re.IGNORECASE | re.VERBOSE,
)
"""A statement of the answer, whether or not it names it."""
_BY_PLACE = re.compile(
    r"\b(?:first|second|third|fourth|fifth|sixth|last|next|former|latter|remaining|only\ other)"
    r"\ (?:option|choice|label|category|candidate|one)\b"
    r"|\b(?:option|choice|candidate)\ (?:[A-Z]|[0-9]{1,2})\b|\bthe (?:former|latter)\b",
    re.IGNORECASE,
)
"""An option by its place in a list."""
_TAGS = re.compile(r"</?\s*(?:reasoning|hint|trace|right|rubric|things)\b[^<>]*>", re.IGNORECASE)
"""Marks that prompts put around what they show."""


def cut_answer(reasoning: str, answer: str, options: tuple[str, ...] = (), synonyms: Synonyms = ()) -> str | None:
    r"""The reasoning without what states, concludes or names its answer; None where too little is left, or it is too long.

    Too little are fewer than `LEAST_WORDS` words, too long more than `LONGEST` characters.
    `options`: the closed set, empty for a free answer; `synonyms`: the other names of its labels. A sentence goes that

    * names the answer: by its words, words of the same root ("sad" for sadness), a synonym, its letter, or its number in digits or words
      (an operand, an exponent and the number of a step are no statement of a number);
    * concludes: "the answer is", "I choose", a `\boxed{}`, whatever it names;
    * names an option by its place ("the second option"), or every option but the answer.

    Where only the end of a sentence does so, behind "so", "which", a colon and the like, its beginning stays. Cutting again changes
    nothing. It goes by words, and those of English: an answer that is described ("the feeling one has before a storm"), translated, or
    left over because all others were ruled out one by one, is not found.
    """
    if len(reasoning) > LONGEST:
        return None
    names = names_of_answer(answer, options, synonyms)
    shown = _TAGS.sub(" ", clean_reasoning(reasoning)[0])
    kept = [part for sentence in _sentences_of(shown) if (part := _kept_part(sentence, names))]
    text = _tidy("".join(_without_split_names(kept, names)))
    return text if _count_words(text) >= LEAST_WORDS and re.search(r"[^\W\d_]", text) else None


def states_answer(text: str, names: AnswerNames) -> bool:
    """Whether a sentence states an answer, concludes, or leaves it over."""
    if _CONCLUDES.search(text) or (names.closed and _BY_PLACE.search(text)):
        return True
    return names.is_named(text) or names.is_left_over(text)


def _sentences_of(text: str) -> Iterator[str]:
    """The sentences with the space before them, and the line breaks between; a line break ends one."""
    return (match[0] for match in _SENTENCE.finditer(text))


def _kept_part(sentence: str, names: AnswerNames) -> str:
    """All of a sentence, its beginning, or nothing."""
    if not sentence.strip():
        return sentence
    if not states_answer(sentence, names):
        return sentence
    for border in reversed(list(_CLAUSE.finditer(sentence, 0, _LONGEST_SENTENCE))):
        part = sentence[: border.start()].rstrip(" ,")
        if _count_words(part) >= _LEAST_OF_SENTENCE and not states_answer(part + ".", names):
            return part + "."
    return ""


def _without_split_names(parts: list[str], names: AnswerNames) -> list[str]:
    """Without neighbours that name the answer only together, as where a line breaks within a name."""
    kept, place = list(parts), 0
    while place < len(kept):
        after = next((later for later in range(place + 1, len(kept)) if kept[later].strip()), None)
        if kept[place].strip() and after is not None and names.is_named(f"{kept[place].strip()} {kept[after].strip()}"):
            del kept[after], kept[place]
            place = max(0, place - 2)
            continue
        place += 1
    return kept


def _count_words(text: str) -> int:
    """What stands between spaces; of scripts without spaces two letters are a word."""
    unspaced = len(UNSPACED.findall(text))
    return len(text.split()) + unspaced // 2


def _tidy(text: str) -> str:
    """Without space at the ends of lines, and with one blank line between two parts at most."""
    lines = (line.rstrip() for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
