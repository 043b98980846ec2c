from typing import Any

import pytest

from eventmill.model import Json
from eventmill.triggers.kafka import KafkaSource, Registry, Sasl, Tls
from eventmill.triggers.trigger import InvalidTrigger, parse_trigger

LEAST: dict[str, Json] = {"BootstrapServers": ["broker:9092"], "Topics": ["orders"]}


def source(**fields: Any) -> KafkaSource:
    value: Json = {"Source": {"Type": "kafka", **fields}, "Target": {"StateMachine": "m"}}
    parsed = parse_trigger("t", value).source
    assert isinstance(parsed, KafkaSource)
    return parsed


def mistakes(**fields: Any) -> list[tuple[str, str]]:
    with pytest.raises(InvalidTrigger) as raised:
        source(**fields)
    return [(pointer.removeprefix("/Source"), text) for pointer, text in raised.value.mistakes]


def test_little_need_be_said() -> None:
    assert source(**LEAST) == KafkaSource(bootstrap_servers=("broker:9092",), topics=("orders",))


def test_reads_every_field() -> None:
    assert source(
        BootstrapServers=["a:1", "[::1]:2"],
        Topics=["orders"],
        TopicPatterns=["late-.*"],
        Name="mine",
        ConsumerGroupId="g",
        Assignment="all",
        StartingPosition="2026-01-02T00:00:00Z",
        ValueFormat="avro",
        ValueSchema="order.avsc",
        KeyFormat="json",
        SchemaRegistry={"Url": "https://r:1/x/", "Username": "u", "PasswordFrom": "P", "Tls": {}},
        CloudEvents=False,
        IsolationLevel="read_uncommitted",
        Sasl={"Mechanism": "PLAIN", "Username": "u", "PasswordFrom": "P"},
        Tls={
            "CaFile": "ca",
            "CertificateFile": "c",
            "KeyFile": "k",
            "KeyPasswordFrom": "K",
            "VerifyHostname": False,
        },
        DeadLetterTopic="dead",
        MaxPollRecords=10,
        FetchMaxBytes=2_048,
        MetadataSeconds=1,
        RequestSeconds=2,
    ) == KafkaSource(
        bootstrap_servers=("a:1", "[::1]:2"),
        topics=("orders",),
        topic_patterns=("late-.*",),
        given_name="mine",
        consumer_group_id="g",
        assignment="all",
        starting_position=1_767_312_000_000,
        value_format="avro",
        value_schema="order.avsc",
        key_format="json",
        registry=Registry(url="https://r:1/x", username="u", password_from="P"),
        cloud_events=False,
        isolation_level="read_uncommitted",
        sasl=Sasl(mechanism="PLAIN", username="u", password_from="P"),
        tls=Tls(
            ca_file="ca",
            certificate_file="c",
            key_file="k",
            key_password_from="K",
            verify_hostname=False,
        ),
        dead_letter_topic="dead",
        max_poll_records=10,
        fetch_max_bytes=2_048,
        metadata_seconds=1.0,
        request_seconds=2.0,
    )


def test_a_group_shares_partitions_unless_told_otherwise() -> None:
    assert source(**LEAST).assignment == "all"
    assert source(**LEAST, ConsumerGroupId="g").assignment == "group"


