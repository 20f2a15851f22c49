"""The commands as the command line itself tells them, and the exit codes."""

import html
from collections.abc import Iterator

import click

from cotforge import cli, cli_parts
from cotforge.reference.markdown import markdown_table

EXITS = {
    cli_parts.DONE: "Done, also if nothing was accepted.",
    cli_parts.WRONG: "Your file, data or environment is wrong; stderr has one line per fault. If the disk is full, calls in flight are "
    "finished first. Replies that do not fit are kept in a file elsewhere, which the line names, and the next command takes them over.",
    cli_parts.STOPPED: "Stopped early. A budget or a teacher's quota is used up, or a server asks for a wait of over an hour. Or a key or "
    "account is refused, a teacher refuses every call in the same words or reports impossible token counts, no teacher can be "
    "reached, or too many calls failed. The dataset is written from what there is.",
    cli_parts.INTERRUPTED: "Interrupted, as by Ctrl-C. Run the same command again to continue.",
}
"""What each exit code means."""


def commands_table() -> str:
    """A row for every command: how it is called, and the first paragraph of its help."""
    return markdown_table(
        ("command", "does"), ([f"`{_usage_line(name)}`", _help_line(cli.cli.commands[name])] for name in cli_parts.EXAMPLES)
    )


def commands_in_detail() -> str:
    """For every command a heading, its help, an example and its options."""
    return "\n".join(part for name in cli_parts.EXAMPLES for part in _command_detail(name, cli.cli.commands[name]))


def exits_table() -> str:
    """A row for every exit code."""
    return markdown_table(("exit", "means"), ([str(code), meaning] for code, meaning in EXITS.items()))


def _command_detail(name: str, command: click.Command) -> Iterator[str]:
    yield f"## `cotforge {name}`\n"
    yield f"{' '.join((command.help or '').split())}\n"
    yield f"Usage: `{_usage_line(name, options=True)}`. Example: `{cli_parts.EXAMPLES[name]}`\n"
    yield markdown_table(("option", "meaning"), _option_rows(name, command))


def _option_rows(name: str, command: click.Command) -> Iterator[tuple[str, str]]:
    context = click.Context(command, info_name=name)
    for option in command.params:
        if (told := option.get_help_record(context)) is not None and isinstance(option, click.Option):
            yield f"`{told[0]}`", html.escape(told[1], quote=False)


def _usage_line(name: str, *, options: bool = False) -> str:
    command = cli.cli.commands[name]
    pieces = command.collect_usage_pieces(click.Context(command, info_name=name))
    return " ".join(["cotforge", name, *(piece for piece in pieces if options or piece != "[OPTIONS]")])


def _help_line(command: click.Command) -> str:
    return (command.help or "").partition("\n\n")[0]
