"""Every reason for which a row, a reply or a sample came to nothing: the published words of `losses.parquet` and `summary.json`, explained.

Each is told in up to three ways: as a sentence (the reference), after a number (the console, the report), and alone (the viewer).
"""

from collections.abc import Mapping

from cotforge.reasons.explained import Explained
from cotforge.reasons.follow_ups import CHECKS, SKIPPED

__all__ = [
    "ASKING", "BELOW_TARGET", "CHECKS", "FATES", "NO_MEASURES", "ONE_TEACHER", "OTHERS", "READING", "SKIPPED", "SOURCE", "UNPROMISED",
    "VOTING", "Explained", "counted_reason", "short_fate", "short_reason",
]  # fmt: skip

NO_MEASURES = ("duplicate", "contaminated")
"""What follows `filter` in the fate of a text that `dedup:` drops; every other word there is a measure."""
BELOW_TARGET, ONE_TEACHER = "vote:below_target", "vote:one_teacher"
UNPROMISED = "left out by consensus.promise"
"""What it means where the rule itself accepts the answer, after a number of samples and alone."""

SOURCE: Mapping[str, str] = {
    "no_image": "The row names no image, or what it names is not a path.",
    "image_missing": "The image is not there, or the cell has no bytes.",
    "image_unreadable": "The image file cannot be read, for example for lack of permission.",
    "image_url": "The image is a URL. Only files are read.",
    "image_empty": "The image has 0 bytes.",
    "image_not_an_image": "The file is not an image of a known format, or not a plain file.",
    "image_broken": "The image cannot be decoded.",
    "image_truncated": "The image file ends too early.",
    "image_too_many_pixels": "The image has more pixels than cotforge decodes.",
    "image_too_many_bytes": "The image file is larger than cotforge reads.",
    "image_too_slow": "Decoding the image would take minutes. Save it again.",
    "image_changed": "The image has changed since it was first read.",
    "path_outside": "The path leads out of the folder of the data.",
    "file_unreadable": "A file or folder of the source cannot be read.",
    "line_broken": "A line of a CSV file or list does not fit its header or form.",
    "line_not_json": "A line, or the file, is not valid JSON.",
    "line_not_an_object": "A line is JSON, but not an object.",
    "line_not_utf8": "A line or file is not UTF-8.",
    "line_too_long": "A line, or a text in a tar, is longer than cotforge reads.",
    "tar_member": "A member of a tar is a link, a device or a sparse file.",
    "tar_truncated": "The tar ends too early or is broken; samples before that are kept.",
    "options_missing": "Neither the row nor `task.labels` has options.",
    "options_broken": "The row's options cannot be read, or are fewer than two different texts.",
    "no_question": "Neither the row nor `task.question` has a question.",
    "duplicate_id": "The id was used by an earlier row with other content.",
    "label_clash": "The same photo is in the source under another label; the earlier row is kept.",
    "prompt_input": "A prompt cannot be rendered for this sample.",
}
"""Why a row did not become a sample: counted as `source:<reason>`."""

DEDUP: Mapping[str, Explained] = {
    "exact": Explained(
        "The picture and the question are those of an earlier sample.",
        "with the picture and the question of an earlier sample",
        "the picture and the question are those of an earlier sample",
    ),
    "near": Explained(
        "The picture is nearly that of an earlier sample with the same question.",
        "with nearly the picture of an earlier sample",
        "the picture is nearly that of an earlier sample",
    ),
    "contaminated": Explained(
        "The picture, or 13 words of the question in a row, are in one of `dedup.against`.",
        "that are in dedup.against",
        "the picture or the question is in dedup.against",
    ),
}
"""Why a sound row is left out: counted as `dedup:<reason>`."""

