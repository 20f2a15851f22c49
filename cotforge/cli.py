"""The `cotforge` command: reads the arguments, calls one function, and turns what happened into an exit code."""

import json
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
from cotforge.errors import CotforgeError, Interrupted, Stopped, group_faults, printable_line
from cotforge.redaction import redact_text
from cotforge.visible import show_invisible

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
    "keys": "cotforge keys consensus",
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
    "--set", "sets", multiple=True, metavar="KEY.PATH=VALUE", help="Change a value of the file. List items go by index; + appends one."
)
_replace = click.option("--replace", is_flag=True, help="Allow a dataset made of fewer samples to replace the present one.")
_trust = click.option(
    "--trust", is_flag=True, help="Allow a pipeline or run folder from elsewhere to run its Python, and to read and send what it names."
)
_limit = click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="Use only N samples, drawn at random from every class. A larger N keeps them."
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
    help="Ask every teacher about N samples (default: 5), always the same random ones, and measure. This costs money; "
    "build uses the replies.",
)
@click.option("--show-prompt", type=click.IntRange(min=1), metavar="N", help="Print the prompts for sample number N.")
@click.option("--offline", is_flag=True, help="Contact no teacher: check only the file, the prompts and the source.")
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

            precheck.check_training(run.loaded, run.folder.path, run.samples)
            for line in precheck.without_vllm(run.loaded.pipeline.train.expanded()):  # the training may be for another machine
                print_line(line)
        run.check(print_line, probe=probe or 0, show=show_prompt, offline=offline)
    return DONE


@cli.command(cls=Example)
@_pipeline
@_out
@_set
@_trust
@_limit
@_replace
@click.option("--offline", is_flag=True, help="Ask nothing: vote, filter and write from the journal.")
@click.option("--refresh", multiple=True, metavar="TEACHER", help="Ask this teacher again. Its earlier replies stay in the journal.")
@click.option(
    "--retry",
    metavar="REASON,...",
    help="Ask again only the calls that failed for one of these reasons (see losses.parquet): timeout, 500, 400, no_answer, ...",
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
        print_line(run.build(offline=offline, refresh=refresh, retry=_comma_list(retry), replace=replace))
    return DONE


@cli.command(cls=Example)
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path, file_okay=False))
@_set
@_trust
@_replace
@click.option("--what-if", is_flag=True, help="Instead, compare all rules, targets and orders of asking on the journal. Writes no dataset.")
def curate(run: Path, sets: Sequence[str], replace: bool, what_if: bool, trust: bool) -> int:
    """Vote, filter and write the dataset again from a run's journal. Asks nothing."""
    from cotforge.build import Run

    with Run.reopen(run, sets=sets, trust=trust) as opened:
        print_line(opened.what_if() if what_if else opened.curate(replace=replace))
    return DONE


@cli.command(cls=Example)
@click.argument("run", metavar="RUN")
@_out
@_set
@_trust
@_limit
@click.option(
    "--count",
    type=click.IntRange(100, 300),
    metavar="N",
    help="Number of samples, 100 to 300 (default: a tenth of all, within these bounds).",
)
@click.option("--read", "answers", type=click.Path(path_type=Path), metavar="FILE", help="Add the answers in FILE to those of the run.")
@click.option("--audit", is_flag=True, help="Instead, show the samples whose labels are most likely wrong, and list them in RUN/audit.csv.")
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
        print_line(opened.gold(count=count, answers=answers, audit=audit))
    return DONE


