import functools
import hashlib
import os
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from outcomes import filtered, gone, lesson, mixed, paired, picture, png, trace, undecided, unheard

from cotforge.card import dataset_card
from cotforge.dataset_shards import shards_of_card
from cotforge.errors import JournalError
from cotforge.export import export_dataset
from cotforge.export.shards import SHARD
from cotforge.formats.dataset_rows import DatasetRows
from cotforge.records import CuratedSample, Fault, Judged, Lesson, Outcome, OutcomeKind, Reply, Sample
from cotforge.tally import NOT_ASKED, Tally

MEASURES = ("reasoning_words", "mine/checks.py:calm")


def write(folder, stream, readme=lambda exported: "card"):
    tally = Tally()
    return export_dataset(stream, folder, measures=MEASURES, tally=tally, card=readme), tally


def table(folder, config):
    return [row for path in sorted((folder / "dataset" / config).glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def losses(folder):
    return pq.read_table(folder / "losses.parquet").to_pylist()


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def names(folder):
    return sorted(path.name for path in folder.glob("*"))


def test_the_columns_are_those_of_the_contract_in_its_order(tmp_path):
    write(tmp_path, [paired(0)])
    columns = {config: pq.read_schema(next((tmp_path / "dataset" / config).iterdir())).names for config in ("data", "traces", "preference")}
    lessons = (
        "id images prompt completion question options answer label label_conflict confidence votes teacher model origin reasoning_tokens"
    )
    traces = "id call teacher model origin index reasoning answer ballot finish_reason read_as input_tokens output_tokens cost_usd"
    assert {config: " ".join(there) for config, there in columns.items()} == {
        "data": f"{lessons} measure_reasoning_words measure_calm call mended",
        "traces": f"{traces} fate fate_value measure_reasoning_words measure_calm",
        "preference": "id prompt chosen rejected images",
    }
    assert " ".join(pq.read_schema(tmp_path / "losses.parquet").names) == "id teacher call stage reason detail"


def test_a_lesson_is_written_as_it_is_with_the_pictures_bytes(tmp_path):
    write(tmp_path, [lesson(3, label="fear")])
    (row,) = table(tmp_path, "data")
    key = trace(3, "t0").call
    assert row == {
        "id": "s3",
        "images": [{"bytes": png(3), "path": f"{picture(3).digest}.png"}],
        "prompt": [{"role": "user", "content": "Which emotion? awe, fear, joy"}],
        "completion": [{"role": "assistant", "content": "<think>I see 3.</think>\n<answer>awe</answer>"}],
        "question": "Which emotion?",
        "options": ["awe", "fear", "joy"],
        "answer": "awe",
        "label": "fear",
        "label_conflict": True,
        "confidence": 0.75,
        "votes": [{"teacher": "t0", "answer": "awe"}, {"teacher": "t1", "answer": "awe"}],
        "teacher": "t0",
        "model": "org/t0",
        "origin": "solve",
        "reasoning_tokens": 0,
        "measure_reasoning_words": 3.0,
        "measure_calm": None,
        "call": key,
        "mended": None,
    }


def test_every_trace_is_written_with_its_fate_and_only_a_blind_one_has_a_ballot(tmp_path):
    rescued = Judged(trace(9, "t2", origin="rescue"), "surplus")
    plain = filtered(9)
    write(tmp_path, [CuratedSample(plain.sample, plain.verdict, (*plain.traces, rescued), rejected=plain.rejected), unheard(1)])
    rows = table(tmp_path, "traces")
    assert [(row["id"], row["teacher"], row["answer"], row["ballot"], row["fate"], row["fate_value"]) for row in rows] == [
        ("s9", "t0", "awe", "awe", "filter:reasoning_words", 3.0),
        ("s9", "t1", "awe", "awe", "filter:reasoning_words", 3.0),
        ("s9", "t2", "awe", None, "surplus", None),
        ("s1", "t1", None, None, "unread:no_answer", None),
    ]


def test_everything_that_did_not_make_it_stands_in_losses(tmp_path):
    fault = Fault("image_missing", "'a.png' is not there", where="data.jsonl:3", id="s7")
    _, tally = write(tmp_path, [lesson(0), fault, undecided(1), filtered(2), unheard(3)])
    said = [(row["id"], row["teacher"], row["stage"], row["reason"], row["detail"]) for row in losses(tmp_path)]
    assert said == [
        ("s7", None, "source", "image_missing", "data.jsonl:3: 'a.png' is not there"),
        ("s1", None, "vote", "no_majority", "data.jsonl:2: ballots awe: 1, fear: 1; label awe; confidence 0.750"),
        ("s2", "t0", "filter", "reasoning_words", "data.jsonl:3: reasoning_words=3.0"),
        ("s2", "t1", "filter", "reasoning_words", "data.jsonl:3: reasoning_words=3.0"),
        ("s3", "t0", "ask", "timeout", "data.jsonl:4: no answer after 60 s"),
        ("s3", "t1", "read", "no_answer", "data.jsonl:4: finish_reason=stop"),
        ("s3", None, "vote", "no_ballots", "data.jsonl:4: ballots none; label awe; confidence 0.750"),
    ]
    assert tally.rejected["source:image_missing"] == 1


def test_an_unread_reply_shows_its_beginning_and_a_call_without_one_is_not_asked(tmp_path):
    unread = unheard(3)
    said = "I cannot tell."
    unread = replace(unread, traces=(replace(unread.traces[0], said=said),))
    missing = replace(unread, failed=(("t0", Reply("f" * 64, outcome=Outcome(OutcomeKind.PASSING, NOT_ASKED))),))
    tally = Tally()
    export_dataset([missing, lesson(0)], tmp_path, measures=[], tally=tally, card=lambda exported: "")
    rows = [(row["teacher"], row["stage"], row["reason"], row["detail"]) for row in losses(tmp_path)]
    assert rows[:2] == [
        ("t0", "forge", "not_asked", "data.jsonl:4: the journal has no reply; `cotforge build` asks"),
        ("t1", "read", "no_answer", f"data.jsonl:4: finish_reason=stop: {said}"),
    ]
    assert (tally.missing, tally.teachers["t0"].failed, tally.teachers["t0"].calls) == (1, 0, 1)


def test_datasets_loads_every_config_by_the_card_with_images_and_the_summarys_counts(tmp_path, caplog):
    datasets = pytest.importorskip("datasets")
    about = pytest.importorskip("test_card").about()
    tally = Tally()
    stream = [*mixed(20), lesson(20, split="test")]
    export_dataset(stream, tmp_path, measures=MEASURES, tally=tally, card=lambda exported: dataset_card(about, tally, exported))
    assert "&id" not in (tmp_path / "dataset" / "README.md").read_text()
    folder, cache = str(tmp_path / "dataset"), str(tmp_path / "cache")
    lessons = datasets.load_dataset(folder, cache_dir=cache)
    assert {split: rows.num_rows for split, rows in lessons.items()} == {"train": 8, "test": 1}
    assert sum(lessons.num_rows.values()) == tally.summary()["lessons"]
    assert lessons["train"][0]["images"][0].size == (8, 8)
    assert datasets.load_dataset(folder, "traces", split="train", cache_dir=cache).num_rows == tally.summary()["traces"]
    assert datasets.load_dataset(folder, "preference", split="train", cache_dir=cache)[0]["images"][0].size == (8, 8)
    files = str(tmp_path / "dataset" / "data" / "train-*.parquet")
    alone = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=cache)
    assert alone.features == lessons["train"].features
    assert caplog.messages == []
    assert alone.features["images"] == datasets.List(datasets.Image())


def test_two_exports_are_equal_to_the_byte_and_the_second_reads_no_picture(tmp_path):
    write(tmp_path, mixed(30))
    before = content(tmp_path)
    unread = [lesson(0, load=gone) if number == 0 else outcome for number, outcome in enumerate(mixed(30))]
    _, tally = write(tmp_path, unread)
    assert content(tmp_path) == before
    assert tally.rejected["export:image_changed"] == 0


def test_the_same_stream_gives_the_same_files_in_another_folder(tmp_path):
    write(tmp_path / "a", mixed(30))
    write(tmp_path / "b", mixed(30))
    assert content(tmp_path / "a") == content(tmp_path / "b")


@pytest.mark.parametrize("change", ["prompt", "completion"])
def test_a_changed_row_gives_its_shard_another_name(tmp_path, change):
    old = lesson(0)
    first, _ = write(tmp_path / "a", [old])
    changed = replace(old.lessons[0], **{change: "other"})
    second, _ = write(tmp_path / "b", [replace(old, lessons=(changed,))])
    assert first.shards["default"]["train"][0].path != second.shards["default"]["train"][0].path


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """A dataset of several shards, and what was exported; tests work on copies."""
    folder = tmp_path_factory.mktemp("long") / "run"
    return folder, write(folder, map(lesson, range(COUNT)))[0]


COUNT = 3 * SHARD.samples


def paths(exported):
    return [shard.path for shard in exported.shards["default"]["train"]]


def groups(folder, exported):
    """Ids and all else in each row group of the lessons, as text."""
    files = [pq.ParquetFile(folder / "dataset" / path) for path in paths(exported)]
    return {repr(file.read_row_group(number).to_pylist()) for file in files for number in range(file.num_row_groups)}


def test_a_changed_filter_repacks_only_shards_whose_rows_changed_and_new_rows_only_the_last(tmp_path, long):
    folder, first = shutil.copytree(long[0], tmp_path / "run"), long[1]
    shards = first.shards["default"]["train"]
    assert len(shards) > 3
    place = shards[0].rows + 5
    other, _ = write(folder, (filtered(number) if number == place else lesson(number) for number in range(COUNT)))
    more, _ = write(folder, (filtered(number) if number == place else lesson(number) for number in range(COUNT + 10)))
    assert [one == two for one, two in zip(paths(first), paths(other), strict=True)] == [at != 1 for at in range(len(shards))]
    assert paths(other)[:-1] == paths(more)[: len(shards) - 1]
    assert paths(other)[-1] not in paths(more)
    assert sum(shard.rows for shard in more.shards["default"]["train"]) == COUNT + 9
    assert names(folder / "dataset" / "data") == sorted(Path(path).name for path in paths(more))


def test_rows_that_come_ahead_of_all_others_repack_the_first_shard_and_no_picture_of_another_is_read(tmp_path, long):
    folder, first = shutil.copytree(long[0], tmp_path / "run"), long[1]
    ends = next(number for number in range(10**6, 2 * 10**6) if SHARD.ends_after(f"s{number}", len(png(number))))
    _, tally = write(folder, [lesson(ends), *(lesson(number, load=gone) for number in range(COUNT))])
    assert (tally.lessons, tally.rejected["export:image_changed"]) == (COUNT + 1, 0)
    found = names(folder / "dataset" / "data")
    assert [name.rpartition("-")[2] for name in found[1:]] == [Path(path).name.rpartition("-")[2] for path in paths(first)]
    assert [name[:11] for name in found] == [f"train-{number:05}" for number in range(len(found))]
    assert [row["id"] for row in table(folder, "data")[:2]] == [f"s{ends}", "s0"]


def test_a_shard_that_moves_up_is_packed_again_where_its_older_file_is_damaged(tmp_path, long):
    folder, first = shutil.copytree(long[0], tmp_path / "run"), long[1]
    for path in paths(first)[1:]:
        os.truncate(folder / "dataset" / path, 1_000)
    gap = first.shards["default"]["train"][0].rows
    _, tally = write(folder, map(lesson, range(gap, COUNT)))
    assert tally.lessons == COUNT - gap
    assert [row["id"] for row in table(folder, "data")] == [f"s{number}" for number in range(gap, COUNT)]


def test_a_row_that_goes_leaves_all_row_groups_but_its_own_as_they_are(tmp_path, long):
    folder, first = shutil.copytree(long[0], tmp_path / "run"), long[1]
    before = groups(folder, first)
    gone_from = (lesson(number) for number in range(COUNT) if number not in (100, 3_000))
    after = groups(folder, write(folder, gone_from)[0])
    assert len(before) > 10
    assert len(before - after) <= 4, "two, unless one of them ends by the ceiling"


def test_every_column_has_an_offset_index_and_the_searched_ones_an_index_of_values(long):
    folder, first = long
    traces = first.shards["traces"]["train"][0].path
    for path in (*paths(first), traces):
        group = pq.read_metadata(folder / "dataset" / path).row_group(0)
        columns = {group.column(place).path_in_schema: group.column(place) for place in range(group.num_columns)}
        assert all(column.has_offset_index for column in columns.values())
        assert {"id", "answer", "teacher"} <= {name for name, column in columns.items() if column.has_column_index}
    told = [b"content_defined_chunking" in pq.read_metadata(folder / "dataset" / path).metadata for path in (paths(first)[0], traces)]
    assert told == [False, True], "pages of pictures that end by their content make a second push larger"


def test_a_dataset_of_an_earlier_layout_is_read_and_the_next_export_packs_it_anew(tmp_path):
    (tmp_path / "pipeline.yaml").write_text("name: older\n")
    about = pytest.importorskip("test_card").about()

    def exported():
        tally = Tally()
        card = functools.partial(dataset_card, about, tally)
        return export_dataset(mixed(30), tmp_path, measures=MEASURES, tally=tally, card=card)

    now = exported()
    rows, dataset = table(tmp_path, "data"), tmp_path / "dataset"
    older = dataset / "data" / "train-00000-0123456789abcdef.parquet"  # as layout 1 has it: groups by their size, and no page index
    (path,) = paths(now)
    pq.write_table(pq.read_table(dataset / path), older, row_group_size=3)
    (dataset / path).unlink()
    readme = (dataset / "README.md").read_text()
    (dataset / "README.md").write_text(readme.replace(path, f"data/{older.name}"))
    (tmp_path / ".cotforge-shards").write_text((tmp_path / ".cotforge-shards").read_text().replace(path, f"data/{older.name}"))
    assert [row.id for row in DatasetRows(tmp_path, "sft")] == [row["id"] for row in rows]
    exported()
    assert names(dataset / "data") == [Path(path).name]
    assert table(tmp_path, "data") == rows


def test_each_split_has_its_own_shards_under_a_name_datasets_accepts(tmp_path):
    exported, _ = write(tmp_path, [lesson(0), lesson(1, split="test"), lesson(2, split="../all"), lesson(3, split="all")])
    assert {split: [shard.rows for shard in shards] for split, shards in exported.shards["default"].items()} == {
        "train": [1],
        "test": [1],
        "___all": [1],
        "all_": [1],
    }
    assert all(Path(shard.path).parent == Path("data") for shards in exported.shards["default"].values() for shard in shards)


def test_a_picture_that_is_gone_costs_its_lesson_and_not_the_run(tmp_path):
    exported, tally = write(tmp_path, [lesson(0), lesson(1, load=gone), lesson(2)])
    assert [row["id"] for row in table(tmp_path, "data")] == ["s0", "s2"]
    (loss,) = losses(tmp_path)
    assert (loss["id"], loss["teacher"], loss["stage"], loss["reason"]) == ("s1", "t0", "export", "image_changed")
    assert loss["detail"] == "data.jsonl:7: 'a.png' has changed since it was read"
    assert (tally.accepted, tally.lessons, tally.rejected["export:image_changed"]) == (2, 2, 1)
    without, _ = write(tmp_path / "other", [lesson(0), undecided(1), lesson(2)])
    assert without.shards["default"] == exported.shards["default"]


def test_an_export_that_is_interrupted_leaves_the_old_dataset_whole(tmp_path):
    write(tmp_path, mixed(30))
    before = content(tmp_path)

    def cut(stream):
        yield from stream
        raise KeyboardInterrupt

    def unfinished(exported):
        raise KeyboardInterrupt

    for stream, readme in ((cut(mixed(31)), lambda exported: "new"), (mixed(31), unfinished)):
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path, stream, readme)
        after = content(tmp_path)
        assert {path: after.get(path) for path in before} == before
        assert not [path for path in after if path.endswith(".part")]


