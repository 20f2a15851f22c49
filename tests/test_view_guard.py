"""Who may speak to the viewer: one browser, by the name of this machine, and no other site, user or program."""

import re
import socket
from collections.abc import Iterator

import pytest

from cotforge.view.serving import RunViewer
from tests.project import ran, replay, said, write_pipeline, write_rows
from tests.viewing import Client, viewed

OURS = {"Content-Type": "application/json", "X-Cotforge": "1"}


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunViewer]:
    folder = tmp_path_factory.mktemp("guarded")
    write_rows(folder, 2)
    replies = {f"row-{number}": said("awe") for number in range(2)}
    write_pipeline(folder, *(replay(folder, name, dict(replies)) for name in ("one", "two")))
    assert ran("build", "pipeline.yaml", "--out", "run", cwd=folder).returncode == 0
    with viewed(folder / "run") as found:
        yield found


@pytest.fixture(scope="module")
def client(viewer: RunViewer) -> Client:
    return Client(viewer)


def spoken(viewer: RunViewer, *lines: str) -> bytes:
    """What is answered to a request as it is written, headers and all."""
    with socket.create_connection(("127.0.0.1", viewer.port), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1"))
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def test_it_listens_on_the_loopback_address_alone(viewer: RunViewer) -> None:
    assert viewer.url.startswith(f"http://127.0.0.1:{viewer.port}/?token=")
    others = {found[4][0] for found in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}
    for other in others:
        with pytest.raises(OSError), socket.create_connection((other, viewer.port), timeout=2):  # noqa: PT011
            pass


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        ["evil.example:{port}"],
        ["127.0.0.1"],
        ["127.0.0.1:1"],
        ["127.0.0.1:{port}", "127.0.0.1:{port}"],
        ["127.0.0.1:{port}.evil.example"],
        ["127.0.0.1:{port}, evil.example"],
        ["\xb9\xb2\xb7.0.0.1:{port}"],
    ],
)
def test_another_name_than_this_machines_is_refused_before_anything_else(viewer: RunViewer, hosts: list[str]) -> None:
    path = viewer.url.partition(str(viewer.port))[2]
    answer = spoken(viewer, f"GET {path} HTTP/1.1", *(f"Host: {host.format(port=viewer.port)}" for host in hosts))
    assert answer.split(b" ")[1] == b"400", answer[:200]
    assert b"Set-Cookie" not in answer


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_every_name_of_this_machine_is_taken(viewer: RunViewer, name: str) -> None:
    path = viewer.url.partition(str(viewer.port))[2]
    assert spoken(viewer, f"GET {path} HTTP/1.1", f"Host: {name}:{viewer.port}").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("path", ["/", "/sample?key=0", "/static/view.js", "/picture/" + "0" * 64, "/nothing", "/?token=", "/?token=wrong"])
def test_without_the_token_of_this_start_nothing_is_shown(viewer: RunViewer, path: str) -> None:
    answer = spoken(viewer, f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{viewer.port}", f"Cookie: cotforge-{viewer.port}=guessed")
    assert answer.startswith(b"HTTP/1.1 403")
    assert b"feelings" not in answer


def test_the_token_becomes_a_cookie_that_no_script_and_no_other_site_gets(viewer: RunViewer) -> None:
    path = viewer.url.partition(str(viewer.port))[2]
    answer = spoken(viewer, f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{viewer.port}").decode()
    cookie = re.search(rf"Set-Cookie: cotforge-{viewer.port}=([\w-]+); (.*)", answer)
    assert cookie is not None
    assert {word.strip().lower() for word in cookie[2].split(";")} == {"httponly", "path=/", "samesite=strict"}
    assert cookie[1] not in viewer.url
    assert viewer.url.partition("token=")[2] not in answer


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ({"Origin": "http://evil.example"}, "/", 403),
        ({"Origin": "null"}, "/", 403),
        ({"Origin": "https://127.0.0.1:{port}"}, "/", 403),
        ({"Origin": "http://127.0.0.1:1"}, "/", 403),
        ({"Origin": "http://127.0.0.1:{port}"}, "/", 200),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, "/static/view.css", 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}, "/", 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, "/", 200),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, "/sample?key=0", 403),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}, "/", 200),
    ],
)
def test_other_origins_and_sites_are_refused_though_the_cookie_is_there(
    viewer: RunViewer, client: Client, headers: dict[str, str], path: str, status: int
) -> None:
    told = {name: value.format(port=viewer.port) for name, value in headers.items()}
    assert client.ask(path, headers=told)[0] == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json"}, 403),
        ({"Content-Type": "text/plain", "X-Cotforge": "1"}, 403),
        ({"Content-Type": "application/x-www-form-urlencoded", "X-Cotforge": "1"}, 403),
        ({**OURS, "Origin": "http://evil.example"}, 403),
        ({**OURS, "Sec-Fetch-Site": "cross-site"}, 403),
        (OURS, 200),
    ],
)
def test_a_change_needs_what_no_form_can_send(viewer: RunViewer, client: Client, headers: dict[str, str], status: int) -> None:
    assert client.ask("/answer", data={"key": "0", "does": "vote"}, headers=headers)[0] == status


def test_nothing_is_changed_by_a_get_and_a_large_body_is_refused(client: Client) -> None:
    assert client.ask("/answer")[0] == 405
    assert client.ask("/answer", data=b"x" * 100_000, headers=OURS)[0] in (400, 413)


@pytest.mark.parametrize("path", ["/", "/nothing", "/static/view.js", "/static/view.css"])
def test_every_answer_tells_the_browser_to_load_and_run_nothing_else(client: Client, path: str) -> None:
    headers = client.ask(path)[2]
    assert headers["content-security-policy"] == (
        "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
    assert (headers["cross-origin-resource-policy"], headers["cache-control"]) == ("same-origin", "no-store")


def test_only_a_trusted_origin_may_show_it(viewer: RunViewer) -> None:
    run = viewer._pages.run.run
    with viewed(run, trusted_origins=["https://hub.example.org"]) as trusting:
        answer = spoken(trusting, "GET / HTTP/1.1", "Host: hub.example.org", "Origin: https://hub.example.org")
        assert answer.startswith(b"HTTP/1.1 403")  # it has no token yet
        assert b"frame-ancestors https://hub.example.org" in answer
        path = trusting.url.partition(str(trusting.port))[2]
        assert spoken(trusting, f"GET {path} HTTP/1.1", "Host: hub.example.org").startswith(b"HTTP/1.1 200")
