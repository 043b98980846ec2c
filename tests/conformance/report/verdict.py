"""What became of a case: it is equal, it differs, or it was not run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from tests.conformance.recorded import FOLDER, Case, checker

NO_CHECKER = "the folder has no check.py to compare with"

# A report wants to know what is wrong, not all of it.
_DIFFERENCES_MAX, _CHARACTERS_MAX = 50, 300


@dataclass(frozen=True)
class Equal:
    """What was recorded came out."""


@dataclass(frozen=True)
class Different:
    """Something else came out; many differences are counted in the last."""

    differences: tuple[str, ...]


@dataclass(frozen=True)
class NotRun:
    """Nothing is known of the case, for this reason."""

    reason: str


Verdict: TypeAlias = Equal | Different | NotRun


def equal_unless(differences: Sequence[str]) -> Verdict:
    """Equal when there are no differences."""
    if not differences:
        return Equal()
    shown = [each[:_CHARACTERS_MAX] for each in differences[:_DIFFERENCES_MAX]]
    more = len(differences) - len(shown)
    return Different((*shown, *([f"and {more} more"] if more else ())))


def same(expected: object, got: object) -> Verdict:
    """Equal when the values are, with nothing left open."""
    return equal_unless([] if got == expected else [f"expected {expected!r}, got {got!r}"])


def compared(case: Case, outcome: dict[str, Any]) -> Verdict:
    """What the recordings' own checker says of an outcome."""
    if not (FOLDER / "check.py").is_file():
        return NotRun(NO_CHECKER)
    return equal_unless(checker().compare(case, outcome))
