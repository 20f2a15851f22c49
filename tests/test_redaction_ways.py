"""Every way that a key comes back from a server or library, and every way out of a run: nothing kept, shown or published holds it."""

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pyarrow.parquet as pq
import pytest

from cotforge.cli import show_bug
from cotforge.errors import in_words
from cotforge.journal import Journal
from cotforge.records import ANSWERED, Call, Sample
from cotforge.redaction import MARK, remember_secrets
from cotforge.replies.attempt import Attempt
from cotforge.teachers.kinds.openai import OpenAITeacher
from cotforge.teachers.openai import Session, find_proxy
from tests.batches import Provider
from tests.project import cotforge, ran, replay, said, sees, table, teacher, write_pipeline, write_rows
from tests.spellings import KEY, SPELLINGS, letters, stands_in
from tests.stranger import Stranger, completion, http
from tests.teacher import Raw, Teacher

SPELT = ["as it is", "without its last character", "JSON: all", "HTML: twice", "base64 of Bearer", "with line ends"]
"""Of all SPELLINGS, which `test_redaction` goes through, those that differ most in what becomes of them on their way."""
ROWS = 40


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", KEY)


def texts(value: Any) -> Iterator[str]:
    """Every text in a value."""
    if isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from texts(part)
    elif isinstance(value, str):
        yield value


def everything(folder: Path) -> Iterator[tuple[str, str]]:
    """(where, text) of all that lies below a folder: lines of files, cells of tables, and every file's bytes as they are."""
    for path in filter(Path.is_file, folder.rglob("*")):
        yield path.name, letters(path.read_bytes().decode("latin-1"))
        if path.suffix == ".parquet":
            for text in texts(pq.read_table(path).to_pylist()):
                yield path.name, text
        elif path.suffix == ".sqlite":
            with closing(sqlite3.connect(path)) as base:
                for name in [row[0] for row in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()]:
                    for text in texts(base.execute(f"SELECT * FROM {name}").fetchall()):
                        yield f"{path.name}: {name}", text
        else:
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                yield path.name, line.partition("data:image")[0]


def leaks(folder: Path, *ended: CompletedProcess[str]) -> set[str]:
    """Where somebody who has the folder, or saw the screen, could read the key."""
    shown = [(f"screen of {one.args}", line) for one in ended for line in (one.stdout + one.stderr).splitlines()]
    known: dict[str, bool] = {}
    found = set()
    for where, text in [*everything(folder), *shown]:
        if text not in known:
            known[text] = bool(stands_in(KEY, text))
        if known[text]:
            found.add(f"{where}: {text[:300]}")
    return found


def put(body: str, spelling: str, key: str = KEY) -> str:
    """A JSON text with the key in the place of @."""
    spelt = SPELLINGS[spelling](key)
    try:
        json.loads(f'"{spelt}"')
    except ValueError:
        spelt = json.dumps(spelt)[1:-1]
    return body.replace("@", spelt)


def stream(content: str, *, reasoning: str = "", size: int = 3, index: int = 0, **message: Any) -> str:
    """A body of chunks with so many characters each."""
    pieces = [("reasoning_content", reasoning[at : at + size]) for at in range(0, len(reasoning), size)]
    pieces += [("content", content[at : at + size]) for at in range(0, len(content), size)]
    chunks = [{"choices": [{"index": index, "delta": {name: piece} | message}]} for name, piece in pieces]
    last = {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in [*chunks, last]) + "data: [DONE]\n\n"


def thought(text: str) -> str:
    return said("awe").replace("The picture", f"The key is {text} and the picture")