def test_what_a_killed_export_left_is_swept_away_by_the_next(tmp_path):
    write(tmp_path, mixed(30))
    before = content(tmp_path)
    for place in (tmp_path, tmp_path / "dataset", tmp_path / "dataset" / "data"):
        (place / ".cotforge-abc.part").write_bytes(b"half")
    write(tmp_path, mixed(30))
    assert content(tmp_path) == before


def test_no_lessons_leave_no_data_folder_and_one_line_with_the_largest_reason(tmp_path):
    write(tmp_path, [lesson(0), paired(1)])
    exported, _ = write(tmp_path, [undecided(0), undecided(1), filtered(2)])
    assert exported.note == "no lessons: 2 of 3 rows ended as vote:no_majority; losses.parquet has each"
    assert list(exported.shards) == ["traces"]
    assert names(tmp_path / "dataset") == ["README.md", "traces"]


def test_datasets_gives_no_traces_where_there_are_no_lessons_and_loads_them_by_their_name(tmp_path):
    datasets = pytest.importorskip("datasets")
    about, tally = pytest.importorskip("test_card").about(), Tally()
    stream = [undecided(0), filtered(1)]
    export_dataset(stream, tmp_path, measures=[], tally=tally, card=lambda exported: dataset_card(about, tally, exported))
    folder, cache = str(tmp_path / "dataset"), str(tmp_path / "cache")
    for words in ({}, {"split": "train"}, {"name": "default"}):
        with pytest.raises(FileNotFoundError, match="no-lessons"):
            datasets.load_dataset(folder, cache_dir=cache, **words)
    assert datasets.load_dataset(folder, "traces", split="train", cache_dir=cache).num_rows == tally.traces == 4
    assert shards_of_card(tmp_path)["default"] == []


