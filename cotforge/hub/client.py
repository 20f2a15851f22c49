"""The official client of the Hub, set up for one push: token, Xet or not, no bars and no log lines of its own.

What is used beneath its documented interface stands here alone: `constants.HF_HUB_DISABLE_XET`, which is read at every call, the class that
Xet's progress is reported to, without which no bytes are counted, and what ends Xet's session. All hold for huggingface_hub 2.4.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cotforge.errors import HubError
from cotforge.hub.retrying import Note
from cotforge.hub.upload_meter import UploadMeter
from cotforge.redaction import remember_secrets
from cotforge.version import __version__

TIMEOUT_S = 120.0
"""Seconds without a byte in either direction after which a request is made again; a commit may take a minute."""

_BODY_WARNING = "Use 'content=<...>' to upload raw bytes/text content"
"""How a warning of httpx2 begins that is about the client's own code, at every push."""


def open_client(*, token_needed: bool = True) -> Any:
    """An `HfApi` with the user's token, which is remembered as a credential.

    Where there is none: raises HubError, or unless `token_needed` gives one with `token=False`, by which nothing should be asked.
    """
    from huggingface_hub import HfApi, get_token

    token = get_token()
    if not token and not token_needed:
        return HfApi(token=False, library_name="cotforge", library_version=__version__)
    if not token:
        raise HubError("HF_TOKEN: there is no token of the Hub; `hf auth login` keeps one, or set the variable")
    remember_secrets(token)
    return HfApi(token=token, library_name="cotforge", library_version=__version__)


@contextmanager
def quiet_client(meter: UploadMeter, *, xet: bool) -> Iterator[None]:
    """While open, the client says nothing by itself: its warnings go to `meter`; without `xet`, it sends files by HTTP.

    A server that says nothing for TIMEOUT_S is asked again; the client itself would wait for ever.
    """
    from huggingface_hub import constants, get_session
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    logger, notes = logging.getLogger("huggingface_hub"), _Notes(meter.add_note)
    handlers, propagates, disabled, bars = logger.handlers[:], logger.propagate, constants.HF_HUB_DISABLE_XET, are_progress_bars_disabled()
    logger.handlers, logger.propagate = [notes], False
    constants.HF_HUB_DISABLE_XET = disabled or not xet
    disable_progress_bars()
    session = get_session()
    timeout, session.timeout = session.timeout, TIMEOUT_S
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            warnings.filterwarnings("ignore", _BODY_WARNING, DeprecationWarning)
            yield
        for warning in told:
            meter.add_note(" ".join(str(warning.message).split()), keep=True)
    finally:
        session.timeout = timeout
        logger.handlers, logger.propagate, constants.HF_HUB_DISABLE_XET = handlers, propagates, disabled
        if not bars:
            enable_progress_bars()


def stop_client(meter: UploadMeter) -> None:
    """Have the client's threads end soon: no file is sent again, and Xet gives up."""
    meter.cancelled = True
    try:
        from huggingface_hub.utils._xet import abort_xet_session
    except ImportError:
        return
    abort_xet_session()


@contextmanager
def reported_xet(meter: UploadMeter) -> Iterator[None]:
    """While open, bytes that go by Xet are counted as they go, where this release of the client tells of them."""
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

    with ExitStack() as stack:
        try:
            from huggingface_hub.utils import _xet_progress_reporting as reporting

            usual = reporting.XetUploadProgressReporter
        except (ImportError, AttributeError):
            yield
            return
        reporting.XetUploadProgressReporter = lambda *_, **__: _XetReporter(meter)
        stack.callback(setattr, reporting, "XetUploadProgressReporter", usual)
        enable_progress_bars()  # without them, nothing is reported
        stack.callback(disable_progress_bars)
        yield


def is_xet_used() -> bool:
    """Whether large files go by Xet."""
    from huggingface_hub import constants

    return not constants.HF_HUB_DISABLE_XET and find_spec("hf_xet") is not None


def added_file(name: str, source: Path | bytes, meter: UploadMeter) -> Any:
    """The operation that puts a file into a commit; its bytes are counted as they are sent by HTTP."""
    from cotforge.hub.counted_file import CountedAddition

    return CountedAddition(path_in_repo=name, path_or_fileobj=source, meter=meter)


class _XetReporter:
    """Stands in for the client's bars."""

    def __init__(self, meter: UploadMeter) -> None:
        self._meter = meter

    def update_progress(self, group: Any, items: Any) -> None:
        self._meter.set_place("", int(group.total_bytes_completed))
        self._meter.set_sent(int(group.total_transfer_bytes_completed))

    def close(self) -> None:
        pass


class _Notes(logging.Handler):
    """Hands on the client's warnings as notes: that it tries again, above all."""

    def __init__(self, note: Note) -> None:
        super().__init__(logging.WARNING)
        self._note = note

    def emit(self, record: logging.LogRecord) -> None:
        self._note(record.getMessage().partition("\n")[0])
