from dataclasses import replace
from typing import Any

import pytest

from eventmill.arn import is_name
from eventmill.errors import AuthorError
from eventmill.events import TriggerEvent
from eventmill.model import Json
from eventmill.triggers.filesystem import Disposal, FilesystemSource
from eventmill.triggers.trigger import InvalidTrigger, Trigger, parse_trigger

EVENT = TriggerEvent(
    id="e-1",
    source="eventmill.filesystem",
    detail_type="File Created",
    at_ms=1_700_000_000_120,
    account="000000000000",
    region="local",
    detail={"path": '/in/a "b".csv', "size": 3, "tags": ["x", "y"]},
    resources=("file:///in/a.csv",),
)

AT_MOST_ONE = "a target has at most one of Input, InputPath, InputTransformer"
NEEDS_A_PATTERN = (
    "is missing: without a Source the trigger listens to all events, "
    "and says by its pattern which of them it takes"
)
VARIABLE_RULE = (
    "a variable's name has only letters, digits, '_', '-' and '.', and does not start with AWS"
)


def form(**target: Json) -> dict[str, Json]:
    return {
        "Source": {"Type": "filesystem", "Path": "inbox"},
        "Target": {"StateMachine": "intake", **target},
    }


def trigger(**target: Json) -> Trigger:
    return parse_trigger("files", form(**target))


def mistakes_in(value: Json, name: str = "files") -> list[tuple[str, str]]:
    with pytest.raises(InvalidTrigger) as raised:
        parse_trigger(name, value)
    return list(raised.value.mistakes)


def test_reads_every_field() -> None:
    read = parse_trigger(
        "files",
        {
            "Comment": "What comes in.",
            "Source": {
                "Type": "filesystem",
                "Path": "data/inbox",
                "Recursive": False,
                "Include": ["*.csv"],
                "Exclude": [".*", "*.part"],
                "StableSeconds": 0,
                "ScanSeconds": 60,
                "Polling": True,
                "DeletionEvents": True,
                "AfterSuccess": {"Action": "move", "To": "data/done"},
                "AfterFailure": {"Action": "delete"},
            },
            "EventPattern": {"detail-type": ["File Created"]},
            "Target": {
                "StateMachine": "arn:aws:states:local:000000000000:stateMachine:intake",
                "InputPath": "$.detail",
            },
            "Enabled": False,
        },
    )

    assert (read.name, read.enabled, read.source) == (
        "files",
        False,
        FilesystemSource(
            path="data/inbox",
            recursive=False,
            include=("*.csv",),
            exclude=(".*", "*.part"),
            stable_seconds=0.0,
            scan_seconds=60.0,
            polling=True,
            deletion_events=True,
            after_success=Disposal(to="data/done"),
            after_failure=Disposal(to=None),
        ),
    )
    assert read.state_machine == "arn:aws:states:local:000000000000:stateMachine:intake"
    assert read.matches(EVENT.envelope())
    assert not read.matches({**EVENT.envelope(), "detail-type": "File Changed"})


def test_only_source_and_target_are_needed() -> None:
    read = trigger()

    assert read.source == FilesystemSource(path="inbox")
    assert hash(read.source) == hash(FilesystemSource(path="inbox"))
    assert (read.enabled, read.state_machine, read.matcher) == (True, "intake", None)
    assert read.matches(EVENT.envelope())
    assert read.input_for(EVENT).value == EVENT.envelope()


def test_a_source_is_named_by_what_it_watches_and_not_by_its_timing() -> None:
    name = FilesystemSource(path="inbox").name

    assert name == "filesystem:inbox#56ca4173"
    assert FilesystemSource(path="./inbox/", stable_seconds=9, scan_seconds=9).name == name
    others = [
        FilesystemSource(path="outbox"),
        FilesystemSource(path="inbox", recursive=False),
        FilesystemSource(path="inbox", include=("*.csv",)),
        FilesystemSource(path="inbox", exclude=("*.csv",)),
        FilesystemSource(path="inbox", polling=True),
    ]
    assert len({name, *(other.name for other in others)}) == 6


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({"Input": {"a": 1}}, {"a": 1}),
        ({"Input": None}, None),
        ({"InputPath": "$.detail.size"}, 3),
        ({"InputPath": "$.detail.tags[*]"}, ["x", "y"]),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {"file": "$.detail.path", "n": "$.detail.size"},
                    "InputTemplate": '{"file": <file>, "text": "\\"<file>\\" has <n>", "n": <n>}',
                }
            },
            {"file": '/in/a "b".csv', "text": '"/in/a "b".csv" has 3', "n": 3},
        ),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {"d": "$.detail"},
                    "InputTemplate": '["<d>", <d>, "a<b", "\\\\<d>"]',
                }
            },
            [
                '{"path":"/in/a \\"b\\".csv","size":3,"tags":["x","y"]}',
                EVENT.detail,
                "a<b",
                '\\{"path":"/in/a \\"b\\".csv","size":3,"tags":["x","y"]}',
            ],
        ),
        (
            {
                "InputTransformer": {
                    "InputTemplate": '["<aws.events.rule-name>", <aws.events.rule-arn>, '
                    "<aws.events.event.ingestion-time>, <aws.events.event.json>]"
                }
            },
            [
                "files",
                "arn:aws:events:local:000000000000:rule/files",
                "2023-11-14T22:13:20.120Z",
                EVENT.envelope(),
            ],
        ),
        (
            {"InputTransformer": {"InputTemplate": "<aws.events.event>"}},
            {key: value for key, value in EVENT.envelope().items() if key != "detail"},
        ),
    ],
)
def test_makes_the_input(target: dict[str, Any], expected: Json) -> None:
    assert trigger(**target).input_for(EVENT).value == expected


