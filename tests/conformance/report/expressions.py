"""Cases of the official JSONata suite, on the library that the query language stands on."""

import functools
import json
from typing import Any

import jlens

from tests.conformance.recorded import FOLDER, Case
from tests.conformance.report.verdict import NotRun, Verdict, same

_DATASETS = "jsonata_datasets.json"
# So that no expression runs on for ever; those of the suite that shall say how long.
_LIMIT_SECONDS = 10.0


@functools.cache
def datasets() -> dict[str, Any]:
    """The data that expressions are evaluated on, by name; none when the file is absent."""
    path = FOLDER / _DATASETS
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def run(case: Case) -> Verdict:
    """The value of an expression, that it has none, or the code of its error."""
    if case.get("dataset") and case["dataset"] not in datasets():
        return NotRun(f"the dataset is not in {_DATASETS}")
    got, want = evaluate(case), wanted(case)
    if case.get("unordered"):
        got, want = ((kind, sorted(map(str, value))) for kind, value in (got, want))
    return same(want, got)


def evaluate(case: Case) -> tuple[str, Any]:
    """`value`, `undefined` or `error`, and the value or the code."""
    data = datasets()[case["dataset"]] if case.get("dataset") else case.get("data")
    known = bool(case.get("dataset")) or "data" in case
    limits: dict[str, Any] = {"timeout": _LIMIT_SECONDS}
    if "timelimit" in case:
        limits = {"timeout": case["timelimit"] / 1_000, "max_depth": case.get("depth")}
    try:
        expression = jlens.Expression(case["expr"])
        text = json.dumps(data) if known else None
        result = expression.evaluate_json(text, case.get("bindings") or None, **limits)
    except jlens.JlensError as error:
        return "error", error.code
    except UnicodeEncodeError:
        return "error", None
    return ("undefined", None) if result is None else ("value", json.loads(result))


def wanted(case: Case) -> tuple[str, Any]:
    """What the suite says, in the form of `evaluate`."""
    expected = case["expected"]
    if "result" in expected:
        return "value", expected["result"]
    if "undefined" in expected:
        return "undefined", None
    return "error", expected.get("code") or expected["error"]["code"]
