"""The command `eventmill`: which subcommands there are, and what becomes of errors.

A subcommand is imported when it is called, so that `eventmill --help` answers at once.
"""

import traceback
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Final

import click

from eventmill import __version__
from eventmill.cli import failures
from eventmill.cli.debugging import DEBUG, debug_option
from eventmill.errors import EventmillError

# Where each command is, and what the list of commands says about it.
COMMANDS: Final = {
    "up": ("eventmill.up:up", "Run a project: its sensors, its executions and the API."),
    "new": ("eventmill.cli.commands.new:new", "Make a new project that runs at once."),
    "validate": (
        "eventmill.cli.commands.validate:validate",
        "Check workflows, triggers and handlers.",
    ),
    "test": ("eventmill.cli.commands.test:test", "Test workflows with mocks, in virtual time."),
    "graph": ("eventmill.cli.commands.graph:graph", "Draw a state machine, and what ran of it."),
    "start": ("eventmill.cli.commands.start:start", "Start an execution of a state machine."),
    "emit": ("eventmill.cli.commands.emit:emit", "Put events on the bus."),
    "executions": (
        "eventmill.cli.commands.executions:executions",
        "List executions, or show one.",
    ),
    "events": ("eventmill.cli.commands.events:events", "List, show and send again events."),
    "sensors": ("eventmill.cli.commands.sensors:sensors", "Show how the sensors are doing."),
    "why": (
        "eventmill.cli.commands.why:why",
        "Tell what became of an event, or what led to an execution.",
    ),
    "history": ("eventmill.cli.commands.history:history", "Show the events of an execution."),
    "replay": (
        "eventmill.cli.commands.replay:replay",
        "Replay an execution to any event, or prove its steps.",
    ),
    "dead-letters": (
        "eventmill.cli.commands.dead_letters:dead_letters",
        "Show the events that a trigger could start nothing for.",
    ),
    "schedule": (
        "eventmill.cli.commands.schedule:schedule",
        "Show what is due next, and when.",
    ),
    "backfill": (
        "eventmill.cli.commands.backfill:backfill",
        "Start what a schedule would have started in the past.",
    ),
    "audit": ("eventmill.cli.commands.audit:audit", "Check that the log is as it was written."),
    "backup": (
        "eventmill.cli.commands.backup:backup",
        "Copy the log, beside a running server.",
    ),
    "version": ("eventmill.cli.commands.version:version", "Show the versions in use."),
}


class Commands(click.Group):
    """The subcommands, imported one by one, and the end of every error."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all subcommands, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand that the arguments begin with."""
        close = get_close_matches(args[0], COMMANDS, 1)
        if args[0] not in COMMANDS and close:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {close[0]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; whatever it raises becomes one message and an exit code."""
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, BrokenPipeError):
            raise
        except click.ClickException as error:
            if ctx.meta.get(DEBUG) and error.__cause__ is not None:
                traceback.print_exception(error.__cause__)
            raise
        except KeyboardInterrupt:
            raise click.exceptions.Exit(failures.INTERRUPTED) from None
        except EventmillError as error:
            raise _shown(ctx, error, failures.refused(error)) from error
        except OSError as error:
            raise _shown(ctx, error, failures.unreadable(error)) from error
        except Exception as error:  # ours; the user gets one message, and the exit code says so
            raise _shown(ctx, error, failures.internal(error)) from error


def _shown(ctx: click.Context, error: Exception, refused: failures.Refused) -> failures.Refused:
    if ctx.meta.get(DEBUG):
        traceback.print_exception(error)
    return refused


@click.command(
    cls=Commands,
    epilog=failures.EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="eventmill", message="%(prog)s %(version)s")
@debug_option
def eventmill() -> None:
    """Durable state machines in the Amazon States Language, on your own machine.

    A project is a folder with workflows/, triggers/ and handlers/. Every command works on the
    nearest one upwards from here; --project names another.
    """


def main() -> None:
    """Run the command line of this process."""
    eventmill(prog_name="eventmill")
