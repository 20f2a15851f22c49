"""Before anything paid: what is wrong with a teacher is one line and exit 2, and nothing has been asked."""

import contextlib
import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from cotforge.teachers import preflight
from cotforge.teachers.preflight import is_listed
from tests.project import cotforge, ran, sees, teacher, write_pipeline, write_rows
from tests.teacher import Raw, Teacher


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def said(folder: Path, command: str = "build", **env: str) -> tuple[int, str]:
    ran = cotforge(command, "pipeline.yaml", cwd=folder, env=env)
    assert "Traceback" not in ran.stderr
    return ran.returncode, ran.stderr.strip()


def test_a_model_that_is_not_served_names_what_is_and_nothing_is_asked(tmp_path: Path) -> None:
    write_rows(tmp_path, 2)
    with Teacher(sees, models=["other/model"]) as server:
        write_pipeline(tmp_path, teacher(server))
        for command in ("check", "build"):
            line = f"teacher 'one': {server.url} does not serve 'model-one'; served there: 'other/model'"
            assert said(tmp_path, command) == (2, f"{line}; if it is served all the same, set listed: false")
        assert not server.ledger
        write_pipeline(tmp_path, teacher(server, listed=False), max_failures=1)
        assert said(tmp_path)[0] == 0, "listed: false skips the list"


def test_check_offline_looks_at_no_teacher_and_tells_the_plan(tmp_path: Path) -> None:
    write_rows(tmp_path, 2)
    write_pipeline(tmp_path, {"name": "one", "model": "m", "url": f"http://localhost:{free_port()}/v1"})
    assert said(tmp_path, "check")[0] == 2
    checked = cotforge("check", "pipeline.yaml", "--offline", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert "2 calls to make" in checked.stdout
    both = cotforge("check", "pipeline.yaml", "--offline", "--probe", cwd=tmp_path)
    assert (both.returncode, both.stderr) == (2, "cotforge: --probe asks the teachers, and --offline nobody; leave one out; see --help\n")


def test_a_server_without_a_list_of_models_passes(tmp_path: Path) -> None:
    write_rows(tmp_path, 2)
    with Teacher(sees, models=None) as server:
        write_pipeline(tmp_path, teacher(server))
        assert said(tmp_path)[0] == 0


def test_a_wrong_key_is_told_without_the_key(tmp_path: Path) -> None:
    write_rows(tmp_path, 2)
    with Teacher(sees, key="right", models=["model-one"]) as server:
        write_pipeline(tmp_path, teacher(server, key_env="A_KEY"))
        assert said(tmp_path, A_KEY="wrong-one") == (2, f"teacher 'one': {server.url} said 401: the key in A_KEY is not accepted")
        write_pipeline(tmp_path, teacher(server))
        assert "wants a key; name its variable with key_env" in said(tmp_path)[1]


def test_a_key_whose_variable_is_not_set_is_told_before_any_request(tmp_path: Path) -> None:
    write_rows(tmp_path, 2)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server, key_env="NO_SUCH_KEY"))
        assert said(tmp_path) == (2, "teacher 'one': key_env: the environment has no variable 'NO_SUCH_KEY'")


def test_every_dead_teacher_has_its_line_after_ten_seconds(tmp_path: Path) -> None:
    write_rows(tmp_path, 2)
    dead = f"http://127.0.0.1:{free_port()}/v1"
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        mute = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        three = teacher(mute, "three", listed=False), teacher(dead, "four", listed=False)
        write_pipeline(tmp_path, teacher(dead, "one"), teacher("http://no-such-host.invalid/v1", "two"), *three)
        code, lines = said(tmp_path)
    assert code == 2
    one, two, four = lines.splitlines()
    assert re.fullmatch(rf"teacher 'one': {dead}: connection refused for 1\d s: nothing listens there; is the server up\?", one)
    assert two.startswith("teacher 'two': http://no-such-host.invalid/v1: no such host: ")
    assert four.startswith(f"teacher 'four': {dead}: connection refused")


