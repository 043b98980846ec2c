"""How far something has come that takes its time: a line on stderr, when somebody looks at it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from eventmill.cli.output import is_terminal


@contextmanager
def told(doing: str, what: str) -> Iterator[Callable[[int, int], None]]:
    """A function that shows `(done, total)` as a line of its own, which is gone afterwards.

    A total of 0 is one that is not known. It writes nothing unless stderr is a terminal.
    """
    shown = is_terminal(sys.stderr)

    def tell(done: int, total: int) -> None:
        if shown:
            of = f" of {total:,}" if total else ""
            share = f" ({done / total:.0%})" if total else ""
            click.echo(f"\r\x1b[K{doing}: {done:,}{of} {what}{share}", file=sys.stderr, nl=False)

    try:
        yield tell
    finally:
        if shown:
            click.echo("\r\x1b[K", file=sys.stderr, nl=False)
