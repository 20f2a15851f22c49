"""Whether a reasoning changes its language on the way: sentences in another script, or with the small words of another language."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from cotforge.measures.scripts import script_of_letter
from cotforge.measures.texts import lower_case, sentences_of, words_of
from cotforge.records import Sample, Trace, Verdict

_SMALL_WORDS: Mapping[str, str] = {
    "en": "the of and to in is that it for was on are with as his they be at have this from or had by but what some we can out "
    "other were all there when up your how an each she which do their if will about then them would so these her him has "
    "more could no most who its now than been not here only into very just where against between because while both does i",
    "de": "der die das und ist nicht ein eine einen einem einer den dem des im zu mit für auf auch es sich von sie ich wird wirkt "
    "sind aus noch nur aber wie man kann kein keine keinen sehr dass oder bei nach über einmal werden wenn",
    "fr": "le la les des une un est et que qui dans pour pas sur au aux avec ce cette ces il elle on ne se du de plus sont par "
    "mais ou son sa ses aussi encore y n'y l'on c'est qu'il aucune",
    "es": "el la los las una un es y que en de del no se por con para su sus al lo como más pero está hay también muy este esta "
    "eso o hacia sin vez ninguna",
    "it": "il lo la gli le una un è e che di del della dei nel nella con per non si sono anche più ma come questo questa al alla "
    "dal da su ancora verso volta",
    "pt": "o os as uma um é e que de do da dos das em no na não se por com para seu sua mais mas como está também isso esta este "
    "ao vou nenhuma outra vez",
    "nl": "de het een en is niet van dat op te in met voor zijn er aan ook als maar dit die naar nog bij om uit je ik geen wordt "
    "worden kan anders keer",
    "pl": "nie się jest na że to do w z i jak po co tak ale czy od za przez dla są jeszcze też widać raz nikt ma żeby inaczej patrzę",
    "id": "yang dan di itu ini dengan untuk tidak dari ke pada adalah ada saya juga akan sekali lagi orang hal jelas selain tersebut",
    "tr": "bir ve bu için de da ile çok daha ne gibi olarak olan değil var ama kadar ki ayr\u0131ca a\u00e7\u0131k\u00e7a görülüyor "
    "ilk kimsenin",
    "vi": "và là của có không cho được một các những trong với này đó khi ra người điều thấy rõ vào ngoài nhìn ai",
    "sv": "och att det som en på är av för med den till inte om ett han men var jag sig från vi så kan nu också när eller bara mycket",
}
"""By language: what a Latin script's languages are told by."""
_LANGUAGES: dict[str, list[str]] = {}
for _language, _words in _SMALL_WORDS.items():
    for _word in _words.split():
        _LANGUAGES.setdefault(_word, []).append(_language)
_ENGLISH = frozenset(_SMALL_WORDS["en"].split())
_ALSO_ENGLISH = (
    "die des den dem man war also in an on so no me do as o a i e y son sale sin par pour plus come dare van per men de la el al di da"
    " un ma un ten at is was by il le las los una or y vi w z om als er te je kan ne ki var ada di"
)
"""Words of other languages that are English ones too, or parts of names."""
_FOREIGN = frozenset(
    form for word in set(_LANGUAGES) - _ENGLISH - set(_ALSO_ENGLISH.split()) for form in (word, word.capitalize(), f"{word},")
)
"""Words that an English text has only where it changes its language, or quotes."""
_QUOTED = re.compile(
    '"[^"\n]{1,80}"|\u201c[^\u201d\n]{1,80}\u201d|\u00ab[^\u00bb\n]{1,80}\u00bb|\u300c[^\u300d\n]{1,80}\u300d'
    "|(?<!\\w)'[^'\n]{1,80}'(?!\\w)"
)
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_TOKEN = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_WITHIN = 8
"""Letters of another script that make a sentence switch though most of it is in its own."""
_FEWEST = 2
"""Small words of another language that make a sentence switch, where they are more than its own."""


