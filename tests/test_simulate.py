"""Simulated teachers: they look at the picture they are sent, speak OpenAI's protocol, and fail as told."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from PIL import Image, ImageDraw

from cotforge.errors import PipelineError, TeacherError
from cotforge.simulate import Role, Server
from cotforge.simulate.eyes import LOOKS, Nearest, class_scores, make_eye
from cotforge.simulate.looking import measured_answer
from cotforge.simulate.sight import see_picture
from cotforge.simulate.wording import reasoning_text
from cotforge.teachers.simulated import Simulated
from tests.asking import LABELS, ask, picture, request_body, text_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bars")
    rows = ["image,label"]
    for shift in range(-12, 16, 4):
        for label in LABELS:
            (root / f"{shift}-{label}.png").write_bytes(picture(label, shift=shift))
            rows.append(f"{shift}-{label}.png,{label}")
    (root / "bars.csv").write_text("\n".join(rows))
    return root


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    taught = {"learn": "bars.csv", "look": "strokes"}
    roles = [
        Role("taught", "taught", Simulated(**taught)),
        Role("untaught", "untaught", Simulated(seed=1)),
        Role("locked", "locked", Simulated(), key="sesame"),
        Role("busy", "busy", Simulated(limit=1, retry_after=3, latency=0.4)),
        Role("shaky", "shaky", Simulated(errors=0.5)),
        Role("broken", "broken", Simulated(broken=0.5)),
        Role("silent", "silent", Simulated(hang=1)),
        Role("cut", "cut", Simulated(truncate=1)),
        Role("muddled", "muddled", Simulated(malformed=1)),
    ]
    with Server(roles, LABELS, root=folder) as server:
        yield server.url


def test_a_teacher_answers_from_the_picture_it_is_sent(url: str) -> None:
    for label in LABELS:
        for shift in (-6, 2, 9):
            assert text_of(ask(url, request_body("taught", picture(label, shift=shift)))).endswith(f"<answer>{label}</answer>")


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "PNG"])
def test_other_bytes_of_the_same_picture_get_the_same_answer(url: str, form: str) -> None:
    assert text_of(ask(url, request_body("taught", picture("lying", form=form, size=160)))).endswith("<answer>lying</answer>")


def test_the_same_request_gets_the_same_reply_and_another_order_of_options_other_words(url: str) -> None:
    body = request_body("taught", picture("standing"))
    other = request_body("taught", picture("standing"), "Which is it?\n- standing\n- lying")
    assert text_of(ask(url, body)) == text_of(ask(url, body)) != text_of(ask(url, other))


def test_only_what_the_prompt_offers_is_answered(url: str) -> None:
    text = text_of(ask(url, request_body("taught", picture("lying"), "Is it standing, or outstanding? It is not underlying.")))
    assert text.endswith("<answer>standing</answer>")


def test_a_teacher_without_lessons_has_a_fixed_opinion_and_says_it_has_no_examples(url: str) -> None:
    first, again = (text_of(ask(url, request_body("untaught", picture("o")))) for _ in range(2))
    assert first == again
    assert "examples" in first


def test_several_choices_differ_in_words_and_are_all_counted(url: str) -> None:
    status, reply, _ = ask(url, request_body("taught", picture("lying"), n=3))
    texts = [choice["message"]["content"] for choice in reply["choices"]]
    assert (status, len(set(texts))) == (200, 3)
    assert 300 < reply["usage"]["completion_tokens"] < 900
    assert reply["usage"]["total_tokens"] == reply["usage"]["prompt_tokens"] + reply["usage"]["completion_tokens"]


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_limit_of_tokens_cuts_the_text_where_it_stands(url: str, name: str) -> None:
    whole = text_of(ask(url, request_body("taught", picture("lying"))))
    _, reply, _ = ask(url, request_body("taught", picture("lying"), **{name: 20}))
    choice = reply["choices"][0]
    assert choice["finish_reason"] == "length"
    assert whole.startswith(choice["message"]["content"])
    assert reply["usage"]["completion_tokens"] == 20


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (request_body("nobody", picture("o")), 404),
        (request_body("taught", picture("o"), stream=True), 400),
        (request_body("taught", picture("o"), n=0), 400),
        (request_body("taught", picture("o"), temperature="hot"), 400),
        (request_body("taught", b"not an image"), 400),
        (request_body("taught", picture("o")[:60]), 400),
        ({"model": "taught", "messages": [{"role": "user", "content": "no picture"}]}, 400),
        ({"model": "taught", "messages": "hello"}, 400),
        (
            {"model": "taught", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/y.png"}}]}]},
            400,
        ),
        (b"{", 400),
        (b"[]", 400),
    ],
)
def test_what_cannot_be_answered_is_refused_in_openais_form(url: str, body: object, status: int) -> None:
    code, reply, _ = ask(url, body)
    assert code == status
    assert set(reply["error"]) == {"message", "type", "param", "code"}


def test_a_key_opens_its_teacher_alone(url: str) -> None:
    body = request_body("locked", picture("o"))
    assert ask(url, body)[0] == ask(url, body, key="guess")[0] == 401
    assert ask(url, body, key="sesame")[0] == 200
    with urllib.request.urlopen(f"{url}/models") as listed:
        names = [model["id"] for model in json.load(listed)["data"]]
    assert "taught" in names
    assert "locked" not in names


def test_more_in_flight_than_the_limit_are_told_when_to_come_back(url: str) -> None:
    body = request_body("busy", picture("o"))
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: ask(url, body), range(4)))
    assert sorted(status for status, _, _ in replies) == [200, 429, 429, 429]
    assert {headers["Retry-After"] for status, _, headers in replies if status == 429} == {"3"}


def test_errors_pass_on_a_retry_and_broken_calls_never_do(url: str) -> None:
    def statuses(model: str, shift: int) -> set[int]:
        return {ask(url, request_body(model, picture("lying", shift=shift)))[0] for _ in range(12)}

    assert statuses("shaky", 0) == {200, 500}
    fates = [statuses("broken", shift) for shift in range(-12, 12, 2)]
    assert {200} in fates
    assert {500} in fates
    assert {200, 500} not in fates


def test_a_hanging_teacher_holds_up_no_other(url: str) -> None:
    with pytest.raises(TimeoutError):
        ask(url, request_body("silent", picture("o")), timeout=0.2)
    assert ask(url, request_body("untaught", picture("o")))[0] == 200


def test_a_cut_reply_says_length_and_a_muddled_one_has_no_answer(url: str) -> None:
    _, cut, _ = ask(url, request_body("cut", picture("o")))
    assert cut["choices"][0]["finish_reason"] == "length"
    for shift in range(6):
        text = text_of(ask(url, request_body("muddled", picture("lying", shift=shift))))
        assert "<answer>" not in text


@pytest.mark.parametrize("kind", ["nearest", "logistic", "bayes", "tree", "forest", "svm"])
@pytest.mark.parametrize("look", sorted(LOOKS))
def test_every_eye_learns_bars_with_every_look(folder: Path, kind: str, look: str) -> None:
    seen = make_eye(Simulated.model_validate({"eye": kind, "look": look, "learn": "bars.csv"}), LABELS, root=folder)
    right = 0
    for label in LABELS:
        for shift in (-10, -2, 6):
            scores = seen.scores([see_picture(picture(label, shift=shift))])
            assert sum(scores.values()) == pytest.approx(1)
            right += max(scores, key=scores.__getitem__) == label
    assert right >= 5


@settings(max_examples=30, deadline=None)
@given(nps.arrays(np.float64, (6, 4), elements=st.floats(0, 1)), st.integers(0, 5))
def test_the_nearest_lessons_give_the_scores_that_scikit_learn_gives(lessons: np.ndarray[Any, np.dtype[np.float64]], known: int) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    lessons = lessons + np.arange(6)[:, None]  # apart from one another: among equals either may take any three
    seen, answers = lessons[[known]], ["a", "b", "c", "b", "a", "b"]
    theirs = KNeighborsClassifier(3, weights="distance", algorithm="brute").fit(lessons, answers)
    ours = Nearest().fit(lessons, answers)
    assert list(ours.classes_) == list(theirs.classes_)
    assert ours.predict_proba(seen)[0] == pytest.approx(theirs.predict_proba(seen)[0])


@pytest.mark.parametrize("labels", [2, 3, 10])
@pytest.mark.parametrize("kind", ["logistic", "bayes"])
def test_scores_that_are_worked_out_here_are_those_of_scikit_learn(kind: str, labels: int) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB

    chance = np.random.default_rng(labels)
    models = {"logistic": LogisticRegression(max_iter=2000), "bayes": GaussianNB(var_smoothing=0.03)}
    model = models[kind].fit(chance.random((120, 16)), [f"label {number % labels}" for number in range(120)])
    seen = chance.random((40, 16))
    np.testing.assert_allclose(class_scores(model)(seen), model.predict_proba(seen), atol=1e-12)


def test_holes_and_symmetry_are_measured() -> None:
    assert [see_picture(picture(shape)).measured["holes"] for shape in ("standing", "o", "8")] == [0, 1, 2]
    assert see_picture(picture("o")).measured["hole_height"] == pytest.approx(0.5, abs=0.1)
    assert see_picture(picture("standing")).measured["aspect"] > 2 > 0.5 > see_picture(picture("lying")).measured["aspect"]
    assert see_picture(picture("nothing")).measured == {}


@settings(max_examples=40, deadline=None)
@given(nps.arrays(np.uint8, (24, 24, 3)))
def test_any_picture_can_be_measured_and_talked_about(cells: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    file = io.BytesIO()
    Image.fromarray(cells).save(file, "PNG")
    sight = see_picture(file.getvalue())
    assert all(0 <= sight.measured.get(name, 0) <= 1 for name in ("upper", "left", "symmetry", "hole_height"))
    assert reasoning_text(sight, {"standing": 0.7, "lying": 0.3}, {}, rng=Random(0))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["standing", "lying", "o", "8"]), st.floats(0, 1))
def test_reasoning_is_of_80_to_160_words_and_does_not_repeat_itself(folder: Path, seed: int, shape: str, score: float) -> None:
    usual = make_eye(Simulated(learn="bars.csv"), LABELS, root=folder).usual if seed % 50 == 0 else {}
    words = reasoning_text(see_picture(picture(shape)), {"standing": score, "lying": 1 - score}, usual, rng=Random(seed)).split()
    grams = list(zip(words, words[1:], words[2:], words[3:], strict=False))
    assert 80 <= len(words) <= 160
    assert 1 - len(set(grams)) / len(grams) < 0.2


def test_a_free_answer_is_measured_on_the_picture() -> None:
    assert measured_answer("How many rings are there?", see_picture(picture("pair"))) == "2"
    image = Image.new("RGB", (64, 64), "white")
    ImageDraw.Draw(image).rectangle((20, 20, 44, 44), fill="red")
    file = io.BytesIO()
    image.save(file, "PNG")
    assert measured_answer("Which colour has the square?", see_picture(file.getvalue())) == "red"


def test_the_server_ends_with_its_block(folder: Path) -> None:
    with Server([Role("a", "a", Simulated())], LABELS, root=folder) as server:
        assert ask(server.url, request_body("a", picture("o")))[0] == 200
    assert refuses(server.url)


PROGRAM = """
import sys, time
from pathlib import Path
from cotforge.simulate import Role, Server
from cotforge.teachers.simulated import Simulated
if __name__ == "__main__":
    with Server([Role("a", "a", Simulated())], ["x", "y"], root=Path()) as server:
        print(server.url, flush=True)
        time.sleep(60)
