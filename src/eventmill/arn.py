"""Amazon Resource Names and the rules for names (Step Functions API reference)."""

import re
from typing import Final

from eventmill.record import record

_NAME: Final = re.compile(
    r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f\ufffe\uffff\ud800-\udfff\U0010ffff]{1,80}"
)
_LAMBDA: Final = re.compile(
    r"arn:aws[a-z-]*:lambda:[^:]+:[^:]+:function:([A-Za-z0-9_-]{1,64})(:[A-Za-z0-9_$-]+)?"
)


def is_name(text: str) -> bool:
    """Whether AWS accepts `text` as the name of a state machine, execution or activity."""
    return _NAME.fullmatch(text) is not None


@record
class Home:
    """The account and region in which this installation's ARNs live."""

    account: str = "000000000000"
    region: str = "local"

    def state_machine(self, name: str) -> str:
        """The ARN of a state machine.

        >>> Home().state_machine("intake")
        'arn:aws:states:local:000000000000:stateMachine:intake'
        """
        return f"arn:aws:states:{self.region}:{self.account}:stateMachine:{name}"

    def execution(self, machine: str, name: str) -> str:
        """The ARN of a Standard execution of the state machine named `machine`."""
        return f"arn:aws:states:{self.region}:{self.account}:execution:{machine}:{name}"

    def role(self, name: str) -> str:
        """The ARN of an IAM role; nothing assumes it here, but histories carry one."""
        return f"arn:aws:iam::{self.account}:role/{name}"


def function_name(reference: str) -> str:
    """The bare name in a function name, `name:qualifier`, partial ARN or full ARN.

    Follows `FunctionName` of Lambda's Invoke operation.

    >>> function_name("arn:aws:lambda:us-east-1:123456789012:function:resize:live")
    'resize'
    >>> function_name("resize:live")
    'resize'
    """
    if ":" not in reference:
        return reference
    match = _LAMBDA.fullmatch(reference)
    if match is not None:
        return match[1]
    partial = re.fullmatch(r"\d{12}:function:([A-Za-z0-9_-]+)(:[A-Za-z0-9_$-]+)?", reference)
    return partial[1] if partial is not None else reference.split(":", 1)[0]


def is_function_arn(text: str) -> bool:
    """Whether `text` is the ARN of a Lambda function, with or without a qualifier."""
    return _LAMBDA.fullmatch(text) is not None
