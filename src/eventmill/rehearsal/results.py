"""Tests that were run: what came of each, and the report that build servers read.

The report is JUnit's XML, as far as the servers agree on it: suites, cases, failures, times.
"""

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from eventmill.record import record
from eventmill.rehearsal.expectation import Difference
from eventmill.rehearsal.outcome import Outcome, RehearsalBroken
from eventmill.rehearsal.rehearse import perform
from eventmill.rehearsal.suite import Suite, Test

# Characters that no XML 1.0 document may hold.
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@record
class Result:
    """What came of one test; it passed when nothing differs. `seconds` are real ones."""

    test: Test
    outcome: Outcome
    differences: tuple[Difference, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether all was as expected."""
        return not self.differences


def run_test(test: Test) -> Result:
    """Rehearse the execution of a test, and compare."""
    begun = time.perf_counter()
    try:
        outcome = perform(test.rehearsal)
        differences = tuple(test.expectation.differences(outcome))
    except RehearsalBroken as broken:
        outcome = broken.outcome
        differences = (Difference(message=str(broken)),)
    seconds = time.perf_counter() - begun
    return Result(test=test, outcome=outcome, differences=differences, seconds=seconds)


def write_junit(path: Path, run: Sequence[tuple[Suite, Sequence[Result]]]) -> None:
    """Write the report of a run: a file that could not be read is a suite with one error."""
    root = ElementTree.Element("testsuites", name="eventmill test")
    for suite, results in run:
        failed = sum(not each.passed for each in results)
        element = ElementTree.SubElement(
            root,
            "testsuite",
            name=_clean(str(suite.path)),
            tests=str(len(results) or len(suite.findings[:1])),
            failures=str(failed),
            errors=str(len(suite.findings[:1])),
            time=f"{sum(each.seconds for each in results):.3f}",
        )
        if suite.findings:
            case = ElementTree.SubElement(element, "testcase", name="the file can be read")
            error = ElementTree.SubElement(case, "error", message=_clean(str(suite.findings[0])))
            error.text = _clean("\n".join(map(str, suite.findings)))
        for result in results:
            _add_case(element, suite, result)
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _add_case(parent: ElementTree.Element, suite: Suite, result: Result) -> None:
    case = ElementTree.SubElement(
        parent,
        "testcase",
        name=_clean(result.test.name),
        classname=_clean(suite.path.name.rsplit(".test.", 1)[0]),
        file=_clean(str(suite.path)),
        line=str(result.test.line or 1),
        time=f"{result.seconds:.3f}",
    )
    if not result.passed:
        message = _clean(result.differences[0].message)
        failure = ElementTree.SubElement(case, "failure", message=message)
        failure.text = _clean(
            "\n".join(line for each in result.differences for line in (each.message, *each.lines))
        )


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
