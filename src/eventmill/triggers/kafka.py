"""The source `kafka`: topics of a cluster, and how their messages are read."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal, TypeAlias, cast

from eventmill.instant import parse_instant
from eventmill.model import Json, encode_json
from eventmill.record import record
from eventmill.triggers.fields import Fields

Format: TypeAlias = Literal["json", "avro", "text", "bytes"]

FORMATS: Final = ("json", "avro", "text", "bytes")
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
ISOLATION_LEVELS: Final = ("read_committed", "read_uncommitted")
ASSIGNMENTS: Final = ("group", "all")

_SERVER: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/,]+):\d{1,5}")
_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")


@record
class Tls:
    """TLS to the brokers or to the registry; paths are relative to the project or absolute.

    Without `ca_file` the authorities of the system are trusted.
    """

    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    key_password_from: str = ""
    verify_hostname: bool = True


@record
class Sasl:
    """A login; the password is in the environment variable `password_from`."""

    mechanism: str
    username: str
    password_from: str


@record
class Registry:
    """A schema registry with Confluent's interface."""

    url: str
    username: str = ""
    password_from: str = ""
    tls: Tls = Tls()


@record
class KafkaSource:
    """Topics to read. Equal sources are served by one sensor.

    Where `bootstrap_servers_from` names an environment variable, `located` takes them from it.
    `starting_position` is `latest`, `earliest` or milliseconds since the epoch. With `assignment`
    `group` the servers of a consumer group share the partitions; with `all` this one reads all.
    """

    bootstrap_servers: tuple[str, ...] = ()
    bootstrap_servers_from: str = ""
    topics: tuple[str, ...] = ()
    topic_patterns: tuple[str, ...] = ()
    given_name: str = ""
    consumer_group_id: str = ""
    assignment: str = "all"
    starting_position: str | int = "latest"
    value_format: Format = "json"
    value_schema: str = ""
    key_format: Format = "text"
    key_schema: str = ""
    registry: Registry | None = None
    cloud_events: bool = True
    isolation_level: str = "read_committed"
    sasl: Sasl | None = None
    tls: Tls | None = None
    dead_letter_topic: str = ""
    max_poll_records: int = 1_000
    fetch_max_bytes: int = 8 * 1024 * 1024
    metadata_seconds: float = 10.0
    request_seconds: float = 15.0

    @property
    def name(self) -> str:
        """Under which the sensor remembers offsets: its `Name`, else what it reads and from where.

        Without a `Name`, a change of these is another name, and reading begins anew.
        """
        if self.given_name:
            return f"kafka:{self.given_name}"
        selection: Json = [
            *(
                "\n".join(sorted(names))
                for names in (self.bootstrap_servers, self.topics, self.topic_patterns)
            ),
            self.consumer_group_id,
        ]
        digest = hashlib.sha256(encode_json(selection)).hexdigest()[:8]
        return f"kafka:{self.cluster}#{digest}"

    @property
    def cluster(self) -> str:
        """One of its brokers, or the variable that does not name any."""
        return next(iter(self.bootstrap_servers), f"${self.bootstrap_servers_from}")

    def located(self, environment: Mapping[str, str]) -> "KafkaSource":
        """The same source with the brokers that its variable names, if it has one.

        Two servers that the variable names at different times are two sources, as they are when
        the trigger names them itself.
        """
        if not self.bootstrap_servers_from:
            return self
        named = environment.get(self.bootstrap_servers_from, "").split(",")
        servers = tuple(each.strip() for each in named if _SERVER.fullmatch(each.strip()))
        return replace(self, bootstrap_servers=servers)

    @property
    def shown(self) -> str:
        """The topics, for people."""
        topics = " ".join([*self.topics, *(f"/{each}/" for each in self.topic_patterns)])
        return f"{self.cluster}  {topics}"

    @property
    def document(self) -> dict[str, Json]:
        """The same for programs."""
        return {
            "bootstrapServers": [*self.bootstrap_servers],
            "topics": [*self.topics],
            "topicPatterns": [*self.topic_patterns],
            "consumerGroupId": self.consumer_group_id or None,
        }

    @property
    def at_odds(self) -> tuple[str, str]:
        """What two sources of one name do alike, and what they must agree on."""
        return "reads the same messages as", "Source; give both the same, or each a Name"

    def takes(self, topic: str) -> bool:
        """Whether messages of this topic are read."""
        return topic in self.topics or any(
            re.fullmatch(pattern, topic) is not None for pattern in self.topic_patterns
        )