@pytest.mark.parametrize(
    ("target", "cause"),
    [
        ({"InputPath": "$.detail.none"}, "Invalid path '$.detail.none'"),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {"x": "$.detail.none"},
                    "InputTemplate": "<x>",
                }
            },
            "<x> is not in the event: $.detail.none leads nowhere",
        ),
    ],
)
def test_an_event_that_lacks_what_the_input_needs_is_an_authors_error(
    target: dict[str, Any], cause: str
) -> None:
    with pytest.raises(AuthorError) as raised:
        trigger(**target).input_for(EVENT)

    failure = raised.value.failure
    assert failure.error == "States.Runtime"
    assert (failure.cause or "").startswith(cause)


def test_a_name_follows_from_the_trigger_and_the_event() -> None:
    names = {
        parse_trigger(name, form()).execution_name(event)
        for name in ("files", "f" * 80, "f" * 79 + "g")
        for event in (EVENT, _event(id="e-2"), _event(source="eventmill.kafka"))
    }

    assert trigger().execution_name(EVENT) == "files-aadec3257826e088b8d9600ce586fbda"
    assert len(names) == 9
    assert all(is_name(name) for name in names)


@pytest.mark.parametrize(
    ("expression", "detail", "expected"),
    [
        ("$.detail.day", {"day": "2026-01-02"}, "2026-01-02"),
        ("States.Format('d-{}', $.detail.n)", {"n": 7}, "d-7"),
        ("$.detail.day", {"day": "a b/c"}, "a-b-c-"),
        ("$.detail.day", {"day": "x" * 81}, "x" * 63 + "-"),
    ],
)
def test_a_name_can_be_made_from_the_event(
    expression: str, detail: dict[str, Json], expected: str
) -> None:
    name = trigger(ExecutionName=expression).execution_name(_event(detail=detail))

    assert name.startswith(expected)
    assert len(name) - len(expected) == (16 if expected.endswith("-") else 0)
    assert is_name(name)


def test_names_that_differ_only_in_what_a_name_may_not_have_stay_apart() -> None:
    named = trigger(ExecutionName="$.detail.day")

    assert named.execution_name(_event(detail={"day": "a b"})) != named.execution_name(
        _event(detail={"day": "a/b"})
    )


@pytest.mark.parametrize("value", [7, None, "", ["a"]])
def test_a_name_that_is_no_text_is_an_authors_error(value: Json) -> None:
    with pytest.raises(AuthorError) as raised:
        trigger(ExecutionName="$.detail.day").execution_name(_event(detail={"day": value}))

    assert raised.value.failure.error == "States.Runtime"


def _event(
    *, id: str = EVENT.id, source: str = EVENT.source, detail: dict[str, Json] = EVENT.detail
) -> TriggerEvent:
    return TriggerEvent(
        id=id,
        source=source,
        detail_type=EVENT.detail_type,
        at_ms=EVENT.at_ms,
        account=EVENT.account,
        region=EVENT.region,
        detail=detail,
    )


ALL_WRONG: Json = {
    "Coment": "x",
    "Enabled": "yes",
    "Source": {
        "Type": "filesystem",
        "Path": "",
        "Recursiv": True,
        "Include": ["*.csv", 1, "/abs", "a/../b", ""],
        "Exclude": "*.part",
        "StableSeconds": -1,
        "ScanSeconds": True,
    },
    "EventPattern": {"detail": {"name": [{"sufix": ".csv"}]}},
    "Target": {
        "StateMachine": "my machine",
        "Input": 1,
        "InputPath": "detail",
        "InputTransformer": {
            "InputPathsMap": {"a/b": "$$.x", "AWS": 1},
            "InputTemplate": '{"f": <fil>}',
            "Extra": 1,
        },
        "ExecutionName": "fixed",
        "inputpath": "$",
    },
}


