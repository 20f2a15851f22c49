"""What a rewriter, a prompt or a chat template left in a reasoning, as published sets carry it (R1-Onevision#5 shipped "revised chain")."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, get_args

from cotforge.measures import cues
from cotforge.measures.texts import lower_case
from cotforge.measures.word_codes import find_codes
from cotforge.records import Sample, Trace, Verdict

ResidueKind = Literal["template", "heading", "revision", "assistant", "caption", "prompt_echo"]
"""Pieces of a chat template, markdown headings, talk about a rewriting, of the model about itself, of a caption, of the prompt."""
RESIDUE_KINDS: tuple[ResidueKind, ...] = get_args(ResidueKind)

_TEMPLATE = re.compile(
    r"""<\|[a-z_0-9|]{1,40}\|> | \[/?inst\] | </?s> | <(?:start|end)_of_turn> | <</?sys>>
      | </?(?:think|thinking|answer|reasoning|image|img|solution|observation|summary|caption|conclusion|bos|eos|pad|unk|sep|cls)>
      | (?:\A|\n)\s*(?:\#{1,3}\s*)?(?:assistant|user|human|system|ai)\s*:""",
    re.VERBOSE,
)
_HEADING = re.compile(
    r"""(?:\A|\n)[ \t]{0,3}(?:\#{1,6}[ \t]+\S | (?:-{3,}|\*{3,}|={3,}|_{3,})[ \t]*(?:\n|\Z)
      | (?:(?:\d+[.)]|[-*+])[ \t]+)?(?:\*\*|__)[^*_\n]{1,60}?(?:\*\*|__)(?:[ \t]*:|[ \t]*\n|[ \t]*\Z|(?<=:\*\*)|(?<=\.\*\*)))""",
    re.VERBOSE,
)
_NEW = r"(?:revised|improved|rewritten|corrected|updated|polished|refined|edited|rephrased|reworded|modified|cleaned|adjusted|natural)"
_TEXT = r"(?:chains?|chain[- ]of[- ]thought|reasoning|version|thought(?:s|\ process)?|text|response|answer|wording|rationale|cot|paragraph)"
_REVISION = re.compile(
    rf"""\b(?:
        (?:here(?:'s|\ is|\ are|\ you\ go)|below\ is|following\ is|this\ is)\b[^.\n]{{0,40}}\b{_NEW}\b[^.\n]{{0,30}}\b{_TEXT}\b
      | (?:i|we)(?:'ve|\ have)?\ (?:also\ |only\ |just\ )?(?:revised|rewrote|rewritten|rephrased|edited|reworded|polished|kept
      |changed|removed)
        \b[^.\n]{{0,60}}\b(?:{_TEXT}|mentions?|descriptions?|original|sentences?)\b
      | the\ (?:original|{_NEW})\ {_TEXT}\b
      | let\ me\ (?:rewrite|rephrase|revise|reword|polish)\b
      | changes\ made\b | \(\s*note:\s
      | (?:as|like\ you)\ requested\b)
      | (?:\A|[\n.:!]\s*)\W{{0,3}}(?:final\ )?{_NEW}\b[^.\n]{{0,40}}(?::|\]|\Z|\n|below\b)""",
    re.VERBOSE,
)
_ASSISTANT = re.compile(
    r"""\b(?:
        (?:as|just|i'm|i\ am)\ (?:an?|your)\ (?:\w+\ ){0,2}?(?:ai|artificial\ intelligence|assistant|chatbot|language\ model
      |multimodal\ model
          |vision[- ]language\ model|vlm|llm|mllm|model)\b
      | i(?:'m|\ am)\ (?:sorry|afraid)\b[^.\n]{0,40}\b(?:can(?:not|'t)|unable|not\ able)
      | i\ apologi[sz]e\b
      | i\ (?:can(?:not|'t)|am\ (?:unable|not\ able)\ to|don't\ have\ the\ ability\ to|do\ not\ have\ the\ ability\ to)[ ]
        (?:directly\ |actually\ |physically\ )?(?:view|see|access|open|assist|help|process|comply|fulfil)\b[^.\n]{0,30}
        (?:\bimages?\b|\bpictures?\b|\bphotos?\b|\brequest\b|\bthat\b|\bit\b|\bthem\b|\bwith\b)
      | (?:happy|glad)\ to\ (?:help|assist)\b
      | hope\ (?:this|that)\ helps\b
      | let\ me\ know\ if\b
      | feel\ free\ to\ ask\b
      | if\ you\ (?:need|have)\ (?:anything\ else
      |any\ (?:other\ |more\ |further\ )?questions?)\b
      | just\ ask\b
      | is\ there\ anything\ else\b
      | (?:great|good|excellent)\ question\b
      | thank(?:s|\ you)\ for\ (?:sharing|providing|your|the)\b
      | my\ training\ data\b
      | let\ me\ help\ you\b
      | as\ a\ (?:large\ )?(?:language|multimodal)\b)""",
    re.VERBOSE,
)
_DESCRIPTION = (
    r"(?:(?:image|picture|scene|given|provided|detailed|textual|text|written|short|original|visual|above)\ ){0,3}(?:caption"
    r"|description)s?"
)
_ON_THING = r"(?!\ (?:under|on|below|beside|above|next|beneath|at|in)\ (?:the|a|it|its)\b)"
_CAPTION = re.compile(
    rf"""\b(?:
        (?:according\ to|based\ on|from|in|per|given|as|by|since|with|only\ have|of)\ (?:the|this|that|a)\ {_DESCRIPTION}\b{_ON_THING}
        (?!\ of\ a\b)
      | (?:the|this)\ {_DESCRIPTION}\ (?:provided\ |given\ |itself\ |also\ |only\ |of\ the\ (?:image|picture|scene|photo)\ )?
        (?:says?|said|states?|mentions?|mentioned|describes?|tells?|reads|notes?|lists?|does|do|speaks?|gives?|indicates?|suggests?|specif\w+
          |points?|refers?|contains?|includes?|explains?|provides?)\b
      | (?:image|picture|photo|scene)(?:'s)?\ (?:caption|description)s?\b{_ON_THING}
      | (?:caption|description)s?\ (?:that\ (?:was|is)\ )?(?:provided|given)\b
      | (?:textual|text|written)\ description\b
      | description\ of\ (?:the|this)\ (?:image|picture|photo|scene)\b
      | described\ (?:as\ [\w ]{{1,30}}?\ )?(?:in|by)\ the\ (?:{_DESCRIPTION}|text|prompt)\b
      | (?:text|prompt|passage)\ describes\b
      | pseudo[- ]?cot\b)""",
    re.VERBOSE,
)
_ECHO = re.compile(
    r"""\b(?:
        exactly\ one\ of\ these\b
      | work\ out\ the\ answer\ to\ a\ question\b
      | look\ at\ the\ images?\ and\ answer\b
      | reason\ at\ length\b
      | write\ these\ two\ blocks\b
      | write\ the\ answer\ alone\b
      | copied\ word\ for\ word\b
      | first\ observe:\
      | describe\ what\ can\ be\ seen\b
      | name\ (?:every\ answer\ that\ could|at\ least\ two)\b
      | (?:place|position)\ (?:a\ |the\ )?(?:candidate|answer|option)s?\ (?:was|is|were|are)\ listed\b
      | the\ user\ (?:wants?|asks?|asked|is\ asking|requests?|needs?|would\ like|has\ asked|provided|gave)\b
      | (?:the|these|my|those)\ (?:system\ )?(?:prompt|instructions?)\ (?:says?|asks?|asked|tells?|told|wants?|requires?|states?|is
      |are|was|were|specif\w+|given)\b
      | (?:follow|according\ to|per|as|by)\ (?:the|these|my)\ (?:instructions?|prompt)\b
      | as\ instructed\b
      | system\ prompt\b
      | (?:i|we)\ (?:am|are|was|were|have\ been|'m)\ (?:asked|told|instructed|required)\ to\b
      | (?:i|we)(?:\ am|\ are|'m|'re)\ supposed\ to\ (?:put|write|give|output|answer|choose|reason|think|name|list|describe)\b
      | (?:think|answer)\ tags?\b
      | tags\ as\ required\b
      | required\ format\b
      | the\ format\ (?:requires|is|should|must|asks)\b
      | (?:output|provide|give)\ (?:the|my)\ (?:final\ )?answer\ (?:in|inside|within|as)\b
      | (?:given|provided|listed)\ (?:options|choices|candidates|answers)\b
      | task\ is\ to\ (?:pick|choose|select|determine
      |identify|answer|decide)\b
      | question:\s)
      | (?:\A|\n)\s*(?:question|options|choices|task|instructions?|prompt|input|output)\s*:
      | (?:\A|\n)\s*your\ (?:reasoning|answer)\s*(?:\n|\Z)""",
    re.VERBOSE,
)
_BY_WORDS: tuple[tuple[ResidueKind, frozenset[str], re.Pattern[str]], ...] = (
    ("revision", frozenset(cues.RESIDUE["revision"].split()), _REVISION),
    ("assistant", frozenset(cues.RESIDUE["assistant"].split()), _ASSISTANT),
    ("caption", frozenset(cues.RESIDUE["caption"].split()), _CAPTION),
    ("prompt_echo", frozenset(cues.RESIDUE["prompt_echo"].split()), _ECHO),
)
"""(kind, words of which its texts have one, pattern)."""
_WORDS = frozenset(" ".join(cues.RESIDUE.values()).split())
_ANYWHERE = ("look at the image and answer", "look at the images and answer", "answer in", "answer within", "answer as")
"""What `_ECHO` finds beside any of its words, in a text that has the word "answer"."""
_COMMON: Mapping[str, tuple[re.Pattern[str], ...]] = {
    word: tuple(map(re.compile, patterns))
    for word, patterns in {
        "question": (r"question\s*:", r"input\s*:", r"options\s*:", r"choices\s*:", "to a question"),
        "told": ("told to",),
        "name": ("name every", "name at"),
        "reason": ("reason at",),
        "final": (),
        "anything": ("anything else", "not able", "question"),
    }.items()
}
"""What a text has, if none of `_ANYWHERE`, where one of these common words is part of residue, or stands beside some. Patterns that begin
with a word take 0.4 us each, where one of them all took 14.
"""
_ALWAYS = re.compile("")
_SPEAKERS = ("assistant", "user", "human", "system", "ai:", "#")
_AROUND = 160
"""Characters on either side of a word that are searched."""