def parse_kafka(fields: Fields) -> KafkaSource:
    """Read the fields of the source; mistakes are noted in them."""
    group = fields.text("ConsumerGroupId")
    assignment = _choice(fields, "Assignment", ASSIGNMENTS, "group" if group else "all")
    if assignment == "group" and not group:
        fields.note("only a consumer group shares partitions; give ConsumerGroupId", "Assignment")
    source = KafkaSource(
        bootstrap_servers=_parse_servers(fields),
        bootstrap_servers_from=fields.text("BootstrapServersFrom"),
        topics=_parse_topics(fields),
        topic_patterns=_parse_patterns(fields),
        given_name=fields.text("Name"),
        consumer_group_id=group,
        assignment=assignment,
        starting_position=_parse_position(fields),
        value_format=_format(fields, "ValueFormat", "json"),
        value_schema=fields.text("ValueSchema"),
        key_format=_format(fields, "KeyFormat", "text"),
        key_schema=fields.text("KeySchema"),
        registry=_parse_registry(fields),
        cloud_events=fields.flag("CloudEvents", default=True),
        isolation_level=_choice(fields, "IsolationLevel", ISOLATION_LEVELS, "read_committed"),
        sasl=_parse_sasl(fields),
        tls=_parse_tls(fields),
        dead_letter_topic=_parse_topic(fields, "DeadLetterTopic"),
        max_poll_records=_number(fields, "MaxPollRecords", 1_000, least=1, most=10_000),
        fetch_max_bytes=_number(fields, "FetchMaxBytes", 8 << 20, least=1_024, most=1 << 30),
        metadata_seconds=fields.seconds("MetadataSeconds", default=10.0, least=0.1),
        request_seconds=fields.seconds("RequestSeconds", default=15.0, least=0.1),
    )
    _check(fields, source)
    return source


def _check(fields: Fields, source: KafkaSource) -> None:
    """Note what does not fit together."""
    if not source.topics and not source.topic_patterns:
        fields.note("is missing; give Topics or TopicPatterns", "Topics")
    if source.dead_letter_topic and source.takes(source.dead_letter_topic):
        fields.note(
            "is one of the topics that are read: rejected messages would come round for ever",
            "DeadLetterTopic",
        )
    for part, format_, schema in (
        ("Value", source.value_format, source.value_schema),
        ("Key", source.key_format, source.key_schema),
    ):
        if format_ == "avro" and not schema and source.registry is None:
            fields.note(
                f"avro takes {part}Schema (a file in schemas/) or a SchemaRegistry",
                f"{part}Format",
            )
        if schema and format_ != "avro":
            fields.note(f"only {part}Format avro has a schema", f"{part}Schema")
        if schema.startswith("/") or ".." in schema.split("/"):
            fields.note("is relative to the project's folder schemas/", f"{part}Schema")


def _parse_servers(fields: Fields) -> tuple[str, ...]:
    if fields.has("BootstrapServers") and fields.has("BootstrapServersFrom"):
        fields.note("give this or BootstrapServers, not both", "BootstrapServersFrom")
    elif not fields.has("BootstrapServers") and not fields.has("BootstrapServersFrom"):
        fields.note("is missing", "BootstrapServers")
    servers = fields.texts("BootstrapServers")
    for index, server in enumerate(servers):
        if _SERVER.fullmatch(server) is None:
            fields.note(f"{server!r} is not host:port", "BootstrapServers", index)
    if fields.has("BootstrapServers") and fields.take("BootstrapServers") == []:
        fields.note("must not be empty", "BootstrapServers")
    return servers


