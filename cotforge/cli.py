"""The `cotforge` command: reads the arguments, calls one function, and turns what happened into an exit code."""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import click

from cotforge import __version__
from cotforge.errors import CotforgeError, Interrupted, Stopped, grouped, printable
from cotforge.redaction import redact
from cotforge.visible import visible

DONE, WRONG, STOPPED, INTERRUPTED = 0, 2, 3, 130
"""Exit codes."""

EXAMPLES = {
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
}


class Example(click.Command):
    """A command whose help ends with an example."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Example"):
            formatter.write_text(EXAMPLES[ctx.info_name or ""])


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, message="cotforge %(version)s")
def cli() -> None:
    """Labelled images in, agreed chain-of-thought lessons for a small vision-language model out."""


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_pipeline = click.argument("pipeline", metavar="PIPELINE")
_out = click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Run folder (default: runs/<name of the pipeline>).")
_set = click.option(
    "--set", "sets", multiple=True, metavar="KEY.PATH=VALUE", help="Change a value of the file; list items go by index, + is a new one."
)
_replace = click.option("--replace", is_flag=True, help="Let the dataset be replaced by one made of fewer samples.")
_trust = click.option(
    "--trust", is_flag=True, help="Do what a pipeline or run folder from elsewhere asks for: run its Python, read and send what it names."
)
_limit = click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="Only N samples, drawn by chance from every class; a larger N keeps them."
)


@cli.command(cls=Example)
@_pipeline
@_out
@_set
@_trust
@_limit
@click.option(
    "--probe",
    type=click.IntRange(min=1),
    is_flag=False,
    flag_value=5,
    metavar="[N]",
    help="Ask every teacher about N samples (5), chosen at random and always the same, and measure. This is paid for; "
    "build does not ask them again.",
)
@click.option(
    "--show-prompt", type=click.IntRange(min=1), metavar="N", help="Print what is asked about the N-th sample, as it is rendered."
)
@click.option("--offline", is_flag=True, help="Look at no teacher: only at the file, the prompts and the source.")
def check(
    pipeline: str, out: Path | None, sets: Sequence[str], limit: int | None, probe: int | None, show_prompt: int | None, offline: bool,
    trust: bool,
) -> int:  # fmt: skip
    """Validate file, prompts, source and teachers, and print calls, tokens, cost and hours still to come. Asks nothing without --probe."""
    from cotforge.build import Run

    if probe and offline:
        raise click.UsageError("--probe asks the teachers, and --offline nobody; leave one out")
    with Run.open(pipeline, out=out, sets=sets, limit=limit, trust=trust) as run:
        if run.loaded.pipeline.train is not None:
            from cotforge.train import precheck

            precheck.check(run.loaded, run.folder.path, run.samples)
            for line in precheck.without_vllm(run.loaded.pipeline.train.expanded()):  # the training may be for another machine
                tell(line)
        run.check(tell, probe=probe or 0, show=show_prompt, offline=offline)
    return DONE


@cli.command(cls=Example)
@_pipeline
@_out
@_set
@_trust
@_limit
@_replace
@click.option("--offline", is_flag=True, help="Curate from the journal and ask nothing.")
@click.option(
    "--refresh", multiple=True, metavar="TEACHER", help="Ask this teacher's calls anew; what it said before is kept in the journal."
)
@click.option(
    "--retry",
    metavar="REASON,...",
    help="Of the calls that came to nothing ask only those anew that did so for these reasons, as losses.parquet has them: "
    "timeout, 500, 400, no_answer, ...",
)
def build(
    pipeline: str, out: Path | None, sets: Sequence[str], limit: int | None, replace: bool, offline: bool, refresh: Sequence[str],
    retry: str | None, trust: bool,
) -> int:  # fmt: skip
    """Ask the teachers, vote, filter and write the dataset. Goes on where it stopped; a second run asks nothing."""
    from cotforge.build import Run

    if offline and (refresh or retry):
        raise click.UsageError("--offline asks nothing, and --refresh and --retry ask anew; give one of them")
    with Run.open(pipeline, out=out, sets=sets, limit=limit, trust=trust, sends=not offline) as run:
        tell(run.build(offline=offline, refresh=refresh, retry=_words(retry), replace=replace))
    return DONE


@cli.command(cls=Example)
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path, file_okay=False))
@_set
@_trust
@_replace
@click.option("--what-if", is_flag=True, help="Compare every rule, target and order of asking on the journal instead; write no dataset.")
def curate(run: Path, sets: Sequence[str], replace: bool, what_if: bool, trust: bool) -> int:
    """Vote, filter and write the dataset again from a run's journal. Asks nothing."""
    from cotforge.build import Run

    with Run.reopen(run, sets=sets, trust=trust) as opened:
        tell(opened.what_if() if what_if else opened.curate(replace=replace))
    return DONE


