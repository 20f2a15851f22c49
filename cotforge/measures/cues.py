"""The words by which the text gates find where to look: a text that has none of them is looked at no further."""

from collections.abc import Mapping

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
    "justifies": "explain explanation defend argue reasons evidence plausible convincing case argument arguments account support motivate"
    " task details clues reasoning show why makes something justification back",
    "ground_truth": "reference standard official key data file solution",
    "agrees_with_label": "correct true actual",
    "as_labelled": "marked tag listed recorded filed sorted assigned put registered stored",
    "label_as_premise": "since considering being seeing correct true actual real",
    "told": "question problem system message exercise",
    "conceals": "discovered own",
}
"""The same, of a sentence that names the answer: these words are too common to look at every sentence that has one.

Whether such a sentence reasons backwards `leak_backwards` tells by words of its own.
"""
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
PROMPT = ("prompt", "instruct", "asked", "user", "tag", "<", "option", "choice", "label", "category")
"""Stems of which a word of a text has one where `mentions_prompt` finds something."""