def _parse_topics(fields: Fields) -> tuple[str, ...]:
    topics = fields.texts("Topics")
    for index, topic in enumerate(topics):
        if not _is_topic(topic):
            fields.note(f"{topic!r} cannot name a topic: {_TOPIC_RULE}", "Topics", index)
    return topics


def _parse_patterns(fields: Fields) -> tuple[str, ...]:
    patterns = fields.texts("TopicPatterns")
    sound = []
    for index, pattern in enumerate(patterns):
        try:
            re.compile(pattern)
        except re.error as error:
            fields.note(f"{pattern!r} is no regular expression: {error}", "TopicPatterns", index)
        else:
            sound.append(pattern)
    return tuple(sound)


_TOPIC_RULE: Final = "1 to 249 letters, digits, '.', '_' and '-'"


def _is_topic(text: str) -> bool:
    return _TOPIC.fullmatch(text) is not None and text not in {".", ".."}


def _parse_topic(fields: Fields, name: str) -> str:
    topic = fields.text(name)
    if topic and not _is_topic(topic):
        fields.note(f"{topic!r} cannot name a topic: {_TOPIC_RULE}", name)
    return topic


def _parse_position(fields: Fields) -> str | int:
    text = fields.text("StartingPosition") or "latest"
    if text in ("latest", "earliest"):
        return text
    try:
        return parse_instant(text)
    except ValueError:
        fields.note(
            f"must be latest, earliest or a time such as 2026-01-31T08:00:00Z, not {text!r}",
            "StartingPosition",
        )
        return "latest"


def _parse_registry(fields: Fields) -> Registry | None:
    if not fields.has("SchemaRegistry"):
        return None
    inner = fields.object("SchemaRegistry")
    url = inner.text("Url", required=True)
    if url and re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", url) is None:
        inner.note("must be a URL like https://host:port, without a user in it", "Url")
    username, password_from = inner.text("Username"), inner.text("PasswordFrom")
    if bool(username) != bool(password_from):
        inner.note("a login has both Username and PasswordFrom")
    registry = Registry(
        url=url.rstrip("/"),
        username=username,
        password_from=password_from,
        tls=_parse_tls(inner) or Tls(),
    )
    inner.refuse_others()
    return registry


def _parse_sasl(fields: Fields) -> Sasl | None:
    if not fields.has("Sasl"):
        return None
    inner = fields.object("Sasl")
    sasl = Sasl(
        mechanism=_choice(inner, "Mechanism", MECHANISMS, "SCRAM-SHA-512"),
        username=inner.text("Username", required=True),
        password_from=inner.text("PasswordFrom", required=True),
    )
    inner.refuse_others()
    return sasl


def _parse_tls(fields: Fields) -> Tls | None:
    """TLS settings: an object, which may be empty; without it there is no TLS."""
    if not fields.has("Tls"):
        return None
    inner = fields.object("Tls")
    tls = Tls(
        ca_file=inner.text("CaFile"),
        certificate_file=inner.text("CertificateFile"),
        key_file=inner.text("KeyFile"),
        key_password_from=inner.text("KeyPasswordFrom"),
        verify_hostname=inner.flag("VerifyHostname", default=True),
    )
    if tls.key_file and not tls.certificate_file:
        inner.note("a key takes a CertificateFile", "KeyFile")
    inner.refuse_others()
    return tls


def _format(fields: Fields, name: str, default: Format) -> Format:
    return cast(Format, _choice(fields, name, FORMATS, default))


def _choice(fields: Fields, name: str, options: tuple[str, ...], default: str) -> str:
    value = fields.text(name) or default
    if value not in options:
        fields.note(f"must be one of {', '.join(options)}, not {value!r}", name)
        return default
    return value


def _number(fields: Fields, name: str, default: int, *, least: int, most: int) -> int:
    value = fields.take(name) if fields.has(name) else default
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        fields.note(f"must be a whole number from {least:,} to {most:,}", name)
        return default
    return value
