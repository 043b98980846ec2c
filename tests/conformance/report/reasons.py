"""Why cases differ: the one table of the differences that are known."""

import re
from collections.abc import Mapping
from typing import Final

from tests.conformance.recorded import Case, recorded_day
from tests.conformance.report.verdict import Different, Verdict

UNKNOWN: Final = "no reason known yet"

_NOT_AN_ARN: Final = "the tool does not look at Resource; AWS wants an ARN"
_SPACES: Final = (
    "the tool counts the spaces inside {% and %}, of which the developer guide says nothing"
)
_EXPRESS: Final = "an Express execution, which has another ARN"
_STACK: Final = "a stack overflow has a code of its own"
_SURROGATE: Final = "half of a surrogate pair is refused when it is compiled, under another code"

# By the id of a case, or by what stands behind its last `::` and before a `#`.
REASONS: Final[Mapping[str, str]] = {
    # Executions
    "test_catch": "the recording's own masking broke the JSON text of the cause",
    "test_query_runtime_memory": _EXPRESS,
    "test_lambda_service_invoke_with_retry_extended_input": (
        "recorded before the Context Object had RedriveCount, which later recordings have"
    ),
    "test_max_concurrency_path_negative": "the recording breaks off inside the first decision",
    "test_service_lambda_map_timeout": "four timeouts of one instant, recorded in another order",
    # TestState
    "test_strict_mode_aws_sdk_lambda_get_function_task[integer_more_than_maximum_allowed]": (
        "AWS has raised the maximum of MemorySize from 10,240 since"
    ),
    # Definitions that statelint or asl-validator judge in another way
    "statelint/backoff-with-backoffrate-integer.json": _NOT_AN_ARN,
    "statelint/states-array-intrinsic-functions.json": _NOT_AN_ARN,
    "statelint/states-array-invocation.json": _NOT_AN_ARN,
    "statelint/states-encoding-decoding-intrinsic-functions.json": _NOT_AN_ARN,
    "statelint/states-hash-intrinsic-functions.json": _NOT_AN_ARN,
    "statelint/states-json-intrinsic-functions.json": _NOT_AN_ARN,
    "statelint/task-with-dynamic-timeouts.json": _NOT_AN_ARN,
    "statelint/task-with-parameters.json": _NOT_AN_ARN,
    "statelint/task-with-resultselector.json": _NOT_AN_ARN,
    "statelint/task-with-credentials.json": f"{_NOT_AN_ARN}, and RoleArn in Credentials",
    "statelint/succeed-with-comment-in-catcher.json": "AWS wants Parameters for lambda:invoke",
    "asl-validator/valid-parameters-issue104.json": "a function ARN without region and account",
    "asl-validator/valid-task-intrisic-function.json": "Resource is a CloudFormation function here",
    "asl-validator/valid-map-with-item-batcher-jsonata.json": (
        "a JSONPath state under a JSONata machine, which AWS was recorded to refuse"
    ),
    "asl-validator/valid-task-timeout-jsonata.json": _NOT_AN_ARN,
    "asl-validator/valid-assign.asl.json": (
        "the tool takes any name; the specification wants an identifier for a variable"
    ),
    "asl-validator/invalid-json-surround-syntax-extra-spaces.json": _SPACES,
    "asl-validator/invalid-jsonata-surround-syntax-no-spaces.json": _SPACES,
    # Event patterns
    "event-ruler/check/JsonRuleCompilerTest.testNumericExpressions#1075": (
        "the message prints the double that 2.0e422 becomes, which is infinite"
    ),
    "event-ruler/check/JsonRuleCompilerTest.testNumericExpressions#1079": (
        "a double holds 1E-325 as 0, which can be compared"
    ),
    "event-ruler/check/RuleCompilerTest.testCompile#1099": (
        "the words of a second compiler in event-ruler; EventBridge uses those of the first"
    ),
    # JSONata: an error is raised in each of these, but under another code
    "function-encodeUrl/case002.json": _SURROGATE,
    "function-encodeUrlComponent/case002.json": _SURROGATE,
    "function-string/case019.json": "the division by zero is told, not what is made of it",
    "tail-recursion/case002.json": _STACK,
    "tail-recursion/case005.json": _STACK,
    "tail-recursion/case006.json": "a time limit has a code of its own",
}


# Where AWS itself has changed: the form of the differences, the day of the first recording that
# shows the change, and why older ones differ.
_CHANGES: Final = (
    (
        re.compile(r"history\[\d+:MapStateExited\]\.previousEventId: .*"),
        "2024-11-13",
        "recorded before AWS let MapStateExited point to MapRunStarted, not MapRunSucceeded",
    ),
)


def reason(id: str, case: Case, verdict: Verdict) -> str | None:
    """Why a case is known to differ, or None."""
    listed = REASONS.get(id) or REASONS.get(id.split("::")[-1].split("#")[0])
    if listed is not None or not isinstance(verdict, Different):
        return listed
    return next((why for form, day, why in _CHANGES if _is_older(form, day, case, verdict)), None)


def _is_older(form: re.Pattern[str], day: str, case: Case, verdict: Different) -> bool:
    """Whether nothing but a change of AWS is in the way of a recording from before."""
    return (recorded_day(case) or day) < day and all(map(form.fullmatch, verdict.differences))