"""


def test_the_server_ends_with_a_killed_owner(tmp_path: Path) -> None:
    (tmp_path / "owner.py").write_text(PROGRAM)
    with subprocess.Popen(
        [sys.executable, tmp_path / "owner.py"], stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": ":".join(sys.path)}
    ) as owner:
        assert owner.stdout is not None
        served = owner.stdout.readline().strip()
        assert ask(served, request_body("a", picture("o")))[0] == 200
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    assert any(refuses(served) for _ in range(100))


def refuses(url: str) -> bool:
    """Whether nothing listens there any more; waits a little where something does."""
    try:
        ask(url, request_body("a", picture("o")))
    except urllib.error.URLError:
        return True
    except ConnectionError:  # caught in the moment of its end
        pass
    time.sleep(0.05)
    return False


def test_a_taken_port_is_an_error_that_names_it(url: str, folder: Path) -> None:
    port = int(url.removesuffix("/v1").rpartition(":")[2])
    with pytest.raises(TeacherError, match=f"127.0.0.1:{port}"), Server([Role("a", "a", Simulated())], LABELS, root=folder, port=port):
        pass


def test_lessons_that_are_a_pipe_are_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe.csv")
    with pytest.raises(PipelineError, match="is a pipe, and a file is wanted"):
        make_eye(Simulated(learn="pipe.csv"), LABELS, root=folder)


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ("image,label\nmissing.png,lying\n", "missing.png"),
        ("picture,label\nx.png,lying\n", "no column 'image'"),
        ("image,label\n0-lying.png,sitting\n0-standing.png,lying\n", "sitting"),
        ("image,label\n0-lying.png,lying\n", "at least two"),
        ("image,label\nbars.csv,lying\n", "cannot be learnt from"),
    ],
)
def test_lessons_that_cannot_be_learnt_are_an_error_of_the_pipeline(folder: Path, rows: str, fault: str) -> None:
    (folder / "bad.csv").write_text(rows)
    with pytest.raises(PipelineError, match=fault):
        make_eye(Simulated(learn="bad.csv"), LABELS, root=folder)


def test_one_model_cannot_be_played_in_two_ways(folder: Path) -> None:
    roles = [Role("a", "m", Simulated()), Role("b", "m", Simulated(seed=1))]
    with pytest.raises(PipelineError, match="'a' and 'b'"), Server(roles, LABELS, root=folder):
        pass
