"""The state machines that can be started, and every definition an execution still runs on."""

from collections.abc import Iterable, Set
from hashlib import sha256

from eventmill.arn import Home
from eventmill.asl.parser import parse, reopen
from eventmill.asl.syntax import StateMachine
from eventmill.errors import LogDamaged, StateMachineDoesNotExist
from eventmill.model import Quotas
from eventmill.ports import EventLog
from eventmill.record import record


@record
class Machine:
    """A state machine under its name, in its present form."""

    name: str
    arn: str
    digest: str
    text: str
    definition: StateMachine


class Catalog:
    """State machines by name or ARN, and definitions by digest.

    A running execution keeps the definition it was started with, so definitions are stored in the
    log under their digest and never change.
    """

    def __init__(self, log: EventLog, home: Home, quotas: Quotas) -> None:
        self._log = log
        self._home = home
        self._quotas = quotas
        self._machines: dict[str, Machine] = {}  # by ARN
        self._definitions: dict[str, StateMachine] = {}  # by digest
        self._stored: set[str] = set()

    @property
    def payload_bytes_max(self) -> int:
        """How large the input of an execution may be."""
        return self._quotas.payload_bytes_max

    def add(self, name: str, text: str) -> Machine:
        """Offer a state machine, in place of any other of that name.

        Raises:
            InvalidDefinition: `text` has mistakes.
        """
        digest = sha256(text.encode()).hexdigest()
        definition = self._definitions.get(digest) or parse(text, self._quotas).machine
        arn = self._home.state_machine(name)
        machine = Machine(name=name, arn=arn, digest=digest, text=text, definition=definition)
        self._machines[arn] = machine
        self._definitions[digest] = definition
        return machine

    def machine(self, reference: str) -> Machine:
        """The state machine with this name or ARN.

        Raises:
            StateMachineDoesNotExist: There is none.
        """
        arn = reference if reference.startswith("arn:") else self._home.state_machine(reference)
        try:
            return self._machines[arn]
        except KeyError:
            raise StateMachineDoesNotExist(f"State Machine Does Not Exist: '{arn}'") from None

    def execution_arn(self, machine: Machine, name: str) -> str:
        """The ARN of an execution of this state machine."""
        return self._home.execution(machine.name, name)

    def processor(self, state_machine_arn: str, label: str, text: str) -> Machine:
        """What the children of the Map with this label run, in the state machine of this ARN."""
        digest = sha256(text.encode()).hexdigest()
        definition = self._definitions.get(digest)
        if definition is None:
            definition = self._definitions[digest] = reopen(text)
        arn = f"{state_machine_arn}/{label}"
        name = arn.rsplit(":", 1)[-1]
        return Machine(name=name, arn=arn, digest=digest, text=text, definition=definition)

    def machines(self) -> Iterable[Machine]:
        """All state machines, in the order in which they were added."""
        return self._machines.values()

    def unstored(self, machines: Iterable[Machine]) -> dict[str, str]:
        """Definitions the log does not hold yet: what must be committed with a start."""
        return {each.digest: each.text for each in machines if each.digest not in self._stored}

    def stored(self, machines: Iterable[Machine]) -> None:
        """Take note that the log holds these definitions."""
        self._stored.update(each.digest for each in machines)

    def digests(self) -> Set[str]:
        """The digests of definitions that are offered, or that the log is known to hold."""
        return self._stored | {each.digest for each in self._machines.values()}

    async def definition(self, digest: str) -> StateMachine:
        """The definition with this digest.

        Raises:
            LogDamaged: The log does not hold what an execution was started with.
        """
        definition = self._definitions.get(digest)
        if definition is None:
            text = await self._log.definition(digest)
            if text is None:
                raise LogDamaged(f"the definition {digest} is missing from the log")
            try:
                definition = self._definitions[digest] = reopen(text)
            except ValueError as error:
                raise LogDamaged(f"the definition {digest} in the log: {error}") from error
        return definition
