"""The process that holds one engine. Its other side is `process.Process`; between them is one socket.

It is sent pickles: (teacher, model) once, then any number of
    ("picture", digest, bytes or path)    kept until ("forget", digest)
    ("ask", id, messages) or, with the seed of what is drawn for it, ("ask", id, messages, seed)
    ("drop", id)
and says JSON lines: {"ready": true} once, {"said": {...}} per request, {"unfit": "one line"} before it ends by itself.
"""

import contextlib
import importlib
import json
import os
import pickle
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from queue import SimpleQueue
from typing import Any, BinaryIO

from cotforge.errors import in_words
from cotforge.records import Fault
from cotforge.teachers.local.engine import Asking, Generation, InferenceEngine, Unfit
from cotforge.teachers.local.spec import LocalTeacher

GRACE_S = 5.0
"""Seconds (ours) that an engine has to end in good order."""

Inbox = SimpleQueue[tuple[Any, ...] | None]
"""Messages as above; None is the end."""


class Desk:
    """One engine with the requests and pictures it has been given."""

    def __init__(self, engine: InferenceEngine, teacher: LocalTeacher, say: Callable[[Generation], None]) -> None:
        self._engine, self._teacher, self._say = engine, teacher, say
        self._unfinished: set[int] = set()
        self._pictures: dict[str, bytes | str] = {}

    def serve(self, inbox: Inbox) -> None:
        """Answer until the inbox ends. What the engine's `step` raises ends it too."""
        while True:
            while not self._unfinished or not inbox.empty():
                if (message := inbox.get()) is None:
                    return
                self._take_message(*message)
            for said in self._engine.step():
                self._unfinished.discard(said.id)
                self._say(said)

    def _take_message(self, what: str, which: Any, content: Any = None, seed: int | None = None) -> None:
        if what == "picture":
            self._pictures[which] = content
        elif what == "forget":
            self._pictures.pop(which, None)
        elif what == "drop":
            self._unfinished.discard(which)
            self._engine.drop(which)
        else:
            self._ask_engine(which, content, seed)

    def _ask_engine(self, id: int, messages: tuple[dict[str, Any], ...], seed: int | None) -> None:
        digests = [part["digest"] for message in messages for part in message["content"] if part["type"] == "image"]
        teacher = self._teacher
        try:
            images = {digest: self._pictures[digest] for digest in digests}
            self._engine.add(Asking(id, messages, images, teacher.temperature, teacher.top_p, teacher.max_tokens, teacher.body, seed))
        except Fault as fault:
            self._say(Generation(id, error=fault.reason, detail=fault.detail))
        except Exception as fault:  # an engine's own: this request is lost, the others are not
            traceback.print_exc()
            self._say(Generation(id, error="engine_error", detail=in_words(fault)))
        else:
            self._unfinished.add(id)


def serve_socket(descriptor: int) -> int:
    """Serve at the socket until it is closed, be it by the death of the other side. Returns the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started this: it may still want what is in flight
    connection = socket.socket(fileno=descriptor)
    connection.set_inheritable(False)
    stream = connection.makefile("rwb")

    def say(what: str, value: Any) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # nobody listens any more: the inbox ends as well
            stream.write(json.dumps({what: value}).encode() + b"\n")
            stream.flush()

    teacher: LocalTeacher
    teacher, model = pickle.load(stream)
    inbox: Inbox = SimpleQueue()
    threading.Thread(target=_receive_messages, args=(stream, inbox), daemon=True).start()
    try:
        engine: InferenceEngine = importlib.import_module(teacher.loader).load_model(teacher, model)
        say("ready", True)
        try:
            Desk(engine, teacher, lambda said: say("said", asdict(said))).serve(inbox)
        finally:
            engine.close()
    except Unfit as fault:
        say("unfit", str(fault))
        return 1
    except ModuleNotFoundError as fault:
        say("unfit", f"{teacher.needs()} ({fault})")
        return 1
    except Exception as fault:  # a stranger's model or library: told in one line, and whole in the log
        traceback.print_exc()
        say("unfit", in_words(fault))
        return 1
    finally:
        connection.shutdown(socket.SHUT_RD)  # the other thread must not be reading when the interpreter ends
    return 0


def _receive_messages(stream: BinaryIO, inbox: Inbox) -> None:
    """Always ready to receive, so that sending never waits for a step. At the end the engine has `GRACE_S`, then all is killed."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            inbox.put(pickle.load(stream))
    inbox.put(None)
    time.sleep(GRACE_S)
    os.killpg(0, signal.SIGKILL)  # a group of its own: this process and whatever the engine has started
