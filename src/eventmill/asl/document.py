"""The text of a definition as a JSON object: size, syntax, duplicate keys and depth.

AWS reads definitions with Jackson, so a syntax error is worded and located as Jackson does;
our own hint beside it says the line and column.
"""

import json
import re
from collections import Counter
from typing import Final

from eventmill.asl.report import SCHEMA_VALIDATION_FAILED, Place, Report
from eventmill.model import Json, Quotas, decode_json

DEPTH_MAX: Final = 200
_SOURCE_SHOWN_MAX: Final = 500

# Fields whose value is data: a repeated key in there is odd, but no mistake in the language.
_DATA_FIELDS: Final = frozenset(
    {
        "Arguments", "Assign", "ItemSelector", "Items", "Output", "Parameters", "Result",
        "ResultSelector",
    }
)  # fmt: skip

_JACKSON: Final = {
    "Expecting property name enclosed in double quotes": (
        "was expecting double-quote to start field name"
    ),
    "Expecting ':' delimiter": "was expecting a colon to separate field name and value",
    "Expecting ',' delimiter": "was expecting comma to separate entries",
    "Expecting value": (
        "expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or"
        " 'false')"
    ),
}


class _Duplicates:
    """Builds JSON objects and remembers which of them repeat a key."""

    def __init__(self) -> None:
        self.by_object: dict[int, list[str]] = {}

    def build(self, pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        """Make one object of its members; the last of equal keys stays, as everywhere."""
        built = dict(pairs)
        if len(built) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            self.by_object[id(built)] = [key for key, count in counts.items() if count > 1]
        return built


def read_document(text: str | bytes, quotas: Quotas, report: Report) -> dict[str, Json] | None:
    """The JSON object in `text`, or None with the reason in `report`.

    Duplicate keys are reported too: of states and fields as errors, in data as warnings.
    """
    source = _decoded(text, quotas, report)
    if source is None:
        return None
    duplicates = _Duplicates()
    value = _parsed(source, duplicates, report)
    if report.errors:
        return None
    if not isinstance(value, dict):
        message = "Definition must be a valid JSON object"
        hint = 'a definition is an object with "StartAt" and "States"'
        report.error(SCHEMA_VALIDATION_FAILED, None, message, hint)
        return None
    return value if _walk(value, duplicates, report) else None


def _decoded(text: str | bytes, quotas: Quotas, report: Report) -> str | None:
    try:
        encoded = text.encode() if isinstance(text, str) else text
        source = text if isinstance(text, str) else text.decode()
    except UnicodeError as error:
        hint = f"the text is not UTF-8: {error}"
        report.syntax_error("Invalid UTF-8 in the definition", None, hint)
        return None
    if len(encoded) > quotas.definition_bytes_max:
        quota = quotas.definition_bytes_max
        message = f"The definition has {len(encoded)} bytes; at most {quota} are allowed"
        report.error("DEFINITION_TOO_LARGE", None, message)
        return None
    return source


def _parsed(source: str, duplicates: _Duplicates, report: Report) -> Json:
    if not source.strip():
        return None
    try:
        # The strict reader knows what the other forgives: NaN, lone surrogates, 1e999.
        value: Json = json.loads(source, object_pairs_hook=duplicates.build)
        decode_json(source)
    except json.JSONDecodeError as error:
        _report_syntax(source, error, report)
        return None
    except RecursionError:
        _report_depth(report, Place())
        return None
    except ValueError as error:
        report.syntax_error(str(error), None, hint=f"the text is not JSON (RFC 8259): {error}")
        return None
    return value


def _report_syntax(source: str, error: json.JSONDecodeError, report: Report) -> None:
    error = _without_trailing_comma(source, error)
    rest = source[error.pos :]
    token = re.match(r"[A-Za-z_]\w*", rest)
    column = error.colno
    if not rest.strip():
        message = "Unexpected end-of-input"
        column = len(source) - source.rfind("\n")
    elif token is not None and error.msg == "Expecting value":
        message = (
            f"Unrecognized token '{token[0]}': was expecting (JSON String, Number, Array, Object"
            " or token 'null', 'true' or 'false')"
        )
        column += len(token[0])
    else:
        wanted = _JACKSON.get(error.msg, error.msg)
        message = f"Unexpected character ('{rest[0]}' (code {ord(rest[0])})): {wanted}"
    shown = source[:_SOURCE_SHOWN_MAX]
    cut = len(source) - len(shown)
    truncated = f"[truncated {cut} chars]" if cut else ""
    location = f'[Source: (String)"{shown}"{truncated}; line: {error.lineno}, column: {column}]'
    hint = f"line {error.lineno}, column {error.colno}: {error.msg}"
    report.syntax_error(f"{message}\n at {location}", location, hint)


def _without_trailing_comma(source: str, error: json.JSONDecodeError) -> json.JSONDecodeError:
    """What is wrong after a trailing comma; Python 3.13 and later blame the comma itself."""
    if not error.msg.startswith("Illegal trailing comma"):
        return error
    after = re.compile(r"\s*").match(source, error.pos + 1)
    assert after is not None, "the pattern matches nothing, too"
    in_object = error.msg.endswith("object")
    wanted = "Expecting property name enclosed in double quotes" if in_object else "Expecting value"
    return json.JSONDecodeError(wanted, source, after.end())


def _report_depth(report: Report, place: Place) -> None:
    message = f"The definition is nested more than {DEPTH_MAX} levels deep"
    report.error("TOO_DEEPLY_NESTED", place, message)


def _walk(document: dict[str, Json], duplicates: _Duplicates, report: Report) -> bool:
    """Report repeated keys; False when the document is too deep to be worked on."""
    pending: list[tuple[dict[str, Json] | list[Json], int, tuple[str | int, ...]]]
    pending = [(document, 1, ())]
    while pending:
        value, depth, path = pending.pop()
        if depth > DEPTH_MAX:
            _report_depth(report, _place(path))
            return False
        if isinstance(value, dict):
            for key in duplicates.by_object.get(id(value), ()):
                _report_duplicate(key, path, report)
        members = value.items() if isinstance(value, dict) else enumerate(value)
        pending += [
            (each, depth + 1, (*path, step))
            for step, each in members
            if isinstance(each, (dict, list))
        ]
    return True


def _report_duplicate(key: str, path: tuple[str | int, ...], report: Report) -> None:
    place = _place((*path, key))
    if any(path[at] == "States" and path[at + 2] in _DATA_FIELDS for at in range(len(path) - 2)):
        report.warning("DUPLICATE_KEY", place, f"The key '{key}' is repeated; the last one counts")
    elif path and path[-1] == "States" and (len(path) < 2 or path[-2] != "States"):
        # An object under "States" holds states, unless it is itself a state of that name.
        report.error("DUPLICATE_STATE_NAME", place, f"Duplicate State name: {key}")
    else:
        report.schema(place, f"Duplicate field '{key}'")


def _place(path: tuple[str | int, ...]) -> Place:
    place = Place()
    for step in path:
        place = place.item(step) if isinstance(step, int) else place.field(step)
    return place
