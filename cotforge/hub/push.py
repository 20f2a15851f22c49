"""From a run folder to a repository on the Hub: `cotforge push` and `cotforge.push`."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from cotforge.errors import HubError, Interrupted
from cotforge.hub.checks import RunOrigin, demand_clean, demand_header
from cotforge.hub.client import open_client, quiet_client, stop_client
from cotforge.hub.committing import MOST_FILES, RemoteChanges, send_changes
from cotforge.hub.interruptible import run_interruptibly
from cotforge.hub.local_files import CARD, LocalFile, LocalFolder, read_dataset, read_student
from cotforge.hub.pushed import Pushed
from cotforge.hub.remote import MAIN, RemoteFile, RemoteRepository
from cotforge.hub.remote_card import merge_cards, name_repository
from cotforge.hub.upload_display import UploadDisplay
from cotforge.hub.upload_meter import UploadMeter

FOREIGN = "other-repository"
"""For `--allow`: push to a repository that holds files and was not made by cotforge."""
UNTOUCHED = frozenset({CARD, ".gitattributes", ".gitignore", "LICENSE"})
"""Files that a repository may hold although nobody pushed to it."""
STAYS_PRIVATE = "the repository stays private, with all that was ever in it: make it public in its settings on the Hub"
UNASKED = (
    "there is no token of the Hub, so it was not asked: this is what a push to {} would do if it is new; `hf auth login` keeps a token"
)
REHEARSAL = "this is a rehearsal: cotforge simulate answered for teachers, not a real model"
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


@dataclass
class PushWork:
    """One push: what leaves, where to, and how."""

    local: LocalFolder
    origin: RunOrigin
    remote: RemoteRepository
    terms: PushTerms
    meter: UploadMeter
    private: bool = True
    """Whether the repository is, or will be."""
    notes: tuple[str, ...] = ()

    def message(self) -> str:
        """Of the commit."""
        return f"cotforge: {self.local.what}"

    def merged_card(self, tree: dict[str, RemoteFile], head: str | None) -> str:
        """The card, with what people wrote in the one that is there. Raises HubError where one of them forbids the push."""
        theirs = self.remote.read_card(head) if head and CARD in tree else None
        others = [name for name in tree if name not in UNTOUCHED]
        if others and not (theirs and theirs.is_ours) and FOREIGN not in self.terms.allow:
            more = f" and {len(others) - 1:,} files more" if len(others) > 1 else ""
            raise HubError(
                f"{self.remote.name}: holds {others[0]!r}{more}, and its card is not one of cotforge's; choose another name, "
                f"or say --allow {FOREIGN}"
            )
        merged = merge_cards(name_repository(self.local.card, self.remote.name, self.remote.url), theirs)
        notes = demand_header(self.local, merged.header, self.origin, public=not self.private, allow=self.terms.allow)
        link = merged.header.get("license_link")
        if link in ("LICENSE", "LICENSE.md") and link not in {*tree, *(file.name for file in self.local.files)}:
            notes.append(f"the card names {link}, and the repository holds none; add it on the Hub")
        if any(isinstance(one, dict) and one.get("simulated") for one in _list_of(self.local.card.header.get("teachers"))):
            notes.append(REHEARSAL)
        self.notes = tuple(notes)
        return merged.text()


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
    `revision`: to this branch, made where it is not there. `tag`: of the commit. `dry_run`: change nothing and say what would change; it
    needs no token, and without one asks the Hub nothing.
    `xet`: send large files in parts that the Hub may have already. `allow`: findings of the scan that may leave, by name. `console`:
    where progress is shown; nowhere by default. Raises HubError; a KeyboardInterrupt comes from an Interrupted that says how to resume.
    """
    if pr and revision not in (None, MAIN):
        raise HubError(f"{repo}: a pull request is made to main, and --revision names {revision!r}; give one of them")
    if pr and tag:
        raise HubError(f"{repo}: a tag is of a commit in the repository, and a pull request is none yet; tag it once it is merged")
    terms = PushTerms(public, pr, revision or MAIN, tag, dry_run, frozenset(allow))
    run = Path(run)
    origin = RunOrigin.read(run)
    local = (read_student if model else read_dataset)(run)
    meter = UploadMeter()
    client = open_client(token_needed=not dry_run)
    meter.begin_phase("scanning for secrets")
    try:
        with UploadDisplay(meter, console):
            demand_clean(local, allow=terms.allow)
            meter.begin_phase("looking at the Hub")
            with quiet_client(meter, xet=xet):
                pushed = run_interruptibly(
                    lambda: _run_push(PushWork(local, origin, RemoteRepository(client, repo, local.kind, meter.add_note), terms, meter)),
                    stop=lambda: stop_client(meter),
                )
    except KeyboardInterrupt:
        raise KeyboardInterrupt from Interrupted(RESUMES)
    return replace(pushed, network_bytes=meter.sent if pushed.changed else None, notes=(*pushed.notes, *meter.notes))


