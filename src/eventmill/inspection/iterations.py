"""The iterations of a Map under test: its items on their way into them, and how many may fail."""

from collections.abc import Iterator

from eventmill.asl.error_names import EXCEED_TOLERATED_FAILURE_THRESHOLD
from eventmill.asl.syntax import Distribution, Map
from eventmill.errors import AuthorError, ValidationException
from eventmill.inspection.reader_data import read_items
from eventmill.inspection.request import MockedResult, Request
from eventmill.inspection.stages import show_input
from eventmill.inspection.trial import Trial
from eventmill.machine.commands import RunMap
from eventmill.machine.context import environment, item_surroundings, items_of, select
from eventmill.machine.map_run import Batching, Item, Reading
from eventmill.machine.numbers import max_concurrency
from eventmill.machine.states import distributed_map
from eventmill.model import Json, encode_json


def iterate(trial: Trial, state: Map, request: Request) -> None:
    """A Map up to its iterations, and whether they can have gone as the request says.

    Raises:
        AuthorError: The items cannot be worked out, or more iterations failed than may fail.
        ValidationException: The request says too little of the Map, or more than there is to it.
    """
    show_input(trial)
    if state.distribution is None:
        count = _inline(trial, state)
    else:
        count = _distributed(trial, state, state.distribution, request)
    failed = request.failed_iterations or 0
    if failed > count:
        raise ValidationException(
            "Map iteration failure count must be less than or equal to the number of Map iterations"
        )
    if _is_exceeded(trial, failed, count):
        cause = "The specified tolerated failure threshold was exceeded"
        raise AuthorError(EXCEED_TOLERATED_FAILURE_THRESHOLD, cause)
    if isinstance(request.mock, MockedResult):
        results = request.mock.payload.value
        if isinstance(results, list) and len(results) != count:
            raise ValidationException("Input array does not equal the mocked result array's size")


def _inline(trial: Trial, state: Map) -> int:
    execution, frame = trial.execution, trial.frame
    items = items_of(execution, frame)
    if state.language == "JSONPath":
        trial.show_list("afterItemsPath", items)
    if state.item_selector is not None:
        data = select(state.input_path, environment(execution, frame, frame.data))
        surroundings = item_surroundings(execution, frame, data, execution.sequence << 32)
        selected = [
            state.item_selector.render(surroundings(index, {"Index": index, "Value": item})).value
            for index, item in enumerate(items)
        ]
        trial.show_list("afterItemSelector", selected)
    trial.stages["maxConcurrency"] = max_concurrency(execution, frame, state)
    return len(items)


def _distributed(trial: Trial, state: Map, distribution: Distribution, request: Request) -> int:
    if distribution.reader is not None and request.reader_data is None:
        raise ValidationException(
            "ItemReader data must be specified when testing a Map state with ItemReader specified."
        )
    distributed_map.begin(trial.decision, trial.frame, state, distribution)
    command = distributed_map.run_map(trial.execution, trial.frame)
    trial.stages["maxConcurrency"] = command.max_concurrency
    if distribution.tolerated_count is not None:
        trial.stages["toleratedFailureCount"] = command.tolerated_count
    if distribution.tolerated_percentage is not None:
        trial.stages["toleratedFailurePercentage"] = command.tolerated_percentage
    items = _items(trial, state, command, request)
    inputs = [command.item_input(index, item).value for index, item in enumerate(items)]
    if state.item_selector is not None:
        trial.show_list("afterItemSelector", inputs)
    if command.batching is None:
        return len(inputs)
    batches = list(_batches(inputs, command.batching))
    trial.show_list("afterItemBatcher", batches)
    return len(batches)


def _items(trial: Trial, state: Map, command: RunMap, request: Request) -> list[Item]:
    if command.reading is not None:
        return _read(trial, command.reading, request.reader_data or "")
    assert command.items is not None, "without a reader the items are in the state's input"
    items = list(command.items)
    if state.language == "JSONPath":
        trial.show_list("afterItemsPath", [each.value for each in items])
    return items


def _read(trial: Trial, reading: Reading, text: str) -> list[Item]:
    values = read_items(text, reading)
    if reading.items_pointer is not None:
        trial.stages["afterItemsPointer"] = encode_json(values).decode()
    source = f"s3://{reading.bucket}/{reading.key}" if reading.key else f"s3://{reading.bucket}"
    return [Item(value=each, source=source) for each in values]


def _batches(inputs: list[Json], batching: Batching) -> Iterator[Json]:
    """The inputs of the iterations, each a batch; AWS shows the items in there as texts.

    Batches are as full as both limits allow, and bytes count as in what a child gets.
    """
    batch: list[Json] = []
    empty = len(encode_json(_batch([], batching)))
    size = empty
    for value in inputs:
        text = encode_json(value)
        is_full = batching.items_max is not None and len(batch) >= batching.items_max
        is_heavy = batching.bytes_max is not None and size + len(text) + 1 > batching.bytes_max
        if batch and (is_full or is_heavy):
            yield _batch(batch, batching)
            batch, size = [], empty
        batch.append(text.decode())
        size += len(text) + 1
    if batch:
        yield _batch(batch, batching)


def _batch(items: list[Json], batching: Batching) -> Json:
    given: dict[str, Json] = {} if batching.input is None else {"BatchInput": batching.input.value}
    return {**given, "Items": items}


def _is_exceeded(trial: Trial, failed: int, count: int) -> bool:
    """Whether more iterations failed than the state says it tolerates; if it does not, none do."""
    tolerated = trial.stages.get("toleratedFailureCount")
    share = trial.stages.get("toleratedFailurePercentage")
    too_many = isinstance(tolerated, int) and failed > tolerated
    too_large = isinstance(share, (int, float)) and count > 0 and failed * 100 > share * count
    return too_many or too_large
