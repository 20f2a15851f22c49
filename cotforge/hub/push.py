"""From a run folder to a repository on the Hub: `cotforge push` and `cotforge.push`."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from cotforge.errors import HubError, Interrupted
from cotforge.hub.client import open_client, quiet_client
from cotforge.hub.committing import MOST_FILES, RemoteChanges, send_changes
from cotforge.hub.gate import demand_clean, demand_run
from cotforge.hub.leaving import CARD, LeavingFile, LeavingFolder, read_dataset, read_student
from cotforge.hub.pushed import Pushed
from cotforge.hub.remote import MAIN, RemoteFile, RemoteRepository
from cotforge.hub.remote_card import merge_cards
from cotforge.hub.upload_display import UploadDisplay
from cotforge.hub.upload_meter import UploadMeter

FOREIGN = "other-repository"
"""For `--allow`: push to a repository that holds files and was not made by cotforge."""
RESUMES = "what the Hub has already is not sent again: run the same command again to resume"


@dataclass(frozen=True)
class PushTerms:
    """What its user wants of a push."""

    public: bool = False
    pr: bool = False
    revision: str = MAIN
    tag: str | None = None
    dry_run: bool = False
    allow: frozenset[str] = frozenset()


def push(
    run: Path,
    repo: str,
    *,
    model: bool = False,
    public: bool = False,
    pr: bool = False,
    revision: str | None = None,
    tag: str | None = None,
    dry_run: bool = False,
    xet: bool = True,
    allow: Collection[str] = (),
    console: Console | None = None,
) -> Pushed:
    """Push a run's dataset, or with `model` its student, to a repository on the Hub, as one commit or none.

    A new repository is private unless `public`; one that is public already is pushed to only with `public`. `pr`: as a pull request.
    `revision`: to this branch, made where it is not there. `tag`: of the commit. `dry_run`: change nothing and say what would change.
    `xet`: send large files in parts that the Hub may have already. `allow`: findings of the scan that may leave, by name. `console`:
    where progress is shown; nowhere by default. Raises HubError, and Interrupted by a KeyboardInterrupt.
    """
    if pr and revision not in (None, MAIN):
        raise HubError(f"{repo}: a pull request is made to main, and --revision names {revision!r}; give one of them")
    if pr and tag:
        raise HubError(f"{repo}: a tag is of a commit in the repository, and a pull request is none yet; tag it once it is merged")
    terms = PushTerms(public, pr, revision or MAIN, tag, dry_run, frozenset(allow))
    run = Path(run)
    demand_run(run)
    leaving = (read_student if model else read_dataset)(run)
    meter = UploadMeter()
    client = open_client()
    meter.begin("looking for secrets in what would leave")
    try:
        with UploadDisplay(meter, console):
            demand_clean(leaving, allow=terms.allow)
            meter.begin("looking at the Hub")
            with quiet_client(meter, xet=xet):
                pushed = _push(leaving, RemoteRepository(client, repo, leaving.kind, meter.note), terms, meter)
    except KeyboardInterrupt as end:
        raise KeyboardInterrupt from Interrupted(RESUMES) if not isinstance(end.__cause__, Interrupted) else end.__cause__
    return replace(pushed, notes=(*pushed.notes, *dict.fromkeys(meter.notes)))


def _push(leaving: LeavingFolder, remote: RemoteRepository, terms: PushTerms, meter: UploadMeter) -> Pushed:
    private = _demand_visibility(remote, terms)
    if private is None:
        if terms.dry_run:
            return _dry_new(leaving, remote, terms)
        remote.create(private=not terms.public)
    head = _head(remote, terms)
    tree = remote.tree(head)
    files = leaving.with_card(_merged_card(leaving, remote, tree, head, terms))
    changes = RemoteChanges.between(files, tree, leaving.stale)
    _demand_free_tag(remote, terms, None if changes else head)
    pushed = Pushed(
        remote.name, leaving.kind, remote.url, not terms.public if private is None else private, private is None, terms.revision, head,
        len(files), sum(file.size for file in files), len(changes.added), changes.size, changes.deleted, tag=terms.tag,
        dry_run=terms.dry_run, notes=_of_visibility(private, terms),
    )  # fmt: skip
    if terms.dry_run:
        return pushed
    if changes and (terms.pr or (len(changes.added) > MOST_FILES and terms.revision == MAIN)):
        pushed = _through_pull(leaving, remote, files, terms, pushed, meter)
    elif changes:
        if terms.revision != MAIN and remote.head(terms.revision) is None:
            remote.branch(terms.revision)
        commit = send_changes(remote, changes, _message(leaving), revision=terms.revision, parent=head, meter=meter)
        pushed = replace(pushed, commit=commit)
    if terms.tag and pushed.commit:
        remote.tag(terms.tag, pushed.commit)
    return pushed


def _through_pull(
    leaving: LeavingFolder, remote: RemoteRepository, files: tuple[LeavingFile, ...], terms: PushTerms, pushed: Pushed, meter: UploadMeter
) -> Pushed:  # fmt: skip
    """By a pull request, which one that was interrupted goes on with; merged, unless it was asked for."""
    title = f"{_message(leaving)} [{_digest_of(files)}]"
    number, url = remote.open_pull(title)
    revision = f"refs/pr/{number}"
    head = remote.head(revision)
    assert head is not None
    changes = RemoteChanges.between(files, remote.tree(head), leaving.stale)
    if changes:
        head = send_changes(remote, changes, title, revision=revision, parent=head, meter=meter)
    remote.offer_pull(number)
    if terms.pr:
        return replace(pushed, commit=head, revision=revision, pull_request=url)
    remote.merge_pull(number)
    merged = remote.head(MAIN)
    assert merged is not None
    if not RemoteChanges(files, (), changes.deleted).is_in(remote.tree(merged)):
        raise HubError(f"{remote.name}: main does not hold what was merged by {url}; run the same command again")
    return replace(pushed, commit=merged)


def _demand_visibility(remote: RemoteRepository, terms: PushTerms) -> bool | None:
    """Whether the repository is private; None where it is not there. Raises HubError where it would be published unasked."""
    private = remote.visibility()
    if private is False and not terms.public:
        raise HubError(f"{remote.name}: is public, so that all that is pushed is published; --public says that it shall be")
    if private is None and terms.pr:
        raise HubError(f"{remote.name}: is not there, and a pull request needs a repository; leave --pr out")
    return private


def _of_visibility(private: bool | None, terms: PushTerms) -> tuple[str, ...]:
    if private and terms.public:
        return ("the repository stays private, with all that was ever in it: make it public in its settings on the Hub",)
    return ()


def _head(remote: RemoteRepository, terms: PushTerms) -> str:
    """The commit that is pushed on top of: of the branch, else of main."""
    head = remote.head(terms.revision) or remote.head(MAIN)
    if head is None:
        raise HubError(f"{remote.name}: has no branch main; push to another with --revision")
    return head


def _merged_card(leaving: LeavingFolder, remote: RemoteRepository, tree: dict[str, RemoteFile], head: str, terms: PushTerms) -> str:
    """The card, with what people wrote in the one that is there. Raises HubError where the repository is something else."""
    theirs = remote.card(head) if CARD in tree else None
    others = [name for name in tree if name not in (CARD, ".gitattributes", ".gitignore", "LICENSE")]
    if others and not (theirs and theirs.is_ours) and FOREIGN not in terms.allow:
        raise HubError(
            f"{remote.name}: holds {others[0]!r}{f' and {len(others) - 1:,} files more' if len(others) > 1 else ''}, and its card is not "
            f"one of cotforge's; choose another name, or say --allow {FOREIGN}"
        )
    return merge_cards(leaving.card, theirs).text()


def _demand_free_tag(remote: RemoteRepository, terms: PushTerms, commit: str | None) -> None:
    """Raises HubError where the tag is at another commit; `commit` is where it shall be, None where that is not made yet."""
    if terms.tag and (there := remote.tags().get(terms.tag)) not in (None, commit):
        raise HubError(f"{remote.name}: has a tag {terms.tag!r} already, at {str(there)[:8]}; choose another name")


def _dry_new(leaving: LeavingFolder, remote: RemoteRepository, terms: PushTerms) -> Pushed:
    files = leaving.with_card(merge_cards(leaving.card, None).text())
    size = sum(file.size for file in files)
    return Pushed(
        remote.name, leaving.kind, remote.url, not terms.public, True, terms.revision, None, len(files), size, len(files), size,
        tag=terms.tag, dry_run=True,
    )  # fmt: skip


def _message(leaving: LeavingFolder) -> str:
    return f"cotforge: {leaving.what}"


def _digest_of(files: tuple[LeavingFile, ...]) -> str:
    """A hash of all names and contents."""
    return hashlib.sha256("\n".join(f"{file.name} {file.sha256}" for file in files).encode()).hexdigest()[:12]