def test_reports_all_mistakes_at_once() -> None:
    assert mistakes_in(ALL_WRONG, name="a b") == [
        (
            "",
            "the file's name 'a b' cannot name a trigger: 1 to 80 characters, without spaces and "
            'without any of <>{}[]?*"#%\\^|~`$&,;:/',
        ),
        ("/Enabled", "must be true or false, not a string"),
        ("/Source/Path", "must not be empty"),
        ("/Source/Include/1", "must be a string, not a number"),
        ("/Source/Exclude", "must be an array of strings, not a string"),
        ("/Source/StableSeconds", "must lie between 0 and 86400 seconds, not -1"),
        ("/Source/ScanSeconds", "must be a number of seconds, not true"),
        ("/Source/Recursiv", "there is no such field; did you mean 'Recursive'?"),
        ("/EventPattern/detail/name/0", "Unrecognized match type sufix"),
        (
            "/Target/StateMachine",
            "'my machine' is neither the name of a state machine nor its ARN",
        ),
        ("/Target/InputPath", AT_MOST_ONE),
        ("/Target/InputTransformer", AT_MOST_ONE),
        ("/Target/InputPath", "'detail' is no JSONPath: Value is not a valid JSONPath"),
        ("/Target/InputTransformer/InputPathsMap/a~1b", VARIABLE_RULE),
        (
            "/Target/InputTransformer/InputPathsMap/a~1b",
            "'$$.x' does not begin with $, the event",
        ),
        ("/Target/InputTransformer/InputPathsMap/AWS", VARIABLE_RULE),
        ("/Target/InputTransformer/InputPathsMap/AWS", "must be a JSONPath, not a number"),
        ("/Target/InputTransformer/Extra", "there is no such field"),
        ("/Target/InputTransformer/InputTemplate", "<fil> is not in InputPathsMap"),
        (
            "/Target/ExecutionName",
            "'fixed' is neither a JSONPath into the event nor an intrinsic function: "
            "The value must be a valid JSONPath or a valid intrinsic function call",
        ),
        ("/Target/inputpath", "there is no such field; did you mean 'InputPath'?"),
        ("/Coment", "there is no such field; did you mean 'Comment'?"),
    ]


def test_overlaps_are_allowed_unless_the_target_says_otherwise() -> None:
    assert trigger().overlap == "allow"
    assert trigger(Overlap="buffer-one").overlap == "buffer-one"
    assert mistakes_in(form(Overlap="skipp")) == [
        (
            "/Target/Overlap",
            "is one of allow, skip, buffer-one, cancel-other, not 'skipp'; did you mean 'skip'?",
        )
    ]


def test_names_missing_and_misplaced_fields() -> None:
    assert mistakes_in({}) == [("/EventPattern", NEEDS_A_PATTERN), ("/Target", "is missing")]
    assert mistakes_in([]) == [("", "must be an object, not an array")]
    assert mistakes_in({"Source": {}, "Target": None}) == [
        ("/Source/Type", "is missing"),
        ("/Target", "must be an object, not null"),
    ]
    assert mistakes_in({**form(), "Source": {"Type": "file"}}) == [
        ("/Source/Type", "there is no source 'file'; there are: filesystem, kafka, schedule, s3")
    ]


@pytest.mark.parametrize(
    ("after", "pointer", "message"),
    [
        ({"To": "done"}, "/Action", "is missing"),
        ({"Action": "keep"}, "/Action", "must be 'move' or 'delete', not 'keep'"),
        ({"Action": "move"}, "/To", "is missing"),
        ({"Action": "delete", "To": "done"}, "/To", "stands only with the action 'move'"),
        ({"Action": "move", "To": "./inbox/"}, "/To", "must not be the watched folder"),
        ({"Action": "move", "To": "a\0b"}, "/To", "no path has a NUL character"),
        ({"Action": "delete", "Tos": 1}, "/Tos", "there is no such field; did you mean 'To'?"),
        ("delete", "", "must be an object, not a string"),
    ],
)
def test_says_what_cannot_be_done_with_files(after: Json, pointer: str, message: str) -> None:
    source: Json = {"Type": "filesystem", "Path": "inbox", "AfterSuccess": after}
    mistakes = mistakes_in({"Source": source, "Target": {"StateMachine": "intake"}})
    assert mistakes == [(f"/Source/AfterSuccess{pointer}", message)]


