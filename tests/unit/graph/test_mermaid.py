"""Mermaid: the same machine as a flowchart, whatever its states are called."""

import re

from hypothesis import given
from hypothesis import strategies as st

from eventmill.graph.coverage import Coverage, StateCoverage
from eventmill.graph.mermaid import mermaid_text, render_mermaid
from eventmill.graph.outline import outline
from tests.unit.graph.machines import Definition, choice, task


def test_states_ways_and_what_they_hold() -> None:
    states: Definition = {
        "If": choice("Both", default="Bad"),
        "Both": {
            "Type": "Parallel",
            "Branches": [
                {"StartAt": "In", "States": {"In": task()}},
                {"StartAt": "Side", "States": {"Side": {"Type": "Pass", "End": True}}},
            ],
            "Catch": [{"ErrorEquals": ["A", "B"], "Next": "Bad"}],
            "Next": "Out",
        },
        "Out": {"Type": "Succeed"},
        "Bad": {"Type": "Fail"},
    }

    assert render_mermaid(outline({"StartAt": "If", "States": states})).splitlines() == [
        "flowchart TD",
        '    s0((" "))',
        '    s1{{"If<br/><small>Choice</small>"}}',
        '    subgraph s2["Both<br/><small>Parallel #183; 2 branches</small>"]',
        '        subgraph s2b1["branch 1"]',
        '            s3["In<br/><small>Lambda work</small>"]',
        "        end",
        '        subgraph s2b2["branch 2"]',
        '            s4["Side<br/><small>Pass</small>"]',
        "        end",
        "    end",
        '    s5(["Out<br/><small>Succeed</small>"])',
        '    s6(["Bad<br/><small>Fail</small>"])',
        "    s0 --> s1",
        '    s1 -->|"$.n = 0"| s2',
        '    s1 -->|"Default"| s6',
        "    s2 --> s5",
        '    s2 -.->|"A, B"| s6',
    ]


def test_what_an_execution_ran_has_a_class() -> None:
    machine = outline({"StartAt": "A", "States": {"A": task("B"), "B": task()}})
    coverage = Coverage(states={"A": StateCoverage(entered=1, failed=1)}, taken={})

    lines = render_mermaid(machine, coverage=coverage).splitlines()

    assert "    class s1 failed" in lines
    assert "    class s2 unreached" in lines
    assert any(line.startswith("    classDef failed fill:") for line in lines)


@given(st.text())
def test_any_text_is_harmless_between_quotes(text: str) -> None:
    written = mermaid_text(text)

    rest = re.sub(r"#\d+;", "", written)
    assert not set(rest) & set("\"'`<>[](){}|#;&%\\\n\r")
    shown = re.sub(r"#(\d+);", lambda code: chr(int(code[1])), written)
    assert shown == " ".join(text.split())
