"""The definition of a state machine as values: what a parsed document means.

Expressions are compiled; nothing here is text that must be read again at run time. A state's
`next` is None when it has `End: true` or is terminal by its type.

Every state knows its query language. One attribute serves the fields of both languages that
do the same: `parameters` is Parameters or Arguments, `items` is ItemsPath or Items. What a
language lacks has the value that changes nothing: a JSONata state has `$` as its paths, a
JSONPath state has no `output`. `assign` and `output` are evaluated when the state ends.

Source: the Amazon States Language specification and the Step Functions developer guide.
"""

from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias

from eventmill.asl.retry import Catcher, Retrier
from eventmill.model import Payload
from eventmill.query.environment import Environment
from eventmill.query.jsonata import Query, QueryTemplate
from eventmill.query.jsonpath import Path, ReferencePath
from eventmill.query.template import Template
from eventmill.record import record

TASK_TIMEOUT_SECONDS_DEFAULT: Final = 99_999_999

Language: TypeAlias = Literal["JSONPath", "JSONata"]

AnyTemplate: TypeAlias = Template | QueryTemplate
"""A field of any JSON with expressions in it: in `.$` keys (JSONPath) or `{% … %}` (JSONata)."""

Pattern: TypeAlias = Literal["request", "callback"]


@record
class Resource:
    """What a Task calls.

    `kind` is `function` for the ARN of a Lambda function, and of an activity, and `integration` for
    `arn:aws:states:::service:action`; the service is one word with `aws-sdk:` where it is called
    through that. `pattern` is `callback` for `.waitForTaskToken`, which is a part of `action`, as
    it is in histories. Not everything that AWS has runs here: `eventmill.asl.resource` tells.
    """

    text: str
    kind: Literal["function", "integration"]
    service: str
    action: str
    pattern: Pattern = "request"


@record
class _Named:
    """What every state has."""

    name: str
    language: Language = "JSONPath"


@record
class _Flow(_Named):
    """A state that hands data on."""

    input_path: Path | None
    output_path: Path | None
    output: QueryTemplate | None = None


@record
class _Step(_Flow):
    """A state that another one follows."""

    next: str | None
    assign: AnyTemplate | None = None


@record
class _Call(_Step):
    """A state whose work has a result, or fails."""

    result_selector: Template | None
    result_path: ReferencePath | None
    retry: tuple[Retrier, ...] = ()
    catch: tuple[Catcher, ...] = ()


@record
class Pass(_Step):
    """Hands its input, or a fixed `result`, on."""

    parameters: AnyTemplate | None
    result: Payload | None
    result_path: ReferencePath | None


@record
class Task(_Call):
    """Calls a resource and waits for its answer."""

    resource: Resource
    parameters: AnyTemplate | None
    timeout_seconds: int | Path | Query | None = None
    heartbeat_seconds: int | Path | Query | None = None
    credentials: AnyTemplate | None = None


Condition: TypeAlias = Callable[[Environment], bool]


@record
class ChoiceRule:
    """Where to go when `condition` holds.

    Its `assign` and `output` take the place of those of the state, which belong to `default`.
    """

    condition: Condition
    next: str
    assign: AnyTemplate | None = None
    output: QueryTemplate | None = None


@record
class Choice(_Flow):
    """Goes to the first rule whose condition holds, else to `default`."""

    rules: tuple[ChoiceRule, ...]
    default: str | None
    assign: AnyTemplate | None = None


@record
class Wait(_Step):
    """Waits for `seconds`, or until `timestamp`; exactly one is given, as value or expression."""

    seconds: int | Path | Query | None = None
    timestamp: int | Path | Query | None = None  # milliseconds since the epoch


@record
class Succeed(_Flow):
    """Ends its branch, or the execution, well."""


@record
class Fail(_Named):
    """Ends the execution, or fails the enclosing Parallel or Map, with an error and a cause."""

    error: str | Template | Query | None
    cause: str | Template | Query | None


@record
class Branch:
    """A state machine inside a state: a branch of Parallel, the processor of Map."""

    start_at: str
    states: "Mapping[str, State]"


@record
class Parallel(_Call):
    """Runs its branches at once; its result is the array of their outputs."""

    branches: tuple[Branch, ...]
    parameters: AnyTemplate | None


Number: TypeAlias = int | float | Path | Query | None


@record
class ItemReader:
    """Where the items of a Map Run are read from; `arguments` name the bucket and the key."""

    action: Literal["getObject", "listObjectsV2"]
    arguments: AnyTemplate | None
    input_type: str | None
    flatten: bool
    manifest_type: str | None
    csv_delimiter: str
    csv_headers: tuple[str, ...] | None  # None: the first row has them
    items_pointer: str | None
    items_max: Number


@record
class ItemBatcher:
    """How items are put together into the input of one child."""

    items_max: Number
    bytes_max: Number
    input: AnyTemplate | None


@record
class ResultWriter:
    """What becomes of the children's results; without `arguments` they stay in the output."""

    arguments: AnyTemplate | None
    transformation: Literal["NONE", "COMPACT", "FLATTEN"]
    output_type: Literal["JSON", "JSONL"]


@record
class Distribution:
    """How a Map runs its iterations as executions of their own, the children of a Map Run.

    `definition` is the text of the state machine that they run.
    """

    execution_type: Literal["STANDARD", "EXPRESS"]
    definition: str
    label: str | None
    reader: ItemReader | None
    batcher: ItemBatcher | None
    writer: ResultWriter | None
    tolerated_count: Number
    tolerated_percentage: Number


@record
class Map(_Call):
    """Runs its processor once for each item; its result is the array of outputs.

    `distribution` None is the inline mode. `max_concurrency` 0 means no limit of its own.
    """

    processor: Branch
    items: Path | Query | QueryTemplate
    item_selector: AnyTemplate | None
    max_concurrency: int | Path | Query
    distribution: Distribution | None
    is_misplaced: bool  # inline, with a field that only a distributed Map may have


State: TypeAlias = Pass | Task | Choice | Wait | Succeed | Fail | Parallel | Map


@record
class StateMachine:
    """A whole definition. `timeout_seconds` None means AWS's default of one year."""

    start_at: str
    states: Mapping[str, State]
    timeout_seconds: int | None = None
    comment: str | None = None
