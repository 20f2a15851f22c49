"""What the commands share: exit codes, examples, common options, and how results are printed."""

from pathlib import Path

import click

from cotforge.redaction import redact_text
from cotforge.version import __version__
from cotforge.visible import show_invisible

DONE, WRONG, STOPPED, INTERRUPTED = 0, 2, 3, 130
"""Exit codes."""

EXAMPLES = {
    "init": "cotforge init photos --out photos.yaml",
    "check": "cotforge check pipelines/emoset.yaml",
    "build": "cotforge build emotions.yaml --limit 100 --set teachers.0.max_tokens=1024",
    "curate": "cotforge curate runs/emotions --what-if",
    "gold": "cotforge gold runs/emotions --read gold.csv",
    "train": "cotforge train emotions.yaml --smoke",
    "simulate": "cotforge simulate emotions.yaml",
    "eval": "cotforge eval emotions.yaml --model runs/emotions/train/student",
    "demo": "cotforge demo --short",
    "export": "cotforge export runs/emotions --to llamafactory",
    "view": "cotforge view runs/emotions --open",
    "push": "cotforge push runs/emotions me/emotions-cot",
    "keys": "cotforge keys consensus",
}
"""Of each command, in the order in which the docs name them."""


class Example(click.Command):
    """A command whose help ends with an example."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Example"):
            formatter.write_text(EXAMPLES[ctx.info_name or ""])


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, message="cotforge %(version)s")
def cli() -> None:
    """Labelled images in, agreed chain-of-thought lessons for a small vision-language model out."""


PIPELINE = click.argument("pipeline", metavar="PIPELINE")
OUT = click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Run folder (default: runs/<name of the pipeline>).")
SETS = click.option(
    "--set", "sets", multiple=True, metavar="KEY.PATH=VALUE", help="Change a value of the file. List items go by index; + appends one."
)
REPLACE = click.option("--replace", is_flag=True, help="Allow a dataset made of fewer samples to replace the present one.")
TRUST = click.option(
    "--trust", is_flag=True, help="Allow a pipeline or run folder from elsewhere to run its Python, and to read and send what it names."
)
LIMIT = click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="Use only N samples, drawn at random from every class. A larger N keeps them."
)


def print_line(text: str) -> None:
    """Print lines on stdout, without credentials; what a stranger's text in them hides is shown as escapes."""
    click.echo(show_invisible(redact_text(text)))
