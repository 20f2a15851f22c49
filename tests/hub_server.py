"""A Hugging Face Hub on this machine, in memory: what the official client sends and reads, and faults where a test wants them.

Large files come by the basic transfer of Git LFS, or by Xet with its storage in a local folder (`casUrl: local://`), in which case their
bytes never pass here. Source: huggingface_hub 2.4, `hf_api.py`, `_commit_api.py`, `lfs.py` and `utils/_xet.py`.
"""

import asyncio
import hashlib
import json
import re
import threading
import time
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qs, unquote

import pytest
import yaml
from aiohttp import web
from huggingface_hub import constants

TOKEN = "hf_" + "testtoken" * 4
ATTRIBUTES = b"*.parquet filter=lfs diff=lfs merge=lfs -text\n*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
LFS_NAME = re.compile(r".*\.(parquet|safetensors|png|jpg|webp|bin)")
CREATED = "2026-01-01T00:00:00.000Z"


@dataclass(frozen=True)
class StoredFile:
    """A file of a commit; of a large one, what its pointer says."""

    size: int
    oid: str
    """What git calls it by."""
    sha256: str = ""
    """Of a large file alone."""
    data: bytes = b""
    """Of a small file alone."""

    def entry(self, path: str) -> dict[str, Any]:
        """As a tree lists it."""
        large = {"lfs": {"oid": self.sha256, "size": self.size, "pointerSize": 134}} if self.sha256 else {}
        return {"type": "file", "path": path, "size": self.size, "oid": self.oid, **large}


Tree = dict[str, StoredFile]


@dataclass
class StoredRepository:
    """A repository: its refs, and the tree of each commit."""

    kind: str
    name: str
    private: bool
    refs: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    trees: dict[str, Tree] = field(default_factory=dict)
    commits: list[tuple[str, str]] = field(default_factory=list)
    """(ref, title) of each, in their order; the first one is the Hub's own."""
    pulls: list[dict[str, Any]] = field(default_factory=list)

    def find(self, revision: str) -> str | None:
        """The commit of a branch, tag, pull request or commit."""
        names = (self.refs.get(f"refs/heads/{revision}"), self.refs.get(revision), self.tags.get(revision))
        return next(filter(None, names), revision if revision in self.trees else None)

    def put(self, ref: str, tree: Tree, title: str) -> str:
        """A new commit at the head of a ref."""
        oid = hashlib.sha1(f"{len(self.commits)} {self.name} {title}".encode()).hexdigest()
        self.trees[oid] = tree
        self.refs[ref] = oid
        self.commits.append((ref, title))
        return oid

    def files(self, revision: str = "main") -> Tree:
        """What a revision holds."""
        oid = self.find(revision)
        assert oid is not None
        return self.trees[oid]

    def text(self, path: str, revision: str = "main") -> str:
        """A small file."""
        return self.files(revision)[path].data.decode()


@dataclass
class HubFault:
    """What goes wrong, `times` over, with the requests whose method and path match."""

    request: str
    """A regular expression over `POST /api/...`."""
    times: int = 1
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["refused", "lost", "reset", "moved", "held", "spoiled"] = "refused"
    """`refused`: not done; `lost`: done, but the answer says that it was not; `reset`: the connection breaks amid the body; `moved`:
    somebody else commits first; `held`: no answer, for as long as the server is there; `spoiled`: a large file is another afterwards."""
    met: int = 0


