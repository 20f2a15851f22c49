"""The card of a dataset: README.md with the YAML header the Hub reads."""

import re
import unicodedata
from functools import cache
from typing import Any

import yaml
from jinja2 import Template

from cotforge.card_keys import size_category
from cotforge.pages import About, Exported, page_environment
from cotforge.redaction import without_userinfo
from cotforge.tally import Tally, claims
from cotforge.tally.counts import share_of
from cotforge.tally.finding_rows import FOUND_WORDS
from cotforge.tally.funnel import funnel_steps, given_lessons

LONGEST = 300
"""Most characters of a class name, model or other word in a sentence or table."""
LONGEST_QUOTED = 2_000
"""Most characters of the reasoning of the lesson that is shown."""
NO_LESSONS = "data/no-lessons"
"""Stands for the files of lessons where there are none, and is not there: so `datasets` gives no other rows in their place."""
MARKS = re.compile(r"([\\`*_{}\[\]<>#|~$])")


class Markdown(str):
    """Text that is Markdown already."""

    __slots__ = ()


def dataset_card(about: About, tally: Tally, exported: Exported) -> str:
    """The text of `dataset/README.md`. What data, models and files say stands in it as text, never as markup."""
    header = yaml.safe_dump(_card_header(about, exported), sort_keys=False, allow_unicode=True, width=1_000)
    told = {"about": about, "tally": tally, "exported": exported, "share": share_of, "claims": claims, "checks": FOUND_WORDS}
    told |= {"steps": funnel_steps(tally), "several": given_lessons(tally), "in_words": tally.reason_in_words}
    return f"---\n{header}---\n\n{card_template('card.md').render(told)}"


@cache
def card_template(name: str) -> Template:
    """The template of a card's body, in which all that is not marked as Markdown is shown as it is."""
    pages = page_environment(autoescape=False, finalize=lambda value: value if isinstance(value, Markdown) else plain_markdown(value))
    pages.filters |= {"fenced": fenced_code, "quoted": quoted_text, "link": Markdown, "word": Markdown}
    return pages.get_template(name)


def plain_markdown(text: object, longest: int = LONGEST) -> Markdown:
    """`text` as one line that Markdown shows as it is, in a table too: at most `longest` characters, none that is invisible, no links."""
    line = one_line(str(text))
    cut = line if len(line) <= longest else line[: longest - 1] + "…"
    marked = MARKS.sub(r"\\\1", cut.replace("&", "&amp;"))
    return Markdown(marked.replace("://", "&#58;//").replace("www.", "www&#46;"))


def quoted_text(text: str) -> Markdown:
    """`text` as a quotation that nothing in it can leave, a paragraph for each of its lines; cut where it is long."""
    cut = text if len(text) <= LONGEST_QUOTED else f"{text[: LONGEST_QUOTED - 1]}…"
    return Markdown("\n>\n".join(f"> {plain_markdown(line, LONGEST_QUOTED)}" for line in cut.splitlines() if one_line(line)))


def fenced_code(text: str, language: str = "") -> Markdown:
    """`text` as a code block that nothing in it can end; a password in a URL is left out."""
    clean = without_userinfo("".join(filter(_is_visible, text.replace("\r\n", "\n")))).strip("\n")
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", clean)), default=0))
    return Markdown(f"{fence}{language}\n{clean}\n{fence}")


def one_line(text: str) -> str:
    """`text` without control, bidi and other invisible characters, and with single spaces for all whitespace."""
    return " ".join("".join(filter(_is_visible, text)).split())


def _is_visible(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn"}


def _card_header(about: About, exported: Exported) -> dict[str, Any]:
    header: dict[str, Any] = {
        "license": one_line(about.card_license or about.license or "unknown"),
        "pretty_name": one_line(about.name),
        "annotations_creators": ["machine-generated"],
        "language_creators": ["machine-generated"],
        "task_categories": ["image-classification" if about.task == "classify" else "visual-question-answering", "image-text-to-text"],
        "size_categories": [size_category(exported.rows("default"))],
        "tags": ["chain-of-thought", "reasoning", "vision", "synthetic", "cotforge"],
        "teachers": [
            {"name": one_line(teacher.name), "model": one_line(teacher.model), "license": one_line(teacher.license or "unknown")}
            | ({"simulated": True} if teacher.simulated else {})
            for teacher in about.teachers
        ],
    }
    if about.task == "classify":
        header["task_ids"] = ["multi-class-image-classification"]
    if about.lineage:
        header["source_datasets"] = list(about.lineage)
    if about.license_name:
        header |= {"license_name": about.license_name, "license_link": "LICENSE"}
    if exported.shards:
        header["configs"] = [_config_entry(name, exported) for name in exported.shards]
        if "default" not in exported.shards:  # a config that is alone is loaded by default; last, as the kind of files is that of the first
            header["configs"].append({"config_name": "default", "data_files": [{"split": "train", "path": [NO_LESSONS]}]})
        header["dataset_info"] = [_dataset_info(name, exported) for name in exported.shards]
    return header


def _config_entry(name: str, exported: Exported) -> dict[str, Any]:
    """Files by name, because `datasets` caches a local folder by name and pattern and would give another run's rows."""
    files = [{"split": split, "path": [shard.path for shard in shards]} for split, shards in exported.shards[name].items()]
    return {"config_name": name, "data_files": files}


def _dataset_info(name: str, exported: Exported) -> dict[str, Any]:
    """Sizes are those of the files, all of which `datasets` insists on before it believes the number of rows."""
    splits: list[dict[str, Any]] = [
        {"name": split, "num_bytes": sum(shard.size for shard in shards), "num_examples": sum(shard.rows for shard in shards)}
        for split, shards in exported.shards[name].items()
    ]
    size = sum(shard.size for shards in exported.shards[name].values() for shard in shards)
    features = [dict(feature) for feature in exported.features[name]]
    return {"config_name": name, "features": features, "splits": splits, "download_size": size, "dataset_size": size}
