"""The settings of a project: the file `eventmill.toml`, every entry of it optional.

| entry | default | meaning |
|---|---|---|
| `data` | `.eventmill` | the data folder, relative to the project: the log and nothing else |
| `account`, `region` | `000000000000`, `local` | what ARNs are made of |
| `server.host`, `server.port` | `127.0.0.1`, `8083` | where the API listens |
| `handlers.isolation` | `workers` | `workers`: processes; `inline`: in the server's own loop |
| `handlers.workers` | the number of processors | how many worker processes |
| `handlers.memory_mib` | no limit | the memory a worker may use before it is killed |
| `handlers.environment` | `[]` | names of environment variables that handlers may see |
| `concurrency.executions` | no limit | state machines → how many executions of each at once |
| `concurrency.handlers` | no limit | handlers → how many calls of each at once |
| `objects.folder` | `buckets` | the folder of buckets, relative to the project |
| `objects.s3` | `false` | buckets are those of S3, not folders |
| `objects.endpoint` | Amazon's | the URL of another server that speaks S3's protocol |
| `objects.region` | where boto3 finds it | the region of S3 |
| `events.body_bytes_max` | `1048576` | how large the body of a request with events may be |
| `events.hops_max` | `16` | how many executions in a row may start each other by events |
| `events.signatures` | none | sources → how requests that bring their events must be signed |
| `sensors.stuck_seconds` | `300` | how long a sensor may be silent that should not be |
| `sensors.restart_seconds_max` | `30` | the longest pause before a failed sensor is started again |
| `retention.*` | for ever | how long executions and events are kept, and how large the log may be |
| `audit.*` | `10000`, none | `checkpoint_rows`: a checkpoint after so many; `key`: to sign it |
| `quotas.*` | AWS's | `history_events_max`, `payload_bytes_max`, `definition_bytes_max`, … |
"""

import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from eventmill.arn import Home
from eventmill.errors import SettingsError
from eventmill.log.retention import Limits
from eventmill.model import Quotas
from eventmill.record import record
from eventmill.runtime.signatures import SCHEMES, Signature

SETTINGS_FILE: Final = "eventmill.toml"


@record
class ObjectSettings:
    """Where buckets are: folders in `folder`, or with `s3` at `endpoint` or Amazon's."""

    folder: str = "buckets"
    s3: bool = False
    endpoint: str | None = None
    region: str | None = None


@record
class Concurrency:
    """How much may go on at once: executions of a state machine, calls of a handler, by name."""

    executions: Mapping[str, int] = field(default_factory=dict)
    handlers: Mapping[str, int] = field(default_factory=dict)


@record
class EventSettings:
    """What comes over HTTP, and how far events that executions cause may lead."""

    body_bytes_max: int = 1_048_576
    hops_max: int = 16
    signatures: Mapping[str, Signature] = field(default_factory=dict)


@record
class SensorSettings:
    """How sensors are watched over."""

    stuck_seconds: int = 300
    restart_seconds_max: int = 30


@record
class Settings:
    """How a project wants to be run. Paths are absolute."""

    project: Path
    data: Path
    home: Home
    host: str
    port: int
    isolation: str
    workers: int
    memory_mib: int | None
    environment: tuple[str, ...]
    quotas: Quotas
    objects: ObjectSettings = ObjectSettings()
    retention: Limits = Limits()
    checkpoint_rows: int = 10_000
    checkpoint_key: Path | None = None
    concurrency: Concurrency = Concurrency()
    events: EventSettings = EventSettings()
    sensors: SensorSettings = SensorSettings()

    @property
    def log_path(self) -> Path:
        """Where the event log is."""
        return self.data / "log.db"

    @property
    def handlers(self) -> Path:
        """The folder of the project's handlers."""
        return self.project / "handlers"

    @property
    def buckets(self) -> Path:
        """The folder whose folders are buckets, unless they are in S3."""
        return self.project / self.objects.folder


def load_settings(project: Path) -> Settings:
    """Read the settings of the project in folder `project`.

    Raises:
        SettingsError: There is no such folder, or the file has mistakes; every one is named.
    """
    project = project.resolve()
    if not project.is_dir():
        raise SettingsError(f"{project} is no folder; give the folder of a project")
    table = _Table(_read(project / SETTINGS_FILE))
    server, handlers = table.table("server"), table.table("handlers")
    objects, quotas = table.table("objects"), table.table("quotas")
    retention, audit = table.table("retention"), table.table("audit")
    concurrency, events = table.table("concurrency"), table.table("events")
    signatures, sensors = events.table("signatures"), table.table("sensors")
    signed = signatures.tables()
    settings = Settings(
        project=project,
        data=project / table.take("data", ".eventmill", _text),
        home=Home(
            account=table.take("account", Home().account, _account),
            region=table.take("region", Home().region, _text),
        ),
        host=server.take("host", "127.0.0.1", _text),
        port=server.take("port", 8083, _port),
        isolation=handlers.take("isolation", "workers", _isolation),
        workers=handlers.take("workers", os.cpu_count() or 1, _positive),
        memory_mib=handlers.take("memory_mib", None, _positive),
        environment=handlers.take("environment", (), _names),
        quotas=_quotas(quotas),
        objects=ObjectSettings(
            folder=objects.take("folder", ObjectSettings().folder, _text),
            s3=objects.take("s3", False, _switch) or objects.has("endpoint"),
            endpoint=objects.take("endpoint", None, _url),
            region=objects.take("region", None, _text),
        ),
        retention=Limits(
            executions_ms=retention.take("executions_days", None, _days),
            events_ms=retention.take("events_days", None, _days),
            sensors_ms=retention.take("sensors_days", None, _days),
            checkpoints_ms=retention.take("checkpoints_days", None, _days),
            bytes_max=retention.take("max_mib", None, _mebibytes),
        ),
        checkpoint_rows=audit.take("checkpoint_rows", 10_000, _positive),
        checkpoint_key=_under(project, audit.take("key", None, _text)),
        concurrency=Concurrency(
            executions=concurrency.take("executions", {}, _limits),
            handlers=concurrency.take("handlers", {}, _limits),
        ),
        events=_event_settings(events, signed),
        sensors=_sensor_settings(sensors),
    )
    if settings.objects.s3:
        objects.refuse("folder", "buckets are in a folder or in S3, not in both")
    else:
        objects.refuse("region", "only S3 has one; set objects.s3 or objects.endpoint")
    tables = (table, server, handlers, objects, quotas, retention, audit, concurrency, events)
    _refuse_problems(project, (*tables, signatures, sensors, *signed.values()))
    return settings


