"""A push is whole or has not happened: the official client against a Hub on this machine, with Xet and without, and with every fault."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import constants

from cotforge.hub.committing import MOST_FILES
from cotforge.hub.push import push as publish
from tests.hub_server import LFS_NAME, TOKEN, HubFault, HubServer, client_of
from tests.project import LABELS, Running, command, environment, ran, replay, said, write_pipeline, write_rows

ROWS = 12
STUDENT_CARD = "---\nlibrary_name: transformers\npipeline_tag: image-text-to-text\ntags: [cotforge]\n---\n\n# Student\n\nIt answers.\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a small dataset; nobody changes it."""
    folder = tmp_path_factory.mktemp("built")
    build(folder)
    return folder / "run"


def build(folder: Path, *words: str, **source: str) -> None:
    write_rows(folder, ROWS)
    right = {f"row-{row}": said(LABELS[row % 4]) for row in range(ROWS)}
    teachers = [replay(folder, name, right, license="apache-2.0") for name in ("one", "two")]
    about = {"kind": "table", "path": "rows.jsonl", "license": "cc-by-4.0", **source}
    write_pipeline(folder, *teachers, source=about, filters=[])
    done = ran("build", "pipeline.yaml", "--out", "run", *words, cwd=folder)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def run(built: Path, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(built, tmp_path / "run"))


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of Xet's storage; one for all, since the client keeps what it knows of it."""
    return tmp_path_factory.mktemp("xet")


@pytest.fixture(params=["xet", "http"])
def way(request: pytest.FixtureRequest) -> list[str]:
    """The switches of each way to send large files."""
    return [] if request.param == "xet" else ["--no-xet"]


@pytest.fixture
def hub(storage: Path) -> Iterator[HubServer]:
    """An empty Hub, which the client in this process talks to."""
    with HubServer(cas=storage / "cas", page_size=3) as server, client_of(server, storage / "cache"):
        yield server


def push(run: Path, *words: str, repo: str = "me/ds", code: int = 0) -> str:
    """What the command says, on stdout where it is done, else on stderr; there it says nothing of the token."""
    done = ran("push", run.name, repo, *words, cwd=run.parent)
    assert done.returncode == code, done.stderr + done.stdout
    assert TOKEN not in done.stdout + done.stderr
    assert "Use 'content=" not in done.stderr, "a warning about the client's own code"
    return done.stderr if code else done.stdout


def holds(hub: HubServer, run: Path, revision: str = "main") -> bool:
    """Whether the Hub holds the run's dataset, to the byte, and nothing else but its card."""
    there = hub.dataset().files(revision)
    names = {path.relative_to(run / "dataset").as_posix() for path in (run / "dataset").rglob("*") if path.is_file()}
    if set(there) - {"notes.txt"} != {*names, ".gitattributes"}:
        return False
    shards = [name for name in names if name.endswith(".parquet")]
    return all(there[name].sha256 == sha256((run / "dataset" / name).read_bytes()).hexdigest() for name in shards)


def commits(hub: HubServer) -> list[tuple[str, str]]:
    """Those that were not the Hub's own."""
    return hub.dataset().commits[1:]


def rows_removed(run: Path) -> None:
    """As another build, of fewer samples, leaves the dataset: other shards, of other names."""
    done = ran("curate", run, "--set", "source.limit=6", "--replace", cwd=run.parent)
    assert done.returncode == 0, done.stderr


def student_of(run: Path) -> Path:
    """A folder with what a student has, but weights that nobody could load."""
    folder = run / "train" / "student"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text(STUDENT_CARD)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(64))
    return folder


def test_a_push_is_one_commit_to_a_new_private_repository_and_the_same_again_is_none(run: Path, hub: HubServer, way: list[str]) -> None:
    said = push(run, *way)
    assert "private dataset, new" in said
    assert hub.dataset().private
    assert holds(hub, run)
    assert [title for _, title in commits(hub)] == [f"cotforge: {ROWS} lessons, {2 * ROWS} traces"]
    card = hub.dataset().text("README.md")
    assert 'load_dataset("me/ds", split="train")' in card
    assert f"howpublished = {{{hub.url}/datasets/me/ds}}" in card
    asked, put = len(hub.requests), hub.put_bytes
    assert "no commit was made" in push(run, *way)
    assert len(commits(hub)) == 1
    assert hub.put_bytes == put
    assert not [request for request in hub.requests[asked:] if re.match("PUT|POST", request)]


