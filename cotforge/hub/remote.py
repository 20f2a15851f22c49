"""A repository on the Hub: what is there, and what changes it. Every call is made again where it failed for a passing reason."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from cotforge.errors import HubError
from cotforge.hub.local_files import CARD, LocalFile
from cotforge.hub.remote_card import CardParts
from cotforge.hub.retrying import Note, hub_error, retry_transient

MAIN = "main"
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class RemoteFile:
    """A file in a revision of a repository."""

    size: int
    oid: str
    """What git calls it by."""
    sha256: str | None
    """Of a large file alone."""

    def holds(self, file: LocalFile) -> bool:
        """Whether it is that one, to the byte."""
        return self.size == file.size and (file.git_oid == self.oid if self.sha256 is None else file.sha256 == self.sha256)


class RemoteRepository:
    """One repository. Its methods raise HubError, with its name and what would be right."""

    def __init__(self, client: Any, name: str, kind: str, note: Note) -> None:
        """`kind` is `dataset` or `model`."""
        self.client, self.kind, self._note = client, kind, note
        self.name = self._full_name(name)
        self.url = f"{client.endpoint}/{'datasets/' if kind == 'dataset' else ''}{self.name}"

    def _full_name(self, name: str) -> str:
        if not re.fullmatch(r"(?:[\w.-]{1,96}/)?[\w.-]{1,96}", name) or ".." in name or "--" in name or name.endswith(".git"):
            raise HubError(f"{name[:120]}: is not the name of a repository; write owner/name, of letters, digits, '.', '_' and '-'")
        if "/" not in name and self.client.token is False:
            raise HubError(f"{name}: whose it would be is not known without a token of the Hub; write OWNER/{name}, or run `hf auth login`")
        return name if "/" in name else f"{self.call_hub(self.client.whoami, name)['name']}/{name}"

    def call_hub(self, call: Callable[..., Answer], where: str = "", *, patient: bool = False, **given: Any) -> Answer:
        """What a call of the client gives; `patient` are those that try again by themselves.

        Raises HubError, whose line begins with `where` or the repository's name.
        """
        try:
            return call(**given) if patient else retry_transient(partial(call, **given), note=self._note)
        except Exception as fault:
            raise hub_error(fault, where or self.name) from fault

    def is_private(self) -> bool | None:
        """Whether it is private; None where it is not there."""
        from huggingface_hub.errors import RepositoryNotFoundError

        def asked() -> bool | None:
            try:
                return bool(self._api("repo_info")().private)
            except RepositoryNotFoundError:
                return None

        return self.call_hub(asked)

    def create_repository(self, *, private: bool) -> None:
        """Make it; where it is there already, it stays as it is."""
        self.call_hub(self._api("create_repo"), private=private, exist_ok=True)

    def find_head(self, revision: str) -> str | None:
        """The commit that a revision is at; None where there is no such revision."""
        from huggingface_hub.errors import RevisionNotFoundError

        def asked() -> str | None:
            try:
                return str(self._api("repo_info")(revision=revision).sha)
            except RevisionNotFoundError:
                return None

        return self.call_hub(asked)

    def make_branch(self, name: str) -> None:
        """Make a branch at the head of main."""
        self.call_hub(self._api("create_branch"), branch=name, exist_ok=True)

    def list_files(self, revision: str) -> dict[str, RemoteFile]:
        """Every file of a revision."""
        from huggingface_hub.hf_api import RepoFile

        def asked() -> dict[str, RemoteFile]:
            entries = self._api("list_repo_tree")(recursive=True, revision=revision)
            files = (entry for entry in entries if isinstance(entry, RepoFile))
            return {file.path: RemoteFile(file.size, file.blob_id, file.lfs.sha256 if file.lfs else None) for file in files}

        return self.call_hub(asked)

    def read_card(self, revision: str) -> CardParts:
        """The card of a revision that has one."""
        with TemporaryDirectory(prefix="cotforge-card-") as folder:
            path = self.call_hub(self._api("hf_hub_download"), patient=True, filename=CARD, revision=revision, cache_dir=folder)
            text = Path(path).read_text(encoding="utf-8", errors="replace")
        try:
            return CardParts.of(text)
        except ValueError as fault:
            raise HubError(f"{self.name}: README.md: {fault}; mend it on the Hub, then push again") from fault

    def list_tags(self) -> dict[str, str]:
        """Each tag, with the commit that it is at."""
        return {ref.name: ref.target_commit for ref in self.call_hub(self._api("list_repo_refs")).tags}

    def put_tag(self, name: str, commit: str) -> None:
        """Put a tag at a commit."""
        self.call_hub(self._api("create_tag"), tag=name, revision=commit, exist_ok=True)

    def open_pull(self, title: str) -> tuple[int, str]:
        """(number, URL) of a pull request of this title that is not merged yet; made where there is none."""
        for pull in self.call_hub(lambda: list(self._api("get_repo_discussions")(discussion_type="pull_request"))):
            if pull.title == title and pull.status in ("draft", "open"):
                return pull.num, pull.url
        made = self.call_hub(self._api("create_pull_request"), title=title, description="Made by `cotforge push`.")
        return made.num, made.url

    def offer_pull(self, number: int) -> None:
        """Say that a pull request is a draft no more."""
        self.call_hub(self._api("change_discussion_status"), discussion_num=number, new_status="open")

    def merge_pull(self, number: int) -> None:
        """Merge a pull request into main."""
        self.call_hub(self._api("merge_pull_request"), discussion_num=number)

    def upload_large(self, additions: Sequence[Any], revision: str) -> None:
        """Send the large ones among the files; what is there already is not sent. No commit is made."""
        self.call_hub(self._api("preupload_lfs_files"), patient=True, additions=additions, revision=revision, free_memory=False)

    def commit_once(self, operations: Iterable[Any], message: str, *, revision: str, parent: str) -> str:
        """Make one commit, tried once, if the revision is still at `parent`. Raises what the client raises."""
        made = self._api("create_commit")(operations=operations, commit_message=message, revision=revision, parent_commit=parent)
        return str(made.oid)

    def _api(self, name: str) -> Callable[..., Any]:
        return partial(getattr(self.client, name), repo_id=self.name, repo_type=self.kind)
