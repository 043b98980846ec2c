"""`eventmill up`: the whole system and its API in one process.

The only module that knows more than one face. The command line loads it by its name.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import (
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from eventmill.api.server import serving
from eventmill.cli import failures, import_check
from eventmill.cli.debugging import DEBUG
from eventmill.cli.failures import EXIT_CODES, INTERRUPTED, EnvironmentRefused
from eventmill.cli.narration import Follower, Narrator, told_by
from eventmill.cli.options import chosen_settings, json_option, settings_options
from eventmill.cli.server_file import endpoint, remove_server_file, write_server_file
from eventmill.cli.texts import count, printable
from eventmill.cli.welcome import greet
from eventmill.errors import EventmillError, SettingsError
from eventmill.model import Json
from eventmill.runtime.interpreter import tune_interpreter
from eventmill.runtime.project import Project, load_project
from eventmill.runtime.settings import Settings
from eventmill.runtime.system import System, running
from eventmill.testing.kafka import BOOTSTRAP_VARIABLE
from eventmill.testing.local import FOLDER, local_services

_GRACE_SECONDS: Final = 5.0  # for what is under way when the server is asked to stop
_LOOK_SECONDS: Final = 0.05
_TERMINATED: Final = 143  # as shells report a program that SIGTERM ended


@click.command(epilog=EXIT_CODES)
@settings_options
@click.option("--host", help="Where to listen. [default: as in eventmill.toml, else 127.0.0.1]")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    help="The port; 0 is any free one. [default: as in eventmill.toml, else 8083]",
)
@click.option("--workers", type=click.IntRange(min=1), help="How many processes run handlers.")
@click.option(
    "--handler-env",
    multiple=True,
    metavar="NAME",
    help="An environment variable that handlers may see too; may be given more than once.",
)
@click.option(
    "--local",
    is_flag=True,
    help="Start AWS (moto) and Kafka on this machine too, and use these; takes eventmill[testing].",
)
@click.option("--quiet", is_flag=True, help="Tell only that it is ready, and what goes wrong.")
@json_option
def up(
    project: Path,
    data: Path | None,
    host: str | None,
    port: int | None,
    workers: int | None,
    handler_env: tuple[str, ...],
    local: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Run a project: its sensors, its executions and the API, until Ctrl-C.

    The first Ctrl-C (or SIGTERM) stops the sensors and gives what is under way a few seconds; a
    second one ends the server at once. Either way nothing acknowledged is lost: the next start goes
    on where this one ended. With --json each line on stdout is a document with a "type": local,
    ready, started, ended, skipped, log, warning, stopping or stopped.
    """
    settings = chosen_settings(project, data)
    settings = replace(
        settings,
        host=settings.host if host is None else host,
        port=settings.port if port is None else port,
        workers=settings.workers if workers is None else workers,
        environment=(*settings.environment, *handler_env),
    )
    debug = bool(click.get_current_context().meta.get(DEBUG))
    narrator = Narrator(as_json=as_json, quiet=quiet, debug=debug)
    with _beside(settings, narrator) if local else nullcontext(settings) as chosen:
        loaded = load_project(chosen)
        for warning in loaded.warnings:
            narrator.warn(printable(warning))
        with told_by(narrator):
            asyncio.run(_run(chosen, loaded, narrator))


@contextmanager
def _beside(settings: Settings, narrator: Narrator) -> Iterator[Settings]:
    """AWS and Kafka on this machine, and the settings with which handlers see them too."""
    with local_services(settings.data) as local:
        lines = (
            "Local services, which end with the server:",
            f"  {'AWS':<9} {local.aws}  (AWS_ENDPOINT_URL; kept in {settings.data / FOLDER})",
            f"  {'Kafka':<9} {local.kafka}  ({BOOTSTRAP_VARIABLE}; in memory)",
        )
        text = "" if narrator.quiet else "\n".join(map(printable, lines))
        environment: dict[str, Json] = {**local.environment}
        narrator.tell("local", text, aws=local.aws, kafka=local.kafka, environment=environment)
        yield replace(settings, environment=(*settings.environment, *environment))


async def _run(settings: Settings, project: Project, narrator: Narrator) -> None:
    stop = _Stop(narrator)
    follower = None if narrator.quiet else Follower(narrator)
    try:
        async with running(settings, project, follower) as system:
            await _serve(system, narrator, stop, follower)
    except asyncio.CancelledError:
        # Asked to stop before it was ready; all that was open is closed by now.
        if not stop.asked.is_set():
            raise
    narrator.tell("stopped", "Stopped.")