class HubServer:
    """The Hub, in a thread of its own; `me` is whoever holds TOKEN."""

    def __init__(self, *, cas: Path | None = None, page_size: int = 1000) -> None:
        """`cas` is the folder of Xet's storage."""
        self.cas, self.page_size = cas, page_size
        self.repositories: dict[tuple[str, str], StoredRepository] = {}
        self.objects: dict[str, bytes] = {}
        """Large files that came by LFS, by sha256."""
        self.faults: list[HubFault] = []
        self.requests: list[str] = []
        self.put_bytes = 0
        self._elsewhere: dict[str, Path] = {}
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> Self:
        ready: threading.Event = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), name="hub", daemon=True)
        self._thread.start()
        assert ready.wait(30)
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)

    def dataset(self, name: str = "me/ds") -> StoredRepository:
        """A repository that is there."""
        return self.repositories["datasets", name]

    def model(self, name: str) -> StoredRepository:
        """A repository that is there."""
        return self.repositories["models", name]

    def create(self, kind: str, name: str, *, private: bool = True) -> StoredRepository:
        """A new repository, as the Hub begins one."""
        made = self.repositories[kind, name] = StoredRepository(kind, name, private)
        made.put("refs/heads/main", {".gitattributes": _small(ATTRIBUTES)}, "initial commit")
        return made

    def write(self, repository: StoredRepository, path: str, text: str, *, ref: str = "refs/heads/main") -> None:
        """What a person does on the Hub's own pages."""
        repository.put(ref, {**repository.trees[repository.refs[ref]], path: _small(text.encode())}, f"Update {path}")

    def serve_from(self, folders: Iterable[Path]) -> None:
        """Give out the bytes of what lies there, by sha256: what came by Xet did not pass here."""
        for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
            self._elsewhere[hashlib.sha256(path.read_bytes()).hexdigest()] = path

    def _serve(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application(client_max_size=1 << 40)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        held = asyncio.all_tasks(self._loop)
        for task in held:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*held, return_exceptions=True))
        self._loop.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = unquote(request.raw_path.partition("?")[0])
        told = f"{request.method} {path}"
        self.requests.append(told)
        fault = next((each for each in self.faults if each.met < each.times and re.search(each.request, told)), None)
        if fault is not None:
            fault.met += 1
            if fault.kind == "reset":
                await request.content.read(1000)
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
        body = await request.read()
        if fault is not None and fault.kind == "held":
            await asyncio.Event().wait()
        if fault is not None and fault.kind == "refused":
            return web.json_response({"error": "as told"}, status=fault.status, headers=dict(fault.headers))
        if fault is not None and fault.kind == "moved":
            for repository in self.repositories.values():
                self.write(repository, "notes.txt", "mine")
        parts = [unquote(part) for part in request.raw_path.partition("?")[0].strip("/").split("/")]
        found = await asyncio.to_thread(self._routed, request, parts, body)
        if fault is not None and fault.kind == "spoiled":
            tree = next(reversed(self.repositories.values())).files()
            name = next(name for name, file in tree.items() if file.sha256)
            tree[name] = replace(tree[name], sha256="0" * 64)
        if fault is not None and fault.kind == "lost":
            return web.json_response({"error": "as told"}, status=fault.status, headers=dict(fault.headers))
        return found

    def _routed(self, request: web.Request, parts: list[str], body: bytes) -> web.Response:
        match request.method, parts:
            case "PUT", ["lfs", oid]:
                assert hashlib.sha256(body).hexdigest() == oid
                self.objects[oid] = body
                self.put_bytes += len(body)
                return web.Response(headers={"ETag": f'"{oid}"'})
            case "POST", ["api", "validate-yaml"]:
                return _validated(json.loads(body)["content"])
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"error": "Invalid credentials"}, status=401)
        match request.method, parts:
            case "GET", ["api", "whoami-v2"]:
                role = {"accessToken": {"role": "write", "displayName": "test"}}
                return web.json_response({"type": "user", "name": "me", "fullname": "Me", "orgs": [], "auth": role})
            case "POST", ["api", "repos", "create"]:
                return self._created(json.loads(body))
            case "POST", ["lfs", oid, "verify"]:
                return web.json_response({}, status=200 if oid in self.objects else 404)
            case "POST", [*_, "info", "lfs", "objects", "batch"]:
                return self._batch(json.loads(body))
            case "GET" | "HEAD", ["datasets", owner, name, "resolve", revision, *path]:
                return self._resolved(request, self.repositories.get(("datasets", f"{owner}/{name}")), revision, "/".join(path))
            case "GET" | "HEAD", [owner, name, "resolve", revision, *path]:
                return self._resolved(request, self.repositories.get(("models", f"{owner}/{name}")), revision, "/".join(path))
            case _, ["api", "datasets" | "models" as kind, owner, name, *rest]:
                repository = self.repositories.get((kind, f"{owner}/{name}"))
                return _missing("RepoNotFound") if repository is None else self._of_repository(request, repository, rest, body)
        return web.json_response({"error": "no such page"}, status=404)

    def _created(self, wanted: dict[str, Any]) -> web.Response:
        kind = f"{wanted.get('type', 'model')}s"
        name = f"{wanted.get('organization') or 'me'}/{wanted['name']}"
        there = (kind, name) in self.repositories
        if not there:
            self.create(kind, name, private=wanted.get("visibility") == "private")
        return web.json_response({"url": self._page(kind, name), "name": name}, status=409 if there else 200)

    def _page(self, kind: str, name: str) -> str:
        return f"{self.url}/datasets/{name}" if kind == "datasets" else f"{self.url}/{name}"

    def _batch(self, wanted: dict[str, Any]) -> web.Response:
        objects = []
        for each in wanted["objects"]:
            href = f"{self.url}/lfs/{each['oid']}"
            actions = {"upload": {"href": href, "header": {}}, "verify": {"href": f"{href}/verify", "header": {}}}
            objects.append({**each, **({} if each["oid"] in self.objects else {"actions": actions})})
        return web.json_response({"transfer": "basic", "objects": objects})

    def _resolved(self, request: web.Request, repository: StoredRepository | None, revision: str, path: str) -> web.Response:
        if repository is None:
            return _missing("RepoNotFound")
        if (oid := repository.find(revision)) is None:
            return _missing("RevisionNotFound")
        if (found := repository.trees[oid].get(path)) is None:
            return _missing("EntryNotFound", {"X-Repo-Commit": oid})
        headers = {"ETag": f'"{found.sha256 or found.oid}"', "X-Repo-Commit": oid, "Accept-Ranges": "bytes"}
        if found.sha256:
            headers |= {"X-Linked-ETag": f'"{found.sha256}"', "X-Linked-Size": str(found.size)}
        data = found.data
        if found.sha256:
            data = self.objects.get(found.sha256) or self._elsewhere[found.sha256].read_bytes()
        if request.method == "HEAD":
            return web.Response(headers={**headers, "Content-Length": str(found.size)})
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", "")):
            begin, end = int(asked[1]), min(int(asked[2] or found.size), found.size - 1)
            return web.Response(
                status=206, body=data[begin : end + 1], headers={**headers, "Content-Range": f"bytes {begin}-{end}/{found.size}"}
            )
        return web.Response(body=data, headers=headers)

    def _of_repository(self, request: web.Request, repository: StoredRepository, rest: list[str], body: bytes) -> web.Response:
        match request.method, rest:
            case "GET", []:
                return self._info(repository, "main")
            case "GET", ["revision", revision]:
                return self._info(repository, revision)
            case "GET", ["refs"]:
                branches = [_ref(ref.removeprefix("refs/heads/"), ref, oid) for ref, oid in repository.refs.items() if "heads" in ref]
                tags = [_ref(name, f"refs/tags/{name}", oid) for name, oid in repository.tags.items()]
                return web.json_response({"branches": branches, "tags": tags, "converts": []})
            case "POST", ["branch", name]:
                return self._branched(repository, f"refs/heads/{name}", json.loads(body or b"{}").get("startingPoint") or "main")
            case "GET" | "POST", ["discussions", *which]:
                return self._discussed(request, repository, which, json.loads(body or b"null"))
            case _, [action, revision, *path]:
                if (oid := repository.find(revision)) is None:
                    return _missing("RevisionNotFound")
                return self._at_revision(request, repository, [action, revision, *path], oid, body)
        return web.json_response({"error": "no such page"}, status=404)

    def _at_revision(
        self, request: web.Request, repository: StoredRepository, rest: list[str], oid: str, body: bytes
    ) -> web.Response:  # fmt: skip
        tree = repository.trees[oid]
        match request.method, rest:
            case "GET", ["tree", _, *folder]:
                return self._listed(request, tree, "/".join(folder))
            case "POST", ["paths-info", _]:
                asked = request_paths(body)
                folders = [{"type": "directory", "path": path, "oid": oid} for path in asked if _is_folder(tree, path)]
                return web.json_response([tree[path].entry(path) for path in asked if path in tree] + folders)
            case "POST", ["preupload", _]:
                return web.json_response({"files": [_mode(each, tree) for each in json.loads(body)["files"]]})
            case "GET", ["xet-write-token" | "xet-read-token", _] if self.cas is not None:
                token = {"accessToken": "x", "exp": int(time.time()) + 3600, "casUrl": f"local://{self.cas}"}
                names = {"accessToken": "X-Xet-Access-Token", "exp": "X-Xet-Token-Expiration", "casUrl": "X-Xet-Cas-Url"}
                return web.json_response(token, headers={names[key]: str(value) for key, value in token.items()})
            case "POST", ["commit", revision]:
                return self._committed(repository, revision, oid, [json.loads(line) for line in body.splitlines()])
            case "POST", ["tag", _]:
                name = json.loads(body)["tag"]
                status = 409 if name in repository.tags else 200
                repository.tags.setdefault(name, oid)
                return web.json_response({}, status=status)
        return web.json_response({"error": "no such page"}, status=404)

    def _info(self, repository: StoredRepository, revision: str) -> web.Response:
        if (oid := repository.find(revision)) is None:
            return _missing("RevisionNotFound")
        siblings = [{"rfilename": path} for path in sorted(repository.trees[oid])]
        about = {
            "_id": "1",
            "id": repository.name,
            "sha": oid,
            "private": repository.private,
            "lastModified": CREATED,
            "siblings": siblings,
        }
        return web.json_response({**about, "tags": [], "downloads": 0, "likes": 0, "gated": False, "disabled": False})

    def _listed(self, request: web.Request, tree: Tree, folder: str) -> web.Response:
        below = f"{folder}/" if folder else ""
        paths = [path for path in sorted(tree) if path.startswith(below)]
        if folder and not paths:
            return _missing("EntryNotFound")
        recursive = request.query.get("recursive", "").lower() == "true"
        parents = {below + path.removeprefix(below).partition("/")[0] for path in paths if "/" in path.removeprefix(below)}
        entries = [{"type": "directory", "path": path, "oid": "0" * 40} for path in sorted(parents)]
        entries += [tree[path].entry(path) for path in paths if recursive or "/" not in path.removeprefix(below)]
        start = int(request.query.get("cursor", "0"))
        end = start + self.page_size
        more = {"Link": f'<{request.url.update_query(cursor=str(end))}>; rel="next"'} if end < len(entries) else {}
        return web.json_response(entries[start:end], headers=more)

    def _committed(self, repository: StoredRepository, revision: str, oid: str, lines: list[dict[str, Any]]) -> web.Response:
        tree = dict(repository.trees[oid])
        header = lines[0]["value"]
        if header.get("parentCommit", oid) != oid:
            return web.json_response({"error": "A commit has happened since. Please refresh and try again."}, status=412)
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                tree[value["path"]] = _small(b64decode(value["content"]))
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.objects and self.cas is None:
                    return web.json_response({"error": f"{value['path']} was never uploaded"}, status=400)
                tree[value["path"]] = StoredFile(value["size"], hashlib.sha1(value["oid"].encode()).hexdigest(), value["oid"])
            else:
                assert line["key"] == "deletedFile"
                tree.pop(value["path"])
        ref = revision if revision.startswith("refs/") else f"refs/heads/{revision}"
        made = repository.put(ref, tree, header["summary"])
        url = f"{self._page(repository.kind, repository.name)}/commit/{made}"
        return web.json_response({"success": True, "commitOid": made, "commitUrl": url, "hookOutput": ""})

    def _branched(self, repository: StoredRepository, ref: str, start: str) -> web.Response:
        if ref in repository.refs:
            return web.json_response({"error": "exists"}, status=409)
        found = repository.find(start)
        assert found is not None
        repository.refs[ref] = found
        return web.json_response({})

    def _discussed(self, request: web.Request, repository: StoredRepository, which: list[str], wanted: Any) -> web.Response:
        match request.method, which:
            case "POST", []:
                number = len(repository.pulls) + 1
                repository.pulls.append({**_pull(repository, number), "title": wanted["title"]})
                repository.refs[f"refs/pr/{number}"] = repository.refs["refs/heads/main"]
                return web.json_response(repository.pulls[-1])
            case "GET", []:
                return web.json_response({"discussions": repository.pulls, "count": len(repository.pulls), "start": 0})
            case "GET", [number]:
                return web.json_response(repository.pulls[int(number) - 1])
            case "POST", [number, "status"]:
                repository.pulls[int(number) - 1]["status"] = wanted["status"]
                author = {"author": {"name": "me"}, "data": {"status": wanted["status"]}}
                return web.json_response({"newStatus": {"id": "1", "type": "status-change", "createdAt": CREATED, **author}})
            case "POST", [number, "merge"]:
                pull = repository.pulls[int(number) - 1]
                if pull["status"] != "open":
                    return web.json_response({"error": f"a pull request that is {pull['status']} cannot be merged"}, status=400)
                pull["status"] = "merged"
                repository.put("refs/heads/main", repository.files(f"refs/pr/{number}"), f"Merge {pull['title']}")
                return web.json_response({})
        return web.json_response({"error": "no such page"}, status=404)


