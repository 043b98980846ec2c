"""docs/conformance.md: what the figures mean, the figures, and every case that is not equal."""

from collections.abc import Mapping, Sequence
from typing import Final

from tests.conformance.report.figures import TOTAL, Outcome, by_reason, figures
from tests.conformance.report.verdict import Different, NotRun

_WIDTH: Final = 100
_NAME_MAX: Final = 95

_INTRODUCTION: Final = """\
# Conformance

"Same definitions, same histories" is tested against recordings of AWS: {cases:,} cases from public
test suites (LocalStack's snapshots, event-ruler, statelint, asl-validator, the JSONata suite),
turned into plain data. They are not part of this repository: `make conformance` and the tests read
them from the folder in `EVENTMILL_CONFORMANCE`, else from `../shared/conformance`; without the
folder the tests are skipped with a message.

`make conformance` runs every case of every `*.jsonl` file there, writes this page, and the same
figures to `build/conformance.json`. It fails when a case differs and nobody knows why.

## How cases are run

| what | how | what is compared |
|---|---|---|
| executions | on the engine in virtual time, with the handlers they were recorded with; every \
step is decided again from the log | status, output, error, cause and the whole history: types, \
ids, `previousEventId`, details |
| scripts of API calls | against the API in process, in virtual time | every checked answer, but \
for a member that AWS added after the recording |
| TestState calls | the request as it was sent | the whole answer |
| refused definitions | validated, or sent to the operation | code and message, or all diagnostics |
| definitions judged by statelint and asl-validator | validated | valid or not |
| `variableReferences` of DescribeStateMachine | read from the definition | the whole table |
| event patterns, answered by EventBridge or event-ruler | compiled and matched | match, or the \
words of the refusal |
| the official JSONata suite | evaluated | the value, or the code of the error |

A case is *equal* when nothing of it differs, *different* when anything does, and *not run* when it
needs what is not there: a part of AWS that Eventmill does not have, or another service.

The tests hold the same cases, one test for each: `tests/conformance/test_histories.py`,
`tests/conformance/test_api_scripts.py`, `tests/conformance/test_definitions.py`,
`tests/conformance/test_event_patterns.py` and `tests/conformance/test_jsonata_suite.py`. There
executions also run on the state machine alone, and each step is encoded, decoded, folded and
compared on the way. Pass states (`test_pass_states_give_what_aws_recorded`) and Choice rules
(`test_a_choice_goes_where_aws_was_recorded_to_go`) are evaluated value by value besides. A case
that begins to agree fails its test until its reason is taken off the list.

The same folder holds one suite for each port, which every adapter passes: the event log (SQLite and
memory), executors (worker pool and inline), sensors (filesystem).
"""


def document(outcomes: Sequence[Outcome]) -> str:
    """The whole page; equal outcomes give equal pages."""
    counted = figures(outcomes)
    total = counted[TOTAL]
    parts = [
        _INTRODUCTION.format(cases=total["run"] + total["not_run"]),
        "## Figures\n",
        _table(counted),
        f"## Different, and why\n\n{_listed(by_reason(outcomes, Different))}",
        f"## Not run, and why\n\n{_listed(by_reason(outcomes, NotRun))}",
    ]
    return "\n".join(parts)


def _table(counted: Mapping[str, Mapping[str, int]]) -> str:
    rows = ["| file | cases | run | equal | different | not run |", "|---|--:|--:|--:|--:|--:|"]
    for file, counts in counted.items():
        cells = (
            counts["run"] + counts["not_run"],
            *(counts[name] for name in ("run", "equal", "different", "not_run")),
        )
        texts = [f"{cell:,}" for cell in cells]
        if file == TOTAL:
            rows.append(f"| **all** | {' | '.join(f'**{text}**' for text in texts)} |")
        else:
            rows.append(f"| {_code(file)} | {' | '.join(texts)} |")
    return "\n".join(rows) + "\n"


def _listed(reasons: Mapping[str, Sequence[str]]) -> str:
    if not reasons:
        return "None.\n"
    return "\n".join(_item(reason, names) for reason, names in reasons.items()) + "\n"


def _item(reason: str, names: Sequence[str]) -> str:
    """A reason and its cases, broken between the cases."""
    text, lines = f"- **{_plain(reason)}** ({len(names):,}):", []
    for position, name in enumerate(names, 1):
        word = _code(name) + ("" if position == len(names) else ",")
        if len(text) + 1 + len(word) > _WIDTH:
            lines.append(text)
            text = f"  {word}"
        else:
            text = f"{text} {word}"
    return "\n".join([*lines, text])


def _plain(reason: str) -> str:
    """A reason on one line, whose marks mean nothing to Markdown."""
    one_line = " ".join(reason.split())
    return "".join(f"\\{each}" if each in "\\`*_[]<>|" else each for each in one_line)


def _code(name: str) -> str:
    """A name as code: what cannot be printed is escaped, and a long name is cut."""
    visible = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in name)
    if len(visible) > _NAME_MAX:
        visible = f"{visible[:_NAME_MAX]}…"
    return f"`` {visible} ``" if "`" in visible else f"`{visible}`"
