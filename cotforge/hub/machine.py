"""What tells of the machine and the person that a text comes from: local paths, the user's name, host names.

They are no credentials, and a person may publish them. Most do not know that they would.
"""

import getpass
import os
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

PATH, USER, HOST = "local-path", "user-name", "host-name"
PERSONAL = frozenset({PATH, USER, HOST})
"""Kinds that tell of a person or machine and open nothing: `--allow` takes a whole kind of these."""

SHORTEST = 3
"""Letters of a name of a user or host that is looked for; a shorter one is part of ordinary texts."""
COMMON = frozenset(
    """root admin administrator user users username ubuntu debian centos fedora ec2-user azureuser opc vagrant docker runner jovyan vscode
    codespace gitpod nobody daemon www-data app node test guest you your-name name me public shared default appuser sagemaker-user
    localhost host server machine container worker sandbox local computer workstation laptop desktop""".split()  # noqa: SIM905
)
"""Names that tell of nobody."""
SYSTEM = ("/bin/", "/dev/", "/etc/", "/lib", "/proc/", "/sbin/", "/sys/", "/usr/", "/var/", "/opt/")
"""Where every machine has much the same."""
_NAME = r"[^/\\\s\"'`<>|:;,()\[\]{}$&*?!]{1,64}"
_REST = r"[^\s\"'`<>|:;,()\[\]{}&*?!]{0,400}"
_MOUNT = "/(?:mnt|media|scratch|srv|nfs|lustre|gpfs|fsx|efs|workspace|data|work|projects?|storage)/"
_INTERNAL = (
    r"10(?:\.[0-9]{1,3}){3}|192\.168(?:\.[0-9]{1,3}){2}|172\.(?:1[6-9]|2[0-9]|3[01])(?:\.[0-9]{1,3}){2}"
    r"|(?:[A-Za-z0-9-]+\.){1,5}(?:local|internal|lan|intranet|corp)|[A-Za-z][A-Za-z0-9-]{0,62}(?=:[0-9])"
)
"""Hosts that only a local network knows: private addresses (RFC 1918), reserved endings, and names without a dot that have a port."""


class PersonalRule(NamedTuple):
    """One way in which a text tells of a machine or its user."""

    kind: str
    word: str
    """It stands in every such text, as it is."""
    pattern: re.Pattern[str]
    """Its group 1 is what tells of it."""
    is_meant: Callable[[str], bool] = bool
    """Whether what the group holds tells of anybody: `/home/ubuntu` and `http://localhost:8000` do not."""


def _is_rare(name: str) -> bool:
    return name.casefold() not in COMMON


def _is_here(path: str) -> bool:
    """Whether there is such a file or folder on this machine, and not on every other one too."""
    try:
        return not path.startswith(SYSTEM) and os.path.lexists(path)
    except (OSError, ValueError):
        return False


_PATHS = (
    ("/home/", rf"/home/({_NAME})(?:/{_REST})?"),
    ("/Users/", rf"/Users/({_NAME})(?:/{_REST})?"),
    ("\\Users\\", rf"[A-Za-z]:\\{{1,2}}Users\\{{1,2}}({_NAME})(?:\\{_REST})?"),
    ("/", rf"({_MOUNT}{_NAME}/{_REST})"),
)
RULES_OF_ANY = (
    *(PersonalRule(PATH, word, re.compile(rf"(?<![A-Za-z0-9._~-]){pattern}"), _is_rare) for word, pattern in _PATHS),
    PersonalRule(HOST, "://", re.compile(rf"://(?:[^/\s@]{{0,200}}@)?({_INTERNAL})(?![A-Za-z0-9.-])"), _is_rare),
)
"""Those that hold on every machine."""
_OF_HERE = PersonalRule(PATH, "/", re.compile(rf"(?<![A-Za-z0-9._~/:}}-])(/(?:{_NAME}/)+{_NAME})"), _is_here)
_HINTS = rf"/(?:home|Users)/[^/\s]|[A-Za-z]:\\{{1,2}}Users\\|{_MOUNT}[^/\s]+/|://|(?:^|[^A-Za-z0-9._~/:}}-])/[^/\s]+/[^/\s]"


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine and its user, as a text could tell of them."""

    users: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    folders: frozenset[str] = frozenset()
    """Absolute paths; what lies below them is local too."""
    is_here: bool = False
    """Whether every path that leads to something on the machine that this runs on is local."""

    @classmethod
    def here(cls, *folders: Path) -> Self:
        """This one, with the home folder, the present folder and others that are known to be local."""
        host = socket.gethostname()
        known = {str(path) for folder in (Path.home(), Path.cwd(), *folders) for path in (folder.absolute(), folder.resolve())}
        users = {name for name in (_user_name(), os.environ.get("USER"), os.environ.get("LOGNAME")) if name}
        return cls(
            frozenset(filter(_tells, users)),
            frozenset(filter(_tells, {host, host.partition(".")[0]})),
            frozenset(folder for folder in known if folder.count("/") + folder.count("\\") > 1),
            is_here=True,
        )

    def hints(self) -> str:
        """A pattern, of RE2 too, that stands in every text that may tell of it."""
        return "|".join([_HINTS, *(re.escape(word) for word in sorted(self.users | self.hosts | self.folders))])

    def rules(self) -> Iterator[PersonalRule]:
        """Those that hold on every machine, after those of this one."""
        for folder in sorted(self.folders, key=len, reverse=True):
            yield PersonalRule(PATH, folder, re.compile(rf"(?<![A-Za-z0-9._-])({re.escape(folder)})(?![A-Za-z0-9_-]){_REST}"))
        yield from RULES_OF_ANY
        if self.is_here:
            yield _OF_HERE
        for kind, names in ((USER, self.users), (HOST, self.hosts)):
            for name in sorted(names):
                yield PersonalRule(kind, name, re.compile(rf"(?<![A-Za-z0-9])({re.escape(name)})(?![A-Za-z0-9])"))


def mask_places(text: str) -> str:
    """The text with `.../name` for every absolute path, and `host` for every host that only a local network knows."""
    for pattern in _ABSOLUTE:
        text = pattern.sub(r".../\1", text)
    return RULES_OF_ANY[-1].pattern.sub(lambda found: found[0].replace(found[1], "host"), text)


_ABSOLUTE = (
    re.compile(rf"(?<![A-Za-z0-9._~/:}}-])/(?:{_NAME}/)+({_NAME})"),
    re.compile(rf"(?<![A-Za-z0-9])[A-Za-z]:\\(?:{_NAME}\\)+({_NAME})"),
)


def _tells(name: str) -> bool:
    return len(name) >= SHORTEST and name.casefold() not in COMMON and not name.isdigit()


def _user_name() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container may have a number for a user, and no name
        return None
