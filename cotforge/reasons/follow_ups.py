"""The published words of what follows the vote: checks that a text did not pass, and why there was nothing to do."""

from collections.abc import Mapping

from cotforge.reasons.explained import Explained

CHECKS: Mapping[str, Explained] = {
    "declined": Explained(
        "The teacher came to another answer than the label that it was told.",
        "where the teacher saw something else than the label",
        "the teacher saw something else than it was told",
    ),
    "refused": Explained(
        "The teacher refused.",
        "that the teacher refused to explain",
        "the teacher refused",
    ),
    "hint_alone": Explained(
        "The text is nothing but the label that the teacher was told.",
        "whose explanation is the label alone",
        "the text is the label alone",
    ),
    "repeats_prompt": Explained(
        "Most of the text stands in the prompt word for word.",
        "whose explanation repeats the prompt",
        "the text repeats the prompt",
    ),
    "other_language": Explained(
        "Most letters of the text are of a script that the prompt does not have.",
        "explained in another language",
        "the text is in another language than the prompt",
    ),
    "parts": Explained(
        "A kind of part is missing: observation, candidate, doubt, check or conclusion.",
        "whose woven text lacks a part",
        "a part is missing",
    ),
    "order": Explained(
        "The text concludes before its end, does not begin by observing, or doubts before it has a candidate.",
        "whose woven text has its parts out of order",
        "the parts are out of order",
    ),
    "other_answer": Explained(
        "The woven text comes to another answer than the accepted one.",
        "whose woven text has another answer",
        "the woven text has another answer",
    ),
    "unweighed": Explained(
        "The text weighs neither the accepted answer nor, where one was woven in, a wrong one.",
        "whose woven text weighs too few answers",
        "it does not weigh the answers that were given",
    ),
    "invented": Explained(
        "The text brings up an answer that no text that it was made of speaks of.",
        "whose woven text brings up another answer",
        "it brings up an answer that nobody gave",
    ),
    "sources": Explained(
        "The text speaks of the texts that it was made of, or of those who wrote them.",
        "whose woven text speaks of its sources",
        "it speaks of the texts that it was made of",
    ),
    "hint_leaked": Explained(
        "The text shows that its answer was told.",
        "whose explanation shows that it was told the answer",
        "the text shows that its answer was told",
    ),
    "not_verifiable": Explained(
        "Without its answer too little of the text is left to read.",
        "with too little to read once the answer is cut out",
        "without its answer too little is left",
    ),
    "unverified": Explained(
        "Another teacher read the text without its answer, and came to another one.",
        "that led another teacher elsewhere",
        "another teacher came to another answer by it",
    ),
    "unchecked": Explained(
        "A teacher that should read the text without its answer gave no reply that could be read.",
        "that another teacher has not read yet",
        "no other teacher has checked it",
    ),
}
"""What a rescued or woven text did not pass: `gate:<check>`, stage `rescue` or `weave` of a loss."""

SKIPPED: Mapping[str, Explained] = {
    "rescue:no_label": Explained(
        "There is no agreement, and neither a label nor a checked answer.",
        "without a label to explain",
        "there is no label to explain",
    ),
    "rescue:untrusted_label": Explained(
        "There is no agreement, and the label is not the leading answer with a confidence of `rescue.trust`.",
        "whose label is not trusted enough to explain it",
        "the label is not trusted",
    ),
    "rescue:barred": Explained(
        "Every teacher that could explain also explains wrong labels.",
        "that only barred teachers could explain",
        "every teacher that could explain is barred",
    ),
    "rescue:no_wrong_hint": Explained(
        "The sample was drawn for a wrong label, and none could be made up.",
        "for which no wrong label could be made up",
        "no wrong label could be made up",
    ),
    "rescue:<reason>": Explained("The explanation could not be read, for a reason of unread replies."),
    "rescue:wrong_hint_<reason>": Explained("The explanation of a wrong label could not be read, for a reason of unread replies."),
    "verify:not_verifiable": Explained(
        "Without its answer too little of the text is left to read.",
        "with too little to read once the answer is cut out",
        "without its answer too little is left",
    ),
    "verify:refused": Explained(
        "A teacher refused to read a text without its answer.",
        "that a teacher refused to read",
        "a teacher refused to read it",
    ),
    "weave:one_trace": Explained(
        "An answer was accepted, and only one text about the sample can be woven.",
        "with a single text to weave",
        "there is only one text to weave",
    ),
    "weave:no_wrong": Explained(
        "All texts about the sample came to the accepted answer; `weave.candidates: any` weaves them too.",
        "without a wrong text to weave in",
        "no text came to a wrong answer",
    ),
    "weave:no_right": Explained(
        "An answer was accepted, and no text that came to it can be used.",
        "without a right text to weave",
        "no usable text has the accepted answer",
    ),
    "weave:too_little": Explained(
        "There is no writer, and the texts have too few sentences that can stand in another text, or are not in English.",
        "with too few sentences to weave",
        "the texts have too few sentences to join",
    ),
    "verify:<reason>": Explained("A teacher read a text without its answer, and its reply could not be read."),
    "probe:no_partner": Explained(
        "No other sample has a picture that could stand in: as many pictures, none the same, and another label.",
        "for which no other picture could stand in",
        "no other picture could stand in",
    ),
    "probe:unread": Explained(
        "The reply to a blank or another picture has no answer, and does not say that there is nothing to see.",
        "with a probe that could not be read",
        "a probe could not be read",
    ),
    "probe:no_things": Explained(
        "A text names no thing that could be looked for, or is not in English.",
        "whose text names nothing to look for",
        "the text names nothing to look for",
    ),
    "probe:unread_list": Explained(
        "A teacher was asked which things it sees, and its reply has no yes and no that could be read.",
        "with a list of things that could not be read",
        "a list of things could not be read",
    ),
    "judge:no_other_family": Explained(
        "No teacher of another family may judge what this one writes.",
        "that no teacher of another family may judge",
        "no teacher of another family may judge it",
    ),
    "judge:refused": Explained("A judge refused.", "that a judge refused to judge", "a judge refused"),
    "judge:no_marks": Explained(
        "A judge's reply holds no mark within the rubric.",
        "with a judge's reply without any mark",
        "a judge's reply holds no mark",
    ),
}
"""Why there was nothing to do after the vote, or nothing came of it: stage before the colon, reason after it."""