@cli.command(cls=Example)
@click.argument("run", metavar="RUN")
@_out
@_set
@_trust
@_limit
@click.option(
    "--count", type=click.IntRange(100, 300), metavar="N", help="How many samples: 100 to 300 (default: a tenth of all, within these)."
)
@click.option("--read", "answers", type=click.Path(path_type=Path), metavar="FILE", help="Put the answers in FILE to those of the run.")
@click.option("--audit", is_flag=True, help="Show the samples whose labels are likeliest wrong instead, and list them in RUN/audit.csv.")
def gold(
    run: str,
    out: Path | None,
    sets: Sequence[str],
    limit: int | None,
    count: int | None,
    answers: Path | None,
    audit: bool,
    trust: bool,
) -> int:  # fmt: skip
    """Draw samples for a person to check, and read the answers back. Asks no teacher.

    RUN is a run folder, or before there is one a pipeline file. Leaves a page, RUN/gold.html, and a table, RUN/gold-to-fill.csv.
    Half of the samples are drawn by chance, half where teachers are unsure or contradict the label; before a build all by chance.
    """
    from cotforge.build import Run

    if answers and (count or audit):
        word = "--audit" if audit else "--count"
        raise click.UsageError(f"{word} picks samples, and --read takes their answers; give one of them")
    is_folder = Path(run).is_dir()
    if is_folder and (out or limit):
        raise click.UsageError(f"{run} is a run folder, which has its place and limit; --out and --limit belong to a pipeline file")
    with (
        Run.reopen(Path(run), sets=sets, trust=trust)
        if is_folder
        else Run.open(run, out=out, sets=sets, limit=limit, trust=trust, sends=False)
    ) as opened:
        tell(opened.gold(count=count, answers=answers, audit=audit))
    return DONE


@cli.command(cls=Example)
@_pipeline
@_out
@_set
@_trust
@click.option("--stage", metavar="NAME", help="Only this stage; those that it descends from have to be done.")
@click.option("--from", "first", metavar="NAME", help="This stage and all that descend from it again, although they are done; base is all.")
@click.option("--smoke", is_flag=True, help="Two steps of every stage, or of --stage alone, in a folder of their own.")
@click.option("--gpus", metavar="NUMBERS", help="Train on these of the visible GPUs, as in 0 or 0,2 (default: all, a process on each).")
@click.option("--launch", "launcher", metavar="COMMAND", help="Start each stage by it: 'torchrun --nproc_per_node 4', 'accelerate launch'.")
def train(
    pipeline: str, out: Path | None, sets: Sequence[str], stage: str | None, first: str | None, smoke: bool, gpus: str | None,
    launcher: str | None, trust: bool,
) -> int:  # fmt: skip
    """Train a student on the dataset, stage by stage. Stages that are done are skipped; one that was interrupted goes on."""
    from cotforge.train.launched import train as learn

    if first and (smoke or (stage and stage != first)):
        raise click.UsageError("--from chooses the stages, as --stage and --smoke do; give one of them")
    if gpus is not None and launcher is not None:
        raise click.UsageError("--launch starts the processes, and chooses their GPUs, as --gpus does; give one of them")
    done = learn(
        pipeline,
        launcher=launcher,
        gpus=gpus,
        out=out,
        sets=sets,
        stage=stage,
        first=first,
        smoke=smoke,
        trust=trust,
        tell=lambda line: click.echo(printable(line), err=True),
    )
    if done:
        tell(done)
    return DONE