def test_a_plain_server_behind_https_and_a_certificate_of_nobody_are_told_at_once_as_what_they_are(tmp_path: Path) -> None:
    write_rows(tmp_path, 2)
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "key",
        "-out",
        "crt",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    can = shutil.which("openssl") and subprocess.run(made, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    with Teacher(sees) as server, ExitStack() as stack:
        write_pipeline(tmp_path, teacher(server.url.replace("http:", "https:")))
        begun = time.monotonic()
        assert "does not speak TLS; if it is a plain server, write http:// instead of https://" in said(tmp_path)[1]
        assert time.monotonic() - begun < preflight.PATIENCE
        if can:
            secured = stack.enter_context(Secured(tmp_path / "crt", tmp_path / "key"))
            write_pipeline(tmp_path, teacher(secured.url))
            assert "its TLS certificate or connection is not sound: self-signed certificate" in said(tmp_path)[1]


class Secured:
    """A server that closes every connection after the handshake of TLS."""

    def __init__(self, crt: Path, key: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(crt, key)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._context = context
        self.url = f"https://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                there, _ = self._socket.accept()
                with there, contextlib.suppress(OSError):
                    self._context.wrap_socket(there, server_side=True).close()

    def __enter__(self) -> "Secured":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


def test_a_page_of_html_instead_of_a_list_of_models_says_what_came(tmp_path: Path) -> None:
    write_rows(tmp_path, 2)
    page = Raw("<!DOCTYPE html><html><head><title>Log in to the portal</title></head></html>", content_type="text/html")
    with Teacher(sees, listing=page) as server:
        write_pipeline(tmp_path, teacher(server))
        code, line = said(tmp_path, "check")
        assert (code, len(server.ledger)) == (2, 0)
        assert f"{server.url} answered with a web page 'Log in to the portal' instead of a list of models; is the URL right?" in line
        write_pipeline(tmp_path, teacher(server, listed=False))
        assert said(tmp_path, "check")[0] == 0


def test_a_dead_replica_beside_a_live_one_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(tmp_path, 6)
    with Teacher(sees) as server:
        dead = f"http://127.0.0.1:{free_port()}/v1"
        write_pipeline(tmp_path, teacher(server) | {"url": [dead, server.url]})
        code, lines = said(tmp_path)
        assert (code, len(server.ledger)) == (0, 6)
        assert "going on with the other replicas" in lines
    assert preflight.PATIENCE == 10


def test_a_url_that_lacks_its_v1_is_told_so(tmp_path: Path) -> None:
    write_rows(tmp_path, 2)
    with Teacher(sees, models=["model-one"]) as server:
        write_pipeline(tmp_path, teacher(server.url.removesuffix("/v1")))
        assert said(tmp_path) == (2, f"teacher 'one': {server.url.removesuffix('/v1')} has no API; did you mean {server.url}?")


@pytest.mark.parametrize(
    ("model", "models"),
    [
        ("m", ["m"]),
        ("gemini-x", ["models/gemini-x"]),
        ("org/m:nitro", ["org/m"]),
        ("m", ["m:latest"]),
        ("openai/m", ["openai/*"]),
        ("anything", ["*"]),
    ],
)
def test_a_list_covers_a_model_by_name_variant_or_pattern(model: str, models: list[str]) -> None:
    assert is_listed(model, models)


@pytest.mark.parametrize(("model", "models"), [("m", ["n"]), ("m", ["mm:latest"]), ("m", []), ("azure/m", ["openai/*"]), ("m", ["m:free"])])
def test_a_list_without_the_model_does_not_cover_it(model: str, models: list[str]) -> None:
    assert not is_listed(model, models)


KEY_REFUSED = "the key in A_KEY is not accepted"


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (400, {"error": {"message": "Invalid API key"}}, f"said 400: {KEY_REFUSED}: Invalid API key"),
        (403, {"detail": "Forbidden"}, f"said 403: {KEY_REFUSED}: Forbidden"),
        (404, {"error": {"message": "no", "code": "invalid_api_key"}}, f"said 404: {KEY_REFUSED}: no"),
        (429, {"error": {"message": "API key expired"}}, f"said 429: {KEY_REFUSED}: API key expired"),
        (500, {"message": "invalid token"}, f"said 500: {KEY_REFUSED}: invalid token"),
        (200, {"error": {"message": "Invalid API key"}}, f"said 200: {KEY_REFUSED}: Invalid API key"),
        (200, [{"error": {"status": "UNAUTHENTICATED", "message": "no"}}], f"said 200: {KEY_REFUSED}: no"),
        (200, {"code": 401, "msg": "token expired", "data": None}, f"said 200: {KEY_REFUSED}: token expired"),
        (200, {"base_resp": {"status_code": 1004, "status_msg": "no"}}, f"said 200: {KEY_REFUSED}: no"),
        (402, {"error": {"message": "Insufficient Balance"}}, "said 402: quota or credit is used up: Insufficient Balance"),
        (429, {"error": {"code": "insufficient_quota", "message": "no"}}, "said 429: quota or credit is used up: no"),
        (
            403,
            "<html><title>x used Cloudflare to restrict access</title></html>",
            "said 403: the account, or this machine's address, is shut out",
        ),
        (
            400,
            {"message": "credential rejected"},
            "said 400: it refuses to list its models: credential rejected; if it",
        ),
        (200, {"success": False, "message": "who?"}, "said 200: it refuses to list its models: who?; if it answers all the same"),
    ],
)
def test_a_teacher_that_refuses_its_list_is_told_of_whatever_the_status_and_nothing_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, body: object, told: str
) -> None:
    monkeypatch.setenv("A_KEY", "wrong-one")
    write_rows(tmp_path, 2)
    listing = Raw(body if isinstance(body, str) else json.dumps(body), status)
    with Teacher(sees, listing=listing) as server:
        write_pipeline(tmp_path, teacher(server, key_env="A_KEY"))
        ended = ran("check", "pipeline.yaml", cwd=tmp_path)
        assert not server.ledger
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert f"teacher 'one': {server.url} {told}" in ended.stderr


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, "404 page not found"),
        (405, ""),
        (501, "{}"),
        (500, "oops"),
        (503, "<p>"),
        (429, "{}"),
        (200, '{"detail": "Not Found"}'),
    ],
)
def test_a_server_without_a_list_or_in_trouble_passes(tmp_path: Path, status: int, body: str) -> None:
    write_rows(tmp_path, 2)
    with Teacher(sees, listing=Raw(body, status)) as server:
        write_pipeline(tmp_path, teacher(server))
        assert ran("check", "pipeline.yaml", cwd=tmp_path).returncode == 0
