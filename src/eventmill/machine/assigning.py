"""Variables: what a state assigns when it ends, and the limits on their sizes.

Every value is worked out before any is assigned, so variables can be swapped. Source: "Passing data
between states with variables" of the developer guide; the limits and their texts are the service's.
"""

from eventmill.asl.error_names import DATA_LIMIT_EXCEEDED
from eventmill.asl.syntax import AnyTemplate
from eventmill.errors import AuthorError
from eventmill.machine.execution import Execution, Frame
from eventmill.model import Json, Payload, encode_json
from eventmill.query.environment import Environment


def assigned(
    execution: Execution, frame: Frame, template: AnyTemplate | None, surroundings: Environment
) -> Payload | None:
    """The variables that `template` assigns, an object sorted by name; None when there is none.

    Raises:
        AuthorError: An expression fails, or a value or their sum is over its quota.
    """
    if template is None:
        return None
    rendered = template.render(surroundings).value
    assert isinstance(rendered, dict), "Assign is an object"
    variables = dict(sorted(rendered.items()))
    _check_sizes(execution, frame, variables)
    return Payload.of(variables)


def _check_sizes(execution: Execution, frame: Frame, variables: dict[str, Json]) -> None:
    assert frame.state is not None
    state, quotas = frame.state.name, execution.quotas
    total = execution.variable_bytes
    together = 0
    for name, value in variables.items():
        size = len(encode_json(value))
        former = frame.variables.get(name)
        total += size - (former.size if former else 0)
        together += size
        told = f"Variable '{name}' in state '{state}' was assigned {size} bytes"
        if size > quotas.variable_bytes_max:
            raise _refused(f"Variable size limit exceeded. {told}.")
        if together > quotas.variable_bytes_max:
            over = together - quotas.variable_bytes_max
            raise _refused(
                f"State total variable size limit exceeded. {told}, which caused the size of "
                f"variables assigned in the state to exceed its limit by {over} bytes."
            )
    if total > quotas.variables_bytes_max:
        over = total - quotas.variables_bytes_max
        raise _refused(
            f"Execution total variable size limit exceeded. State '{state}' assigned variables "
            f"that exceed the total execution limit by {over} bytes."
        )


def _refused(cause: str) -> AuthorError:
    return AuthorError(DATA_LIMIT_EXCEEDED, cause, located=False, location="Assign")