ASKING: Mapping[str, str] = {
    "not_asked": "There is no reply yet, for example after a budget or Ctrl-C. The next build asks.",
    "timeout": "No whole reply came in time.",
    "connection": "The server could not be reached, or the connection broke.",
    "bad_body": "The reply is not a chat completion.",
    "error": "The server gave up before the end of the text.",
    "redirect": "The server redirects, which is not followed. Write the final URL.",
    "400, 500, ...": "The HTTP status of the last attempt, or the code that came in its place. `detail` has the server's message.",
    "content_filter": "A content filter refused the request or removed the text.",
    "too_long": "The prompt is longer than the model's context, for a model on this machine.",
    "refused": "vLLM on this machine refused the request.",
    "engine": "The process of a model on this machine died.",
    "engine_error": "The model on this machine raised an error.",
    "no_reply": "A `replay` file has no reply for this sample.",
    "no_result": "A batch was completed without a result for this call.",
    "batch_failed": "A batch failed. `failed`, `expired` and `cancelled` are further ends of a batch.",
    "lost": "The provider no longer knows the batch.",
    "unknown": "It is not known whether the provider took the batch.",
    "damaged": "The disk has damaged the stored reply. The next build asks again.",
    "not_sent": "The attempt was begun and not sent, because the run stopped.",
}
"""Why a call has no reply: stages `forge` and `ask` of a loss."""

READING: Mapping[str, str] = {
    "no_answer": "The reply has no answer.",
    "two_answers": "The reply gives two different answers.",
    "not_an_option": "The answer is none of the options.",
    "placeholder": "The answer is the prompt's own placeholder, such as `your answer`.",
    "truncated": "The reply was cut off at `max_tokens`. Its answer may still vote.",
    "empty": "The reply has no text.",
    "content_filter": "A content filter removed the text.",
    "no_reasoning": "The reply has an answer without reasoning. It may still vote.",
}
"""Why a reply is of no use: `unread:<reason>`, stage `read` of a loss."""

VOTING: Mapping[str, Explained] = {
    "no_replies": Explained(
        "No call about the sample has a reply.",
        "without a reply",
        "no teacher has replied",
    ),
    "no_ballots": Explained(
        "No reply has a readable answer.",
        "without a readable answer",
        "no reply could be read as an answer",
    ),
    "tie": Explained(
        "Two answers have the same support.",
        "tied",
        "two answers got equally many votes",
    ),
    "no_majority": Explained(
        "No answer has more than half of the votes, or of the weight.",
        "without a majority",
        "no answer got more than half of the votes",
    ),
    "not_unanimous": Explained(
        "Not all votes are for one answer.",
        "not unanimous",
        "the teachers are not unanimous",
    ),
    "below_target": Explained(
        "The posterior is below `consensus.target`, or below what a promise needs.",
        "less sure than consensus.target",
        "the confidence is below the target",
    ),
    "one_teacher": Explained(
        "Only one teacher gave the answer, and two must. The label may make the confidence high, and is no second teacher.",
        "with an answer of one teacher alone, where two must give it",
        "only one teacher gave this answer, and two must, however high the confidence",
    ),
    "label_gate": Explained(
        "The answer differs from the label, under `label: gate` or a rule that waits for the label.",
        "agreed on another answer than the label",
        "the answer is not the label in the data",
    ),
    "label_missing": Explained(
        "The sample has no label to compare with.",
        "without a label to agree with",
        "the row has no label",
    ),
    "ambiguous": Explained(
        "The people who checked the sample disagree or could not tell.",
        "that people could not tell",
        "people could not tell, or disagree",
    ),
    "gold_unsaid": Explained(
        "No teacher gave the answer that people gave.",
        "where no teacher gave the answer of the people",
        "no teacher gave the answer that people gave",
    ),
    "not_asked": Explained(
        "A reply that the rule wants is not there yet.",
        "not asked to the end",
        "not every teacher has been asked",
    ),
    "not_wanted": Explained(
        "Asking about the sample is not worth its cost.",
        "not worth asking",
        "nobody was asked about it",
    ),
}
"""Why a sample was not accepted: `vote:<reason>`."""

