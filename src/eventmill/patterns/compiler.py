"""Event patterns of EventBridge, compiled.

A pattern is flattened as EventBridge flattens it: nested objects become dotted names, and each
`$or` multiplies the ways in which the pattern can hold.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from eventmill.model import Json
from eventmill.patterns.anchors import anchors_of
from eventmill.patterns.matcher import FieldTest, Matcher
from eventmill.patterns.operators import (
    RESERVED_FIELD_NAMES,
    PatternError,
    ValueTest,
    exact_test,
    operator_test,
)

# EventBridge: "Rules with $or may not have more than 1,000 combinations".
ALTERNATIVES_MAX: Final = 1000
NESTING_MAX: Final = 200

Note: TypeAlias = Callable[[str, str], None]

_Tests: TypeAlias = dict[str, FieldTest]


def compile_pattern(pattern: Json, note: Note) -> Matcher:
    """Compile an event pattern; report each mistake in it as `note(pointer, message)`.

    The pointers are JSON Pointers (RFC 6901) into `pattern`, the messages EventBridge's. When a
    mistake was noted, the matcher holds for no event. A name given twice, as `{"a": {"b": …}}`
    beside `{"a.b": …}` or inside and outside of `$or`, means what was written last.
    """
    compilation = _Compilation(note)
    if not isinstance(pattern, dict):
        compilation.note("", "Filter is not an object")
        return Matcher(())
    alternatives = compilation.add_object([{}], pattern, names=(), pointer="", in_or=False)
    if compilation.mistakes:
        return Matcher(())
    return Matcher([[tests[name] for name in sorted(tests)] for tests in alternatives])


class _Compilation:
    """One pattern being compiled: counts what it notes, so that all mistakes are found at once."""

    def __init__(self, note: Note) -> None:
        self._note = note
        self.mistakes = 0

    def note(self, pointer: str, message: str) -> None:
        self.mistakes += 1
        self._note(pointer, message)

    def add_object(
        self,
        alternatives: list[_Tests],
        pattern: dict[str, Json],
        *,
        names: tuple[str, ...],
        pointer: str,
        in_or: bool,
    ) -> list[_Tests]:
        """Ask of each alternative what this object asks of an event, too."""
        if not pattern:
            self.note(pointer, "Empty objects are not allowed")
        if len(names) > NESTING_MAX:
            self.note(pointer, f"A pattern may not be nested deeper than {NESTING_MAX} levels")
            return alternatives
        for name, value in pattern.items():
            here = f"{pointer}/{_escape(name)}"
            if name == "$or" and _is_or(value):
                alternatives = self._add_or(alternatives, value, names, here)
                continue
            if in_or and name in RESERVED_FIELD_NAMES:
                self.note(
                    here, f"{name} is Ruler reserved fieldName which cannot be used inside $or."
                )
            elif isinstance(value, dict):
                alternatives = self.add_object(
                    alternatives, value, names=(*names, name), pointer=here, in_or=in_or
                )
            elif isinstance(value, list):
                test = self._field_test(".".join((*names, name)), value, here)
                for tests in alternatives:
                    tests[test.name] = test
            else:
                self.note(here, f'"{name}" must be an object or an array')
        return alternatives

    def _add_or(
        self, alternatives: list[_Tests], value: Json, names: tuple[str, ...], pointer: str
    ) -> list[_Tests]:
        assert isinstance(value, list)
        added: list[_Tests] = []
        for index, branch in enumerate(value):
            assert isinstance(branch, dict)
            added += self.add_object(
                [dict(tests) for tests in alternatives],
                branch,
                names=names,
                pointer=f"{pointer}/{index}",
                in_or=True,
            )
            if len(added) > ALTERNATIVES_MAX:
                self.note(
                    pointer, f"A pattern may not have more than {ALTERNATIVES_MAX} $or combinations"
                )
                return added[:1]
        return added

    def _field_test(self, name: str, values: list[Json], pointer: str) -> FieldTest:
        """The test for a leaf: any of `values` will do, literals and match expressions alike."""
        if not values:
            self.note(pointer, "Empty arrays are not allowed")
        literals = [value for value in values if not isinstance(value, dict | list)]
        tests = [exact_test(literals)] if literals else []
        may_be_absent = False
        for index, value in enumerate(values):
            if isinstance(value, list):
                self.note(
                    f"{pointer}/{index}",
                    "Match value must be String, number, true, false, or null",
                )
            elif isinstance(value, dict):
                may_be_absent = may_be_absent or value == {"exists": False}
                try:
                    tests.append(operator_test(value))
                except PatternError as mistake:
                    self.note(f"{pointer}/{index}", str(mistake))
        return FieldTest(
            name=name,
            accepts=_any_of(tests),
            may_be_absent=may_be_absent,
            anchors=None if self.mistakes else anchors_of(values),
            wanted=values,
        )


def _is_or(value: Json) -> bool:
    """Whether `$or` is the operator here; where it cannot be, it is a field's name.

    Source: event-ruler's README, 'The "$or" Primitive'; patterns that used such a name before the
    operator was invented stay valid.
    """
    return (
        isinstance(value, list)
        and len(value) >= 2
        and all(
            isinstance(branch, dict) and branch.keys().isdisjoint(RESERVED_FIELD_NAMES)
            for branch in value
        )
    )


def _any_of(tests: list[ValueTest]) -> ValueTest:
    if len(tests) == 1:
        return tests[0]
    return lambda value: any(test(value) for test in tests)


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