def _run_push(work: PushWork) -> Pushed:
    local, remote, terms = work.local, work.remote, work.terms
    work.private = not terms.public
    if remote.client.token is False:
        alone = _result_of_new(work)
        return replace(alone, notes=(UNASKED.format(remote.name), *alone.notes))
    private = _demand_visibility(remote, terms)
    work.private = not terms.public if private is None else private
    if private is None and terms.dry_run:
        return _result_of_new(work)
    if private is None:
        work.merged_card({}, None)  # what would be refused is refused before anything is made
        remote.create_repository(private=work.private)
        _demand_visibility(remote, terms)  # what it was made as is the Hub's word: an organisation may have rules of its own
    head = _base_commit(remote, terms)
    tree = remote.list_files(head)
    files = local.with_card(work.merged_card(tree, head))
    changes = RemoteChanges.between(files, tree, local.stale)
    _demand_free_tag(remote, terms, None if changes else head)
    pushed = _expected_result(work, files, changes, private, head)
    if terms.dry_run:
        return pushed
    if terms.revision != MAIN and remote.find_head(terms.revision) is None:
        remote.make_branch(terms.revision)
    if changes and (terms.pr or (len(changes.added) > MOST_FILES and terms.revision == MAIN)):
        pushed = _through_pull(work, files, pushed)
    elif changes:
        commit = send_changes(remote, changes, work.message(), revision=terms.revision, parent=head, meter=work.meter)
        pushed = replace(pushed, commit=commit)
    if terms.tag and pushed.commit:
        remote.put_tag(terms.tag, pushed.commit)
    return pushed


def _result_of_new(work: PushWork) -> Pushed:
    """What a push to a new repository would come to. Raises HubError where it would be refused."""
    files = work.local.with_card(work.merged_card({}, None))
    return _expected_result(work, files, RemoteChanges.between(files, {}, work.local.stale), None, None)


def _through_pull(work: PushWork, files: tuple[LocalFile, ...], pushed: Pushed) -> Pushed:
    """By a pull request, which resumes one that was interrupted; merged, unless it was asked for."""
    remote = work.remote
    title = f"{work.message()} [{_digest_of(files)}]"
    number, url = remote.open_pull(title)
    revision = f"refs/pr/{number}"
    head = remote.find_head(revision)
    assert head is not None
    changes = RemoteChanges.between(files, remote.list_files(head), work.local.stale)
    if changes:
        head = send_changes(remote, changes, title, revision=revision, parent=head, meter=work.meter)
    remote.offer_pull(number)
    if work.terms.pr:
        return replace(pushed, commit=head, revision=revision, pull_request=url)
    remote.merge_pull(number)
    merged = remote.find_head(MAIN)
    assert merged is not None
    if not RemoteChanges(files, (), changes.deleted).is_in(remote.list_files(merged)):
        raise HubError(f"{remote.name}: main does not hold what was merged by {url}; run the same command again")
    return replace(pushed, commit=merged)


def _expected_result(
    work: PushWork, files: tuple[LocalFile, ...], changes: RemoteChanges, private: bool | None, head: str | None
) -> Pushed:
    """What it will come to; `private` is None where the repository is not there yet."""
    remote, terms = work.remote, work.terms
    return Pushed(
        remote.name, work.local.kind, remote.url, work.private, private is None, terms.revision,
        head, len(files), sum(file.size for file in files), len(changes.added), changes.size, changes.deleted, tag=terms.tag,
        dry_run=terms.dry_run, notes=(*work.notes, *([STAYS_PRIVATE] if private and terms.public else [])),
    )  # fmt: skip


def _demand_visibility(remote: RemoteRepository, terms: PushTerms) -> bool | None:
    """Whether the repository is private; None where it is not there. Raises HubError where it would be published unasked."""
    private = remote.is_private()
    if private is False and not terms.public:
        raise HubError(f"{remote.name}: is public, so everything pushed to it is published; say --public if you want that")
    if private is None and terms.pr:
        raise HubError(f"{remote.name}: is not there, and a pull request needs a repository; leave --pr out")
    return private


def _base_commit(remote: RemoteRepository, terms: PushTerms) -> str:
    """The commit that is pushed on top of: of the branch, else of main."""
    head = remote.find_head(terms.revision) or remote.find_head(MAIN)
    if head is None:
        raise HubError(f"{remote.name}: has no branch main; push to another with --revision")
    return head


def _demand_free_tag(remote: RemoteRepository, terms: PushTerms, commit: str | None) -> None:
    """Raises HubError where the tag is at another commit; `commit` is where it shall be, None where that is not made yet."""
    if terms.tag and (there := remote.list_tags().get(terms.tag)) not in (None, commit):
        raise HubError(f"{remote.name}: has a tag {terms.tag!r} already, at {str(there)[:8]}; choose another name")


def _list_of(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []


def _digest_of(files: tuple[LocalFile, ...]) -> str:
    """A hash of all names and contents."""
    return hashlib.sha256("\n".join(f"{file.name} {file.sha256}" for file in files).encode()).hexdigest()[:12]