def test_stale_shards_are_removed_by_the_commit_that_brings_the_new_ones(run: Path, hub: HubServer, way: list[str]) -> None:
    push(run, *way)
    before = {name for name in hub.dataset().files() if name.endswith(".parquet")}
    rows_removed(run)
    said = push(run, *way)
    assert len(commits(hub)) == 2
    assert holds(hub, run)
    stale = before - set(hub.dataset().files())
    assert stale
    assert all(name in said for name in stale)


def test_a_hub_without_xet_is_told_with_the_switch_that_goes_without(run: Path, hub: HubServer) -> None:
    hub.faults = [HubFault("GET .*/xet-write-token/", status=404)]
    assert push(run, code=2) == ("me/ds: the server has no Xet storage (404 for xet-write-token); --no-xet sends whole files by HTTP\n")
    push(run, "--no-xet")


CALLS = (
    "GET /api/whoami-v2", "GET /api/datasets/me/ds$", "POST /api/repos/create", "GET .*/revision/", "GET .*/tree/", "GET .*/refs$",
    "POST /api/validate-yaml", "POST .*/preupload/", "POST .*/commit/", "POST .*/tag/",
)  # fmt: skip
BY_HTTP = ("POST .*/objects/batch", "PUT /lfs/", "POST /lfs/.*/verify")


@pytest.mark.parametrize(("status", "headers"), [(503, {}), (429, {"RateLimit": '"api";r=0;t=0', "Retry-After": "0"})])
def test_each_call_may_be_refused_once(run: Path, hub: HubServer, status: int, headers: dict[str, str]) -> None:
    way, calls = (["--no-xet"], CALLS + BY_HTTP) if status == 503 else ([], (*CALLS, "GET .*/xet-write-token/"))
    hub.faults = [HubFault(call, status=status, headers=headers) for call in calls]
    push(run, *way, "--tag", "v1", repo="ds")
    assert [fault.request for fault in hub.faults if not fault.met] == []
    assert len(commits(hub)) == 1
    assert holds(hub, run, "v1")


def test_a_connection_that_breaks_amid_a_file_is_made_again(run: Path, hub: HubServer) -> None:
    hub.faults = [HubFault("PUT /lfs/", kind="reset")]
    push(run, "--no-xet")
    assert hub.faults[0].met
    assert len(commits(hub)) == 1
    assert holds(hub, run)


def test_a_commit_that_was_made_although_the_hub_said_no_is_found_and_not_made_again(run: Path, hub: HubServer, way: list[str]) -> None:
    hub.faults = [HubFault("POST .*/commit/", kind="lost", status=504)]
    push(run, *way)
    assert hub.faults[0].met
    assert len(commits(hub)) == 1
    assert holds(hub, run)


def test_a_push_on_top_of_somebody_elses_commit_is_refused_and_the_same_command_then_goes_through(
    run: Path, hub: HubServer, way: list[str]
) -> None:  # fmt: skip
    push(run, *way)
    rows_removed(run)
    hub.faults = [HubFault("POST .*/commit/", kind="moved")]
    said = push(run, *way, code=2)
    assert "somebody else changed its main branch meanwhile" in said
    assert [title for _, title in commits(hub)][1:] == ["Update notes.txt"]
    push(run, *way)
    assert holds(hub, run)
    assert hub.dataset().text("notes.txt") == "mine"


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_push_that_was_ended_leaves_nothing_half_and_sends_no_file_twice(
    run: Path, hub: HubServer, tmp_path: Path, end: signal.Signals
) -> None:  # fmt: skip
    large = [path for path in (run / "dataset").rglob("*.*") if LFS_NAME.fullmatch(path.name)]
    hub.faults = [HubFault("PUT /lfs/", kind="held")]
    given = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path), "HF_TOKEN": TOKEN}
    words = command("push", run, "me/ds", "--no-xet")
    with Running(words, env=environment(given), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while len(hub.objects) < len(large) - 1:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(end)
        told = process.communicate()[1]
    assert (process.returncode, "run the same command again to resume" in told) in ((-signal.SIGKILL, False), (130, True))
    assert commits(hub) == []
    before = hub.put_bytes
    push(run, "--no-xet")
    assert len(commits(hub)) == 1
    assert holds(hub, run)
    assert hub.put_bytes == sum(path.stat().st_size for path in large) > before > 0


def test_a_push_that_was_killed_before_its_commit_sends_nothing_again_by_xet(run: Path, hub: HubServer, storage: Path) -> None:
    hub.faults = [HubFault("POST .*/commit/", kind="held")]
    given = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(storage / "cache"), "HF_TOKEN": TOKEN}
    pq.write_table(pa.table({"bytes": [os.urandom(300_000)]}), next((run / "dataset" / "data").iterdir()), compression="none")
    with Running(command("push", run, "me/ds"), env=environment(given), stderr=subprocess.DEVNULL, text=True) as process:
        while not hub.faults[0].met:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
        process.wait()
    assert commits(hub) == []
    assert (publish(run, "me/ds").network_bytes or 0) < 100_000
    assert holds(hub, run)


