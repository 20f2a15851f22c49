"""What keeps a push back: something in the files that should not be published, a header that the Hub refuses, a licence that forbids it."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cotforge import tree
from cotforge.card_keys import header_faults
from cotforge.errors import HubError, show_value
from cotforge.folder import RunFolder, name_in, no_run, read_kept
from cotforge.hub.licence import CONFIRMED, Licence, choose_licence
from cotforge.hub.local_files import CARD, LocalFolder
from cotforge.hub.scan import find_leaks
from cotforge.redaction.variables import remember_variables


@dataclass(frozen=True)
class RunOrigin:
    """Whose data and texts a run is made of, by the pipeline file that it keeps."""

    name: str
    source_licence: str | None
    teachers: dict[str, str | None]
    """Model to licence."""

    @classmethod
    def read(cls, run: Path) -> "RunOrigin":
        """Remembers the credentials that the pipeline takes from the environment. Raises HubError where there is no run folder."""
        name = name_in(run) if run.is_dir() else None
        kept = read_kept(run / RunFolder.PIPELINE) if name is not None else None
        if name is None or kept is None:
            raise HubError(no_run(run))
        pipeline = tree.parse_tree(kept, run / RunFolder.PIPELINE)
        remember_variables(pipeline)
        source, listed = pipeline.get("source"), pipeline.get("teachers")
        teachers = [each for each in (listed if isinstance(listed, list) else []) if isinstance(each, dict)]
        return cls(
            name,
            _text(source.get("license")) if isinstance(source, dict) else None,
            {str(each.get("model") or each.get("name")): _text(each.get("license")) for each in teachers},
        )

    def licence(self, kind: str, stated: object) -> Licence:
        """The most that its dataset may be published under; of its student, whose card has `stated`, by what the teachers allow alone."""
        if kind == "dataset":
            return choose_licence(self.source_licence, self.teachers)
        return replace(choose_licence(stated if isinstance(stated, str) else None, self.teachers, what="the base model"), questions=())


def demand_clean(local: LocalFolder, *, allow: Collection[str]) -> None:
    """Raises HubError, with a line for each, where a file holds a credential, a local path or a name of user or machine."""
    try:
        leaks = find_leaks(local.folder, files=local.paths(), allow=allow)
    except OSError as fault:
        raise HubError(f"{local.folder}: cannot be looked through: {fault}") from fault
    if leaks:
        raise HubError(*(f"{local.folder}/{leak}" for leak in leaks))


def demand_header(local: LocalFolder, header: dict[str, Any], origin: RunOrigin, *, public: bool, allow: Collection[str]) -> list[str]:
    """Raises HubError where the Hub would refuse the header of a card, or its licence says more than source and teachers allow.

    What else a person should settle about the licence: raised too where the repository is public, given where it is private.
    """
    where = local.folder / CARD
    if faults := header_faults(header, "dataset" if local.kind == "dataset" else "model"):
        raise HubError(*(f"{where}: {fault}" for fault in faults))
    if CONFIRMED in allow:
        return []
    licence = origin.licence(local.kind, header.get("license"))
    forbidden = [f"license: {fault}" for fault in licence.contradictions(header.get("license"))]
    questions = [f"license: {question}" for question in licence.questions]
    if forbidden or (public and questions):
        raise HubError(*_with_remedy([*forbidden, *(questions if public else [])], str(where)))
    return [f"before it becomes public: {question}" for question in licence.questions]


def _with_remedy(faults: list[str], where: str) -> Iterator[str]:
    for fault in faults:
        yield f"{where}: {fault}{'' if '; ' in fault else '; change it'}, or say --allow {CONFIRMED} where you know better"


def _text(value: Any) -> str | None:
    return None if value is None else value if isinstance(value, str) else show_value(value)
