"""TestState: one state, tried with an input, and what came of it.

Source: TestState of the API reference, and recorded answers of the service.
"""

from collections.abc import Mapping
from functools import partial

from eventmill.arn import Home
from eventmill.asl.syntax import Map, Parallel, State, Task
from eventmill.errors import ValidationException
from eventmill.inspection.context_object import made_up_context, made_up_identity
from eventmill.inspection.definition import state_under_test, untestable
from eventmill.inspection.handler_call import Run, carried_out, check_callable
from eventmill.inspection.iterations import iterate
from eventmill.inspection.mock_result import check_mocked_result
from eventmill.inspection.outcome import answer
from eventmill.inspection.request import MockedResult, Request, read_request
from eventmill.inspection.stages import fork, leave, pass_through, schedule
from eventmill.inspection.trial import Trial
from eventmill.machine.states import task
from eventmill.model import Failure, Json, Payload, Quotas


async def test_state(
    parameters: Mapping[str, Json],
    *,
    home: Home,
    now_ms: int,
    run: Run | None,
    quotas: Quotas,
) -> dict[str, Json]:
    """Try the state that `parameters` describe, and answer as AWS's TestState does.

    `parameters` are the members of the request, of the types of AWS's model. A Task without a mock
    is carried out by `run`; None means that there is nobody to do so.

    Raises:
        ValidationException: The members of the request do not fit together, or not to the state.
        InvalidDefinition: The definition has mistakes, or the state cannot be tested so.
        InvalidExecutionInput: The input is not JSON.
    """
    request = read_request(parameters)
    state = state_under_test(request.definition, request.state_name, quotas)
    _check_fit(state, request, run)
    trial = _trial(state, request, home, quotas, now_ms)
    if isinstance(state, Task):
        await _test_task(trial, state, request, run)
    elif isinstance(state, (Parallel, Map)):
        _test_iterations(trial, state, request)
    else:
        trial.attempt(partial(pass_through, trial))
    return answer(trial, request.level)


def _check_fit(state: State, request: Request, run: Run | None) -> None:
    """Refuse what a state of this type cannot be tested with."""
    if request.mock is None:
        if isinstance(state, (Map, Parallel)):
            raise untestable(
                "TestState API does not support Map or Parallel states. Supported state types "
                "include: [Task, Wait, Pass, Succeed, Fail, Choice]"
            )
        if isinstance(state, Task):
            if request.role_arn is None:
                raise ValidationException("RoleArn must be specified when testing a Task state")
            check_callable(state, run)
        return
    if not isinstance(state, (Task, Map, Parallel)):
        raise ValidationException(
            f"State type '{type(state).__name__}' is not supported when a mock is specified"
        )
    if request.failed_iterations is not None and not isinstance(state, Map):
        raise ValidationException(
            "MapIterationFailureCount is only supported when testing a Map state."
        )
    if isinstance(request.mock, MockedResult):
        check_mocked_result(state, request.mock)


def _trial(state: State, request: Request, home: Home, quotas: Quotas, now_ms: int) -> Trial:
    identity = made_up_identity(home)
    context = request.context
    if context is None:
        context = made_up_context(
            identity,
            state,
            request.input,
            role_arn=request.role_arn,
            retries=request.retries,
            now_ms=now_ms,
        )
    return Trial(state, request, identity, context, quotas, now_ms)


async def _test_task(trial: Trial, state: Task, request: Request, run: Run | None) -> None:
    if not trial.attempt(partial(schedule, trial, state)):
        return
    if request.mock is None:
        assert run is not None, "there is a mock, or somebody who carries the task out"
        result = await carried_out(trial, run)
    else:
        mock = request.mock
        result = mock.payload if isinstance(mock, MockedResult) else mock
    if isinstance(result, Payload) and len(result) > trial.execution.quotas.payload_bytes_max:
        result = task.too_large_result(trial.frame)
    if isinstance(result, Failure):
        trial.fail(result)
        return
    trial.show("result", result)
    trial.attempt(partial(leave, trial, state, result))


def _test_iterations(trial: Trial, state: Parallel | Map, request: Request) -> None:
    mock = request.mock
    assert mock is not None, "such a state is not tested without a mock"
    begin = (
        partial(iterate, trial, state, request)
        if isinstance(state, Map)
        else partial(fork, trial, state)
    )
    if not trial.attempt(begin):
        return
    if isinstance(mock, Failure):
        trial.fail(mock)
    else:
        trial.attempt(partial(leave, trial, state, mock.payload))