def test_what_the_hub_holds_is_compared_with_what_was_sent(run: Path, hub: HubServer, way: list[str]) -> None:
    hub.faults = [HubFault("POST .*/commit/", kind="spoiled")]
    assert "is not what was pushed" in push(run, *way, code=2)
    push(run, *way)
    assert holds(hub, run)


def test_by_xet_only_what_is_new_goes_over_the_network(run: Path, hub: HubServer) -> None:
    shard = next((run / "dataset" / "data").iterdir())
    rows = [os.urandom(100_000) for _ in range(20)]
    sent = []
    for _ in range(2):
        pq.write_table(pa.table({"bytes": rows}), shard, compression="none", use_dictionary=False)
        sent.append(publish(run, "me/ds").network_bytes or 0)
        rows[10] = os.urandom(100_000)
    assert sent[0] > 2_000_000
    assert 100_000 < sent[1] < 700_000


def test_a_pull_request_leaves_main_alone_and_the_same_again_opens_no_other(run: Path, hub: HubServer, way: list[str]) -> None:
    push(run, *way)
    rows_removed(run)
    for _ in range(2):
        assert "discussions/1" in push(run, *way, "--pr")
    assert [ref for ref, _ in commits(hub)] == ["refs/heads/main", "refs/pr/1"]
    assert [pull["status"] for pull in hub.dataset().pulls] == ["open"]
    assert not holds(hub, run)
    assert holds(hub, run, "refs/pr/1")


def test_a_pull_request_that_was_interrupted_is_resumed(run: Path, hub: HubServer) -> None:
    push(run)
    rows_removed(run)
    hub.faults = [HubFault("POST .*/status", status=400)]
    push(run, "--pr", code=2)
    assert hub.dataset().pulls[0]["status"] == "draft"
    assert "discussions/1" in push(run, "--pr")
    assert [pull["status"] for pull in hub.dataset().pulls] == ["open"]
    assert [ref for ref, _ in commits(hub)] == ["refs/heads/main", "refs/pr/1"]


def test_a_tag_names_the_commit_and_one_that_is_taken_is_told_before_anything_is_sent(run: Path, hub: HubServer) -> None:
    assert 'revision="v1"' in push(run, "--tag", "v1")
    push(run, "--tag", "v1")  # nothing changed, and it is there already
    rows_removed(run)
    asked = len(hub.requests)
    assert "has a tag 'v1' already" in push(run, "--tag", "v1", code=2)
    assert not [request for request in hub.requests[asked:] if request.startswith("P")]
    push(run, "--tag", "v2")
    assert hub.dataset().tags == {"v1": hub.dataset().tags["v1"], "v2": hub.dataset().refs["refs/heads/main"]}


def test_a_branch_is_made_where_it_is_not_there(run: Path, hub: HubServer) -> None:
    push(run)
    rows_removed(run)
    assert 'revision="small"' in push(run, "--revision", "small")
    assert holds(hub, run, "small")
    assert not holds(hub, run)
    assert "no commit was made" in push(run, "--revision", "small")
    push(run)
    push(run, "--revision", "same")
    assert hub.dataset().refs["refs/heads/same"] == hub.dataset().refs["refs/heads/main"]


def test_nothing_is_published_without_the_word_public(run: Path, hub: HubServer) -> None:
    hub.create("datasets", "me/ds", private=False)
    assert "--public" in push(run, code=2)
    assert len(hub.dataset().commits) == 1
    push(run, "--public")
    push(run, "--public", repo="me/other")
    assert not hub.dataset("me/other").private
    push(run, repo="me/kept")
    rows_removed(run)
    push(run, "--public", repo="me/kept")
    assert hub.dataset("me/kept").private


