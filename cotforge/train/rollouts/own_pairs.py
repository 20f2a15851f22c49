"""The pairs of a stage on the student's own completions: found by the law of `pairs`, and kept beside the completions."""

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cotforge.atomic import replace_file
from cotforge.export.columns import ASSISTANT, IMAGES, MESSAGES, NUMBER, TEXT, WHOLE, Columns, arrow_schema, arrow_table
from cotforge.plan import Dpo
from cotforge.train import ranks
from cotforge.train.data.learnable import text_of
from cotforge.train.data.lessons import Lessons
from cotforge.train.rollouts.pairs import PairCount, Pairs, RatedCompletion, pairs_of
from cotforge.train.rollouts.sampling import Sampling
from cotforge.train.stage_run import StageRun

COLUMNS: Columns = {
    "id": TEXT, "prompt": MESSAGES, "chosen": ASSISTANT, "rejected": ASSISTANT, "images": IMAGES, "reward_chosen": NUMBER,
    "reward_rejected": NUMBER, "tokens_chosen": WHOLE, "tokens_rejected": WHOLE,
}  # fmt: skip
"""As `preference/` of a dataset has them, and by what they were chosen."""


def own_pairs(stage: Dpo, work: StageRun) -> Lessons:
    """Pairs of the student's own completions, which are made where they are not there yet; in all processes.

    Raises PipelineError where no sample gives a pair.
    """
    sampling = Sampling.of(stage, work)
    sampling.complete()
    file, count = ranks.from_first(lambda: _write_pairs(sampling))
    work.record.say(count.line(stage.rollouts))
    return Lessons((file,), sampling.lessons.cache)


def _write_pairs(sampling: Sampling) -> tuple[Path, PairCount]:
    """The file of the pairs, and how they came about."""
    stage, count = sampling.stage, PairCount()
    for number in range(len(sampling.spans)):
        for completions, found in _find_pairs(sampling, number):
            count.add(completions, found)
    if not sampling.work.smoke:
        count.demand_pairs(stage.rollouts, where=f"stage {stage.name!r}")
    chosen = stage.rollouts.model_dump(mode="json", include={"pairs_per_sample", "margin", "length_ratio"})
    key = sha256(f"{sampling.files.key} {json.dumps(chosen, sort_keys=True)}".encode()).hexdigest()
    file = sampling.work.out / f"pairs-{key[:12]}.parquet"  # `datasets` knows files by their names
    if not _is_whole(file):
        shape = arrow_schema(COLUMNS)
        with replace_file(file) as passing, pq.ParquetWriter(passing, shape) as writer:
            for number in range(len(sampling.spans)):
                if rows := list(_pair_rows(sampling, number)):
                    writer.write_table(arrow_table(rows, COLUMNS, shape))
    return file, count


def _is_whole(file: Path) -> bool:
    try:
        return bool(pq.read_metadata(file).num_rows)
    except (OSError, pa.ArrowException):
        return False


def _find_pairs(sampling: Sampling, number: int) -> Iterator[tuple[list[RatedCompletion], Pairs]]:
    """The completions of each sample of a file, and the pairs among them."""
    for _, rows in groupby(sampling.files.read(number), key=lambda row: int(row["row"])):
        completions = [_completion_of_row(row) for row in rows]
        yield completions, pairs_of(completions, sampling.stage.rollouts)


def _completion_of_row(row: Mapping[str, Any]) -> RatedCompletion:
    return RatedCompletion(row["said"], row["reward"], row["tokens"], ended=row["finish_reason"] == "stop")


def _pair_rows(sampling: Sampling, number: int) -> Iterator[tuple[Any, ...]]:
    """The pairs of a file as `COLUMNS` has them."""
    samples = sampling.rows(number, ("id", "prompt", "images", "completion"))
    for sample, (completions, found) in zip(samples, _find_pairs(sampling, number), strict=True):
        pairs = [(completions[one], completions[other]) for one, other in found.places]
        for chosen, rejected in made_up(sample, completions) if sampling.work.smoke else pairs:
            prompt = [(message["role"], message["content"]) for message in sample["prompt"]]
            images = [(cell["bytes"], cell["path"]) for cell in sample["images"] or ()]
            yield (
                str(sample["id"]), prompt, chosen.text, rejected.text, images, chosen.reward, rejected.reward, chosen.tokens,
                rejected.tokens,
            )  # fmt: skip


def made_up(sample: Mapping[str, Any], completions: Sequence[RatedCompletion]) -> Iterator[tuple[RatedCompletion, RatedCompletion]]:
    """The sample's own text and whatever the student said, where only the machinery is tried: a short run has no pairs to choose from."""
    said = next((one for one in completions if one.text.strip()), RatedCompletion("-", 0.0, 1, ended=True))
    yield RatedCompletion(text_of(sample["completion"]), 1.0, 0, ended=True), said