@cli.command(cls=Example)
@_pipeline
@_set
@_trust
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8100,
    show_default=True,
    help="Where teachers whose URL is not on this machine are served.",
)
def simulate(pipeline: str, sets: Sequence[str], port: int, trust: bool) -> int:
    """Serve a pipeline's teachers on this machine, with chosen speed, skill and faults, to rehearse it before paying."""
    from cotforge.simulate.command import simulate as serve

    serve(pipeline, sets=sets, port=port, trust=trust, tell=tell)
    return DONE


@cli.command("eval", cls=Example)
@_pipeline
@_out
@_set
@_trust
@click.option("--model", help="A folder, an id on the Hub, or the name that --url serves (default: the trained student, else its base).")
@click.option("--url", metavar="URL", help="Ask an OpenAI-compatible server instead of loading the model here.")
@click.option("--key-env", metavar="VARIABLE", help="The environment variable with the server's key.")
@click.option("--max-tokens", type=click.IntRange(min=1), metavar="N", help="Of an answer, at most (default: as in training).")
@click.option("--rescue", type=click.IntRange(min=0), metavar="N", help="Tokens more for a thought cut off (default: eval.rescue).")
@click.option(
    "--batch", type=click.IntRange(min=1), metavar="N", help="Questions at once, in this process (default: 16, more on a GPU with room)."
)
@click.option(
    "--write-back", is_flag=True, help="Ask about the samples of the build instead; RUN/difficulty.parquet gets their pass rates."
)
@click.option("--tries", type=click.IntRange(min=1), metavar="N", help="With --write-back: answers to a sample (default: 4; 1 is greedy).")
@click.option("--samples", type=click.IntRange(min=1), metavar="N", help="With --write-back: so many samples (default: all).")
def evaluate(
    pipeline: str, out: Path | None, sets: Sequence[str], model: str | None, url: str | None, key_env: str | None,
    max_tokens: int | None, rescue: int | None, batch: int | None, write_back: bool, tries: int | None, samples: int | None, trust: bool,
) -> int:  # fmt: skip
    """Try a model on held-out labels, greedily, and write accuracy, macro recall and more, with intervals, to RUN/eval/."""
    from cotforge.train.evaluation.tryout import Asked, try_out

    asked = Asked(model=model, url=url, key_env=key_env, max_tokens=max_tokens, batch=batch)
    if write_back:
        from cotforge.train.evaluation import write_back as back

        if rescue is not None:
            raise click.UsageError("--rescue belongs to the figures on held-out labels; leave it out with --write-back")
        back.write_back(pipeline, asked=asked, out=out, sets=sets, tries=tries, at_most=samples, trust=trust, tell=tell)
        return DONE
    if tries or samples:
        raise click.UsageError(f"--{'tries' if tries else 'samples'} belongs to --write-back, which asks about the samples of the build")
    try_out(pipeline, asked=asked, out=out, sets=sets, rescue=rescue, trust=trust, tell=tell)
    return DONE