@pytest.mark.parametrize(
    ("fields", "mistake"),
    [
        ({"BootstrapServers": []}, ("/BootstrapServers", "must not be empty")),
        ({"BootstrapServers": ["broker"]}, ("/BootstrapServers/0", "'broker' is not host:port")),
        ({"Topics": []}, ("/Topics", "is missing; give Topics or TopicPatterns")),
        (
            {"Topics": ["a b"]},
            ("/Topics/0", "'a b' cannot name a topic: 1 to 249 letters, digits, '.', '_' and '-'"),
        ),
        (
            {"TopicPatterns": ["("]},
            (
                "/TopicPatterns/0",
                "'(' is no regular expression: missing ), unterminated subpattern at position 0",
            ),
        ),
        (
            {"Assignment": "group"},
            ("/Assignment", "only a consumer group shares partitions; give ConsumerGroupId"),
        ),
        (
            {"StartingPosition": "yesterday"},
            (
                "/StartingPosition",
                "must be latest, earliest or a time such as 2026-01-31T08:00:00Z, not 'yesterday'",
            ),
        ),
        (
            {"ValueFormat": "xml"},
            ("/ValueFormat", "must be one of json, avro, text, bytes, not 'xml'"),
        ),
        (
            {"KeyFormat": "avro"},
            (
                "/KeyFormat",
                "avro takes KeySchema (a file in schemas/) or a SchemaRegistry",
            ),
        ),
        ({"ValueSchema": "a.avsc"}, ("/ValueSchema", "only ValueFormat avro has a schema")),
        (
            {"ValueFormat": "avro", "ValueSchema": "../a.avsc"},
            ("/ValueSchema", "is relative to the project's folder schemas/"),
        ),
        (
            {"SchemaRegistry": {"Url": "http://u:p@r"}},
            (
                "/SchemaRegistry/Url",
                "must be a URL like https://host:port, without a user in it",
            ),
        ),
        (
            {"SchemaRegistry": {"Url": "http://r", "Username": "u"}},
            ("/SchemaRegistry", "a login has both Username and PasswordFrom"),
        ),
        (
            {"Sasl": {"Mechanism": "GSSAPI", "Username": "u", "PasswordFrom": "P"}},
            (
                "/Sasl/Mechanism",
                "must be one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, not 'GSSAPI'",
            ),
        ),
        ({"Sasl": {"Username": "u"}}, ("/Sasl/PasswordFrom", "is missing")),
        ({"Tls": {"KeyFile": "k"}}, ("/Tls/KeyFile", "a key takes a CertificateFile")),
        (
            {"TopicPatterns": ["d.*"], "DeadLetterTopic": "dead"},
            (
                "/DeadLetterTopic",
                "is one of the topics that are read: rejected messages would come round for ever",
            ),
        ),
        ({"MaxPollRecords": 0}, ("/MaxPollRecords", "must be a whole number from 1 to 10,000")),
        ({"MaxPollRecords": True}, ("/MaxPollRecords", "must be a whole number from 1 to 10,000")),
        (
            {"Password": "secret"},
            ("/Password", "there is no such field"),
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(fields: dict[str, Any], mistake: Any) -> None:
    assert mistakes(**{**LEAST, **fields}) == [mistake]


def test_servers_are_needed() -> None:
    assert mistakes(Topics=["a"]) == [("/BootstrapServers", "is missing")]


def test_servers_may_come_from_the_environment() -> None:
    fields: dict[str, Json] = {"BootstrapServersFrom": "KAFKA", "Topics": ["a"]}
    plain = source(**fields)

    found = plain.located({"KAFKA": "a:1, b:2"})

    assert (found.bootstrap_servers, found.cluster) == (("a:1", "b:2"), "a:1")
    for environment in ({}, {"KAFKA": ""}, {"KAFKA": "a"}):
        assert plain.located(environment) == plain
    assert plain.name.startswith("kafka:$KAFKA#")
    assert found.name not in (plain.name, plain.located({"KAFKA": "c:3"}).name)
    assert source(**LEAST).located({"KAFKA": "b:2"}) == source(**LEAST)


def test_servers_come_from_one_place() -> None:
    assert mistakes(**LEAST, BootstrapServersFrom="KAFKA") == [
        ("/BootstrapServersFrom", "give this or BootstrapServers, not both")
    ]


def test_the_name_follows_from_what_is_read_and_from_nothing_else() -> None:
    plain = source(**LEAST)

    assert plain.name == source(**LEAST, ValueFormat="text", MaxPollRecords=7).name
    others = [
        source(**{**LEAST, "Topics": ["orders", "more"]}),
        source(**LEAST, TopicPatterns=["x"]),
        source(**LEAST, ConsumerGroupId="g"),
        source(**{**LEAST, "BootstrapServers": ["other:9092"]}),
    ]
    assert len({plain.name, *(other.name for other in others)}) == 5


def test_a_given_name_outlasts_changes_of_what_is_read() -> None:
    names = {source(**{**LEAST, "Topics": [topic]}, Name="mine").name for topic in ("a", "b")}

    assert names == {"kafka:mine"}


def test_a_pattern_is_compared_with_the_whole_name() -> None:
    patterns = source(**LEAST, TopicPatterns=["late-[0-9]"])

    assert [patterns.takes(topic) for topic in ("orders", "late-1", "late-12", "x-late-1")] == [
        True, True, False, False
    ]  # fmt: skip
