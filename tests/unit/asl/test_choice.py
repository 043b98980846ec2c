from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventmill.asl.choice import compile_condition, compile_pattern
from eventmill.asl.fields import Fields
from eventmill.asl.report import Place, Report
from eventmill.errors import AuthorError, Diagnostic
from eventmill.model import Failure, Json, Payload
from eventmill.query.environment import Environment, no_context


def compiled(rule: dict[str, Json]) -> Callable[[Json], bool]:
    report = Report()
    condition = compile_condition(Fields(rule, Place(), report))
    assert report.errors == ()
    assert condition is not None
    return lambda data: condition(Environment(Payload.of(data), no_context, {}))


def mistakes(rule: dict[str, Json]) -> list[Diagnostic]:
    report = Report()
    assert compile_condition(Fields(rule, Place(), report)) is None
    return list(report.errors)


def holds(operator: str, value: Json, operand: Json) -> bool:
    """The answer with the operand in the rule, which the `Path` form must give as well."""
    answer = compiled({"Variable": "$.v", operator: operand})({"v": value})
    if operator == "StringMatches":
        return answer
    by_path = compiled({"Variable": "$.v", f"{operator}Path": "$.o"})
    assert by_path({"v": value, "o": operand}) is answer
    return answer


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        ("Numeric", 1, 2),
        ("Numeric", -1.5, 0),
        ("Numeric", 9007199254740993, 9007199254740994),
        ("String", "", "a"),
        ("String", "A", "a"),
        ("String", "\U0001f600", "\ufffd"),  # by UTF-16 units, as Java has it
        ("Timestamp", "2024-01-01T00:00:00Z", "2024-01-01T00:00:00.001Z"),
        ("Timestamp", "2024-01-01T01:00:00+02:00", "2024-01-01T00:00:00Z"),
    ],
)
def test_values_of_one_type_are_ordered(kind: str, low: Json, high: Json) -> None:
    orders = ("Equals", "LessThan", "GreaterThan", "LessThanEquals", "GreaterThanEquals")
    table = {
        (low, high): (False, True, False, True, False),
        (high, low): (False, False, True, False, True),
        (low, low): (True, False, False, True, True),
    }

    for (value, operand), expected in table.items():
        assert tuple(holds(kind + order, value, operand) for order in orders) == expected


@pytest.mark.parametrize(
    ("operator", "value", "operand"),
    [
        ("NumericEquals", 1.0, 1),
        ("NumericEquals", 0, -0.0),
        ("BooleanEquals", False, False),
        ("TimestampEquals", "2024-06-01T12:00:00+02:00", "2024-06-01T10:00:00.000Z"),
    ],
)
def test_equal_values_need_not_be_written_alike(operator: str, value: Json, operand: Json) -> None:
    assert holds(operator, value, operand)


@pytest.mark.parametrize(
    ("operator", "operand"),
    [
        ("NumericEquals", 1),
        ("NumericLessThan", 5),
        ("StringEquals", "1"),
        ("StringGreaterThan", ""),
        ("BooleanEquals", True),
        ("TimestampEquals", "2024-01-01T00:00:00Z"),
        ("TimestampLessThan", "2024-01-01T00:00:00Z"),
        ("StringMatches", "*"),
    ],
)
def test_a_value_of_another_type_does_not_match(operator: str, operand: Json) -> None:
    values: list[Json] = [None, True, 1, 1.0, "1", "x", [1], {"a": 1}]
    for value in values:
        fits = {
            "N": isinstance(value, (int, float)) and not isinstance(value, bool),
            "S": isinstance(value, str),
            "B": isinstance(value, bool),
            "T": False,
        }[operator[0]]
        if not fits:
            assert not holds(operator, value, operand)


def test_an_operand_of_another_type_does_not_match() -> None:
    rule = compiled({"Variable": "$.v", "NumericLessThanPath": "$.o"})

    assert not rule({"v": 1, "o": "2"})
    assert not rule({"v": "1", "o": 2})


