"""What keeps a push back: something in the files that should not be published, or a licence that does not allow it."""

from collections.abc import Collection
from pathlib import Path

from cotforge import tree
from cotforge.errors import HubError
from cotforge.folder import RunFolder, name_in, read_kept
from cotforge.hub.leaving import LeavingFolder
from cotforge.hub.scan import find_leaks
from cotforge.redaction.variables import remember_variables


def demand_run(run: Path) -> str:
    """The name of a run folder's pipeline, whose credentials are remembered. Raises HubError where it is none."""
    name = name_in(run) if run.is_dir() else None
    kept = read_kept(run / RunFolder.PIPELINE) if name is not None else None
    if name is None or kept is None:
        raise HubError(f"{run}: is not a run folder; there is no {RunFolder.PIPELINE} in it")
    remember_variables(tree.parsed(kept, run / RunFolder.PIPELINE))
    return name


def demand_clean(leaving: LeavingFolder, *, allow: Collection[str]) -> None:
    """Raises HubError, with a line for each, where a file holds a credential, a local path or a name of user or machine."""
    try:
        leaks = find_leaks(leaving.folder, files=leaving.paths(), allow=allow)
    except OSError as fault:
        raise HubError(f"{leaving.folder}: cannot be looked through: {fault}") from fault
    if leaks:
        raise HubError(*(f"{leaving.folder / leak.file}: {str(leak).removeprefix(f'{leak.file}: ')}" for leak in leaks))
