"""The `cotforge` command: reads the arguments, calls one function, and turns what happened into an exit code."""

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import click

from cotforge.cli_parts import (
    DONE,
    INTERRUPTED,
    LIMIT,
    OUT,
    PIPELINE,
    REPLACE,
    SETS,
    STOPPED,
    TRUST,
    WRONG,
    Example,
    RunPath,
    WholeNumber,
    print_line,
)
from cotforge.cli_parts import cli as cli
from cotforge.cli_training import evaluate, simulate, train
from cotforge.errors import CotforgeError, Interrupted, Stopped, group_faults, printable_line
from cotforge.notices import shown_on_stderr
from cotforge.redaction import redact_text


@cli.command(cls=Example)
@click.argument("data", metavar="[FOLDER]", required=False, default=Path(), type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="The file to write (default: FOLDER's name).")
def init(data: Path, out: Path | None) -> int:
    """Look at a folder of images, or a table of them, and write a short pipeline file for it, with comments. Asks nothing."""
    from cotforge.scaffold import write_scaffold

    print_line(write_scaffold(data, out))
    return DONE


@cli.command(cls=Example)
@PIPELINE
@OUT
@SETS
@TRUST
@LIMIT
@click.option(
    "--probe",
    type=WholeNumber(min=1),
    is_flag=False,
    flag_value=5,
    metavar="[N]",
    help="Ask every teacher about N samples (default: 5), always the same random ones, and measure. This costs money; "
    "build uses the replies.",
)
@click.option("--show-prompt", type=WholeNumber(min=1), metavar="N", help="Print the prompts for sample number N.")
@click.option("--offline", is_flag=True, help="Contact no teacher: check only the file, the prompts and the source.")
def check(
    pipeline: str, out: Path | None, sets: Sequence[str], limit: int | None, probe: int | None, show_prompt: int | None, offline: bool,
    trust: bool,
) -> int:  # fmt: skip
    """Check file, prompts, source and teachers. Print the calls, tokens, cost and hours to come. Asks nothing without --probe."""
    from cotforge.face.checking import check_session
    from cotforge.session import RunSession

    if probe and offline:
        raise click.UsageError("--probe asks the teachers, and --offline nobody; leave one out")
    with RunSession.open(pipeline, out=out, sets=sets, limit=limit, trust=trust) as run:
        check_session(run, print_line, probe=probe or 0, show=show_prompt, offline=offline)
    return DONE


@cli.command(cls=Example)
@PIPELINE
@OUT
@SETS
@TRUST
@LIMIT
@REPLACE
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
    """Ask the teachers, vote, filter and write the dataset. Resumes where it stopped; a second run asks nothing."""
    from cotforge.session import RunSession

    if offline and (refresh or retry):
        raise click.UsageError("--offline asks nothing, and --refresh and --retry ask anew; give one of them")
    with RunSession.open(pipeline, out=out, sets=sets, limit=limit, trust=trust, sends=not offline) as run:
        print_line(run.build(offline=offline, refresh=refresh, retry=_comma_list(retry), replace=replace))
    return DONE


@cli.command(cls=Example)
@click.argument("run", metavar="RUN", type=RunPath())
@SETS
@TRUST
@REPLACE
@click.option("--what-if", is_flag=True, help="Instead, compare all rules, targets and orders of asking on the journal. Writes no dataset.")
def curate(run: Path, sets: Sequence[str], replace: bool, what_if: bool, trust: bool) -> int:
    """Vote, filter and write the dataset again from a run's journal. Asks nothing."""
    from cotforge.session import RunSession

    with RunSession.reopen(run, sets=sets, trust=trust) as opened:
        print_line(opened.what_if() if what_if else opened.curate(replace=replace))
    return DONE


