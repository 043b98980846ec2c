"""Checks on the ARNs in requests: what is no ARN at all is told apart from what is not there."""

import re
from typing import Final

from eventmill.errors import InvalidArn

_STATES: Final = re.compile(r"arn:aws[a-z-]*:states:[^:]+:\d{12}:([A-Za-z]+):(.+)", re.DOTALL)


def state_machine_arn(text: str) -> str:
    """`text`, which must have the form of a state machine's ARN, qualified or not.

    Raises:
        InvalidArn: It has another form.
    """
    return _of_kind(text, "stateMachine")


def execution_arn(text: str) -> str:
    """`text`, which must have the form of a Standard execution's ARN.

    Raises:
        InvalidArn: It has another form.
    """
    return _of_kind(text, "execution")


def map_run_arn(text: str) -> str:
    """`text`, which must have the form of a Map Run's ARN.

    Raises:
        InvalidArn: It has another form.
    """
    return _of_kind(text, "mapRun")


def _of_kind(text: str, kind: str) -> str:
    if not text.startswith("arn:"):
        raise InvalidArn(f"Invalid Arn: 'Invalid ARN prefix: {text}'")
    match = _STATES.fullmatch(text)
    if match is None:
        raise InvalidArn(
            f"Invalid Arn: '{text} is not of the form "
            f"arn:aws:states:<region>:<account>:{kind}:<name>'"
        )
    if match[1] != kind:
        raise InvalidArn(f"Invalid Arn: 'Resource type not valid in this context: {match[1]}'")
    return text