def halves(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": part} for part in (text[:29], text[29:37], text[37:47], text[47:])]


def two_choices(spelt: str) -> str:
    first, second = stream(said("awe"), size=20), stream(spelt, size=4, index=1)
    mixed = [line for pair in zip(first.split("\n\n"), second.split("\n\n"), strict=False) for line in pair if "[DONE]" not in line]
    return "\n\n".join([*mixed, *first.split("\n\n")[len(mixed) // 2 :]])


def error(status: int, message: str = "try later", **fields: Any) -> Callable[[str], bytes]:
    return lambda spelling: http(status, put(json.dumps({"error": {"message": message, **fields}}), spelling))


def ok(body: str, **headers: Any) -> Callable[[str], bytes]:
    return lambda spelling: http(200, put(body, spelling), **headers)


def spelt(make: Callable[[str], str], **headers: Any) -> Callable[[str], bytes]:
    return lambda spelling: http(200, make(SPELLINGS[spelling](KEY)), **headers)


WAYS_IN: dict[str, Callable[[str], bytes]] = {
    "content": ok(completion(thought("@"))),
    "answer": ok(completion("<think>It is wide, bright and calm.</think><answer>@</answer>")),
    "unread reply": ok(completion("I was told @ and no more")),
    "reasoning field": ok(completion("<answer>awe</answer>", reasoning_content="the picture, so the key, is @, and wide")),
    "reasoning details": ok(completion("awe", reasoning_details=[{"type": "reasoning.text", "text": "key @ of wide"}])),
    "refusal": ok(completion("", refusal="I will not say @")),
    "tool calls": ok(completion(said("awe"), tool_calls=[{"function": {"name": "@", "arguments": '{"key": "@"}'}}])),
    "finish reason": ok(completion(said("awe"), finish="@")),
    "usage": ok(completion(said("awe"), usage={"prompt_tokens": 3, "completion_tokens": 3, "key": "@"})),
    "id, model, fingerprint": ok(json.dumps(json.loads(completion(said("awe"))) | {"id": "@", "model": "@", "system_fingerprint": "@"})),
    "content type": lambda spelling: http(200, "what?", kind=" ".join(SPELLINGS[spelling](KEY).split())),
    "parts of a content": spelt(lambda key: completion(halves(thought(key)), usage={})),  # type: ignore[arg-type]
    "special tokens within": spelt(lambda key: completion(thought("<|im_end|>".join((key[:9], key[9:14], key[14:]))))),
    "stream": spelt(lambda key: stream(thought(key)), kind="text/event-stream"),
    "stream, reasoning": spelt(lambda key: stream("awe", reasoning=f"key {key} wide"), kind="text/event-stream"),
    "stream, a field that is not read": spelt(lambda key: stream(said("awe"), size=40) + stream(key, size=3).replace("content", "extra")),
    "stream, second choice": spelt(two_choices),
    "stream, cut off": spelt(lambda key: stream(thought(key)).partition("finish_reason")[0]),
    "chunks without events": spelt(lambda key: "\n".join(stream(thought(key)).replace("data: [DONE]", "").replace("data: ", "").split())),
    "tokens with probabilities": spelt(lambda key: _with_tokens(key)),
    "page instead of JSON": ok("<html><body>Welcome, @</body></html>", kind="text/html"),
    "broken JSON": ok('{"choices": [{"message": {"content": "@'),
    "error in 200": ok('{"error": {"code": 400, "message": "no @"}}'),
    "error code in 200": ok('{"error": {"code": "@", "message": "no"}}'),
    "error of the request": error(400, "the key @ is not for this picture", type="invalid_request_error"),
    "error without a form": error(422, "no", detail=[{"loc": ["header"], "msg": "@"}]),
    "error, a code": error(409, code="@", type="@"),
    "error, a page": lambda spelling: http(500, f"<html><h1>500</h1><p>{SPELLINGS[spelling](KEY)}</p></html>", kind="text/html"),
    "error, JSON in JSON": error(502, json.dumps({"error": {"message": "upstream: @"}})),
    "error, cut where its message is": error(503, "x" * 280 + " @"),
    "error, cut where its body is": error(500, "x" * 1940 + " @"),
    "busy": error(429, "too many for @"),
    "redirect": lambda spelling: http(302, "", Location=f"http://127.0.0.1/{_flat(spelling)}"),
    "headers": lambda spelling: http(
        503, "{}", Retry_After=_flat(spelling), WWW_Authenticate=f'Bearer realm="{_flat(spelling)}"', x_request_id=_flat(spelling)
    ),
    "status line": lambda spelling: f"HTTP/1.1 500 {_flat(spelling)}\r\nContent-Length: 0\r\n\r\n".encode(),
    "no HTTP": lambda spelling: f"{_flat(spelling)}\r\n\r\n".encode(),
    "bad header": lambda spelling: f"HTTP/1.1 200 OK\r\n{_flat(spelling)}\r\n\r\n".encode(),
    "bad encoding": lambda spelling: http(200, "x", Content_Encoding=_flat(spelling)),
}


def _flat(spelling: str) -> str:
    """In a header: nothing but ASCII, on one line."""
    return " ".join(SPELLINGS[spelling](KEY).encode("ascii", "ignore").decode().split())


def _with_tokens(key: str) -> str:
    body = json.loads(completion(thought(key)))
    body["choices"][0]["logprobs"] = {"content": [{"token": key[at : at + 3], "logprob": -0.1} for at in range(0, len(key), 3)]}
    return json.dumps(body)


class Once:
    """Answers each request the first time by the next way in, and then soundly: no way in takes long."""

    def __init__(self, ways: list[bytes]) -> None:
        self.ways, self.seen, self.used = ways, set[str](), 0

    def __call__(self, number: int, body: dict[str, Any]) -> bytes:
        call = hashlib.sha256(json.dumps(body).encode()).hexdigest()
        if call in self.seen or self.used == len(self.ways):
            return http(200, completion(said("awe")))
        self.seen.add(call)
        self.used += 1
        return self.ways[self.used - 1]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of the server, which may end before its sockets do
@pytest.mark.parametrize("spelling", SPELT)
def test_no_way_in_leads_out(tmp_path: Path, spelling: str) -> None:
    write_rows(tmp_path, ROWS)
    says = Once([way(spelling) for way in WAYS_IN.values()])
    with Stranger(says) as server:
        write_pipeline(tmp_path, teacher(server.url, key_env="A_KEY", listed=False, concurrency=1), consensus={"label": "ignore"})
        built = ran("build", "pipeline.yaml", cwd=tmp_path)
        assert (built.returncode, says.used) == (0, len(WAYS_IN)), built.stderr
        again = ran("check", "pipeline.yaml", cwd=tmp_path)
    curated = [ran("curate", "runs/feelings", *more, cwd=tmp_path) for more in ([], ["--what-if"])]
    assert [one.returncode for one in curated] == [0, 0]
    assert not leaks(tmp_path / "runs", built, again, *curated)
    assert "held a key of yours, which is cut out; its server may have logged it too: change the key" in built.stdout
    for kind in ("data", "traces", "losses"):
        assert MARK in str(table(tmp_path / "runs/feelings", kind)), kind
    bodies = journal(tmp_path / "runs/feelings")
    assert sum(MARK in body for body in bodies) >= 20


def journal(run: Path) -> list[str]:
    with closing(sqlite3.connect(run / "journal.sqlite")) as base:
        return [body or "" for (body,) in base.execute("SELECT body FROM replies")]


@pytest.mark.parametrize("way", WAYS_IN)
def test_the_check_itself_finds_what_a_way_in_brings(way: str) -> None:
    if way not in ("chunks without events", "no HTTP") and not way.startswith("stream") and "parts" not in way and "tokens" not in way:
        assert stands_in(KEY, WAYS_IN[way]("as it is").decode("latin-1"))


@pytest.mark.parametrize("spelling", SPELT)
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_told_without_it(tmp_path: Path, spelling: str, status: int) -> None:
    write_rows(tmp_path, 3)
    refused = put(json.dumps({"error": {"message": "Incorrect API key provided: @", "code": "invalid_api_key", "key": "@"}}), spelling)
    with Teacher(sees, key="another", refusal=Raw(refused, status)) as server:
        for fields in ({}, {"listed": False}):
            write_pipeline(tmp_path, teacher(server, key_env="A_KEY", **fields))
            ended = [ran(command, "pipeline.yaml", cwd=tmp_path) for command in ("check", "build")]
            assert ended[1].returncode in (2, 3)
            assert not leaks(tmp_path / "runs", *ended)


@pytest.mark.parametrize("spelling", SPELT)
def test_lists_of_models_are_told_without_a_key(tmp_path: Path, spelling: str) -> None:
    write_rows(tmp_path, 3)
    listing = put(json.dumps({"object": "list", "data": [{"id": "m-@"}, {"id": "@"}]}), spelling)
    with Teacher(sees, listing=Raw(listing)) as server:
        write_pipeline(tmp_path, teacher(server, key_env="A_KEY"))
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert (ended.returncode, "served there: 'm-" in ended.stderr and MARK in ended.stderr) == (2, True), ended.stderr
    assert not leaks(tmp_path / "runs", ended)


@pytest.mark.parametrize("spelling", SPELT)
def test_an_evaluation_keeps_no_key(tmp_path: Path, spelling: str) -> None:
    write_rows(tmp_path, 4)
    path = write_pipeline(tmp_path, teacher("http://127.0.0.1:9/v1"), eval={"share": 0.5})
    said_with_key = thought(SPELLINGS[spelling](KEY))
    with Teacher(said_with_key, listing=Raw(put('{"data": [{"id": "@"}]}', spelling))) as server:
        ended = [ran("eval", path, "--url", server.url, "--key-env", "A_KEY", cwd=tmp_path)]
        server.listing = None
        ended += [ran("eval", path, "--url", server.url, "--key-env", "A_KEY", "--model", "m", cwd=tmp_path)]
    assert not leaks(tmp_path / "runs", *ended)
    assert [one.returncode for one in ended] == [2, 0], ended


@pytest.mark.parametrize("spelling", ["as it is", "JSON: all", "with line ends"])
def test_batches_keep_no_key(tmp_path: Path, spelling: str) -> None:
    write_rows(tmp_path, 6)
    key = SPELLINGS[spelling](KEY)
    fates = ["stranger", "torn", 400, "unmade", "twice", None]
    fate_of = dict[str, Any]()

    def fate(body: dict[str, Any], number: int) -> Any:
        return fate_of.setdefault(json.dumps(body), fates[len(fate_of) % len(fates)])

    def hook(when: str) -> None:
        if when == "before GET /files/id/content":
            for name, content in provider.files.items():
                for word in (b"told to fail", b"not made in time"):
                    content = content.replace(word, json.dumps(key)[1:-1].encode())
                provider.files[name] = content

    refused = put(json.dumps({"error": {"message": "not now, @", "code": "@"}}), spelling)
    troubles = iter([(503, refused, {"Retry-After": "0.01"})] * 3)

    def trouble(what: str) -> Any:
        return next(troubles, None) if what in ("POST /files", "GET /batches/id") else None

    with Provider(thought(key), fate=fate, hook=hook, trouble=trouble) as provider:
        write_pipeline(tmp_path, teacher(provider.url, kind="batch", batch={"poll": 0.02}, key_env="A_KEY"))
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "runs/feelings/batches/strange.jsonl").exists()
    assert not leaks(tmp_path / "runs", ended)
    assert MARK in str(table(tmp_path / "runs/feelings", "traces"))


def test_an_id_that_holds_a_key_is_no_id(tmp_path: Path) -> None:
    write_rows(tmp_path, 1)
    with Provider(sees, trouble=lambda what: (200, json.dumps({"id": KEY}), {}) if what == "POST /files" else None) as provider:
        write_pipeline(tmp_path, teacher(provider.url, kind="batch", batch={"poll": 0.02}, key_env="A_KEY"), budget={"minutes": 0.05})
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert not leaks(tmp_path / "runs", ended)


@pytest.mark.parametrize("spelling", SPELT)
def test_every_table_and_page_is_without_the_key_where_all_replies_hold_it(tmp_path: Path, spelling: str) -> None:
    write_rows(tmp_path, 6)
    key = SPELLINGS[spelling](KEY)
    one = {f"row-{number}": thought(key) for number in range(6)}
    other = {f"row-{number}": thought(key).replace("awe", "fear") for number in range(6)}
    with Teacher(thought(key)) as server:
        teachers = teacher(server, "asked", key_env="A_KEY"), replay(tmp_path, "known", one), replay(tmp_path, "wrong", other)
        write_pipeline(tmp_path, *teachers, consensus={"label": "ignore"})
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
    run = tmp_path / "runs/feelings"
    assert ended.returncode == 0, ended.stderr
    assert not leaks(run, ended)
    for kind in ("data", "traces", "preference"):
        assert MARK in str(table(run, kind)), kind
    assert MARK in (run / "report.html").read_text()
    assert "teacher asked: 6 answers held a key of yours" in ended.stdout


@pytest.mark.parametrize("spelling", SPELT)
def test_a_journal_of_an_earlier_version_gives_a_dataset_without_the_key(tmp_path: Path, spelling: str) -> None:
    write_rows(tmp_path, 4)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server, key_env="A_KEY"), consensus={"label": "ignore"})
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    run = tmp_path / "runs/feelings"
    with closing(sqlite3.connect(run / "journal.sqlite")) as base:
        keys = [row[0] for row in base.execute("SELECT key FROM replies").fetchall()]
    asyncio.run(_rewritten(run / "journal.sqlite", keys, put(completion(thought("@")), spelling)))
    ended = ran("curate", run, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert not leaks(run / "dataset", ended)
    assert not {where for where in leaks(run) if not where.startswith("journal.sqlite")}
    assert MARK in str(table(run, "data"))


async def _rewritten(path: Path, keys: list[bytes], body: str) -> None:
    """Later replies to the same Calls, in the journal as they came."""
    with Journal(path) as opened:
        for key in keys:
            number, begun = opened.begin(key.hex(), "one", "model-one")
            await begun
            await opened.end(Attempt(number, key, 200, ANSWERED, True, "stop", body=body))


@pytest.mark.parametrize("name", ["teachers.0.body.user", "task.question", "teachers.0.license"])
def test_a_key_that_stands_in_the_pipeline_itself_is_a_fault_that_does_not_repeat_it(tmp_path: Path, name: str) -> None:
    write_rows(tmp_path, 2)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server, key_env="A_KEY"))
        ended = ran("build", "pipeline.yaml", "--set", f"{name}=is {KEY}", cwd=tmp_path)
    assert ended.returncode == 2
    assert "holds the value of A_KEY itself; write ${A_KEY}" in ended.stderr
    assert not leaks(tmp_path / "runs", ended)