@cli.command(cls=Example)
@click.argument("run", metavar="RUN")
@OUT
@SETS
@TRUST
@LIMIT
@click.option(
    "--count",
    type=WholeNumber(100, 300, more=", and of a run with fewer samples all are picked"),
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

    RUN is a run folder or, before a build, a pipeline file. Writes a page, RUN/gold.html, and a table, RUN/gold-to-fill.csv.
    Half of the samples are random, half are unsure or contradict their label. Before a build all are random.
    """
    from cotforge.session import RunSession

    if answers and (count or audit):
        word = "--audit" if audit else "--count"
        raise click.UsageError(f"{word} picks samples, and --read takes their answers; give one of them")
    is_folder = Path(run).is_dir()
    if is_folder and (out or limit):
        raise click.UsageError(f"{run} is a run folder, which has its place and limit; --out and --limit belong to a pipeline file")
    with (
        RunSession.reopen(Path(run), sets=sets, trust=trust)
        if is_folder
        else RunSession.open(run, out=out, sets=sets, limit=limit, trust=trust, sends=False)
    ) as opened:
        print_line(opened.gold(count=count, answers=answers, audit=audit))
    return DONE


@cli.command(cls=Example)
@click.argument("run", metavar="RUN", type=RunPath())
@click.option(
    "--to", metavar="FORMAT", required=True,
    help="llamafactory, ms-swift, easyr1, sharegpt, trl, axolotl, openai or webdataset.",
)  # fmt: skip
@click.option("--kind", type=click.Choice(["sft", "grpo", "dpo"]), help="Kind of training (default: the first one that the format has).")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write (default: RUN/export/FORMAT-KIND).")
@click.option("--newlines", is_flag=True, help="Write the reasoning on lines of its own, as reasoning templates of LLaMA-Factory do.")
@TRUST
def export(run: Path, to: str, kind: Any, out: Path | None, newlines: bool, trust: bool) -> int:
    """Write a run's lessons as rows for another trainer, with the files it needs beside them. Asks nothing."""
    from cotforge.formats import export_run as write

    print_line(write(run, to, kind=kind, out=out, newlines=newlines, trust=trust).text())
    return DONE


@cli.command(cls=Example)
@click.argument("run", metavar="RUN", type=RunPath())
@click.argument("repo", metavar="REPO")
@click.option("--model", is_flag=True, help="Push the trained student instead of the dataset.")
@click.option("--public", is_flag=True, help="Make a new repository public, or push to one that is (default: private).")
@click.option("--pr", is_flag=True, help="Open a pull request instead of changing main.")
@click.option("--revision", metavar="BRANCH", help="Push to this branch, made where it is not there (default: main).")
@click.option("--tag", metavar="NAME", help="Tag the commit, so that load_dataset(..., revision=NAME) gives this version for ever.")
@click.option("--dry-run", is_flag=True, help="Change nothing; print what would be sent and removed.")
@click.option("--no-xet", is_flag=True, help="Send whole files by HTTP: slower, with less memory, where Xet is blocked or hangs.")
@click.option("--allow", multiple=True, metavar="FINDING", help="Push although the scan found this; its message says the word.")
def push(
    run: Path, repo: str, model: bool, public: bool, pr: bool, revision: str | None, tag: str | None, dry_run: bool, no_xet: bool,
    allow: Sequence[str],
) -> int:  # fmt: skip
    """Push a run's dataset with its card to the Hugging Face Hub, private by default, as one commit. REPO is OWNER/NAME or NAME."""
    from rich.console import Console

    from cotforge.hub.push import push as publish

    try:
        pushed = publish(
            run, repo, model=model, public=public, pr=pr, revision=revision, tag=tag, dry_run=dry_run, xet=not no_xet, allow=allow,
            console=Console(stderr=True),
        )  # fmt: skip
    except KeyboardInterrupt as end:
        click.echo(f"interrupted; {end.__cause__}", err=True)
        os._exit(INTERRUPTED)  # Python would wait for the client's threads, and they for the Hub
    for note in pushed.notes:
        click.echo(printable_line(note), err=True)
    print_line(pushed.text())
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
@click.argument("run", metavar="RUN", type=RunPath())
@click.option("--port", type=WholeNumber(0, 65535), default=0, help="Where to listen on 127.0.0.1 (default: a free port).")
@click.option("--open", "opens", is_flag=True, help="Open the page in a browser.")
@click.option("--person", default="view", show_default=True, metavar="NAME", help="Save answers under this name.")
@click.option("--trusted-origin", "origins", multiple=True, metavar="URL", help="Let pages of this origin show it, such as a notebook's.")
@TRUST
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


for command in (train, evaluate, simulate):
    cli.add_command(command)


def _comma_list(given: str | None) -> list[str]:
    """The words of a list with commas, each once."""
    return list(dict.fromkeys(word.strip() for word in (given or "").split(",") if word.strip()))


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point. Every fault of the user's is one line on stderr; anything else is a bug and shows its traceback."""
    os.umask(0o077)  # what a run writes is its owner's alone
    sys.excepthook = show_bug
    threading.excepthook = lambda bug: show_bug(bug.exc_type, bug.exc_value, bug.exc_traceback)
    with shown_on_stderr():
        code = _run_command(arguments)
    sys.exit(code)


def _run_command(arguments: Sequence[str] | None) -> int:
    try:
        code = cli.main(args=None if arguments is None else list(arguments), prog_name="cotforge", standalone_mode=False)
        return code if isinstance(code, int) else DONE
    except click.exceptions.NoArgsIsHelpError as fault:
        fault.show()
        return WRONG
    except click.ClickException as fault:
        return _report_fault(CotforgeError(f"cotforge: {fault.format_message().rstrip('.')}; see --help"), WRONG)
    except Stopped as stopped:
        if stopped.told:
            print_line(stopped.told)
        return _report_fault(stopped, STOPPED)
    except CotforgeError as fault:
        return _report_fault(fault, WRONG)
    except (KeyboardInterrupt, click.Abort) as end:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all that is left is to end; once more must not change how
        told = end.__cause__ if isinstance(end.__cause__, Interrupted) else Interrupted()
        if told.result:
            print_line(told.result)
        click.echo(f"interrupted; {told}", err=True)
        return INTERRUPTED


def _report_fault(fault: CotforgeError, code: int) -> int:
    for line in group_faults(fault.faults):
        click.echo(printable_line(line), err=True)
    return code


def show_bug(kind: type[BaseException], fault: BaseException | None, trace: TracebackType | None) -> None:
    """The traceback of a bug: Python's own, without values of variables, and without credentials in what the exceptions say."""
    sys.stderr.write(redact_text("".join(traceback.format_exception(kind, fault, trace))))
