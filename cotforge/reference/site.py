"""Prepares the docs for a site generator that reads `mkdocs.yml`: `python -m cotforge.reference.site FOLDER`.

Pages link to files beside the docs (pipelines, examples, the changelog), so that they can be read where the repository is browsed. A site
has only what lies in its folder: pages and what they link to are copied there, in their places, so every link holds as it is written.
"""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cotforge
from cotforge import bounded_yaml

HEAD = "README.md"
INDEX = "docs/index.md"
API = "docs/reference/api.md"
"""Made for the site alone: it is written by mkdocstrings, which a reader of the repository does not have."""
FOR_MODELS = "llms-full.txt"
"""All pages one after the other, under the name by which language models look for them (llmstxt.org)."""
FOOT = ("CHANGELOG.md", "CONTRIBUTING.md")
_LINK = re.compile(r"""(?:\]\(|<img [^>]*?src=["'])([^)"'#\s]+)""")
_NAMED = re.compile(r"\[([^\]]+)\]\(([^)#\s]+\.md)\)")
_PART = re.compile(r"\*\*(.+?)\*\*")


def stage_site(root: Path, folder: Path) -> Path:
    """The site's configuration, written to a new folder with all pages of a repository and what they link to."""
    shutil.rmtree(folder, ignore_errors=True)
    pages = folder / "pages"
    for name in _linked_files(root, [HEAD, INDEX, *FOOT]):
        (pages / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, pages / name)
    (pages / API).write_text(api_page(), encoding="utf-8")
    (pages / FOR_MODELS).write_text(whole_text(root), encoding="utf-8")
    config = folder / "mkdocs.yml"
    config.write_text(bounded_yaml.dump_yaml(site_config(root)), encoding="utf-8")
    return config


def site_config(root: Path) -> dict[str, Any]:
    """What `mkdocs.yml` holds; the pages stand in the order of the book's index."""
    return {
        "site_name": "cotforge",
        "docs_dir": "pages",
        "site_dir": "site",
        "use_directory_urls": False,  # so that it can be read from a disk
        "nav": [{"Home": HEAD}, *book_navigation(root), {"Python API": API}, {"More": [*FOOT]}],
        "theme": {"name": "material", "font": False, "features": ["navigation.sections", "toc.follow"], "palette": _colour_palettes()},
        "markdown_extensions": ["admonition", "tables", "attr_list", {"toc": {"permalink": True}}, "pymdownx.superfences"],
        "plugins": ["search", {"mkdocstrings": {"handlers": {"python": {"paths": [str(root.resolve())], "options": _API_OPTIONS}}}}],
    }


_API_OPTIONS = {
    "show_source": False,
    "show_root_heading": True,
    "show_root_full_path": False,  # the name that `import cotforge` gives it
    "heading_level": 2,
    "show_signature_annotations": True,
    "separate_signature": True,
    "members_order": "source",
}


def _colour_palettes() -> list[dict[str, Any]]:
    """Light and dark, as the reader's system is."""
    return [{"media": f"(prefers-color-scheme: {scheme})", "scheme": name} for scheme, name in (("light", "default"), ("dark", "slate"))]


def book_navigation(root: Path) -> list[dict[str, Any]]:
    """The parts of the book with their pages, as its index has them."""
    parts: list[dict[str, Any]] = [{"The book": INDEX}]
    for line in (root / INDEX).read_text(encoding="utf-8").splitlines():
        if title := _PART.fullmatch(line.strip()):
            parts.append({title[1]: []})
        for name, file in _NAMED.findall(line):
            page = {name[:1].upper() + name[1:]: f"docs/{file}"}
            pages = next(iter(parts[-1].values()))
            if isinstance(pages, list) and not file.startswith(".."):
                pages.append(page)
    return parts


def whole_text(root: Path) -> str:
    """The README and the pages of the book in their order, as one text."""
    files = [HEAD, *(file for part in book_navigation(root) for pages in part.values() for file in _files_of(pages))]
    return "\n\n".join(f"<!-- {file} -->\n\n{(root / file).read_text(encoding='utf-8')}" for file in files)


def _files_of(pages: str | list[dict[str, str]]) -> list[str]:
    return [pages] if isinstance(pages, str) else [file for page in pages for file in page.values()]


def api_page() -> str:
    """The page about all that `import cotforge` offers."""
    objects = [(name, getattr(cotforge, name)) for name in sorted(cotforge.__all__) if not name.startswith("_")]
    return "# Python API\n\n" + "\n".join(f"::: {each.__module__}.{each.__qualname__}\n" for _, each in objects)


def _linked_files(root: Path, names: list[str]) -> Iterator[str]:
    """The named files, and every file below the root that they, or the pages they name, link to; relative to the root."""
    seen: set[str] = set()
    while names:
        name = names.pop()
        if name in seen or not (root / name).is_file():
            continue
        seen.add(name)
        yield name
        if name.endswith(".md"):
            links = _LINK.findall((root / name).read_text(encoding="utf-8"))
            found = ((root / name).parent / link for link in links if "://" not in link)
            names += [str(path.resolve().relative_to(root.resolve())) for path in found if path.resolve().is_relative_to(root.resolve())]


if __name__ == "__main__":
    print(stage_site(Path(), Path(sys.argv[1])))
