"""`eventmill replay`: an execution at any of its events, and the proof of its steps."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import click

from eventmill.cli import execution_view, replay_view
from eventmill.cli.failures import EXIT_CODES, FAILED
from eventmill.cli.options import chosen_settings, json_option, settings_options
from eventmill.cli.output import write_document
from eventmill.cli.recorded import (
    Recorded,
    find_execution,
    machine_name,
    newest,
    reading,
    recorded,
)
from eventmill.cli.tables import Fields, Line, Part, show
from eventmill.cli.texts import count, printable, short
from eventmill.errors import ReplayMismatch
from eventmill.machine.execution import RUNNING, Execution
from eventmill.machine.transition import outstanding
from eventmill.model import Json
from eventmill.record import record
from eventmill.runtime.replay import snapshot_holds, verify
from eventmill.runtime.settings import Settings

_FORM_SHOWN_MAX: Final = 300
_FORM_LEAD: Final = 60  # how much is shown of what still agrees
_MISMATCHES_SHOWN_MAX: Final = 20
_ALL: Final = 2**62


@click.command(epilog=EXIT_CODES)
@click.argument("execution", metavar="EXECUTION", required=False)
@settings_options
@click.option(
    "--at", type=click.IntRange(min=1), metavar="EVENT", help="As it stood right after this event."
)
@click.option(
    "--verify", "proves", is_flag=True, help="Decide every step again and compare byte for byte."
)
@click.option("--all", "of_all", is_flag=True, help="With --verify: every execution of the log.")
@click.option("--full", is_flag=True, help="Show payloads whole, and all states.")
@json_option
def replay(
    execution: str | None,
    project: Path,
    data: Path | None,
    at: int | None,
    proves: bool,
    of_all: bool,
    full: bool,
    as_json: bool,
) -> None:
    """Replay an execution from the log: how it stood after any event, or whether its steps hold.

    EXECUTION is an ARN, a name, or how a name begins, if no other does. Without --at it is replayed
    to its last event. --verify feeds the recorded facts to the state machine again: each step must
    come out as it was recorded.
    """
    _check_usage(execution, at, proves, of_all)
    settings = chosen_settings(project, data)
    if proves:
        _show_proofs(asyncio.run(_prove(settings, execution)), as_json)
        return
    assert execution is not None
    found = asyncio.run(_read(settings, execution))
    last = found.at().sequence
    if at is not None and at > last:
        raise click.BadParameter(f"{at}: the history has events 1 to {last}", param_hint="--at")
    replayed = found.at(at)
    if as_json:
        write_document(_document(found, replayed))
    else:
        show(_page(found, replayed, last, full))


def _check_usage(execution: str | None, at: int | None, proves: bool, of_all: bool) -> None:
    if of_all and not proves:
        raise click.UsageError("--all goes with --verify.")
    if proves and at is not None:
        raise click.UsageError("--at and --verify exclude each other: all steps are verified.")
    if of_all == (execution is not None):
        needed = "either EXECUTION or --all" if proves else "EXECUTION"
        raise click.UsageError(f"Give {needed}.")


# At an event


async def _read(settings: Settings, reference: str) -> Recorded:
    async with reading(settings) as log:
        return await recorded(log, settings, await find_execution(log, settings, reference))


def _page(found: Recorded, execution: Execution, last: int, full: bool) -> Iterator[Part]:
    fields = [
        ("Execution", printable(found.row.arn)),
        ("After event", f"{execution.sequence} of {last}"),
        ("Status", execution.status),
        ("Input", execution_view.payload_text(execution.input, full)),
    ]
    yield Fields(fields=[*fields, *execution_view.outcome_fields(execution, full)])
    yield from execution_view.states_part(execution, full)
    if execution.status == RUNNING and execution.root.state is None:
        yield Line(text="")
        yield Line(text=_between_text(execution.root.next))
    yield from replay_view.parts(execution, full)


def _between_text(next: str | None) -> str:
    if next is None:
        return "The last state has ended, the execution has not."
    return f"Between two states; the next is {printable(next)}."


def _document(found: Recorded, execution: Execution) -> dict[str, Json]:
    return {
        "executionArn": found.row.arn,
        "event": execution.sequence,
        "status": execution.status,
        "input": execution.input.text.decode(),
        **execution_view.outcome(execution),
        "next": execution.root.next,
        "states": [
            execution_view.state_document(execution, frame)
            for frame in execution_view.standing(execution)
        ],
        "between": [replay_view.between_document(each) for each in replay_view.between(execution)],
        "variables": replay_view.variables_document(execution),
        "tasks": [*sorted(execution.tasks)],
        "timers": [*_timers(execution)],
        "outstanding": [
            replay_view.command_document(execution, command) for command in outstanding(execution)
        ],
    }


def _timers(execution: Execution) -> list[float]:
    frames = execution_view.standing(execution)
    return sorted(frame.due_ms / 1_000 for frame in frames if frame.due_ms is not None)


# The proof


@record
class _Proof:
    """How far the steps of an execution hold."""

    arn: str
    machine: str
    steps: int
    problem: str | None = None
    mismatch: ReplayMismatch | None = None


async def _prove(settings: Settings, reference: str | None) -> list[_Proof]:
    return [_proof(found) async for found in _chosen(settings, reference)]


async def _chosen(settings: Settings, reference: str | None) -> AsyncIterator[Recorded]:
    async with reading(settings) as log:
        if reference is not None:
            row = await find_execution(log, settings, reference)
            yield await recorded(log, settings, row)
            return
        async for row in newest(log, _ALL):
            yield await recorded(log, settings, row)


def _proof(found: Recorded) -> _Proof:
    problem, mismatch, steps = None, None, len(found.steps)
    try:
        verify(found.identity, found.machine, found.steps)
        problem = _snapshot_problem(found)
    except ReplayMismatch as error:
        problem, mismatch, steps = str(error), error, error.step - 1
    except (ValueError, AssertionError, TypeError, LookupError) as error:
        # A step that was tampered with may hold anything, such as what the machine never writes.
        problem, steps = f"a step cannot be read: {error!r}", 0
    machine = machine_name(found.row)
    return _Proof(
        arn=found.row.arn, machine=machine, steps=steps, problem=problem, mismatch=mismatch
    )


def _snapshot_problem(found: Recorded) -> str | None:
    stored = found.snapshot
    if stored is None or snapshot_holds(found.identity, found.machine, found.steps, stored):
        return None
    return f"the steps hold, but the snapshot of step {stored.step} is not what they come to"


def _show_proofs(proofs: list[_Proof], as_json: bool) -> None:
    broken = [proof for proof in proofs if proof.problem is not None]
    if as_json:
        write_document(
            {
                "executions": len(proofs),
                "steps": sum(proof.steps for proof in proofs),
                "mismatches": [_proof_document(proof) for proof in broken],
            }
        )
    else:
        show(_proof_page(proofs, broken))
    raise click.exceptions.Exit(FAILED if broken else 0)


def _proof_page(proofs: list[_Proof], broken: list[_Proof]) -> Iterator[Part]:
    for proof in broken[:_MISMATCHES_SHOWN_MAX]:
        yield Line(text=f"{printable(proof.arn)}: {printable(proof.problem or '')}", colour="red")
        if proof.mismatch is not None:
            stored, computed = _forms(proof.mismatch)
            yield Line(text=f"  recorded  {stored}")
            yield Line(text=f"  computed  {computed}")
    if len(broken) > _MISMATCHES_SHOWN_MAX:
        yield Line(text=f"… and {len(broken) - _MISMATCHES_SHOWN_MAX:,} more executions")
    steps = count(sum(proof.steps for proof in proofs), "step")
    if broken:
        executions = count(len(proofs), "execution")
        text = f"{len(broken):,} of {executions} did not hold; {steps} matched."
        yield Line(text=text, colour="red")
    else:
        text = f"{steps} of {count(len(proofs), 'execution')} matched, byte for byte."
        yield Line(text=text, colour="green")


def _proof_document(proof: _Proof) -> dict[str, Json]:
    shown: dict[str, Json] = {
        "executionArn": proof.arn,
        "matchedSteps": proof.steps,
        "problem": proof.problem,
    }
    if proof.mismatch is not None:
        shown["step"] = proof.mismatch.step
        shown["recorded"] = proof.mismatch.stored.decode(errors="replace")
        shown["computed"] = proof.mismatch.computed.decode(errors="replace")
    return shown


def _forms(mismatch: ReplayMismatch) -> tuple[str, str]:
    """Both forms of a step, from a little before where they part."""
    stored, computed = (
        form.decode(errors="replace") for form in (mismatch.stored, mismatch.computed)
    )
    shorter = min(len(stored), len(computed))
    parting = next((at for at in range(shorter) if stored[at] != computed[at]), shorter)
    start = max(0, parting - _FORM_LEAD)
    lead = "…" if start else ""
    return (
        lead + short(stored[start:], _FORM_SHOWN_MAX),
        lead + short(computed[start:], _FORM_SHOWN_MAX),
    )