@cli.command(cls=Example)
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--to", metavar="FORMAT", required=True,
    help="llamafactory, ms-swift, easyr1, sharegpt, trl, axolotl, openai or webdataset.",
)  # fmt: skip
@click.option("--kind", type=click.Choice(["sft", "grpo", "dpo"]), help="What the rows are for (default: the first that the format has).")
@click.option("--out", type=click.Path(path_type=Path), help="Where (default: RUN/export/FORMAT-KIND).")
@click.option("--newlines", is_flag=True, help="Write thoughts on lines of their own, as reasoning templates of LLaMA-Factory have them.")
@_trust
def export(run: Path, to: str, kind: Any, out: Path | None, newlines: bool, trust: bool) -> int:
    """Write a run's lessons as rows of another trainer, with the files that it wants beside them. Asks nothing."""
    from cotforge.formats import export as write

    tell(write(run, to, kind=kind, out=out, newlines=newlines, trust=trust).text())
    return DONE


@cli.command(cls=Example)
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path, file_okay=False))
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Where to listen on 127.0.0.1 (default: a free port).")
@click.option("--open", "opens", is_flag=True, help="Open the page in a browser.")
@click.option("--person", default="view", show_default=True, metavar="NAME", help="Save answers under this name.")
@click.option("--trusted-origin", "origins", multiple=True, metavar="URL", help="Let pages of this origin show it, such as a notebook's.")
@_trust
def view(run: Path, port: int, opens: bool, person: str, origins: Sequence[str], trust: bool) -> int:
    """Look at every sample of a run in a browser, and save what you find right as gold. Serves this machine alone until Ctrl-C."""
    from cotforge.view.serving import serve_until_interrupted, start_viewer

    viewer = start_viewer(run, port=port, trust=trust, person=person, trusted_origins=origins)
    serve_until_interrupted(viewer, tell=tell, opens=opens)
    return DONE


@cli.command(cls=Example)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("runs/demo"), show_default=True, help="Run folder.")
@click.option("--short", is_flag=True, help="Fewer digits and steps, for a quick look.")
def demo(out: Path, short: bool) -> int:
    """Build lessons from real handwritten digits with local teachers, and train a tiny student: no key, no GPU, minutes on a laptop."""
    from cotforge.demo import demo as show

    show(out, short=short, tell=tell)
    return DONE


def _words(given: str | None) -> list[str]:
    """The words of a list with commas, each once."""
    return list(dict.fromkeys(word.strip() for word in (given or "").split(",") if word.strip()))


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point. Every fault of the user's is one line on stderr; anything else is a bug and shows its traceback."""
    os.umask(0o077)  # what a run writes is its owner's alone
    sys.excepthook = show_bug
    threading.excepthook = lambda bug: show_bug(bug.exc_type, bug.exc_value, bug.exc_traceback)
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = cli.main(args=None if arguments is None else list(arguments), prog_name="cotforge", standalone_mode=False)
        return code if isinstance(code, int) else DONE
    except click.exceptions.NoArgsIsHelpError as fault:
        fault.show()
        return WRONG
    except click.ClickException as fault:
        return _say(CotforgeError(f"cotforge: {fault.format_message()}; see --help"), WRONG)
    except Stopped as stopped:
        return _say(stopped, STOPPED)
    except CotforgeError as fault:
        return _say(fault, WRONG)
    except (KeyboardInterrupt, click.Abort) as end:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all that is left is to end; once more must not change how
        told = end.__cause__ if isinstance(end.__cause__, Interrupted) else Interrupted()
        click.echo(f"interrupted; {told}", err=True)
        return INTERRUPTED


def _say(fault: CotforgeError, code: int) -> int:
    for line in grouped(fault.faults):
        click.echo(printable(line), err=True)
    return code


def tell(text: str) -> None:
    """Print lines on stdout, without credentials; what a stranger's text in them hides is shown as escapes."""
    click.echo(visible(redact(text)))


def show_bug(kind: type[BaseException], fault: BaseException | None, trace: TracebackType | None) -> None:
    """The traceback of a bug: Python's own, without values of variables, and without credentials in what the exceptions say."""
    sys.stderr.write(redact("".join(traceback.format_exception(kind, fault, trace))))
