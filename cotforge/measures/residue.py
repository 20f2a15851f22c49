"""What a rewriter, a prompt or a chat template left in a reasoning, as published sets carry it (R1-Onevision#5 shipped "revised chain")."""

import re
from typing import Literal, get_args

from cotforge.measures.texts import lower_case
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
    rf"""\b(?:here(?:'s|\ is|\ are|\ you\ go)|below\ is|following\ is|this\ is)\b[^.\n]{{0,40}}\b{_NEW}\b[^.\n]{{0,30}}\b{_TEXT}\b
      | (?:\A|[\n.:!]\s*)\W{{0,3}}(?:final\ )?{_NEW}\b[^.\n]{{0,40}}(?::|\]|\Z|\n|below\b)
      | \b(?:i|we)(?:'ve|\ have)?\ (?:also\ |only\ |just\ )?(?:revised|rewrote|rewritten|rephrased|edited|reworded|polished|kept
      |changed|removed)
        \b[^.\n]{{0,60}}\b(?:{_TEXT}|mentions?|descriptions?|original|sentences?)\b
      | \bthe\ (?:original|{_NEW})\ {_TEXT}\b
      | \blet\ me\ (?:rewrite|rephrase|revise|reword|polish)\b
      | \bchanges\ made\b | \(\s*note:\s | \b(?:as|like\ you)\ requested\b""",
    re.VERBOSE,
)
_ASSISTANT = re.compile(
    r"""\b(?:as|just|i'm|i\ am)\ (?:an?|your)\ (?:\w+\ ){0,2}?(?:ai|artificial\ intelligence|assistant|chatbot|language\ model
      |multimodal\ model
          |vision[- ]language\ model|vlm|llm|mllm|model)\b
      | \bi(?:'m|\ am)\ (?:sorry|afraid)\b[^.\n]{0,40}\b(?:can(?:not|'t)|unable|not\ able) | \bi\ apologi[sz]e\b
      | \bi\ (?:can(?:not|'t)|am\ (?:unable|not\ able)\ to|don't\ have\ the\ ability\ to|do\ not\ have\ the\ ability\ to)[ ]
        (?:directly\ |actually\ |physically\ )?(?:view|see|access|open|assist|help|process|comply|fulfil)\b[^.\n]{0,30}
        (?:\bimages?\b|\bpictures?\b|\bphotos?\b|\brequest\b|\bthat\b|\bit\b|\bthem\b|\bwith\b)
      | \b(?:happy|glad)\ to\ (?:help|assist)\b | \bhope\ (?:this|that)\ helps\b | \blet\ me\ know\ if\b | \bfeel\ free\ to\ ask\b
      | \bif\ you\ (?:need|have)\ (?:anything\ else
      |any\ (?:other\ |more\ |further\ )?questions?)\b | \bjust\ ask\b | \bis\ there\ anything\ else\b
      | \b(?:great|good|excellent)\ question\b | \bthank(?:s|\ you)\ for\ (?:sharing|providing|your|the)\b | \bmy\ training\ data\b
      | \blet\ me\ help\ you\b | \bas\ a\ (?:large\ )?(?:language|multimodal)\b""",
    re.VERBOSE,
)
_DESCRIPTION = (
    r"(?:(?:image|picture|scene|given|provided|detailed|textual|text|written|short|original|visual|above)\ ){0,3}(?:caption"
    r"|description)s?"
)
_ON_THING = r"(?!\ (?:under|on|below|beside|above|next|beneath|at|in)\ (?:the|a|it|its)\b)"
_CAPTION = re.compile(
    rf"""\b(?:according\ to|based\ on|from|in|per|given|as|by|since|with|only\ have|of)\ (?:the|this|that|a)\ {_DESCRIPTION}\b{_ON_THING}
        (?!\ of\ a\b)
      | \b(?:the|this)\ {_DESCRIPTION}\ (?:provided\ |given\ |itself\ |also\ |only\ |of\ the\ (?:image|picture|scene|photo)\ )?
        (?:says?|said|states?|mentions?|mentioned|describes?|tells?|reads|notes?|lists?|does|do|speaks?|gives?|indicates?|suggests?|specif\w+
          |points?|refers?|contains?|includes?|explains?|provides?)\b
      | \b(?:image|picture|photo|scene)(?:'s)?\ (?:caption|description)s?\b{_ON_THING}
      | \b(?:caption|description)s?\ (?:that\ (?:was|is)\ )?(?:provided|given)\b
      | \b(?:textual|text|written)\ description\b | \bdescription\ of\ (?:the|this)\ (?:image|picture|photo|scene)\b
      | \bdescribed\ (?:as\ [\w ]{{1,30}}?\ )?(?:in|by)\ the\ (?:{_DESCRIPTION}|text|prompt)\b
      | \b(?:text|prompt|passage)\ describes\b | \bpseudo[- ]?cot\b""",
    re.VERBOSE,
)
_ECHO = re.compile(
    r"""\bexactly\ one\ of\ these\b | \bwork\ out\ the\ answer\ to\ a\ question\b | \blook\ at\ the\ images?\ and\ answer\b
      | \breason\ at\ length\b | \bwrite\ these\ two\ blocks\b | \bwrite\ the\ answer\ alone\b | \bcopied\ word\ for\ word\b
      | \bfirst\ observe:\ | \bdescribe\ what\ can\ be\ seen\b | \bname\ (?:every\ answer\ that\ could|at\ least\ two)\b
      | \b(?:place|position)\ (?:a\ |the\ )?(?:candidate|answer|option)s?\ (?:was|is|were|are)\ listed\b
      | \bthe\ user\ (?:wants?|asks?|asked|is\ asking|requests?|needs?|would\ like|has\ asked|provided|gave)\b
      | \b(?:the|these|my|those)\ (?:system\ )?(?:prompt|instructions?)\ (?:says?|asks?|asked|tells?|told|wants?|requires?|states?|is
      |are|was|were|specif\w+|given)\b
      | \b(?:follow|according\ to|per|as|by)\ (?:the|these|my)\ (?:instructions?|prompt)\b | \bas\ instructed\b | \bsystem\ prompt\b
      | \b(?:i|we)\ (?:am|are|was|were|have\ been|'m)\ (?:asked|told|instructed|required)\ to\b
      | \b(?:i|we)(?:\ am|\ are|'m|'re)\ supposed\ to\ (?:put|write|give|output|answer|choose|reason|think|name|list|describe)\b
      | \b(?:think|answer)\ tags?\b | \btags\ as\ required\b | \brequired\ format\b | \bthe\ format\ (?:requires|is|should|must|asks)\b
      | \b(?:output|provide|give)\ (?:the|my)\ (?:final\ )?answer\ (?:in|inside|within|as)\b
      | \b(?:given|provided|listed)\ (?:options|choices|candidates|answers)\b | \btask\ is\ to\ (?:pick|choose|select|determine
      |identify|answer|decide)\b
      | (?:\A|\n)\s*(?:question|options|choices|task|instructions?|prompt|input|output)\s*: | \bquestion:\s
      | (?:\A|\n)\s*your\ (?:reasoning|answer)\s*(?:\n|\Z)""",
    re.VERBOSE,
)
_MARKS = ("<", "#", "**", "[", "---", "===", "***", "__", ":")
_STEMS = {
    "revision": "revis|rewr|rephras|improved|correct|updated|polish|refined|edited|reword|natural|the original |changes made|note:"
    "|requested",
    "assistant": "language model|as an a|assist|i'm |i am |i can|happy to|glad to|helps|let me know|feel free|if you |anything else"
    "|question!|thank|apolog|training data|help you|a large |just ask",
    "caption": "caption|descri|pseudo",
    "prompt_echo": "prompt|instruct|the user|exactly one|work out|tags|format|the given |provided |task|question|asked to|supposed to"
    "|at length|word for word|two blocks|answer alone|observe:|can be seen|at least two|listed|final answer|your reasoning|your answer"
    "|told to|required|every answer|options:|answer the",
}
"""What a text has one of, where it has residue of this kind; it is not searched without."""
_BY_STEMS: tuple[tuple[ResidueKind, tuple[str, ...], re.Pattern[str]], ...] = (
    ("revision", tuple(_STEMS["revision"].split("|")), _REVISION),
    ("assistant", tuple(_STEMS["assistant"].split("|")), _ASSISTANT),
    ("caption", tuple(_STEMS["caption"].split("|")), _CAPTION),
    ("prompt_echo", tuple(_STEMS["prompt_echo"].split("|")), _ECHO),
)


def find_residue(reasoning: str) -> ResidueKind | None:
    """The kind of residue that a reasoning carries; None where none is found. By English phrases, and markup of any language."""
    text = lower_case(reasoning)
    if any(mark in text for mark in _MARKS):
        if _TEMPLATE.search(text):
            return "template"
        if _HEADING.search(text):
            return "heading"
    for kind, stems, pattern in _BY_STEMS:
        if any(stem in text for stem in stems) and pattern.search(text):
            return kind
    return None


def residue(sample: Sample, trace: Trace, verdict: Verdict | None, *, ignore: tuple[ResidueKind, ...] = ()) -> float | None:
    """1 if the reasoning carries residue of a rewriter, prompt or chat template, else 0; None without reasoning.

    Kinds, of which `ignore` names those that count as none: template (`<|im_end|>`), heading (markdown), revision ("here is the revised
    chain"), assistant ("as an AI"), caption ("according to the caption"), prompt_echo ("the user asks"). Phrases are English.
    """
    if not trace.reasoning:
        return None
    kind = find_residue(trace.reasoning)
    return float(kind is not None and kind not in ignore)
