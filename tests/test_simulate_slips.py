"""Every fault that a simulated model can be told to have: what it refuses, what it says instead, and that it is not what it seems."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from cotforge.errors import PipelineError
from cotforge.simulate import Role, Server
from cotforge.simulate.speaker import Speaker
from cotforge.teachers.simulated import Simulated
from tests.asking import LABELS, ask, bars, picture, request_body, text_of

ROLES: dict[str, dict[str, Any]] = {
    "plain": {},
    "uncounted": {"usage": "missing"},
    "absurd": {"usage": "absurd"},
    "small eyes": {"max_image_bytes": 200},
    "short": {"context": 100},
    "sharing": {"media": "photos"},
    "half blocked": {"blocked": 0.5},
    "blocked": {"blocked": 1},
    "filtered": {"filtered": 1},
    "declined": {"declined": 1},
    "blank": {"blank": 1},
    "unclosed": {"unclosed": 1},
    "injected": {"inject": 1},
    "stuck": {"stuck": "lying"},
    "drifting": {"drift": 8},
    "name": {"seed": 5},
    "other name": {"seed": 5},
    "stranger": {"seed": 6},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slips")
    for name in ("photos", "other"):
        (folder / name).mkdir()
        (folder / name / "a b%.png").write_bytes(picture("o"))
    (folder / "photos" / "link.png").symlink_to(folder / "other" / "a b%.png")
    return folder


@pytest.fixture(scope="module")
def url(root: Path) -> Iterator[str]:
    roles = [Role(model, model, Simulated.model_validate(simulated)) for model, simulated in ROLES.items()]
    with Server(roles, LABELS, root=root) as server:
        yield server.url


# requests that are refused, and texts that are not what was asked for


@pytest.mark.parametrize(
    ("model", "name", "status", "message"),
    [
        ("sharing", "photos/a b%.png", 200, ""),
        ("sharing", "other/a b%.png", 400, "must be a subpath of `--allowed-local-media-path"),
        ("sharing", "photos/../other/a b%.png", 400, "must be a subpath"),
        ("sharing", "photos/link.png", 400, "must be a subpath"),
        ("sharing", "photos/b.png", 500, "[Errno 2] No such file or directory"),
        ("plain", "photos/a b%.png", 500, "Cannot load local files without `--allowed-local-media-path`."),
    ],
)
def test_files_are_read_below_the_folder_that_is_shared_and_nowhere_else(
    url: str, root: Path, model: str, name: str, status: int, message: str
) -> None:
    body = request_body(model, b"")
    body["messages"][0]["content"][0]["image_url"]["url"] = f"file://{quote(f'{root}/{name}')}"
    said, reply, _ = ask(url, body)
    assert said == status
    assert message in ("" if status == 200 else reply["error"]["message"])


def test_too_large_an_image_is_refused_and_a_smaller_one_is_not(url: str) -> None:
    small, large = picture("o", size=16), picture("o", size=320)
    assert len(small) <= 200 < len(large)
    assert ask(url, request_body("small eyes", small))[0] == 200
    status, body, _ = ask(url, request_body("small eyes", large))
    assert (status, body["error"]["code"]) == (400, "image_too_large")


def test_prompt_and_max_tokens_together_must_fit_the_context(url: str) -> None:
    assert ask(url, request_body("short", picture("o"), max_tokens=50))[0] == 200
    for body in (
        request_body("short", picture("o"), max_tokens=95),
        request_body("short", picture("o", size=320)),
        request_body("short", picture("o"), "word " * 100),
    ):
        status, said, _ = ask(url, body)
        assert (status, said["error"]["code"]) == (400, "context_length_exceeded")


def test_a_filter_blocks_the_same_requests_however_often_they_are_tried(url: str) -> None:
    fates = [[ask(url, body)[0] for body in bars("half blocked")] for _ in range(2)]
    assert fates[0] == fates[1]
    assert set(fates[0]) == {200, 400}
    _, body, _ = ask(url, request_body("blocked", picture("o")))
    assert body["error"]["code"] == "content_filter"


def test_a_filter_can_take_the_text_away_and_a_model_can_decline(url: str) -> None:
    filtered, declined = (ask(url, request_body(model, picture("o")))[1]["choices"][0] for model in ("filtered", "declined"))
    assert (filtered["finish_reason"], filtered["message"]["content"]) == ("content_filter", "")
    assert (declined["finish_reason"], declined["message"]["content"]) == ("stop", None)
    assert "can't" in declined["message"]["refusal"]


def test_a_blank_text_is_empty_or_white_space(url: str) -> None:
    texts = {text_of(ask(url, body)) for body in bars("blank")}
    assert "" in texts
    assert len(texts) > 1
    assert {text.strip() for text in texts} == {""}


def test_a_reasoning_can_stay_open(url: str) -> None:
    text = text_of(ask(url, request_body("unclosed", picture("o"))))
    assert text.startswith("<think>")
    assert "</think>" not in text
    assert "<answer>" in text


def test_an_injection_speaks_of_another_answer_before_the_real_one(url: str) -> None:
    texts = [text_of(ask(url, body)) for body in bars("injected")]
    for text in texts:
        thought, _, answer = text.rpartition("</think>\n<answer>")
        other = LABELS[answer.startswith(LABELS[0])]
        assert re.search(rf"<answer>{other}</answer>|alert\('{other}'\)", thought)
    assert any("</think>" in text.rpartition("</think>")[0] for text in texts), "some close the reasoning early"


@pytest.mark.parametrize(("model", "usage"), [("uncounted", None), ("absurd", -1)])
def test_what_a_server_says_of_its_tokens_can_be_nothing_or_nonsense(url: str, model: str, usage: int | None) -> None:
    body = ask(url, request_body(model, picture("o")))[1]
    assert body.get("usage", {}).get("prompt_tokens") == usage


# models that are not what their name says


def answers(url: str, model: str) -> list[str]:
    return [text_of(ask(url, body)).rpartition("<answer>")[2] for body in bars(model)]


def test_a_stuck_teacher_gives_one_label_with_reasons(url: str) -> None:
    assert set(answers(url, "stuck")) == {"lying</answer>"}


def test_a_free_answer_can_be_stuck_too(tmp_path: Path) -> None:
    with Server([Role("a", "a", Simulated(stuck="42"))], [], root=tmp_path) as server:
        assert text_of(ask(server.url, request_body("a", picture("o"), "How many?"))).endswith("<answer>42</answer>")


def test_what_a_teacher_is_stuck_at_must_be_a_label(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"simulate\.stuck: 'sitting'"):
        Speaker("a", Simulated(stuck="sitting"), LABELS, root=tmp_path)


def test_two_names_of_one_model_are_right_and_wrong_together(url: str) -> None:
    assert answers(url, "name") == answers(url, "other name") != answers(url, "stranger")


def test_a_model_can_be_changed_in_silence(url: str) -> None:
    first = bars("drifting")[:8]
    before, after = ([text_of(ask(url, body)) for body in first] for _ in range(2))
    assert all(old != new for old, new in zip(before, after, strict=True))
    assert after == [text_of(ask(url, body)) for body in first]
