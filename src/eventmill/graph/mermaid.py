"""An outline as a Mermaid flowchart (mermaid.js.org), for documents that draw it themselves.

All text is quoted, and every character that could mean something to Mermaid is written by its code.
"""

from collections.abc import Iterator
from typing import Final

from eventmill.graph.coverage import Coverage, Status
from eventmill.graph.outline import END, START, Node, Outline, Transition

# How a box of a type begins and ends.
_SHAPES: Final = {
    START: ("((", "))"),
    END: ("(((", ")))"),
    "Choice": ("{{", "}}"),
    "Succeed": ("([", "])"),
    "Fail": ("([", "])"),
}
_CLASSES: Final[dict[Status, str]] = {
    "succeeded": "fill:#eaf7ee,stroke:#15803d,color:#1b2430",
    "failed": "fill:#fdecec,stroke:#b91c1c,color:#1b2430",
    "caught": "fill:#fef1e6,stroke:#c2410c,color:#1b2430",
    "running": "fill:#e8effe,stroke:#1d4ed8,color:#1b2430",
    "retried": "fill:#fdf7dc,stroke:#a16207,color:#1b2430",
    "aborted": "fill:#eceef1,stroke:#6b7280,color:#1b2430",
    "unreached": "stroke-dasharray:3 3,opacity:0.6",
}
_PLAIN: Final = frozenset(" .,:=+-/_$!?*")


def render_mermaid(machine: Outline, *, coverage: Coverage | None = None) -> str:
    """The state machine as the text of a flowchart; `coverage` colours what an execution ran."""
    writer = _Writer(coverage)
    lines = ["flowchart TD", *writer.branch(machine, "    ")]
    lines += [f"    {way}" for way in writer.ways]
    for status, names in writer.by_status.items():
        lines.append(f"    classDef {status} {_CLASSES[status]}")
        lines.append(f"    class {','.join(names)} {status}")
    return "\n".join(lines) + "\n"


class _Writer:
    """Numbers the nodes of all branches, and collects the ways for the end of the text."""

    def __init__(self, coverage: Coverage | None) -> None:
        self.coverage = coverage
        self.count = 0
        self.ways: list[str] = []
        self.by_status: dict[Status, list[str]] = {}

    def branch(self, outline: Outline, indent: str) -> Iterator[str]:
        """The lines of the nodes of one branch, with all that they hold."""
        ids = []
        for node in outline.nodes:
            ids.append(f"s{self.count}")
            self.count += 1
            if self.coverage is not None and node.type not in (START, END):
                status = self.coverage.of(node.name).status
                self.by_status.setdefault(status, []).append(ids[-1])
            yield from self._node(node, ids[-1], indent)
        self.ways += [_way(each, ids) for each in outline.transitions]

    def _node(self, node: Node, id: str, indent: str) -> Iterator[str]:
        branches = [each for each in node.branches if each.nodes]
        if not branches:
            yield f"{indent}{_leaf(node, id)}"
            return
        yield f"{indent}subgraph {id}[{_caption(node)}]"
        for number, each in enumerate(branches, start=1):
            if len(branches) == 1:
                yield from self.branch(each, f"{indent}    ")
                continue
            yield f'{indent}    subgraph {id}b{number}["branch {number}"]'
            yield from self.branch(each, f"{indent}        ")
            yield f"{indent}    end"
        yield f"{indent}end"


def _leaf(node: Node, id: str) -> str:
    opening, closing = _SHAPES.get(node.type, ("[", "]"))
    caption = '" "' if node.type in (START, END) else _caption(node)
    return f"{id}{opening}{caption}{closing}"


def _caption(node: Node) -> str:
    name, detail = mermaid_text(node.name), mermaid_text(node.detail)
    return f'"{name}<br/><small>{detail}</small>"' if detail and detail != name else f'"{name}"'


def _way(transition: Transition, ids: list[str]) -> str:
    arrow = "-.->" if transition.kind == "Catch" else "-->"
    text = "<br/>".join(mermaid_text(each) for each in transition.texts)
    label = f'|"{text}"|' if text else ""
    return f"{ids[transition.source]} {arrow}{label} {ids[transition.target]}"


def mermaid_text(text: str) -> str:
    """Text as it may stand between quotes in Mermaid, on one line.

    >>> mermaid_text('a "b"\\n[c]')
    'a #34;b#34; #91;c#93;'
    """
    line = " ".join(text.split())
    return "".join(each if each in _PLAIN or each.isalnum() else f"#{ord(each)};" for each in line)
