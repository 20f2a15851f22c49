"""The words that all text gates look for, found in one scan of a trace: most traces have few of them, and are looked at no further.

A substring costs 0.5 us in a trace of 200 words, and there would be some two hundred; looking all its words up in one set costs 3 us.
"""

import functools
from collections.abc import Iterable, Mapping

from cotforge.measures.small_words import FOREIGN
from cotforge.measures.texts import words_of

_LABELS = "label labelled labeled labelling labeling annotation annotations annotated annotator annotators annotator's annotators' tagged"
_GIVENS = (
    "given provided supplied assigned preassigned pre-assigned predetermined designated specified official expected stated listed recorded"
    " known"
)
LEAKS: Mapping[str, str] = {
    "conceals": f"{_LABELS} {_GIVENS} hint answer told know knew beforehand pretend myself ourselves scratch unaware secret",
    "hint": "hint hints hinted",
    "overrules_evidence": f"{_LABELS} classification truth official overrules overrule overruled overrides overridden"
    " defer deferring trumps",
    "works_backwards": f"{_LABELS} answer conclusion solution backward backwards reverse reverse-engineer reverse-engineering expected"
    " desired required knowing fill filling",
    "justifies": f"{_LABELS} answer justified justify justifies justifying justification rationalize rationalise rationale",
    "ground_truth": f"{_LABELS} truth groundtruth human sheet ground-truth gold golden gold-standard dataset dataset's metadata raters"
    " raters' corpus",
    "agrees_with_label": f"{_LABELS} {_GIVENS} answer classification tag required told target reference",
    "as_labelled": f"{_LABELS} classified categorized categorised",
    "told": f"{_LABELS} {_GIVENS} answer told informed notified handed shown prompt instructions instruction user task know knew",
    "given_answer": f"{_LABELS} {_GIVENS} answer classification intended desired required wanted target told shown handed",
    "label_as_premise": f"{_LABELS} {_GIVENS} classification answer category verdict solution supposed meant",
}
"""By kind of leak: a sentence that leaks in this way has one of these words, or one of `LEAKS_NAMING`."""
LEAKS_NAMING: Mapping[str, str] = {
    "works_backwards": "reach reaches reached arrive arrives end ends ended start starting begin beginning target goal aim objective"
    " purpose destination outcome anchor premise back aware conclude come comes result results mind get gets land lands obtain"
    " finish lead leads produce yield give gives bring brings work turn make makes add steer direct guide push nudge bend"
    " tilt twist stretch explain justify wins follows prevails emerges support supports favour favor belong belongs fit fits"
    " match points way path route road chain consistent compatible become equal right correct true accept take taking"
    " assuming supposing granting accepting know knew connect tie link bridge relate bind interpret treat present frame"
    " otherwise else until wanted needed intended planned supposed must should ought need want from trace traces tracing"
    " retrace backward steps be step wish try",
    "justifies": "explain explanation defend argue reasons evidence plausible convincing case argument arguments account support motivate"
    " task details clues reasoning show why makes something justification back",
    "ground_truth": "reference standard official key data file solution",
    "agrees_with_label": "correct true actual",
    "as_labelled": "marked tag listed recorded filed sorted assigned put registered stored",
    "label_as_premise": "since considering being seeing correct true actual real",
    "told": "question problem system message exercise",
    "conceals": "discovered own",
}
"""The same, of a sentence that names the answer: these words are too common to look at every sentence that has one."""
RESIDUE: Mapping[str, str] = {
    "revision": "revised revision rewritten rewrote rewrite rephrased rephrase improved corrected updated polished refined edited reworded"
    " modified original requested note (note: changes wording adjusted cleaned natural revise reword polish removed",
    "assistant": "ai ai-generated assistant chatbot llm vlm mllm sorry apologize apologise hope questions question! happy glad multimodal"
    " artificial language sharing providing anything feel training unable cannot can't ability ask help!"
    " model know thank thanks",
    "caption": "caption captions description descriptions described describes pseudo-cot",
    "prompt_echo": "prompt prompts instruction instructions instructed user user's tag tags format exactly listed task question: questions:"
    " options: choices: task: asked supposed told required given provided output alone blocks observe: copied study answer: reasoning"
    " question reason describe name final",
}
"""By kind of residue, but for markup."""
PROMPT = "prompt instruction instructions instructed asked user user's tag tags option options choice choices label category"
"""Of which `mentions_prompt` needs one."""

_ENDS = ("", ",", ".", ":", ";", "?", ")", '"', "'s", "\u2019s", "**", '."', '",')
_PAIRS = (
    ('"', ""),
    ('"', '"'),
    ('"', '",'),
    ("\u201c", ""),
    ("\u201c", "\u201d"),
    ("(", ""),
    ("'", "'"),
    ("*", "*"),
    ("**", "**"),
    ("[", "]"),
)
_AROUND = (*(("", end) for end in _ENDS), *_PAIRS)
"""Punctuation before and behind a word."""


def _forms(words: Iterable[str]) -> dict[str, str]:
    """How a word may stand in a text, with its case and the punctuation around it, and the word."""
    cases = {
        cased: word
        for word in words
        for cased in {word, word.capitalize(), word.upper() if len(word) < 5 else word.replace("-cot", "-CoT")}
    }
    return {f"{begun}{cased}{end}": word for cased, word in cases.items() for begun, end in _AROUND}


_PLAIN = " ".join([*LEAKS.values(), *LEAKS_NAMING.values(), *RESIDUE.values(), PROMPT])
_WORDS = {form: word for word in FOREIGN for form in (word, word.capitalize(), f"{word},")} | _forms(_PLAIN.split())
_KNOWN = frozenset(_WORDS)


@functools.lru_cache(maxsize=64)
def find_cues(text: str) -> frozenset[str]:
    """The words of this module that a text has, in lower case and without the punctuation around them."""
    return frozenset(map(_WORDS.__getitem__, _KNOWN.intersection(words_of(text))))