def test_refuses_globs_that_can_match_nothing() -> None:
    source: Json = {"Type": "filesystem", "Path": "in", "Exclude": ["*", "/abs", "a/../b", ""]}

    assert mistakes_in({**form(), "Source": source}) == [
        ("/Source/Exclude/1", "'/abs' can match nothing: globs are relative to Path"),
        ("/Source/Exclude/2", "'a/../b' can match nothing: globs are relative to Path"),
        ("/Source/Exclude/3", "'' can match nothing: globs are relative to Path"),
    ]


@pytest.mark.parametrize("template", ['{"a": <f>', "text <f>", '"<f>', '{"a": "<f>"x}'])
def test_refuses_a_template_that_gives_no_json(template: str) -> None:
    transformer: Json = {"InputPathsMap": {"f": "$.detail"}, "InputTemplate": template}

    assert mistakes_in(form(InputTransformer=transformer)) == [
        (
            "/Target/InputTransformer/InputTemplate",
            "is not JSON when its variables are filled in",
        )
    ]


def test_an_empty_pattern_is_refused_since_it_would_match_everything() -> None:
    assert mistakes_in({**form(), "EventPattern": {}}) == [
        ("/EventPattern", "Empty objects are not allowed")
    ]
    assert mistakes_in({**form(), "EventPattern": None}) == [
        ("/EventPattern", "Filter is not an object")
    ]


@pytest.mark.parametrize(
    "reference",
    [
        "arn:aws:states:local:000000000000:activity:a",
        "arn:aws:states:local:0:stateMachine:a",
        "a:b",
    ],
)
def test_refuses_what_names_no_state_machine(reference: str) -> None:
    assert mistakes_in(form(StateMachine=reference)) == [
        (
            "/Target/StateMachine",
            f"{reference!r} is neither the name of a state machine nor its ARN",
        )
    ]


def test_the_exception_lists_the_mistakes_too() -> None:
    with pytest.raises(InvalidTrigger, match=r"/EventPattern: is missing: .*; /Target: is missing"):
        parse_trigger("files", {})


def test_random_numbers_in_a_name_follow_from_the_event() -> None:
    named = trigger(ExecutionName="States.UUID()")
    one, other = _event(detail={"n": 1}), replace(_event(detail={"n": 1}), id="another")

    assert named.execution_name(one) == named.execution_name(one)
    assert named.execution_name(one) != named.execution_name(other)


# On the bus, and JSONata


def test_a_trigger_without_a_source_listens_to_the_bus() -> None:
    read = parse_trigger(
        "t", {"EventPattern": {"source": ["s"]}, "Target": {"StateMachine": "intake"}}
    )
    assert read.source is None
    assert read.matches({"source": "s"})
    assert not read.matches({"source": "t"})
    assert mistakes_in({"Target": {"StateMachine": "intake"}}) == [
        ("/EventPattern", NEEDS_A_PATTERN)
    ]


def test_an_input_may_be_made_by_jsonata() -> None:
    made = trigger(
        Input={
            "path": "{% $states.input.detail.path %}",
            "all": ["{% $count($states.input.detail.tags) %}", "{% not closed", 7],
            "when": "{% $fromMillis($toMillis($states.input.time)) %}",
        }
    ).input_for(EVENT)
    assert made.value == {
        "path": '/in/a "b".csv',
        "all": [2, "{% not closed", 7],
        "when": "2023-11-14T22:13:20.000Z",
    }


def test_what_jsonata_draws_follows_from_the_event() -> None:
    drawn = trigger(Input="{% [$uuid(), $random(), $now()] %}")
    other = replace(EVENT, id="e-2")
    assert drawn.input_for(EVENT).value == drawn.input_for(EVENT).value
    assert drawn.input_for(EVENT).value != drawn.input_for(other).value


def test_jsonata_that_finds_nothing_is_an_error() -> None:
    with pytest.raises(AuthorError) as raised:
        trigger(Input={"a": "{% $states.input.detail.nothing %}"}).input_for(EVENT)
    assert "returned nothing (undefined)" in str(raised.value.failure.cause)


def test_mistakes_in_jsonata_say_where() -> None:
    told = mistakes_in(form(Input={"a/b": ["{% ( %}", "{% $states.context %}"]}))
    assert [pointer for pointer, _ in told] == ["/Target/Input/a~1b/0", "/Target/Input/a~1b/1"]
    assert told[1][1] == "Field '$states.context' does not exist."
    ((pointer, _),) = mistakes_in(form(ExecutionName="{% ( %}"))
    assert pointer == "/Target/ExecutionName"


def test_a_name_may_be_made_by_jsonata() -> None:
    named = trigger(ExecutionName="{% 'n-' & $states.input.detail.size %}")
    assert named.execution_name(EVENT) == "n-3"
    with pytest.raises(AuthorError, match="must give a text"):
        trigger(ExecutionName="{% 1 %}").execution_name(EVENT)
