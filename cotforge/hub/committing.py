"""What a push changes in a repository, and the commits that change it: all or nothing, and never on top of what somebody else did."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cotforge.errors import HubError
from cotforge.hub.client import added_file, is_xet_used, reported_xet
from cotforge.hub.local_files import CARD, LocalFile
from cotforge.hub.remote import MAIN, RemoteFile, RemoteRepository
from cotforge.hub.retrying import WAITS_S, hub_error, is_transient, wait_before_retry
from cotforge.hub.upload_meter import UploadMeter

MOST_FILES = 250
"""Files of one commit: the Hub ends a commit that takes longer than 60 s (https://huggingface.co/docs/hub/storage-limits)."""


@dataclass(frozen=True)
class RemoteChanges:
    """What a revision lacks to be as the files that are pushed."""

    files: tuple[LocalFile, ...]
    """All that it should hold."""
    added: tuple[LocalFile, ...]
    """Of these, what it does not hold yet, or otherwise."""
    deleted: tuple[str, ...]
    """What it should hold no more."""

    @classmethod
    def between(cls, files: Sequence[LocalFile], tree: dict[str, RemoteFile], stale: Any) -> "RemoteChanges":
        """`stale` matches the names of what earlier pushes may have left."""
        names = {file.name for file in files}
        added = tuple(file for file in files if (there := tree.get(file.name)) is None or not there.holds(file))
        return cls(tuple(files), added, tuple(name for name in sorted(tree) if name not in names and stale.fullmatch(name)))

    def __bool__(self) -> bool:
        return bool(self.added or self.deleted)

    @property
    def size(self) -> int:
        """Bytes of the files that are added."""
        return sum(file.size for file in self.added)

    def is_in(self, tree: dict[str, RemoteFile]) -> bool:
        """Whether a tree is as it should be."""
        held = all(file.name in tree and tree[file.name].holds(file) for file in self.files)
        return held and not any(name in tree for name in self.deleted)


def send_changes(
    remote: RemoteRepository, changes: RemoteChanges, message: str, *, revision: str, parent: str, meter: UploadMeter
) -> str:  # fmt: skip
    """Upload, then commit; more than MOST_FILES in several commits, of which the last one has the card and removes what is stale.

    `parent` is the head of the revision. The head afterwards, which holds the files to the byte. Raises HubError; a commit whose answer
    was lost is found by comparing the trees.
    """
    meter.begin_phase("uploading", sum(file.size for file in changes.added))
    additions = [added_file(file.name, file.source, meter) for file in changes.added]
    if is_xet_used():
        with reported_xet(meter):
            remote.upload_large(additions, revision)
    else:
        remote.upload_large(additions, revision)
    meter.begin_phase("committing")
    parts = list(_split_commits(additions, _delete_operations(changes.deleted)))
    for number, operations in enumerate(parts, 1):
        title = message if number == 1 else f"{message} (part {number})"
        parent = _commit_guarded(
            remote, changes, operations, title, revision=revision, parent=parent, last=number == len(parts), meter=meter
        )
    meter.begin_phase("comparing")
    _verify_commit(remote, changes, parent)
    return parent


def _commit_guarded(
    remote: RemoteRepository, changes: RemoteChanges, operations: list[Any], message: str, *, revision: str, parent: str,
    last: bool, meter: UploadMeter,
) -> str:  # fmt: skip
    """One commit on top of `parent`; after a failure the head tells whether it was made all the same."""
    for wait in (*WAITS_S, None):
        try:
            return remote.commit_once(operations, message, revision=revision, parent=parent)
        except Exception as fault:
            head = remote.find_head(revision)
            if head is not None and head != parent:
                tree = remote.list_files(head)
                if changes.is_in(tree) if last else _holds_files(operations, changes, tree):
                    meter.add_note("the Hub made the commit, although it said that it did not", keep=True)
                    return head
                raise _moved_error(remote, revision, head) from fault
            if wait is None or not is_transient(fault):
                raise hub_error(fault, remote.name) from fault
            wait_before_retry(fault, wait, note=meter.add_note)
    raise AssertionError


def _holds_files(operations: list[Any], changes: RemoteChanges, tree: dict[str, RemoteFile]) -> bool:
    """Whether a tree holds the files of one commit."""
    names = {operation.path_in_repo for operation in operations}
    return all(file.name in tree and tree[file.name].holds(file) for file in changes.added if file.name in names)


def _moved_error(remote: RemoteRepository, revision: str, head: str) -> HubError:
    place = "its main branch" if revision == MAIN else revision
    return HubError(
        f"{remote.name}: somebody else changed {place} meanwhile (it is at {head[:8]} now), and nothing of this push is in it; "
        "run the same command again to push on top of that"
    )


def _verify_commit(remote: RemoteRepository, changes: RemoteChanges, commit: str) -> None:
    """Raises HubError where a commit does not hold the files by size and hash."""
    tree = remote.list_files(commit)
    wrong = [file.name for file in changes.files if file.name not in tree or not tree[file.name].holds(file)]
    left = [name for name in changes.deleted if name in tree]
    if wrong or left:
        raise HubError(
            f"{remote.name}: commit {commit[:8]} is not what was pushed: {(wrong + left)[0]} differs"
            f"{f' and {len(wrong) + len(left) - 1:,} more' if len(wrong) + len(left) > 1 else ''}; run the same command again"
        )


def _split_commits(additions: list[Any], deletions: list[Any]) -> Iterator[list[Any]]:
    """The operations of each commit; the card and what is removed come in the last."""
    cards = [addition for addition in additions if addition.path_in_repo == CARD]
    others = [addition for addition in additions if addition.path_in_repo != CARD]
    first, last = others[: max(0, len(others) - MOST_FILES)], others[max(0, len(others) - MOST_FILES) :]
    for start in range(0, len(first), MOST_FILES):
        yield first[start : start + MOST_FILES]
    yield [*deletions, *last, *cards]


def _delete_operations(names: Sequence[str]) -> list[Any]:
    from huggingface_hub import CommitOperationDelete

    return [CommitOperationDelete(path_in_repo=name, is_folder=False) for name in names]