def test_a_value_of_the_file_that_a_credential_does_not_fit_is_told_without_it(tmp_path: Path) -> None:
    write_rows(tmp_path, 2)
    write_pipeline(tmp_path, teacher("http://127.0.0.1:9/v1", temperature="${A_KEY}"))
    ended = ran("check", "pipeline.yaml", cwd=tmp_path)
    assert (ended.returncode, "temperature" in ended.stderr) == (2, True)
    assert not leaks(tmp_path / "runs", ended)


def test_credentials_that_are_sent_in_body_and_url_are_cut_out_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENANT", KEY)
    write_rows(tmp_path, 3)
    with Teacher(lambda body: thought(body["user"])) as server:
        write_pipeline(tmp_path, teacher(server, body={"user": "${TENANT}"}), consensus={"label": "ignore"})
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert not leaks(tmp_path / "runs", ended)
    with Stranger(lambda number, body: http(400, json.dumps({"error": {"message": f"no {KEY}"}}))) as other:
        write_pipeline(tmp_path, teacher(f"{other.url}/${{TENANT}}/", listed=False))
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert not leaks(tmp_path / "runs", ended)


@pytest.mark.parametrize("secret", ["abc12", "a-b-c"])
def test_a_key_too_short_to_be_told_from_words_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setenv("A_KEY", secret)
    write_rows(tmp_path, 2)
    with Teacher(thought(f"{secret}, not x{secret}"), key=secret) as server:
        write_pipeline(tmp_path, teacher(server, key_env="A_KEY"), consensus={"label": "ignore"})
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert (
        "teacher 'one': the key in A_KEY has fewer than 8 letters and digits: it is cut out of replies only where it stands" in ended.stderr
    )
    assert f"The key is {MARK}, not x{secret} and" in str(table(tmp_path / "runs/feelings", "traces"))


