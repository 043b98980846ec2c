"""How many cases are equal, different and not run, and which of them are to be told of."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.conformance.report.attempts import Line
from tests.conformance.report.reasons import UNKNOWN, reason
from tests.conformance.report.verdict import Different, Equal, NotRun, Verdict

TOTAL: Final = "total"


@dataclass(frozen=True)
class Outcome:
    """A case and what became of it."""

    file: str
    id: str
    verdict: Verdict
    known: str | None = None  # why it differs

    def name(self, parts: int = 1) -> str:
        """The case as people find it: the file's name and the last parts of the id."""
        end = "::".join(self.id.split("::")[-parts:])
        return f"{self.file.removesuffix('.jsonl')}:{end}"

    @property
    def reason(self) -> str | None:
        """Why it differs or was not run; None for a case that is equal."""
        match self.verdict:
            case Different():
                return self.known or UNKNOWN
            case NotRun():
                return self.verdict.reason
        return None


def outcome(line: Line, verdict: Verdict) -> Outcome:
    """What became of a line."""
    id = line.id()
    return Outcome(line.file, id, verdict, reason(id, line.case() or {}, verdict))


def figures(outcomes: Iterable[Outcome]) -> dict[str, dict[str, int]]:
    """`run`, `equal`, `different` and `not_run` of each file and of all.

    `equal` + `different` is `run`; `run` + `not_run` is the number of cases.
    """
    counted: dict[str, dict[str, int]] = {}
    total = _nothing()
    for each in outcomes:
        for counts in (counted.setdefault(each.file, _nothing()), total):
            counts["run"] += not isinstance(each.verdict, NotRun)
            counts["equal"] += isinstance(each.verdict, Equal)
            counts["different"] += isinstance(each.verdict, Different)
            counts["not_run"] += isinstance(each.verdict, NotRun)
    return {**counted, TOTAL: total}


def _nothing() -> dict[str, int]:
    return {"run": 0, "equal": 0, "different": 0, "not_run": 0}


def unexplained(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Cases that differ and nobody knows why."""
    return [each for each in outcomes if each.reason == UNKNOWN]


def by_reason(outcomes: Iterable[Outcome], kind: type[Verdict]) -> Mapping[str, Sequence[str]]:
    """The names of the cases of a kind by their reasons; reasons of many cases come first."""
    outcomes = list(outcomes)
    short = Counter(each.name() for each in outcomes)
    grouped: dict[str, list[str]] = {}
    for each in outcomes:
        if isinstance(each.verdict, kind):
            name = each.name(1 if short[each.name()] == 1 else 2)
            grouped.setdefault(each.reason or "", []).append(name)
    return dict(sorted(grouped.items(), key=lambda group: (-len(group[1]), group[0])))