def test_an_ordering_of_two_values_of_another_type_fails() -> None:
    rule = compiled({"Variable": "$.v", "NumericLessThanPath": "$.o"})

    with pytest.raises(AuthorError) as raised:
        rule({"v": "1", "o": "2"})

    assert raised.value.failure == Failure(
        error="States.Runtime", cause="Invalid value provided at path '$.o'"
    )
    assert not compiled({"Variable": "$.v", "NumericEqualsPath": "$.o"})({"v": "1", "o": "1"})


@pytest.mark.parametrize(
    ("test", "matching"),
    [
        ("IsNull", [None]),
        ("IsNumeric", [0, 1.5]),
        ("IsString", ["", "x", "2024-01-01T00:00:00Z"]),
        ("IsBoolean", [True, False]),
        ("IsTimestamp", ["2024-01-01T00:00:00Z"]),
        ("IsPresent", [None, 0, 1.5, "", "x", "2024-01-01T00:00:00Z", True, False, [], {}]),
    ],
)
def test_a_test_of_type_holds_for_its_values_only(test: str, matching: list[Json]) -> None:
    everything: list[Json] = [
        None, 0, 1.5, "", "x", "2024-01-01T00:00:00Z", True, False, [], {},
    ]  # fmt: skip

    for value in everything:
        expected = any(value == each and type(value) is type(each) for each in matching)
        assert compiled({"Variable": "$.v", test: True})({"v": value}) is expected
        assert compiled({"Variable": "$.v", test: False})({"v": value}) is not expected


def test_only_is_present_forgives_a_variable_that_is_absent() -> None:
    assert compiled({"Variable": "$.x", "IsPresent": False})({})
    assert not compiled({"Variable": "$.x.y", "IsPresent": True})({"x": {}})
    rules: list[dict[str, Json]] = [
        {"Variable": "$.x", "IsNull": True},
        {"Variable": "$.x", "StringMatches": "*"},
        {"Variable": "$.x", "NumericEquals": 1},
        {"Variable": "$.v", "NumericEqualsPath": "$.x"},
        {"Not": {"Variable": "$.x", "BooleanEquals": True}},
    ]
    for rule in rules:
        with pytest.raises(AuthorError) as raised:
            compiled(rule)({"v": 1})
        assert raised.value.located
        assert raised.value.failure == Failure(
            error="States.Runtime",
            cause="Invalid path '$.x': The choice state's condition path references an invalid"
            " value.",
        )


def test_connectives_stop_at_the_first_rule_that_decides() -> None:
    present: Json = {"Variable": "$.x", "IsPresent": True}
    large: Json = {"Variable": "$.x", "NumericGreaterThan": 10}
    both = compiled({"And": [present, large]})
    either = compiled({"Or": [{"Not": present}, large]})
    inputs: list[Json] = [{}, {"x": 1}, {"x": 11}]

    assert [both(data) for data in inputs] == [False, False, True]
    assert [either(data) for data in inputs] == [True, False, True]


def test_the_context_object_can_be_compared() -> None:
    report = Report()
    rule = Fields({"Variable": "$$.State.Name", "StringEquals": "S"}, Place(), report)
    condition = compile_condition(rule)
    assert condition is not None
    context = Payload.of({"State": {"Name": "S"}})

    assert condition(Environment(Payload.of({}), lambda: context, {}))


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("a", ["a"], ["", "aa", "A"]),
        ("", [""], ["a"]),
        ("*", ["", "anything\nat all"], []),
        ("log-*.txt", ["log-.txt", "log-a.b.txt"], ["log-.txt ", "log.txt", "xlog-.txt"]),
        ("a*a", ["aa", "aba"], ["a", "ab"]),
        ("*a*b*", ["ab", "xaybz"], ["ba", "a"]),
        ("a**b", ["ab", "acb"], ["a"]),
        (r"\*", ["*"], ["", "a", r"\*"]),
        (r"\\*", ["\\", "\\a"], ["", "*"]),
        (r"a\b", [r"a\b"], ["ab"]),
        ("a\\", ["a\\"], ["a"]),
    ],
)
def test_a_pattern_matches_whole_texts(
    pattern: str, matching: list[str], others: list[str]
) -> None:
    matches = compile_pattern(pattern)

    assert [text for text in [*matching, *others] if matches(text)] == matching


