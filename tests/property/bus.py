"""Trigger files, event patterns and the events that they are about."""

from typing import Any, Final

from hypothesis import strategies as st

from eventmill.events import TriggerEvent
from tests.property.documents import VALUES
from tests.property.expressions import intrinsics, paths

_LEAF: Final = st.sampled_from(
    ["a", "incoming/x.csv", "10.0.0.7", "", "ab\u00e9", 3, -1.5, True, None]
)
_BOUND: Final = st.integers(-3, 9) | st.sampled_from([1.5, 1e9])
_TEXT: Final = st.sampled_from(["", "a", "incoming/", ".csv", "*", "a*b", "x\\*", "**"])
_IGNORING: Final = st.fixed_dictionaries({"equals-ignore-case": _TEXT})


def _one(name: str, operand: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({name: operand})


_OPERATOR: Final[st.SearchStrategy[Any]] = st.one_of(
    _one("prefix", _TEXT | _IGNORING),
    _one("suffix", _TEXT | _IGNORING),
    _one("wildcard", _TEXT),
    _one("equals-ignore-case", _TEXT),
    _one("exists", st.booleans()),
    _one("cidr", st.sampled_from(["10.0.0.0/24", "10.0.0.0/33", "::1/128", "x/1", "10.0.0.0"])),
    _one("numeric", st.tuples(st.sampled_from(["=", "<", ">="]), _BOUND).map(list)),
    _one("numeric", st.tuples(st.just(">"), _BOUND, st.just("<="), _BOUND).map(list)),
    _one("anything-but", _LEAF | st.lists(_LEAF, max_size=2) | _one("prefix", _TEXT)),
    _one("anything-but", _one("wildcard", _TEXT | st.lists(_TEXT, min_size=1, max_size=2))),
)
_FIELD: Final = st.sampled_from(["source", "detail", "detail-type", "a", "k", "items", "n", "a.k"])
_LEAVES: Final = st.lists(_LEAF | _OPERATOR, min_size=1, max_size=3)


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    members = st.dictionaries(_FIELD, _LEAVES | inner, min_size=1, max_size=3)
    either = st.lists(st.dictionaries(_FIELD, _LEAVES, min_size=1, max_size=2), max_size=3)
    return st.one_of(members, st.tuples(members, either).map(lambda two: {**two[0], "$or": two[1]}))


patterns: Final = st.recursive(
    st.dictionaries(_FIELD, _LEAVES, min_size=1, max_size=2), _nested, max_leaves=5
)

_DETAIL: Final = st.fixed_dictionaries(
    {},
    optional={
        "a": _LEAF, "n": _BOUND, "k": st.lists(_LEAF, max_size=3),
        "items": st.lists(st.dictionaries(st.sampled_from(["a", "k", "n"]), _LEAF), max_size=3),
        "any": VALUES,
    },
)  # fmt: skip
events: Final = st.builds(
    TriggerEvent,
    id=st.sampled_from(["1", "é/<>", "x" * 200]),
    source=st.sampled_from(["aws.s3", "a", "eventmill.filesystem"]),
    detail_type=st.just("Object Created"),
    at_ms=st.sampled_from([0, 1_700_000_000_123]),
    account=st.just("000000000000"),
    region=st.just("local"),
    detail=_DETAIL,
    resources=st.just(("arn:aws:s3:::b",)),
)

_PATH: Final = st.sampled_from(["$.detail", "$.detail.a", "$.id", "$.source", "$.detail.k[0]"])
_TEMPLATE: Final = st.sampled_from(
    ['{"a": <one>}', '"<one> and <two>"', "<one>", '["<aws.events.event>", <two>]', "{<one>: 1}",
     '"\\"<two>"', "<unknown>", "{", '{"a": "<aws.events.event.json>"}', '"<"', "<one><two>",
     "1<one>", '{"<one>": 1, "<two>": 2}', '"\\\\<one>"', '"\\u00<one>"']
)  # fmt: skip
_VARIABLES: Final = st.fixed_dictionaries({"one": _PATH | paths, "two": _PATH})
_TRANSFORMER: Final = st.fixed_dictionaries(
    {"InputPathsMap": _VARIABLES, "InputTemplate": _TEMPLATE}
)
_SOURCE: Final = st.fixed_dictionaries(
    {"Type": st.just("filesystem"), "Path": st.sampled_from(["inbox", "/in", "", "a\0b"])},
    optional={
        "Include": st.lists(st.sampled_from(["*.csv", "**/x", "[", "", "../a"]), max_size=2),
        "Exclude": st.lists(st.sampled_from(["tmp*", "{a,b}"]), max_size=2),
        "Recursive": st.booleans(), "Polling": st.booleans(),
        "StableSeconds": st.sampled_from([0, 0.5, 1e9, -1]), "ScanSeconds": st.just(5),
    },
)  # fmt: skip


def _target(**extra: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    machine = st.sampled_from(["m", "arn:aws:states:local:000000000000:stateMachine:m", "a b"])
    name = st.sampled_from(["$.id", "States.Format('{}-{}', $.source, $.id)"]) | _PATH | intrinsics
    return st.fixed_dictionaries(
        {"StateMachine": machine, **extra}, optional={"ExecutionName": name}
    )


trigger_files: Final = st.fixed_dictionaries(
    {
        "Source": _SOURCE,
        "Target": _target() | _target(Input=VALUES) | _target(InputPath=_PATH | paths)
        | _target(InputTransformer=_TRANSFORMER),
    },
    optional={"EventPattern": patterns, "Enabled": st.booleans(), "Comment": st.just("why")},
)  # fmt: skip
