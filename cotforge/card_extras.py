"""What a dataset's card has beside its counts: a lesson with its picture, the funnel drawn, licence, lineage and citation."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cotforge.card_example import example_of
from cotforge.card_keys import HUB_ID
from cotforge.export.files import PREFIX, SUFFIX, Staged, sweep_folder
from cotforge.hub.licence import choose_licence
from cotforge.hub.machine import mask_places
from cotforge.hub.remote_card import NO_REPO
from cotforge.images.small import small_jpeg
from cotforge.pages import About, Exported
from cotforge.pipeline import Loaded
from cotforge.plots.svg import standalone_file
from cotforge.records import Lesson
from cotforge.report.figures import funnel_figure
from cotforge.tally import Tally
from cotforge.tally.finding_rows import ORIGINS
from cotforge.version import __version__

FOLDER = "assets"
"""Within `dataset/`: the pictures that the card shows."""
EXAMPLE, FUNNEL = "lesson.jpg", "funnel.svg"
SIDE = 512
"""Pixels of the longer side of the lesson's picture."""
WIDE, MARGIN = 560, 14
"""Pixels of the funnel's width, and units of the margin around it."""


def add_card_extras(about: About, loaded: Loaded, *, exported: Exported, tally: Tally, lessons: Sequence[Lesson], dataset: Path) -> About:
    """What the card tells of a run, with all that it shows; its pictures are written to `dataset/assets/`. Raises OSError.

    Without lessons there are no pictures: `datasets` would take them for the data.
    """
    pipeline, files = loaded.pipeline, dict[str, bytes]()
    if exported.rows("default"):
        files[FUNNEL] = draw_funnel(tally).encode()
        shown = {example_file(lesson): lesson for lesson in lessons}
        files |= {name: jpeg for name, lesson in shown.items() if (jpeg := small_jpeg(lesson.sample.pictures[0], SIDE))}
    write_card_files(dataset / FOLDER, files)
    licence = choose_licence(pipeline.source.license, {teacher.model: teacher.license for teacher in pipeline.teachers})
    return replace(
        about,
        card_license=licence.identifier,
        license_name=licence.name,
        license_notes=licence.reasons,
        lineage=hub_lineage(loaded),
        citation=bibtex(pipeline.name, about.source),
        examples=[example_of(lesson, f"{FOLDER}/{name}") for lesson in lessons if (name := example_file(lesson)) in files],
        funnel=f"{FOLDER}/{FUNNEL}" if FUNNEL in files else "",
        pipeline=mask_places(loaded.written),
    )


def example_file(lesson: Lesson) -> str:
    """The name of its picture: one for each origin."""
    origin = lesson.judged.trace.origin
    return EXAMPLE if origin == "solve" else f"lesson-{origin}.jpg"


def draw_funnel(tally: Tally) -> str:
    """How many rows were left after each step, as an SVG file with a background and a margin of its own."""
    drawn = standalone_file(funnel_figure(tally).svg)
    wide, high = map(float, re.findall(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"', drawn)[0])
    size = f'x="-{MARGIN}" y="-{MARGIN}" width="{wide + 2 * MARGIN:g}" height="{high + 2 * MARGIN:g}"'
    framed = drawn.replace("</style>", f'.was {{ fill: none }}</style><rect {size} style="fill:var(--page)"/>', 1)
    box = f'viewBox="-{MARGIN} -{MARGIN} {wide + 2 * MARGIN:g} {high + 2 * MARGIN:g}" width="{WIDE}"'
    return re.sub(r'viewBox="[^"]*"', box, framed, count=1)


def hub_lineage(loaded: Loaded) -> list[str]:
    """The datasets of the Hub that the raw data are from."""
    source = loaded.pipeline.source
    on_hub = source.kind == "hf" and HUB_ID.fullmatch(source.path) and not (loaded.root / source.path).exists()
    return [source.path] if on_hub else []


def bibtex(name: str, source: str) -> str:
    """An entry for a dataset of this name."""
    fields = {
        "title": f"{name}: images with questions and reasoning written by vision-language models",
        "howpublished": NO_REPO,
        "note": f"Made with cotforge {__version__} from {source}",
    }
    body = ",\n".join(f"  {key} = {{{_without_braces(value)}}}" for key, value in fields.items())
    return f"@misc{{{name},\n{body}\n}}"


def _without_braces(text: str) -> str:
    return text.replace("{", "(").replace("}", ")")


def write_card_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put the pictures of a card in place, each whole, and remove those of an earlier card that are not among them. Raises OSError."""
    for name in {EXAMPLE, *(f"lesson-{origin}.jpg" for origin in ORIGINS), FUNNEL} - files.keys():
        (folder / name).unlink(missing_ok=True)
    sweep_folder(folder, pattern=f"{PREFIX}*{SUFFIX}")
    for name, content in files.items():
        with Staged(folder) as staged:
            staged.file.write(content)
            staged.settle(name)