def _refuse_problems(project: Path, tables: Iterable["_Table"]) -> None:
    if problems := [problem for each in tables for problem in each.problems()]:
        file = project / SETTINGS_FILE
        raise SettingsError("\n".join(f"{file}: {problem}" for problem in problems))


def _quotas(table: "_Table") -> Quotas:
    taken = {each.name: table.take(each.name, each.default, _positive) for each in fields(Quotas)}
    return Quotas(**taken)


def _sensor_settings(sensors: "_Table") -> SensorSettings:
    return SensorSettings(
        stuck_seconds=sensors.take("stuck_seconds", 300, _positive),
        restart_seconds_max=sensors.take("restart_seconds_max", 30, _positive),
    )


def _event_settings(events: "_Table", signed: "Mapping[str, _Table]") -> EventSettings:
    return EventSettings(
        body_bytes_max=events.take("body_bytes_max", 1_048_576, _positive),
        hops_max=events.take("hops_max", 16, _positive),
        signatures={name: _signature(each) for name, each in signed.items()},
    )


def _signature(signature: "_Table") -> Signature:
    for name in ("scheme", "secret_from"):
        signature.require(name)
    return Signature(
        scheme=signature.take("scheme", SCHEMES[0], _scheme),
        secret_from=signature.take("secret_from", "", _text),
        tolerance_seconds=signature.take("tolerance_seconds", 300, _positive),
    )


def _read(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error


class _Table:
    """One table of the file; it remembers what was asked for and what was wrong."""

    def __init__(self, entries: Mapping[str, Any], prefix: str = "") -> None:
        self._entries = entries
        self._prefix = prefix
        self._known: list[str] = []
        self._problems: list[str] = []

    def table(self, name: str) -> "_Table":
        self._known.append(name)
        entries = self._entries.get(name, {})
        if not isinstance(entries, dict):
            path = f"{self._prefix}{name}"
            self._problems.append(f"{path} must be a table: [{path}]")
            entries = {}
        return _Table(entries, f"{self._prefix}{name}.")

    def tables(self) -> "dict[str, _Table]":
        return {name: self.table(name) for name in self._entries}

    def require(self, name: str) -> None:
        """Make it a mistake if the entry `name` is missing."""
        if name not in self._entries:
            self._problems.append(f"{self._prefix}{name} is missing")

    def take(self, name: str, default: Any, check: Callable[[Any], Any]) -> Any:
        self._known.append(name)
        if name not in self._entries:
            return default
        try:
            return check(self._entries[name])
        except ValueError as error:
            self._problems.append(f"{self._prefix}{name} must be {error}")
            return default

    def has(self, name: str) -> bool:
        return name in self._entries

    def refuse(self, name: str, reason: str) -> None:
        """Make the entry `name` a mistake if it is there."""
        if name in self._entries:
            self._problems.append(f"{self._prefix}{name} cannot be given: {reason}")

    def problems(self) -> list[str]:
        unknown = [name for name in self._entries if name not in self._known]
        return self._problems + [self._unknown(name) for name in unknown]

    def _unknown(self, name: str) -> str:
        close = get_close_matches(name, self._known, 1)
        hint = f"; did you mean {self._prefix}{close[0]}?" if close else ""
        return f"{self._prefix}{name} is no setting{hint}"


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a text")
    return value


def _account(value: Any) -> str:
    if not isinstance(value, str) or len(value) != 12 or not value.isdigit():
        raise ValueError("a text of 12 digits")
    return value


def _positive(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("a whole number above 0")
    return value


def _limits(value: Any) -> Mapping[str, int]:
    try:
        return {name: _positive(limit) for name, limit in value.items()}
    except (AttributeError, ValueError):
        raise ValueError("a table of names, each with a whole number above 0") from None


def _days(value: Any) -> int:
    """Days, as milliseconds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise ValueError("a number of days above 0")
    return round(value * 86_400_000)


def _mebibytes(value: Any) -> int:
    """Mebibytes, as bytes."""
    return _positive(value) * 1_048_576


def _under(project: Path, path: str | None) -> Path | None:
    return None if path is None else project / path


def _port(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 65_536:
        raise ValueError("a port: 0 to 65535, 0 for any that is free")
    return value


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _url(value: Any) -> str:
    wrong = ValueError("a URL: http://host:port or https://host")
    try:
        parts = urlsplit(_text(value))
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise wrong
    return str(value)


def _isolation(value: Any) -> str:
    if value not in ("workers", "inline"):
        raise ValueError('"workers" or "inline"')
    return str(value)


def _scheme(value: Any) -> str:
    if value not in SCHEMES:
        raise ValueError(f"one of {', '.join(SCHEMES)}")
    return str(value)


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError("a list of texts")
    return tuple(value)
