"""The tables of constraints and the answers, held against AWS's own model of the service."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.session import Session  # type: ignore[import-untyped]  # botocore has no types

from eventmill.api.constraints import Flag, Member, Number, Text
from eventmill.api.errors import error_body
from eventmill.api.step_functions import NOT_OFFERED, OPERATIONS
from eventmill.errors import ServiceError

MODEL: dict[str, Any] = (
    Session().get_component("data_loader").load_service_model("stepfunctions", "service-2")
)

# A payload's limit is a quota of the project, in bytes.
PAYLOADS = {("StartExecution", "input"), ("SendTaskSuccess", "output"), ("TestState", "input")}


def requested() -> Iterator[tuple[str, str]]:
    for operation in OPERATIONS:
        request = MODEL["shapes"][MODEL["operations"][operation]["input"]["shape"]]
        for member, described in request["members"].items():
            # The structures inside a request have a test of their own.
            if MODEL["shapes"][described["shape"]]["type"] != "structure":
                yield operation, member


def test_every_operation_of_the_service_is_offered_or_said_not_to_be() -> None:
    assert set(OPERATIONS) | NOT_OFFERED == set(MODEL["operations"])
    assert not set(OPERATIONS) & NOT_OFFERED


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_has_the_members_of_the_model(operation: str) -> None:
    shape = MODEL["shapes"][MODEL["operations"][operation]["input"]["shape"]]
    ours = OPERATIONS[operation]
    assert {*ours.members, *(ours.structures or {})} == set(shape["members"])


@pytest.mark.parametrize(("operation", "member"), list(requested()))
def test_a_member_has_the_constraints_of_the_model(operation: str, member: str) -> None:
    request = MODEL["shapes"][MODEL["operations"][operation]["input"]["shape"]]
    shape = MODEL["shapes"][request["members"][member]["shape"]]
    required = member in request.get("required", ())
    ours = OPERATIONS[operation].members[member]
    assert ours == expected(shape, required, is_payload=(operation, member) in PAYLOADS)


def expected(shape: dict[str, Any], required: bool, is_payload: bool) -> Member:
    match shape["type"]:
        case "string":
            return Text(
                min=shape.get("min", 0),
                max=None if is_payload else shape.get("max"),
                values=tuple(shape.get("enum", ())),
                ascii=shape.get("pattern") == r"\p{ASCII}*",
                required=required,
            )
        case "integer":
            return Number(min=shape["min"], max=shape["max"], required=required)
        case "boolean":
            return Flag(required=required)
    raise AssertionError(f"a member of another type: {shape}")


def test_errors_of_the_service_are_errors_of_the_model() -> None:
    """Every error of ours that goes out in the service's own namespace is one AWS knows."""
    ours = {
        name
        for kind in descendants(ServiceError)
        for space, name in [error_body(kind.__new__(kind))["__type"].split("#")]
        if space == "com.amazonaws.swf.service.v2.model"
    }
    assert ours <= {name for name, shape in MODEL["shapes"].items() if shape.get("exception")}


def descendants(kind: type[ServiceError]) -> Iterator[type[ServiceError]]:
    for each in kind.__subclasses__():
        yield each
        yield from descendants(each)