@pytest.mark.parametrize("secret", ["EMPTY", "ollama", "awe"])
def test_words_are_never_torn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setenv("A_KEY", secret)
    write_rows(tmp_path, 2)
    with Teacher(thought(f"{secret} awesome ollama EMPTY"), key=secret) as server:
        write_pipeline(tmp_path, teacher(server, key_env="A_KEY"), consensus={"label": "ignore"})
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert f"{secret} awesome ollama EMPTY" in str(table(tmp_path / "runs/feelings", "traces"))
    assert ("fewer than 8" in ended.stderr) == (secret == "awe")


def test_a_proxy_that_fails_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    async def asked() -> Attempt:
        async with Session() as session:
            spec = OpenAITeacher(name="one", model="m", url=("https://server.example/v1",))
            call = Call("00" * 32, Sample("1", (), "?"), "one", "m", 0, ({"role": "user", "content": [{"type": "text", "text": "?"}]},))
            return await session.ask(call, spec, spec.url[0], images={}, number=1)

    with Stranger(lambda number, body: b"") as server:
        place = server.url.removeprefix("http://").removesuffix("/v1")
        monkeypatch.setenv("https_proxy", f"http://somebody:{KEY.replace('/', '%2F')}@{place}")
        find_proxy.cache_clear()
        try:
            ended = asyncio.run(asked())
        finally:
            find_proxy.cache_clear()
    assert ended.error == "connection"
    assert not stands_in(KEY, ended.detail)
    assert ended.detail


def test_a_bug_is_shown_without_the_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    remember_secrets(KEY)
    with pytest.raises(RuntimeError) as raised:
        raise RuntimeError(f"no luck with {KEY}")
    show_bug(raised.type, raised.value, raised.tb)
    assert in_words(raised.value) == f"no luck with {MARK}"
    shown = capsys.readouterr().err
    assert "RuntimeError: no luck with ***" in shown
    assert not stands_in(KEY, shown)
    program = tmp_path / "own.py"
    program.write_text("import os\ndef fails(sample, trace, verdict):\n    raise ValueError(os.environ['A_KEY'])\n")
    write_rows(tmp_path, 1)
    with Teacher(sees) as server:
        write_pipeline(
            tmp_path, teacher(server, key_env="A_KEY"), consensus={"label": "ignore"}, filters=[{"measure": "own.py:fails", "min": 0}]
        )
        ended = cotforge("build", "pipeline.yaml", cwd=tmp_path, env={"A_KEY": KEY})
    assert f"ValueError: {MARK}" in ended.stderr
    assert not leaks(tmp_path / "runs", ended)
