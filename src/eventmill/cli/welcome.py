"""What `eventmill up` says when it is ready: what runs, what is watched and where all of it is."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from eventmill import __version__
from eventmill.cli.narration import Narrator
from eventmill.cli.output import painted
from eventmill.cli.texts import count, printable
from eventmill.log.connection import sqlite_is_affected, sqlite_version
from eventmill.model import Json
from eventmill.runtime.supervisor import Watch
from eventmill.runtime.system import System
from eventmill.triggers.filesystem import FilesystemSource
from eventmill.triggers.sources import Source
from eventmill.triggers.trigger import Trigger

_WATCHED_SHOWN_MAX: Final = 20


def greet(system: System, address: str, narrator: Narrator) -> None:
    """Say that the server is ready, and what may be wrong with what it runs on."""
    text = f"Ready: {address}" if narrator.quiet else "\n".join(_lines(system, address))
    narrator.tell("ready", text, **_document(system, address))
    if not system.project.workflows:
        where = system.settings.project / "workflows"
        narrator.warn(f"{where} has no state machine; eventmill new DIR makes a project with one")
    if sqlite_is_affected(sqlite_version()):
        narrator.warn(
            f"SQLite {sqlite_version()} has a bug that can damage the log (sqlite.org/wal.html, "
            "the WAL-reset bug); an SQLite without it comes with: pip install 'eventmill[sqlite]'"
        )


def _lines(system: System, address: str) -> Iterator[str]:
    settings = system.settings
    yield f"Eventmill {__version__} runs {printable(str(settings.project))}"
    for name, values in (
        ("API", [address]),
        ("data", [str(settings.data)]),
        ("log", [str(settings.log_path)]),
        ("machines", [workflow.name for workflow in system.project.workflows] or ["none"]),
        ("watches", list(_watched(system)) or ["nothing"]),
        ("handlers", [", ".join(sorted(system.project.handlers.handlers)) or "none"]),
        ("workers", [_workers(system)]),
    ):
        for number, value in enumerate(values):
            yield f"  {name if number == 0 else '':<9} {printable(value)}"
    if system.recovered:
        taken = count(system.recovered, "execution")
        yield f"  {'recovered':<9} {taken} of the last server, which go on"
    yield f"{painted('Ready.', 'green')} Ctrl-C stops."


def _workers(system: System) -> str:
    settings = system.settings
    if settings.isolation == "inline":
        return "none: handlers run in the server itself"
    if not system.project.handlers.handlers:
        return "none: there are no handlers"
    return f"{settings.workers} {'process' if settings.workers == 1 else 'processes'}"


def _watched(system: System) -> Iterator[str]:
    triggers = [each for watch in system.watches for each in watch.listeners.triggers]
    triggers += system.bus.listeners.triggers
    for trigger in triggers[:_WATCHED_SHOWN_MAX]:
        source = trigger.source
        disabled = "" if trigger.enabled else "  (the trigger is disabled)"
        target = f"→ {_machine(trigger)}  by {trigger.name}"
        if source is None:
            yield f"events on the bus {target}{disabled}"
        elif isinstance(source, FilesystemSource):
            folder = _folder(system, source)
            missing = "" if folder.is_dir() else "  (this folder is missing)"
            yield f"{folder}  {source.shown} {target}{missing}{disabled}"
        else:
            yield f"{source.shown} {target}{disabled}"
    if len(triggers) > _WATCHED_SHOWN_MAX:
        yield f"… and {len(triggers) - _WATCHED_SHOWN_MAX:,} more"


def _folder(system: System, source: FilesystemSource) -> Path:
    return Path(os.path.abspath(system.settings.project / source.path))


def _machine(trigger: Trigger) -> str:
    return trigger.state_machine.rsplit(":", 1)[-1]


def _document(system: System, address: str) -> dict[str, Json]:
    settings = system.settings
    return {
        "version": __version__,
        "endpoint": address,
        "pid": os.getpid(),
        "project": str(settings.project),
        "data": str(settings.data),
        "log": str(settings.log_path),
        "stateMachines": [workflow.name for workflow in system.project.workflows],
        "watches": [_watch_document(system, watch) for watch in system.watches],
        "bus": [_trigger_document(each) for each in system.bus.listeners.triggers],
        "handlers": [*sorted(system.project.handlers.handlers)],
        "workers": 0 if settings.isolation == "inline" else settings.workers,
        "recovered": system.recovered,
    }


def _watch_document(system: System, watch: Watch) -> dict[str, Json]:
    source = watch.listeners.triggers[0].source
    assert source is not None, "who watches has something to watch"
    return {
        **_source_document(system, source),
        "triggers": [_trigger_document(trigger) for trigger in watch.listeners.triggers],
    }


def _trigger_document(trigger: Trigger) -> dict[str, Json]:
    return {
        "name": trigger.name,
        "stateMachine": _machine(trigger),
        "enabled": trigger.enabled,
    }


def _source_document(system: System, source: Source) -> dict[str, Json]:
    folder: dict[str, Json] = {}
    if isinstance(source, FilesystemSource):
        folder["folder"] = str(_folder(system, source))
    return {**folder, **source.document}
