"""What the commands share: exit codes, examples, common options, and how results are printed."""

import re
import shlex
from pathlib import Path
from typing import Any

import click

from cotforge.redaction import redact_text
from cotforge.version import __version__
from cotforge.visible import show_invisible

DONE, WRONG, STOPPED, INTERRUPTED = 0, 2, 3, 130
"""Exit codes."""

EXAMPLES = {
    "init": "cotforge init photos --out photos.yaml",
    "check": "cotforge check pipelines/emoset.yaml",
    "simulate": "cotforge simulate emotions.yaml",
    "build": "cotforge build emotions.yaml --limit 100 --set teachers.0.max_tokens=1024",
    "view": "cotforge view runs/emotions --open",
    "gold": "cotforge gold runs/emotions --read gold.csv",
    "curate": "cotforge curate runs/emotions --what-if",
    "export": "cotforge export runs/emotions --to llamafactory",
    "push": "cotforge push runs/emotions me/emotions-cot",
    "train": "cotforge train emotions.yaml --smoke",
    "eval": "cotforge eval emotions.yaml --model runs/emotions/train/student",
    "keys": "cotforge keys consensus",
    "demo": "cotforge demo --short",
}
"""Of each command, in the order in which one needs them; help and docs name them so."""


class Example(click.Command):
    """A command whose help ends with an example."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Example"):
            formatter.write_text(EXAMPLES[ctx.info_name or ""])


class Commands(click.Group):
    """All commands, in the order of their examples."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.commands, key=list(EXAMPLES).index)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.commands[name].get_short_help_str(limit=1_000)) for name in self.list_commands(ctx)])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands and (named := next((word for word in args if word in self.commands), None)):
            words = [named, *(word for word in args if word != named)]
            ctx.fail(f"the command comes first: cotforge {shlex.join(words)}")
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, message="cotforge %(version)s")
def cli() -> None:
    """Labelled images in, agreed chain-of-thought lessons for a small vision-language model out."""


class WholeNumber(click.IntRange):
    """A whole number within bounds; `more`: what else is to be said where it is out of them."""

    def __init__(self, min: int | None = None, max: int | None = None, *, more: str = "") -> None:
        super().__init__(min, max)
        self._more = more

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            number = int(value)
        except ValueError:
            self.fail(f"{value!r} is no whole number", param, ctx)
        if (self.min is not None and number < self.min) or (self.max is not None and number > self.max):
            self.fail(f"{number} is out of range; {self._bounds()}{self._more}", param, ctx)
        return number

    def _bounds(self) -> str:
        return f"at least {self.min}" if self.max is None else f"{self.min} to {self.max}"


class RunPath(click.Path):
    """A run folder, there or not."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, file_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(value)
        if path.suffix in (".yaml", ".yml") and path.is_file():
            with path.open(encoding="utf-8", errors="replace") as file:
                named = re.search(r"^name: *([\w.-]+)", file.read(_LOOKED_AT), re.MULTILINE)
            where = f"; its run folder is runs/{named[1]}, unless --out named another" if named else ""
            self.fail(f"{value!r} is a pipeline file, and a run folder is wanted{where}", param, ctx)
        return super().convert(value, param, ctx)


_LOOKED_AT = 1 << 16
"""Characters of a pipeline file in which its name is looked for."""
PIPELINE = click.argument("pipeline", metavar="PIPELINE")
OUT = click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Run folder (default: runs/<name of the pipeline>).")
SETS = click.option(
    "--set", "sets", multiple=True, metavar="KEY.PATH=VALUE", help="Change a value of the file. List items go by index; + appends one."
)
REPLACE = click.option(
    "--replace",
    is_flag=True,
    help="Allow a dataset made of fewer samples to replace the present one. A build of the whole source always may.",
)
TRUST = click.option(
    "--trust", is_flag=True, help="Allow a pipeline or run folder from elsewhere to run its Python, and to read and send what it names."
)
LIMIT = click.option(
    "--limit",
    type=WholeNumber(min=1),
    metavar="N",
    help="Use only N samples, drawn at random from every class; held-out ones do not count. A larger N keeps them.",
)


def print_line(text: str) -> None:
    """Print lines on stdout, without credentials; what a stranger's text in them hides is shown as escapes."""
    click.echo(show_invisible(redact_text(text)))