def find_residue(reasoning: str, *, headings: bool = True) -> ResidueKind | None:
    """The kind of residue that a reasoning carries; None where none is found. By English phrases, and markup of any language."""
    codes = find_codes(reasoning)
    marked = codes.markup or "\n" in reasoning or reasoning[:9].lower().startswith(_SPEAKERS)
    if marked and _TEMPLATE.search(lower_case(reasoning)):
        return "template"
    if headings and codes.markup and _HEADING.search(reasoning):
        return "heading"
    if codes.cues.isdisjoint(_WORDS):
        return None
    for kind, words, pattern in _BY_WORDS:
        if here := codes.cues & words:
            text = lower_case(reasoning)
            if not here.isdisjoint(_COMMON) and not ("answer" in codes.cues and any(map(text.__contains__, _ANYWHERE))):
                here = frozenset(word for word in here if any(each.search(text) for each in _COMMON.get(word, (_ALWAYS,))))
            if any(pattern.search(part) for part in _parts_with(text, here)):
                return kind
    return None


def _parts_with(text: str, words: Iterable[str]) -> Iterator[str]:
    """The parts of a text around its words, each part from a line or sentence on."""
    for word in words:
        at, past = text.find(word), 0
        while at >= 0:
            if at >= past:
                start = max(text.rfind(". ", 0, at) + 2, text.rfind("\n", 0, at), at - _AROUND, 0)
                past = at + _AROUND
                yield text[start if start > 1 else 0 : past]
            at = text.find(word, at + 1)


def residue(sample: Sample, trace: Trace, verdict: Verdict | None, *, headings: bool = True) -> float | None:
    """1 if the reasoning carries residue of a rewriter, prompt or chat template, else 0; None without reasoning.

    Kinds: template (`<|im_end|>`), heading (markdown; only with `headings`), revision ("here is the revised chain"), assistant ("as an
    AI"), caption ("according to the caption"), prompt_echo ("the user asks"). Phrases are English.
    """
    if not trace.reasoning:
        return None
    return float(find_residue(trace.reasoning, headings=headings) is not None)
