"""The folder that the site is built from has every page, and every file that a page links to, in its place."""

import re
from pathlib import Path
from typing import Any

import pytest

import cotforge
from cotforge import bounded_yaml
from cotforge.reference.site import stage_site

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stage_site(ROOT, tmp_path_factory.mktemp("site") / "book").parent


def files_in(navigation: Any) -> list[str]:
    if isinstance(navigation, str):
        return [navigation]
    below = navigation.values() if isinstance(navigation, dict) else navigation
    return [file for each in below for file in files_in(each)]


def test_every_page_of_the_docs_stands_in_the_navigation_once(folder: Path) -> None:
    named = files_in(bounded_yaml.load_yaml((folder / "mkdocs.yml").read_text())["nav"])
    assert len(named) == len({*named})
    assert {str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")} <= {*named}
    assert [file for file in named if not (folder / "pages" / file).is_file()] == []


def test_every_file_that_a_page_links_to_is_there(folder: Path) -> None:
    for page in (folder / "pages").rglob("*.md"):
        found = re.findall(r"\]\(([^)#\s]+)|src=\"([^\"]+)", page.read_text(encoding="utf-8"))
        links = [link or image for link, image in found if "://" not in link]
        assert [link for link in links if not (page.parent / link).exists()] == [], page.name


def test_the_page_of_the_python_api_has_every_public_name_but_the_version(folder: Path) -> None:
    told = re.findall(r"^::: cotforge\.\S*?(\w+)$", (folder / "pages/docs/reference/api.md").read_text(), re.MULTILINE)
    assert told == sorted(name for name in cotforge.__all__ if name != "__version__")


def test_nothing_is_loaded_from_elsewhere(folder: Path) -> None:
    config = bounded_yaml.load_yaml((folder / "mkdocs.yml").read_text())
    assert config["theme"]["font"] is False  # else the theme asks Google for it


def test_one_text_holds_all_pages(folder: Path) -> None:
    text = (folder / "pages" / "llms-full.txt").read_text(encoding="utf-8")
    assert all(f"<!-- {page.relative_to(ROOT)} -->" in text for page in (ROOT / "docs").rglob("*.md"))