@contextmanager
def client_of(server: HubServer, cache: Path) -> Iterator[None]:
    """While open, the official client in this process talks to that Hub, as `me`; what it keeps of Xet's storage lies in `cache`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "ENDPOINT", server.url)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}")
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setenv("HF_TOKEN", TOKEN)
        patch.setenv("HF_XET_CACHE", str(cache))
        yield


def request_paths(body: bytes) -> list[str]:
    """The paths of a form."""
    return parse_qs(body.decode()).get("paths", [])


def _is_folder(tree: Tree, path: str) -> bool:
    return any(each.startswith(f"{path}/") for each in tree)


def _small(data: bytes) -> StoredFile:
    return StoredFile(len(data), hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest(), data=data)


def _mode(wanted: dict[str, Any], tree: Tree) -> dict[str, Any]:
    large = bool(LFS_NAME.fullmatch(wanted["path"])) or wanted["size"] > 10_000_000
    there = tree.get(wanted["path"])
    oid = {"oid": there.sha256 or there.oid} if there else {}
    return {"path": wanted["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, **oid}


def _missing(code: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response({"error": code}, status=404, headers={"X-Error-Code": code, **(headers or {})})


def _ref(name: str, ref: str, oid: str) -> dict[str, str]:
    return {"name": name, "ref": ref, "targetCommit": oid}


def _pull(repository: StoredRepository, number: int) -> dict[str, Any]:
    kind = repository.kind.removesuffix("s")
    return {
        "num": number, "author": {"name": "me"}, "status": "draft", "createdAt": CREATED, "isPullRequest": True, "events": [],
        "changes": {"base": "refs/heads/main"}, "repo": {"name": repository.name, "type": kind}, "filesWithConflicts": [],
        "url": f"/{repository.name}/discussions/{number}",
    }  # fmt: skip


def _validated(content: str) -> web.Response:
    """What the Hub is known to refuse: a header that is no YAML, or a licence that is none of its own."""
    try:
        header = yaml.safe_load(content.split("---\n")[1]) if content.startswith("---\n") else {}
        errors = [] if isinstance(header, dict) else ["the header is no mapping"]
    except yaml.YAMLError as fault:
        errors = [str(fault)]
    status = 400 if errors else 200
    return web.json_response({"errors": [{"message": error} for error in errors], "warnings": []}, status=status)
