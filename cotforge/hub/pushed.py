"""What a push came to."""

from dataclasses import dataclass

from cotforge.hub.upload_meter import in_bytes


@dataclass(frozen=True)
class Pushed:
    """What a push came to; of a dry run, what it would come to."""

    repository: str
    """`owner/name`."""
    kind: str
    """`dataset` or `model`."""
    url: str
    """Of its page."""
    private: bool
    created: bool
    """Whether the repository is new."""
    revision: str
    """The branch, or `refs/pr/N`, that was pushed to."""
    commit: str | None
    """The head of the revision afterwards; None in a dry run of a new repository."""
    files: int
    """All that the repository holds of the run now, the card among them."""
    bytes: int
    """Of these files."""
    sent_files: int
    """Those that were new or changed."""
    sent_bytes: int
    """Of these files."""
    deleted: tuple[str, ...] = ()
    """What an earlier push had left and this one removed."""
    pull_request: str | None = None
    """Its URL, with `pr`."""
    tag: str | None = None
    dry_run: bool = False
    network_bytes: int | None = None
    """Bytes of large files that went over the network: fewer by Xet, which sends no part that the Hub has. None where that is not known."""
    notes: tuple[str, ...] = ()
    """What the Hub warned of, and what a person should know."""

    @property
    def changed(self) -> bool:
        """Whether there was anything to do."""
        return bool(self.sent_files or self.deleted)

    def text(self) -> str:
        """For a person to read."""
        return "\n".join(filter(None, [self._done(), self._deleted(), self._where(), self._load()]))

    def _done(self) -> str:
        if not self.changed:
            there = f"all {_files(self.files)} ({in_bytes(self.bytes)}) are there already"
            return f"{self.repository}: nothing to push: {there}{'' if self.dry_run else ', and no commit was made'}"
        word = "would push" if self.dry_run else "pushed"
        place = "a pull request" if self.pull_request or (self.dry_run and self.revision.startswith("refs/pr")) else self.revision
        commit = f" as {self.commit[:8]}" if self.commit and not self.dry_run else ""
        what = f"{self.sent_files:,} of {_files(self.files)} ({in_bytes(self.sent_bytes)} of {in_bytes(self.bytes)})"
        network = "" if self.network_bytes is None or self.dry_run else f"; {in_bytes(self.network_bytes)} over the network"
        return f"{self.repository}: {word} {what} to {place}{commit}{network}"

    def _deleted(self) -> str:
        if not self.deleted:
            return ""
        named = ", ".join(self.deleted[:3]) + (f" and {len(self.deleted) - 3:,} more" if len(self.deleted) > 3 else "")
        return f"{'would remove' if self.dry_run else 'removed'}, because the new card names it no more: {named}"

    def _where(self) -> str:
        kind = f"{'private' if self.private else 'public'} {self.kind}"
        new = " that would be made" if self.dry_run and self.created else ", new" if self.created else ""
        tag = f", tagged {self.tag}" if self.tag and not self.dry_run else ""
        seen = "; its viewer is for PRO, Team and Enterprise accounts" if self.private and self.kind == "dataset" else ""
        return f"{self.pull_request or self.url}   {kind}{new}{tag}{seen}"

    def _load(self) -> str:
        revision = "" if self.revision == "main" and not self.tag else f', revision="{self.tag or self.revision}"'
        if self.dry_run:
            return ""
        if self.kind == "dataset":
            return f'load_dataset("{self.repository}"{revision})'
        return f'AutoModelForImageTextToText.from_pretrained("{self.repository}"{revision})'


def _files(count: int) -> str:
    return f"{count:,} {'file' if count == 1 else 'files'}"