def test_a_source_without_rows_is_told_and_still_has_its_tables(tmp_path):
    exported, _ = write(tmp_path, [])
    assert exported.note == "no lessons: the source gave no sample to ask about"
    assert exported.shards == {}
    assert losses(tmp_path) == []


def test_half_a_surrogate_pair_in_a_text_does_not_stop_the_run(tmp_path):
    old = lesson(0)
    broken = Lesson(old.sample, old.verdict, old.traces[0], old.prompt, "a\ud83db")
    said = Judged(replace(trace(0, "t1"), reasoning="c\ud83d"), "surplus")
    write(tmp_path, [CuratedSample(old.sample, old.verdict, (old.traces[0], said), (broken,), old.prompt)])
    assert table(tmp_path, "data")[0]["completion"][0]["content"] == "a?b"
    assert table(tmp_path, "traces")[1]["reasoning"] == "c?"


def test_a_sample_of_several_pictures_keeps_them_in_order(tmp_path):
    old = lesson(0)
    many = Sample("s", (picture(2), picture(1), picture(2)), "?", old.sample.options)
    write(tmp_path, [CuratedSample(many, old.verdict, old.traces, (Lesson(many, old.verdict, old.traces[0], "p", "c"),))])
    assert [image["bytes"] for image in table(tmp_path, "data")[0]["images"]] == [png(2), png(1), png(2)]