@cli.command(cls=Example)
@_pipeline
@_out
@_set
@_trust
@click.option("--stage", metavar="NAME", help="Run only this stage. The stages it builds on must be done.")
@click.option("--from", "first", metavar="NAME", help="Run this stage and all that build on it again. base means all.")
@click.option("--smoke", is_flag=True, help="Run two steps of every stage, or of --stage, in a separate folder.")
@click.option("--gpus", metavar="NUMBERS", help="Train on these of the visible GPUs, such as 0 or 0,2 (default: all, one process each).")
@click.option(
    "--launch", "launcher", metavar="COMMAND", help="Start each stage with this: 'torchrun --nproc_per_node 4', 'accelerate launch'."
)
def train(
    pipeline: str, out: Path | None, sets: Sequence[str], stage: str | None, first: str | None, smoke: bool, gpus: str | None,
    launcher: str | None, trust: bool,
) -> int:  # fmt: skip
    """Train a student on the dataset, stage by stage. Skips finished stages and resumes an interrupted one."""
    from cotforge.train.launched import train_launched as learn

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
        tell=lambda line: click.echo(printable_line(line), err=True),
    )
    if done:
        print_line(done)
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
    help="Port for teachers whose URL is not on this machine.",
)
def simulate(pipeline: str, sets: Sequence[str], port: int, trust: bool) -> int:
    """Serve a pipeline's teachers on this machine, with chosen speed, skill and faults, to rehearse it before paying."""
    from cotforge.simulate.command import simulate_teachers as serve

    serve(pipeline, sets=sets, port=port, trust=trust, tell=print_line)
    return DONE


@cli.command("eval", cls=Example)
@_pipeline
@_out
@_set
@_trust
@click.option("--model", help="A folder, an id on the Hub, or the name that --url serves (default: the trained student, else its base).")
@click.option("--url", metavar="URL", help="Ask an OpenAI-compatible server instead of loading the model here.")
@click.option("--key-env", metavar="VARIABLE", help="The environment variable with the server's key.")
@click.option("--max-tokens", type=click.IntRange(min=1), metavar="N", help="Most tokens per answer (default: as in training).")
@click.option(
    "--rescue", type=click.IntRange(min=0), metavar="N", help="Extra tokens for a reasoning that was cut off (default: eval.rescue)."
)
@click.option(
    "--batch", type=click.IntRange(min=1), metavar="N", help="Questions at once, in this process (default: 16, more on a GPU with room)."
)
@click.option(
    "--write-back", is_flag=True, help="Instead, ask about the samples of the build, and write their pass rates to RUN/difficulty.parquet."
)
@click.option("--tries", type=click.IntRange(min=1), metavar="N", help="With --write-back: answers per sample (default: 4; 1 is greedy).")
@click.option("--samples", type=click.IntRange(min=1), metavar="N", help="With --write-back: number of samples (default: all).")
def evaluate(
    pipeline: str, out: Path | None, sets: Sequence[str], model: str | None, url: str | None, key_env: str | None,
    max_tokens: int | None, rescue: int | None, batch: int | None, write_back: bool, tries: int | None, samples: int | None, trust: bool,
) -> int:  # fmt: skip
    """Evaluate a model on held-out labels by greedy decoding. Writes accuracy, macro recall and more to RUN/eval/."""
    from cotforge.train.evaluation.tryout import AskedModel, try_out

    asked = AskedModel(model=model, url=url, key_env=key_env, max_tokens=max_tokens, batch=batch)
    if write_back:
        from cotforge.train.evaluation import write_back as back

        if rescue is not None:
            raise click.UsageError("--rescue belongs to the figures on held-out labels; leave it out with --write-back")
        back.write_back(pipeline, asked=asked, out=out, sets=sets, tries=tries, at_most=samples, trust=trust, tell=print_line)
        return DONE
    if tries or samples:
        raise click.UsageError(f"--{'tries' if tries else 'samples'} belongs to --write-back, which asks about the samples of the build")
    try_out(pipeline, asked=asked, out=out, sets=sets, rescue=rescue, trust=trust, tell=print_line)
    return DONE