def code_switching(sample: Sample, trace: Trace, verdict: Verdict | None) -> float | None:
    """Share of sentences in another language than most of the reasoning, in [0, 1); None without a sentence.

    Told by script, and among languages in Latin letters by small words (English, German, French, Spanish, Italian, Portuguese, Dutch,
    Polish, Indonesian, Turkish, Vietnamese, Swedish). What stands in quotation marks does not count, so that a sign may be read out.
    """
    text = trace.reasoning
    if not text.strip():
        return None
    if text.isascii():
        if len(_FOREIGN.intersection(words_of(text))) < _FEWEST:
            return 0.0
    elif not any(char.isalpha() for char in _BEYOND_ASCII.findall(text)):
        return 0.0
    sentences = sentences_of(_QUOTED.sub(" ", lower_case(text)))
    if not sentences:
        return None
    main_script = _main_script(text)
    if main_script != "LATIN":
        return sum(_is_other_script(sentence, main_script) for sentence in sentences) / len(sentences)
    counts = [_count_languages(sentence) for sentence in sentences]
    main = _main_language(counts)
    switched = sum(
        _is_other_script(sentence, main_script) or _is_other_language(sentence, count, main)
        for sentence, count in zip(sentences, counts, strict=True)
    )
    return switched / len(sentences)


def _count_languages(sentence: str) -> Counter[str]:
    """How many small words of each language a sentence has."""
    return Counter(language for word in _TOKEN.findall(sentence) for language in _LANGUAGES.get(word.replace("\u2019", "'"), ()))


def _main_language(counts: Sequence[Counter[str]]) -> str:
    """The language of most small words; English where there are none."""
    total = sum(counts, Counter[str]())
    return max(total, key=lambda language: (total[language], language == "en"), default="en")


def _is_other_language(sentence: str, count: Mapping[str, int], main: str) -> bool:
    """Whether another language has more of a sentence's small words than the main one; or it has none, and words no English text has."""
    best = max(count.values(), default=0)
    if best >= _FEWEST and best > count.get(main, 0) and not (main != "en" and count.get(main, 0) >= _FEWEST and best < 2 * count[main]):
        return True
    words = _TOKEN.findall(sentence)
    return main == "en" and len(words) >= 4 and not count.get("en") and 2 * sum(not word.isascii() for word in words) >= len(words)


def _letters_by_script(text: str) -> Counter[str]:
    ascii_letters = sum(map(str.isalpha, text)) if text.isascii() else sum(char.isascii() and char.isalpha() for char in text)
    counts = Counter(filter(None, map(script_of_letter, _BEYOND_ASCII.findall(text))))
    counts["LATIN"] += ascii_letters
    return _with_one_east_asian(counts)


def _with_one_east_asian(counts: Counter[str]) -> Counter[str]:
    """Japanese mixes three scripts, which count as one where it has any of its own."""
    kana = counts["HIRAGANA"] + counts["KATAKANA"]
    if kana:
        counts["HIRAGANA"] = kana + counts.pop("CJK", 0)
        counts.pop("KATAKANA", 0)
    return counts


def _main_script(text: str) -> str:
    counts = _letters_by_script(text)
    # A word of Latin letters has as much to say as one or two Chinese characters.
    return max(counts, key=lambda script: counts[script] * (1 if script == "LATIN" else 3))


def _is_other_script(sentence: str, main: str) -> bool:
    """Whether most letters of a sentence, or many, are of another script."""
    if main == "LATIN" and sentence.isascii():
        return False
    counts = _letters_by_script(sentence)
    others = _count_others(counts, main)
    if main == "LATIN":
        return others >= _WITHIN or (others >= 4 and 2 * others > sum(counts.values()))
    return others >= 12 and 3 * others > 2 * sum(counts.values())


def _count_others(counts: Mapping[str, int], main: str) -> int:
    return sum(number for script, number in counts.items() if script != main)