def test_a_pattern_of_many_wildcards_takes_linear_time() -> None:
    assert not compile_pattern("*a" * 200 + "b")("a" * 20_000)


@given(st.lists(st.text(), min_size=1), st.text())
def test_a_pattern_matches_what_it_was_made_of(texts: list[str], filling: str) -> None:
    escaped = [text.replace("\\", r"\\").replace("*", r"\*") for text in texts]

    assert compile_pattern("*".join(escaped))(filling.join(texts))


ALL_OPERATORS = "[BooleanEquals, StringEquals, NumericEquals, TimestampEquals, "


@pytest.mark.parametrize(
    ("rule", "pointer", "message"),
    [
        ({}, "", "The object must have only one of the following fields, "
                 "[And, Or, Not, Variable, Condition]"),
        ({"Variable": "$.a", "And": [], "IsNull": True}, "",
         "The object must have only one of the following fields, "
         "[And, Or, Not, Variable, Condition]"),
        ({"Variable": "$.a", "IsNull": True, "IsString": True}, "",
         "There should only be one of the following fields: [IsNull, IsString]"),
        ({"Variable": "a", "IsNull": True}, "/Variable",
         "Value is not a Reference Path: Reference path didn't start with '$'"),
        ({"Variable": "$.a", "StringEqualsPath": "b"}, "/StringEqualsPath",
         "Value is not a Reference Path: Reference path didn't start with '$'"),
        ({"Variable": "$.a", "NumericEquals": "1"}, "/NumericEquals",
         "Expected value of type Double"),
        ({"Variable": "$.a", "NumericEquals": True}, "/NumericEquals",
         "Expected value of type Double"),
        ({"Variable": "$.a", "StringMatches": 1}, "/StringMatches",
         "Expected value of type String"),
        ({"Variable": "$.a", "IsPresent": "true"}, "/IsPresent",
         "Expected value of type Boolean"),
        ({"Variable": "$.a", "TimestampEquals": "2024-01-01"}, "/TimestampEquals",
         "String does not match RFC3339 timestamp"),
        ({"And": []}, "/And", "Value cannot be empty"),
        ({"Or": [{"Variable": "$.a", "IsNull": True}, 1]}, "/Or/1",
         "Expected value of type Object"),
        ({"Not": [1]}, "/Not", "Expected value of type Object"),
        ({"Not": {"Variable": "$.a", "IsNull": True, "Next": "B"}}, "/Not",
         "Field 'Next' is not supported"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_refused_at_its_place(
    rule: dict[str, Json], pointer: str, message: str
) -> None:
    report = Report()
    compile_condition(Fields(rule, Place(), report))

    assert [(each.pointer, each.message) for each in report.errors] == [(pointer, message)]


def test_a_misspelt_operator_is_named_with_the_one_that_was_meant() -> None:
    [mistake] = mistakes({"Variable": "$.a", "StringEqual": "x"})

    assert mistake.message.startswith(
        f"This object should have only one of the following fields: {ALL_OPERATORS}"
    )
    assert mistake.hint == "did you mean 'StringEquals'?"


def test_every_operator_of_the_language_compiles() -> None:
    operators = [
        *(f"{kind}{order}" for kind in ("String", "Numeric", "Timestamp")
          for order in ("Equals", "LessThan", "GreaterThan", "LessThanEquals",
                        "GreaterThanEquals")),
        "BooleanEquals",
    ]  # fmt: skip
    operand: dict[str, Json] = {
        "S": "a", "N": 1, "T": "2024-01-01T00:00:00Z", "B": True,
    }  # fmt: skip

    for operator in operators:
        data: dict[str, Json] = {"v": operand[operator[0]], "o": operand[operator[0]]}
        wanted = "Equals" in operator
        assert compiled({"Variable": "$.v", operator: data["o"]})(data) is wanted
        assert compiled({"Variable": "$.v", f"{operator}Path": "$.o"})(data) is wanted
