"""The commands about students: `train` and `eval`, and `simulate`, which serves the teachers of a rehearsal."""

from collections.abc import Sequence
from pathlib import Path

import click

from cotforge.cli_parts import DONE, OUT, PIPELINE, SETS, TRUST, Example, WholeNumber, print_line
from cotforge.errors import printable_line


@click.command(cls=Example)
@PIPELINE
@OUT
@SETS
@TRUST
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


@click.command(cls=Example)
@PIPELINE
@SETS
@TRUST
@click.option(
    "--port",
    type=WholeNumber(1, 65535),
    default=8100,
    show_default=True,
    help="Port for teachers whose URL is not on this machine.",
)
def simulate(pipeline: str, sets: Sequence[str], port: int, trust: bool) -> int:
    """Serve a pipeline's teachers on this machine, with chosen speed, skill and faults, to rehearse it before paying."""
    from cotforge.simulate.command import simulate_teachers as serve

    serve(pipeline, sets=sets, port=port, trust=trust, tell=print_line)
    return DONE


@click.command("eval", cls=Example)
@PIPELINE
@OUT
@SETS
@TRUST
@click.option("--model", help="A folder, an id on the Hub, or the name that --url serves (default: the trained student, else its base).")
@click.option("--url", metavar="URL", help="Ask an OpenAI-compatible server instead of loading the model here.")
@click.option("--key-env", metavar="VARIABLE", help="The environment variable with the server's key.")
@click.option("--max-tokens", type=WholeNumber(min=1), metavar="N", help="Most tokens per answer (default: as in training).")
@click.option(
    "--rescue", type=WholeNumber(min=0), metavar="N", help="Extra tokens for a reasoning that was cut off (default: eval.rescue)."
)
@click.option(
    "--batch", type=WholeNumber(min=1), metavar="N", help="Questions at once, in this process (default: 16, more on a GPU with room)."
)
@click.option(
    "--write-back", is_flag=True, help="Instead, ask about the samples of the build, and write their pass rates to RUN/difficulty.parquet."
)
@click.option("--tries", type=WholeNumber(min=1), metavar="N", help="With --write-back: answers per sample (default: 4; 1 is greedy).")
@click.option("--samples", type=WholeNumber(min=1), metavar="N", help="With --write-back: number of samples (default: all).")
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
