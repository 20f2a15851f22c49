"""A run's dataset or student on the Hub."""

from collections.abc import Collection
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from cotforge.face.run import Run
from cotforge.notices import progress_console, shown_on_stderr

if TYPE_CHECKING:
    from cotforge.hub.pushed import Pushed


def push(
    run: "Run | str | Path",
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
    progress: bool = False,
) -> "Pushed":
    """Push the dataset of a run with its card, or with `model` the student, to a repository on the Hub: one commit, private by default.

    `public` makes a new repository public, or allows a push to one that is; `pr` opens a pull request; `revision` names a branch, `tag` a
    tag of the commit; `dry_run` changes nothing and says what would change; without `xet` whole files are sent by HTTP; `allow` names
    findings of the scan for secrets that may leave. Raises HubError.
    """
    from cotforge.hub.push import push as push_folder

    with shown_on_stderr() if progress else nullcontext():
        return push_folder(
            run.path if isinstance(run, Run) else Path(run), repo, model=model, public=public, pr=pr, revision=revision, tag=tag,
            dry_run=dry_run, xet=xet, allow=allow, console=progress_console(),
        )  # fmt: skip
