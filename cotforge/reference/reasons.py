"""Every reason for which a row, a reply or a sample came to nothing, in words: those of `losses.parquet` and `summary.json`."""

from collections.abc import Mapping

from cotforge.reference.markdown import markdown_table

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

VOTING: Mapping[str, str] = {
    "no_replies": "No call about the sample has a reply.",
    "no_ballots": "No reply has a readable answer.",
    "tie": "Two answers have the same support.",
    "no_majority": "No answer has more than half of the votes, or of the weight.",
    "not_unanimous": "Not all votes are for one answer.",
    "below_target": "The posterior is below `consensus.target`, or below what a promise needs.",
    "one_teacher": "Only one teacher gave the answer.",
    "label_gate": "The answer differs from the label, under `label: gate` or a rule that waits for the label.",
    "label_missing": "The sample has no label to compare with.",
    "ambiguous": "The people who checked the sample disagree or could not tell.",
    "gold_unsaid": "No teacher gave the answer that people gave.",
    "not_asked": "A reply that the rule wants is not there yet.",
    "not_wanted": "Asking about the sample is not worth its cost.",
}
"""Why a sample was not accepted: `vote:<reason>`."""

FATES: Mapping[str, str] = {
    "lesson": "The text is a lesson.",
    "surplus": "The text is good, but `select` took others of this sample.",
    "wrong": "The text has another answer than the accepted one.",
    "undecided": "No answer was accepted for the sample.",
    "vote": "A short answer, which only votes.",
    "filter:<measure>": "A filter on this measure dropped the text; `fate_value` has the value.",
    "unread:<reason>": "The reply could not be used, for one of the reasons of unread replies.",
}
"""What became of a trace: its `fate`."""

OTHERS: Mapping[str, str] = {
    "filter:<measure>": "The sample was accepted, but filters dropped all its texts.",
    "unread:<reason>": "The sample was accepted, but no text with its answer could be used.",
    "wrong": "The sample was accepted, but no text has its answer.",
    "no_trace": "The sample was accepted by short votes, and no full text has its answer.",
    "select:difficulty": "The pass rate in `difficulty.parquet` is outside `select.difficulty`.",
    "export:<reason>": "The image could no longer be read when the dataset was written.",
}
"""Why an accepted sample gave no lesson."""

PARTS = (
    ("Rows of the source", "Counted as `source:<reason>`; stage `source` in `losses.parquet`.", SOURCE),
    ("Calls without a reply", "Stages `forge` and `ask` in `losses.parquet`; the words that `cotforge build --retry` takes.", ASKING),
    ("Replies that cannot be used", "Fate `unread:<reason>` in `traces`; stage `read` in `losses.parquet`.", READING),
    ("Samples that are not accepted", "Counted as `vote:<reason>`; stage `vote` in `losses.parquet`.", VOTING),
    ("Accepted samples without a lesson", "Counted under this word.", OTHERS),
    ("Fates of a trace", "The column `fate` of `traces`.", FATES),
)


def reasons_tables() -> str:
    """A heading and a table for each place where something may be lost."""
    parts = []
    for title, where, reasons in PARTS:
        parts += [
            f"## {title}\n",
            f"{where}\n",
            markdown_table(("reason", "meaning"), ([_reason_cell(word), text] for word, text in reasons.items())),
        ]
    return "\n".join(parts)


def _reason_cell(reason: str) -> str:
    return ", ".join(f"`{word}`" if word != "..." else word for word in reason.split(", "))