@cli.command(cls=Example)
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--to", metavar="FORMAT", required=True,
    help="llamafactory, ms-swift, easyr1, sharegpt, trl, axolotl, openai or webdataset.",
)  # fmt: skip
@click.option("--kind", type=click.Choice(["sft", "grpo", "dpo"]), help="Kind of training (default: the first one that the format has).")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write (default: RUN/export/FORMAT-KIND).")
@click.option("--newlines", is_flag=True, help="Write the reasoning on lines of its own, as reasoning templates of LLaMA-Factory do.")
@_trust
def export(run: Path, to: str, kind: Any, out: Path | None, newlines: bool, trust: bool) -> int:
    """Write a run's lessons as rows for another trainer, with the files it needs beside them. Asks nothing."""
    from cotforge.formats import export_run as write

    print_line(write(run, to, kind=kind, out=out, newlines=newlines, trust=trust).text())
    return DONE


@cli.command(cls=Example)
@click.argument("key", metavar="[KEY]", required=False)
@click.option("--schema", is_flag=True, help="Print a JSON schema of the pipeline file instead, for editors.")
def keys(key: str | None, schema: bool) -> int:
    """List the keys of the pipeline file with type, default and meaning; with KEY, that one and those below it."""
    from cotforge.keys import json_schema, key_lines

    if schema and key:
        raise click.UsageError("--schema describes the whole file; leave the key out")
    print_line(json.dumps(json_schema(), indent=1, ensure_ascii=False) if schema else "\n".join(key_lines(key)))
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
    serve_until_interrupted(viewer, tell=print_line, opens=opens)
    return DONE


@cli.command(cls=Example)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("runs/demo"), show_default=True, help="Run folder.")
@click.option("--short", is_flag=True, help="Fewer digits and steps, for a quick look.")
def demo(out: Path, short: bool) -> int:
    """Build lessons from real handwritten digits with local teachers, and train a tiny student: no key, no GPU, minutes on a laptop."""
    from cotforge.demo import run_demo as show

    show(out, short=short, tell=print_line)
    return DONE


def _comma_list(given: str | None) -> list[str]:
    """The words of a list with commas, each once."""
    return list(dict.fromkeys(word.strip() for word in (given or "").split(",") if word.strip()))


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point. Every fault of the user's is one line on stderr; anything else is a bug and shows its traceback."""
    os.umask(0o077)  # what a run writes is its owner's alone
    sys.excepthook = show_bug
    threading.excepthook = lambda bug: show_bug(bug.exc_type, bug.exc_value, bug.exc_traceback)
    sys.exit(_run_command(arguments))


def _run_command(arguments: Sequence[str] | None) -> int:
    try:
        code = cli.main(args=None if arguments is None else list(arguments), prog_name="cotforge", standalone_mode=False)
        return code if isinstance(code, int) else DONE
    except click.exceptions.NoArgsIsHelpError as fault:
        fault.show()
        return WRONG
    except click.ClickException as fault:
        return _report_fault(CotforgeError(f"cotforge: {fault.format_message()}; see --help"), WRONG)
    except Stopped as stopped:
        return _report_fault(stopped, STOPPED)
    except CotforgeError as fault:
        return _report_fault(fault, WRONG)
    except (KeyboardInterrupt, click.Abort) as end:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all that is left is to end; once more must not change how
        told = end.__cause__ if isinstance(end.__cause__, Interrupted) else Interrupted()
        click.echo(f"interrupted; {told}", err=True)
        return INTERRUPTED


def _report_fault(fault: CotforgeError, code: int) -> int:
    for line in group_faults(fault.faults):
        click.echo(printable_line(line), err=True)
    return code


def print_line(text: str) -> None:
    """Print lines on stdout, without credentials; what a stranger's text in them hides is shown as escapes."""
    click.echo(show_invisible(redact_text(text)))


def show_bug(kind: type[BaseException], fault: BaseException | None, trace: TracebackType | None) -> None:
    """The traceback of a bug: Python's own, without values of variables, and without credentials in what the exceptions say."""
    sys.stderr.write(redact_text("".join(traceback.format_exception(kind, fault, trace))))