def test_what_people_wrote_in_the_card_stays_and_what_cotforge_wrote_is_written_anew(run: Path, hub: HubServer, way: list[str]) -> None:
    push(run, *way)
    header, body = hub.dataset().text("README.md").removeprefix("---\n").split("---\n", 1)
    keys = {**yaml.safe_load(header), "extra_gated_prompt": "Say who you are.", "pretty_name": "Mine"}
    keys["tags"] = [*keys["tags"], "feelings"]
    theirs = body.replace("## Teachers", "## Thanks\n\nTo all.\n\n## Teachers") + "\nPlease cite us.\n"
    hub.write(hub.dataset(), "README.md", f"---\n{yaml.safe_dump(keys)}---\n{theirs}")
    rows_removed(run)
    push(run, *way)
    text = hub.dataset().text("README.md")
    now = yaml.safe_load(text.removeprefix("---\n").split("---\n")[0])
    assert now["extra_gated_prompt"] == "Say who you are."
    assert now["tags"][-1] == "feelings"
    assert now["pretty_name"] == "feelings"
    assert text.count("To all.") == text.count("Please cite us.") == text.count("## Teachers") == 1
    assert "no commit was made" in push(run, *way)


def test_a_repository_of_something_else_is_left_alone_unless_that_is_said(run: Path, hub: HubServer) -> None:
    other = hub.create("datasets", "me/ds")
    hub.write(other, "README.md", "# Birds\n\nAll of them.\n")
    hub.write(other, "data/train-00000-of-00001.parquet", "robin\n")
    assert "--allow other-repository" in push(run, code=2)
    assert len(other.commits) == 3
    push(run, "--allow", "other-repository")
    assert other.text("data/train-00000-of-00001.parquet") == "robin\n"
    assert "All of them." in other.text("README.md")


def test_a_secret_in_a_trace_or_in_the_card_keeps_everything_back_and_its_word_lets_it_go(run: Path, hub: HubServer) -> None:
    shard = next((run / "dataset" / "traces").glob("*.parquet"))
    table = pq.read_table(shard)
    texts = table["reasoning"].to_pylist()
    texts[2] += " The key is ghp_16C7e42F292c6912E7710c838347Ae178B4a."
    place = table.schema.get_field_index("reasoning")
    pq.write_table(table.set_column(place, table.schema.field(place), pa.array(texts, table.schema.field(place).type)), shard)
    with (run / "dataset" / "README.md").open("a") as card:
        card.write(f"\n{TOKEN}\n")
    said = push(run, code=2)
    assert len(said.splitlines()) == 2
    assert f"traces/{shard.name}: row 3 of reasoning" in said
    assert "ghp_16C7" not in said
    assert not hub.repositories
    allowed = [word for name in re.findall(r"--allow (\S+)", said) for word in ("--allow", name)]
    push(run, *allowed[:2], code=2)
    push(run, *allowed)


def test_a_licence_that_says_more_than_the_source_is_refused_unless_confirmed(run: Path, hub: HubServer) -> None:
    card = run / "dataset" / "README.md"
    card.write_text(card.read_text().replace("license: cc-by-4.0", "license: cc0-1.0", 1))
    assert "wants the makers to be named" in push(run, code=2)
    assert not hub.repositories
    push(run, "--allow", "licence")
    card.write_text(card.read_text().replace("license: cc0-1.0", "license: mine", 1))
    assert "license: 'mine' is not known to the Hub" in push(run, code=2)


def test_licences_that_nobody_stated_keep_a_dataset_from_the_public_alone(run: Path, hub: HubServer) -> None:
    for file in (run / "pipeline.yaml", run / "dataset" / "README.md"):
        file.write_text(file.read_text().replace("cc-by-4.0", "unknown"))
    assert "the licence of the images is not stated" in push(run, "--public", code=2)
    assert not hub.repositories
    push(run)
    push(run, "--public")  # which leaves it private
    assert hub.dataset().private
    push(run, "--public", "--allow", "licence", repo="me/open")
    assert not hub.dataset("me/open").private


