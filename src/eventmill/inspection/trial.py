"""A state under test, inside an execution that nobody else sees.

The machine's own code evaluates the state; what passes through it on the way is kept as `stages`.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from secrets import randbits

from eventmill.asl.syntax import Pass, State, StateMachine, Task
from eventmill.errors import AuthorError
from eventmill.inspection.request import Request
from eventmill.machine import failing
from eventmill.machine.context import WithContext
from eventmill.machine.decision import Decision
from eventmill.machine.execution import Identity
from eventmill.machine.states import task
from eventmill.model import AWS_QUOTAS, Failure, Json, Payload, Quotas, encode_json

_BEFORE = ""  # the state before the one under test: no state of an author has this name


class Trial:
    """A state that has been entered, with the variables and the input of the request.

    `stages` holds members of AWS's InspectionData. `failure` is what the state failed with, also
    when it is retried or caught.
    """

    def __init__(
        self,
        state: State,
        request: Request,
        identity: Identity,
        context: dict[str, Json],
        quotas: Quotas,
        now_ms: int,
    ) -> None:
        machine = StateMachine(
            start_at=_BEFORE, states={_BEFORE: _before(state.name), state.name: state}
        )
        self.state = state
        self.stages: dict[str, Json] = {}
        self.failure: Failure | None = None
        self.execution = WithContext(identity, machine, context)
        self.execution.now_ms = now_ms
        self.frame = self.execution.root
        self.decision = Decision(self.execution, now_ms)
        self._enter(request, quotas)
        self.show("input", request.input)

    def _enter(self, request: Request, quotas: Quotas) -> None:
        """Tell the execution how it came to the state, in the events that it is folded from."""
        kept = replace(quotas, history_events_max=AWS_QUOTAS.history_events_max)
        internal: dict[str, Json] = {"seed": randbits(63), "quotas": asdict(kept)}
        entered = {"input": request.input}
        left = {"output": request.input, "assignedVariables": Payload.of(request.variables)}
        emit, frame, kind = self.decision.emit, self.frame, type(self.state).__name__
        emit(frame, "ExecutionStarted", {**entered, "roleArn": ""}, internal=internal)
        emit(frame, "PassStateEntered", {**entered, "name": _BEFORE})
        emit(frame, "PassStateExited", {**left, "name": _BEFORE})
        emit(frame, f"{kind}StateEntered", {**entered, "name": self.state.name})
        # As the events of that many attempts would have left it, whichever retrier they used.
        retriers = getattr(self.state, "retry", ())
        frame.retries = dict.fromkeys(range(len(retriers)), request.retries)

    def show(self, stage: str, payload: Payload) -> Payload:
        """Keep a payload for the inspection data; the result is the payload."""
        self.stages[stage] = payload.text.decode()
        return payload

    def show_list(self, stage: str, values: list[Json]) -> None:
        """Keep a list as AWS shows those of a Map: compact JSON, with spaces between the items."""
        self.stages[stage] = f"[{', '.join(encode_json(each).decode() for each in values)}]"

    def attempt(self, work: Callable[[], None]) -> bool:
        """Do `work`; what the author got wrong becomes the state's failure, and is False here."""
        try:
            work()
        except AuthorError as error:
            self.fail(error.failure)
            return False
        return True

    def fail(self, failure: Failure) -> None:
        """Let the state fail: its Retry or Catch has its say."""
        self.failure = failure
        if isinstance(self.state, Task) and self.frame.task is not None:
            task.failed(self.decision, self.frame, failure)
        else:
            failing.fail(self.decision, self.frame, failure)


def _before(next: str) -> Pass:
    return Pass(
        name=_BEFORE,
        next=next,
        input_path=None,
        parameters=None,
        result=None,
        result_path=None,
        output_path=None,
    )
