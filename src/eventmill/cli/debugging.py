"""The option `--debug`, which every command takes before and after its name."""

from typing import Final

import click

DEBUG: Final = "eventmill.debug"  # where the context notes it


def _note(ctx: click.Context, parameter: click.Parameter, given: bool) -> None:
    if given:
        ctx.meta[DEBUG] = True


debug_option: Final = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    callback=_note,
    envvar="EVENTMILL_DEBUG",
    help="Show the tracebacks of errors.",
)