def test_a_dry_run_changes_nothing(run: Path, hub: HubServer) -> None:
    assert "would push" in push(run, "--dry-run")
    assert not hub.repositories
    push(run)
    rows_removed(run)
    asked = len(hub.requests)
    said = push(run, "--dry-run")
    assert "would remove" in said
    assert not [request for request in hub.requests[asked:] if request.startswith("P")]


def test_a_dry_run_needs_no_token_and_tells_what_would_be_refused(
    run: Path, hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    assert "would push" in push(run, "--dry-run")
    assert "write OWNER/ds" in push(run, "--dry-run", repo="ds", code=2)
    with (run / "dataset" / "README.md").open("a") as card:
        card.write("\nghp_16C7e42F292c6912E7710c838347Ae178B4a\n")
    assert "--allow" in push(run, "--dry-run", code=2)
    assert hub.requests == []


def test_more_files_than_one_commit_takes_come_to_main_by_one_merge(run: Path, hub: HubServer) -> None:
    push(run)
    names = [f"data/train-{number:05d}-{number:016x}.parquet" for number in range(MOST_FILES + 5)]
    for number, name in enumerate(names):
        pq.write_table(pa.table({"id": [str(number)]}), run / "dataset" / name)
    files = [{"split": "train", "path": names}]
    header = {"license": "cc-by-4.0", "tags": ["cotforge"], "configs": [{"config_name": "default", "data_files": files}]}
    (run / "dataset" / "README.md").write_text(f"---\n{yaml.safe_dump(header)}---\n\n# Many\n")
    push(run)
    assert [ref for ref, _ in commits(hub)] == ["refs/heads/main", "refs/pr/1", "refs/pr/1", "refs/heads/main"]
    assert [pull["status"] for pull in hub.dataset().pulls] == ["merged"]
    assert {name for name in hub.dataset().files() if name.endswith(".parquet")} == set(names)
    assert "no commit was made" in push(run)


def test_the_students_weights_go_and_what_resumes_its_training_stays(run: Path, hub: HubServer, way: list[str]) -> None:
    folder = student_of(run)
    (folder / "optimizer.pt").write_bytes(b"x")
    push(run, "--model", *way, repo="me/student")
    assert set(hub.model("me/student").files()) == {".gitattributes", "README.md", "config.json", "model.safetensors"}
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    push(run, "--model", *way, repo="me/student")
    assert "model.safetensors" not in hub.model("me/student").files()
    (folder / "README.md").write_text(STUDENT_CARD.replace("---\n", "---\nlicense: apache-2.0\n", 1))
    pipeline = run / "pipeline.yaml"
    pipeline.write_text(pipeline.read_text().replace("license: apache-2.0", "license: cc-by-nc-4.0"))
    assert "may not be used commercially" in push(run, "--model", *way, repo="me/student", code=2)
    assert len(hub.model("me/student").commits) == 3


def test_what_a_user_got_wrong_is_one_line(run: Path, hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert push(run, "--model", code=2) == "run: has no student; `cotforge train` makes one\n"
    assert "is not a run folder" in push(tmp_path / "elsewhere", code=2)
    assert "is not the name of a repository" in push(run, repo="a/b/c", code=2)
    assert "give one of them" in push(run, "--pr", "--revision", "x", code=2)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert len(push(run, code=2).splitlines()) == 1
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    assert "there is no token of the Hub" in push(run, code=2)
    shutil.rmtree(run / "dataset" / "data")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert "is missing, and the card names it" in push(run, code=2)


def test_a_dataset_without_lessons_is_not_pushed_and_a_dry_run_says_so_in_the_words_of_export(run: Path, hub: HubServer) -> None:
    curated = ran("curate", run, "--set", "consensus.promise.precision=0.95", cwd=run.parent)
    assert curated.returncode == 0, curated.stderr
    assert f"no lessons: {ROWS} of {ROWS} rows ended as vote:below_target, {ROWS} of them left out by consensus.promise; " in curated.stdout
    exported = ran("export", run.name, "--to", "sharegpt", cwd=run.parent)
    assert "its dataset has no lessons" in exported.stderr
    for words in ((), ("--dry-run",)):
        assert push(run, *words, code=2) == exported.stderr


def test_a_link_in_the_dataset_is_not_followed(run: Path, hub: HubServer, tmp_path: Path) -> None:
    os.symlink(tmp_path, run / "dataset" / "extra.csv")
    assert "is a link, which is not followed" in push(run, code=2)
    assert not hub.requests
