"""Results of tests, and the report for build servers."""

import json
from pathlib import Path
from xml.etree import ElementTree

from eventmill.rehearsal.results import Result, run_test, write_junit
from eventmill.rehearsal.suite import Suite, read_suite
from eventmill.runtime.settings import load_settings


def read(folder: Path, text: str) -> Suite:
    task = {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "End": True}
    (folder / "send.asl.json").write_text(json.dumps({"StartAt": "A", "States": {"A": task}}))
    (folder / "send.test.yaml").write_text(text)
    return read_suite(folder / "send.test.yaml", load_settings(folder))


TESTS = """
Mocks: { A: { Return: "\\u0001" } }
Tests:
  - { Name: good }
  - { Name: "bad \\u0001", Expect: { Output: 1 } }
  - { Name: broken, Mocks: { A: { Never: true } } }
"""


def results(suite: Suite) -> list[Result]:
    assert suite.findings == ()
    return [run_test(each) for each in suite.tests]


def test_tests_pass_or_say_what_differs(tmp_path: Path) -> None:
    good, bad, broken = results(read(tmp_path, TESTS))

    assert [each.passed for each in (good, bad, broken)] == [True, False, False]
    assert bad.differences[0].message == "Output differs (- expected, + actual)"
    assert "waits for what never comes" in broken.differences[0].message
    assert broken.outcome.path == ("A",)


def test_the_report_holds_every_test(tmp_path: Path) -> None:
    suite = read(tmp_path, TESTS)
    write_junit(tmp_path / "report.xml", [(suite, results(suite))])

    (root,) = ElementTree.parse(tmp_path / "report.xml").getroot().iter("testsuites")
    (element,) = root
    assert (element.get("tests"), element.get("failures"), element.get("errors")) == ("3", "2", "0")
    assert [case.get("name") for case in element] == ["good", "bad \ufffd", "broken"]
    assert [len(case) for case in element] == [0, 1, 1]
    assert [case.get("line") for case in element] == ["4", "5", "6"]
    assert '+ "' in str(element[1][0].text)


def test_the_report_tells_of_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    suite = read(tmp_path, "Tests: 1")
    write_junit(tmp_path / "report.xml", [(suite, [])])

    (element,) = ElementTree.parse(tmp_path / "report.xml").getroot()
    assert (element.get("tests"), element.get("errors")) == ("1", "1")
    assert "must be an array" in str(element[0][0].get("message"))