FATES: Mapping[str, Explained] = {
    "lesson": Explained("The text is a lesson.", alone="became the lesson"),
    "surplus": Explained("The text is good, but `select` took others of this sample.", alone="good, but another was chosen"),
    "wrong": Explained("The text has another answer than the accepted one.", alone="another answer than the vote"),
    "undecided": Explained("No answer was accepted for the sample.", alone="there was no agreement"),
    "vote": Explained("A short answer, which only votes.", alone="counts as a vote only"),
    "check": Explained("A reply about another trace.", alone="checks another text"),
    "gate:<check>": Explained("A rescued or woven text that did not pass its own checks."),
    "filter:<measure>": Explained("A filter on this measure dropped the text; `fate_value` has the value."),
    "filter:duplicate": Explained(
        "The text repeats an earlier lesson; `fate_value` has the similarity.", alone="repeats an earlier lesson"
    ),
    "filter:contaminated": Explained(
        "The text shares 13 words in a row with one of `dedup.against`.", alone="shares 13 words in a row with dedup.against"
    ),
    "unread:<reason>": Explained("The reply could not be used, for one of the reasons of unread replies."),
}
"""What became of a trace: its `fate`."""

OTHERS: Mapping[str, Explained] = {
    "filter:duplicate": Explained(
        "The sample was accepted, but its texts repeat earlier lessons.",
        "whose texts repeat earlier lessons",
        "its texts repeat earlier lessons",
    ),
    "filter:contaminated": Explained(
        "The sample was accepted, but its texts share 13 words in a row with one of `dedup.against`.",
        "whose texts are in dedup.against",
        "its texts share 13 words in a row with dedup.against",
    ),
    "filter:<measure>": Explained("The sample was accepted, but filters dropped all its texts."),
    "unread:<reason>": Explained("The sample was accepted, but no text with its answer could be used."),
    "wrong": Explained(
        "The sample was accepted, but no text has its answer.",
        "accepted without a text that has the answer",
        "no text has its answer",
    ),
    "no_trace": Explained(
        "The sample was accepted by short votes, and no full text has its answer.",
        "accepted by short votes alone",
        "only short votes gave its answer",
    ),
    "select:difficulty": Explained(
        "The pass rate of the sample is outside `select.difficulty`.",
        "left out by select.difficulty for their pass rate",
        "its pass rate is outside select.difficulty",
    ),
    "select:per_class": Explained(
        "Other samples with the same answer were taken: `select.per_class` limits their number.",
        "left out by select.per_class, which takes other samples of their class",
        "select.per_class takes other samples with this answer",
    ),
    "export:<reason>": Explained("The image could no longer be read when the dataset was written."),
}
"""Why an accepted sample gave no lesson."""

_REASONS = {
    **{f"vote:{word}": told for word, told in VOTING.items()},
    **{f"dedup:{word}": told for word, told in DEDUP.items()},
    **{f"gate:{word}": told for word, told in CHECKS.items()},
    **SKIPPED,
    **OTHERS,
}
_COUNTED = {"filter": "dropped by the filter", "unread": "not read:", "source": "rows of the source with", "export": "not exported:"}
_ALONE = {
    **{"filter": "stopped by the filter", "unread": "could not be read:", "failed": "no reply:", "source": "row:"},
    "gate": "did not pass:",
    "verify": "a reader's reply could not be read:",
}
"""By stage, what stands before the rest of the word."""


def counted_reason(word: str, count: int = 2) -> str:
    """What a published reason means, as it follows this number of samples; the word itself where it is not known."""
    stage, _, rest = word.partition(":")
    if stage == "source" and count == 1:
        return f"row of the source with {rest}"
    told = _REASONS.get(word)
    return (told and told.counted) or (f"{_COUNTED[stage]} {rest}" if stage in _COUNTED else word)


def short_reason(word: str) -> str:
    """Why a sample has no lesson, in words that stand alone."""
    told = _REASONS.get(word)
    return (told and told.alone) or _by_stage(word)


def short_fate(word: str) -> str:
    """What became of a trace, in words that stand alone."""
    told = FATES.get(word) or _REASONS.get(word)
    return (told and told.alone) or _by_stage(word)


def _by_stage(word: str) -> str:
    stage, _, detail = word.partition(":")
    if not detail:
        return word.replace("_", " ")
    return f"{_ALONE.get(stage, f'{stage}:')} {detail if stage == 'filter' else detail.replace('_', ' ')}"