async def _serve(
    system: System, narrator: Narrator, stop: "_Stop", follower: Follower | None
) -> None:
    async with _in_background(follower, narrator, system) as failing:
        async with _listening(system) as address:
            greet(system, address, narrator)
            stop.is_ready = True
            tune_interpreter()
            await until_asked(stop.asked, (system.broken, *failing))
        await _drain(system, narrator)
    if follower is not None:
        await follower.tell(system.log)


@asynccontextmanager
async def _listening(system: System) -> AsyncIterator[str]:
    """The API, and the file that says where it is."""
    settings = system.settings
    async with AsyncExitStack() as stack:
        try:
            server = await stack.enter_async_context(serving(system, settings.host, settings.port))
        except SettingsError as error:
            raise EnvironmentRefused(str(error)) from error
        address = endpoint(server.host, server.port)
        write_server_file(settings.data, address)
        stack.callback(remove_server_file, settings.data)
        yield address


@asynccontextmanager
async def _in_background(
    follower: Follower | None, narrator: Narrator, system: System
) -> AsyncIterator[Sequence["asyncio.Task[None]"]]:
    """What goes on beside the system; those that must not fail are yielded."""
    tasks = [asyncio.create_task(_check_handlers(system, narrator))]
    failing = [] if follower is None else [asyncio.create_task(follower.run(system.log))]
    try:
        yield failing
    finally:
        for task in (*tasks, *failing):
            task.cancel()
        await asyncio.gather(*tasks, *failing, return_exceptions=True)


async def until_asked(stop: asyncio.Event, failing: Sequence["asyncio.Future[None]"]) -> None:
    """Wait until the server is asked to stop, or one of `failing` has ended.

    Raises:
        EnvironmentRefused: A part of the server has failed for good.
    """
    asked = asyncio.create_task(stop.wait())
    watched: set[asyncio.Future[Any]] = {asked, *failing}
    try:
        await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
    finally:
        asked.cancel()
    for each in failing:
        error = each.exception() if each.done() else None
        if error is not None:
            raise _broken(error) from error


def _broken(error: BaseException) -> EnvironmentRefused:
    """What to tell the user about a part of the server that has failed for good."""
    if isinstance(error, EventmillError):
        refused = failures.refused(error)
    else:
        refused = failures.internal(error)
    return EnvironmentRefused(f"the server had to stop: {refused.message}", refused.advice)


async def _drain(system: System, narrator: Narrator) -> None:
    """Start nothing new, and give what is under way the grace to end."""
    await system.stop_sensing()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _GRACE_SECONDS
    if system.engine.in_memory:
        under_way = count(system.engine.in_memory, "execution")
        text = f"Waiting up to {_GRACE_SECONDS:.0f} s for {under_way} under way."
        narrator.tell("draining", text, executions=system.engine.in_memory)
    while system.engine.in_memory and loop.time() < deadline:  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(_LOOK_SECONDS)
    if system.engine.in_memory:
        left = count(system.engine.in_memory, "execution")
        text = f"{left} will go on with the next eventmill up."
        narrator.tell("interrupted", text, executions=system.engine.in_memory)


async def _check_handlers(system: System, narrator: Narrator) -> None:
    """Warn of handlers that cannot be imported, without holding anything up."""
    settings, handlers = system.settings, system.project.handlers
    if not handlers.handlers:
        return
    child = await asyncio.create_subprocess_exec(
        *import_check.command(settings),
        cwd=settings.project,
        env=import_check.environment(settings),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        output, _ = await child.communicate()
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()
    for finding in import_check.findings(settings, handlers, child.returncode or 0, output):
        advice = "mend it, and start the server again; until then its calls fail"
        narrator.warn(f"{printable(str(finding))} ({advice})")


class _Stop:
    """Ctrl-C and SIGTERM: the first asks, the second does not ask."""

    def __init__(self, narrator: Narrator) -> None:
        """Take the signals from here on, on behalf of the current task."""
        self.asked = asyncio.Event()
        self.is_ready = False
        self._narrator = narrator
        self._main = asyncio.current_task()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._signalled, INTERRUPTED)
        loop.add_signal_handler(signal.SIGTERM, self._signalled, _TERMINATED)

    def _signalled(self, exit_code: int) -> None:
        if self.asked.is_set():
            self._narrator.tell("stopped", "Ended at once; what was acknowledged is in the log.")
            sys.stdout.flush()
            os._exit(exit_code)
        self.asked.set()
        self._narrator.tell("stopping", "Stopping; once more Ctrl-C ends it at once.")
        if not self.is_ready and self._main is not None:
            self._main.cancel()
