"""What the pages of a run (the card and the report) tell of beside its counts, and how they are rendered."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from cotforge.plots.svg import plot_style
from cotforge.visible import show_invisible


@dataclass(frozen=True, slots=True)
class AboutTeacher:
    """A teacher as the pages tell of it."""

    name: str
    model: str
    price: tuple[float, float] | None = None
    """US dollars per million tokens of input and of output; None where none was given."""
    license: str | None = None
    """None where it is not known."""
    simulated: bool = False
    """Whether `cotforge simulate` answered in its place."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What one teacher took, over all invocations of a run."""

    teacher: str
    model: str
    replies: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    seconds: float
    """Of its server, summed over the replies."""


@dataclass(frozen=True, slots=True)
class ExampleLesson:
    """One lesson, for a person to read on the card."""

    question: str
    reasoning: str
    answer: str
    label: str | None
    """The raw label; None where there is none."""
    votes: Sequence[tuple[str, str]]
    """(teacher, answer) of each ballot."""
    teacher: str
    """Who wrote the reasoning."""
    picture: str = ""
    """Path of its first picture within `dataset/`; empty where it can no longer be read."""
    origin: str = "solve"
    segments: Sequence[tuple[str, str]] = ()
    """(kind, text) of each part, where it was woven."""


@dataclass(frozen=True, slots=True)
class About:
    """What the pages say of a run beside its counts. No value of an environment variable belongs here."""

    name: str
    version: str
    """Of cotforge."""
    task: str
    """`classify` or `answer`."""
    teachers: Sequence[AboutTeacher]
    source: str
    """Where the raw data came from, in a few words."""
    consensus: str
    """The name of the rule and its numbers, in a few words."""
    filters: Sequence[tuple[str, str]]
    """Each bound of the texts in a few words, with the fate of those outside it."""
    prompts: Mapping[str, str]
    """Name to text of each template."""
    pipeline: str
    """The pipeline file with `${VAR}` left as it stands."""
    command: str
    """What builds the dataset again."""
    question: str | None = None
    license: str | None = None
    """Of the source, as a word of the Hub; None where it is not known."""
    card_license: str | None = None
    """Of the dataset, by source and teachers, as a word of the Hub; None where it is that of the source."""
    license_name: str | None = None
    """Of the dataset, where the Hub's word is `other`."""
    license_notes: Sequence[str] = ()
    """Conditions of the teachers' licences, in sentences without an end."""
    lineage: Sequence[str] = ()
    """Datasets on the Hub that it is made from."""
    citation: str = ""
    """In BibTeX."""
    examples: Sequence[ExampleLesson] = ()
    """One of each origin."""
    funnel: str = ""
    """Path of the funnel's picture within `dataset/`; empty where there is none."""
    calls: int = 0
    """Calls in the journal with a final outcome."""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    label_votes: bool = False
    """Whether the raw label counts in the vote."""
    spent: Sequence[Spent] = ()
    """By teacher, the most expensive one first."""
    seconds: float | None = None
    """Of this invocation; None where it is not over."""
    run: str = ""
    """The run folder, as a command takes it; empty where it is not known."""
    pictures: str = ""
    """What pictures are known by, where they may vote; empty where they do not."""
    asked: str = ""
    """What one teacher was asked about the first Lesson's Sample, as text; empty where there is none, or it holds what is not published."""

    @property
    def rehearsal(self) -> str:
        """That teachers were simulated, as a sentence without an end; empty where none was."""
        names = [teacher.name for teacher in self.teachers if teacher.simulated]
        which = "every teacher" if len(names) == len(self.teachers) else f"{', '.join(names)} of the teachers"
        return f"a rehearsal: cotforge simulate answered for {which}, not a real model" if names else ""

    @property
    def priced(self) -> bool:
        """Whether a cost is known: a teacher has a price, or something was paid."""
        return bool(self.cost_usd) or any(teacher.price is not None for teacher in self.teachers)


@dataclass(frozen=True, slots=True)
class Shard:
    """A parquet file of the dataset."""

    path: str
    """Relative to `dataset/`."""
    rows: int
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What lies in the dataset folder."""

    shards: Mapping[str, Mapping[str, Sequence[Shard]]] = field(default_factory=dict)
    """Config to split to shards; a config without rows is not there."""
    features: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """Config to its features, in the form of a card's `dataset_info`."""
    note: str = ""
    """Why there is no Lesson, in one line; empty where there is one."""

    def first_split(self) -> str:
        """A split with lessons; `train` where there are none."""
        return next(iter(self.shards.get("default", {})), "train")

    def rows(self, config: str) -> int:
        """Rows of a config, over all its splits."""
        return sum(shard.rows for shards in self.shards.get(config, {}).values() for shard in shards)


@cache
def page_environment(*, autoescape: bool, finalize: Callable[[Any], Any] | None = None) -> Environment:
    """Jinja over the templates of this folder, with filters for numbers: one for each form, so that a template is compiled once.

    Where it escapes, what nobody sees is shown too.
    """
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=autoescape,
        finalize=finalize or (_escape_value if autoescape else None),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals["plot_style"] = lambda: Markup(plot_style())
    made.filters |= {
        "count": partial(_or_dash, "{:,}"),
        "percent": partial(_or_dash, "{:.1%}"),
        "number": partial(_or_dash, "{:,.4g}"),
        "usd": lambda value: f"{value:,.4f}" if value < 1 else f"{value:,.2f}",
    }
    return made


def _escape_value(value: Any) -> Any:
    return show_invisible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _or_dash(form: str, value: float | None) -> str:
    return "-" if value is None else form.format(value)