def test_written_files_are_readable_by_their_owner_alone(tmp_path):
    write(tmp_path, mixed(5))
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()} == {0o600}


def _limited():
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))


FULL = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from outcomes import *
from cotforge.errors import JournalError
from cotforge.export import export_dataset
from cotforge.tally import Tally
import os
def noise():
    return os.urandom(20_000)
try:
    export_dataset((lesson(n, load=noise) for n in range(100)), Path(sys.argv[1]), measures=[], tally=Tally(), card=lambda exported: "new")
except JournalError as fault:
    print(fault)
"""


def test_a_full_disk_is_one_line_and_leaves_the_old_dataset_and_no_temporary_file(tmp_path):
    write(tmp_path, mixed(30))
    before = content(tmp_path)
    said = subprocess.run(
        [sys.executable, "-W", "error", "-c", FULL, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parent.parent)])},
        preexec_fn=_limited,
    )
    assert said.stderr == ""
    assert said.stdout == f"{tmp_path}: the disk is full; make room, then run the same command again: nothing paid for is lost\n"
    after = content(tmp_path)
    assert {path: after.get(path) for path in before} == before
    assert not [path for path in after if path.endswith(".part")]


def test_another_fault_of_the_disk_is_not_called_full(tmp_path):
    (tmp_path / "dataset").write_text("in the way")
    with pytest.raises(OSError, match="dataset") as caught:
        write(tmp_path, mixed(5))
    assert not isinstance(caught.value, JournalError)


def test_exporting_imports_neither_pandas_nor_datasets():
    program = (
        "import sys, tempfile; from pathlib import Path; from outcomes import *; from cotforge.export import export_dataset; "
        "from cotforge.tally import Tally; "
        "export_dataset(mixed(9), Path(tempfile.mkdtemp()), measures=['a'], tally=Tally(), card=lambda exported: ''); "
        "print({'pandas', 'polars', 'datasets'} & set(sys.modules))"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parent.parent)])
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": paths}
    )
    assert said.stdout == "set()\n"


def test_a_shards_name_tells_traces_by_the_hash_of_the_file(tmp_path):
    exported, _ = write(tmp_path, mixed(5))
    (shard,) = exported.shards["traces"]["train"]
    data = (tmp_path / "dataset" / shard.path).read_bytes()
    assert shard.path == f"traces/traces-00000-{hashlib.sha256(data).hexdigest()[:16]}.parquet"
    assert shard.size == len(data)
