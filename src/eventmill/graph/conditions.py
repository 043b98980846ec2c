"""Choice rules as people say them: `$.n > 3 and $.kind = "hourly"`."""

from typing import Final

from eventmill.model import Json, encode_json

_SIGNS: Final = {
    "LessThanEquals": "≤",
    "GreaterThanEquals": "≥",
    "LessThan": "<",
    "GreaterThan": ">",
    "Equals": "=",
    "Matches": "matches",
}
_KINDS: Final = ("String", "Numeric", "Boolean", "Timestamp")
_OPERATORS: Final = {f"{kind}{name}": sign for kind in _KINDS for name, sign in _SIGNS.items()}
_TESTS: Final = {
    "IsPresent": "present",
    "IsNull": "null",
    "IsNumeric": "a number",
    "IsString": "a string",
    "IsBoolean": "a Boolean",
    "IsTimestamp": "a timestamp",
}


def condition_text(rule: Json) -> str:
    """A Choice rule of either query language as one line; empty when it says nothing.

    >>> condition_text({"Variable": "$.n", "NumericGreaterThan": 3, "Next": "Big"})
    '$.n > 3'
    >>> condition_text({"Condition": "{% $n > 3 %}", "Next": "Big"})
    '$n > 3'
    """
    if not isinstance(rule, dict):
        return ""
    if "Condition" in rule:
        return expression_text(rule["Condition"])
    if "Not" in rule:
        return f"not ({condition_text(rule['Not'])})"
    for field, word in (("And", " and "), ("Or", " or ")):
        nested = rule.get(field)
        if isinstance(nested, list):
            return word.join(_operand(each, field) for each in nested)
    return _comparison(rule)


def expression_text(value: Json) -> str:
    """A value on one line; a JSONata expression without its braces.

    >>> expression_text("{% $a +\\n $b %}"), expression_text(3)
    ('$a + $b', '3')
    """
    if not isinstance(value, str):
        return encode_json(value).decode()
    text = value.strip()
    if text.startswith("{%") and text.endswith("%}"):
        text = text[2:-2]
    return " ".join(text.split())


def _operand(rule: Json, around: str) -> str:
    text = condition_text(rule)
    mixed = isinstance(rule, dict) and ("Or" if around == "And" else "And") in rule
    return f"({text})" if mixed else text


def _comparison(rule: dict[str, Json]) -> str:
    variable = expression_text(rule.get("Variable", ""))
    for field, value in rule.items():
        if field in _TESTS:
            return f"{variable} is {'' if value is True else 'not '}{_TESTS[field]}"
        sign = _OPERATORS.get(field.removesuffix("Path"))
        if sign is not None:
            is_path = field.endswith("Path")
            return f"{variable} {sign} {expression_text(value) if is_path else _literal(value)}"
    return variable


def _literal(value: Json) -> str:
    return encode_json(value).decode()
